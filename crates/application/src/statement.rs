//! The statement of one credit, and its parts in words.

use apply_fifo::statement::{CreditStatement, Finding, Revision, Unfound, find, statement as statement_of};
use apply_fifo::unused::{Taken, Unused, UnusedReason};
use credit_ledger::Text;
use schemas::tables::{AllocationLogRow, Credit};

use crate::context::Context;
use crate::failure::{Failure, Kind};
use crate::money_text::cents;

/// Credits that an error lists, lots and services that one cell names.
const LISTED: usize = 10;
const NAMED: usize = 3;

/// All that the published run and the logs say of the credit that a text means: a key, a name, or how one begins.
///
/// # Errors
/// [`Kind::BadInput`] where it means none, or several; [`Kind::NotYet`] before the first run.
pub async fn statement(context: &Context, credit: &str) -> Result<CreditStatement, Failure> {
    let run = context.lake.open_run(&context.lake.published_run().await?).await?;
    let credits: Vec<Credit> = run.rows(None).await?;
    let found = find(&credits, credit).map_err(|unfound| not_found(credit, &unfound))?;
    let log: Vec<AllocationLogRow> = context.lake.logs().read().await?;
    Ok(statement_of(&run, &context.session()?, &credits, found, &log).await?)
}

fn not_found(key: &str, unfound: &Unfound) -> Failure {
    let listed = |keys: &[Text]| {
        let mut listed: Vec<String> = keys.iter().take(LISTED).map(ToString::to_string).collect();
        if keys.len() > LISTED {
            listed.push(format!("and {} more", keys.len() - LISTED));
        }
        listed.join(", ")
    };
    let message = match unfound {
        Unfound::Ambiguous(keys) => {
            format!("{} credits fit {key}: {}; give the key of one", keys.len(), listed(keys))
        }
        Unfound::Unknown(near) if near.is_empty() => {
            format!("no credit fits {key}; `queue` and `credits` list those that are registered")
        }
        Unfound::Unknown(near) => format!("no credit fits {key}; did you mean {}?", listed(near)),
    };
    Failure::new(Kind::BadInput, message)
}

/// Why something of a lot was left, in words.
#[must_use]
pub fn why_unused(unused: &Unused, statement: &CreditStatement) -> String {
    let lot = statement.lots.iter().find(|lot| lot.lot == unused.lot);
    let node = lot.map(|lot| lot.node.to_string()).unwrap_or_default();
    let after = format!(" after {}", earlier(unused));
    let mut why = match unused.reason {
        UnusedReason::NoSpend => format!("no cost at {node}"),
        UnusedReason::NothingEligible => "no credit may offset any of it".to_owned(),
        UnusedReason::OutsideWindow => "eligible spend only outside of its window".to_owned(),
        UnusedReason::EarlierLots => format!("earlier lots took all: {}", earlier(unused)),
        UnusedReason::LessSpend => {
            format!("it drew all there was{}", if unused.earlier.is_empty() { "" } else { &after })
        }
    };
    if unused.outside_window.is_positive() {
        let window = unused.window.map_or_else(|| "none".to_owned(), |(first, last)| format!("{first} to {last}"));
        why += &format!("; outside of its window ({window}) {}", cents(unused.outside_window));
    }
    if !unused.not_eligible.is_zero() {
        let services = unused.not_eligible_services.iter().take(NAMED);
        let services: Vec<&str> = services.map(|of| of.service.as_deref().unwrap_or("no service")).collect();
        why += &format!("; not eligible {} ({})", cents(unused.not_eligible), services.join(", "));
    }
    if !unused.tax.is_zero() {
        why += &format!("; tax {}", cents(unused.tax));
    }
    why
}

fn earlier(unused: &Unused) -> String {
    let lot = |taken: &Taken| format!("{} lot {} {}", taken.credit_key, taken.lot, cents(taken.used));
    let mut lots: Vec<String> = unused.earlier.iter().take(NAMED).map(lot).collect();
    if unused.earlier.len() > NAMED {
        lots.push(format!("{} more", unused.earlier.len() - NAMED));
    }
    lots.join(", ")
}

/// A revision in lines: who and when, then each lot.
#[must_use]
pub fn revision_lines(revision: &Revision, currency: &str) -> Vec<String> {
    let by = revision.recorded_by.as_deref().unwrap_or("unknown");
    let note = revision.note.as_ref().map(|note| format!(", {note}")).unwrap_or_default();
    let newest = if revision.is_newest { "" } else { ", replaced" };
    let at = revision.recorded_at.format("%Y-%m-%d %H:%M");
    let mut lines = vec![format!("{at}  {}  by {by}{newest}{note}", revision.action)];
    lines.extend(revision.lots.iter().map(|lot| {
        let node = lot.node.as_ref().map_or_else(|| "no node".to_owned(), ToString::to_string);
        let amount = match lot.continues_lot {
            Some(from) => format!("what was left of lot {from}"),
            None => lot.amount.map_or_else(|| "no amount".to_owned(), |amount| format!("{} {currency}", cents(amount))),
        };
        let from = lot.from_period.as_ref().map(|period| format!(" from {period}")).unwrap_or_default();
        let end = lot.end_date.map_or_else(|| "open-ended".to_owned(), |end| format!("until {end}"));
        let reference = lot.reference.as_ref().map(|reference| format!(", {reference}")).unwrap_or_default();
        format!("  lot {}: {amount} to {node}{from}, {end}{reference}", lot.lot)
    }));
    lines
}

/// A finding in words.
#[must_use]
pub fn finding_text(finding: &Finding, statement: &CreditStatement) -> String {
    let currency = &statement.credit.currency;
    match finding {
        Finding::Waiting { reason, days, aws_applied } => {
            let applied = cents(*aws_applied);
            format!("waits for allocation for {days} days ({reason}); AWS applied {applied} {currency} so far")
        }
        Finding::AllocationIssue { allocation_id, lot, problem } => {
            format!("allocation {allocation_id} lot {lot} cannot be used: {problem}")
        }
        Finding::RecordedLater { recorded_at, recorded_by } => {
            let by = recorded_by.as_deref().unwrap_or("unknown");
            let at = recorded_at.format("%Y-%m-%d %H:%M");
            format!("the revision of {at} by {by} is not in these figures; it counts from the next run")
        }
        Finding::ExpiresSoon { lot, end_date, left } => {
            format!("lot {lot} ends on {end_date} with {} {currency} left", cents(*left))
        }
        Finding::Lapsed { lot, end_date, lost } => {
            format!("lot {lot} ended on {end_date}: {} {currency} lost", cents(*lost))
        }
        Finding::AppliedMoreThanAllocated { aws_applied, allocated_amount } => format!(
            "AWS applied {} {currency}, more than the {} allocated: the amount is too low",
            cents(*aws_applied),
            cents(*allocated_amount)
        ),
        Finding::AppliedAfterEnd { last_cur_date, end_date } => {
            format!("AWS applied it on {last_cur_date}, after its end on {end_date}: that end is too early")
        }
    }
}

#[cfg(test)]
mod tests;
