//! SQL of people over every table and view.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::DataFrame;
use lake::LakeError;

use crate::context::Context;
use crate::failure::{Failure, Kind, engine_kind, one_line, statement_failed};
use crate::published::{collected, read_plan};

/// What a statement that only reads gives.
///
/// # Errors
/// [`Kind::Usage`] where it cannot be planned, or its own arithmetic fails; [`Kind::NotYet`] before the first run;
/// [`Kind::CheckFailed`] where a file is damaged.
pub async fn query(context: &Context, sql: &str) -> Result<Vec<RecordBatch>, Failure> {
    let frame = planned(context, sql).await?;
    answered(context, frame).await
}

/// As [`query`], at most so many rows of it; true where it gives more.
///
/// # Errors
/// As [`query`].
pub async fn query_up_to(context: &Context, sql: &str, most: usize) -> Result<(Vec<RecordBatch>, bool), Failure> {
    let frame = planned(context, sql).await?;
    let frame = match frame.logical_plan() {
        // These cannot be below another plan, and are short.
        LogicalPlan::Explain(_) | LogicalPlan::Analyze(_) | LogicalPlan::DescribeTable(_) => frame,
        _ => frame.limit(0, Some(most.saturating_add(1))).map_err(|error| statement_failed(&error))?,
    };
    let (schema, tasks) = (Arc::new(frame.schema().as_arrow().clone()), Arc::new(frame.task_ctx()));
    let rows = async { collect(interruptible(frame.create_physical_plan().await?)?, tasks).await };
    let mut batches = read_plan(context, rows).await?;
    context.lake.check_published().await?;
    context.lake.check_generations().await?;
    if batches.is_empty() {
        batches.push(RecordBatch::new_empty(schema));
    }
    Ok(first_rows(&batches, most))
}

/// The plan with a pause after each batch of each step: a join of a statement that was not meant so would else hold the thread that
/// it runs on, whoever waits for it or has given up.
fn interruptible(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
    let paused = plan.transform_up(|step| {
        Ok(match step.children().is_empty() {
            true => Transformed::no(step),
            false => Transformed::yes(Arc::new(CooperativeExec::new(step)) as Arc<dyn ExecutionPlan>),
        })
    });
    Ok(paused?.data)
}

async fn planned(context: &Context, sql: &str) -> Result<DataFrame, Failure> {
    context.lake.query(&context.session()?, sql).await.map_err(refused)
}

async fn answered(context: &Context, frame: DataFrame) -> Result<Vec<RecordBatch>, Failure> {
    let batches = collected(context, frame).await?;
    context.lake.check_generations().await?;
    Ok(batches)
}

/// The first rows, and whether there are more.
fn first_rows(batches: &[RecordBatch], most: usize) -> (Vec<RecordBatch>, bool) {
    let mut left = most;
    let mut first = Vec::with_capacity(batches.len());
    for batch in batches {
        let taken = left.min(batch.num_rows());
        first.push(batch.slice(0, taken));
        left -= taken;
    }
    (first, batches.iter().map(RecordBatch::num_rows).sum::<usize>() > most)
}

/// Why a statement cannot be planned: mostly a slip of the person.
fn refused(error: LakeError) -> Failure {
    match error {
        LakeError::Engine(error) => {
            let text = one_line(&error).replace("datafusion.public.", "");
            let hint =
                if text.contains("not found") && text.contains("table") { "; SHOW TABLES lists them" } else { "" };
            let kind = match engine_kind(&error) {
                Kind::CheckFailed => Kind::Usage,
                kind => kind,
            };
            Failure::new(kind, format!("query: {text}{hint}"))
        }
        LakeError::NotYet(message) => Failure::new(Kind::NotYet, format!("query: {message}")),
        of_now @ LakeError::OfNow { .. } => Failure::new(Kind::Usage, format!("query: {of_now}")),
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int32Array};

    use super::*;

    /// On one thread: a plan that never pauses would not even let the time run out.
    #[tokio::test]
    async fn statement_that_would_go_on_for_hours_can_be_given_up() {
        let session = datafusion::prelude::SessionContext::new();
        let numbers: ArrayRef = Arc::new((0..50_000).collect::<Int32Array>());
        session.register_batch("n", RecordBatch::try_from_iter([("n", numbers)]).unwrap()).unwrap();
        let sql = "SELECT count(DISTINCT a.n + b.n + c.n) FROM n a, n b, n c";
        let frame = session.sql(sql).await.unwrap();
        let tasks = Arc::new(frame.task_ctx());
        let plan = interruptible(frame.create_physical_plan().await.unwrap()).unwrap();
        let given_up = tokio::time::timeout(std::time::Duration::from_millis(300), collect(plan, tasks)).await;
        assert!(given_up.is_err());
    }

    #[test]
    fn rows_past_the_bound_are_left_out_and_told() {
        let batch = |values: Vec<i32>| {
            let values: ArrayRef = Arc::new(Int32Array::from(values));
            RecordBatch::try_from_iter([("n", values)]).unwrap()
        };
        let batches = [batch(vec![1, 2]), batch(vec![3, 4, 5]), batch(vec![6])];
        for (most, rows, has_more) in [(0, vec![0, 0, 0], true), (3, vec![2, 1, 0], true), (6, vec![2, 3, 1], false)] {
            let (first, more) = first_rows(&batches, most);
            assert_eq!(first.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), rows);
            assert_eq!(more, has_more, "{most}");
        }
        assert_eq!(first_rows(&batches, 3).0[1].columns(), batch(vec![3]).columns());
    }
}
