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
