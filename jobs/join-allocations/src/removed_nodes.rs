//! Nodes that are published and are gone from `hierarchy.csv`: what hangs on them is not restated in silence.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDateTime;
use credit_ledger::{BillingPeriod, Money, MoneyError, Node, Text};
use lake::Lake;
use schemas::NodeColumns;
use schemas::reference::Hierarchy;
use schemas::tables::{AllocationLogRow, HierarchyRow, LotRow, NetCostSummary, RegisteredCredit};

use crate::error::{JoinError, RemovedNode};
use crate::lots::join;

/// Stops a run that would restate what hangs on nodes of the published run that are gone.
///
/// # Errors
/// [`JoinError::RemovedNodes`] that lists them.
pub(crate) async fn refuse(
    lake: &Lake,
    hierarchy: &Hierarchy,
    register: &[RegisteredCredit],
    log: &[AllocationLogRow],
    latest: NaiveDateTime,
) -> Result<(), JoinError> {
    let published: Vec<HierarchyRow> = lake.published_table().await?;
    let published: BTreeSet<Node> = published.iter().filter_map(|row| row.node().ok()).collect();
    let removed: BTreeSet<Node> = published.iter().filter(|node| !hierarchy.contains(node)).cloned().collect();
    if removed.is_empty() {
        return Ok(());
    }
    let mut hanging: BTreeMap<Node, RemovedNode> = BTreeMap::new();
    add_lots(&mut hanging, &removed, hierarchy, |hierarchy| join(register, log, hierarchy, latest).lots);
    for month in lake.published_periods::<NetCostSummary>().await? {
        add_month(&mut hanging, &removed, month, &lake.published_rows(month).await?)?;
    }
    if hanging.is_empty() {
        return Ok(());
    }
    let new = hierarchy.nodes().map(|(node, _)| node).filter(|node| !published.contains(node)).collect();
    let mut likely = likely_renames(&removed, &new);
    likely.retain(|(old, _)| hanging.keys().any(|node| node.is_at_or_below(old)));
    Err(JoinError::RemovedNodes { removed: hanging, likely })
}

/// How alike two names must be to be taken for one: 1 is the same.
const ALIKE: f64 = 0.6;

/// What removed nodes may be called now, from the top: a new node beside them with a name like theirs, one elsewhere with
/// their name, or the only one at their place. What is below goes along.
fn likely_renames(removed: &BTreeSet<Node>, new: &BTreeSet<&Node>) -> Vec<(Node, Node)> {
    let mut likely: Vec<(Node, Node)> = Vec::new();
    for old in removed {
        let moved = |node: &Node| likely.iter().find_map(|(from, to)| node.rebased(from, to));
        if moved(old).is_some_and(|moved| new.contains(&moved)) {
            continue;
        }
        let parent = old.parent().map(|parent| moved(&parent).unwrap_or(parent));
        let untaken = |node: &&&Node| node.level() == old.level() && likely.iter().all(|(_, taken)| taken != **node);
        let beside: Vec<&&Node> = new.iter().filter(untaken).filter(|node| node.parent() == parent).collect();
        let alike = |node: &Node| strsim::normalized_damerau_levenshtein(&folded(node.name()), &folded(old.name()));
        let nearest = beside.iter().map(|node| (alike(node), **node)).filter(|(score, _)| *score >= ALIKE);
        let nearest = nearest.max_by(|(left, _), (right, _)| left.total_cmp(right)).map(|(_, node)| node);
        let namesake = || only(new.iter().filter(untaken).filter(|node| node.name() == old.name()));
        let is_alone =
            removed.iter().filter(|node| node.parent() == old.parent() && node.level() == old.level()).count() == 1;
        let only_one = || only(beside.iter().copied()).filter(|_| is_alone);
        if let Some(now) = nearest.or_else(|| namesake().copied()).or_else(|| only_one().copied()) {
            likely.push((old.clone(), now.clone()));
        }
    }
    likely
}

fn folded(name: &str) -> String {
    name.to_lowercase()
}

fn only<T>(mut of: impl Iterator<Item = T>) -> Option<T> {
    of.next().filter(|_| of.next().is_none())
}

/// Adds the lots on removed nodes. A lot has the name that its node has now, so it is looked for by that.
fn add_lots(
    hanging: &mut BTreeMap<Node, RemovedNode>,
    removed: &BTreeSet<Node>,
    hierarchy: &Hierarchy,
    lots: impl Fn(&Hierarchy) -> Vec<LotRow>,
) {
    let named = |node: &Node| [node.clone(), hierarchy.renames().meant(node)];
    let by_name: BTreeMap<Node, &Node> = removed.iter().flat_map(|node| named(node).map(|name| (name, node))).collect();
    for lot in lots(&hierarchy.with(by_name.keys())) {
        if let Some(node) = lot.node().ok().and_then(|node| by_name.get(&node).copied()) {
            hanging.entry(node.clone()).or_default().lots.push(lot);
        }
    }
}

/// Amounts that are zero where a node has no cost of its own: gross cost, and what was taken off it in both books.
type Own = [Money; 3];

/// Adds what a published month has of removed nodes: cost of their own is that of the node without the nodes below.
fn add_month(
    hanging: &mut BTreeMap<Node, RemovedNode>,
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

#[cfg(test)]
mod tests {
    use schemas::reference::{parse_hierarchy, parse_renames};

    use super::*;
    use crate::fixtures::lot;

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

    fn node(path: &str) -> Node {
        let mut names = path.split('/');
        Node::from_levels(std::array::from_fn(|_| names.next())).unwrap()
    }

    #[test]
    fn new_name_is_guessed_from_likeness_from_another_place_or_as_there_is_no_other() {
        let guessed = |removed: &[&str], new: &[&str]| {
            let new: Vec<Node> = new.iter().map(|path| node(path)).collect();
            let removed = removed.iter().map(|path| node(path)).collect();
            let likely = likely_renames(&removed, &new.iter().collect());
            likely.iter().map(|(old, new)| format!("{old} > {new}")).collect::<Vec<_>>().join(", ")
        };
        assert_eq!(guessed(&["Retail", "Retail/Web"], &["Retial", "Retial/Web", "Media"]), "Retail > Retial");
        assert_eq!(guessed(&["R/Shop", "R/Web"], &["R/Shops", "R/Online"]), "R/Shop > R/Shops");
        assert_eq!(guessed(&["R/Shop"], &["M/Shop", "R/Stationery"]), "R/Shop > M/Shop", "it moved");
        assert_eq!(guessed(&["Retail"], &["Commerce"]), "Retail > Commerce", "the only one");
        assert_eq!(guessed(&["Retail", "Media"], &["Commerce"]), "", "either could be meant");
        assert_eq!(guessed(&["Retail"], &[]), "");
        let below = guessed(&["Retail", "Retail/Shop"], &["Retails", "Retails/Shops"]);
        assert_eq!(below, "Retail > Retails, Retail/Shop > Retails/Shops");
    }

    #[test]
    fn lot_below_a_node_that_has_another_name_now_hangs_on_the_name_it_had() {
        let raw = parse_hierarchy("h", b"business_unit,department\nNew,\n").unwrap();
        let rows = b"from_period,old_business_unit,business_unit\n,Old,New\n";
        let renames = parse_renames("r", rows, &raw.nodes().map(|(node, _)| node).collect()).unwrap();
        let hierarchy = raw.renamed(renames);
        let lot = LotRow { department: Some("Web".into()), ..lot(1, "New") };
        let mut hanging = BTreeMap::new();
        let lots = |hierarchy: &Hierarchy| {
            assert!(hierarchy.contains(&node("New/Web")), "else its allocation would be invalid");
            vec![lot.clone()]
        };
        add_lots(&mut hanging, &BTreeSet::from([node("Old/Web")]), &hierarchy, lots);
        let found: Vec<_> = hanging.into_iter().map(|(node, removed)| (node.to_string(), removed.lots.len())).collect();
        assert_eq!(found, [("Old/Web".to_owned(), 1)]);
    }

    #[test]
    fn cost_of_a_removed_node_is_that_without_the_nodes_below() {
        let removed = BTreeSet::from(["A", "A/B", "A/C", "D"].map(node));
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
        let months = BTreeSet::from(["2026-01".parse().unwrap(), "2026-03".parse().unwrap()]);
        let cost = ("USD".into(), ("18".parse().unwrap(), months.clone()));
        let expected = [
            (node("A/B"), RemovedNode { costs: [cost].into(), ..RemovedNode::default() }),
            (node("A/C"), RemovedNode { budgets: months, ..RemovedNode::default() }),
        ];
        assert_eq!(hanging, expected.into());
    }
}
