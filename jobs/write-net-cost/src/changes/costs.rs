//! Net cost of one month in two runs.

use std::collections::BTreeMap;

use credit_ledger::{BillingPeriod, MoneyError, Node, Text};
use schemas::NodeColumns;
use schemas::tables::NetCostSummary;

use super::model::{BudgetChange, MonthChange, UnitChange};
use super::reasons::{Evidence, reasons};
use super::tables::{Credits, MonthTables, NodeRows};

type Path = [Option<Text>; 4];

/// The rows of one currency by level and path.
type Nodes<'a> = BTreeMap<(i32, Path), NodeRows<'a>>;

fn by_currency<'a>(from: &'a MonthTables, to: &'a MonthTables) -> BTreeMap<Text, Nodes<'a>> {
    let mut nodes: BTreeMap<Text, Nodes<'a>> = BTreeMap::new();
    let place = |row: &NetCostSummary| {
        let levels = [&row.business_unit, &row.department, &row.portfolio, &row.product];
        (row.level, levels.map(Clone::clone))
    };
    for row in &from.summary {
        nodes.entry(row.currency.clone()).or_default().entry(place(row)).or_default().from = Some(row);
    }
    for row in &to.summary {
        nodes.entry(row.currency.clone()).or_default().entry(place(row)).or_default().to = Some(row);
    }
    nodes
}

/// What changed in a month, by currency; none where nothing did.
///
/// # Errors
/// [`MoneyError`] where a difference leaves the range of money.
pub fn month_changes(
    period: BillingPeriod,
    from: &MonthTables,
    to: &MonthTables,
    evidence: &Evidence,
    credits: &Credits<'_>,
) -> Result<Vec<MonthChange>, MoneyError> {
    let mut changes = Vec::new();
    for (currency, nodes) in by_currency(from, to) {
        let budgets = budgets(&nodes);
        let nodes_changed = nodes.values().filter(|rows| rows.level() > 0 && rows.is_changed()).count();
        if nodes_changed == 0 && budgets.is_empty() {
            continue;
        }
        let units = nodes.iter().filter(|((level, _), rows)| *level == 1 && rows.is_changed());
        let business_units = units.map(|((_, path), rows)| unit(path, rows)).collect::<Result<_, _>>()?;
        let rows: Vec<&NodeRows<'_>> = nodes.values().collect();
        let why = reasons(&currency, (from, to), &rows, !budgets.is_empty(), evidence, credits)?;
        let change = MonthChange { billing_period: period, currency, business_units, nodes_changed, budgets, why };
        changes.push(change);
    }
    Ok(changes)
}

fn unit(path: &Path, rows: &NodeRows<'_>) -> Result<UnitChange, MoneyError> {
    Ok(UnitChange {
        business_unit: path.iter().flatten().next().cloned().unwrap_or_default(),
        gross_cost: rows.change(|row| row.gross_cost)?,
        refunds: rows.change(|row| row.refunds)?,
        aws_credits: rows.change(|row| row.aws_credits)?,
        credits_applied: rows.change(|row| row.credits_applied)?,
        net_cost: rows.change(|row| row.net_cost)?,
        clearing: rows.change(|row| row.clearing)?,
    })
}

fn budgets(nodes: &Nodes<'_>) -> Vec<BudgetChange> {
    let budget = |row: Option<&NetCostSummary>| row.and_then(|row| row.budget_amount);
    let change = |rows: &NodeRows<'_>| {
        let (from, to) = (budget(rows.from), budget(rows.to));
        let node: Option<Node> = rows.to.or(rows.from).and_then(|row| row.node().ok());
        (from != to).then_some(BudgetChange { node, from, to })
    };
    nodes.values().filter_map(change).collect()
}
