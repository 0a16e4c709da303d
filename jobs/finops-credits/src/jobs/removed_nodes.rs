//! Nodes that are published and are gone from `hierarchy.csv`: what hangs on them is not restated in silence.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDateTime;
use credit_ledger::{BillingPeriod, Money, MoneyError, Node, Text};
use join_allocations::join::join;
use schemas::reference::Hierarchy;
use schemas::tables::{AllocationLogRow, HierarchyRow, LotRow, NetCostSummary, RegisteredCredit};
use schemas::{NodeColumns, TableRow};

use crate::money_text::cents;
use crate::run::App;
use crate::{Failure, Kind};

/// Nodes, and lots of a node, that the error lists.
const LISTED: usize = 20;

const WHAT_TO_DO: &str = "nodes of the published run are gone from hierarchy.csv, but something hangs on them. Put them \
                          back, or move their allocations to other nodes; with --accept-removed-nodes their months are \
                          restated, and their allocations cannot be used:";

/// What hangs on a node that is gone.
#[derive(Debug, Default)]
struct Hanging {
    lots: Vec<String>,
    /// Cost of its own by currency, and the months that have some.
    costs: BTreeMap<Text, (Money, BTreeSet<BillingPeriod>)>,
    budgets: BTreeSet<BillingPeriod>,
}

/// Stops a run that would restate what hangs on nodes of the published run that are gone.
///
/// # Errors
/// [`Kind::BadInput`] that lists them.
pub(super) async fn refuse(
    app: &App,
    hierarchy: &Hierarchy,
    register: &[RegisteredCredit],
    log: &[AllocationLogRow],
    latest: NaiveDateTime,
) -> Result<(), Failure> {
    let published: Vec<HierarchyRow> = app.lake.published_table().await?;
    let published = published.iter().filter_map(|row| row.node().ok());
    let removed: BTreeSet<Node> = published.filter(|node| !hierarchy.contains(node)).collect();
    if removed.is_empty() {
        return Ok(());
    }
    let mut hanging: BTreeMap<Node, Hanging> = BTreeMap::new();
    let before = join(register, log, &hierarchy.with(&removed), latest);
    add_lots(&mut hanging, &removed, &before.lots);
    for month in app.lake.sound_months(&[NetCostSummary::TABLE]).await? {
        add_month(&mut hanging, &removed, month, &app.lake.published_rows(month).await?)?;
    }
    if hanging.is_empty() {
        return Ok(());
    }
    let more = hanging.len().saturating_sub(LISTED);
    let listed = hanging.iter().take(LISTED).map(|(node, hanging)| format!("{node}: {}", hanging.text()));
    let more = (more > 0).then(|| format!("and {more} more nodes"));
    Err(Failure::list(Kind::BadInput, WHAT_TO_DO, listed.chain(more)))
}

fn add_lots(hanging: &mut BTreeMap<Node, Hanging>, removed: &BTreeSet<Node>, lots: &[LotRow]) {
    for lot in lots {
        if let Some(node) = lot.node().ok().filter(|node| removed.contains(node)) {
            let text = format!("lot {} of {}, {} {}", lot.lot, lot.credit_key, cents(lot.amount), lot.currency);
            hanging.entry(node).or_default().lots.push(text);
        }
    }
}

/// Amounts that are zero where a node has no cost of its own: gross cost, and what was taken off it in both books.
type Own = [Money; 3];

/// Adds what a published month has of removed nodes: cost of their own is that of the node without the nodes below.
fn add_month(
    hanging: &mut BTreeMap<Node, Hanging>,
    removed: &BTreeSet<Node>,
    month: BillingPeriod,
    rows: &[NetCostSummary],
) -> Result<(), MoneyError> {
    let mut own: BTreeMap<(Node, &Text), Own> = BTreeMap::new();
    for row in rows {
        let Ok(node) = row.node() else { continue };
        if row.budget_amount.is_some() && removed.contains(&node) {
            hanging.entry(node.clone()).or_default().budgets.insert(month);
        }
        let whole = [row.gross_cost, row.invoice_net, row.net_cost];
        let parent = node.level().checked_sub(2).and_then(|at| node.lineage().nth(at));
        for (sum, amount) in own.entry((node, &row.currency)).or_default().iter_mut().zip(whole) {
            *sum = sum.checked_add(amount)?;
        }
        let Some(parent) = parent else { continue };
        for (sum, amount) in own.entry((parent, &row.currency)).or_default().iter_mut().zip(whole) {
            *sum = sum.checked_sub(amount)?;
        }
    }
    for ((node, currency), own) in own {
        if removed.contains(&node) && own.iter().any(|amount| !amount.is_zero()) {
            let (sum, months) = hanging.entry(node).or_default().costs.entry(currency.clone()).or_default();
            *sum = sum.checked_add(own[0])?;
            months.insert(month);
        }
    }
    Ok(())
}

impl Hanging {
    fn text(&self) -> String {
        let mut parts: Vec<String> = self.lots.iter().take(LISTED).cloned().collect();
        if self.lots.len() > LISTED {
            parts.push(format!("{} more lots", self.lots.len() - LISTED));
        }
        let cost = |(currency, (sum, in_months)): (&Text, &(Money, _))| {
            format!("cost of its own {} {currency} in {}", cents(*sum), months(in_months))
        };
        parts.extend(self.costs.iter().map(cost));
        if !self.budgets.is_empty() {
            parts.push(format!("budgets of {}", months(&self.budgets)));
        }
        parts.join("; ")
    }
}

/// `2026-01`, `2026-01 to 2026-03`, or where months between are missing `2 months from 2026-01 to 2026-03`.
fn months(of: &BTreeSet<BillingPeriod>) -> String {
    let (Some(first), Some(last)) = (of.first(), of.last()) else { return String::new() };
    if first == last {
        return first.to_string();
    }
    let without_gap = first.through(*last).count() == of.len();
    if without_gap { format!("{first} to {last}") } else { format!("{} months from {first} to {last}", of.len()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(path: &[&str], gross: &str, budget: Option<&str>) -> NetCostSummary {
        let level = |level: usize| path.get(level).map(|name| Text::new(*name));
        let money = |text: &str| text.parse::<Money>().unwrap();
        NetCostSummary {
            level: i32::try_from(path.len()).unwrap(),
            business_unit: level(0),
            department: level(1),
            portfolio: level(2),
            product: level(3),
            currency: "USD".into(),
            gross_cost: money(gross),
            refunds: Money::ZERO,
            aws_credits: Money::ZERO,
            invoice_net: money(gross),
            credits_applied: Money::ZERO,
            net_cost: money(gross),
            clearing: Money::ZERO,
            budget_amount: budget.map(money),
            budget_remaining: None,
        }
    }

    #[test]
    fn cost_of_a_removed_node_is_that_without_the_nodes_below() {
        let node = |path: &[&str]| Node::from_levels(std::array::from_fn(|level| path.get(level))).unwrap();
        let removed = BTreeSet::from([node(&["A"]), node(&["A", "B"]), node(&["A", "C"]), node(&["D"])]);
        let mut hanging = BTreeMap::new();
        let rows = [
            row(&[], "9", Some("1")),
            row(&["A"], "9", None),
            row(&["A", "B"], "9", None),
            row(&["A", "C"], "0", Some("7")),
            row(&["E"], "3", Some("3")),
        ];
        for month in ["2026-01", "2026-03"] {
            add_month(&mut hanging, &removed, month.parse().unwrap(), &rows).unwrap();
        }
        let found: Vec<String> = hanging.iter().map(|(node, hanging)| format!("{node}: {}", hanging.text())).collect();
        let expected = [
            "A/B: cost of its own 18.00 USD in 2 months from 2026-01 to 2026-03",
            "A/C: budgets of 2 months from 2026-01 to 2026-03",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn months_are_told_in_short() {
        let of = |periods: &[&str]| months(&periods.iter().map(|period| period.parse().unwrap()).collect());
        assert_eq!(of(&["2026-01"]), "2026-01");
        assert_eq!(of(&["2025-12", "2026-01"]), "2025-12 to 2026-01");
    }
}
