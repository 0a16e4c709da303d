//! Net cost up the hierarchy, beside the budgets.

use std::collections::BTreeMap;

use credit_ledger::{Money, MoneyError, Node, Text};
use schemas::reference::Budget;
use schemas::tables::{NetCostSummary, NodeCost};

/// The amounts that roll up: gross cost, refunds, AWS credits, invoice net, credits applied, net cost, clearing.
pub type Amounts = [Money; 7];

/// Currency, level and path: the order of the table.
type Place = (Text, usize, Vec<Text>);

/// The amounts of a node's own cost.
#[must_use]
pub const fn own_amounts(row: &NodeCost) -> Amounts {
    [row.gross_cost, row.refunds, row.aws_credits, row.invoice_net, row.credits_applied, row.net_cost, row.clearing]
}

/// The amounts of a summary row.
#[must_use]
pub const fn amounts(row: &NetCostSummary) -> Amounts {
    [row.gross_cost, row.refunds, row.aws_credits, row.invoice_net, row.credits_applied, row.net_cost, row.clearing]
}

/// Adds amounts one by one.
///
/// # Errors
/// [`MoneyError`] where a sum leaves the range of money.
pub fn add(sum: &mut Amounts, amounts: Amounts) -> Result<(), MoneyError> {
    for (sum, amount) in sum.iter_mut().zip(amounts) {
        *sum = sum.checked_add(amount)?;
    }
    Ok(())
}

/// The names of a row's node from the top.
#[must_use]
pub fn path(levels: [&Option<Text>; 4]) -> Vec<Text> {
    levels.into_iter().flatten().cloned().collect()
}

/// `net_cost_summary` of one period, in order of the table's grain: every node with cost at or below it, or a budget.
///
/// `costs` holds what each node itself costs; it counts for the node, for all above it, and for the whole (level 0).
///
/// # Errors
/// [`MoneyError`] where a sum leaves the range of money.
pub fn summary(costs: &[NodeCost], budgets: &[&Budget]) -> Result<Vec<NetCostSummary>, MoneyError> {
    let mut nodes: BTreeMap<Place, (Amounts, Option<Money>)> = BTreeMap::new();
    for row in costs {
        let path = path([&row.business_unit, &row.department, &row.portfolio, &row.product]);
        for level in 0..=path.len() {
            let names = path.get(..level).unwrap_or_default().to_vec();
            let (sum, _) = nodes.entry((row.currency.clone(), level, names)).or_default();
            add(sum, own_amounts(row))?;
        }
    }
    for budget in budgets {
        let path: Vec<Text> =
            budget.node.as_ref().map(Node::levels).unwrap_or_default().into_iter().flatten().collect();
        let (_, amount) = nodes.entry((budget.currency.clone(), path.len(), path)).or_default();
        *amount = Some(budget.amount);
    }
    nodes.into_iter().map(|(place, (sum, budget))| row(place, sum, budget)).collect()
}

fn row(
    (currency, level, names): Place,
    [gross_cost, refunds, aws_credits, invoice_net, credits_applied, net_cost, clearing]: Amounts,
    budget_amount: Option<Money>,
) -> Result<NetCostSummary, MoneyError> {
    let mut names = names.into_iter();
    Ok(NetCostSummary {
        level: i32::try_from(level).unwrap_or(0),
        business_unit: names.next(),
        department: names.next(),
        portfolio: names.next(),
        product: names.next(),
        currency,
        gross_cost,
        refunds,
        aws_credits,
        invoice_net,
        credits_applied,
        net_cost,
        clearing,
        budget_amount,
        budget_remaining: budget_amount.map(|budget| budget.checked_sub(net_cost)).transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(text: &str) -> Money {
        text.parse().unwrap()
    }

    /// `Retail/Web 100 -5 -40 -30`: node, gross cost, refunds, AWS credits, credits applied.
    fn cost(text: &str, currency: &str) -> NodeCost {
        let words: Vec<&str> = text.split_whitespace().collect();
        let mut names = words[0].split('/').map(Text::new);
        let [gross_cost, refunds, aws_credits, credits_applied] = [1, 2, 3, 4].map(|word| money(words[word]));
        let invoice_net = Money::total([gross_cost, refunds, aws_credits]).unwrap();
        let net_cost = Money::total([gross_cost, refunds, credits_applied]).unwrap();
        NodeCost {
            currency: currency.into(),
            business_unit: names.next(),
            department: names.next(),
            portfolio: names.next(),
            product: names.next(),
            gross_cost,
            refunds,
            aws_credits,
            invoice_net,
            credits_applied,
            net_cost,
            clearing: invoice_net.checked_sub(net_cost).unwrap(),
            overdrawn_cells: 0,
        }
    }

    fn budget(path: &str, currency: &str, amount: &str) -> Budget {
        let mut names = path.split('/').filter(|name| !name.is_empty());
        let node = Node::from_levels(std::array::from_fn(|_| names.next())).ok();
        Budget { billing_period: "2026-01".parse().unwrap(), node, currency: currency.into(), amount: money(amount) }
    }

    fn short(money: Money) -> String {
        money.to_string().trim_end_matches('0').trim_end_matches('.').to_owned()
    }

    /// `1 Retail USD: 10 gross, 5 invoiced, 7 net, -2 clearing`, and the budget where there is one.
    fn told(costs: &[NodeCost], budgets: &[Budget]) -> Vec<String> {
        let rows = summary(costs, &budgets.iter().collect::<Vec<_>>()).unwrap();
        let line = |row: &NetCostSummary| {
            let names = path([&row.business_unit, &row.department, &row.portfolio, &row.product]).join("/");
            let [gross, _, _, invoiced, _, net, clearing] = amounts(row).map(short);
            let budget = row.budget_amount.zip(row.budget_remaining);
            let budget =
                budget.map(|(budget, left)| format!(", {} of {}", short(left), short(budget))).unwrap_or_default();
            format!("{} {names} {}: {gross} {invoiced} {net} {clearing}{budget}", row.level, row.currency)
        };
        rows.iter().map(line).collect()
    }

    #[test]
    fn every_level_is_its_own_cost_and_all_below_in_both_books() {
        let costs = [
            cost("Retail 10 0 0 0", "USD"),
            cost("Retail/Online/Shop 20 0 0 0", "USD"),
            cost("Retail/Online/Shop/Web 100 -5 -40 -30", "USD"),
            cost("Media/Online 7 0 0 -7", "USD"),
            cost("Unassigned 3 0 0 0", "USD"),
        ];
        let expected = [
            "0  USD: 140 95 98 -3",
            "1 Media USD: 7 7 0 7",
            "1 Retail USD: 130 85 95 -10",
            "1 Unassigned USD: 3 3 3 0",
            "2 Media/Online USD: 7 7 0 7",
            "2 Retail/Online USD: 120 75 85 -10",
            "3 Retail/Online/Shop USD: 120 75 85 -10",
            "4 Retail/Online/Shop/Web USD: 100 55 65 -10",
        ];
        assert_eq!(told(&costs, &[]), expected);
    }

    #[test]
    fn budgets_stand_at_their_own_node_in_their_own_currency_and_are_never_summed() {
        let costs = [cost("Retail/Online 100 0 0 -30", "USD"), cost("Retail/Online 1 0 0 0", "EUR")];
        let budgets = [
            budget("Retail/Online", "USD", "60.5"),
            budget("Retail", "USD", "500"),
            budget("", "EUR", "0"),
            budget("Logistics/Trucks", "USD", "40"),
            budget("", "CHF", "9"),
        ];
        let expected = [
            "0  CHF: 0 0 0 0, 9 of 9",
            "0  EUR: 1 1 1 0, -1 of 0",
            "1 Retail EUR: 1 1 1 0",
            "2 Retail/Online EUR: 1 1 1 0",
            "0  USD: 100 100 70 30",
            "1 Retail USD: 100 100 70 30, 430 of 500",
            "2 Logistics/Trucks USD: 0 0 0 0, 40 of 40",
            "2 Retail/Online USD: 100 100 70 30, -9.5 of 60.5",
        ];
        assert_eq!(told(&costs, &budgets), expected, "a budget alone makes the row of its node, not of those above");
        assert_eq!(told(&[], &[]), [""; 0]);
    }

    #[test]
    fn cost_that_was_given_back_whole_keeps_its_row() {
        let costs = [cost("Retail/Online 5 -5 0 0", "USD"), cost("Retail/Shops 0 -2.5 0 0", "USD")];
        let expected = [
            "0  USD: 5 -2.5 -2.5 0",
            "1 Retail USD: 5 -2.5 -2.5 0",
            "2 Retail/Online USD: 5 0 0 0",
            "2 Retail/Shops USD: 0 -2.5 -2.5 0",
        ];
        assert_eq!(told(&costs, &[]), expected);
    }

    #[test]
    fn sums_and_budgets_that_money_does_not_hold_are_errors() {
        let most = "9999999999999999999999999999.9999999999";
        let costs = [cost(&format!("Retail/A {most} 0 0 0"), "USD"), cost("Retail/B 0.0000000001 0 0 0", "USD")];
        assert_eq!(summary(&costs, &[]), Err(MoneyError::Overflow));
        assert!(summary(&costs[..1], &[]).is_ok() && summary(&costs[1..], &[]).is_ok());
        let refunded = [cost("Retail 0 -0.0000000001 0 0", "USD")];
        assert_eq!(summary(&refunded, &[&budget("Retail", "USD", most)]), Err(MoneyError::Overflow));
    }
}
