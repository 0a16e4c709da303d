//! A node that is renamed keeps every figure.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::Index;

use super::cases::holds;
use super::checks::none;
use super::{new_lake, run, tables};
use crate::model::parse::Node;
use crate::organisation::{Amounts, Organisation, csv_text, node_columns, organisations, period_of};
use crate::support::Workspace;
use crate::support::compare::{Row, Tables, table_differences};

const NODE: [&str; 4] = ["business_unit", "department", "portfolio", "product"];
const CREDIT_NODE: [&str; 4] = ["credit_business_unit", "credit_department", "credit_portfolio", "credit_product"];

/// A node and its new name, which comes at the same place in every order.
#[derive(Debug)]
struct Rename {
    old: Node,
    new: Node,
}

impl Rename {
    fn choose(organisation: &Organisation, which: Index) -> Self {
        let ancestors = |node: &Node| (1..=node.len()).map(|level| node[..level].to_vec()).collect::<Vec<_>>();
        let nodes: BTreeSet<Node> = organisation.hierarchy.iter().flat_map(ancestors).collect();
        let old = which.get(&nodes.into_iter().collect::<Vec<_>>()).clone();
        let mut new = old.clone();
        new.last_mut().expect("a name").push('!');
        Self { old, new }
    }

    fn of_node(&self, node: &Node) -> Node {
        match node.strip_prefix(&self.old[..]) {
            Some(below) => [&self.new[..], below].concat(),
            None => node.clone(),
        }
    }

    /// Hierarchy and renames as after the rename; rules, budgets and the log keep the old name.
    fn install(&self, workspace: &Workspace, organisation: &Organisation, from: &str) {
        let nodes: Vec<Node> = organisation.hierarchy.iter().map(|node| self.of_node(node)).collect();
        let mut renamed = organisation.clone();
        renamed.hierarchy = nodes;
        workspace.write("reference/hierarchy.csv", renamed.hierarchy_file());
        let header: Vec<String> = NODE.iter().map(|level| format!("old_{level}")).collect();
        let header: Vec<&str> =
            ["from_period"].into_iter().chain(header.iter().map(String::as_str)).chain(NODE).collect();
        let row = [vec![from.to_owned()], node_columns(&self.old).to_vec(), node_columns(&self.new).to_vec()].concat();
        workspace.write("reference/renames.csv", csv_text(&header, [row]));
    }

    /// The tables under the new name.
    fn of_tables(&self, tables: &Tables) -> Tables {
        let renamed = |row: &Row| {
            let mut row = row.clone();
            for levels in [NODE, CREDIT_NODE] {
                let names: Node = levels
                    .iter()
                    .filter_map(|level| row.get(*level))
                    .filter(|name| !name.is_empty())
                    .cloned()
                    .collect();
                for (level, name) in levels.iter().zip(self.of_node(&names)) {
                    row.insert((*level).to_owned(), name);
                }
            }
            row
        };
        tables.iter().map(|(name, rows)| (name.clone(), rows.iter().map(renamed).collect())).collect()
    }
}

fn renames() -> BoxedStrategy<(Organisation, Index)> {
    (organisations(Amounts::Any), any::<Index>()).boxed()
}

#[test]
fn a_renamed_node_keeps_every_figure_of_every_month_under_its_new_name() {
    holds("renamed", renames, |(organisation, which): (Organisation, Index)| {
        let workspace = new_lake(&organisation)?;
        let before = tables(&workspace, &organisation)?;
        let rename = Rename::choose(&organisation, which);
        rename.install(&workspace, &organisation, "");
        run(&workspace, &organisation)?;
        none(&table_differences(&rename.of_tables(&before), &tables(&workspace, &organisation)?))
    });
}

/// Published files of the months before one.
fn months_before(workspace: &Workspace, month: &str) -> BTreeMap<String, Vec<u8>> {
    let is_before = |name: &str| name.split("billing_period=").nth(1).is_some_and(|rest| rest[..7] < *month);
    workspace.published().into_iter().filter(|(name, _)| is_before(name)).collect()
}

/// Amounts of each month and currency, as `net_cost_summary` has them of the whole.
fn totals(tables: &Tables) -> Vec<Row> {
    let mut totals: Vec<Row> = tables["net_cost_summary"].iter().filter(|row| row["level"] == "0").cloned().collect();
    totals.sort();
    totals
}

#[test]
fn a_node_that_is_renamed_from_a_month_on_keeps_earlier_months_to_the_byte_and_every_total() {
    holds("renamed later", renames, |(organisation, which): (Organisation, Index)| {
        let workspace = new_lake(&organisation)?;
        let before = tables(&workspace, &organisation)?;
        let periods: BTreeSet<_> = organisation.lines.iter().map(period_of).collect();
        let Some(from) = periods.into_iter().next_back().map(|period| period.to_string()) else { return Ok(()) };
        let earlier = months_before(&workspace, &from);
        let rename = Rename::choose(&organisation, which);
        rename.install(&workspace, &organisation, &from);
        run(&workspace, &organisation)?;
        if months_before(&workspace, &from) != earlier {
            return Err(format!("months before {from} have other bytes"));
        }
        let after = tables(&workspace, &organisation)?;
        match totals(&before) == totals(&after) {
            true => Ok(()),
            false => Err(format!("{:?}\nis not\n{:?}", totals(&after), totals(&before))),
        }
    });
}
