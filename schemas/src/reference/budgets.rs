//! `budgets.csv`: what a node may cost in a billing period, net of credits.

use std::collections::BTreeMap;

use credit_ledger::{BillingPeriod, Money, Node, Text};

use super::csv_file::{CsvFile, Problem, Problems, Row};
use super::hierarchy::Hierarchy;

/// One budget row.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Budget {
    /// Period.
    pub billing_period: BillingPeriod,
    /// Node; `None`: everything.
    pub node: Option<Node>,
    /// ISO 4217 code.
    pub currency: Text,
    /// Zero or more.
    pub amount: Money,
}

/// Reads `budgets.csv` and checks it against the hierarchy.
///
/// # Errors
/// All [`Problems`] of the file: unknown nodes, periods beyond [`YEARS`](credit_ledger::YEARS), two rows for one period,
/// node and currency.
pub fn parse_budgets(file: &str, bytes: &[u8], hierarchy: &Hierarchy) -> Result<Vec<Budget>, Problems> {
    let required = [&["billing_period"], &Node::LEVELS[..], &["currency", "amount"]].concat();
    let csv = CsvFile::parse(file, bytes, &required, &[])?;
    let mut problems = Problems::default();
    let mut budgets = Vec::new();
    let mut seen = BTreeMap::new();
    for row in csv.rows() {
        let budget = match budget_row(&row, hierarchy) {
            Ok(budget) => budget,
            Err(problem) => {
                problems.0.push(problem);
                continue;
            }
        };
        let key = (budget.billing_period, budget.node.clone(), budget.currency.clone());
        if let Some(earlier) = seen.insert(key, row.row) {
            let node = budget.node.as_ref().map_or_else(|| "the whole".to_owned(), ToString::to_string);
            let message = format!(
                "a second budget of {} for {node} in {}, after row {earlier}; keep one of them",
                budget.billing_period, budget.currency
            );
            problems.0.push(row.problem("", message));
        }
        budgets.push(budget);
    }
    csv.or(problems, budgets)
}

fn budget_row(row: &Row<'_>, hierarchy: &Hierarchy) -> Result<Budget, Problem> {
    let node = row.node()?;
    if let Some(node) = node.as_ref().filter(|node| !hierarchy.contains(node)) {
        return Err(row.problem(Node::LEVELS[0], format!("node {node} is not in hierarchy.csv")));
    }
    let amount = row.money("amount")?;
    if amount.is_negative() {
        return Err(row.problem("amount", format!("{amount} is below zero")));
    }
    let billing_period: BillingPeriod = row.require("billing_period")?;
    let billing_period =
        billing_period.within_years().map_err(|wrong| row.problem("billing_period", wrong.to_string()))?;
    Ok(Budget { billing_period, node, currency: row.currency()?, amount })
}
