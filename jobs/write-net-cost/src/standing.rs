//! Where each credit stands as of a date: `credits`, `credit_queue`, `credit_impact`.

use chrono::NaiveDate;
use credit_ledger::{BillingPeriod, CreditPosition, Money, MoneyError, Status};
use hashbrown::{HashMap, HashSet};
use schemas::tables::{
    AllocatedCredit, AppliedByAws, Credit, CreditBalance, CreditImpact, CreditQueue, RegisteredCredit,
};

/// The date and what counts as near.
#[derive(Debug, Clone, Copy)]
pub struct AsOf {
    /// As-of date.
    pub date: NaiveDate,
    /// Days before its end from which a credit expires soon.
    pub expiring_soon_days: u32,
}

/// Used and lost to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ToDate {
    /// Drawn.
    pub used: Money,
    /// Lost at the end.
    pub expired: Money,
}

fn days(from: NaiveDate, to: NaiveDate) -> i32 {
    i32::try_from(to.signed_duration_since(from).num_days()).unwrap_or(i32::MAX)
}

fn issue_period(credit: &RegisteredCredit) -> String {
    BillingPeriod::of(credit.issue_date).to_string()
}

/// Adds the balances of one month to what each credit has used and lost so far.
///
/// # Errors
/// [`MoneyError`] where a sum leaves the range of money.
pub fn add_month(positions: &mut HashMap<String, ToDate>, balances: &[CreditBalance]) -> Result<(), MoneyError> {
    for row in balances {
        let to_date = positions.entry_ref(&row.credit_key).or_default();
        to_date.used = to_date.used.checked_add(row.used)?;
        to_date.expired = to_date.expired.checked_add(row.expired)?;
    }
    Ok(())
}

/// `credits`: every registered credit, by key.
///
/// # Errors
/// [`MoneyError`] where a sum leaves the range of money.
pub fn credits(
    register: &[RegisteredCredit],
    allocated: &[AllocatedCredit],
    positions: &HashMap<String, ToDate>,
    as_of: AsOf,
) -> Result<Vec<Credit>, MoneyError> {
    let allocated: HashMap<&str, &AllocatedCredit> =
        allocated.iter().map(|row| (row.credit_key.as_str(), row)).collect();
    let mut credits = Vec::with_capacity(register.len());
    for credit in register {
        let allocation = allocated.get(credit.credit_key.as_str()).copied().filter(|row| row.waiting.is_none());
        let to_date = positions.get(&credit.credit_key).copied().unwrap_or_default();
        credits.push(row(credit, allocation, to_date, as_of)?);
    }
    Ok(credits)
}

fn row(
    credit: &RegisteredCredit,
    allocation: Option<&AllocatedCredit>,
    to_date: ToDate,
    as_of: AsOf,
) -> Result<Credit, MoneyError> {
    let amount = allocation.and_then(|row| row.allocated_amount);
    let end_date = allocation.and_then(|row| row.end_date);
    let remaining = amount.map(|amount| amount.checked_sub(to_date.used)?.checked_sub(to_date.expired)).transpose()?;
    let status = remaining.map_or(Status::Unallocated, |remaining| {
        CreditPosition { end_date, expired: to_date.expired, remaining }.status(as_of.date, as_of.expiring_soon_days)
    });
    Ok(Credit {
        credit_key: credit.credit_key.clone(),
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
        issue_period: issue_period(credit),
        status: status.name().to_owned(),
        allocated_amount: amount,
        used: amount.map(|_| to_date.used),
        expired: amount.map(|_| to_date.expired),
        remaining,
        end_date,
        reference: allocation.and_then(|row| row.reference.clone()),
        recorded_by: allocation.and_then(|row| row.recorded_by.clone()),
        recorded_at: allocation.and_then(|row| row.recorded_at),
        aws_applied: credit.aws_applied,
        last_cur_date: credit.last_cur_date,
        days_left: end_date.map(|end| days(as_of.date, end)),
    })
}

/// `credit_queue`: the credits that wait, by key.
#[must_use]
pub fn queue(register: &[RegisteredCredit], allocated: &[AllocatedCredit], as_of: NaiveDate) -> Vec<CreditQueue> {
    let waiting: HashMap<&str, &str> =
        allocated.iter().filter_map(|row| Some((row.credit_key.as_str(), row.waiting.as_deref()?))).collect();
    let rows = register.iter().filter_map(|credit| {
        let reason = waiting.get(credit.credit_key.as_str())?;
        Some(CreditQueue {
            credit_key: credit.credit_key.clone(),
            promotion_code: credit.promotion_code.clone(),
            account_id: credit.account_id.clone(),
            credit_class: credit.credit_class.clone(),
            currency: credit.currency.clone(),
            first_cur_date: credit.first_cur_date,
            issue_date: credit.issue_date,
            issue_period: issue_period(credit),
            aws_applied: credit.aws_applied,
            days_waiting: days(credit.first_cur_date, as_of),
            reason: (*reason).to_owned(),
        })
    });
    rows.collect()
}

/// `credit_impact` of one period: each credit with a line or a draw in it, by key.
///
/// # Errors
/// [`MoneyError`] where a sum leaves the range of money.
pub fn impact(
    register: &[RegisteredCredit],
    applied: &[AppliedByAws],
    balances: &[CreditBalance],
    period: BillingPeriod,
) -> Result<Vec<CreditImpact>, MoneyError> {
    let mut used: HashMap<&str, Money> = HashMap::new();
    for row in balances.iter().filter(|row| row.used.is_positive()) {
        let sum = used.entry(row.credit_key.as_str()).or_default();
        *sum = sum.checked_add(row.used)?;
    }
    let applied: HashMap<&str, Money> = applied
        .iter()
        .filter(|row| row.billing_period == period)
        .map(|row| (row.credit_key.as_str(), row.aws_applied))
        .collect();
    let touched: HashSet<&str> = applied.keys().chain(used.keys()).copied().collect();
    let rows = register.iter().filter(|credit| touched.contains(credit.credit_key.as_str())).map(|credit| {
        let key = credit.credit_key.as_str();
        CreditImpact {
            credit_key: credit.credit_key.clone(),
            currency: credit.currency.clone(),
            issue_period: issue_period(credit),
            aws_applied: applied.get(key).copied().unwrap_or_default(),
            used: used.get(key).copied().unwrap_or_default(),
        }
    });
    Ok(rows.collect())
}
