//! What was recorded on a node that has another name now.

use std::borrow::Cow;
use std::collections::BTreeMap;

use credit_ledger::{BillingPeriod, Money, Node};
use schemas::NodeColumns;
use schemas::reference::{Hierarchy, Renames};
use schemas::tables::{AllocationLogRow, LotRow};

/// The log with the names that nodes have: a rename without a period counts for everything that was ever recorded.
#[must_use]
pub fn by_present_names<'a>(log: &'a [AllocationLogRow], hierarchy: &Hierarchy) -> Cow<'a, [AllocationLogRow]> {
    if hierarchy.renames().is_empty() {
        return Cow::Borrowed(log);
    }
    let renamed = |row: &AllocationLogRow| match row.node() {
        Ok(node) => {
            let [business_unit, department, portfolio, product] = hierarchy.renames().meant(&node).levels();
            AllocationLogRow { business_unit, department, portfolio, product, ..row.clone() }
        }
        Err(_) => row.clone(),
    };
    log.iter().map(renamed).collect()
}

/// The lots on the nodes that they have from period to period: where a node has another name from a period on, what is left
/// of its lots goes on there as a lot of its own, numbered after those that were recorded. Lots come in order of credit and
/// lot, and stay in it.
pub(crate) fn follow_renames(lots: Vec<LotRow>, renames: &Renames) -> Vec<LotRow> {
    if renames.is_empty() {
        return lots;
    }
    let of_credits = lots.chunk_by(|lot, next| lot.credit_key == next.credit_key);
    of_credits.flat_map(|of_credit| followed(of_credit, renames)).collect()
}

fn followed(recorded: &[LotRow], renames: &Renames) -> Vec<LotRow> {
    let (mut lots, mut further) = (Vec::with_capacity(recorded.len()), Vec::new());
    let mut newest = recorded.iter().map(|lot| lot.lot).max().unwrap_or_default();
    // The lot that holds what is left of a recorded one in the end.
    let mut last_of: BTreeMap<i32, i32> = BTreeMap::new();
    for lot in recorded {
        let Ok(node) = lot.node() else {
            lots.push(lot.clone());
            continue;
        };
        let start = lot.from_period.unwrap_or_else(|| BillingPeriod::of(lot.issue_date));
        let moved =
            recorded.iter().find(|other| other.continues_lot == Some(lot.lot)).and_then(|other| other.from_period);
        let mut here = renames.current(&node, start);
        let mut last = lot.lot;
        lots.push(on_node(lot, &here));
        for period in renames.periods().filter(|period| start < *period && moved.is_none_or(|moved| *period < moved)) {
            let there = renames.current(&node, period);
            if there != here {
                newest += 1;
                let (from_period, continues_lot) = (Some(period), Some(last));
                let goes_on = LotRow { lot: newest, amount: Money::ZERO, from_period, continues_lot, ..lot.clone() };
                further.push(on_node(&goes_on, &there));
                (here, last) = (there, newest);
            }
        }
        last_of.insert(lot.lot, last);
    }
    for lot in &mut lots {
        lot.continues_lot = lot.continues_lot.map(|from| last_of.get(&from).copied().unwrap_or(from));
    }
    lots.extend(further);
    lots
}

fn on_node(lot: &LotRow, node: &Node) -> LotRow {
    let [business_unit, department, portfolio, product] = node.levels();
    LotRow { business_unit, department, portfolio, product, ..lot.clone() }
}

#[cfg(test)]
mod tests {
    use schemas::reference::{parse_hierarchy, parse_renames};

    use super::*;
    use crate::fixtures;

    fn lot(number: i32, unit: &str, moved: Option<(i32, &str)>) -> LotRow {
        let lot = fixtures::lot(number, unit);
        let Some((from, period)) = moved else { return lot };
        let (amount, from_period) = (Money::ZERO, Some(period.parse().unwrap()));
        LotRow { amount, from_period, continues_lot: Some(from), ..lot }
    }

    fn found(lots: Vec<LotRow>, rows: &str) -> Vec<String> {
        let raw = parse_hierarchy("h", b"business_unit\nA\nB\nC\nD\n").unwrap();
        let rows = format!("from_period,old_business_unit,business_unit\n{rows}");
        let renames = parse_renames("r", rows.as_bytes(), &raw.nodes().map(|(node, _)| node).collect()).unwrap();
        let text = |lot: LotRow| {
            let from = lot.from_period.map(|period| format!(" from {period}")).unwrap_or_default();
            let after = lot.continues_lot.map(|lot| format!(" after {lot}")).unwrap_or_default();
            format!("{} {}{from}{after}", lot.lot, lot.business_unit.unwrap_or_default())
        };
        follow_renames(lots, &renames).into_iter().map(text).collect()
    }

    #[test]
    fn what_is_left_of_a_lot_goes_on_where_its_node_is_from_each_period_on() {
        let renames = "2026-03,A,B\n2026-06,B,C\n";
        let lots = vec![lot(1, "A", None), lot(2, "D", None)];
        assert_eq!(found(lots, renames), ["1 A", "2 D", "3 B from 2026-03 after 1", "4 C from 2026-06 after 3"]);
        assert_eq!(found(vec![lot(1, "A", None)], "2026-01,A,B\n"), ["1 B"], "it was issued under the new name");
    }

    #[test]
    fn a_recorded_move_goes_on_from_where_the_renames_before_it_led() {
        let lots = || vec![lot(1, "A", None), lot(2, "D", Some((1, "2026-05")))];
        let renames = "2026-03,A,B\n2026-06,B,C\n2026-07,D,C\n";
        let expected = ["1 A", "2 D from 2026-05 after 3", "3 B from 2026-03 after 1", "4 C from 2026-07 after 2"];
        assert_eq!(found(lots(), renames), expected);
        assert_eq!(found(lots(), "2026-05,A,B\n"), ["1 A", "2 D from 2026-05 after 1"], "moved in the same month");
    }
}
