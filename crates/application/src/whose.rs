//! Allocated credits as published, and whose they are.

use std::collections::BTreeSet;

use credit_ledger::{BillingPeriod, Text};
use hashbrown::HashMap;
use join_allocations::lots::current_rows;
use schemas::tables::{AllocationLogRow, Credit, CreditBalance, HierarchyRow};
use schemas::{NodeColumns, Owners};
use write_net_cost::whose::Whose;

use crate::context::Context;
use crate::failure::Failure;
use crate::published::published;

/// Credits that somebody allocated, as published: those that end first come first.
///
/// # Errors
/// [`crate::Kind::NotYet`] before the first run.
pub async fn allocated_credits(context: &Context) -> Result<Vec<Credit>, Failure> {
    let mut credits: Vec<Credit> = published(context).await?;
    credits.retain(|credit| credit.status != "unallocated");
    credits.sort_by(|left, right| {
        let end = |credit: &Credit| (credit.end_date.is_none(), credit.end_date);
        (end(left), &left.credit_key).cmp(&(end(right), &right.credit_key))
    });
    Ok(credits)
}

/// Whose each credit is: by its published lots of which something is left, or all where nothing is; of one whose allocation
/// cannot be used by what is recorded in the log.
///
/// # Errors
/// [`Failure`] where a table cannot be read.
pub async fn whose(
    context: &Context,
    credits: &[Credit],
    log: &[AllocationLogRow],
) -> Result<HashMap<Text, Whose>, Failure> {
    let Some(as_of) = credits.first().map(|credit| credit.as_of) else { return Ok(HashMap::new()) };
    let balances: Vec<CreditBalance> = context.lake.published_rows(BillingPeriod::of(as_of)).await?;
    let hierarchy: Vec<HierarchyRow> = published(context).await?;
    let is_left = |row: &&CreditBalance| row.remaining.is_positive();
    let has_left: BTreeSet<&Text> = balances.iter().filter(is_left).map(|row| &row.credit_key).collect();
    let counts = |row: &&CreditBalance| is_left(row) || !has_left.contains(&row.credit_key);
    let lots = balances.iter().filter(counts);
    let lots = lots.filter_map(|row| Some((row.credit_key.clone(), row.node().ok()?)));
    let invalid = credits.iter().filter(|credit| credit.status == "invalid").map(|credit| &credit.credit_key);
    let invalid: BTreeSet<&Text> = invalid.collect();
    let recorded = current_rows(log).filter(|row| invalid.contains(&row.credit_key));
    let recorded = recorded.filter_map(|row| Some((row.credit_key.clone(), row.node().ok()?)));
    Ok(Whose::of_lots(lots.chain(recorded), &Owners::of(&hierarchy)))
}
