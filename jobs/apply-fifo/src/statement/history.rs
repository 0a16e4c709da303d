//! What people recorded about a credit.

use std::collections::BTreeMap;

use chrono::NaiveDateTime;
use credit_ledger::Text;
use schemas::NodeColumns;
use schemas::tables::AllocationLogRow;

use super::model::{RecordedLot, Revision};

/// The revisions of a credit, oldest first.
pub(super) fn history(log: &[AllocationLogRow], credit_key: &str) -> Vec<Revision> {
    let mut revisions: BTreeMap<(NaiveDateTime, &Text), Vec<&AllocationLogRow>> = BTreeMap::new();
    for row in log.iter().filter(|row| row.credit_key == credit_key) {
        revisions.entry((row.recorded_at, &row.allocation_id)).or_default().push(row);
    }
    let mut history: Vec<Revision> = revisions.into_values().filter_map(revision).collect();
    if let Some(newest) = history.last_mut() {
        newest.is_newest = true;
    }
    history
}

fn revision(mut rows: Vec<&AllocationLogRow>) -> Option<Revision> {
    rows.sort_by_key(|row| row.lot);
    let first = *rows.first()?;
    let lots = rows.iter().filter(|row| row.action != "revoke").map(|row| RecordedLot {
        lot: row.lot,
        node: row.node().ok(),
        amount: row.amount,
        end_date: row.end_date,
        reference: row.reference.clone(),
        from_period: row.from_period.clone(),
        continues_lot: row.continues_lot,
    });
    Some(Revision {
        allocation_id: first.allocation_id.clone(),
        action: first.action.clone(),
        recorded_by: first.recorded_by.clone(),
        recorded_at: first.recorded_at,
        note: first.note.clone(),
        lots: lots.collect(),
        is_newest: false,
    })
}
