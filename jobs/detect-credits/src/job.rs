//! The job: reads what changed in the export, and registers the credits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use credit_ledger::{BillingPeriod, Text};
use futures::{StreamExt, TryStreamExt};
use lake::{Generation, JobContext, Lake, ReferenceFiles, spawn_abort_on_drop};
use schemas::PeriodNotes;
use schemas::records::{Detected, DetectedPeriod, InboxFiles, PeriodSource};
use schemas::tables::{AllocationLogRow, CreditLine, CreditLogRow, ExportTotal};
use serde::Serialize;

use crate::error::DetectError;
use crate::export::Export;
use crate::history::CreditHistory;
use crate::listed::ExportSource;
use crate::progress::Progress;
use crate::reading::read;
use crate::register::{Register, journal, register};
use crate::scan_units::units;

/// Reads what changed in the export and registers the credits.
///
/// # Errors
/// [`DetectError::Read`] for bad files, and where there is no export yet or it changes while it is read; [`DetectError`] from
/// the lake.
pub async fn detect_credits(
    context: &JobContext,
    source: ExportSource,
    reference: &ReferenceFiles,
    progress: &Arc<Progress>,
) -> Result<Detected, DetectError> {
    let export = Arc::new(Export::open(context, source, reference).await?);
    let changed = export.changed(context)?;
    read(context, &export, changed.clone(), progress).await?;
    let lake = context.run.lake();
    let mut restored = export.found.restored.clone();
    restored.retain(|period, _| !changed.contains_key(period));
    lake.restore_pointers(&restored).await?;
    let generations = lake.generations().await?;
    write_register(context, &generations).await?;
    let mut in_run = generations;
    in_run.retain(|period, _| *period <= context.last_period());
    context.run.write(None, &export_totals(&in_run)).await?;
    Ok(detected(context, &export, &in_run, &changed))
}

/// What must be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Planned {
    /// Billing periods.
    pub periods: Vec<BillingPeriod>,
    /// Bytes of the files that hold them.
    pub bytes: u64,
}

/// Says what must be read, so that several processes can share it.
///
/// # Errors
/// As [`detect_credits`].
pub async fn plan_reading(
    context: &JobContext,
    source: ExportSource,
    reference: &ReferenceFiles,
) -> Result<Planned, DetectError> {
    let export = Export::open(context, source, reference).await?;
    let changed = export.changed(context)?;
    let files = units(&changed, &export.files).into_iter().flat_map(|(_, files)| files);
    let bytes = files.map(|(file, _)| file.size).sum();
    Ok(Planned { periods: changed.into_keys().collect(), bytes })
}

/// Reads one billing period, if it changed. Needs no lock: a generation is written once, and its pointer switched in one
/// step.
///
/// # Errors
/// As [`detect_credits`].
pub async fn read_period(
    context: &JobContext,
    source: ExportSource,
    reference: &ReferenceFiles,
    period: BillingPeriod,
    progress: &Arc<Progress>,
) -> Result<(), DetectError> {
    let export = Arc::new(Export::open(context, source, reference).await?);
    let mut changed = export.changed(context)?;
    changed.retain(|of, _| *of == period);
    read(context, &export, changed, progress).await
}

/// Registers the credits: writes the register and the AWS book, and records what is new in `credits_log`.
async fn write_register(
    context: &JobContext,
    generations: &BTreeMap<BillingPeriod, Generation>,
) -> Result<(), DetectError> {
    let (run, lake) = (&context.run, Arc::clone(context.run.lake()));
    let logs = spawn_abort_on_drop(async move { futures::try_join!(lake.logs().read(), lake.logs().read()) });
    let history = credit_history(run.lake(), context.last_period(), generations, context.settings.threads()).await?;
    let (log, allocations): (Vec<CreditLogRow>, Vec<AllocationLogRow>) = logs.await?;
    let register = register(history, &log, &allocations)?;
    run.lake().logs().append(&journal(&register, &log, run.id(), context.now)).await?;
    let Register { credits, applied } = register;
    futures::try_join!(run.spawn_write(None, credits), run.spawn_write(None, applied))?;
    Ok(())
}

/// What the credit lines of all generations say; lines after `last` count as seen only.
///
/// # Errors
/// [`DetectError`] from the lake.
pub async fn credit_history(
    lake: &Arc<Lake>,
    last: BillingPeriod,
    generations: &BTreeMap<BillingPeriod, Generation>,
    threads: usize,
) -> Result<CreditHistory, DetectError> {
    // Lines are decoded on other threads and added on this one.
    let all = generations.iter().map(|(period, generation)| (*period, generation.fingerprint.clone()));
    let read = all.collect::<Vec<_>>().into_iter().map(|(period, fingerprint)| {
        let lake = Arc::clone(lake);
        spawn_abort_on_drop(async move {
            let lines = lake.coded_generation_stream::<CreditLine>(period, &fingerprint).await?;
            let lines: Vec<RecordBatch> = lines.try_collect().await?;
            Ok::<_, DetectError>((period, schemas::from_batches(&lines)?))
        })
    });
    let mut read = futures::stream::iter(read).buffered(threads);
    let mut history = CreditHistory::until(last);
    while let Some((period, lines)) = read.try_next().await? {
        history.add(period, lines)?;
    }
    Ok(history)
}

fn detected(
    context: &JobContext,
    export: &Export,
    generations: &BTreeMap<BillingPeriod, Generation>,
    changed: &BTreeMap<BillingPeriod, String>,
) -> Detected {
    let (present, awaited) = (export.periods(), export.awaited_exports(context.last_period()));
    let notes = |period: BillingPeriod, notes: &PeriodNotes| {
        let awaited = awaited.as_ref().filter(|(newest, _)| *newest == period).map(|(_, exports)| exports.clone());
        PeriodNotes {
            exports_gone: export.gone_exports(period),
            exports_awaited: awaited.unwrap_or_default(),
            ..notes.clone()
        }
    };
    let periods = generations.iter().map(|(period, generation)| DetectedPeriod {
        period: *period,
        fingerprint: generation.fingerprint.clone(),
        lines: generation.lines(),
        source: match (changed.contains_key(period), present.contains(period)) {
            (true, _) => PeriodSource::Read,
            (false, true) => PeriodSource::Unchanged,
            (false, false) => PeriodSource::Gone,
        },
        blank_costs: generation.blank_costs,
        unknown_line_types: generation.unknown_line_types.clone(),
        notes: notes(*period, &generation.notes),
    });
    let formats: BTreeSet<&str> = generations.values().map(|generation| generation.format.as_str()).collect();
    Detected {
        as_of: context.as_of,
        format: formats.into_iter().collect::<Vec<_>>().join(", "),
        periods: periods.collect(),
        later_periods: present.iter().copied().filter(|period| *period > context.last_period()).collect(),
        left_out: export.listed.left_out.clone(),
        fetched: None,
        inbox: InboxFiles::default(),
    }
}

fn export_totals(generations: &BTreeMap<BillingPeriod, Generation>) -> Vec<ExportTotal> {
    let rows = generations.iter().flat_map(|(period, generation)| {
        generation.totals.iter().map(|total| ExportTotal {
            billing_period: *period,
            currency: total.currency.as_str().into(),
            export_total: total.export_total,
            rows_read: i64::try_from(total.lines).unwrap_or(i64::MAX),
            invoice_ids: invoice_ids(&total.invoice_ids),
            lines_without_invoice: i64::try_from(total.lines_without_invoice).unwrap_or(i64::MAX),
        })
    });
    rows.collect()
}

fn invoice_ids(ids: &BTreeSet<String>) -> Option<Text> {
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    (!ids.is_empty()).then(|| ids.join(",").into())
}

#[cfg(test)]
mod tests {
    use lake::CurrencyTotal;

    use super::*;

    #[test]
    fn totals_of_the_export_are_by_period_and_currency_with_the_invoices_that_lines_name() {
        let total = |currency: &str, lines, amount: &str, invoices: &[&str], without| CurrencyTotal {
            currency: currency.to_owned(),
            export_total: amount.parse().unwrap(),
            lines,
            invoice_ids: invoices.iter().map(|id| (*id).to_owned()).collect(),
            lines_without_invoice: without,
        };
        let generation = |totals| Generation {
            fingerprint: String::new(),
            folder: String::new(),
            format: "CUR 2.0".to_owned(),
            files: Vec::new(),
            totals,
            blank_costs: 0,
            unknown_line_types: BTreeMap::new(),
            notes: schemas::PeriodNotes::default(),
            tables: BTreeMap::new(),
        };
        let generations = BTreeMap::from([
            ("2026-06".parse().unwrap(), generation(vec![total("USD", 2, "5", &[], 2)])),
            (
                "2026-05".parse().unwrap(),
                generation(vec![total("EUR", 1, "-1", &["E-9"], 0), total("USD", 7, "8.5", &["INV-2", "INV-1"], 3)]),
            ),
        ]);
        let shown = |row: &ExportTotal| {
            let ExportTotal { billing_period, currency, export_total, rows_read, lines_without_invoice, .. } = row;
            let invoices = row.invoice_ids.as_deref().unwrap_or("none");
            format!("{billing_period} {currency} {export_total} {rows_read} {invoices} {lines_without_invoice}")
        };
        assert_eq!(
            export_totals(&generations).iter().map(shown).collect::<Vec<_>>(),
            [
                "2026-05 EUR -1.0000000000 1 E-9 0",
                "2026-05 USD 8.5000000000 7 INV-1,INV-2 3",
                "2026-06 USD 5.0000000000 2 none 2",
            ]
        );
    }
}
