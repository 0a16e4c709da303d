//! Published tables, and what plans over them give.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::prelude::DataFrame;
use lake::decoded;
use schemas::TableRow;

use crate::context::Context;
use crate::failure::{Failure, Kind, statement_failed};

/// A published table that is not partitioned, as rows.
///
/// # Errors
/// [`Kind::NotYet`] before the first run, [`Kind::CheckFailed`] where a file is damaged.
pub async fn published<R: TableRow>(context: &Context) -> Result<Vec<R>, Failure> {
    let frame = context.lake.published_frame(&context.session()?, &R::TABLE).await?;
    Ok(schemas::from_batches(&collected(context, frame).await?)?)
}

/// The rows of a plan, in at least one batch.
///
/// # Errors
/// As [`read_plan`].
pub async fn collected(context: &Context, frame: DataFrame) -> Result<Vec<RecordBatch>, Failure> {
    let schema = Arc::new(frame.schema().as_arrow().clone());
    let mut batches = read_plan(context, frame.collect()).await?;
    context.lake.check_published().await?;
    if batches.is_empty() {
        batches.push(RecordBatch::new_empty(schema));
    }
    Ok(batches)
}

/// What a plan gives. Where it cannot be read, it is the files that are looked at first.
///
/// # Errors
/// [`Failure`] of the plan, [`Kind::CheckFailed`] where a file is damaged.
pub async fn read_plan<T>(
    context: &Context,
    work: impl Future<Output = Result<T, DataFusionError>>,
) -> Result<T, Failure> {
    let failure = match decoded(work).await {
        Ok(Ok(read)) => return Ok(read),
        Ok(Err(error)) => statement_failed(&error),
        Err(panic) => Failure::new(Kind::CheckFailed, panic),
    };
    context.lake.check_published().await?;
    context.lake.check_all().await?;
    Err(failure)
}
