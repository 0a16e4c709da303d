//! The job: writes all published tables of the run and checks them.

use std::sync::Arc;

use credit_ledger::BillingPeriod;
use lake::{JobContext, ReferenceFiles, Run, StagedPeriod, StagedRun, map_concurrently, spawn_abort_on_drop};
use schemas::records::{Detected, DetectedPeriod, Joined};
use schemas::tables::{Credit, CreditBalance, CreditQueue};

use crate::error::NetCostError;
use crate::month::{CreditTables, Month};
use crate::standing::{self, AsOf, Positions};

/// What a run says of credits.
#[derive(Debug)]
pub struct WrittenCredits {
    /// `credits`
    pub credits: Vec<Credit>,
    /// `credit_queue`
    pub queue: Vec<CreditQueue>,
}

/// Writes all published tables, reusing those of unchanged months, and checks them: then the run is staged. Returns the tables of
/// credits.
///
/// # Errors
/// [`NetCostError::Breaches`] where the run does not tie out; [`NetCostError`] from the lake.
pub async fn write_net_cost(
    context: &JobContext,
    detected: &Detected,
    joined: Joined,
    reference: &Arc<ReferenceFiles>,
) -> Result<WrittenCredits, NetCostError> {
    let run = &context.run;
    let months: Vec<BillingPeriod> = joined.first_period.through(context.last_period()).collect();
    let tables = Arc::new(CreditTables::read(run).await?);
    let as_of = AsOf { date: context.as_of, expiring_soon_days: context.settings.credits.expiring_soon_days };
    let at_once = context.periods_at_once();
    let credits = spawn_abort_on_drop(write_credits(run.clone(), Arc::clone(&tables), months.clone(), at_once, as_of));
    let breaches = map_concurrently(at_once, months, |period| {
        let month = Month::new(run.clone(), &context.session, period, detected.has(period));
        let (tables, reference) = (Arc::clone(&tables), Arc::clone(reference));
        async move { month.write(&tables, &reference).await }
    });
    let breaches = breaches.await?.concat();
    let credits = credits.await?;
    if !breaches.is_empty() {
        return Err(NetCostError::Breaches(breaches));
    }
    let staged = StagedRun {
        follows: run.lake().published().await?,
        as_of: context.as_of,
        policy: context.settings.credits.policy.clone(),
        started_at: context.now,
        months: (joined.first_period, context.last_period()),
        periods: detected.periods.iter().map(staged_period).collect(),
    };
    run.finish_staging(staged).await?;
    Ok(credits)
}

/// Writes `credits` and `credit_queue`. Of the balances of all months so many are in memory `at_once`.
async fn write_credits(
    run: Run,
    tables: Arc<CreditTables>,
    months: Vec<BillingPeriod>,
    at_once: usize,
    as_of: AsOf,
) -> Result<WrittenCredits, NetCostError> {
    let mut positions = Positions::new();
    for some in months.chunks(at_once) {
        let read = map_concurrently(at_once, some.iter().copied(), |month| {
            let run = run.clone();
            async move { run.rows::<CreditBalance>(Some(month)).await }
        });
        for balances in read.await? {
            standing::add_month(&mut positions, &balances)?;
        }
    }
    let CreditTables { register, allocated, lots, .. } = &*tables;
    let queue = standing::queue(register, allocated, as_of.date);
    let credits = standing::credits(register, allocated, lots, &positions, as_of)?;
    futures::try_join!(run.write(None, &credits), run.write(None, &queue))?;
    Ok(WrittenCredits { credits, queue })
}

fn staged_period(detected: &DetectedPeriod) -> StagedPeriod {
    StagedPeriod {
        billing_period: detected.period,
        fingerprint: detected.fingerprint.clone(),
        lines: detected.lines,
        exclusions_not_applied: detected.notes.exclusions_not_applied.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use chrono::NaiveDateTime;
    use credit_ledger::Money;
    use lake::{Lake, ReferenceFiles, Settings, stream_of};
    use schemas::records::{InboxFiles, PeriodSource};
    use schemas::tables::{
        AllocatedCredit, AppliedByAws, Cell, CreditConsumption, ExportTotal, LotRow, NetCostSummary, Reconciliation,
        RegisteredCredit,
    };

    use super::*;

    fn money(text: &str) -> Money {
        text.parse().unwrap()
    }

    fn month() -> Option<BillingPeriod> {
        "2026-01".parse().ok()
    }

    fn cell() -> Cell {
        Cell {
            usage_date: "2026-01-05".parse().unwrap(),
            payer_account_id: "9".into(),
            account_id: "1".into(),
            service: None,
            currency: "USD".into(),
            business_unit: Some("Retail".into()),
            department: None,
            portfolio: None,
            product: None,
            charges: money("10"),
            tax: money("1"),
            refunds: money("-2"),
            aws_credits: money("-4"),
            eligible_charges: money("10"),
            unblended_charges: money("10"),
        }
    }

    fn draw(used: &str) -> CreditConsumption {
        CreditConsumption {
            credit_key: "id:1".into(),
            lot: 1,
            credit_business_unit: Some("Retail".into()),
            credit_department: None,
            credit_portfolio: None,
            credit_product: None,
            usage_date: "2026-01-05".parse().unwrap(),
            payer_account_id: "9".into(),
            account_id: "1".into(),
            service: None,
            currency: "USD".into(),
            business_unit: Some("Retail".into()),
            department: None,
            portfolio: None,
            product: None,
            used: money(used),
            fifo_rank: 1,
            policy: "fifo_issue_date/v1".into(),
        }
    }

    /// A run of one month whose export adds up to `export_total`, with one cell of which so much is drawn.
    async fn staged(folder: &std::path::Path, export_total: &str, used: &str) -> Result<Run, NetCostError> {
        let location = folder.display();
        let text =
            format!("source.location = \"cur\"\nreference.location = \"reference\"\nlake.location = \"{location}\"");
        let settings = Settings::parse(&text, "settings", ".").unwrap();
        let lake = Arc::new(Lake::open_local(&settings).await.unwrap());
        let runtime = datafusion::execution::runtime_env::RuntimeEnvBuilder::new().build_arc().unwrap();
        let session = money_sql::session(1, runtime);
        lake.register_with(&session).unwrap();
        let run = Run::new(lake, "night");
        run.write::<RegisteredCredit>(None, &[]).await.unwrap();
        run.write::<AllocatedCredit>(None, &[]).await.unwrap();
        run.write::<LotRow>(None, &[]).await.unwrap();
        run.write::<AppliedByAws>(None, &[]).await.unwrap();
        let total = ExportTotal {
            billing_period: month().unwrap(),
            currency: "USD".into(),
            export_total: money(export_total),
            rows_read: 4,
            invoice_ids: None,
            lines_without_invoice: 4,
        };
        run.write(None, &[total]).await.unwrap();
        run.write_reusable::<Cell>(month(), "cells", stream_of(&[cell()]).unwrap()).await.unwrap();
        run.write_reusable::<CreditConsumption>(month(), "draws", stream_of(&[draw(used)]).unwrap()).await.unwrap();
        run.write_reusable::<CreditBalance>(month(), "draws", stream_of::<CreditBalance>(&[]).unwrap()).await.unwrap();
        let as_of = "2026-01-31".parse().unwrap();
        let context = JobContext { run: run.clone(), session, settings, as_of, now: NaiveDateTime::default() };
        let period = DetectedPeriod {
            period: month().unwrap(),
            fingerprint: "f".to_owned(),
            lines: 4,
            source: PeriodSource::Read,
            blank_costs: 0,
            unknown_line_types: BTreeMap::new(),
            notes: schemas::PeriodNotes::default(),
        };
        let detected = Detected {
            as_of,
            format: String::new(),
            periods: vec![period],
            later_periods: Vec::new(),
            left_out: Vec::new(),
            fetched: None,
            inbox: InboxFiles::default(),
        };
        let reference = Arc::new(ReferenceFiles::default());
        write_net_cost(&context, &detected, Joined { first_period: month().unwrap() }, &reference).await?;
        Ok(run)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn both_books_tie_to_the_export_and_the_run_is_staged() {
        let folder = tempfile::tempdir().unwrap();
        let run = staged(folder.path(), "5", "3").await.unwrap();
        let summary: Vec<NetCostSummary> = run.rows(month()).await.unwrap();
        let shown: Vec<String> =
            summary.iter().map(|row| format!("{} {} {}", row.level, row.invoice_net, row.net_cost)).collect();
        assert_eq!(shown, ["0 5.0000000000 6.0000000000", "1 5.0000000000 6.0000000000"]);
        let reconciliation: Vec<Reconciliation> = run.rows(month()).await.unwrap();
        assert_eq!((reconciliation[0].difference, reconciliation[0].clearing), (Money::ZERO, money("-1")));
        assert_eq!(run.rows::<CreditQueue>(None).await.unwrap(), []);
        assert_eq!(run.staged().await.unwrap().periods[0].lines, 4);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn net_cost_keeps_the_order_of_cells_without_a_sort_however_many_draws_there_are() {
        let folder = tempfile::tempdir().unwrap();
        let run = staged(folder.path(), "5", "3").await.unwrap();
        let draws: Vec<_> = (0..50)
            .map(|credit| CreditConsumption { credit_key: format!("id:{credit}").into(), ..draw("0.1") })
            .collect();
        run.write_reusable::<CreditConsumption>(month(), "more", stream_of(&draws).unwrap()).await.unwrap();
        let runtime = datafusion::execution::runtime_env::RuntimeEnvBuilder::new().build_arc().unwrap();
        let session = money_sql::with_partitions(&money_sql::session(2, runtime), 1);
        run.lake().register_with(&session).unwrap();
        let cells = run.ordered_frame::<Cell>(&session, month()).await.unwrap();
        let draws = run.frame::<CreditConsumption>(&session, month()).await.unwrap();
        let plan = crate::plan::net_cost(cells, draws).unwrap().create_physical_plan().await.unwrap();
        let shown = datafusion::physical_plan::displayable(&*plan).indent(false).to_string();
        assert!(shown.contains("HashJoinExec: mode=CollectLeft, join_type=Right"), "{shown}");
        assert!(!shown.contains("SortExec"), "{shown}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn run_that_breaks_invariants_is_not_staged_and_every_breach_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let Err(NetCostError::Breaches(breaches)) = staged(folder.path(), "5.0000000001", "11").await else {
            panic!("the export adds up to something else, and more is drawn than is eligible")
        };
        let expected = [
            "2026-01: cell 2026-01-05 1 - USD: credits_applied -11.0000000000 of eligible_charges 10.0000000000",
            "2026-01: the export sums to 5.0000000001 USD but invoice_net to 5.0000000000: 0.0000000001 apart",
        ];
        assert_eq!(breaches, expected);
        assert!(!folder.path().join("runs/night/manifest.json").exists());
    }
}
