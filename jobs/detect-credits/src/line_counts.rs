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
