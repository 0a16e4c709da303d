//! The shell of join-allocations.

use std::collections::BTreeMap;
use std::sync::Arc;

use credit_ledger::BillingPeriod;
use join_allocations::cells::{RuleTargets, cells};
use join_allocations::join::join;
use lake::{LakeLock, ReferenceFiles};
use schemas::tables::{AllocationLogRow, Cell, CostLine, HierarchyRow, LotRow, RegisteredCredit};

use super::{Detected, JOIN, JoinRecord, for_each, made_from};
use crate::Failure;
use crate::run::App;

/// Turns recorded allocations into lots, and spend into cells.
pub(crate) async fn join_allocations(app: &App, _lock: &LakeLock) -> Result<JoinRecord, Failure> {
    let detected = Detected::of(app).await?;
    let reference = app.places.reference_files(&app.settings).await?;
    let run_id = &app.run_id;
    let register: Vec<RegisteredCredit> = app.lake.handed_over(run_id, None).await?;
    let log: Vec<AllocationLogRow> = app.lake.logs().read().await?;
    let joined = join(&register, &log, &reference.hierarchy, app.latest_instant());
    for issue in &joined.issues {
        tracing::warn!(allocation = %issue.allocation_id, lot = issue.lot, "{}", issue.problem);
    }
    app.lake.hand_over(run_id, None, &joined.credits).await?;
    app.lake.hand_over(run_id, None, &joined.lots).await?;
    app.lake.hand_over(run_id, None, &joined.issues).await?;
    app.lake.hand_over(run_id, None, &hierarchy_rows(&reference)).await?;
    let cells = write_cells(app, &detected, &reference).await?;
    let record = JoinRecord { first_period: first_period(app, &detected, &reference, &joined.lots), cells };
    app.lake.finish_job(run_id, JOIN, &record).await?;
    Ok(record)
}

/// Hands the cells of all periods over, made anew only where lines or the rules' nodes have changed. Says what they are
/// made from.
async fn write_cells(
    app: &App,
    detected: &Detected,
    reference: &ReferenceFiles,
) -> Result<BTreeMap<BillingPeriod, String>, Failure> {
    let targets = Arc::new(RuleTargets::new(&reference.cost_rules));
    let rules: Vec<_> = reference.cost_rules.iter().map(|rule| (&rule.rule_id, &rule.targets)).collect();
    let rules = made_from(&rules);
    let digests = detected.periods.iter().map(|of| (of.period, made_from(&(&of.fingerprint, &rules))));
    let digests: BTreeMap<BillingPeriod, String> = digests.collect();
    for_each(app, app.settings.threads(), detected.periods.iter().cloned(), |lake, run_id, detected| {
        let targets = Arc::clone(&targets);
        let digest = digests.get(&detected.period).cloned().unwrap_or_default();
        async move {
            if lake.hand_over_kept_cells(&run_id, detected.period, &digest).await? {
                return Ok(());
            }
            let lines = lake.generation_stream::<CostLine>(detected.period, &detected.fingerprint).await?;
            let rows = lake.hand_over_stream::<Cell>(&run_id, detected.period, cells(lines, targets)).await?;
            lake.keep_cells(&run_id, detected.period, &digest).await?;
            tracing::info!(period = %detected.period, cells = rows, "mapped to nodes");
            Ok(())
        }
    })
    .await?;
    Ok(digests)
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
