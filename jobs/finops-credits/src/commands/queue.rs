//! `queue`: credits that wait for allocation, as the log stands now; of a run that somebody asks for, as it was then.

use std::path::Path;

use arrow::array::new_null_array;
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use credit_ledger::Node;
use datafusion::error::DataFusionError;
use schemas::tables::{AllocationIssue, CreditQueue};
use write_net_cost::standing::queue as queue_rows;

use super::query::published_rows;
use super::{CreditSnapshot, note};
use crate::Failure;
use crate::app::App;
use crate::cli::Format;
use crate::files;
use crate::output::{Shown, print};

pub(crate) async fn queue(app: &App, out: Option<&Path>) -> Result<(), Failure> {
    let (mut rows, issues): (Vec<CreditQueue>, Vec<AllocationIssue>) = if app.asked.is_some() {
        (published_rows(app).await?, published_rows(app).await?)
    } else {
        let standing = CreditSnapshot::of(app).await?;
        let joined = standing.joined();
        (queue_rows(&standing.register.credits, &joined.credits, app.as_of), joined.issues)
    };
    rows.sort_by(|left, right| (left.first_cur_date, &left.credit_key).cmp(&(right.first_cur_date, &right.credit_key)));
    let batch = schemas::to_batch(&rows)?;
    match out {
        Some(file) => {
            files::write_csv(app, file, &[to_fill_in(&batch)?])?;
            note(&format!("{} credits written to {}", rows.len(), file.display()));
        }
        None if app.format == Format::Csv => print(app, &[to_fill_in(&batch)?], Shown::Exact, "")?,
        None => print(app, &[batch], Shown::Cents, "No credit waits for allocation.")?,
    }
    for issue in &issues {
        note(&format!("note: allocation {} lot {} cannot be used: {}", issue.allocation_id, issue.lot, issue.problem));
    }
    Ok(())
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
