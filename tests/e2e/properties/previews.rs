//! What `allocate`, `move` and `revoke` say would change is what the next run publishes.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value;

use super::cases::holds;
use super::checks::Verdict;
use super::new_lake;
use crate::model::parse::Node;
use crate::model::units::{Money, Period};
use crate::organisation::{Amounts, Organisation, organisations};
use crate::support::Workspace;
use crate::support::compare::Row;

/// A revision before it is known what there is.
#[derive(Clone, Debug)]
struct Choice {
    action: usize,
    credit: Index,
    lot: Index,
    node: Index,
    amount: u32,
    months: u32,
    ends: bool,
}

fn choices() -> impl Strategy<Value = Choice> {
    let what = (0..4_usize, any::<Index>(), any::<Index>(), any::<Index>());
    (what, 1..5_000_u32, 1..4_u32, any::<bool>()).prop_map(|((action, credit, lot, node), amount, months, ends)| {
        Choice { action, credit, lot, node, amount, months, ends }
    })
}

/// As the command line takes a node.
fn node_text(node: &Node) -> String {
    node.iter().map(|name| format!("\"{}\"", name.replace('"', "\"\""))).collect::<Vec<_>>().join("/")
}

impl Choice {
    /// The arguments for one of the credits; none where there is no such credit.
    fn arguments(&self, workspace: &Workspace, organisation: &Organisation) -> Result<Option<Vec<String>>, String> {
        let as_of = organisation.as_of.to_string();
        let credits =
            workspace.query(&as_of, "SELECT credit_key, status, issue_period FROM credits ORDER BY credit_key")?;
        if credits.is_empty() {
            return Ok(None);
        }
        let credit = self.credit.get(&credits);
        let key = credit["credit_key"].clone();
        let node = node_text(self.node.get(&organisation.hierarchy));
        let owned = |arguments: &[&str]| arguments.iter().map(|argument| (*argument).to_owned()).collect::<Vec<_>>();
        let is_allocated = !["unallocated", "invalid"].contains(&credit["status"].as_str());
        let arguments = match self.action {
            0 if is_allocated => owned(&["revoke", "--key", &key]),
            1 | 2 if is_allocated => {
                let lots = workspace.query(
                    &as_of,
                    &format!(
                        "SELECT DISTINCT lot FROM credit_balances WHERE credit_key = '{}' ORDER BY 1",
                        key.replace('\'', "''")
                    ),
                )?;
                let lot = if lots.is_empty() { "1" } else { &self.lot.get(&lots)["lot"] };
                let from = Period::parse(&credit["issue_period"]).plus(self.months).to_string();
                owned(&["move", &format!("{key}:{lot}"), "--from", &from, "--to", &node])
            }
            _ => {
                let mut arguments =
                    owned(&["allocate", "--key", &key, "--amount", &self.amount.to_string(), "--to", &node]);
                arguments.push(if self.ends { format!("--end-date={as_of}") } else { "--no-end-date".to_owned() });
                arguments
            }
        };
        Ok(Some(arguments))
    }
}

type Costs = BTreeMap<(String, String, String), Money>;

/// Net cost by month, currency and business unit.
fn net_costs(workspace: &Workspace, as_of: &str) -> Result<Costs, String> {
    let sql = "SELECT billing_period, currency, business_unit, net_cost FROM net_cost_summary WHERE level = 1";
    let key = |row: &Row| (row["billing_period"].clone(), row["currency"].clone(), row["business_unit"].clone());
    let rows = workspace.query(as_of, sql)?;
    Ok(rows.iter().map(|row| (key(row), money(&row["net_cost"]))).collect())
}

fn money(text: &str) -> Money {
    Money::parse(text).unwrap_or_else(|| panic!("{text} is no amount"))
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}

/// The months that are said to change are those that change, to what they are said to.
fn months_are_as_said(said: &Value, before: &Costs, after: &Costs) -> Verdict {
    let mut changed: Costs = after.clone();
    changed.retain(|key, cost| before.get(key) != Some(cost));
    let said = said["months"].as_array().ok_or("no months")?;
    let said: Costs = said
        .iter()
        .map(|month| {
            let key = (text(month, "billing_period"), text(month, "currency"), text(month, "business_unit"));
            (key, money(&text(month, "net_cost")))
        })
        .collect();
    if said == changed { Ok(()) } else { Err(format!("said {said:?}\npublished {changed:?}")) }
}

/// Lots stand as it was said.
fn lots_are_as_said(said: &Value, workspace: &Workspace, as_of: &str) -> Verdict {
    for lot in said["lots"].as_array().ok_or("no lots")? {
        let sql = format!(
            "SELECT sum(used) AS used, sum(expired) AS expired, sum(moved) AS moved FROM credit_balances \
             WHERE credit_key = '{}' AND lot = {}",
            text(lot, "credit_key").replace('\'', "''"),
            lot["lot"]
        );
        let row = &workspace.query(as_of, &sql)?[0];
        for amount in ["used", "expired", "moved"] {
            let published = if row[amount].is_empty() { Money::ZERO } else { money(&row[amount]) };
            if money(&text(lot, amount)) != published {
                return Err(format!("{lot}: {amount} is {published:?}"));
            }
        }
    }
    Ok(())
}

#[test]
fn what_a_revision_is_said_to_change_is_what_the_next_run_publishes() {
    let strategy = || (organisations(Amounts::Any), choices()).boxed();
    holds("preview", strategy, |(organisation, choice): (Organisation, Choice)| {
        let as_of = organisation.as_of.to_string();
        let workspace = new_lake(&organisation)?;
        let Some(arguments) = choice.arguments(&workspace, &organisation)? else { return Ok(()) };
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let outcome = workspace.run(&as_of, &[&["--format", "json"], &arguments[..], &["--dry-run"]].concat());
        if outcome.exit_code == Some(3) {
            // A move that cannot be: to where the lot is, or of one that has moved on. A new end before the issue date.
            return Ok(());
        }
        let said: Value = serde_json::from_str(&outcome.stdout).map_err(|_| format!("{arguments:?}: {outcome:?}"))?;
        let before = net_costs(&workspace, &as_of)?;
        workspace.try_run(&as_of, &[&arguments[..], &["--by", "ana"]].concat())?;
        workspace.try_run(&as_of, &["run"])?;
        months_are_as_said(&said, &before, &net_costs(&workspace, &as_of)?)?;
        lots_are_as_said(&said, &workspace, &as_of)
    });
}
