//! Sums of draws per cell, and of net cost per node.

use credit_ledger::{Money, Node};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{col, lit, when};
use datafusion::prelude::{DataFrame, Expr};
use schemas::TableRow;
use schemas::tables::{NetCost, NodeCost};

const ROLLED_UP: [&str; 7] =
    ["gross_cost", "refunds", "aws_credits", "invoice_net", "credits_applied", "net_cost", "clearing"];

fn no_money() -> Expr {
    Expr::Literal(ScalarValue::Decimal128(Some(0), Money::PRECISION, Money::SCALE), None)
}

fn sums(measures: &[&str]) -> Vec<Expr> {
    measures.iter().map(|measure| money_sql::sum(col(*measure)).alias(*measure)).collect()
}

fn cols(names: &[&str]) -> Vec<Expr> {
    names.iter().map(|name| col(*name)).collect()
}

/// What was drawn from each cell as `used`, in order of the grain of `net_cost`.
///
/// # Errors
/// The plan's.
pub fn drawn_from_cells(consumption: DataFrame) -> Result<DataFrame> {
    let keys = NetCost::TABLE.keys();
    let sums = consumption.aggregate(cols(keys), sums(&["used"]))?;
    sums.sort(keys.iter().map(|key| col(*key).sort(true, true)).collect())
}

/// What each node itself costs, its descendants left out.
///
/// # Errors
/// The plan's.
pub fn node_costs(net_cost: DataFrame) -> Result<DataFrame> {
    let keys = [&["currency"], &Node::LEVELS[..]].concat();
    let columns: Vec<&str> = NodeCost::TABLE.column_names().collect();
    let broken = when(breaks_bounds(), lit(1_i64)).otherwise(lit(0_i64))?;
    let mut amounts = sums(&ROLLED_UP);
    amounts.push(money_sql::sum(broken).alias("overdrawn_cells"));
    net_cost.aggregate(cols(&keys), amounts)?.select_columns(&columns)
}

/// Cells that break their bounds; none if all is well.
///
/// # Errors
/// The plan's.
pub fn overdrawn(net_cost: DataFrame) -> Result<DataFrame> {
    net_cost.filter(breaks_bounds())
}

/// `0 <= drawn <= eligible` does not hold; nothing is drawn where nothing is eligible.
fn breaks_bounds() -> Expr {
    let drawn = no_money() - col("credits_applied");
    drawn.clone().gt(col("eligible_charges")).and(drawn.clone().not_eq(no_money())).or(drawn.lt(no_money()))
}
