//! Reads what two runs have, as far as it differs.

use std::collections::BTreeSet;

use credit_ledger::BillingPeriod;
use lake::{KeptRun, map_concurrently, spawn_abort_on_drop};
use schemas::TableRow;
use schemas::tables::{Cell, Credit, CreditBalance, NetCostSummary, Reconciliation};

use super::costs::month_changes;
use super::credits::CreditFold;
use super::model::{Changes, RunInBrief};
use super::reasons::Evidence;
use super::tables::{Credits, MonthTables};
use crate::error::NetCostError;

/// Months that are read at once.
const AT_ONCE: usize = 4;

/// What changed from one run to another. Of months whose files are the same nothing is read.
///
/// # Errors
/// [`NetCostError::Lake`] where a table cannot be read or is not as it was written; [`NetCostError::Money`].
pub async fn changes_between(from: &KeptRun, to: &KeptRun) -> Result<Changes, NetCostError> {
    let credits_of = |run: &KeptRun| {
        let run = run.clone();
        spawn_abort_on_drop(async move { run.rows::<Credit>(None).await })
    };
    let (before, after) = futures::try_join!(credits_of(from), credits_of(to))?;
    let credits = Credits::of(&before, &after);
    let months: BTreeSet<BillingPeriod> = from.months().chain(to.months()).collect();
    let differing = months
        .into_iter()
        .filter(|month| !is_same::<CreditBalance>(from, to, *month) || !is_same::<NetCostSummary>(from, to, *month));
    let read = map_concurrently(AT_ONCE, differing, |month| {
        let (from, to) = (from.clone(), to.clone());
        async move {
            let has_costs = !is_same::<NetCostSummary>(&from, &to, month);
            let tables = futures::try_join!(month_of(&from, month, has_costs), month_of(&to, month, has_costs))?;
            Ok::<_, NetCostError>((month, tables))
        }
    });
    let (mut fold, mut past_months, mut current_months) = (CreditFold::default(), Vec::new(), Vec::new());
    for (month, (before, after)) in read.await? {
        fold.add_month(month, &before.balances, &after.balances)?;
        let changes = month_changes(month, &before, &after, &evidence(from, to, month), &credits)?;
        let is_past = month < BillingPeriod::of(from.staged().as_of);
        if is_past { past_months.extend(changes) } else { current_months.extend(changes) }
    }
    let credits = fold.finish(&credits);
    Ok(Changes { from: in_brief(from), to: in_brief(to), past_months, current_months, credits })
}

fn is_same<R: TableRow>(from: &KeptRun, to: &KeptRun, month: BillingPeriod) -> bool {
    from.sum::<R>(Some(month)) == to.sum::<R>(Some(month))
}

async fn month_of(run: &KeptRun, month: BillingPeriod, has_costs: bool) -> Result<MonthTables, NetCostError> {
    let is_there = month <= run.staged().months.1;
    let balances = run.rows(Some(month)).await?;
    let (summary, reconciliation) = match has_costs {
        true => futures::try_join!(run.rows(Some(month)), run.rows::<Reconciliation>(Some(month)))?,
        false => Default::default(),
    };
    Ok(MonthTables { is_there, summary, reconciliation, balances })
}

/// What the manifests say of what a month is made from.
fn evidence(from: &KeptRun, to: &KeptRun, month: BillingPeriod) -> Evidence {
    let has_lines = |run: &KeptRun| run.staged().periods.iter().any(|period| period.billing_period == month);
    let spend_changed = match (from.sum::<Cell>(Some(month)), to.sum::<Cell>(Some(month))) {
        (Some(before), Some(after)) => Some(before != after),
        (None, None) if !has_lines(from) && !has_lines(to) => Some(false),
        _ => None,
    };
    let (before, after) = (&from.staged().policy, &to.staged().policy);
    let policies = (before != after).then(|| (before.clone(), after.clone()));
    Evidence { spend_changed, policies }
}

fn in_brief(run: &KeptRun) -> RunInBrief {
    let staged = run.staged();
    RunInBrief {
        run_id: run.id().to_owned(),
        as_of: staged.as_of,
        started_at: staged.started_at,
        policy: staged.policy.clone(),
    }
}
