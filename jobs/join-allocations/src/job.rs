//! The job: reads, joins, writes.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use chrono::NaiveTime;
use credit_ledger::{BillingPeriod, Text};
use lake::{InputDigest, JobContext, LakeError, ReferenceFiles, Reuse, map_concurrently};
use schemas::records::{Detected, Joined};
use schemas::reference::{CostRule, CostRules};
use schemas::tables::{AllocationLogRow, Cell, CostLine, HierarchyRow, LotRow, RegisteredCredit};

use crate::cells::{RuleTargets, cells};
use crate::error::JoinError;
use crate::lots::{self, join};
use crate::record::{Recording, revisions};
use crate::removed_nodes;

/// Turns recorded allocations into lots, and spend into cells.
///
/// # Errors
/// [`JoinError::RemovedNodes`] unless those are accepted; [`JoinError`] from the lake.
pub async fn join_allocations(
    context: &JobContext,
    detected: &Detected,
    reference: &Arc<ReferenceFiles>,
    accept_removed_nodes: bool,
) -> Result<Joined, JoinError> {
    let run = &context.run;
    let register: Vec<RegisteredCredit> = run.rows(None).await?;
    let (state, log) = run.lake().logs().read_newest::<AllocationLogRow>().await?;
    let latest = context.latest_instant(state);
    if !accept_removed_nodes {
        removed_nodes::refuse(run.lake(), &reference.hierarchy, &register, &log, latest).await?;
    }
    let joined = join(&register, &log, &reference.hierarchy, latest);
    write_cells(context, detected, reference).await?;
    write_lots(context, reference, &joined).await?;
    Ok(Joined { first_period: first_period(detected, reference, &joined.lots) })
}

/// A lake whose log is still empty takes `allocations.csv` of the reference folder in, once. Rows that do not say when
/// they were recorded count as recorded at the start of the as-of date: the same on every lake.
///
/// # Errors
/// [`JoinError::BadRows`] for rows that cannot be recorded: then none is; [`JoinError`] from the lake.
pub async fn import_initial_allocations(context: &JobContext, reference: &ReferenceFiles) -> Result<(), JoinError> {
    let logs = context.run.lake().logs();
    let state = logs.snapshot::<AllocationLogRow>().await?;
    if reference.allocations.is_empty() || state.id.is_some() {
        return Ok(());
    }
    let register: Vec<RegisteredCredit> = context.run.rows(None).await?;
    let recording = Recording { now: context.latest_instant(state), ..taken_over(context) };
    let imported = revisions(&reference.allocations, &register, &reference.hierarchy, &[], &recording)?;
    for warning in &imported.warnings {
        tracing::warn!("allocations.csv: {warning}");
    }
    logs.append(&imported.rows).await?;
    Ok(())
}

/// How rows of the reference folder's `allocations.csv` are recorded that say nothing of it.
#[must_use]
pub fn taken_over(context: &JobContext) -> Recording {
    let recorded_at = context.as_of.and_time(NaiveTime::MIN);
    Recording { recorded_by: Some(Text::new_static("allocations.csv")), recorded_at, is_stated: true, now: recorded_at }
}

/// Writes the cells of each billing period; reused where its cost lines and the targets of the rules are unchanged.
async fn write_cells(
    context: &JobContext,
    detected: &Detected,
    reference: &Arc<ReferenceFiles>,
) -> Result<(), JoinError> {
    let rules = rules_digest(&reference.cost_rules)?;
    let targets = Arc::new(OnceLock::new());
    let periods = detected.periods.iter().map(|detected| (detected.period, detected.fingerprint.clone()));
    let written = map_concurrently(context.settings.threads(), periods, |(period, fingerprint)| {
        let (run, reference) = (context.run.clone(), Arc::clone(reference));
        let (rules, targets) = (rules.clone(), Arc::clone(&targets));
        async move {
            let inputs = InputDigest::of_table::<Cell>().with("cost_lines", &fingerprint)?.with("rules", &rules)?;
            let make = async {
                let targets = targets.get_or_init(|| Arc::new(RuleTargets::new(&reference.cost_rules)));
                let lines = run.lake().generation_stream::<CostLine>(period, &fingerprint).await?;
                Ok::<_, LakeError>(cells(lines, Arc::clone(targets)))
            };
            if let Reuse::Written { rows } = run.reuse_or_write::<Cell, _>(Some(period), &inputs.finish(), make).await?
            {
                tracing::info!(%period, cells = rows, "mapped to nodes");
            }
            Ok::<_, LakeError>(())
        }
    });
    written.await?;
    Ok(())
}

fn rules_digest(rules: &CostRules) -> Result<String, LakeError> {
    let targets = |rule: &CostRule| {
        let shares = rule.targets.iter().map(|(node, share)| (node.to_string(), share.to_string()));
        (rule.rule_id.clone(), shares.collect::<BTreeMap<_, _>>())
    };
    let targets: Vec<_> = rules.iter().map(targets).collect();
    Ok(InputDigest::named("cost_rules").with("targets", &targets)?.finish())
}

/// Writes what was recorded of each credit: allocated amounts, lots, what is wrong, and the hierarchy.
async fn write_lots(context: &JobContext, reference: &ReferenceFiles, joined: &lots::Joined) -> Result<(), LakeError> {
    for issue in &joined.issues {
        tracing::warn!(allocation = %issue.allocation_id, lot = issue.lot, "{}", issue.problem);
    }
    context.run.write(None, &joined.credits).await?;
    context.run.write(None, &joined.lots).await?;
    context.run.write(None, &joined.issues).await?;
    context.run.write(None, &hierarchy_rows(reference)).await
}

fn first_period(detected: &Detected, reference: &ReferenceFiles, lots: &[LotRow]) -> BillingPeriod {
    let last = detected.last_period();
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
