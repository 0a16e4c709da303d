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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::recorded;

    #[test]
    fn revisions_come_oldest_first_with_their_lots_by_number_and_only_the_newest_counts() {
        let moved = AllocationLogRow {
            amount: None,
            from_period: Some("2026-05".into()),
            continues_lot: Some(1),
            ..recorded("id:1", "b", 2, "2026-03-05T09:00:00")
        };
        let revoked = AllocationLogRow {
            action: "revoke".into(),
            amount: None,
            business_unit: None,
            note: Some("wrong credit".into()),
            ..recorded("id:1", "a", 1, "2026-03-04T09:00:00")
        };
        let log = [
            moved,
            recorded("id:1", "b", 1, "2026-03-05T09:00:00"),
            recorded("id:2", "x", 1, "2026-03-09T09:00:00"),
            revoked,
            recorded("id:1", "c", 1, "2026-03-01T09:00:00"),
        ];
        let told = |revision: Revision| {
            let lots: Vec<_> = revision.lots.iter().map(|lot| (lot.lot, lot.continues_lot)).collect();
            (revision.allocation_id.to_string(), revision.note, lots, revision.is_newest)
        };
        let found: Vec<_> = history(&log, "id:1").into_iter().map(told).collect();
        let expected = [
            ("c".to_owned(), None, vec![(1, None)], false),
            ("a".to_owned(), Some("wrong credit".into()), vec![], false),
            ("b".to_owned(), None, vec![(1, None), (2, Some(1))], true),
        ];
        assert_eq!(found, expected);
        assert_eq!(history(&log, "id:3"), []);
    }

    #[test]
    fn of_revisions_of_one_instant_the_one_with_the_greater_id_is_the_newest() {
        let log = ["b", "c", "a"].map(|id| recorded("id:1", id, 1, "2026-03-05T09:00:00"));
        let newest: Vec<_> = history(&log, "id:1").into_iter().map(|of| (of.allocation_id, of.is_newest)).collect();
        assert_eq!(newest, [("a".into(), false), ("b".into(), false), ("c".into(), true)]);
    }
}
