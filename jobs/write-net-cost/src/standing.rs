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

/// What ends of a credit whose lots may end on different days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ending {
    /// Left in lots that expire soon.
    pub soon: Money,
    /// The last end that is past.
    pub past: Option<NaiveDate>,
}

/// What ends of each credit, by the balances of the as-of month.
///
/// # Errors
/// [`MoneyError`] where a sum leaves the range of money.
pub fn endings(balances: &[CreditBalance], as_of: AsOf) -> Result<HashMap<Text, Ending>, MoneyError> {
    let mut endings: HashMap<Text, Ending> = HashMap::new();
    for row in balances {
        let Some(end) = row.end_date else { continue };
        let ending = endings.entry(row.credit_key.clone()).or_default();
        let days_left = end.signed_duration_since(as_of.date).num_days();
        if days_left <= i64::from(as_of.expiring_soon_days) {
            ending.soon = ending.soon.checked_add(row.remaining)?;
        }
        if days_left < 0 {
            ending.past = ending.past.max(Some(end));
        }
    }
    Ok(endings)
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

    fn lot(number: i32, amount: &str, end: &str) -> LotRow {
        LotRow {
            credit_key: "a".into(),
            lot: number,
            promotion_code: Text::default(),
            account_id: Text::default(),
            business_unit: Some("Retail".into()),
            department: None,
            portfolio: None,
            product: None,
            currency: "USD".into(),
            amount: amount.parse().unwrap(),
            issue_date: NaiveDate::MIN,
            first_cur_date: NaiveDate::MIN,
            end_date: end.parse().ok(),
            reference: Some(format!("R{number}").into()),
            from_period: None,
            continues_lot: None,
        }
    }

    /// The credit of lots with amount, end, used and lost: its status, end, reference, what is left of it and lost.
    fn stands(lots: &[(&str, &str, &str, &str)]) -> String {
        let rows: Vec<LotRow> = (1..).zip(lots).map(|(number, (amount, end, ..))| lot(number, amount, end)).collect();
        let to_date = |used: &str, expired: &str| ToDate {
            used: used.parse().unwrap(),
            expired: expired.parse().unwrap(),
            moved: Money::ZERO,
        };
        let positions =
            (1..).zip(lots).map(|(number, (.., used, expired))| ((Text::new("a"), number), to_date(used, expired)));
        let amount = Money::total(rows.iter().map(|row| row.amount)).ok();
        let recorded = AllocatedCredit { allocated_amount: amount, ..allocated("a", None) };
        let as_of = AsOf { date: "2026-10-31".parse().unwrap(), expiring_soon_days: 60 };
        let found = credits(&[credit("a", "USD")], &[recorded], &rows, &positions.collect(), as_of).unwrap();
        let Credit { status, end_date, reference, remaining, expired, days_left, .. } = found[0].clone();
        let whole = |money: Option<Money>| money.unwrap().to_string().split('.').next().unwrap().to_owned();
        let end = end_date.map_or("open".to_owned(), |end| format!("{end} ({} days)", days_left.unwrap()));
        format!("{status}, {end}, {}, left {}, lost {}", reference.unwrap(), whole(remaining), whole(expired))
    }

    #[test]
    fn credit_shows_the_next_end_among_its_lots_with_something_left() {
        let lapsed = ("3000", "2026-08-31", "1000", "2000");
        assert_eq!(
            stands(&[lapsed, ("1000", "2027-08-31", "0", "0")]),
            "active, 2027-08-31 (304 days), R2, left 1000, lost 2000"
        );
        let soon = [("5", "none", "0", "0"), ("5", "2027-12-31", "0", "0"), ("5", "2026-11-30", "0", "0")];
        assert_eq!(stands(&soon), "expiring_soon, 2026-11-30 (30 days), R3, left 15, lost 0");
        let tied = [("5", "2027-12-31", "5", "0"), ("5", "2027-12-31", "0", "0"), ("5", "2027-12-31", "0", "0")];
        assert_eq!(stands(&tied), "active, 2027-12-31 (426 days), R2, left 10, lost 0");
        assert_eq!(stands(&[lapsed, ("5", "none", "0", "0")]), "active, open, R2, left 5, lost 2000");
    }

    #[test]
    fn what_moved_is_left_where_it_went() {
        let lots = [lot(1, "100", "none"), LotRow { continues_lot: Some(1), ..lot(2, "0", "none") }];
        let to_date = |used: &str, moved: &str| ToDate {
            used: used.parse().unwrap(),
            expired: Money::ZERO,
            moved: moved.parse().unwrap(),
        };
        let positions =
            Positions::from([(("a".into(), 1), to_date("30", "-70")), (("a".into(), 2), to_date("20", "70"))]);
        let recorded = AllocatedCredit { allocated_amount: "100".parse().ok(), ..allocated("a", None) };
        let as_of = AsOf { date: "2026-10-31".parse().unwrap(), expiring_soon_days: 60 };
        let found = credits(&[credit("a", "USD")], &[recorded], &lots, &positions, as_of).unwrap();
        assert_eq!((found[0].used, found[0].remaining), ("50".parse().ok(), "50".parse().ok()));
        assert_eq!(found[0].reference.as_deref(), Some("R2"), "the lot with something left");
    }

    #[test]
    fn credit_with_nothing_left_shows_its_last_end() {
        let lapsed = ("3000", "2026-08-31", "1000", "2000");
        let used = ("10", "2026-09-30", "10", "0");
        assert_eq!(stands(&[lapsed, used]), "expired, 2026-09-30 (-31 days), R2, left 0, lost 2000");
        assert_eq!(stands(&[lapsed, ("10", "none", "10", "0"), used]), "exhausted, open, R2, left 0, lost 2000");
        assert_eq!(stands(&[used, used]), "exhausted, 2026-09-30 (-31 days), R1, left 0, lost 0");
    }

    #[test]
    fn credit_whose_newest_revision_cannot_be_used_is_invalid_and_waits() {
        let recorded = [allocated("a", Some("allocation_invalid")), allocated("b", Some("revoked"))];
        let register = [credit("a", "USD"), credit("b", "USD")];
        let as_of = AsOf { date: "2026-10-31".parse().unwrap(), expiring_soon_days: 60 };
        let credits = credits(&register, &recorded, &[], &Positions::new(), as_of).unwrap();
        let found: Vec<_> = credits.iter().map(|row| (row.status.as_str(), row.remaining, row.end_date)).collect();
        assert_eq!(found, [("invalid", None, None), ("unallocated", None, None)]);
        let queue = queue(&register, &recorded, as_of.date);
        assert_eq!(queue.iter().map(|row| row.reason.as_str()).collect::<Vec<_>>(), ["allocation_invalid", "revoked"]);
    }

    #[test]
    fn only_lots_that_end_soon_count_as_expiring_soon() {
        let balance = |number: i32, end: &str, remaining: &str| CreditBalance {
            credit_key: "a".into(),
            lot: number,
            promotion_code: Text::default(),
            account_id: Text::default(),
            currency: "USD".into(),
            business_unit: None,
            department: None,
            portfolio: None,
            product: None,
            issue_date: NaiveDate::MIN,
            end_date: end.parse().ok(),
            opening: Money::ZERO,
            issued: Money::ZERO,
            moved: Money::ZERO,
            used: Money::ZERO,
            expired: Money::ZERO,
            remaining: remaining.parse().unwrap(),
            aws_applied: Money::ZERO,
        };
        let as_of = AsOf { date: "2026-10-31".parse().unwrap(), expiring_soon_days: 60 };
        let ends = [("2026-08-31", "0"), ("2026-10-30", "0"), ("2026-12-30", "5"), ("2026-12-31", "7"), ("none", "9")];
        let balances: Vec<_> = (1..).zip(ends).map(|(number, (end, left))| balance(number, end, left)).collect();
        let found = endings(&balances, as_of).unwrap();
        let expected = Ending { soon: "5".parse().unwrap(), past: "2026-10-30".parse().ok() };
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [(Text::new("a"), expected)]);
    }
}
