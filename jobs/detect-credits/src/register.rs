//! The register of credits: a function of the current credit lines.
//!
//! `first_cur_date` is the earliest usage date among a credit's lines, `issue_date` the day before, unless somebody
//! set it by hand in `credits_log`. Lines of one key may differ in name, account or payer: the register shows those of
//! the earliest line, by usage date, billing period, payer, account, description.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use chrono::{Days, NaiveDate, NaiveDateTime};
use credit_ledger::{Money, Text, within_years};
use schemas::reference::{Problem, Problems};
use schemas::tables::{AllocationLogRow, AppliedByAws, CreditLine, CreditLogRow, RegisteredCredit};

use crate::error::DetectError;
use crate::history::{CreditHistory, History, money_error};

/// Source of an issue date inferred from the export.
pub const CUR_INFERRED: &str = "cur_inferred";
/// Source of an issue date set by hand.
pub const MANUAL: &str = "manual";

/// The register and the AWS book by credit, as of a period.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Register {
    /// By key.
    pub credits: Vec<RegisteredCredit>,
    /// By period and key.
    pub applied: Vec<AppliedByAws>,
}

/// Derives the register from the credit lines of all periods.
///
/// A credit without any line, in any period, stays as last known while it is allocated.
///
/// # Errors
/// [`ReadError::BadExport`](cur_reader::ReadError::BadExport) for one key in two currencies or an issue date that cannot be meant,
/// [`DetectError::Money`] where a sum leaves the range of money.
pub fn register(
    history: CreditHistory,
    log: &[CreditLogRow],
    allocations: &[AllocationLogRow],
) -> Result<Register, DetectError> {
    let credits = history.into_credits();
    let mut problems = Problems::default();
    let mut newest = newest_revisions(log).into_iter().peekable();
    let mut gone = Vec::new();
    let mut register = Register { credits: Vec::with_capacity(credits.len()), applied: Vec::new() };
    for (credit_key, history) in credits {
        if history.currencies.len() > 1 {
            problems.0.push(several_currencies(&credit_key, &history.currencies));
        }
        while let Some(row) = newest.next_if(|row| row.credit_key < credit_key) {
            gone.push(row);
        }
        let logged = newest.next_if(|row| row.credit_key == credit_key);
        let History { first: Some(first), last_cur_date, applied, .. } = history else { continue };
        let aws_applied = Money::total(applied.values().copied());
        let aws_applied = aws_applied.map_err(|source| money_error(&credit_key, source))?;
        register.credits.push(registered(first.line, logged, last_cur_date, aws_applied));
        let applied = applied.into_iter().map(|(billing_period, aws_applied)| AppliedByAws {
            billing_period,
            credit_key: credit_key.clone(),
            aws_applied,
        });
        register.applied.extend(applied);
    }
    gone.extend(newest);
    let allocated = allocated(allocations);
    let kept = gone.into_iter().filter(|row| allocated.contains(&row.credit_key));
    register.credits.extend(kept.map(last_known));
    problems.0.extend(register.credits.iter().filter_map(wrong_issue_date));
    problems.or(())?;
    register.credits.sort_by(|left, right| left.credit_key.cmp(&right.credit_key));
    // Stable: of one period credits stay in order.
    register.applied.sort_by_key(|row| row.billing_period);
    Ok(register)
}

/// A credit as its first line shows it.
fn registered(
    line: CreditLine,
    logged: Option<&CreditLogRow>,
    last_cur_date: Option<NaiveDate>,
    aws_applied: Money,
) -> RegisteredCredit {
    let manual = logged.filter(|row| row.issue_date_source == MANUAL);
    let inferred = line.usage_date.checked_sub_days(Days::new(1)).unwrap_or(line.usage_date);
    RegisteredCredit {
        credit_key: line.credit_key,
        promotion_code: line.promotion_code,
        account_id: line.credit_account_id,
        owner_account_id: line.owner_account_id,
        credit_id: line.credit_id,
        payer_account_id: line.payer_account_id,
        currency: line.currency,
        description: line.description,
        credit_class: line.credit_class,
        first_cur_date: line.usage_date,
        issue_date: manual.map_or(inferred, |row| row.issue_date),
        issue_date_source: manual.map_or(CUR_INFERRED, |_| MANUAL).into(),
        last_cur_date,
        aws_applied,
    }
}

/// The newest row of each key, in order of the key.
fn newest_revisions(log: &[CreditLogRow]) -> Vec<&CreditLogRow> {
    let mut newest: Vec<&CreditLogRow> = log.iter().collect();
    let newest_first = |row: &&CreditLogRow| Reverse((row.revision, row.detected_at));
    newest.sort_by(|left, right| {
        let by_key = left.credit_key.cmp(&right.credit_key);
        let by_age = || newest_first(left).cmp(&newest_first(right)).then_with(|| right.run_id.cmp(&left.run_id));
        by_key.then_with(by_age)
    });
    newest.dedup_by(|older, newer| older.credit_key == newer.credit_key);
    newest
}

/// The credits whose newest allocation is one.
fn allocated(allocations: &[AllocationLogRow]) -> BTreeSet<&Text> {
    let mut newest: BTreeMap<&Text, &AllocationLogRow> = BTreeMap::new();
    for row in allocations {
        let known = newest.entry(&row.credit_key).or_insert(row);
        if (row.recorded_at, &row.allocation_id) >= (known.recorded_at, &known.allocation_id) {
            *known = row;
        }
    }
    newest.into_iter().filter(|(_, row)| row.action == "allocate").map(|(key, _)| key).collect()
}

fn several_currencies(key: &str, currencies: &BTreeSet<Text>) -> Problem {
    let currencies: Vec<&str> = currencies.iter().map(Text::as_str).collect();
    let message = format!(
        "has lines in {}, but a credit has one currency; if these are two credits, tell them apart with \
         [credits] description_patterns",
        currencies.join(" and ")
    );
    Problem { file: format!("credit {key}"), row: None, column: None, message }
}

/// A date that nobody can have meant: balances have a month for every month from it on. No line has one that was read
/// since lines are checked for it.
fn wrong_issue_date(credit: &RegisteredCredit) -> Option<Problem> {
    let wrong = within_years(credit.issue_date).err()?;
    let is_inferred = credit.issue_date_source == CUR_INFERRED && credit.last_cur_date.is_some();
    let remedy = match is_inferred {
        true => "take its billing period out of the lake with `lake drop-period` and run again",
        false => "append a revision with the right date to credits_log",
    };
    let message = format!("issue date {wrong}; {remedy}");
    Some(Problem { file: format!("credit {}", credit.credit_key), row: None, column: None, message })
}

fn last_known(row: &CreditLogRow) -> RegisteredCredit {
    RegisteredCredit {
        credit_key: row.credit_key.clone(),
        promotion_code: row.promotion_code.clone(),
        account_id: row.account_id.clone(),
        owner_account_id: row.owner_account_id.clone(),
        credit_id: row.credit_id.clone(),
        payer_account_id: row.payer_account_id.clone(),
        currency: row.currency.clone(),
        description: row.description.clone(),
        credit_class: row.credit_class.clone(),
        first_cur_date: row.first_cur_date,
        issue_date: row.issue_date,
        issue_date_source: row.issue_date_source.clone(),
        last_cur_date: None,
        aws_applied: Money::ZERO,
    }
}

/// The journal's new rows: a revision for each credit that is new or changed.
#[must_use]
pub fn journal(
    register: &Register,
    log: &[CreditLogRow],
    run_id: &str,
    detected_at: NaiveDateTime,
) -> Vec<CreditLogRow> {
    let mut newest = newest_revisions(log).into_iter().peekable();
    let rows = register.credits.iter().filter_map(|credit| {
        while newest.next_if(|row| row.credit_key < credit.credit_key).is_some() {}
        let known = newest.next_if(|row| row.credit_key == credit.credit_key);
        if known.is_some_and(|known| says(known, credit)) {
            return None;
        }
        Some(CreditLogRow {
            credit_key: credit.credit_key.clone(),
            revision: known.map_or(1, |row| row.revision.saturating_add(1)),
            promotion_code: credit.promotion_code.clone(),
            account_id: credit.account_id.clone(),
            owner_account_id: credit.owner_account_id.clone(),
            credit_id: credit.credit_id.clone(),
            payer_account_id: credit.payer_account_id.clone(),
            currency: credit.currency.clone(),
            description: credit.description.clone(),
            credit_class: credit.credit_class.clone(),
            first_cur_date: credit.first_cur_date,
            issue_date: credit.issue_date,
            issue_date_source: credit.issue_date_source.clone(),
            detected_at,
            run_id: run_id.into(),
        })
    });
    rows.collect()
}

/// True if the row says of the credit what is known now.
fn says(row: &CreditLogRow, credit: &RegisteredCredit) -> bool {
    let logged = (&row.promotion_code, &row.account_id, &row.owner_account_id, &row.credit_id, &row.payer_account_id);
    let known = (
        &credit.promotion_code,
        &credit.account_id,
        &credit.owner_account_id,
        &credit.credit_id,
        &credit.payer_account_id,
    );
    let logged_as = (&row.currency, &row.description, &row.credit_class);
    let known_as = (&credit.currency, &credit.description, &credit.credit_class);
    let logged_dates = (row.first_cur_date, row.issue_date, &row.issue_date_source);
    let known_dates = (credit.first_cur_date, credit.issue_date, &credit.issue_date_source);
    logged == known && logged_as == known_as && logged_dates == known_dates
}

#[cfg(test)]
mod tests;
