//! Net cost per cell and per node.

use credit_ledger::{Money, Node};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{col, lit, when};
use datafusion::prelude::{DataFrame, Expr};
use schemas::TableRow;
use schemas::tables::{NetCost, NodeCost};

const MEASURES: [&str; 7] =
    ["charges", "tax", "refunds", "aws_credits", "eligible_charges", "unblended_charges", "used"];
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

fn in_order(names: &[&str]) -> Vec<datafusion::logical_expr::SortExpr> {
    names.iter().map(|name| col(*name).sort(true, true)).collect()
}

/// `net_cost` of one period, in order of the table's grain.
///
/// # Errors
/// The plan's.
pub fn net_cost(cells: DataFrame, consumption: DataFrame) -> Result<DataFrame> {
    let columns: Vec<&str> = NetCost::TABLE.column_names().collect();
    both_books(cells_and_draws(cells, consumption)?)?.sort(in_order(NetCost::TABLE.keys()))?.select_columns(&columns)
}

/// One row per cell: its measures, and what was drawn from it. Draws are rows of their cell with nothing but `used`.
fn cells_and_draws(cells: DataFrame, consumption: DataFrame) -> Result<DataFrame> {
    let row = |is_draw: bool| {
        let mut columns = cols(NetCost::TABLE.keys());
        columns.extend(MEASURES.iter().map(|measure| {
            let own = (*measure == "used") == is_draw;
            if own { col(*measure) } else { no_money().alias(*measure) }
        }));
        columns
    };
    cells
        .select(row(false))?
        .union(consumption.select(row(true))?)?
        .aggregate(cols(NetCost::TABLE.keys()), sums(&MEASURES))
}

fn both_books(cells: DataFrame) -> Result<DataFrame> {
    let gross_cost = col("charges") + col("tax");
    let invoice_net = col("unblended_charges") + col("tax") + col("refunds") + col("aws_credits");
    let credits_applied = no_money() - col("used");
    let net_cost = gross_cost.clone() + col("refunds") + credits_applied.clone();
    cells
        .with_column("gross_cost", gross_cost)?
        .with_column("invoice_net", invoice_net)?
        .with_column("credits_applied", credits_applied)?
        .with_column("net_cost", net_cost)?
        .with_column("clearing", col("invoice_net") - col("net_cost"))
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
