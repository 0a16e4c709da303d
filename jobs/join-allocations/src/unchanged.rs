//! What says again what is recorded: it is not recorded again, and of a file that was taken over it is no change.

use std::collections::{BTreeMap, BTreeSet};

use schemas::reference::{AllocationRow, Hierarchy};
use schemas::tables::{AllocationLogRow, RegisteredCredit};

use crate::lots::{current_revisions, once_each};
use crate::record::{Recording, Revisions, Stamp, grouped, revision};
use crate::renamed::by_present_names;

impl Revisions {
    /// Without the revisions that only say again what counts now: they were not given a `recorded_at` of their own. Those
    /// count as already recorded.
    #[must_use]
    pub fn without_standing(mut self, log: &[AllocationLogRow], recording: &Recording) -> Self {
        if recording.stamp == Stamp::Stated {
            return self;
        }
        let current = current_revisions(log);
        let mut new: BTreeMap<(&str, &str), Vec<&AllocationLogRow>> = BTreeMap::new();
        for row in self.rows.iter().filter(|row| row.recorded_at == recording.recorded_at) {
            new.entry((&row.credit_key, &row.allocation_id)).or_default().push(row);
        }
        let standing = new.into_iter().filter(|((credit, _), rows)| {
            current.get(credit).is_some_and(|current| says_the_same(rows, &current.rows, recording, false))
        });
        let standing: BTreeSet<(String, String)> =
            standing.map(|((credit, id), _)| (credit.to_owned(), id.to_owned())).collect();
        let before = self.rows.len();
        self.rows.retain(|row| !standing.contains(&(row.credit_key.to_string(), row.allocation_id.to_string())));
        self.already_recorded += before - self.rows.len();
        self
    }

    /// Credits whose allocation another one replaces.
    #[must_use]
    pub fn replaced(&self, log: &[AllocationLogRow]) -> usize {
        let current = current_revisions(log);
        let replaced = self.rows.iter().map(|row| row.credit_key.as_str());
        let replaced = replaced.filter(|key| current.get(key).is_some_and(|revision| !revision.is_revocation()));
        replaced.collect::<BTreeSet<_>>().len()
    }
}

/// Rows of a file that was taken over once and no longer says what is recorded, as a spreadsheet counts them. What was
/// replaced by a later revision is recorded all the same.
#[must_use]
pub fn not_recorded(
    entered: &[AllocationRow],
    register: &[RegisteredCredit],
    hierarchy: &Hierarchy,
    log: &[AllocationLogRow],
    recording: &Recording,
) -> Vec<u64> {
    let log = by_present_names(log, hierarchy);
    let mut recorded: BTreeMap<(&str, &str), Vec<&AllocationLogRow>> = BTreeMap::new();
    for row in &*log {
        recorded.entry((&row.credit_key, &row.allocation_id)).or_default().push(row);
    }
    let recorded: Vec<Vec<&AllocationLogRow>> = recorded
        .into_values()
        .map(|mut rows| {
            rows.sort_by_key(|row| row.lot);
            once_each(rows)
        })
        .collect();
    let (groups, _) = grouped(entered, register, recording);
    let mut known: BTreeSet<u64> = BTreeSet::new();
    for ((recorded_at, _), group) in &groups {
        let rows = revision(*recorded_at, group, hierarchy, recording);
        let rows: Vec<&AllocationLogRow> = rows.iter().collect();
        let is_at_stated = group.iter().any(|(entered, _)| entered.recorded_at.is_some());
        if recorded.iter().any(|known| says_the_same(&rows, known, recording, is_at_stated)) {
            known.extend(group.iter().filter_map(|(entered, _)| entered.at.row));
        }
    }
    let rows = entered.iter().filter_map(|entered| entered.at.row);
    rows.filter(|row| !known.contains(row)).collect::<BTreeSet<_>>().into_iter().collect()
}

/// True where the rows of a revision say what those of a recorded one say, whatever its id. Who recorded it, and when, count
/// where that was stated.
fn says_the_same(
    new: &[&AllocationLogRow],
    known: &[&AllocationLogRow],
    recording: &Recording,
    is_at_stated: bool,
) -> bool {
    new.len() == known.len()
        && new.iter().zip(known).all(|(new, known)| {
            let is_by_stated = new.recorded_by != recording.signed(None);
            **known
                == AllocationLogRow {
                    allocation_id: known.allocation_id.clone(),
                    recorded_by: if is_by_stated { new.recorded_by.clone() } else { known.recorded_by.clone() },
                    recorded_at: if is_at_stated { new.recorded_at } else { known.recorded_at },
                    ..(*new).clone()
                }
        })
}

#[cfg(test)]
mod tests {
    use schemas::reference::parse_hierarchy;

    use super::*;
    use crate::fixtures::{credit, entered};
    use crate::record::revisions;

    fn by(who: &str, at: &str) -> Recording {
        let at = at.parse().unwrap();
        Recording { caller: None, recorded_by: Some(who.into()), recorded_at: at, stamp: Stamp::Clock, now: at }
    }

    /// What an import of these rows by somebody would record.
    fn imported(rows: &[&str], log: &[AllocationLogRow], by: &Recording) -> Revisions {
        let nodes =
            parse_hierarchy("h.csv", b"business_unit,department,portfolio,product\nRetail,,,\nMedia,,,\n").unwrap();
        let register = [credit("id:1"), credit("id:2")];
        revisions(&entered(rows), &register, &nodes, log, by).unwrap().without_standing(log, by)
    }

    const ROWS: [&str; 3] = ["id:1,10,USD,2026-12-31,A,Retail,,,", "id:1,5,USD,,,Media,,,", "id:2,7,USD,,,Media,,,"];

    #[test]
    fn file_imported_again_later_and_by_somebody_else_records_nothing() {
        let log = imported(&ROWS, &[], &by("ann", "2026-03-05T09:00:00")).rows;
        assert_eq!(log.len(), 3);
        let again = imported(&ROWS, &log, &by("bob", "2026-03-06T10:00:00"));
        assert_eq!((again.rows.len(), again.already_recorded), (0, 3));
        let changed = [ROWS[0], ROWS[1], "id:2,8,USD,,,Media,,,"];
        let changed = imported(&changed, &log, &by("bob", "2026-03-06T10:00:00"));
        assert_eq!((changed.rows.len(), changed.already_recorded, changed.replaced(&log)), (1, 2, 1));
    }

    #[test]
    fn what_stands_is_not_recorded_again_by_somebody_whom_aws_or_a_folder_names() {
        let named = |who: &str, at: &str| Recording { caller: Some(who.into()), recorded_by: None, ..by("", at) };
        let log = imported(&ROWS, &[], &named("arn:aws:iam::1:user/ann", "2026-03-05T09:00:00")).rows;
        let bob = Recording { stamp: Stamp::Arrival, ..named("AIDABOB", "2026-03-06T10:00:00") };
        let again = imported(&ROWS, &log, &bob);
        assert_eq!((again.rows.len(), again.already_recorded), (0, 3));
    }

    #[test]
    fn file_that_came_before_a_later_revision_is_recorded_with_a_warning_and_does_not_count() {
        let log = imported(&ROWS[2..], &[], &by("ann", "2026-03-06T15:00:00")).rows;
        let arrival = Recording {
            caller: Some("bob".into()),
            recorded_by: None,
            stamp: Stamp::Arrival,
            now: "2026-03-07T05:30:00".parse().unwrap(),
            ..by("", "2026-03-06T10:00:00")
        };
        let found = imported(&["id:2,8,USD,,,Retail,,,"], &log, &arrival);
        assert_eq!(found.rows.len(), 1);
        let warning = "credit id:2: a revision recorded at 2026-03-06 15:00:00 is newer and stays the one that counts";
        assert_eq!(found.warnings[0], warning);
    }

    #[test]
    fn lot_less_or_what_counted_before_another_revision_is_recorded() {
        let mut log = imported(&ROWS, &[], &by("ann", "2026-03-05T09:00:00")).rows;
        assert_eq!(imported(&ROWS[..1], &log, &by("ann", "2026-03-06T09:00:00")).rows.len(), 1, "a lot less");
        log.extend(imported(&["id:2,8,USD,,,Media,,,"], &log, &by("bob", "2026-03-06T10:00:00")).rows);
        let back = imported(&ROWS[2..], &log, &by("ann", "2026-03-07T09:00:00"));
        assert_eq!((back.rows.len(), back.already_recorded), (1, 0), "8 counts now, 7 is recorded anew");
    }

    #[test]
    fn rows_of_a_file_that_were_edited_after_it_was_taken_over_are_known() {
        let mut log = imported(&ROWS, &[], &by("allocations.csv", "2026-03-01T00:00:00")).rows;
        let register = [credit("id:1"), credit("id:2")];
        let told = |rows: &[&str], log: &[AllocationLogRow]| {
            not_recorded(
                &entered(rows),
                &register,
                &Hierarchy::default(),
                log,
                &by("allocations.csv", "2026-03-09T00:00:00"),
            )
        };
        assert_eq!(told(&ROWS, &log), [0_u64; 0]);
        let edited = [ROWS[0], "id:1,6,USD,,,Media,,,", ROWS[2], "id:3,1,USD,,,Media,,,"];
        assert_eq!(told(&edited, &log), [2, 3, 5], "the lots of one credit stand together; id:3 is no credit");
        log.extend(imported(&["id:2,8,USD,,,Media,,,"], &log, &by("bob", "2026-03-06T10:00:00")).rows);
        assert_eq!(told(&ROWS, &log), [0_u64; 0], "a later revision is no edit of the file");
    }
}
