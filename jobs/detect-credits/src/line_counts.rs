//! Which billing periods a file holds, and how many lines of each: counted apart from the scan.

use std::collections::BTreeMap;
use std::sync::Arc;

use credit_ledger::BillingPeriod;
use cur_reader::listing::ExportFile;
use cur_reader::{BLANK, OpenFile, PeriodMemo, RawBatch, ReadError, decoding, impossible, no_date};
use futures::TryStreamExt;
use object_store::ObjectStore;
use schemas::reference::{Problem, Problems};

use crate::columns::{Layout, layout};
use crate::error::DetectError;
use crate::lines::LineReader;

/// Lines per billing period.
pub(crate) type PeriodLineCounts = BTreeMap<BillingPeriod, u64>;

/// A file that is ready to be scanned.
#[derive(Clone)]
pub(crate) struct CountedFile {
    pub(crate) open: OpenFile,
    pub(crate) layout: Arc<Layout>,
    /// Its lines.
    pub(crate) line_counts: PeriodLineCounts,
}

impl CountedFile {
    /// The file.
    #[must_use]
    pub(crate) const fn file(&self) -> &ExportFile {
        &self.open.file
    }

    /// Parts that can be read apart.
    #[must_use]
    pub(crate) fn parts(&self) -> usize {
        self.open.parts().len()
    }

    /// Name of its format.
    #[must_use]
    pub(crate) fn format(&self) -> &'static str {
        self.layout.format.name()
    }

    /// Opens a file whose lines were counted before.
    ///
    /// # Errors
    /// [`ReadError::BadExport`] where it cannot be read or lacks a required column.
    pub(crate) async fn open(
        store: &Arc<dyn ObjectStore>,
        file: &ExportFile,
        line_counts: PeriodLineCounts,
        reader: &LineReader,
    ) -> Result<Self, ReadError> {
        let open = OpenFile::open(store, file).await?;
        let layout = layout(&file.path, &open.names, reader)?;
        let open = open.of_columns(&layout.projection)?;
        Ok(Self { open, layout: Arc::new(layout), line_counts })
    }
}

/// Opens a file and counts its lines by billing period: only that column is read, or, where a footer says that a row
/// group holds one period, nothing.
///
/// # Errors
/// [`DetectError::Read`] where the file cannot be read, lacks a required column or holds a period that is none or cannot be.
pub(crate) async fn count(
    store: &Arc<dyn ObjectStore>,
    file: &ExportFile,
    reader: &LineReader,
) -> Result<CountedFile, DetectError> {
    let mut counted = CountedFile::open(store, file, PeriodLineCounts::new(), reader).await?;
    let name = counted.layout.projection.get(counted.layout.period).cloned().unwrap_or_default();
    for part in counted.open.parts() {
        let possible = |(period, _): &(BillingPeriod, u64)| reader.settings.periods.check(*period).is_ok();
        if let Some((period, lines)) = counted.open.one_period(part, &name)?.filter(possible) {
            *counted.line_counts.entry(period).or_default() += lines;
            continue;
        }
        let mut known = PeriodMemo::default();
        let mut batches = counted.open.read(store, part, std::slice::from_ref(&name));
        while let Some(batch) = batches.try_next().await? {
            let line_counts = &mut counted.line_counts;
            decoding(&file.path, || count_batch((&file.path, &name), reader, &batch, &mut known, line_counts))?;
        }
    }
    let lines: u64 = counted.line_counts.values().sum();
    if let Some(footer) = counted.open.rows().filter(|footer| *footer != lines) {
        return Err(
            cur_reader::bad_file(&file.path, format!("holds {lines} rows where its footer says {footer}")).into()
        );
    }
    Ok(counted)
}

/// Counts the lines of a batch of the column that says their period.
fn count_batch(
    (file, name): (&str, &str),
    reader: &LineReader,
    batch: &RawBatch,
    known: &mut PeriodMemo,
    line_counts: &mut PeriodLineCounts,
) -> Result<(), DetectError> {
    let problem = |row: Option<u64>, message: String| {
        Problems(vec![Problem { file: file.to_owned(), row, column: Some(name.to_owned()), message }])
    };
    let Some(column) = batch.columns.first() else { return Ok(()) };
    let days = column.day().map_err(|message| problem(None, message))?;
    days.rebind(&mut known.entries);
    for index in 0..batch.rows {
        let row = Some(batch.first_row + index as u64);
        let period = days.period(index, known).map_err(|text| problem(row, no_date(&text)))?;
        let period = period.ok_or_else(|| problem(row, BLANK.to_owned()))?;
        let period = reader.settings.periods.check(period).map_err(|wrong| problem(row, impossible(&wrong)))?;
        *line_counts.entry(period).or_default() += 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, RecordBatch, StringArray, TimestampMillisecondArray};
    use datafusion::parquet::arrow::ArrowWriter;
    use datafusion::parquet::file::properties::{EnabledStatistics, WriterProperties};
    use object_store::ObjectStoreExt;
    use object_store::memory::InMemory;
    use object_store::path::Path;

    use super::*;
    use crate::cost_scan::tests::settings;

    const OTHERS: [&str; 7] = [
        "bill_payer_account_id",
        "line_item_usage_account_id",
        "line_item_usage_start_date",
        "line_item_line_item_type",
        "line_item_line_item_description",
        "line_item_unblended_cost",
        "line_item_currency_code",
    ];

    /// `period lines, …`
    async fn counted(name: &str, bytes: Vec<u8>) -> Result<String, String> {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let file = ExportFile::new(name.to_owned(), bytes.len() as u64, String::new());
        store.put(&Path::from(name), bytes.into()).await.unwrap();
        let reader = LineReader::new(settings()).unwrap();
        let counted = count(&store, &file, &reader).await.map_err(|error| error.to_string())?;
        let counts = counted.line_counts.iter().map(|(period, lines)| format!("{period} {lines}"));
        Ok(counts.collect::<Vec<_>>().join(", "))
    }

    fn csv(periods: &[&str]) -> Vec<u8> {
        let lines: String = periods.iter().map(|period| format!("{period},1,1,1,1,1,1,1\n")).collect();
        format!("bill_billing_period_start_date,{}\n{lines}", OTHERS.join(",")).into_bytes()
    }

    /// First days of periods as instants, three lines to a row group.
    fn parquet(periods: &[Option<&str>], statistics: EnabledStatistics) -> Vec<u8> {
        let instant = |period: &str| {
            let day = format!("{period}-01").parse::<chrono::NaiveDate>().unwrap();
            day.and_hms_opt(0, 0, 0).unwrap().and_utc().timestamp_millis()
        };
        let starts: ArrayRef =
            Arc::new(periods.iter().map(|period| period.map(instant)).collect::<TimestampMillisecondArray>());
        let others: ArrayRef = Arc::new(StringArray::from(vec!["1"; periods.len()]));
        let columns = [("bill_billing_period_start_date", starts)].into_iter();
        let columns = columns.chain(OTHERS.map(|name| (name, Arc::clone(&others))));
        let columns = columns.map(|(name, column)| (name, column, true));
        let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
        let properties =
            WriterProperties::builder().set_max_row_group_row_count(Some(3)).set_statistics_enabled(statistics).build();
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.into_inner().unwrap()
    }

    /// The file with nothing in its pages.
    fn without_pages(mut file: Vec<u8>) -> Vec<u8> {
        let (_, length) = file[..file.len() - 4].split_last_chunk().unwrap();
        let footer = file.len() - 8 - u32::from_le_bytes(*length) as usize;
        file[4..footer].fill(0);
        file
    }

    #[tokio::test]
    async fn lines_of_text_are_counted_by_period_however_it_is_spelled() {
        let periods =
            ["2026-05", "2026-05-01", "2026-04-01T00:00:00.000Z", "2026-05-01 00:00:00", "2026-06-01T01:00:00+02:00"];
        assert_eq!(counted("may.csv", csv(&periods)).await.unwrap(), "2026-04 1, 2026-05 4");
        assert_eq!(counted("may.csv", csv(&[])).await.unwrap(), "");
    }

    #[tokio::test]
    async fn period_that_is_none_or_cannot_be_is_named_with_its_row() {
        let column = "column bill_billing_period_start_date";
        let blank = "is blank; every line needs a value here";
        let hint = "correct the date or deliver the file again";
        for (period, message) in [
            ("", blank.to_owned()),
            ("May", "\"May\" is not a date (2026-01-31, with or without a time)".to_owned()),
            ("0026-05-01", format!("billing period 0026-05 is before 2006-01: AWS billed nothing then; {hint}")),
            ("2062-05-01", format!("billing period 2062-05 is more than 13 months ahead; {hint}")),
        ] {
            let refused = counted("may.csv", csv(&["2026-05", period])).await.unwrap_err();
            assert_eq!(refused, format!("may.csv, row 3, {column}: {message}"));
        }
        // A footer says which period it is, but not in which row it begins.
        let periods = [Some("2062-05"); 3];
        for statistics in [EnabledStatistics::Chunk, EnabledStatistics::None] {
            let refused = counted("x.parquet", parquet(&periods, statistics)).await.unwrap_err();
            assert_eq!(
                refused,
                format!("x.parquet, row 1, {column}: billing period 2062-05 is more than 13 months ahead; {hint}")
            );
        }
        let null = counted("x.parquet", parquet(&[Some("2026-05"), None], EnabledStatistics::Chunk)).await;
        assert_eq!(null.unwrap_err(), format!("x.parquet, row 2, {column}: {blank}"));
    }

    #[tokio::test]
    async fn row_groups_of_one_period_are_counted_by_their_footer_and_others_line_by_line() {
        let may = [Some("2026-05"); 5];
        let mixed = [&may[..], &[Some("2026-06")]].concat();
        for statistics in [EnabledStatistics::Chunk, EnabledStatistics::None] {
            assert_eq!(counted("x.parquet", parquet(&may, statistics)).await.unwrap(), "2026-05 5");
            assert_eq!(counted("x.parquet", parquet(&mixed, statistics)).await.unwrap(), "2026-05 5, 2026-06 1");
        }
        let untouched = without_pages(parquet(&may, EnabledStatistics::Chunk));
        assert_eq!(counted("x.parquet", untouched).await.unwrap(), "2026-05 5", "no page is read");
        for unread in [parquet(&mixed, EnabledStatistics::Chunk), parquet(&may, EnabledStatistics::None)] {
            let refused = counted("x.parquet", without_pages(unread)).await.unwrap_err();
            assert!(refused.starts_with("x.parquet: is not a complete Parquet file ("), "{refused}");
        }
    }
}
