//! SQL of people over every table and view.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::DataFrame;
use futures::TryStreamExt;
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

/// What a result takes in memory before the rest is left out.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// As [`query`], at most so many rows of it, and 64 MiB; true where it gives more.
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
    let rows = async {
        let mut rows = execute_stream(interruptible(frame.create_physical_plan().await?)?, tasks)?;
        let (mut batches, mut bytes) = (Vec::new(), 0_usize);
        while let Some(batch) = rows.try_next().await? {
            bytes = bytes.saturating_add(batch.get_array_memory_size());
            batches.push(batch);
            if bytes > MOST_BYTES {
                return Ok((batches, true));
            }
        }
        Ok((batches, false))
    };
    let (mut batches, is_cut) = read_plan(context, rows).await?;
    context.lake.check_published().await?;
    context.lake.check_generations().await?;
    if batches.is_empty() {
        batches.push(RecordBatch::new_empty(schema));
    }
    let (rows, has_more) = first_rows(&batches, most);
    Ok((rows, has_more || is_cut))
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
    use datafusion::physical_plan::collect;

    use super::*;
    use crate::testing::{AS_OF, Shop};

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

    /// The rows as text, a line each.
    fn rows(batches: &[RecordBatch]) -> Vec<String> {
        let row = |batch: &RecordBatch, at| {
            let values = batch.columns().iter().map(|column| table_files::exact(column, at).unwrap());
            values.collect::<Vec<_>>().join(" ")
        };
        batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |at| row(batch, at))).collect()
    }

    async fn refusal(context: &Context, sql: &str) -> (Kind, String) {
        let failure = query(context, sql).await.err().unwrap();
        (failure.kind, failure.to_string())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn statement_answers_from_tables_logs_and_what_was_read_and_a_slip_is_told_as_one() {
        let shop = Shop::new();
        let before = refusal(&shop.context(AS_OF).await, "SELECT * FROM net_cost").await;
        let lake = shop.path("lake");
        let nothing = format!("query: nothing is published in the lake {} yet; `run` first", lake.display());
        assert_eq!(before, (Kind::NotYet, nothing));
        let context = shop.night("night-1", AS_OF).await;
        let sql = "SELECT coalesce(business_unit, 'all') AS unit, net_cost FROM net_cost_summary WHERE level < 2 \
                   ORDER BY level, unit";
        let expected = ["all 42.5000000000", "Media 40.0000000000", "Retail 0.0000000000", "Unassigned 2.5000000000"];
        assert_eq!(rows(&query(&context, sql).await.unwrap()), expected);
        let joined = "SELECT count(*) FROM allocations_log JOIN credit_lines USING (credit_key)";
        assert_eq!(rows(&query(&context, joined).await.unwrap()), ["1"]);
        for (sql, message) in [
            ("SELECT * FROM netcost", "Error during planning: table 'netcost' not found; SHOW TABLES lists them"),
            ("DROP TABLE net_cost", "Error during planning: DDL not supported: DropTable"),
            ("SELECT 1 / (level - level) FROM net_cost_summary", "Arrow error: Divide by zero error"),
        ] {
            assert_eq!(refusal(&context, sql).await, (Kind::Usage, format!("query: {message}")), "{sql}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn result_that_is_bounded_says_whether_there_is_more() {
        let shop = Shop::new();
        let context = shop.night("night-1", AS_OF).await;
        let units = "SELECT business_unit FROM net_cost_summary WHERE level = 1 ORDER BY 1";
        for (most, rows, has_more) in [(2, 2, true), (3, 3, false), (0, 0, true)] {
            let (batches, more) = query_up_to(&context, units, most).await.unwrap();
            assert_eq!((batches.iter().map(RecordBatch::num_rows).sum::<usize>(), more), (rows, has_more));
        }
        let (described, more) = query_up_to(&context, "DESCRIBE credit_queue", 3).await.unwrap();
        assert_eq!((described[0].num_rows(), more), (3, true));
        let (empty, more) = query_up_to(&context, "SELECT * FROM credits WHERE false", 5).await.unwrap();
        assert_eq!((empty[0].num_rows(), empty[0].schema().field(0).name().as_str(), more), (0, "credit_key", false));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn logs_are_refused_where_a_run_is_asked_for_and_damage_is_told_as_such() {
        let shop = Shop::new();
        let asked = shop.night("night-1", AS_OF).await;
        asked.lake.answer_from(&asked.lake.runs_in_lake().await.unwrap()[0]).await;
        let of_now = "query: allocations_log is not kept as it was in run night-1; ask without --run-id and --as-of for \
                      what stands now";
        assert_eq!(refusal(&asked, "SELECT * FROM allocations_log").await, (Kind::Usage, of_now.to_owned()));
        let folder = shop.path("lake/runs/night-1/credits");
        let file = std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
        std::fs::remove_file(&file).unwrap();
        std::fs::write(&file, "PAR1 and no more").unwrap();
        let (kind, message) = refusal(&shop.context(AS_OF).await, "SELECT * FROM credits").await;
        assert_eq!(kind, Kind::CheckFailed, "{message}");
        assert!(message.contains("credits/"), "{message}");
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
