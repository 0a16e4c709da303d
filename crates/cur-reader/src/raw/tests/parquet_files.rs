//! Parquet as writers of many kinds lay it out.

use arrow::array::{Date32Array, Decimal128Array, Float64Array, Int64Array, StringArray, TimestampMillisecondArray};
use arrow::datatypes::Date32Type;
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::ParquetMetaDataReader;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterVersion};

use super::*;
use crate::values::DictionaryMemo;

type Columns = Vec<(&'static str, ArrayRef)>;

fn parquet(columns: Columns, properties: WriterPropertiesBuilder) -> Vec<u8> {
    let columns = columns.into_iter().map(|(name, column)| (name, column, true));
    let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties.build())).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

fn properties() -> WriterPropertiesBuilder {
    WriterProperties::builder()
}

fn texts(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

/// Instants at noon of these days, to the millisecond.
fn noons(days: &[Option<&str>]) -> ArrayRef {
    let noon = |day: &str| i64::from(Date32Type::from_naive_date(day.parse().unwrap())) * 86_400_000 + 43_200_000;
    Arc::new(days.iter().map(|day| day.map(noon)).collect::<TimestampMillisecondArray>())
}

#[tokio::test]
async fn amounts_days_and_ids_read_back_whatever_their_pages() {
    let lines = 0..5_000_i64;
    // Cents, of which some are null and some come again and again.
    let cents = |line: i64| (line % 7 > 0).then_some(if line % 3 > 0 { 1_250 } else { line * 37 - 40_000 });
    let doubles: Float64Array = lines.clone().map(|line| cents(line).map(|cents| cents as f64 / 100.0)).collect();
    let decimals: Decimal128Array = lines.clone().map(|line| cents(line).map(i128::from)).collect();
    let start = 20_574_i64 * 86_400_000;
    let starts: TimestampMillisecondArray =
        lines.clone().map(|line| (line % 11 > 0).then_some(start + line / 100 * 3_600_000)).collect();
    let columns = || -> Columns {
        vec![
            ("cost", Arc::new(doubles.clone())),
            ("exact", Arc::new(decimals.clone().with_precision_and_scale(18, 2).unwrap())),
            ("start", Arc::new(starts.clone())),
            ("account", Arc::new(Int64Array::from_iter_values(lines.clone().map(|line| 111_111_111_111 + line % 4)))),
        ]
    };
    let plain = || properties().set_dictionary_enabled(false);
    let version_2 = || plain().set_writer_version(WriterVersion::PARQUET_2_0);
    for (name, properties) in [
        ("dictionaries", properties()),
        ("plain", plain()),
        ("differences", version_2().set_column_encoding("start".into(), Encoding::DELTA_BINARY_PACKED)),
        ("bytes apart", version_2().set_column_encoding("cost".into(), Encoding::BYTE_STREAM_SPLIT)),
        ("small pages", properties().set_data_page_row_count_limit(90).set_write_batch_size(30)),
        ("small row groups", properties().set_max_row_group_row_count(Some(701))),
        ("packed", plain().set_compression(Compression::ZSTD(ZstdLevel::default()))),
    ] {
        let wanted = ["start", "exact", "cost", "account"];
        let read = batches("may.parquet", &parquet(columns(), properties), &wanted).await.unwrap();
        let mut line = 0;
        for batch in read {
            assert_eq!(batch.first_row, u64::try_from(line).unwrap() + 1, "{name}: rows are counted over row groups");
            let (days, mut known) = (batch.columns[0].day().unwrap(), DictionaryMemo::default());
            let amounts = [1, 2].map(|column| batch.columns[column].amount().unwrap());
            let accounts = crate::account_ids(&batch.columns[3]).unwrap();
            for row in 0..batch.rows {
                let day = (line % 11 > 0).then(|| i32::try_from(20_574 + line / 2_400).unwrap());
                assert_eq!(days.get(row, &mut known), Ok(day), "{name}: {line}");
                let money = cents(line).map(|cents| format!("{cents}e-2").parse().unwrap());
                assert!(amounts.iter().all(|amounts| amounts.get(row) == Ok(money)), "{name}: {line}");
                assert_eq!(accounts.get(row).unwrap(), (111_111_111_111 + line % 4).to_string(), "{name}: {line}");
                line += 1;
            }
        }
        assert_eq!(line, 5_000, "{name}");
    }
}

#[tokio::test]
async fn columns_come_as_they_are_wanted_whatever_reads_them() {
    let columns: Columns = vec![
        ("coded", texts(&[Some("a"), None, Some("a")])),
        ("unwanted", texts(&[None, None, None])),
        ("plain", texts(&[Some("x"), Some("y"), None])),
        ("number", Arc::new(Int64Array::from(vec![Some(1), None, Some(3)]))),
    ];
    let bytes = parquet(columns, properties().set_column_dictionary_enabled("plain".into(), false));
    let expected = ["1 1|a|x", "2 -|-|y", "3 3|a|-"];
    assert_eq!(rows("may.parquet", &bytes, &["number", "coded", "plain"]).await.unwrap(), expected);
    let expected = ["1 x|1|a", "2 y|-|-", "3 -|3|a"];
    assert_eq!(rows("may.bin", &bytes, &["plain", "number", "coded"]).await.unwrap(), expected);
}

#[tokio::test]
async fn the_one_period_of_a_row_group_is_told_without_reading_it() {
    let columns = || -> Columns {
        let may = [Some("2026-05-01"), Some("2026-05-31"), Some("2026-05-10")];
        let days = may.map(|day| day.map(|day| Date32Type::from_naive_date(day.parse().unwrap())));
        vec![
            ("may", noons(&[&may[..], &[Some("2026-06-01"), Some("2026-06-30"), Some("2026-06-02")]].concat())),
            ("two", noons(&[Some("2026-05-31"), Some("2026-06-01"), Some("2026-06-02")].repeat(2))),
            ("some", noons(&[Some("2026-05-01"), None, Some("2026-05-02")].repeat(2))),
            ("day", Arc::new(Date32Array::from(days.repeat(2)))),
            ("text", texts(&may.repeat(2))),
        ]
    };
    let by_threes = || properties().set_max_row_group_row_count(Some(3));
    let one_period = async |properties, part: usize, column: &str| {
        let bytes = parquet(columns(), properties);
        let (store, file) = delivered("x.parquet", &bytes).await;
        let open = OpenFile::open(&store, &file).await.unwrap();
        assert_eq!((open.parts(), open.rows()), (0..2, Some(6)));
        let found = open.one_period(part, column).unwrap();
        found.map(|(period, rows)| format!("{rows} of {period}"))
    };
    let lines = |text: &str| Some(text.to_owned());
    assert_eq!(one_period(by_threes(), 0, "may").await, lines("3 of 2026-05"));
    assert_eq!(one_period(by_threes(), 1, "may").await, lines("3 of 2026-06"));
    assert_eq!(one_period(by_threes(), 1, "day").await, lines("3 of 2026-05"));
    // Of two periods, with a null, text, without such a column or part.
    for (part, column) in [(0, "two"), (0, "some"), (0, "text"), (0, "none"), (2, "may")] {
        assert_eq!(one_period(by_threes(), part, column).await, None, "{part} {column}");
    }
    let untold = by_threes().set_statistics_enabled(EnabledStatistics::None);
    assert_eq!(one_period(untold, 0, "may").await, None);
}

#[tokio::test]
async fn a_text_that_no_export_holds_is_named_with_its_column_whatever_its_page() {
    let long = "x".repeat((1 << 20) + 1);
    let column = || texts(&[Some("short"), None, Some(&long)]);
    let plain = || properties().set_dictionary_enabled(false);
    let message = "holds a text of 1048577 bytes; at most 1048576";
    for (name, properties) in [
        ("dictionary", properties().set_dictionary_page_size_limit(1 << 30)),
        ("plain", plain()),
        ("lengths", plain().set_encoding(Encoding::DELTA_LENGTH_BYTE_ARRAY)),
        ("what texts share", plain().set_encoding(Encoding::DELTA_BYTE_ARRAY)),
    ] {
        let refused = refused("may.parquet", parquet(vec![("text", column())], properties), &["text"]).await;
        assert_eq!(refused, format!("may.parquet, column text: {message}"), "{name}");
    }
}

#[tokio::test]
async fn a_file_without_rows_is_whole() {
    let empty: Columns = vec![("text", texts(&[])), ("number", Arc::new(Int64Array::from(Vec::<i64>::new())))];
    let bytes = parquet(empty, properties());
    let (store, file) = delivered("x.parquet", &bytes).await;
    let open = OpenFile::open(&store, &file).await.unwrap();
    assert_eq!((open.names.join(","), open.rows()), ("text,number".to_owned(), Some(0)));
    assert_eq!(rows("x.parquet", &bytes, &["number", "text"]).await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn a_file_that_is_not_whole_says_so() {
    let whole = parquet(vec![("text", texts(&[Some("a"), Some("b")]))], properties());
    let of = |said: &str| format!("x.parquet: is not a complete Parquet file ({said}); copy the file again");
    let ending = |end: &[u8]| [&whole[..whole.len() - end.len()], end].concat();
    assert_eq!(refused("x.parquet", ending(b"PARE"), &["text"]).await, of("Parquet error: it is encrypted"));
    assert_eq!(refused("x.parquet", "PAR1", &["text"]).await, of("EOF: fewer bytes than a footer has"));
    let longer = u32::try_from(whole.len()).unwrap() - 7;
    let claim = [&longer.to_le_bytes()[..], b"PAR1"].concat();
    assert_eq!(
        refused("x.parquet", ending(&claim), &["text"]).await,
        of(&format!("Parquet error: the footer claims {longer} bytes"))
    );
    // The pages of the first half are gone: the footer points to where they were.
    let cut = [&whole[..4], &whole[whole.len() / 2..]].concat();
    let refused = refused("x.parquet", cut, &["text"]).await;
    assert!(refused.starts_with("x.parquet: is "), "{refused}");
    assert!(refused.ends_with("; copy the file again"), "{refused}");
}

#[tokio::test]
async fn columns_that_hold_something_else_say_what() {
    let columns: Columns =
        vec![("text", texts(&[Some("a")])), ("flag", Arc::new(arrow::array::BooleanArray::from(vec![true])))];
    let read = batches("x.parquet", &parquet(columns, properties()), &["text", "flag"]).await.unwrap();
    let [text, flag] = &read[0].columns[..] else { panic!("two columns") };
    assert_eq!(flag.amount().unwrap_err(), "has type Boolean, not an amount");
    assert_eq!(flag.day().unwrap_err(), "has type Boolean, not a date");
    assert_eq!(flag.map().unwrap_err(), "has type Boolean, not a map");
    // Text may be anything, until it is looked at.
    let no_amount = text.amount().unwrap().get(0).unwrap_err();
    assert_eq!((no_amount.text.as_str(), no_amount.overflow), ("a", false));
    assert_eq!(text.day().unwrap().get(0, &mut DictionaryMemo::default()), Err("a".to_owned()));
}

#[tokio::test]
async fn an_index_beyond_the_dictionary_is_an_error() {
    let values = [&[Some("a")][..], &[Some("b"); 200]].concat();
    let mut bytes = parquet(vec![("text", texts(&values))], properties());
    let footer = ParquetMetaDataReader::new().parse_and_finish(&bytes::Bytes::from(bytes.clone())).unwrap();
    let (start, length) = footer.row_group(0).column(0).byte_range();
    let last = usize::try_from(start + length).unwrap() - 1;
    // The run of all `b`, the second entry, becomes one of a third.
    assert_eq!(std::mem::replace(&mut bytes[last], 2), 1);
    assert_eq!(
        refused("x.parquet", bytes, &["text"]).await,
        "x.parquet: is not a complete Parquet file (Parquet error: a dictionary index points beyond the dictionary); copy \
         the file again"
    );
}
