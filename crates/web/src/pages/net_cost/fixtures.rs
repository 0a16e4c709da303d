//! Rows for tests.

use credit_ledger::{BillingPeriod, Money, Node};
use schemas::tables::NetCostSummary;

pub(super) fn month(text: &str) -> BillingPeriod {
    text.parse().unwrap()
}

pub(super) fn node(path: &str) -> Node {
    application::typed::node(path).unwrap()
}

/// A row of a node, or of everything: gross cost, refunds, credits applied; budget.
pub(super) fn summary(path: &str, amounts: [&str; 3], budget: Option<&str>) -> NetCostSummary {
    let [gross_cost, refunds, credits_applied]: [Money; 3] = amounts.map(|text| text.parse().unwrap());
    let net_cost = Money::total([gross_cost, refunds, credits_applied]).unwrap();
    let budget_amount = budget.map(|text| text.parse::<Money>().unwrap());
    let node = (!path.is_empty()).then(|| node(path));
    let level = node.as_ref().map_or(0, Node::level);
    let [business_unit, department, portfolio, product] = node.as_ref().map(Node::levels).unwrap_or_default();
    NetCostSummary {
        level: i32::try_from(level).unwrap(),
        business_unit,
        department,
        portfolio,
        product,
        currency: "USD".into(),
        gross_cost,
        refunds,
        aws_credits: Money::ZERO,
        invoice_net: gross_cost,
        credits_applied,
        net_cost,
        clearing: gross_cost.checked_sub(net_cost).unwrap(),
        budget_amount,
        budget_remaining: budget_amount.map(|budget| budget.checked_sub(net_cost).unwrap()),
    }
}
