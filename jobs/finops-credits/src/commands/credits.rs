//! `credits`: allocated credits as published.

use application::{allocated_credits, whose};
use credit_ledger::Text;
use schemas::tables::AllocationLogRow;
use write_net_cost::whose::{Whose, in_full, in_short};

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
    let credits = allocated_credits(&app.context).await?;
    let log: Vec<AllocationLogRow> = app.context.lake.logs().read().await?;
    let newest = credits.iter().filter_map(|credit| credit.recorded_at).max();
    let later = log.iter().filter(|row| row.lot == 1 && newest.is_none_or(|newest| row.recorded_at > newest)).count();
    let notes = (later > 0 && app.context.asked.is_none())
        .then(|| format!("note: {later} revisions were recorded after these figures; they count from the next run"));
    let whose = whose(&app.context, &credits, &log).await?;
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
