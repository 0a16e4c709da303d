//! The register of credits: a function of the current credit lines.
//!
//! `first_cur_date` is the earliest usage date among a credit's lines, `issue_date` the day before, unless somebody
//! set it by hand in `credits_log`. Lines of one key may differ in name, account or payer: the register shows those of
//! the earliest line, by usage date, billing period, payer, account, description.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Days, NaiveDateTime};
use credit_ledger::{BillingPeriod, Money};
use schemas::reference::{Problem, Problems};
use schemas::tables::{AllocationLogRow, AppliedByAws, CreditLine, CreditLogRow, RegisteredCredit};

use crate::DetectError;

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

/// Derives the register from the credit lines of all periods; those after `last` are ignored.
///
/// A credit without any line, in any period, stays as last known while it is allocated.
///
/// # Errors
/// [`DetectError::BadExport`] for one key in two currencies.
pub fn register(
    lines: &[(BillingPeriod, CreditLine)],
    last: BillingPeriod,
    log: &[CreditLogRow],
    allocations: &[AllocationLogRow],
) -> Result<Register, DetectError> {
    let newest = newest_revisions(log);
    let mut by_key: BTreeMap<&str, Vec<&(BillingPeriod, CreditLine)>> = BTreeMap::new();
    for line in lines.iter().filter(|(period, _)| *period <= last) {
        by_key.entry(&line.1.credit_key).or_default().push(line);
    }
    one_currency_each(&by_key)?;
    let mut register = Register::default();
    for (key, lines) in &by_key {
        register.credits.extend(credit(key, lines, newest.get(key).copied())?);
        register.applied.extend(applied(key, lines)?);
    }
    let with_lines: BTreeSet<&str> = lines.iter().map(|(_, line)| line.credit_key.as_str()).collect();
    let kept = newest.iter().filter(|(key, _)| !with_lines.contains(*key) && is_allocated(key, allocations));
    register.credits.extend(kept.map(|(_, row)| last_known(row)));
    register.credits.sort_by(|left, right| left.credit_key.cmp(&right.credit_key));
    register
        .applied
        .sort_by(|left, right| (left.billing_period, &left.credit_key).cmp(&(right.billing_period, &right.credit_key)));
    Ok(register)
}

/// The newest row of each key.
fn newest_revisions(log: &[CreditLogRow]) -> BTreeMap<&str, &CreditLogRow> {
    let mut newest: BTreeMap<&str, &CreditLogRow> = BTreeMap::new();
    for row in log {
        let known = newest.entry(&row.credit_key).or_insert(row);
        if (row.revision, row.detected_at, &row.run_id) > (known.revision, known.detected_at, &known.run_id) {
            *known = row;
        }
    }
    newest
}

fn is_allocated(key: &str, allocations: &[AllocationLogRow]) -> bool {
    let of_key = allocations.iter().filter(|row| row.credit_key == key);
    of_key.max_by_key(|row| (row.recorded_at, &row.allocation_id)).is_some_and(|row| row.action == "allocate")
}

fn one_currency_each(by_key: &BTreeMap<&str, Vec<&(BillingPeriod, CreditLine)>>) -> Result<(), Problems> {
    let mut problems = Problems::default();
    for (key, lines) in by_key {
        let currencies: BTreeSet<&str> = lines.iter().map(|(_, line)| line.currency.as_str()).collect();
        if currencies.len() > 1 {
            let currencies: Vec<&str> = currencies.into_iter().collect();
            let message = format!(
                "has lines in {}, but a credit has one currency; if these are two credits, tell them apart with \
                 [credits] description_patterns",
                currencies.join(" and ")
            );
            problems.0.push(Problem { file: format!("credit {key}"), row: None, column: None, message });
        }
    }
    problems.or(())
}

fn credit(
    key: &str,
    lines: &[&(BillingPeriod, CreditLine)],
    logged: Option<&CreditLogRow>,
) -> Result<Option<RegisteredCredit>, DetectError> {
    let first = lines.iter().copied().min_by(|left, right| place(left).cmp(&place(right)));
    let Some((_, first)) = first else { return Ok(None) };
    let last_cur_date = lines.iter().map(|(_, line)| line.usage_date).max();
    let manual = logged.filter(|row| row.issue_date_source == MANUAL);
    let inferred = first.usage_date.checked_sub_days(Days::new(1)).unwrap_or(first.usage_date);
    let amounts = lines.iter().map(|(_, line)| line.amount.negated());
    let aws_applied =
        Money::total(amounts).map_err(|source| DetectError::Money { credit_key: key.to_owned(), source })?;
    Ok(Some(RegisteredCredit {
        credit_key: key.to_owned(),
        promotion_code: first.promotion_code.clone(),
        account_id: first.credit_account_id.clone(),
        owner_account_id: first.owner_account_id.clone(),
        credit_id: first.credit_id.clone(),
        payer_account_id: first.payer_account_id.clone(),
        currency: first.currency.clone(),
        description: first.description.clone(),
        credit_class: first.credit_class.clone(),
        first_cur_date: first.usage_date,
        issue_date: manual.map_or(inferred, |row| row.issue_date),
        issue_date_source: manual.map_or(CUR_INFERRED, |_| MANUAL).to_owned(),
        last_cur_date,
        aws_applied,
    }))
}

/// The order in which a credit's lines count as earlier.
fn place((period, line): &(BillingPeriod, CreditLine)) -> impl Ord + '_ {
    (line.usage_date, *period, &line.payer_account_id, &line.account_id, &line.description)
}

fn applied(key: &str, lines: &[&(BillingPeriod, CreditLine)]) -> Result<Vec<AppliedByAws>, DetectError> {
    let mut by_period: BTreeMap<BillingPeriod, Money> = BTreeMap::new();
    for (period, line) in lines {
        let sum = by_period.entry(*period).or_default();
        *sum =
            sum.checked_sub(line.amount).map_err(|source| DetectError::Money { credit_key: key.to_owned(), source })?;
    }
    let rows = by_period.into_iter().map(|(billing_period, aws_applied)| AppliedByAws {
        billing_period,
        credit_key: key.to_owned(),
        aws_applied,
    });
    Ok(rows.collect())
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
    let newest = newest_revisions(log);
    let rows = register.credits.iter().filter_map(|credit| {
        let known = newest.get(credit.credit_key.as_str());
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
            run_id: run_id.to_owned(),
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
