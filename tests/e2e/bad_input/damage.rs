//! Files that are damaged, or made to do harm: nothing in them makes the program panic, hang or take memory by what they
//! claim.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use parquet::file::metadata::{FileMetaData, ParquetMetaDataBuilder, ParquetMetaDataReader, ParquetMetaDataWriter};

use super::{CREDIT, HEADER, Published, USAGE, cur_2, good_input};
use crate::formats::parquet_file::{Types, parquet};
use crate::support::Workspace;

/// Refused with this one error, before long.
fn refused(published: &Published, name: &str, content: &[u8], message: &str) {
    let start = Instant::now();
    published.refuses_export(&[(name, content)], 3, &format!("{name}{message}"));
    assert!(start.elapsed() < Duration::from_secs(20), "{name} took {:?}", start.elapsed());
}

fn packed(write: impl FnOnce(&mut GzEncoder<Vec<u8>>) -> std::io::Result<()>) -> Vec<u8> {
    let mut writer = GzEncoder::new(Vec::new(), Compression::fast());
    write(&mut writer).expect("packed text");
    writer.finish().expect("a gzip file")
}

/// A workspace with nothing but a damaged file of September.
fn september(name: &str) -> Workspace {
    let workspace = good_input();
    workspace.empty("cur");
    let content = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/damaged").join(name));
    workspace.write(&format!("cur/{name}"), content.expect("a fixture"));
    workspace
}

#[test]
fn pages_that_libraries_do_not_bear_are_named_with_their_file() {
    for (name, said) in [
        ("delta.parquet", "lengths of texts that cannot be read"),
        ("two-dictionaries.parquet", "a column has a second dictionary"),
    ] {
        let outcome = september(name).run("2026-09-30", &["run"]);
        let message =
            format!("error: {name}: is not a complete Parquet file (Parquet error: {said}); copy the file again\n");
        assert_eq!((outcome.exit_code, outcome.stderr), (Some(3), message));
    }
}

#[test]
fn a_damaged_arrow_schema_says_that_the_file_is_damaged() {
    for name in ["focus-1.parquet", "focus-2.parquet", "plain-v1.parquet"] {
        let outcome = september(name).run("2026-09-30", &["run"]);
        assert_eq!(outcome.exit_code, Some(3), "{outcome:?}");
        assert!(outcome.stderr.starts_with(&format!("error: {name}: is ")), "{outcome:?}");
        assert!(outcome.stderr.ends_with("copy the file again\n"), "{outcome:?}");
        assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:?}");
    }
}

/// The file with a footer that claims other rows.
fn claiming(file: &[u8], rows: i64) -> Vec<u8> {
    let bytes = bytes::Bytes::copy_from_slice(file);
    let footer = ParquetMetaDataReader::new().parse_and_finish(&bytes).expect("a footer");
    let of_file = footer.file_metadata();
    let schema = of_file.schema_descr_ptr();
    let of_file = FileMetaData::new(of_file.version(), rows, None, None, Arc::clone(&schema), None);
    let groups = footer.row_groups().iter().map(|group| {
        let columns = group.columns().iter().map(|column| {
            let column = column.clone().into_builder().set_num_values(rows);
            column.build().expect("a column")
        });
        let group = group.clone().into_builder().set_num_rows(rows).set_column_metadata(columns.collect());
        group.build().expect("a row group")
    });
    let claimed = ParquetMetaDataBuilder::new(of_file).set_row_groups(groups.collect()).build();
    let (_, length) = file[..file.len() - 4].split_last_chunk().expect("a length");
    let pages = file.len() - 8 - u32::from_le_bytes(*length) as usize;
    let mut written = file[..pages].to_vec();
    ParquetMetaDataWriter::new(&mut written, &claimed).finish().expect("a footer");
    written
}

#[test]
fn rows_that_a_footer_claims_must_be_there() {
    let published = Published::new();
    let whole = parquet(&cur_2(&[USAGE, CREDIT]), &Types::of_aws());
    let many = claiming(&whole, 1 << 31);
    let message = format!(
        ": is not a complete Parquet file (Parquet error: the footer claims 2147483648 rows in {} bytes); copy the file again",
        many.len()
    );
    refused(&published, "a.parquet", &many, &message);
    let message = ": is not a complete Parquet file (Parquet error: a column has 2 values where its row group has 3 rows); \
                   copy the file again";
    refused(&published, "a.parquet", &claiming(&whole, 3), message);
}

#[test]
fn a_footer_longer_than_its_file_is_not_looked_for() {
    let published = Published::new();
    let mut file = parquet(&cur_2(&[USAGE, CREDIT]), &Types::of_aws());
    let end = file.len();
    file[end - 8..end - 4].copy_from_slice(&0x7fff_ffff_u32.to_le_bytes());
    let message =
        ": is not a complete Parquet file (Parquet error: the footer claims 2147483647 bytes); copy the file again";
    refused(&published, "a.parquet", &file, message);
}

#[test]
fn a_quote_that_is_left_open_is_named_by_the_row_where_it_was_opened() {
    let published = Published::new();
    let swallowed = "has a quote that is left open: the text goes on over the rows below; close the quote, or copy the file \
                     again";
    let description = "line_item_line_item_description";
    // To the end of the file; to the next quote, which hides nothing but the rows between; in the middle of a row.
    let open = USAGE.to_owned() + "\"x";
    let closed = USAGE.to_owned() + "\"x\"";
    for lines in [&[USAGE, &open, USAGE, USAGE][..], &[USAGE, &open, USAGE, &closed, USAGE]] {
        let message = format!(", row 3, column {description}: {swallowed}");
        refused(&published, "a.csv", cur_2(lines).as_bytes(), &message);
    }
    let in_the_middle = USAGE.replace("Payer", "\"Payer");
    let message = format!(", row 2, column bill_payer_account_name: {swallowed}");
    refused(&published, "a.csv", cur_2(&[&in_the_middle, USAGE, USAGE]).as_bytes(), &message);

    // 40 MB of good rows after it, and in the header.
    let message = "goes on for more than 16 MiB: a quote is left open; close it, or copy the file again";
    let many = format!("{USAGE}\n").repeat(1_000);
    for (start, row) in [(format!("{HEADER}\n{USAGE}\n{open}\n"), 3), (HEADER.replacen("bill", "\"bill", 1) + "\n", 1)]
    {
        let file = packed(|writer| {
            writer.write_all(start.as_bytes())?;
            (0..500).try_for_each(|_| writer.write_all(many.as_bytes()))
        });
        refused(&published, "a.csv.gz", &file, &format!(", row {row}: {message}"));
    }
}

#[test]
fn a_text_that_no_export_holds_is_named_with_row_and_column() {
    let published = Published::new();
    let long = "x".repeat((1 << 20) + 1);
    let text = cur_2(&[USAGE, &(USAGE.to_owned() + &long)]);
    let message = "column line_item_line_item_description: holds a text of 1048577 bytes; at most 1048576";
    refused(&published, "a.csv", text.as_bytes(), &format!(", row 3, {message}"));
    refused(&published, "a.parquet", &parquet(&text, &Types::of_aws()), &format!(", {message}"));
    let text = cur_2(&[&USAGE.replace(",60,", &format!(",{},", &long[..200_000]))]);
    let message = format!(", row 2, column line_item_unblended_cost: \"{}\"… is not an amount (1234.56)", &long[..100]);
    refused(&published, "a.csv", text.as_bytes(), &message);
}

#[test]
fn gzip_that_unpacks_to_what_no_export_is_stops_early() {
    let published = Published::new();
    let zeros = vec![0; 1 << 20];
    let file = packed(|writer| (0..200).try_for_each(|_| writer.write_all(&zeros)));
    let message = ", row 1: goes on for more than 16 MiB: a quote is left open; close it, or copy the file again";
    refused(&published, "a.csv.gz", &file, message);
}

#[test]
fn a_manifest_that_is_none_is_named() {
    let published = Published::new();
    let (good, folder) = (cur_2(&[USAGE]), "BILLING_PERIOD=2026-01");
    let manifest = format!("metadata/{folder}/x-Manifest.json");
    let data = format!("data/{folder}/x-00001.csv");
    let deep = "[".repeat(200_000);
    let large = " ".repeat((16 << 20) + 1);
    let long = format!(r#"{{"dataFiles": ["{}"]}}"#, "x".repeat(3_000));
    for (json, message) in [
        (deep, "is no JSON manifest (recursion limit exceeded at line 1 column 128); copy the file again"),
        (large, "is no manifest: it has 16777217 bytes, at most 16777216"),
        (long, "manifest with an entry that names no file"),
    ] {
        let files = [(data.as_str(), good.as_bytes()), (manifest.as_str(), json.as_bytes())];
        published.refuses_export(&files, 3, &format!("{manifest}: {message}"));
    }
}
