//! `queue`: credits that wait for allocation, as the log stands now.

use credit_ledger::{Node, Text};
use hashbrown::HashMap;
use schemas::TableRow;
use schemas::tables::{CreditQueue, NetCost};
use write_net_cost::standing::queue as queue_rows;
use write_net_cost::whose::{Owners, likely_nodes};

use super::{CreditSnapshot, published};
use crate::Failure;
use crate::app::App;
use crate::cli::ListArgs;
use crate::output::{List, print_list, with_texts};

const ALL: [&str; 13] = [
    "credit_key",
    "promotion_code",
    "account_id",
    "credit_class",
    "currency",
    "first_cur_date",
    "issue_date",
    "issue_period",
    "aws_applied",
    "days_waiting",
    "reason",
    "likely_node",
    "likely_owner_email",
];

const SHOWN: [&str; 9] = [
    "credit_key",
    "likely_node",
    "likely_owner_email",
    "credit_class",
    "currency",
    "issue_date",
    "aws_applied",
    "days_waiting",
    "reason",
];

const EXPENDABLE: [&str; 5] = ["credit_class", "issue_date", "likely_owner_email", "days_waiting", "reason"];

pub(crate) async fn queue(app: &App, arguments: &ListArgs) -> Result<(), Failure> {
    let standing = CreditSnapshot::of(app).await?;
    let joined = standing.joined();
    let mut rows: Vec<CreditQueue> = queue_rows(&standing.register.credits, &joined.credits, app.as_of);
    rows.sort_by(|left, right| (left.first_cur_date, &left.credit_key).cmp(&(right.first_cur_date, &right.credit_key)));
    let (likely, owners) = likely(app, &rows).await?;
    let nodes: Vec<Option<&Node>> =
        rows.iter().map(|row| likely.get(&(row.account_id.clone(), row.currency.clone()))).collect();
    let names = nodes.iter().map(|node| node.map(|node| node.to_string().into())).collect();
    let emails = nodes.iter().map(|node| owners.nearest((*node)?).cloned()).collect();
    let list = List {
        batch: with_texts(&schemas::to_batch(&rows)?, [("likely_node", names), ("likely_owner_email", emails)])?,
        arguments,
        all: &ALL,
        shown: &SHOWN,
        expendable: &EXPENDABLE,
        summed: &["aws_applied"],
        empty: "No credit waits for allocation.",
    };
    let issues = joined.issues.iter();
    let notes = issues.map(|issue| {
        format!("note: allocation {} lot {} cannot be used: {}", issue.allocation_id, issue.lot, issue.problem)
    });
    print_list(app, &list, &notes.collect::<Vec<_>>())
}

/// Where each account spends most, and whom to ask there: by the published run, if there is one.
async fn likely(app: &App, queue: &[CreditQueue]) -> Result<(HashMap<(Text, Text), Node>, Owners), Failure> {
    if queue.is_empty() || app.lake.published().await?.is_none() {
        return Ok(<_>::default());
    }
    let owners = Owners::of(&published(app).await?);
    let mut accounts: Vec<Text> = queue.iter().map(|row| row.account_id.clone()).collect();
    accounts.sort();
    accounts.dedup();
    let net_cost = app.lake.published_frame(&app.session().await?, &NetCost::TABLE).await?;
    let nodes = likely_nodes(net_cost, &accounts).await?;
    app.lake.check_published().await?;
    Ok((nodes, owners))
}
