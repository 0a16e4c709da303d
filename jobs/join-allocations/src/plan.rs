//! What cells are, as a plan: cost lines on the nodes of their rules, shared ones split measure by measure by largest
//! remainder. Jobs run [`crate::cells`], one pass that a property test holds to this (ADR 0013).
//!
//! ```sql
//! SELECT <cell>, <node>, sum(share_of(<measure>, weights, place)) AS <measure>
//! FROM cost_lines LEFT JOIN targets USING (rule_id)      -- no rule, or one that is no more: Unassigned
//! GROUP BY <cell>, <node> ORDER BY <cell>, <node>        -- each NULLS FIRST
//! ```

use std::sync::Arc;

use arrow::array::{ArrayRef, Decimal128Builder, Int32Array, ListBuilder, RecordBatch, StringArray};
use arrow::datatypes::Field;
use credit_ledger::Node;
use datafusion::common::{JoinType, Result};
use datafusion::logical_expr::{col, lit, when};
use datafusion::prelude::{DataFrame, Expr, SessionContext};
use schemas::TableRow;
use schemas::reference::{CostRule, CostRules};
use schemas::tables::Cell;

use crate::cells::{MEASURES, integer_weights};
use crate::share_of::{WEIGHT, share_of};

/// The cells of a period from its cost lines and the [`targets`] of the rules, in order of the table's grain.
///
/// # Errors
/// The plan's.
pub fn cells(cost_lines: DataFrame, targets: DataFrame) -> Result<DataFrame> {
    let keys: Vec<Expr> = Cell::TABLE.keys().iter().map(|key| col(*key)).collect();
    let order = keys.iter().map(|key| key.clone().sort(true, true)).collect();
    let sums = MEASURES.iter().map(|measure| money_sql::sum(col(*measure)).alias(*measure)).collect();
    on_nodes(cost_lines, targets)?.aggregate(keys, sums)?.sort(order)
}

/// A row per line and node of its rule, with the node's share of each measure.
fn on_nodes(cost_lines: DataFrame, targets: DataFrame) -> Result<DataFrame> {
    let joined = cost_lines.join(targets, JoinType::Left, &["rule_id"], &["target_rule_id"], None)?;
    let [top, levels @ ..] = Node::LEVELS;
    let unassigned = Node::unassigned().levels().into_iter().flatten().next();
    let unassigned = lit(unassigned.map(|name| name.to_string()).unwrap_or_default());
    let top = when(col("place").is_null(), unassigned).otherwise(col(top))?.alias(top);
    let shares = MEASURES.iter().map(|measure| share_of(col(*measure), col("weights"), col("place")).alias(*measure));
    let shared = Cell::TABLE.keys().iter().filter(|key| !Node::LEVELS.contains(key)).map(|key| col(*key));
    joined.select(shared.chain([top]).chain(levels.map(col)).chain(shares).collect::<Vec<_>>())
}

/// The nodes of all rules: rule, node, the weights of all nodes of the rule, the node's place among them.
///
/// # Errors
/// The plan's.
pub fn targets(session: &SessionContext, rules: &CostRules) -> Result<DataFrame> {
    let targets: Vec<(&CostRule, usize, &Node)> = rules
        .iter()
        .flat_map(|rule| (0..).zip(rule.targets.keys()).map(move |(place, node)| (rule, place, node)))
        .collect();
    let ids = targets.iter().map(|(rule, ..)| Some(rule.rule_id.as_str())).collect::<StringArray>();
    let places = targets.iter().map(|(_, place, _)| i32::try_from(*place).ok()).collect::<Int32Array>();
    let mut weights = ListBuilder::new(Decimal128Builder::new().with_data_type(WEIGHT))
        .with_field(Arc::new(Field::new_list_field(WEIGHT, true)));
    for (rule, ..) in &targets {
        weights.append_value(integer_weights(rule).into_iter().map(|weight| i128::try_from(weight).ok()));
    }
    let level = |level: usize| -> ArrayRef {
        let names = targets.iter().map(|(_, _, node)| node.levels().get(level).cloned().flatten());
        Arc::new(names.collect::<StringArray>())
    };
    let mut columns: Vec<(&str, ArrayRef)> =
        vec![("target_rule_id", Arc::new(ids)), ("place", Arc::new(places)), ("weights", Arc::new(weights.finish()))];
    columns.extend((0..).zip(Node::LEVELS).map(|(at, name)| (name, level(at))));
    let columns = columns.into_iter().map(|(name, column)| (name, column, true));
    session.read_batch(RecordBatch::try_from_iter_with_nullable(columns)?)
}
