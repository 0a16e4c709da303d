//! Net cost of a node and what lies below it, month by month, from `net_cost_summary`.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use application::Failure;
use application::foreign_text::{CELL, visible};
use credit_ledger::{BillingPeriod, Money, MoneyError, Node, Text};
use schemas::NodeColumns;
use schemas::tables::NetCostSummary;

use super::address::Places;
use super::books;
use crate::asked::Asked;
use crate::chart::Chart;
use crate::pages::summaries::{level_name, months, span};
use crate::sheet::{Sheet, column};

/// Bars that can be told apart.
const MOST_SERIES: usize = 8;

/// A node, or everything, in one currency: its rows by month.
pub(crate) struct Branch {
    pub(crate) node: Option<Node>,
    pub(crate) currency: Text,
    pub(crate) rows: BTreeMap<BillingPeriod, NetCostSummary>,
}

/// A node and what lies below it, in order of the hierarchy.
pub(crate) struct Tree {
    pub(crate) node: Option<Node>,
    /// The months that are shown, oldest first.
    pub(crate) months: Vec<BillingPeriod>,
    /// The month before the last of them, where the run has it.
    pub(crate) before: Option<BillingPeriod>,
    pub(crate) branches: Vec<Branch>,
}

/// Names of bars and their amounts by month.
type Series = Vec<(String, Vec<Money>)>;

impl Tree {
    /// Reads the node that the address asks for, and so many levels below it.
    pub(crate) async fn read(asked: &Asked, depth: usize) -> Result<Self, Failure> {
        let (run, months) = (asked.run()?, months::<NetCostSummary>(asked)?);
        let is_before = |period: &BillingPeriod| months.last().is_some_and(|last| period.next() == *last);
        let before = run.periods::<NetCostSummary>().into_iter().find(is_before);
        let mut rows = Vec::new();
        for month in months.iter().copied().chain(before).collect::<BTreeSet<_>>() {
            let of_month: Vec<NetCostSummary> = run.rows(Some(month)).await?;
            let of_month = of_month.into_iter().filter(|row| asked.filter.takes_currency(&row.currency));
            rows.extend(of_month.map(|row| (month, row)));
        }
        Ok(Self::of(asked.filter.node.clone(), depth, (months, before), rows))
    }

    fn of(
        node: Option<Node>,
        depth: usize,
        (months, before): (Vec<BillingPeriod>, Option<BillingPeriod>),
        rows: Vec<(BillingPeriod, NetCostSummary)>,
    ) -> Self {
        let lowest = level(node.as_ref()).saturating_add(depth);
        let mut branches: BTreeMap<(Option<Node>, Text), BTreeMap<BillingPeriod, NetCostSummary>> = BTreeMap::new();
        for (month, row) in rows {
            // Everything has no node.
            let of = row.node().ok();
            let is_below = match (&of, &node) {
                (_, None) => true,
                (Some(of), Some(node)) => of.is_at_or_below(node),
                (None, Some(_)) => false,
            };
            if is_below && level(of.as_ref()) <= lowest {
                branches.entry((of, row.currency.clone())).or_default().insert(month, row);
            }
        }
        let branch = |((node, currency), rows)| Branch { node, currency, rows };
        Self { node, months, before, branches: branches.into_iter().map(branch).collect() }
    }

    pub(crate) fn currencies(&self) -> BTreeSet<Text> {
        self.branches.iter().map(|branch| branch.currency.clone()).collect()
    }

    fn net_cost(&self, branch: &Branch) -> Vec<Money> {
        let of_month = |month| branch.rows.get(month).map(|row| row.net_cost).unwrap_or_default();
        self.months.iter().map(of_month).collect()
    }

    /// A table with a row for each branch, the node a link to itself.
    pub(crate) fn sheet_of_branches(&self, name: &'static str, title: String, places: &Places) -> Sheet {
        let branches = &self.branches;
        let path = |node: Option<&Node>| node.map_or_else(|| "Everything".to_owned(), Node::to_string);
        let own_name = |node: Option<&Node>| node.map_or("Everything", Node::name).to_owned();
        let top = level(self.node.as_ref());
        let nodes = || branches.iter().map(|branch| branch.node.as_ref());
        Sheet::new(name, title, "No cost in these months.")
            .column("node", "Node", column(branches, |branch| Text::from(path(branch.node.as_ref()))))
            .links(nodes().map(|node| Some(places.node(node))))
            .tree(nodes().map(|node| (level(node).saturating_sub(top), own_name(node))))
            .in_files("level", column(branches, |branch| i32::try_from(level(branch.node.as_ref())).unwrap_or(0)))
            .column("currency", "Currency", column(branches, |branch| branch.currency.clone()))
    }

    /// Months as columns; each amount leads to its node and month.
    pub(crate) fn sheet(&self, asked: &Asked) -> Result<Sheet, Failure> {
        let places = Places::of(asked);
        let amounts: Vec<Vec<Money>> = self.branches.iter().map(|branch| self.net_cost(branch)).collect();
        let mut links: Vec<Vec<Option<String>>> = vec![Vec::new(); self.months.len()];
        for branch in &self.branches {
            for (of_month, link) in links.iter_mut().zip(places.months(branch.node.as_ref(), &self.months)) {
                of_month.push(Some(link));
            }
        }
        let title = format!("Net cost by node, {}", span(&self.months));
        let mut sheet = self.sheet_of_branches("net_cost_by_node", title, &places);
        for (place, (month, links)) in self.months.iter().zip(links).enumerate() {
            let of_month = column(&amounts, |row| row.get(place).copied().unwrap_or_default());
            sheet = sheet.column(month.to_string(), month.to_string(), of_month).links(links);
        }
        let totals = amounts.iter().map(|row| Money::total(row.iter().copied())).collect::<Result<Vec<_>, _>>()?;
        Ok(sheet.column("total", "Total", column(&totals, |total| *total)))
    }

    /// Both books of the node, month by month.
    pub(crate) fn both_books(&self, asked: &Asked) -> Sheet {
        let places = Places::of(asked);
        let of_node = self.branches.iter().filter(|branch| branch.node == self.node);
        let mut rows: Vec<(&BillingPeriod, &NetCostSummary)> = of_node.flat_map(|branch| &branch.rows).collect();
        rows.retain(|(month, _)| self.months.contains(month));
        rows.sort_by(|left, right| (left.0, &left.1.currency).cmp(&(right.0, &right.1.currency)));
        let of = self.node.as_ref().map(|node| format!(" of {}", visible(&node.to_string(), CELL)));
        let title = format!("Both books{} by month", of.unwrap_or_default());
        let months: Vec<BillingPeriod> = rows.iter().map(|(month, _)| **month).collect();
        let sheet = Sheet::new("both_books", title, "No cost in these months.")
            .column("billing_period", "Month", column(&months, |month| *month))
            .links(places.months(self.node.as_ref(), &months).map(Some))
            .column("currency", "Currency", column(&rows, |(_, row)| row.currency.clone()));
        books::add_to(sheet, &rows, |(_, row)| books::of_summary(row))
    }

    /// Net cost of what lies right below, bar on bar.
    pub(crate) fn chart(&self, currency: &Text) -> Result<Chart, Failure> {
        let months: Vec<String> = self.months.iter().map(ToString::to_string).collect();
        let of = self.node.as_ref().map(|node| format!(" of {}", visible(&node.to_string(), CELL)));
        let (of, by) = (of.unwrap_or_default(), level_name(self.node.as_ref()));
        let series = largest(self.series(currency)?)?;
        Ok(Chart::stacked(format!("Net cost{of} by {by}, {currency}"), &months, &series))
    }

    /// What lies right below, and what the node has itself: together the net cost of the node.
    fn series(&self, currency: &Text) -> Result<Series, MoneyError> {
        let of_currency = || self.branches.iter().filter(|branch| branch.currency == *currency);
        let is_right_below = |branch: &&Branch| branch.node.as_ref().is_some_and(|node| node.parent() == self.node);
        let mut series: Series = of_currency()
            .filter(is_right_below)
            .map(|branch| (branch.node.as_ref().map_or("", Node::name).to_owned(), self.net_cost(branch)))
            .collect();
        let whole = of_currency().find(|branch| branch.node == self.node);
        let mut own = whole.map(|branch| self.net_cost(branch)).unwrap_or_default();
        for (_, below) in &series {
            for (own, below) in own.iter_mut().zip(below) {
                *own = own.checked_sub(*below)?;
            }
        }
        if own.iter().any(|amount| !amount.is_zero()) {
            let name = self.node.as_ref().map_or("Everything", Node::name);
            series.push((if series.is_empty() { name.to_owned() } else { format!("{name} itself") }, own));
        }
        Ok(series)
    }
}

fn level(node: Option<&Node>) -> usize {
    node.map_or(0, Node::level)
}

/// The largest, and the sum of the others.
fn largest(series: Series) -> Result<Series, MoneyError> {
    if series.len() <= MOST_SERIES {
        return Ok(series);
    }
    let mut sized = Vec::new();
    for (name, amounts) in series {
        sized.push((Money::total(amounts.iter().copied())?, (name, amounts)));
    }
    sized.sort_by_key(|(total, _)| Reverse(total.negated().max(*total)));
    let mut series: Series = sized.into_iter().map(|(_, series)| series).collect();
    let others = series.split_off(MOST_SERIES - 1);
    let name = format!("{} others", others.len());
    let mut sum: Vec<Money> = Vec::new();
    for (_, amounts) in others {
        sum.resize(amounts.len(), Money::ZERO);
        for (sum, amount) in sum.iter_mut().zip(amounts) {
            *sum = sum.checked_add(amount)?;
        }
    }
    series.push((name, sum));
    Ok(series)
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{month, node, summary};
    use super::*;

    fn tree(of: Option<&str>, depth: usize) -> Tree {
        let rows = [
            ("", "100", "2026-09"),
            ("Retail", "70", "2026-09"),
            ("Retail/Online", "40", "2026-09"),
            ("Retail/Online/Shop", "40", "2026-09"),
            ("Retail2", "30", "2026-09"),
            ("", "5", "2026-08"),
            ("Retail2", "5", "2026-08"),
        ];
        let rows = rows.map(|(path, net, of)| (month(of), summary(path, [net, "0", "0"], None)));
        Tree::of(of.map(node), depth, (vec![month("2026-08"), month("2026-09")], None), rows.into())
    }

    fn paths(tree: &Tree) -> Vec<String> {
        tree.branches.iter().map(|branch| branch.node.as_ref().map_or_else(String::new, Node::to_string)).collect()
    }

    #[test]
    fn tree_begins_at_the_node_and_ends_at_the_depth_without_namesakes() {
        assert_eq!(paths(&tree(None, 1)), ["", "Retail", "Retail2"]);
        assert_eq!(paths(&tree(Some("Retail"), 1)), ["Retail", "Retail/Online"]);
        assert_eq!(paths(&tree(Some("Retail"), 4)), ["Retail", "Retail/Online", "Retail/Online/Shop"]);
        assert!(paths(&tree(Some("Media"), 4)).is_empty());
    }

    #[test]
    fn bars_add_up_to_the_node_with_what_it_has_itself() {
        let series = |of| {
            let series = tree(of, 1).series(&"USD".into()).unwrap();
            series.into_iter().map(|(name, amounts)| (name, amounts.last().unwrap().to_string())).collect::<Vec<_>>()
        };
        let bar = |name: &str, amount: &str| (name.to_owned(), format!("{amount}.0000000000"));
        assert_eq!(series(None), [bar("Retail", "70"), bar("Retail2", "30")]);
        assert_eq!(series(Some("Retail")), [bar("Online", "40"), bar("Retail itself", "30")]);
        assert_eq!(series(Some("Retail2")), [bar("Retail2", "30")]);
    }

    #[test]
    fn small_bars_are_one() {
        let amounts = |text: &str| vec![text.parse::<Money>().unwrap()];
        let series: Series = (1..=10).map(|size| (size.to_string(), amounts(&size.to_string()))).collect();
        let largest = largest(series).unwrap();
        let names: Vec<&str> = largest.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["10", "9", "8", "7", "6", "5", "4", "3 others"]);
        assert_eq!(largest.last().unwrap().1, amounts("6"));
    }
}
