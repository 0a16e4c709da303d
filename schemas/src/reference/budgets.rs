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
/// node and currency. Budgets of nodes that are one in that period add up.
pub fn parse_budgets(file: &str, bytes: &[u8], hierarchy: &Hierarchy) -> Result<Vec<Budget>, Problems> {
    let csv = CsvFile::parse(file, bytes, &["billing_period", "currency", "amount"], &Node::LEVELS)?;
    let mut problems = Problems::default();
    let mut budgets: Vec<Budget> = Vec::new();
    let (mut seen, mut places) = (BTreeMap::new(), BTreeMap::new());
    for row in csv.rows() {
        let budget = match budget_row(&row, hierarchy) {
            Ok(budget) => budget,
            Err(problem) => {
                problems.0.push(problem);
                continue;
            }
        };
        let written = (budget.billing_period, budget.node.clone(), budget.currency.clone());
        if let Some(earlier) = seen.insert(written, row.row) {
            let node = budget.node.as_ref().map_or_else(|| "the whole".to_owned(), ToString::to_string);
            let message = format!(
                "a second budget of {} for {node} in {}, after row {earlier}; keep one of them",
                budget.billing_period, budget.currency
            );
            problems.0.push(row.problem("", message));
        }
        let current = |node| hierarchy.renames().current(&node, budget.billing_period);
        let budget = Budget { node: budget.node.map(current), ..budget };
        let place = places.entry((budget.billing_period, budget.node.clone(), budget.currency.clone()));
        let place = *place.or_insert(budgets.len());
        match budgets.get_mut(place) {
            None => budgets.push(budget),
            Some(sum) => match sum.amount.checked_add(budget.amount) {
                Ok(amount) => sum.amount = amount,
                Err(error) => problems.0.push(row.problem("amount", error.to_string())),
            },
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{parse_hierarchy, parse_renames};

    #[test]
    fn budgets_of_nodes_that_became_one_add_up_from_the_period_on() {
        let raw = parse_hierarchy("hierarchy.csv", b"business_unit\nA\nB\n").unwrap();
        let rows = "from_period,old_business_unit,business_unit\n,Old,A\n2026-03,A,B\n";
        let nodes = raw.nodes().map(|(node, _)| node).collect();
        let renames = parse_renames("renames.csv", rows.as_bytes(), &nodes).unwrap();
        let hierarchy = raw.renamed(renames);
        let rows =
            "billing_period,business_unit,currency,amount\n2026-03,B,USD,5\n2026-02,Old,USD,2\n2026-03,A,USD,3\n";
        let budgets = parse_budgets("budgets.csv", rows.as_bytes(), &hierarchy).unwrap();
        let found = budgets.iter().map(|budget| {
            let node = budget.node.as_ref().map(ToString::to_string).unwrap_or_default();
            format!("{} {node} {}", budget.billing_period, budget.amount)
        });
        assert_eq!(found.collect::<Vec<_>>(), ["2026-03 B 8.0000000000", "2026-02 A 2.0000000000"]);
        let twice = format!("{rows}2026-02,Old,USD,2\n");
        let problems = parse_budgets("budgets.csv", twice.as_bytes(), &hierarchy).unwrap_err().to_string();
        let expected = "budgets.csv, row 5: a second budget of 2026-02 for Old in USD, after row 3; keep one of them";
        assert_eq!(problems, expected);
    }

    const HEADER: &str = "billing_period,business_unit,department,portfolio,product,currency,amount\n";

    fn parse(rows: &str) -> Result<Vec<Budget>, Problems> {
        let levels = "business_unit,department,portfolio,product\nRetail,Online,Shop,Web\nMedia,,,\n";
        let hierarchy = parse_hierarchy("hierarchy.csv", levels.as_bytes()).unwrap();
        parse_budgets("budgets.csv", format!("{HEADER}{rows}").as_bytes(), &hierarchy)
    }

    #[test]
    fn the_whole_and_nodes_of_any_level_have_budgets_of_their_own_in_each_currency() {
        let rows = "2026-01,,,,,USD,1000\n2026-01,,,,,EUR,0\n2026-01,Retail,,,,USD,600.5\n\
                    2026-01,Retail,Online,Shop,Web,USD,.0000000001\n2026-02,Retail,,,,USD, 600.50 \n";
        let found = parse(rows).unwrap().into_iter().map(|Budget { billing_period, node, currency, amount }| {
            let node = node.map_or_else(|| "the whole".to_owned(), |node| node.to_string());
            format!("{billing_period} {node} {amount} {currency}")
        });
        let expected = [
            "2026-01 the whole 1000.0000000000 USD",
            "2026-01 the whole 0.0000000000 EUR",
            "2026-01 Retail 600.5000000000 USD",
            "2026-01 Retail/Online/Shop/Web 0.0000000001 USD",
            "2026-02 Retail 600.5000000000 USD",
        ];
        assert_eq!(found.collect::<Vec<_>>(), expected, "in the order of the file, never summed");
    }

    #[test]
    fn bad_rows_are_all_named() {
        let rows = "2026-01,Retail,,,,USD,\n2026-01,Retail,,,,,5\n,Retail,,,,USD,5\n2026-01,,Online,,,USD,5\n\
                    2026-1,Retail,,,,USD,5\n2026-01,Retail,,,,US,5\n2026-01,Retail,,,,USD,10000000000000000000000000000\n\
                    2026-01,Retail,Shops,,,USD,5\n2026-01,Retail,,,,USD,-0.0000000001\n2026-01,Retail,,,,USD,$5\n\
                    2026-01,,,,,USD,5\n2026-01,,,,,USD,5\n2026-01,Media,,,,USD\n";
        let expected = "budgets.csv, row 2, column amount: is empty\n\
            budgets.csv, row 3, column currency: is empty\n\
            budgets.csv, row 4, column billing_period: is empty\n\
            budgets.csv, row 5, column business_unit: department is set but business_unit is empty\n\
            budgets.csv, row 6, column billing_period: \"2026-1\" is not a billing period (YYYY-MM)\n\
            budgets.csv, row 7, column currency: \"US\" is no currency code (USD)\n\
            budgets.csv, row 8, column amount: \"10000000000000000000000000000\" is too large: more than 38 digits\n\
            budgets.csv, row 9, column business_unit: node Retail/Shops is not in hierarchy.csv\n\
            budgets.csv, row 10, column amount: -0.0000000001 is below zero\n\
            budgets.csv, row 11, column amount: \"$5\" is not an amount (1234.56)\n\
            budgets.csv, row 13: a second budget of 2026-01 for the whole in USD, after row 12; keep one of them\n\
            budgets.csv, row 14: has 6 fields where the header has 7; a text that holds a comma needs quotes";
        assert_eq!(parse(rows).unwrap_err().to_string(), expected);
    }

    #[test]
    fn budgets_that_add_up_to_more_than_money_holds_are_named() {
        let raw = parse_hierarchy("hierarchy.csv", b"business_unit\nA\n").unwrap();
        let nodes = raw.nodes().map(|(node, _)| node).collect();
        let renames = parse_renames("renames.csv", b"old_business_unit,business_unit\nOld,A\n", &nodes).unwrap();
        let hierarchy = raw.renamed(renames);
        let rows = "2026-01,A,,,,USD,9999999999999999999999999999.9999999999\n2026-01,Old,,,,USD,0.0000000001\n";
        let problems = parse_budgets("budgets.csv", format!("{HEADER}{rows}").as_bytes(), &hierarchy).unwrap_err();
        let expected = "budgets.csv, row 3, column amount: amount out of range: more than 38 digits at 10 decimals";
        assert_eq!(problems.to_string(), expected);
    }
}
