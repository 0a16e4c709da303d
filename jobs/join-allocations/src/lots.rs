//! What the allocations log says about each registered credit.
//!
//! The newest `recorded_at` per credit counts, ties by allocation id. The log can be written by other clients, so the
//! revision that counts is checked again: if anything is wrong with it the credit waits, earlier revisions do not
//! revive, and the rows are listed with the reason.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDateTime;
use credit_ledger::{BillingPeriod, Money, NodeError, Quoted, Text};
use schemas::NodeColumns;
use schemas::reference::{Action, Hierarchy};
use schemas::tables::{AllocatedCredit, AllocationIssue, AllocationLogRow, LotRow, RegisteredCredit};

use crate::renamed::{by_present_names, follow_renames};

/// Why a credit waits for allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// Nobody has recorded anything.
    NeverAllocated,
    /// Its allocation was ended.
    Revoked,
    /// What was recorded last cannot be used.
    AllocationInvalid,
}

impl Waiting {
    /// As tables spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NeverAllocated => "never_allocated",
            Self::Revoked => "revoked",
            Self::AllocationInvalid => "allocation_invalid",
        }
    }
}

/// The result of the join.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Joined {
    /// One row per registered credit, by key.
    pub credits: Vec<AllocatedCredit>,
    /// By credit and lot.
    pub lots: Vec<LotRow>,
    /// By allocation and lot.
    pub issues: Vec<AllocationIssue>,
}

/// Joins the register, in order of the key, with the log. `now` is the latest instant at which anything can have been
/// recorded.
#[must_use]
pub fn join(
    register: &[RegisteredCredit],
    log: &[AllocationLogRow],
    hierarchy: &Hierarchy,
    now: NaiveDateTime,
) -> Joined {
    let log = by_present_names(log, hierarchy);
    let current = current_revisions(&log);
    let mut joined = Joined { credits: Vec::with_capacity(register.len()), ..Joined::default() };
    for (key, revision) in &current {
        let place = register.binary_search_by(|credit| credit.credit_key.as_str().cmp(key));
        let credit = place.ok().and_then(|place| register.get(place));
        // A revoked credit may have left the register with its lines: nothing is wrong with that.
        if revision.is_revocation() && credit.is_none() {
            continue;
        }
        joined.issues.extend(revision.issues(credit, hierarchy, now));
    }
    let invalid: BTreeSet<&str> = joined.issues.iter().map(|issue| issue.credit_key.as_str()).collect();
    for credit in register {
        let revision = current.get(credit.credit_key.as_str());
        let waiting = match revision {
            None => Some(Waiting::NeverAllocated),
            Some(_) if invalid.contains(credit.credit_key.as_str()) => Some(Waiting::AllocationInvalid),
            Some(revision) if revision.is_revocation() => Some(Waiting::Revoked),
            Some(_) => None,
        };
        let valid = revision.filter(|_| waiting.is_none());
        joined.credits.push(allocated(credit, waiting, valid));
        joined.lots.extend(valid.into_iter().flat_map(|revision| lots(credit, revision)));
    }
    joined.lots = follow_renames(joined.lots, hierarchy.renames());
    joined.issues.sort_by(|left, right| {
        (&left.allocation_id, left.lot, &left.credit_key).cmp(&(&right.allocation_id, right.lot, &right.credit_key))
    });
    joined
}

/// The rows of one allocation of one credit, by lot.
pub(crate) struct Revision<'a> {
    pub(crate) rows: Vec<&'a AllocationLogRow>,
    recorded_at: NaiveDateTime,
}

/// The rows that count of each credit, by credit and lot: those of its newest revision.
pub fn current_rows(log: &[AllocationLogRow]) -> impl Iterator<Item = &AllocationLogRow> {
    current_revisions(log).into_values().flat_map(|revision| revision.rows)
}

/// The revision that counts for each credit. Rows that were appended twice count once.
pub(crate) fn current_revisions(log: &[AllocationLogRow]) -> BTreeMap<&str, Revision<'_>> {
    let mut revisions: BTreeMap<(&str, &str), Vec<&AllocationLogRow>> = BTreeMap::new();
    for row in log {
        revisions.entry((&row.credit_key, &row.allocation_id)).or_default().push(row);
    }
    let mut current: BTreeMap<&str, (NaiveDateTime, &str)> = BTreeMap::new();
    for ((key, id), rows) in &revisions {
        let recorded_at = rows.iter().map(|row| row.recorded_at).max().unwrap_or_default();
        let newest = current.entry(key).or_insert((recorded_at, id));
        *newest = (*newest).max((recorded_at, id));
    }
    current
        .into_iter()
        .map(|(key, (recorded_at, id))| {
            let mut rows = revisions.remove(&(key, id)).unwrap_or_default();
            rows.sort_by_key(|row| row.lot);
            (key, Revision { rows: once_each(rows), recorded_at })
        })
        .collect()
}

/// The rows, ordered by lot, without those that are there already.
pub(crate) fn once_each(rows: Vec<&AllocationLogRow>) -> Vec<&AllocationLogRow> {
    let mut once: Vec<&AllocationLogRow> = Vec::with_capacity(rows.len());
    for row in rows {
        let mut of_lot = once.iter().rev().take_while(|known| known.lot == row.lot);
        if !of_lot.any(|known| *known == row) {
            once.push(row);
        }
    }
    once
}

impl Revision<'_> {
    pub(crate) fn is_revocation(&self) -> bool {
        self.rows.iter().all(|row| row.action == Action::Revoke.name())
    }

    /// What is wrong, one entry per row that has anything wrong.
    fn issues(
        &self,
        credit: Option<&RegisteredCredit>,
        hierarchy: &Hierarchy,
        now: NaiveDateTime,
    ) -> Vec<AllocationIssue> {
        let whole = self.whole_problems(now);
        let rows = self.rows.iter().filter_map(|row| {
            let mut problems = whole.clone();
            match credit {
                None => problems.push(format!("credit {} is not registered", row.credit_key)),
                Some(credit) => {
                    problems.extend(row_problems(row, credit, hierarchy));
                    problems.extend(move_problem(row, credit, &self.rows));
                }
            }
            (!problems.is_empty()).then(|| AllocationIssue {
                allocation_id: row.allocation_id.clone(),
                lot: row.lot,
                credit_key: row.credit_key.clone(),
                recorded_by: row.recorded_by.clone(),
                recorded_at: row.recorded_at,
                problem: problems.join("; ").into(),
            })
        });
        let mut issues: Vec<AllocationIssue> = rows.collect();
        // The grain is allocation and lot: one row where several claim one lot.
        issues.dedup_by(|later, earlier| later.lot == earlier.lot);
        issues
    }

    /// What is wrong with the revision as a whole.
    fn whole_problems(&self, now: NaiveDateTime) -> Vec<String> {
        let mut problems = Vec::new();
        if self.recorded_at > now {
            problems.push(format!("recorded_at {} is in the future", self.recorded_at));
        }
        if self.rows.iter().any(|row| row.recorded_at != self.recorded_at) {
            problems.push("recorded_at differs between the lots".to_owned());
        }
        if self.rows.iter().any(|row| row.action != self.rows.first().map_or("", |first| &first.action)) {
            problems.push("action differs between the lots".to_owned());
        }
        if self.is_revocation() {
            return problems;
        }
        if self.rows.iter().zip(1..).any(|(row, number)| row.lot != number) {
            problems.push(format!("lots are not numbered 1 to {}", self.rows.len()));
        }
        if Money::total(self.rows.iter().filter_map(|row| row.amount)).is_err() {
            problems.push("the lots sum to more than 38 digits".to_owned());
        }
        problems
    }
}

/// What is wrong with one row of an allocation of `credit`.
pub(crate) fn row_problems(row: &AllocationLogRow, credit: &RegisteredCredit, hierarchy: &Hierarchy) -> Vec<String> {
    if row.action == Action::Revoke.name() {
        return Vec::new();
    }
    let mut problems = Vec::new();
    if row.action != Action::Allocate.name() {
        problems.push(format!("action {} is neither allocate nor revoke", Quoted(&row.action)));
    }
    match (row.amount, row.continues_lot) {
        (None, None) => problems.push("amount is missing".to_owned()),
        (Some(_), Some(from)) => problems.push(format!("amount is stated, but it is what is left of lot {from}")),
        (Some(amount), _) if !amount.is_positive() => problems.push(format!("amount {amount} is not above zero")),
        _ => {}
    }
    match &row.currency {
        Some(currency) if *currency == credit.currency => {}
        Some(currency) => problems.push(format!("currency {currency} is not that of the credit, {}", credit.currency)),
        None => problems.push("currency is missing".to_owned()),
    }
    if let Some(end) = row.end_date.filter(|end| *end < credit.issue_date) {
        problems.push(format!("end_date {end} is before the issue date {}", credit.issue_date));
    }
    match row.node() {
        Err(NodeError::Empty) => problems.push("no business unit is named".to_owned()),
        Err(error) => problems.push(error.to_string()),
        Ok(node) if !hierarchy.contains(&node) => problems.push(format!("node {node} is not in hierarchy.csv")),
        Ok(_) => {}
    }
    problems
}

/// What is wrong with a row that continues another of `rows`, those of its revision.
pub(crate) fn move_problem(
    row: &AllocationLogRow,
    credit: &RegisteredCredit,
    rows: &[&AllocationLogRow],
) -> Option<String> {
    let (period, number) = match (&row.from_period, row.continues_lot) {
        (None, None) => return None,
        (Some(period), Some(number)) => (period, number),
        _ => return Some("from_period and continues_lot go together".to_owned()),
    };
    let Ok(from_period) = period.parse::<BillingPeriod>() else {
        return Some(format!("from_period {} is not a billing period (YYYY-MM)", Quoted(period)));
    };
    let Some(from) = rows.iter().find(|from| from.lot == number && number < row.lot) else {
        return Some(format!("it continues lot {number}, which is no lot before it"));
    };
    if rows.iter().any(|other| other.lot != row.lot && other.continues_lot == Some(number)) {
        return Some(format!("lot {number} is continued twice"));
    }
    if from.end_date != row.end_date {
        return Some(format!("its end_date is not that of lot {number}, which it continues"));
    }
    let placed = from.from_period.as_ref().and_then(|period| period.parse().ok());
    let placed = placed.unwrap_or_else(|| BillingPeriod::of(credit.issue_date));
    (from_period <= placed).then(|| {
        format!(
            "from_period {from_period} is not after {placed}, from which lot {number} counts: allocate it there instead"
        )
    })
}

fn allocated(credit: &RegisteredCredit, waiting: Option<Waiting>, revision: Option<&Revision<'_>>) -> AllocatedCredit {
    let first = revision.and_then(|revision| revision.rows.first());
    let amounts = revision.map(|revision| revision.rows.iter().filter_map(|row| row.amount));
    AllocatedCredit {
        credit_key: credit.credit_key.clone(),
        waiting: waiting.map(|waiting| Text::new_static(waiting.name())),
        allocated_amount: amounts.and_then(|amounts| Money::total(amounts).ok()),
        recorded_by: first.and_then(|row| row.recorded_by.clone()),
        recorded_at: first.map(|row| row.recorded_at),
    }
}

fn lots(credit: &RegisteredCredit, revision: &Revision<'_>) -> Vec<LotRow> {
    let rows = revision.rows.iter().filter_map(|row| {
        Some(LotRow {
            credit_key: credit.credit_key.clone(),
            lot: row.lot,
            promotion_code: credit.promotion_code.clone(),
            account_id: credit.account_id.clone(),
            business_unit: row.business_unit.clone(),
            department: row.department.clone(),
            portfolio: row.portfolio.clone(),
            product: row.product.clone(),
            currency: credit.currency.clone(),
            amount: row.amount.or(row.continues_lot.map(|_from| Money::ZERO))?,
            issue_date: credit.issue_date,
            first_cur_date: credit.first_cur_date,
            end_date: row.end_date,
            reference: row.reference.clone(),
            from_period: row.from_period.as_ref().and_then(|period| period.parse().ok()),
            continues_lot: row.continues_lot,
        })
    });
    rows.collect()
}

#[cfg(test)]
mod scenarios;
#[cfg(test)]
mod tests {
    use schemas::reference::parse_hierarchy;

    use super::*;
    use crate::fixtures::credit;

    fn row(id: &str, lot: i32, at: &str) -> AllocationLogRow {
        AllocationLogRow {
            allocation_id: id.into(),
            lot,
            credit_key: "k".into(),
            action: "allocate".into(),
            business_unit: Some("Retail".into()),
            department: None,
            portfolio: None,
            product: None,
            amount: "5".parse().ok(),
            currency: Some("USD".into()),
            end_date: None,
            reference: None,
            recorded_by: None,
            recorded_at: format!("{at}T00:00:00").parse().unwrap(),
            note: None,
            from_period: None,
            continues_lot: None,
        }
    }

    fn joined(log: &[AllocationLogRow]) -> (Option<Text>, usize, Vec<String>) {
        let hierarchy = parse_hierarchy("h", b"business_unit,department,portfolio,product\nRetail,,,\n").unwrap();
        let joined = join(&[credit("k")], log, &hierarchy, "2026-06-01T00:00:00".parse().unwrap());
        let issues =
            joined.issues.into_iter().map(|issue| format!("{} {}: {}", issue.allocation_id, issue.lot, issue.problem));
        (joined.credits[0].waiting.clone(), joined.lots.len(), issues.collect())
    }

    #[test]
    fn the_newest_revision_counts_and_ties_go_by_id() {
        let mut newest = row("b", 1, "2026-03-02");
        newest.amount = "7".parse().ok();
        let log = [row("c", 1, "2026-03-01"), newest.clone(), row("a", 1, "2026-03-02")];
        assert_eq!(joined(&log), (None, 1, vec![]));
        let revoked =
            AllocationLogRow { action: "revoke".into(), amount: None, currency: None, ..row("d", 1, "2026-03-03") };
        assert_eq!(joined(&[newest.clone(), revoked]), (Some("revoked".into()), 0, vec![]));
        assert_eq!(joined(&[newest.clone(), newest]), (None, 1, vec![]));
        assert_eq!(joined(&[]), (Some("never_allocated".into()), 0, vec![]));
    }

    #[test]
    fn lots_of_one_credit_end_each_on_its_own_day() {
        let mut second = row("a", 2, "2026-03-01");
        (second.end_date, second.reference) = ("2027-08-31".parse().ok(), Some("PO-2".into()));
        let hierarchy = parse_hierarchy("h", b"business_unit,department,portfolio,product\nRetail,,,\n").unwrap();
        let log = [row("a", 1, "2026-03-01"), second.clone()];
        let joined = join(&[credit("k")], &log, &hierarchy, "2026-06-01T00:00:00".parse().unwrap());
        let lots: Vec<_> = joined.lots.iter().map(|lot| (lot.lot, lot.end_date, lot.reference.clone())).collect();
        assert_eq!(lots, [(1, None, None), (2, second.end_date, second.reference)]);
        assert_eq!(joined.credits[0].allocated_amount, "10".parse().ok());
    }

    #[test]
    fn an_invalid_newest_revision_makes_the_credit_wait_and_earlier_ones_do_not_revive() {
        let good = row("a", 1, "2026-03-01");
        let bad = |change: fn(&mut AllocationLogRow)| {
            let mut row = row("b", 1, "2026-03-02");
            change(&mut row);
            let (waiting, lots, issues) = joined(&[good.clone(), row]);
            assert_eq!((waiting.as_deref(), lots), (Some("allocation_invalid"), 0));
            issues.join("|")
        };
        assert_eq!(bad(|row| row.business_unit = Some("X".into())), "b 1: node X is not in hierarchy.csv");
        assert_eq!(bad(|row| row.business_unit = None), "b 1: no business unit is named");
        assert_eq!(bad(|row| row.amount = "0".parse().ok()), "b 1: amount 0.0000000000 is not above zero");
        assert_eq!(bad(|row| row.amount = None), "b 1: amount is missing");
        assert_eq!(bad(|row| row.currency = Some("EUR".into())), "b 1: currency EUR is not that of the credit, USD");
        assert_eq!(bad(|row| row.lot = 2), "b 2: lots are not numbered 1 to 1");
        assert_eq!(bad(|row| row.action = "give".into()), "b 1: action \"give\" is neither allocate nor revoke");
        assert_eq!(
            bad(|row| row.end_date = "2026-01-30".parse().ok()),
            "b 1: end_date 2026-01-30 is before the issue date 2026-01-31"
        );
        assert_eq!(
            bad(|row| row.recorded_at = "2027-01-01T00:00:00".parse().unwrap()),
            "b 1: recorded_at 2027-01-01 00:00:00 is in the future"
        );
    }

    #[test]
    fn a_lot_that_goes_on_elsewhere_is_checked_against_the_one_it_continues() {
        let first = AllocationLogRow { end_date: "2026-12-31".parse().ok(), ..row("a", 1, "2026-03-01") };
        let on = |from: &str, continues: i32| AllocationLogRow {
            lot: continues + 1,
            amount: None,
            from_period: Some(from.into()),
            continues_lot: Some(continues),
            ..first.clone()
        };
        let issues = |rows: &[AllocationLogRow]| joined(rows).2.join("|");
        assert_eq!(joined(&[first.clone(), on("2026-03", 1), on("2026-05", 2)]), (None, 3, vec![]));
        let changed = |change: fn(&mut AllocationLogRow)| {
            let mut row = on("2026-03", 1);
            change(&mut row);
            issues(&[first.clone(), row])
        };
        assert_eq!(
            changed(|row| row.amount = "1".parse().ok()),
            "a 2: amount is stated, but it is what is left of lot 1"
        );
        assert_eq!(changed(|row| row.from_period = None), "a 2: from_period and continues_lot go together");
        assert_eq!(changed(|row| row.continues_lot = Some(2)), "a 2: it continues lot 2, which is no lot before it");
        assert_eq!(
            changed(|row| row.from_period = Some("March".into())),
            "a 2: from_period \"March\" is not a billing period (YYYY-MM)"
        );
        assert_eq!(changed(|row| row.end_date = None), "a 2: its end_date is not that of lot 1, which it continues");
        assert_eq!(
            changed(|row| row.from_period = Some("2026-01".into())),
            "a 2: from_period 2026-01 is not after 2026-01, from which lot 1 counts: allocate it there instead"
        );
        assert_eq!(
            issues(&[first.clone(), on("2026-05", 1), on("2026-05", 2)]),
            "a 3: from_period 2026-05 is not after 2026-05, from which lot 2 counts: allocate it there instead"
        );
        let twice = AllocationLogRow { lot: 3, ..on("2026-04", 1) };
        assert_eq!(
            issues(&[first.clone(), on("2026-03", 1), twice]),
            "a 2: lot 1 is continued twice|a 3: lot 1 is continued twice"
        );
    }

    #[test]
    fn an_unknown_credit_is_an_issue_but_its_revocation_is_not() {
        let unknown = AllocationLogRow { credit_key: "u".into(), ..row("a", 1, "2026-03-01") };
        let (_, _, issues) = joined(std::slice::from_ref(&unknown));
        assert_eq!(issues, ["a 1: credit u is not registered"]);
        let revoked = AllocationLogRow { action: "revoke".into(), allocation_id: "b".into(), ..unknown.clone() };
        let revoked = AllocationLogRow { recorded_at: "2026-03-02T00:00:00".parse().unwrap(), ..revoked };
        assert_eq!(joined(&[unknown, revoked]).2, Vec::<String>::new());
    }
}
