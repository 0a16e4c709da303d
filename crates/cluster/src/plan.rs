//! Which part of a plan goes to the cluster: all below the merge of its sorted partitions, which stays with the driver.

use std::sync::Arc;

use arrow::compute::cast;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::common::Result;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::physical_expr::expressions::{CastExpr, col};
use datafusion::physical_expr::{LexOrdering, PhysicalExpr};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::sorts::streaming_merge::StreamingMergeBuilder;
use datafusion::physical_plan::{EmptyRecordBatchStream, ExecutionPlan};

/// A plan, taken apart.
pub(crate) struct Shipped {
    /// For the cluster: each partition in order. Texts are plain: views would carry the buffers of all others along.
    pub(crate) plan: Arc<dyn ExecutionPlan>,
    /// Of the whole plan.
    schema: SchemaRef,
    /// The order that the partitions are merged in.
    order: Option<LexOrdering>,
}

impl Shipped {
    pub(crate) fn of(plan: &Arc<dyn ExecutionPlan>) -> Result<Self> {
        let (below, order) = match plan.downcast_ref::<SortPreservingMergeExec>() {
            Some(merge) => (Arc::clone(merge.input()), Some(merge.expr().clone())),
            None => (Arc::clone(plan), None),
        };
        let schema = below.schema();
        let columns = schema.fields().iter().map(|field| {
            let column = col(field.name(), &schema)?;
            let plain: Arc<dyn PhysicalExpr> = match field.data_type() {
                DataType::Utf8View => Arc::new(CastExpr::new(column, DataType::Utf8, None)),
                _ => column,
            };
            Ok((plain, field.name().clone()))
        });
        let plan = ProjectionExec::try_new(columns.collect::<Result<Vec<_>>>()?, below)?;
        Ok(Self { plan: Arc::new(plan), schema, order })
    }

    /// The columns as the plan has them.
    pub(crate) fn restored(&self) -> impl Fn(&RecordBatch) -> Result<RecordBatch> + Clone + Send + use<> {
        let schema = Arc::clone(&self.schema);
        move |batch| {
            let columns = batch.columns().iter().zip(schema.fields());
            let columns = columns.map(|(column, field)| cast(column, field.data_type()));
            Ok(RecordBatch::try_new(Arc::clone(&schema), columns.collect::<Result<Vec<_>, _>>()?)?)
        }
    }

    pub(crate) const fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The rows of all partitions in order.
    pub(crate) fn merged(
        &self,
        mut partitions: Vec<SendableRecordBatchStream>,
        context: &TaskContext,
    ) -> Result<SendableRecordBatchStream> {
        let order = match &self.order {
            Some(order) if partitions.len() > 1 => order,
            _ => {
                let none = EmptyRecordBatchStream::new(Arc::clone(&self.schema));
                return Ok(partitions.pop().unwrap_or_else(|| Box::pin(none)));
            }
        };
        StreamingMergeBuilder::new()
            .with_streams(partitions)
            .with_schema(Arc::clone(&self.schema))
            .with_expressions(order)
            .with_metrics(BaselineMetrics::new(&ExecutionPlanMetricsSet::new(), 0))
            .with_batch_size(context.session_config().batch_size())
            .with_reservation(MemoryConsumer::new("merge of the cluster's rows").register(context.memory_pool()))
            .build()
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int64Array, StringViewArray};
    use arrow::util::pretty::pretty_format_batches;
    use datafusion::datasource::MemTable;
    use datafusion::logical_expr::col as column;
    use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
    use datafusion::physical_plan::{collect, collect_partitioned, displayable, execute_stream_partitioned};
    use datafusion::prelude::SessionContext;
    use datafusion::prelude::{DataFrame, SessionConfig};
    use datafusion_proto::physical_plan::AsExecutionPlan;
    use datafusion_proto::protobuf::PhysicalPlanNode;
    use futures::{StreamExt, TryStreamExt};

    use super::*;
    use crate::codec::codec_without_export;

    fn session() -> SessionContext {
        SessionContext::new_with_config(SessionConfig::new().with_target_partitions(3).with_batch_size(2))
    }

    /// Texts of nine groups in two partitions, summed and in order.
    async fn plan(session: &SessionContext) -> Arc<dyn ExecutionPlan> {
        let batch = |numbers: [i64; 9]| {
            let name = |number: &i64| (*number != 3).then(|| format!("a name of more than twelve bytes: {number}"));
            let names: StringViewArray = numbers.iter().map(name).collect();
            let columns: [(&str, ArrayRef); 2] =
                [("name", Arc::new(names)), ("amount", Arc::new(Int64Array::from(numbers.to_vec())))];
            RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap()
        };
        let batches = [batch([1, 2, 3, 4, 5, 6, 7, 8, 9]), batch([9, 1, 8, 2, 7, 3, 6, 4, 5])];
        let schema = batches[0].schema();
        let table = MemTable::try_new(schema, batches.map(|batch| vec![batch]).into()).unwrap();
        let rows: DataFrame = session.read_table(Arc::new(table)).unwrap();
        let sum = datafusion::functions_aggregate::expr_fn::sum(column("amount")).alias("amount");
        let sums = rows.aggregate(vec![column("name")], vec![sum]).unwrap();
        sums.sort(vec![column("name").sort(false, true)]).unwrap().create_physical_plan().await.unwrap()
    }

    #[tokio::test]
    async fn rows_of_a_plan_that_was_taken_apart_come_as_of_the_whole() {
        let session = session();
        let (whole, taken_apart) = (plan(&session).await, plan(&session).await);
        let expected = collect(whole, session.task_ctx()).await.unwrap();
        let shipped = Shipped::of(&taken_apart).unwrap();
        assert!(shipped.plan.schema().fields().iter().all(|field| *field.data_type() != DataType::Utf8View));
        let partitions = execute_stream_partitioned(Arc::clone(&shipped.plan), session.task_ctx()).unwrap();
        assert_eq!(partitions.len(), 3);
        let restored = partitions.into_iter().map(|rows| {
            let restored = shipped.restored();
            let rows = rows.map(move |batch| restored(&batch?));
            Box::pin(RecordBatchStreamAdapter::new(Arc::clone(shipped.schema()), rows)) as SendableRecordBatchStream
        });
        let merged = shipped.merged(restored.collect(), &session.task_ctx()).unwrap();
        let found: Vec<RecordBatch> = merged.try_collect().await.unwrap();
        assert_eq!(found[0].schema(), expected[0].schema());
        let shown = |batches: &[RecordBatch]| pretty_format_batches(batches).unwrap().to_string();
        assert_eq!(shown(&found), shown(&expected));
    }

    #[tokio::test]
    async fn plan_that_was_sent_gives_the_rows_that_it_would_have_given_here() {
        let (session, codec) = (session(), codec_without_export());
        let shipped = Shipped::of(&plan(&session).await).unwrap();
        let mut sent = Vec::new();
        let node = PhysicalPlanNode::try_from_physical_plan(Arc::clone(&shipped.plan), &*codec).unwrap();
        node.try_encode(&mut sent).unwrap();
        let came = PhysicalPlanNode::try_decode(&sent).unwrap();
        let came = came.try_into_physical_plan(&session.task_ctx(), &*codec).unwrap();
        assert_eq!(came.schema(), shipped.plan.schema());
        let explained = |plan: &Arc<dyn ExecutionPlan>| displayable(plan.as_ref()).indent(true).to_string();
        assert_eq!(explained(&came), explained(&shipped.plan));
        let rows = |plan: Arc<dyn ExecutionPlan>| collect_partitioned(plan, session.task_ctx());
        assert_eq!(rows(came).await.unwrap(), rows(shipped.plan).await.unwrap());
    }

    #[tokio::test]
    async fn plan_without_rows_has_none() {
        let session = session();
        let shipped = Shipped::of(&plan(&session).await).unwrap();
        let none: Vec<RecordBatch> =
            shipped.merged(Vec::new(), &session.task_ctx()).unwrap().try_collect().await.unwrap();
        assert!(none.is_empty());
    }
}
