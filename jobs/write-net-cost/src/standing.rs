//! Where each credit stands as of a date: `credits`, `credit_queue`, `credit_impact`.

use std::collections::BTreeMap;

use chrono::{Datelike, NaiveDate};
use credit_ledger::{BillingPeriod, CreditPosition, Money, MoneyError, Status, Text};
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

fn issue_period(credit: &RegisteredCredit) -> Text {
    BillingPeriod::of(credit.issue_date).to_string().into()
}

/// Each registered credit with what is recorded of it; both come in order of the key.
fn with_allocations<'a>(
    register: &'a [RegisteredCredit],
    allocated: &'a [AllocatedCredit],
) -> impl Iterator<Item = (&'a RegisteredCredit, Option<&'a AllocatedCredit>)> {
    let mut rows = allocated.iter().peekable();
    register.iter().map(move |credit| {
        while rows.next_if(|row| row.credit_key < credit.credit_key).is_some() {}
        (credit, rows.next_if(|row| row.credit_key == credit.credit_key))
    })
}

/// The credits that AWS applied in one period.
#[derive(Debug, Default)]
pub struct AppliedCredits<'a> {
    /// The issue dates of those of each currency, in order of the key, as days.
    pub issued: BTreeMap<&'a str, Vec<i32>>,
    /// What it applied of those that wait, negative, by currency.
    pub waiting: BTreeMap<&'a str, Money>,
}

/// The credits that AWS applied, by period.
///
/// # Errors
/// [`MoneyError`] where a sum leaves the range of money.
pub fn applied_credits<'a>(
    register: &'a [RegisteredCredit],
    allocated: &'a [AllocatedCredit],
    applied: &[AppliedByAws],
) -> Result<BTreeMap<BillingPeriod, AppliedCredits<'a>>, MoneyError> {
    let known = with_allocations(register, allocated)
        .map(|(credit, row)| (credit, row.is_some_and(|row| row.waiting.is_some())));
    let known: Vec<(&RegisteredCredit, bool)> = known.collect();
    let mut periods: BTreeMap<BillingPeriod, AppliedCredits<'a>> = BTreeMap::new();
    // Rows of one period come in order of the key, as credits do.
    for rows in applied.chunk_by(|row, next| row.billing_period == next.billing_period) {
        let mut credits = known.iter().peekable();
        for row in rows {
            let of_period = periods.entry(row.billing_period).or_default();
            while credits.next_if(|(credit, _)| credit.credit_key < row.credit_key).is_some() {}
            let Some((credit, waits)) = credits.next_if(|(credit, _)| credit.credit_key == row.credit_key) else {
                continue;
            };
            of_period.issued.entry(&credit.currency).or_default().push(credit.issue_date.num_days_from_ce());
            if *waits {
                let sum = of_period.waiting.entry(&credit.currency).or_default();
                *sum = sum.checked_sub(row.aws_applied)?;
            }
        }
    }
    Ok(periods)
}

/// Adds the balances of one month to what each credit has used and lost so far.
///
/// # Errors
/// [`MoneyError`] where a sum leaves the range of money.
pub fn add_month(positions: &mut HashMap<Text, ToDate>, balances: &[CreditBalance]) -> Result<(), MoneyError> {
    for row in balances {
        let to_date = positions.entry(row.credit_key.clone()).or_default();
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
    positions: &HashMap<Text, ToDate>,
    as_of: AsOf,
) -> Result<Vec<Credit>, MoneyError> {
    let mut credits = Vec::with_capacity(register.len());
    for (credit, allocation) in with_allocations(register, allocated) {
        let allocation = allocation.filter(|row| row.waiting.is_none());
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
        status: Text::new_static(status.name()),
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
    let mut queue = Vec::with_capacity(register.len());
    queue.extend(with_allocations(register, allocated).filter_map(|(credit, allocation)| {
        let reason = allocation?.waiting.as_ref()?;
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
            reason: reason.clone(),
        })
    }));
    queue
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

#[cfg(test)]
mod tests {
    use super::*;

    fn credit(key: &str, currency: &str) -> RegisteredCredit {
        RegisteredCredit {
            credit_key: key.into(),
            promotion_code: Text::default(),
            account_id: Text::default(),
            owner_account_id: None,
            credit_id: None,
            payer_account_id: Text::default(),
            currency: currency.into(),
            description: None,
            credit_class: Text::default(),
            first_cur_date: NaiveDate::MIN,
            issue_date: NaiveDate::MIN,
            issue_date_source: Text::default(),
            last_cur_date: None,
            aws_applied: Money::ZERO,
        }
    }

    fn allocated(key: &str, waiting: Option<&str>) -> AllocatedCredit {
        AllocatedCredit {
            credit_key: key.into(),
            waiting: waiting.map(Text::new),
            allocated_amount: None,
            end_date: None,
            reference: None,
            recorded_by: None,
            recorded_at: None,
        }
    }

    #[test]
    fn what_aws_applied_of_waiting_credits_is_summed_by_period_and_currency() {
        let register = [credit("a", "EUR"), credit("b", "USD"), credit("c", "USD"), credit("d", "USD")];
        let recorded = [allocated("a", Some("revoked")), allocated("b", None), allocated("d", Some("never_allocated"))];
        let applied = [("2026-01", "a", "1"), ("2026-01", "b", "2"), ("2026-01", "d", "3"), ("2026-02", "d", "-4")];
        let applied = applied.map(|(period, key, amount)| AppliedByAws {
            billing_period: period.parse().unwrap(),
            credit_key: key.into(),
            aws_applied: amount.parse().unwrap(),
        });
        let found = applied_credits(&register, &recorded, &applied).unwrap();
        let found = found.iter().map(|(period, credits)| {
            let waiting: Vec<String> = credits.waiting.iter().map(|(code, sum)| format!("{sum} {code}")).collect();
            let issued: usize = credits.issued.values().map(Vec::len).sum();
            format!("{period} {issued} applied, waiting {}", waiting.join(" and "))
        });
        let expected = [
            "2026-01 3 applied, waiting -1.0000000000 EUR and -3.0000000000 USD",
            "2026-02 1 applied, waiting 4.0000000000 USD",
        ];
        assert_eq!(found.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn only_credits_that_wait_are_in_the_queue() {
        let register = [credit("a", "USD"), credit("b", "USD"), credit("c", "USD")];
        let recorded = [allocated("a", None), allocated("b", Some("revoked")), allocated("c", Some("never_allocated"))];
        let queue = queue(&register, &recorded, NaiveDate::MAX);
        let queue: Vec<_> = queue.iter().map(|row| (row.credit_key.as_str(), row.reason.as_str())).collect();
        assert_eq!(queue, [("b", "revoked"), ("c", "never_allocated")]);
    }
}
