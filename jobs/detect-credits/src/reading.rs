//! Reads billing periods of the export into new generations of the lake.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytesize::ByteSize;
use credit_ledger::{BillingPeriod, Money};
use cur_reader::listing::ExportFile;
use datafusion::prelude::SessionContext;
use lake::{CurrencyTotal, Generation, JobContext, Lake, SourceFile, map_concurrently, spawn_abort_on_drop, stream_of};
use schemas::TableRow;
use schemas::tables::{CostLine, CreditLine};

use crate::error::DetectError;
use crate::export::Export;
use crate::line_counts::CountedFile;
use crate::lines::Tally;
use crate::scan::{Progress, ScanUnit, Scanned, scan};
use crate::scan_units::{Unit, units};

/// Units read at once: while the sums of one are written, the lines of the next are read. One where memory is short.
const UNITS_AT_ONCE: usize = 2;
const SHORT_MEMORY: ByteSize = ByteSize::gib(4);

/// What all units share.
struct Reading {
    export: Arc<Export>,
    lake: Arc<Lake>,
    session: SessionContext,
    /// The billing periods, with their fingerprints.
    changed: BTreeMap<BillingPeriod, String>,
    progress: Arc<Progress>,
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
    let reading = Arc::new(Reading {
        export: Arc::clone(export),
        lake: Arc::clone(context.run.lake()),
        session: context.session.clone(),
        changed,
        progress: Arc::clone(progress),
    });
    let written = map_concurrently(if is_short { 1 } else { UNITS_AT_ONCE }, units, |unit| {
        let reading = Arc::clone(&reading);
        async move { reading.unit(unit).await }
    });
    let written = match written.await {
        Ok(written) => written,
        Err(failure) => return Err(export.listed.changed_or(failure).await),
    };
    export.listed.check_unchanged().await?;
    context.run.lake().switch_generations(&written.into_iter().flatten().collect()).await?;
    Ok(())
}

impl Reading {
    /// Reads the billing periods of one unit and writes what was found.
    async fn unit(&self, (periods, files): Unit) -> Result<Vec<(BillingPeriod, Generation)>, DetectError> {
        let name = periods.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        tracing::info!(periods = %name, files = files.len(), "reading");
        self.progress.reads(name);
        let Export { listed, reader, .. } = &*self.export;
        let unit = ScanUnit { periods: periods.clone(), files: self.export.counted(&files).await? };
        let scanned = scan(&self.session, listed.store(), reader, &unit, listed.readers(), &self.progress).await?;
        let mut written = Vec::new();
        for period in periods {
            written.push((period, self.write(&scanned, &unit, period).await?));
        }
        Ok(written)
    }

    /// Writes one billing period of what was found.
    async fn write(
        &self,
        scanned: &Scanned,
        unit: &ScanUnit,
        period: BillingPeriod,
    ) -> Result<Generation, DetectError> {
        let fingerprint = self.changed.get(&period).cloned().unwrap_or_default();
        let folder = self.lake.new_generation_folder(&fingerprint);
        let (cost_lines, credit_lines) = scanned.of_period(period);
        // Credit lines are complete once the last cost line has been read off, and written while that is encoded.
        let credits = {
            let (lake, folder) = (Arc::clone(&self.lake), folder.clone());
            spawn_abort_on_drop(async move {
                let rows = stream_of(&credit_lines.read().await?)?;
                Ok::<_, DetectError>(lake.write_generation(period, &folder, &CreditLine::TABLE, rows).await?)
            })
        };
        let cost_lines = self.lake.write_generation(period, &folder, &CostLine::TABLE, cost_lines).await?;
        let tables = [(CostLine::TABLE, cost_lines), (CreditLine::TABLE, credits.await?)];
        let formats: BTreeSet<&str> = unit.files.iter().map(CountedFile::format).collect();
        let totals = scanned.tally.totals.iter().filter(|((of, _), _)| *of == period);
        Ok(Generation {
            fingerprint,
            folder,
            tables: tables.map(|(table, sum)| (table.name.to_owned(), sum)).into(),
            format: formats.into_iter().collect::<Vec<_>>().join(", "),
            files: unit.files.iter().filter(|file| file.line_counts.contains_key(&period)).map(source_file).collect(),
            totals: totals
                .map(|(key, (lines, export_total))| currency_total(&scanned.tally, key, *lines, *export_total))
                .collect(),
            blank_costs: scanned.tally.blank_costs.get(&period).copied().unwrap_or(0),
            unknown_line_types: scanned.tally.unknown_line_types.get(&period).cloned().unwrap_or_default(),
            notes: scanned.tally.notes.get(&period).cloned().unwrap_or_default(),
        })
    }
}

fn currency_total(tally: &Tally, key: &(BillingPeriod, String), lines: u64, export_total: Money) -> CurrencyTotal {
    let invoices = tally.invoices.get(key);
    let invoiced: u64 = invoices.into_iter().flat_map(BTreeMap::values).sum();
    CurrencyTotal {
        currency: key.1.clone(),
        export_total,
        lines,
        invoice_ids: invoices.into_iter().flat_map(BTreeMap::keys).cloned().collect(),
        lines_without_invoice: lines - invoiced,
    }
}

fn source_file(file: &CountedFile) -> SourceFile {
    let ExportFile { path, size, version, .. } = file.file().clone();
    SourceFile { path, size, version, lines: file.line_counts.clone() }
}
