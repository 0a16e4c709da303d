//! What was recorded on a node that has another name now.

use std::borrow::Cow;

use credit_ledger::{BillingPeriod, Node};
use schemas::NodeColumns;
use schemas::reference::{Hierarchy, Renames};
use schemas::tables::{AllocationLogRow, LotRow};

use crate::error::{JoinError, RenamedLot};

/// The log with the names that nodes have: a rename without a period counts for everything that was ever recorded.
#[must_use]
pub fn by_present_names<'a>(log: &'a [AllocationLogRow], hierarchy: &Hierarchy) -> Cow<'a, [AllocationLogRow]> {
    if hierarchy.renames().is_empty() {
        return Cow::Borrowed(log);
    }
    let renamed = |row: &AllocationLogRow| match row.node() {
        Ok(node) => on_node(row, &hierarchy.renames().meant(&node)),
        Err(_) => row.clone(),
    };
    log.iter().map(renamed).collect()
}

fn on_node(row: &AllocationLogRow, node: &Node) -> AllocationLogRow {
    let [business_unit, department, portfolio, product] = node.levels();
    AllocationLogRow { business_unit, department, portfolio, product, ..row.clone() }
}

/// Puts lots on the nodes that theirs are when the credit is issued.
pub(crate) fn put_on_nodes_at_issue(lots: &mut [LotRow], renames: &Renames) {
    if renames.is_empty() {
        return;
    }
    for lot in lots {
        if let Ok(node) = lot.node() {
            let node = renames.current(&node, BillingPeriod::of(lot.issue_date));
            [lot.business_unit, lot.department, lot.portfolio, lot.product] = node.levels();
        }
    }
}

/// Stops a run where a node has another name from a later period on than its lots were issued in: what is left of them
/// would stay behind.
pub(crate) fn refuse_left_behind(lots: &[LotRow], renames: &Renames, last: BillingPeriod) -> Result<(), JoinError> {
    let left_behind = |lot: &LotRow| {
        let (node, issued) = (lot.node().ok()?, BillingPeriod::of(lot.issue_date));
        let mut later = renames.periods().filter(|from| issued < *from && *from <= last);
        let (from, now) =
            later.find_map(|from| Some((from, renames.current(&node, from))).filter(|(_, now)| *now != node))?;
        Some(RenamedLot { lot: lot.clone(), node, from, now })
    };
    let lots: Vec<RenamedLot> = lots.iter().filter_map(left_behind).collect();
    if lots.is_empty() { Ok(()) } else { Err(JoinError::RenamedLots(lots)) }
}
