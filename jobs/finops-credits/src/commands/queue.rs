//! `queue`: credits that wait for allocation, as the log stands now; of a run that somebody asks for, as it was then.

use arrow::array::new_null_array;
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use credit_ledger::{Node, Text};
use datafusion::error::DataFusionError;
use hashbrown::HashMap;
use schemas::tables::{AllocationIssue, CreditQueue, NetCost};
use schemas::{Owners, TableRow};
use write_net_cost::standing::queue as queue_rows;
use write_net_cost::whose::likely_nodes;

use super::{CreditSnapshot, note, published};
use crate::Failure;
use crate::app::App;
use crate::cli::{Format, Queue};
use crate::files;
use crate::output::{List, print_list, with_texts};

/// The last seven are those of an allocation, in CSV: somebody fills them in.
const ALL: [&str; 20] = [
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
    "amount",
    "end_date",
    "reference",
    "business_unit",
    "department",
    "portfolio",
    "product",
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

pub(crate) async fn queue(app: &App, arguments: &Queue) -> Result<(), Failure> {
    let (mut rows, issues): (Vec<CreditQueue>, Vec<AllocationIssue>) = if app.asked.is_some() {
        (published(app).await?, published(app).await?)
    } else {
        let standing = CreditSnapshot::of(app).await?;
        let joined = standing.joined();
        (queue_rows(&standing.register.credits, &joined.credits, app.as_of), joined.issues)
    };
    rows.sort_by(|left, right| (left.first_cur_date, &left.credit_key).cmp(&(right.first_cur_date, &right.credit_key)));
    let (likely, owners) = likely(app, &rows).await?;
    let nodes: Vec<Option<&Node>> =
        rows.iter().map(|row| likely.get(&(row.account_id.clone(), row.currency.clone()))).collect();
    let names = nodes.iter().map(|node| node.map(|node| node.to_string().into())).collect();
    let emails = nodes.iter().map(|node| owners.nearest((*node)?).cloned()).collect();
    let batch = with_texts(&schemas::to_batch(&rows)?, [("likely_node", names), ("likely_owner_email", emails)])?;
    if let Some(file) = &arguments.out {
        files::write_table(app, file, "queue", &to_fill_in(&batch)?)?;
        note(&format!("{} credits written to {}", rows.len(), file.display()));
        return Ok(());
    }
    let is_filled_in = app.format == Format::Csv;
    let list = List {
        batch: if is_filled_in { to_fill_in(&batch)? } else { batch },
        arguments: &arguments.list,
        all: if is_filled_in { &ALL } else { ALL.get(..13).unwrap_or_default() },
        shown: &SHOWN,
        expendable: &EXPENDABLE,
        summed: &["aws_applied"],
        empty: "No credit waits for allocation.",
    };
    let notes = issues.iter().map(|issue| {
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

/// The queue with the empty columns of an allocation: `allocations import` takes what is filled in.
fn to_fill_in(queue: &RecordBatch) -> Result<RecordBatch, Failure> {
    let empty = [&["amount", "end_date", "reference"], &Node::LEVELS[..]].concat();
    let blank = new_null_array(&DataType::Utf8, queue.num_rows());
    let schema = queue.schema();
    let known = schema.fields().iter().zip(queue.columns());
    let known = known.map(|(field, column)| (field.name().as_str(), column.clone(), true));
    let columns = known.chain(empty.into_iter().map(|name| (name, blank.clone(), true)));
    Ok(RecordBatch::try_from_iter_with_nullable(columns).map_err(DataFusionError::from)?)
}
