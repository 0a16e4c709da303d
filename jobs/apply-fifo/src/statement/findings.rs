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
