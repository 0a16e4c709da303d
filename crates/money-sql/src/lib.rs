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
