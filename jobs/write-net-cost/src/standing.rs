//! Where each credit stands as of a date: `credits`, `credit_queue`, `credit_impact`.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use chrono::{Datelike, NaiveDate};
use credit_ledger::{BillingPeriod, CreditPosition, Money, MoneyError, Status, Text};
use hashbrown::{HashMap, HashSet};
use schemas::tables::{
    AllocatedCredit, AppliedByAws, Credit, CreditBalance, CreditImpact, CreditQueue, LotRow, RegisteredCredit,
};

/// The date and what counts as near.
#[derive(Debug, Clone, Copy)]
pub struct AsOf {
    /// As-of date.
    pub date: NaiveDate,
    /// Days before its end from which a credit expires soon.
    pub expiring_soon_days: u32,
}

impl AsOf {
    /// True of an end that is near and not past.
    #[must_use]
    pub fn is_soon(self, end_date: NaiveDate) -> bool {
        (0..=i64::from(self.expiring_soon_days)).contains(&end_date.signed_duration_since(self.date).num_days())
    }
}

/// Used, lost and moved to date, of a lot or of all lots of a credit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ToDate {
    /// Drawn.
    pub used: Money,
    /// Lost at the end.
    pub expired: Money,
    /// Came from another lot; negative: went to another one.
    pub moved: Money,
}

impl ToDate {
    fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        Ok(Self {
            used: self.used.checked_add(other.used)?,
            expired: self.expired.checked_add(other.expired)?,
            moved: self.moved.checked_add(other.moved)?,
        })
    }

    fn left_of(self, amount: Money) -> Result<Money, MoneyError> {
        amount.checked_add(self.moved)?.checked_sub(self.used)?.checked_sub(self.expired)
    }
}

/// Used, lost and moved to date by credit and lot.
pub type Positions = HashMap<(Text, i32), ToDate>;

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

/// Adds the balances of one month to what each lot has used and lost so far.
///
/// # Errors
/// [`MoneyError`] where a sum leaves the range of money.
pub fn add_month(positions: &mut Positions, balances: &[CreditBalance]) -> Result<(), MoneyError> {
    for row in balances {
        let to_date = positions.entry((row.credit_key.clone(), row.lot)).or_default();
        *to_date = to_date.checked_add(ToDate { used: row.used, expired: row.expired, moved: row.moved })?;
    }
    Ok(())
}

/// A lot that expires soon with something left, or that has lost something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndingLot {
    /// Its number.
    pub lot: i32,
    /// Its end.
    pub end_date: NaiveDate,
    /// Left, where it expires soon.
    pub left: Money,
    /// Lost, once its end is past.
    pub lost: Money,
}

/// The lots that end, by credit: those of one may end on different days.
pub type EndingLots = HashMap<Text, Vec<EndingLot>>;

/// The lots that end.
///
/// # Errors
/// [`MoneyError`] where a sum leaves the range of money.
pub fn ending_lots(lots: &[LotRow], positions: &Positions, as_of: AsOf) -> Result<EndingLots, MoneyError> {
    let mut ending = EndingLots::new();
    for row in lots {
        let Some(end_date) = row.end_date else { continue };
        let to_date = positions.get(&(row.credit_key.clone(), row.lot)).copied().unwrap_or_default();
        let left = to_date.left_of(row.amount)?;
        let is_soon = as_of.is_soon(end_date) && left.is_positive();
        if is_soon || to_date.expired.is_positive() {
            let left = if is_soon { left } else { Money::ZERO };
            let lot = EndingLot { lot: row.lot, end_date, left, lost: to_date.expired };
            ending.entry(row.credit_key.clone()).or_default().push(lot);
        }
    }
    Ok(ending)
}

/// `credits`: every registered credit, by key. Lots come in order of credit and lot.
///
/// # Errors
/// [`MoneyError`] where a sum leaves the range of money.
pub fn credits(
    register: &[RegisteredCredit],
    allocated: &[AllocatedCredit],
    lots: &[LotRow],
    positions: &Positions,
    as_of: AsOf,
) -> Result<Vec<Credit>, MoneyError> {
    let mut credits = Vec::with_capacity(register.len());
    let mut lots = lots.chunk_by(|lot, next| lot.credit_key == next.credit_key).peekable();
    let key_of = |lots: &[LotRow]| lots.first().map(|lot| lot.credit_key.clone());
    for (credit, allocation) in with_allocations(register, allocated) {
        while lots.next_if(|lots| key_of(lots).is_some_and(|key| key < credit.credit_key)).is_some() {}
        let of_credit = lots.next_if(|lots| key_of(lots).as_ref() == Some(&credit.credit_key));
        credits.push(row(credit, allocation, of_credit.unwrap_or_default(), positions, as_of)?);
    }
    Ok(credits)
}

/// The lot whose end a credit shows: of those with something left the one that ends next, else the one that ends last.
/// An open end is the last of all; of equal ends the lowest lot counts.
fn shown_lot<'a>(lots: &'a [LotRow], left: &[Money]) -> Option<&'a LotRow> {
    let end = |lot: &LotRow| (lot.end_date.is_none(), lot.end_date);
    let with_something = lots.iter().zip(left).filter(|(_, left)| left.is_positive()).map(|(lot, _)| lot);
    let next = with_something.min_by_key(|lot| (end(lot), lot.lot));
    next.or_else(|| lots.iter().max_by_key(|lot| (end(lot), Reverse(lot.lot))))
}

fn row(
    credit: &RegisteredCredit,
    allocation: Option<&AllocatedCredit>,
    lots: &[LotRow],
    positions: &Positions,
    as_of: AsOf,
) -> Result<Credit, MoneyError> {
    let waiting = allocation.and_then(|row| row.waiting.as_deref());
    let allocation = allocation.filter(|row| row.waiting.is_none());
    let of_lots = lots.iter().map(|lot| positions.get(&(lot.credit_key.clone(), lot.lot)).copied().unwrap_or_default());
    let of_lots: Vec<ToDate> = of_lots.collect();
    let to_date = of_lots.iter().try_fold(ToDate::default(), |sum, of_lot| sum.checked_add(*of_lot))?;
    let left =
        lots.iter().zip(&of_lots).map(|(lot, of_lot)| of_lot.left_of(lot.amount)).collect::<Result<Vec<_>, _>>()?;
    let shown = shown_lot(lots, &left);
    let amount = allocation.and_then(|row| row.allocated_amount);
    let end_date = shown.and_then(|lot| lot.end_date);
    let remaining = amount.map(|amount| to_date.left_of(amount)).transpose()?;
    let status = match (remaining, waiting) {
        (Some(remaining), _) => {
            let position = CreditPosition { end_date, expired: to_date.expired, remaining };
            position.status(as_of.date, as_of.expiring_soon_days)
        }
        (None, Some("allocation_invalid")) => Status::Invalid,
        (None, _) => Status::Unallocated,
    };
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
        reference: shown.and_then(|lot| lot.reference.clone()),
        recorded_by: allocation.and_then(|row| row.recorded_by.clone()),
        recorded_at: allocation.and_then(|row| row.recorded_at),
        aws_applied: credit.aws_applied,
        last_cur_date: credit.last_cur_date,
        days_left: end_date.map(|end| days(as_of.date, end)),
        as_of: as_of.date,
        expiring_soon_days: i32::try_from(as_of.expiring_soon_days).unwrap_or(i32::MAX),
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
mod tests;
