//! `credits`: allocated credits as published.

use std::collections::BTreeSet;

use credit_ledger::{BillingPeriod, Text};
use hashbrown::HashMap;
use join_allocations::lots::current_rows;
use schemas::tables::{AllocationLogRow, Credit, CreditBalance, HierarchyRow};
use schemas::{NodeColumns, Owners};
use write_net_cost::whose::{Whose, in_full, in_short};

use super::published;
use crate::Failure;
use crate::app::App;
use crate::cli::{Format, ListArgs};
use crate::output::{List, print_list, with_texts};

const ALL: [&str; 15] = [
    "credit_key",
    "promotion_code",
    "account_id",
    "currency",
    "status",
    "allocated_amount",
    "used",
    "expired",
    "remaining",
    "end_date",
    "days_left",
    "aws_applied",
    "reference",
    "nodes",
    "owner_email",
];

const SHOWN: [&str; 13] = [
    "credit_key",
    "nodes",
    "owner_email",
    "currency",
    "status",
    "allocated_amount",
    "used",
    "expired",
    "remaining",
    "end_date",
    "days_left",
    "aws_applied",
    "reference",
];

const EXPENDABLE: [&str; 8] =
    ["reference", "aws_applied", "days_left", "expired", "used", "allocated_amount", "owner_email", "end_date"];

pub(crate) async fn credits(app: &App, arguments: &ListArgs) -> Result<(), Failure> {
    let mut credits: Vec<Credit> = published(app).await?;
    credits.retain(|credit| credit.status != "unallocated");
    credits.sort_by(|left, right| {
        let end = |credit: &Credit| (credit.end_date.is_none(), credit.end_date);
        (end(left), &left.credit_key).cmp(&(end(right), &right.credit_key))
    });
    let log: Vec<AllocationLogRow> = app.lake.logs().read().await?;
    let newest = credits.iter().filter_map(|credit| credit.recorded_at).max();
    let later = log.iter().filter(|row| row.lot == 1 && newest.is_none_or(|newest| row.recorded_at > newest)).count();
    let notes = (later > 0 && app.asked.is_none())
        .then(|| format!("note: {later} revisions were recorded after these figures; they count from the next run"));
    let whose = whose(app, &credits, &log).await?;
    let name = if app.format == Format::Table && !arguments.wide { in_short } else { in_full };
    let names = |of: fn(&Whose) -> &[Text]| {
        let names = credits.iter().map(|credit| whose.get(&credit.credit_key).and_then(|whose| name(of(whose))));
        names.collect::<Vec<_>>()
    };
    let (nodes, owners) = (names(|whose| &whose.nodes), names(|whose| &whose.owners));
    let list = List {
        batch: with_texts(&schemas::to_batch(&credits)?, [("nodes", nodes), ("owner_email", owners)])?,
        arguments,
        all: &ALL,
        shown: &SHOWN,
        expendable: &EXPENDABLE,
        summed: &["allocated_amount", "used", "expired", "remaining", "aws_applied"],
        empty: "No credit is allocated.",
    };
    print_list(app, &list, notes.as_slice())
}

/// Whose each credit is: by its published lots of which something is left, or all where nothing is; of one whose allocation
/// cannot be used by what is recorded.
async fn whose(app: &App, credits: &[Credit], log: &[AllocationLogRow]) -> Result<HashMap<Text, Whose>, Failure> {
    let Some(as_of) = credits.first().map(|credit| credit.as_of) else { return Ok(HashMap::new()) };
    let balances: Vec<CreditBalance> = app.lake.published_rows(BillingPeriod::of(as_of)).await?;
    let hierarchy: Vec<HierarchyRow> = published(app).await?;
    let is_left = |row: &&CreditBalance| row.remaining.is_positive();
    let has_left: BTreeSet<&Text> = balances.iter().filter(is_left).map(|row| &row.credit_key).collect();
    let counts = |row: &&CreditBalance| is_left(row) || !has_left.contains(&row.credit_key);
    let lots = balances.iter().filter(counts);
    let lots = lots.filter_map(|row| Some((row.credit_key.clone(), row.node().ok()?)));
    let is_invalid = |key: &Text| credits.iter().any(|credit| credit.credit_key == *key && credit.status == "invalid");
    let recorded = current_rows(log).filter(|row| is_invalid(&row.credit_key));
    let recorded = recorded.filter_map(|row| Some((row.credit_key.clone(), row.node().ok()?)));
    Ok(Whose::of_lots(lots.chain(recorded), &Owners::of(&hierarchy)))
}
