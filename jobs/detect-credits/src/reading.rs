//! Reads billing periods of the export into new generations of the lake.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytesize::ByteSize;
use credit_ledger::{BillingPeriod, Money};
use cur_reader::ReadError;
use cur_reader::listing::ExportFile;
use datafusion::prelude::SessionContext;
use lake::{CurrencyTotal, Generation, JobContext, Lake, SourceFile, map_concurrently, spawn_abort_on_drop, stream_of};
use schemas::reference::Problems;
use schemas::tables::{CostLine, CreditLine};
use schemas::{PeriodNotes, TableRow};

use crate::cost_scan::ScanInput;
use crate::engine::{EngineLost, ScanEngine};
use crate::error::DetectError;
use crate::export::Export;
use crate::line_counts::CountedFile;
use crate::progress::Progress;
use crate::scan::{Scanned, ScannedPeriod, scan};
use crate::scan_units::{Unit, units};
use crate::tally::Tally;

/// Units read at once: while the sums of one are written, the lines of the next are read. One where memory is short.
const UNITS_AT_ONCE: usize = 2;
/// Of a cluster, which has more to do between them.
const UNITS_ELSEWHERE: usize = 4;
const SHORT_MEMORY: ByteSize = ByteSize::gib(4);

/// What all units share.
struct Reading {
    export: Arc<Export>,
    lake: Arc<Lake>,
    session: SessionContext,
    /// The billing periods, with their fingerprints.
    changed: BTreeMap<BillingPeriod, String>,
    progress: Arc<Progress>,
    /// Partitions of a unit's scan.
    partitions: usize,
}

/// Reads billing periods; all of them become current, after all could be read and the export is still as it was listed.
pub(crate) async fn read(
    context: &JobContext,
    export: &Arc<Export>,
    changed: BTreeMap<BillingPeriod, String>,
    progress: &Arc<Progress>,
) -> Result<(), DetectError> {
    let units = units(&changed, &export.files);
    progress.begin(units.iter().flat_map(|(_, files)| files).map(|(file, _)| file.size).sum());
    let is_short = context.settings.memory_limit().is_some_and(|limit| limit < SHORT_MEMORY);
    let most = if export.listed.engine().is_some() { UNITS_ELSEWHERE } else { UNITS_AT_ONCE };
    let at_once = if is_short { 1 } else { most.min(units.len()).max(1) };
    let reading = Arc::new(Reading {
        export: Arc::clone(export),
        lake: Arc::clone(context.run.lake()),
        session: context.session.clone(),
        changed,
        progress: Arc::clone(progress),
        // Units that are read at once share the threads.
        partitions: export.listed.readers().div_ceil(at_once),
    });
    let written = map_concurrently(at_once, units, |unit| {
        let reading = Arc::clone(&reading);
        async move {
            match reading.unit(unit).await {
                Err(DetectError::Read(ReadError::BadExport(problems))) => Ok(Err(problems)),
                read => read.map(Ok),
            }
        }
    });
    let written = match written.await.and_then(all_good) {
        Ok(written) => written,
        Err(failure) => return Err(export.listed.changed_or(failure).await),
    };
    export.listed.check_unchanged().await?;
    context.run.lake().switch_generations(&written).await?;
    Ok(())
}

/// What was read of a unit, or what is wrong with its files.
type UnitRead = Result<Vec<(BillingPeriod, Generation)>, Problems>;

/// What was read of all units, or what is wrong with the files of any.
fn all_good(units: Vec<UnitRead>) -> Result<BTreeMap<BillingPeriod, Generation>, DetectError> {
    let (mut written, mut problems) = (BTreeMap::new(), Problems::default());
    for unit in units {
        match unit {
            Ok(read) => written.extend(read),
            Err(found) => problems.0.extend(found.0),
        }
    }
    problems.0.sort_by(|left, right| (&left.file, left.row).cmp(&(&right.file, right.row)));
    Ok(problems.or(written)?)
}

impl Reading {
    /// Reads the billing periods of one unit and writes what was found; here, where another engine is lost and that is
    /// wanted.
    async fn unit(&self, unit: Unit) -> Result<Vec<(BillingPeriod, Generation)>, DetectError> {
        let Some(engine) = self.export.listed.engine() else { return self.unit_on(None, unit).await };
        match self.unit_on(Some(&**engine), unit.clone()).await {
            Err(failure) if engine.falls_back() && EngineLost::is_cause_of(&failure) => {
                tracing::warn!("{failure}; the export is read here instead");
                self.unit_on(None, unit).await
            }
            read => read,
        }
    }

    async fn unit_on(
        &self,
        engine: Option<&dyn ScanEngine>,
        (periods, files): Unit,
    ) -> Result<Vec<(BillingPeriod, Generation)>, DetectError> {
        let name = periods.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        tracing::info!(periods = %name, files = files.len(), "reading");
        self.progress.reads(name);
        let Export { listed, reader, .. } = &*self.export;
        let files = self.export.counted(&files).await?;
        let bytes: u64 = files.iter().map(|file| file.file().size).sum();
        let elsewhere = engine.map(|engine| (engine, engine.cut(bytes)));
        let partitions = elsewhere.map_or(self.partitions, |(_, cut)| cut.scan);
        let input = (Arc::clone(listed.store()), Arc::clone(reader));
        let input = ScanInput::new(input, periods.clone(), &files, partitions);
        let scanned = scan(&self.session, input, &self.progress, elsewhere).await?;
        let mut written = Vec::new();
        for period in periods {
            written.push((period, self.write(&scanned, &files, period).await?));
        }
        if tracing::enabled!(tracing::Level::DEBUG) {
            scanned.explain_analyze().lines().for_each(|step| tracing::debug!("{step}"));
        }
        Ok(written)
    }

    /// Writes one billing period of what was found.
    async fn write(
        &self,
        scanned: &Scanned,
        files: &[CountedFile],
        period: BillingPeriod,
    ) -> Result<Generation, DetectError> {
        let fingerprint = self.changed.get(&period).cloned().unwrap_or_default();
        let folder = self.lake.new_generation_folder(&fingerprint);
        let ScannedPeriod { tally, credit_lines, cost_lines } = scanned.period(period, files).await?;
        // Each on a thread of its own.
        let write = |table, rows| {
            let (lake, folder) = (Arc::clone(&self.lake), folder.clone());
            spawn_abort_on_drop(async move { lake.write_generation(period, &folder, table, rows).await })
        };
        let credit_lines = write(&CreditLine::TABLE, stream_of(&credit_lines)?);
        let cost_lines = write(&CostLine::TABLE, cost_lines);
        let (cost_lines, credit_lines) = futures::try_join!(cost_lines, credit_lines)?;
        let tables = [(CostLine::TABLE, cost_lines), (CreditLine::TABLE, credit_lines)];
        let formats: BTreeSet<&str> = files.iter().map(CountedFile::format).collect();
        Ok(Generation {
            fingerprint,
            folder,
            tables: tables.map(|(table, sum)| (table.name.to_owned(), sum)).into(),
            format: formats.into_iter().collect::<Vec<_>>().join(", "),
            files: files.iter().filter(|file| file.line_counts.contains_key(&period)).map(source_file).collect(),
            totals: tally.totals.iter().map(|(currency, total)| currency_total(&tally, currency, *total)).collect(),
            blank_costs: tally.blank_costs,
            unknown_line_types: tally.unknown_line_types,
            notes: PeriodNotes {
                payers: tally.deliveries.into_keys().collect(),
                exclusions_unmatched: &self.export.reader.settings.credits.set_exclusions() - &tally.excluded,
                ..tally.notes
            },
        })
    }
}

fn currency_total(tally: &Tally, currency: &str, (lines, export_total): (u64, Money)) -> CurrencyTotal {
    let invoices = tally.invoices.get(currency);
    let invoiced: u64 = invoices.into_iter().flat_map(BTreeMap::values).sum();
    CurrencyTotal {
        currency: currency.to_owned(),
        export_total,
        lines,
        invoice_ids: invoices.into_iter().flat_map(BTreeMap::keys).cloned().collect(),
        lines_without_invoice: lines - invoiced,
    }
}

fn source_file(file: &CountedFile) -> SourceFile {
    let ExportFile { path, size, version, export } = file.file().clone();
    SourceFile { path, size, version, lines: file.line_counts.clone(), export }
}

#[cfg(test)]
mod tests {
    use schemas::reference::Problem;

    use super::*;

    #[test]
    fn lines_of_a_currency_are_on_its_invoices_or_on_none() {
        let mut tally = Tally::default();
        tally.totals.insert("USD".to_owned(), (10, "12.5".parse().unwrap()));
        tally.totals.insert("EUR".to_owned(), (3, "-1".parse().unwrap()));
        tally.invoices.insert("USD".to_owned(), [("INV-2".to_owned(), 3), ("INV-1".to_owned(), 4)].into());
        let of = |currency: &str| currency_total(&tally, currency, tally.totals[currency]);
        let dollars = of("USD");
        assert_eq!(
            (dollars.lines, dollars.lines_without_invoice, dollars.export_total),
            (10, 3, "12.5".parse().unwrap())
        );
        assert_eq!(dollars.invoice_ids.iter().map(String::as_str).collect::<Vec<_>>(), ["INV-1", "INV-2"]);
        let euros = of("EUR");
        assert_eq!((euros.lines, euros.lines_without_invoice, euros.invoice_ids.len()), (3, 3, 0));
    }

    #[test]
    fn what_is_wrong_with_the_files_of_all_units_is_told_together_in_order() {
        let problem = |file: &str, row| Problem {
            file: file.to_owned(),
            row: Some(row),
            column: None,
            message: "is bad".to_owned(),
        };
        let bad = |problems: Vec<Problem>| -> UnitRead { Err(Problems(problems)) };
        let units =
            vec![bad(vec![problem("c.csv", 2)]), Ok(Vec::new()), bad(vec![problem("a.csv", 10), problem("a.csv", 9)])];
        assert_eq!(
            all_good(units).unwrap_err().to_string(),
            "a.csv, row 9: is bad\na.csv, row 10: is bad\nc.csv, row 2: is bad"
        );
        assert_eq!(all_good(vec![Ok(Vec::new())]).unwrap().len(), 0);
    }
}
