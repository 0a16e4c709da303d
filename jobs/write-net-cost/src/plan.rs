//! Net cost per cell and rolled up.

use std::sync::Arc;

use arrow::array::{ArrayRef, Decimal128Array, Int32Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use credit_ledger::{Money, Node};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{col, lit};
use datafusion::prelude::{DataFrame, Expr};
use schemas::TableRow;
use schemas::reference::Budget;
use schemas::tables::{NetCost, NetCostSummary};

const CELL: [&str; 9] = [
    "usage_date",
    "payer_account_id",
    "account_id",
    "service",
    "currency",
    "business_unit",
    "department",
    "portfolio",
    "product",
];
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
    both_books(cells_and_draws(cells, consumption)?)?.sort(in_order(&CELL))?.select_columns(&columns)
}

/// One row per cell: its measures, and what was drawn from it. Draws are rows of their cell with nothing but `used`.
fn cells_and_draws(cells: DataFrame, consumption: DataFrame) -> Result<DataFrame> {
    let row = |is_draw: bool| {
        let mut columns = cols(&CELL);
        columns.extend(MEASURES.iter().map(|measure| {
            let own = (*measure == "used") == is_draw;
            if own { col(*measure) } else { no_money().alias(*measure) }
        }));
        columns
    };
    cells.select(row(false))?.union(consumption.select(row(true))?)?.aggregate(cols(&CELL), sums(&MEASURES))
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

/// `net_cost_summary` of one period: every node with cost at or below it, or a budget.
///
/// # Errors
/// The plan's.
pub fn summary(net_cost: &DataFrame, budgets: DataFrame) -> Result<DataFrame> {
    let keys = [&["level", "currency"], &Node::LEVELS[..]].concat();
    let mut rows = budgets;
    for level in 0..=Node::LEVELS.len() {
        rows = rows.union(level_rows(net_cost, level)?)?;
    }
    let measures = [&ROLLED_UP[..], &["budget_amount"]].concat();
    let columns: Vec<&str> = NetCostSummary::TABLE.column_names().collect();
    let order = [&["currency", "level"], &Node::LEVELS[..]].concat();
    rows.aggregate(cols(&keys), sums(&measures))?
        .with_column("budget_remaining", col("budget_amount") - col("net_cost"))?
        .sort(in_order(&order))?
        .select_columns(&columns)
}

/// Net cost of all cells at or below each node of one level.
fn level_rows(net_cost: &DataFrame, level: usize) -> Result<DataFrame> {
    let (kept, dropped) = Node::LEVELS.split_at(level);
    let named = match kept.last() {
        Some(lowest) => net_cost.clone().filter(col(*lowest).is_not_null())?,
        None => net_cost.clone(),
    };
    let by_node = named.aggregate([cols(&["currency"]), cols(kept)].concat(), sums(&ROLLED_UP))?;
    let null_text = |name: &str| Expr::Literal(ScalarValue::Utf8(None), None).alias(name);
    let null_money = Expr::Literal(ScalarValue::Decimal128(None, Money::PRECISION, Money::SCALE), None);
    let mut columns = vec![lit(i32::try_from(level).unwrap_or(0)).alias("level"), col("currency")];
    columns.extend(cols(kept));
    columns.extend(dropped.iter().map(|name| null_text(name)));
    columns.extend(cols(&ROLLED_UP));
    columns.push(null_money.alias("budget_amount"));
    by_node.select(columns)
}

/// Budgets as rows of the summary without any cost.
///
/// # Errors
/// Arrow's; none for checked budgets.
pub fn budget_rows(budgets: &[&Budget]) -> Result<RecordBatch> {
    let money = || Ok::<_, datafusion::error::DataFusionError>(schemas::money_type());
    let level = |budget: &Budget| i32::try_from(budget.node.as_ref().map_or(0, Node::level)).unwrap_or(0);
    let mut fields = vec![Field::new("level", DataType::Int32, false), Field::new("currency", DataType::Utf8, false)];
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(budgets.iter().map(|budget| Some(level(budget))).collect::<Int32Array>()),
        Arc::new(budgets.iter().map(|budget| Some(budget.currency.as_str())).collect::<StringArray>()),
    ];
    for (index, name) in Node::LEVELS.into_iter().enumerate() {
        let names = budgets.iter().map(|budget| budget.node.as_ref()?.levels().get(index).cloned().flatten());
        fields.push(Field::new(name, DataType::Utf8, true));
        columns.push(Arc::new(names.collect::<StringArray>()));
    }
    let amounts = |units: Vec<i128>| {
        Ok::<ArrayRef, datafusion::error::DataFusionError>(Arc::new(
            Decimal128Array::from(units).with_precision_and_scale(Money::PRECISION, Money::SCALE)?,
        ))
    };
    for name in ROLLED_UP {
        fields.push(Field::new(name, money()?, true));
        columns.push(amounts(vec![0; budgets.len()])?);
    }
    fields.push(Field::new("budget_amount", money()?, true));
    columns.push(amounts(budgets.iter().map(|budget| budget.amount.units()).collect())?);
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

/// Sums over a whole period by currency, for the reconciliation: `currency, invoice_net, net_cost, clearing`.
///
/// # Errors
/// The plan's.
pub fn totals(net_cost: DataFrame) -> Result<DataFrame> {
    net_cost.aggregate(cols(&["currency"]), sums(&["invoice_net", "net_cost", "clearing"]))
}

/// What each node itself costs, its descendants left out: level 1 to 4, for the check of the roll-up.
///
/// # Errors
/// The plan's.
pub fn own_costs(net_cost: DataFrame) -> Result<DataFrame> {
    let keys = [&["currency"], &Node::LEVELS[..]].concat();
    net_cost.aggregate(cols(&keys), sums(&ROLLED_UP))
}

/// Draws by credit: `credit_key, used`.
///
/// # Errors
/// The plan's.
pub fn used_by_credit(consumption: DataFrame) -> Result<DataFrame> {
    consumption.aggregate(cols(&["credit_key"]), sums(&["used"]))
}

/// Draws and losses to date by credit: `credit_key, used, expired`.
///
/// # Errors
/// The plan's.
pub fn position_by_credit(balances: DataFrame) -> Result<DataFrame> {
    balances.aggregate(cols(&["credit_key"]), sums(&["used", "expired"]))
}

/// Cells that break their bounds; none if all is well.
///
/// # Errors
/// The plan's.
pub fn overdrawn(net_cost: DataFrame) -> Result<DataFrame> {
    let drawn = no_money() - col("credits_applied");
    let beyond = drawn.clone().gt(col("eligible_charges")).and(drawn.clone().not_eq(no_money()));
    net_cost.filter(beyond.or(drawn.lt(no_money())))
}
