//! The shell of join-allocations.

use std::collections::BTreeMap;
use std::future::ready;
use std::sync::{Arc, OnceLock};

use chrono::NaiveDateTime;
use credit_ledger::BillingPeriod;
use join_allocations::cells::{RuleTargets, cells};
use join_allocations::join::join;
use lake::{FileSum, LakeLock, MadeFrom, ReferenceFiles};
use schemas::TableRow;
use schemas::tables::{AllocationLogRow, CostLine, Credit, HierarchyRow, LotRow};

use super::{Detected, JOIN, JoinRecord, apart, for_each, made_from, register, removed_nodes};
use crate::Failure;
use crate::cli::Join;
use crate::run::App;

/// Turns recorded allocations into lots, and spend into cells.
pub(crate) async fn join_allocations(app: &App, lock: &LakeLock, arguments: Join) -> Result<JoinRecord, Failure> {
    join_beside(app, lock, arguments, ready(Ok(()))).await
}

/// As [`join_allocations`], beside [`cells_ahead`] that are still being made.
pub(crate) async fn join_beside(
    app: &App,
    _lock: &LakeLock,
    arguments: Join,
    ahead: impl Future<Output = Result<(), Failure>>,
) -> Result<JoinRecord, Failure> {
    let detected = Detected::of(app).await?;
    let reference = app.places.reference_files(&app.settings).await?;
    let log = AllocationLog::read(app).await?;
    let run = inputs(app, &detected, &reference, &log);
    if let Some(record) = as_published(app, &run).await? {
        app.lake.finish_job(&app.run_id, JOIN, &record).await?;
        return Ok(record);
    }
    register::hand_over_awaited(app, &detected).await?;
    if !arguments.accept_removed_nodes {
        let register = app.handed_over.register.rows(&app.lake, &app.run_id).await?;
        removed_nodes::refuse(app, &reference.hierarchy, &register, &log.rows, log.latest).await?;
    }
    let periods = detected.periods.iter().map(|of| (of.period, of.fingerprint.clone())).collect();
    // Cells are made on other threads, lots on this one.
    let cells = async {
        ahead.await?;
        write_cells(app, periods, &reference).await
    };
    let (cells, lots) = futures::join!(cells, write_lots(app, &reference, &log));
    let (first_period, cells) = (first_period(app, &detected, &reference, &lots?), cells?);
    let kept_cells = cells.iter().map(|(period, (_, sum))| (*period, *sum)).collect();
    let cells = cells.into_iter().map(|(period, (digest, _))| (period, digest)).collect();
    let record = JoinRecord { first_period, cells, kept_cells, run, is_published: false };
    app.lake.finish_job(&app.run_id, JOIN, &record).await?;
    Ok(record)
}

/// Makes cells as soon as lines have been read. They depend on nothing else, so the job finds them done.
pub(crate) async fn cells_ahead(
    app: &App,
    _lock: &LakeLock,
    periods: BTreeMap<BillingPeriod, String>,
) -> Result<(), Failure> {
    let reference = app.places.reference_files(&app.settings).await?;
    write_cells(app, periods, &reference).await.map(drop)
}

/// What was recorded of credits.
struct AllocationLog {
    rows: Vec<AllocationLogRow>,
    /// What is said to be recorded later counts as wrong.
    latest: NaiveDateTime,
}

impl AllocationLog {
    async fn read(app: &App) -> Result<Self, Failure> {
        let (state, rows) = app.lake.log_rows().await?;
        Ok(Self { rows, latest: app.latest_instant(state) })
    }
}

/// Hands over what was recorded of each credit: the allocated amounts, the lots, what is wrong, the hierarchy.
async fn write_lots(app: &App, reference: &ReferenceFiles, log: &AllocationLog) -> Result<Arc<Vec<LotRow>>, Failure> {
    let (lake, run_id, handed) = (&app.lake, &app.run_id, app.handed_over);
    let register = handed.register.rows(lake, run_id).await?;
    let joined = join(&register, &log.rows, &reference.hierarchy, log.latest);
    for issue in &joined.issues {
        tracing::warn!(allocation = %issue.allocation_id, lot = issue.lot, "{}", issue.problem);
    }
    let allocated = {
        let (lake, run_id) = (Arc::clone(lake), run_id.clone());
        apart(async move { handed.allocated.write(&lake, &run_id, joined.credits).await })
    };
    handed.lots.write(lake, run_id, joined.lots).await?;
    lake.hand_over(run_id, None, &joined.issues).await?;
    lake.hand_over(run_id, None, &hierarchy_rows(reference)).await?;
    allocated.await?;
    handed.lots.rows(lake, run_id).await
}

/// All that the tables of the run depend on.
fn inputs(app: &App, detected: &Detected, reference: &ReferenceFiles, log: &AllocationLog) -> String {
    let mut log: Vec<_> = log.rows.iter().map(|row| (row.recorded_at > log.latest, row)).collect();
    log.sort_by_key(|(_, row)| (&row.allocation_id, row.recorded_at, row.lot));
    let ReferenceFiles { hierarchy, cost_rules, budgets, allocations: _ } = reference;
    let rules: Vec<_> = cost_rules.iter().map(|rule| (&rule.rule_id, &rule.targets)).collect();
    let columns: Vec<_> = Credit::TABLE.column_names().collect();
    let credits = (&app.settings.credits, &detected.register.made_from, columns);
    made_from(&(app.as_of, credits, log, hierarchy, rules, budgets))
}

/// Nothing is to be made where the published run is made from the same.
async fn as_published(app: &App, run: &str) -> Result<Option<JoinRecord>, Failure> {
    let MadeFrom { cells, kept_cells, tables, run: published, .. } = app.lake.made_from().await?;
    let Some((first_period, _)) = tables.first_key_value().filter(|_| published == run) else { return Ok(None) };
    let is_published = app.lake.holds_published(tables.keys().copied()).await?;
    let record = JoinRecord { first_period: *first_period, cells, kept_cells, run: published, is_published };
    Ok(is_published.then_some(record))
}

/// Hands the cells of periods over, made anew only where lines or the rules' nodes have changed. Says what they are made
/// from, and their sizes and checksums.
async fn write_cells(
    app: &App,
    periods: BTreeMap<BillingPeriod, String>,
    reference: &Arc<ReferenceFiles>,
) -> Result<BTreeMap<BillingPeriod, (String, FileSum)>, Failure> {
    let targets = Arc::new(OnceLock::new());
    let rules: Vec<_> = reference.cost_rules.iter().map(|rule| (&rule.rule_id, &rule.targets)).collect();
    let rules = made_from(&rules);
    let digests = for_each(app, app.settings.threads(), periods, |lake, run_id, (period, fingerprint)| {
        let (targets, reference) = (Arc::clone(&targets), Arc::clone(reference));
        let digest = made_from(&(&fingerprint, &rules));
        async move {
            if let Some(kept) = lake.hand_over_kept_cells(&run_id, period, &digest).await? {
                return Ok((period, (digest, kept)));
            }
            let targets = targets.get_or_init(|| Arc::new(RuleTargets::new(&reference.cost_rules)));
            let lines = lake.generation_stream::<CostLine>(period, &fingerprint).await?;
            let made = lake.hand_over_cells(&run_id, period, &digest, cells(lines, Arc::clone(targets))).await?;
            tracing::info!(%period, cells = made.rows, "mapped to nodes");
            Ok((period, (digest, made)))
        }
    });
    Ok(digests.await?.into_iter().collect())
}

fn first_period(app: &App, detected: &Detected, reference: &ReferenceFiles, lots: &[LotRow]) -> BillingPeriod {
    let last = BillingPeriod::of(app.as_of);
    let lines = detected.periods.iter().map(|detected| detected.period);
    let issues = lots.iter().map(|lot| BillingPeriod::of(lot.issue_date));
    let budgets = reference.budgets.iter().map(|budget| budget.billing_period);
    lines.chain(issues).chain(budgets).filter(|period| *period <= last).min().unwrap_or(last)
}

fn hierarchy_rows(reference: &ReferenceFiles) -> Vec<HierarchyRow> {
    let rows = reference.hierarchy.nodes().map(|(node, owner)| {
        let [business_unit, department, portfolio, product] = node.levels();
        HierarchyRow {
            business_unit,
            department,
            portfolio,
            product,
            level: i32::try_from(node.level()).unwrap_or(0),
            owner_email: owner.owner_email.clone(),
            cost_center: owner.cost_center.clone(),
        }
    });
    rows.collect()
}
