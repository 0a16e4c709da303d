//! What to say of nodes that are published and gone from `hierarchy.csv`.

use std::collections::{BTreeMap, BTreeSet};

use credit_ledger::{BillingPeriod, Money, Node, Text};
use join_allocations::RemovedNode;
use schemas::tables::LotRow;

use crate::money_text::cents;

/// Nodes, and lots of a node, that the error lists.
const LISTED: usize = 20;

pub(crate) const WHAT_TO_DO: &str = "nodes of the published run are gone from hierarchy.csv, but something hangs on them. Say in renames.csv what they are \
     called now, put them back, or move their allocations to other nodes; with --accept-removed-nodes their months are \
     restated, and their allocations cannot be used:";

/// One line a node, and what renames.csv may have to say.
pub(crate) fn lines(removed: &BTreeMap<Node, RemovedNode>, likely: &[(Node, Node)]) -> Vec<String> {
    let mut lines: Vec<String> =
        removed.iter().take(LISTED).map(|(node, removed)| format!("{node}: {}", text(removed))).collect();
    if removed.len() > LISTED {
        lines.push(format!("and {} more nodes", removed.len() - LISTED));
    }
    if !likely.is_empty() {
        lines.push(
            "if they were renamed, renames.csv has to say (from_period only where earlier months keep the old name):"
                .to_owned(),
        );
        lines.push(format!("from_period,{OLD},{}", Node::LEVELS.join(",")));
        lines.extend(likely.iter().take(LISTED).map(|(old, new)| csv_row(old, new)));
    }
    lines
}

fn lot_text(lot: &LotRow) -> String {
    format!("lot {} of {}, {} {}", lot.lot, lot.credit_key, cents(lot.amount), lot.currency)
}

const OLD: &str = "old_business_unit,old_department,old_portfolio,old_product";

/// A row without a period, as the file has it.
fn csv_row(old: &Node, new: &Node) -> String {
    let names = old.levels().into_iter().chain(new.levels()).map(|name| {
        let name = name.unwrap_or_default();
        match name.contains([',', '"', '\n']) {
            true => format!("\"{}\"", name.replace('"', "\"\"")),
            false => name.to_string(),
        }
    });
    std::iter::once(String::new()).chain(names).collect::<Vec<_>>().join(",")
}

fn text(removed: &RemovedNode) -> String {
    let RemovedNode { lots, costs, budgets } = removed;
    let mut parts: Vec<String> = lots.iter().take(LISTED).map(lot_text).collect();
    if lots.len() > LISTED {
        parts.push(format!("{} more lots", lots.len() - LISTED));
    }
    let cost = |(currency, (sum, in_months)): (&Text, &(Money, _))| {
        format!("cost of its own {} {currency} in {}", cents(*sum), months(in_months))
    };
    parts.extend(costs.iter().map(cost));
    if !budgets.is_empty() {
        parts.push(format!("budgets of {}", months(budgets)));
    }
    parts.join("; ")
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
    use crate::testing::{date, money, node};

    #[test]
    fn removed_node_is_told_with_what_hangs_on_it() {
        let months = BTreeSet::from(["2026-01".parse().unwrap(), "2026-03".parse().unwrap()]);
        let costs = BTreeMap::from([("USD".into(), ("1218".parse().unwrap(), months.clone()))]);
        let removed = RemovedNode { costs, budgets: months, ..RemovedNode::default() };
        let expected = "cost of its own 1,218.00 USD in 2 months from 2026-01 to 2026-03; budgets of 2 months from 2026-01 \
                        to 2026-03";
        assert_eq!(text(&removed), expected);
    }

    fn lot(number: i32, amount: &str) -> LotRow {
        LotRow {
            credit_key: "id:8".into(),
            lot: number,
            promotion_code: "MAP".into(),
            account_id: "111111111111".into(),
            business_unit: Some("Retail".into()),
            department: Some("Stores".into()),
            portfolio: None,
            product: None,
            currency: "USD".into(),
            amount: money(amount),
            issue_date: date("2026-01-31"),
            first_cur_date: date("2026-02-01"),
            end_date: None,
            reference: None,
            from_period: None,
            continues_lot: None,
        }
    }

    /// What somebody can copy into the file, also where a name holds a comma or a quote.
    #[test]
    fn likely_renames_are_told_as_rows_of_the_file() {
        let removed = BTreeMap::from([
            (node("Media"), RemovedNode { lots: vec![lot(1, "4000.235")], ..RemovedNode::default() }),
            (node("Retail/Stores"), RemovedNode { lots: vec![lot(1, "1"), lot(2, "2")], ..RemovedNode::default() }),
        ]);
        let quoted = Node::from_levels([Some("Retail"), Some("Shops, \"A\""), None, None]).unwrap();
        let likely = [(node("Media"), node("Media Group")), (node("Retail/Stores"), quoted)];
        let expected = [
            "Media: lot 1 of id:8, 4,000.24 USD",
            "Retail/Stores: lot 1 of id:8, 1.00 USD; lot 2 of id:8, 2.00 USD",
            "if they were renamed, renames.csv has to say (from_period only where earlier months keep the old name):",
            "from_period,old_business_unit,old_department,old_portfolio,old_product,business_unit,department,portfolio,product",
            ",Media,,,,Media Group,,,",
            ",Retail,Stores,,,Retail,\"Shops, \"\"A\"\"\",,",
        ];
        assert_eq!(lines(&removed, &likely), expected);
        let rows = expected[3..].join("\n");
        let nodes = [node("Media Group"), likely[1].1.clone()];
        let read = schemas::reference::parse_renames("renames.csv", rows.as_bytes(), &nodes.iter().collect());
        assert_eq!(read.unwrap().meant(&node("Media")), node("Media Group"));
    }

    #[test]
    fn of_many_nodes_and_lots_the_first_twenty_are_listed() {
        let of = |lots: i32| RemovedNode {
            lots: (1..=lots).map(|number| lot(number, "1")).collect(),
            ..RemovedNode::default()
        };
        let removed: BTreeMap<Node, RemovedNode> =
            (10..33).map(|number| (node(&format!("Unit {number}")), of(if number == 10 { 22 } else { 1 }))).collect();
        let told = lines(&removed, &[]);
        assert_eq!(told.len(), 21);
        assert!(told[0].ends_with("lot 20 of id:8, 1.00 USD; 2 more lots"), "{}", told[0]);
        assert_eq!(told[19..], ["Unit 29: lot 1 of id:8, 1.00 USD", "and 3 more nodes"]);
    }

    #[test]
    fn months_are_told_in_short() {
        let of = |periods: &[&str]| months(&periods.iter().map(|period| period.parse().unwrap()).collect());
        assert_eq!(of(&["2026-01"]), "2026-01");
        assert_eq!(of(&["2025-12", "2026-01"]), "2025-12 to 2026-01");
    }
}
