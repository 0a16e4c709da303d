//! Exact money in DataFusion plans.
//!
//! * [`sum`]: SUM that fails on overflow. DataFusion's own wraps silently past `i128` for decimals.
//! * [`session`]: a session in which SQL `SUM` is the checked one.
//! * [`with_partitions`]: the same session for plans that share the threads with others.

mod checked_sum;

use std::sync::Arc;

use datafusion::execution::SessionStateBuilder;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::logical_expr::Expr;
use datafusion::prelude::{SessionConfig, SessionContext};

pub use checked_sum::checked_sum_udaf;

/// The exact sum of a money column; a sum past 38 digits is an error. Other types sum as DataFusion does.
#[must_use]
pub fn sum(amount: Expr) -> Expr {
    checked_sum_udaf().call(vec![amount])
}

/// The session for plans of so many partitions whose joins run as they are written: their order may rely on which side is
/// which.
#[must_use]
pub fn with_partitions(session: &SessionContext, partitions: usize) -> SessionContext {
    let mut state = session.state();
    let options = state.config_mut().options_mut();
    options.execution.target_partitions = partitions;
    options.optimizer.join_reordering = false;
    SessionContext::new_with_state(state)
}

/// A session over `threads` partitions with checked sums, plain UTF-8 strings and string partition columns.
#[must_use]
pub fn session(threads: usize, runtime: Arc<RuntimeEnv>) -> SessionContext {
    let mut config = SessionConfig::new().with_target_partitions(threads).with_information_schema(true);
    let options = config.options_mut();
    options.execution.parquet.schema_force_view_types = false;
    options.execution.listing_table_factory_infer_partitions = true;
    // The scan's partitions sum before: a second table of the same groups would be of no use.
    options.execution.skip_partial_aggregation_probe_rows_threshold = 8192;
    options.sql_parser.map_string_types_to_utf8view = false;
    options.sql_parser.parse_float_as_decimal = true;
    let state =
        SessionStateBuilder::new().with_config(config).with_runtime_env(runtime).with_default_features().build();
    let context = SessionContext::new_with_state(state);
    context.register_udaf(checked_sum_udaf().as_ref().clone());
    context
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, AsArray, Decimal128Array, RecordBatch};
    use arrow::datatypes::{DataType, Decimal128Type};
    use datafusion::logical_expr::col;

    use super::*;

    /// A session that knows a table `amounts` of these units.
    fn with_amounts(threads: usize, units: &[i128]) -> SessionContext {
        let context = session(threads, Arc::default());
        let amounts = Decimal128Array::from(units.to_vec()).with_precision_and_scale(38, 10).unwrap();
        let batch = RecordBatch::try_from_iter([("amount", Arc::new(amounts) as ArrayRef)]).unwrap();
        context.register_batch("amounts", batch).unwrap();
        context
    }

    #[tokio::test]
    async fn a_session_of_other_partitions_knows_the_same_tables_and_its_sums_are_checked() {
        let most = 10_i128.pow(38) - 1;
        let context = with_amounts(4, &[most, 1]);
        let narrow = with_partitions(&context, 1);
        let partitions = |context: &SessionContext| context.state().config().target_partitions();
        assert_eq!((partitions(&context), partitions(&narrow)), (4, 1));
        for context in [context, narrow] {
            let counted = context.sql("SELECT amount FROM amounts").await.unwrap().count().await.unwrap();
            assert_eq!(counted, 2);
            let frame = context.sql("SELECT sum(amount) FROM amounts").await.unwrap();
            let error = frame.collect().await.unwrap_err().to_string();
            assert!(error.contains("SUM of money overflows 38 digits"), "{error}");
        }
    }

    #[tokio::test]
    async fn plans_sum_money_as_money() {
        let frame = with_amounts(2, &[5, -7, 30]).table("amounts").await.unwrap();
        let sums = frame.aggregate(vec![], vec![sum(col("amount")).alias("amount")]).unwrap().collect().await.unwrap();
        assert_eq!(*sums[0].column(0).data_type(), DataType::Decimal128(38, 10), "no digit is given away");
        assert_eq!(sums[0].column(0).as_primitive::<Decimal128Type>().value(0), 28);
    }
}
