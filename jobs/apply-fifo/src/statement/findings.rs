//! What somebody should look at.

use schemas::tables::{AllocationIssue, Credit, CreditQueue};

use super::model::{Finding, Revision, StatementLot};

/// The findings about a credit, the gravest first.
pub(super) fn findings(
    credit: &Credit,
    lots: &[StatementLot],
    waiting: Option<&CreditQueue>,
    issues: &[AllocationIssue],
    history: &[Revision],
) -> Vec<Finding> {
    let issues: Vec<&AllocationIssue> = issues.iter().filter(|issue| issue.credit_key == credit.credit_key).collect();
    let mut findings = Vec::new();
    findings.extend(waiting.map(|row| Finding::Waiting {
        reason: row.reason.clone(),
        days: row.days_waiting,
        aws_applied: row.aws_applied,
    }));
    findings.extend(issues.iter().map(|issue| Finding::AllocationIssue {
        allocation_id: issue.allocation_id.clone(),
        lot: issue.lot,
        problem: issue.problem.clone(),
    }));
    findings.extend(later(credit, waiting, &issues, history));
    findings.extend(lots.iter().filter_map(|lot| lapsed(lot).or_else(|| ending(lot, credit))));
    findings.extend(beyond(credit, lots));
    findings
}

/// The newest revision, where these figures are not made with it.
fn later(
    credit: &Credit,
    waiting: Option<&CreditQueue>,
    issues: &[&AllocationIssue],
    history: &[Revision],
) -> Option<Finding> {
    let newest = history.last()?;
    let counts = match waiting.map(|row| row.reason.as_str()) {
        None => credit.recorded_at == Some(newest.recorded_at),
        Some("allocation_invalid") => issues.iter().any(|issue| issue.allocation_id == newest.allocation_id),
        Some("revoked") => newest.action == "revoke",
        Some(_) => false,
    };
    (!counts)
        .then(|| Finding::RecordedLater { recorded_at: newest.recorded_at, recorded_by: newest.recorded_by.clone() })
}

fn lapsed(lot: &StatementLot) -> Option<Finding> {
    let end_date = lot.end_date.filter(|_| lot.expired.is_positive())?;
    Some(Finding::Lapsed { lot: lot.lot, end_date, lost: lot.expired })
}

fn ending(lot: &StatementLot, credit: &Credit) -> Option<Finding> {
    let end_date = lot.end_date.filter(|_| lot.remaining.is_positive())?;
    let days_left = end_date.signed_duration_since(credit.as_of).num_days();
    let is_soon = days_left <= i64::from(credit.expiring_soon_days);
    is_soon.then_some(Finding::ExpiresSoon { lot: lot.lot, end_date, left: lot.remaining })
}

/// What AWS did that does not fit what is recorded.
fn beyond(credit: &Credit, lots: &[StatementLot]) -> Vec<Finding> {
    let amount = credit.allocated_amount.filter(|amount| credit.aws_applied > *amount);
    let above = amount.map(|allocated_amount| Finding::AppliedMoreThanAllocated {
        aws_applied: credit.aws_applied,
        allocated_amount,
    });
    let last_end = lots.iter().map(|lot| (lot.end_date.is_none(), lot.end_date)).max().and_then(|(_, end)| end);
    let after = credit.last_cur_date.zip(last_end).filter(|(last, end)| last > end);
    let after = after.map(|(last_cur_date, end_date)| Finding::AppliedAfterEnd { last_cur_date, end_date });
    above.into_iter().chain(after).collect()
}

#[cfg(test)]
mod tests {
    use credit_ledger::{Money, Node};

    use super::super::history::history;
    use super::*;
    use crate::fixtures::{credit, money, recorded};

    fn lot(number: i32, end: Option<&str>, expired: &str, remaining: &str) -> StatementLot {
        StatementLot {
            lot: number,
            node: Node::from_levels([Some("Retail"), None, None, None]).unwrap(),
            owner_email: None,
            amount: money("100"),
            used: Money::ZERO,
            expired: money(expired),
            remaining: money(remaining),
            end_date: end.map(|end| end.parse().unwrap()),
            reference: None,
            fifo_position: 1,
            fifo_lots: 1,
        }
    }

    fn waiting(reason: &str) -> CreditQueue {
        CreditQueue {
            credit_key: "id:1".into(),
            promotion_code: "1".into(),
            account_id: "111122223333".into(),
            credit_class: "promotion".into(),
            currency: "USD".into(),
            first_cur_date: "2026-02-01".parse().unwrap(),
            issue_date: "2026-01-31".parse().unwrap(),
            issue_period: "2026-01".into(),
            aws_applied: money("40"),
            days_waiting: 58,
            reason: reason.into(),
        }
    }

    fn revisions(at: &[(&str, &str)]) -> Vec<Revision> {
        let log: Vec<_> = at.iter().map(|(id, at)| recorded("id:1", id, 1, at)).collect();
        history(&log, "id:1")
    }

    #[test]
    fn lots_that_lapsed_and_lots_that_end_soon_are_told_and_those_used_up_are_not() {
        let lots = [
            lot(1, Some("2026-03-15"), "35", "0"),
            lot(2, Some("2026-05-30"), "0", "7"),
            lot(3, Some("2026-05-31"), "0", "7"),
            lot(4, Some("2026-04-01"), "0", "0"),
            lot(5, None, "0", "7"),
            lot(6, Some("2026-03-31"), "0", "1"),
        ];
        let found = findings(&credit("id:1"), &lots, None, &[], &revisions(&[("a", "2026-03-01T09:00:00")]));
        let (lapsed, may, march) =
            ("2026-03-15".parse().unwrap(), "2026-05-30".parse().unwrap(), "2026-03-31".parse().unwrap());
        let expected = [
            Finding::Lapsed { lot: 1, end_date: lapsed, lost: money("35") },
            Finding::ExpiresSoon { lot: 2, end_date: may, left: money("7") },
            Finding::ExpiresSoon { lot: 6, end_date: march, left: money("1") },
        ];
        assert_eq!(found, expected, "60 days after the end of March are the end of May but one");
    }

    #[test]
    fn revision_that_the_run_has_not_seen_is_told_with_who_recorded_it() {
        let later = |credit: &Credit, queue: Option<&CreditQueue>, issues: &[AllocationIssue], history: &[Revision]| {
            let is_later = |finding: &Finding| matches!(finding, Finding::RecordedLater { .. });
            findings(credit, &[], queue, issues, history).iter().any(is_later)
        };
        let (first, second) = (("a", "2026-03-01T09:00:00"), ("b", "2026-03-02T09:00:00"));
        let (one, two) = (revisions(&[first]), revisions(&[first, second]));
        let allocated = credit("id:1");
        assert!(!later(&allocated, None, &[], &one));
        assert!(later(&allocated, None, &[], &two));
        assert!(!later(&allocated, None, &[], &[]), "nobody has recorded anything");
        assert!(later(&allocated, Some(&waiting("never_allocated")), &[], &one));
        assert!(later(&allocated, Some(&waiting("revoked")), &[], &two), "it was allocated again");
        let issue = AllocationIssue {
            allocation_id: "b".into(),
            lot: 1,
            credit_key: "id:1".into(),
            recorded_by: None,
            recorded_at: "2026-03-02T09:00:00".parse().unwrap(),
            problem: "amount is missing".into(),
        };
        let invalid = waiting("allocation_invalid");
        assert!(!later(&allocated, Some(&invalid), std::slice::from_ref(&issue), &two));
        assert!(later(&allocated, Some(&invalid), &[issue], &one), "what is recorded now was not there");
    }

    #[test]
    fn credit_that_waits_says_so_first_then_what_is_wrong_with_its_allocation() {
        let issue = |credit_key: &str, lot: i32| AllocationIssue {
            allocation_id: "a".into(),
            lot,
            credit_key: credit_key.into(),
            recorded_by: None,
            recorded_at: "2026-03-01T09:00:00".parse().unwrap(),
            problem: "amount is missing".into(),
        };
        let (queue, issues) = (waiting("allocation_invalid"), [issue("id:1", 2), issue("id:2", 1)]);
        let found = findings(&credit("id:1"), &[], Some(&queue), &issues, &revisions(&[("a", "2026-03-01T09:00:00")]));
        let expected = [
            Finding::Waiting { reason: "allocation_invalid".into(), days: 58, aws_applied: money("40") },
            Finding::AllocationIssue { allocation_id: "a".into(), lot: 2, problem: "amount is missing".into() },
        ];
        assert_eq!(found, expected, "what is wrong with another credit is not told");
    }

    #[test]
    fn aws_that_applied_more_or_longer_than_is_recorded_is_told() {
        let applied = |amount: &str, last: &str| Credit {
            aws_applied: money(amount),
            last_cur_date: last.parse().ok(),
            ..credit("id:1")
        };
        let history = revisions(&[("a", "2026-03-01T09:00:00")]);
        let found = |credit: &Credit, lots: &[StatementLot]| findings(credit, lots, None, &[], &history);
        let used_up = [lot(1, Some("2026-02-15"), "0", "0"), lot(2, Some("2026-03-10"), "0", "0")];
        assert_eq!(found(&applied("100", "2026-03-10"), &used_up), []);
        let (last_cur_date, end_date) = ("2026-03-11".parse().unwrap(), "2026-03-10".parse().unwrap());
        let (aws_applied, allocated_amount) = (money("100.0000000001"), money("100"));
        let expected = [
            Finding::AppliedMoreThanAllocated { aws_applied, allocated_amount },
            Finding::AppliedAfterEnd { last_cur_date, end_date },
        ];
        assert_eq!(found(&applied("100.0000000001", "2026-03-11"), &used_up), expected);
        let open = [used_up[0].clone(), lot(2, None, "0", "0")];
        assert_eq!(found(&applied("1", "2026-03-11"), &open), [], "one of its lots never ends");
    }
}
