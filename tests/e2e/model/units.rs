//! Money, calendar months, and the one way an amount is split.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, Neg, Sub};

use chrono::{Datelike, Months, NaiveDate};
use ethnum::U256;

const DECIMALS: i32 = 10;

/// An amount in units of 1e-10; every operation panics rather than wraps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Money(pub(crate) i128);

impl Money {
    pub(crate) const ZERO: Self = Self(0);

    /// A decimal number, perhaps with an exponent, rounded half away from zero to units.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
        let shift = DECIMALS + exponent - i32::try_from(fraction.len()).ok()?;
        let factor = 10_i128.checked_pow(shift.unsigned_abs());
        let units = match factor {
            Some(factor) if shift >= 0 => digits.checked_mul(factor)?,
            Some(factor) => (digits + factor / 2) / factor,
            None if shift >= 0 => return None,
            None => 0,
        };
        Some(Self(if negative { -units } else { units }))
    }

    pub(crate) fn max_zero(self) -> Self {
        self.max(Self::ZERO)
    }
}

impl Add for Money {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.checked_add(other.0).expect("money overflows"))
    }
}

impl Sub for Money {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.checked_sub(other.0).expect("money overflows"))
    }
}

impl Neg for Money {
    type Output = Self;
    fn neg(self) -> Self {
        Self(self.0.checked_neg().expect("money overflows"))
    }
}

impl Sum for Money {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = 10_u128.pow(DECIMALS.unsigned_abs());
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(f, "{sign}{}.{:010}", self.0.unsigned_abs() / one, self.0.unsigned_abs() % one)
    }
}

/// A calendar month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Period(NaiveDate);

impl Period {
    pub(crate) fn of(date: NaiveDate) -> Self {
        Self(date.with_day(1).expect("every month has a first day"))
    }

    /// From `YYYY-MM`.
    pub(crate) fn parse(text: &str) -> Self {
        Self(date(&format!("{text}-01")))
    }

    pub(crate) fn first_day(self) -> NaiveDate {
        self.0
    }

    pub(crate) fn last_day(self) -> NaiveDate {
        self.next().0.pred_opt().expect("a date")
    }

    pub(crate) fn next(self) -> Self {
        self.plus(1)
    }

    pub(crate) fn plus(self, months: u32) -> Self {
        Self(self.0.checked_add_months(Months::new(months)).expect("a date"))
    }

    /// Every month from this one to `last`, both included.
    pub(crate) fn through(self, last: Self) -> Vec<Self> {
        (0..).map(|months| self.plus(months)).take_while(|period| *period <= last).collect()
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.format("%Y-%m"))
    }
}

/// A date from the first ten characters, `YYYY-MM-DD`.
pub(crate) fn date(text: &str) -> NaiveDate {
    let day = text.get(..10).unwrap_or(text);
    day.parse().unwrap_or_else(|error| panic!("{text:?} is no date: {error}"))
}

/// Splits `total` (not negative) in proportion to `weights` (none negative, not all zero): floors first, then one unit
/// each to the largest remainders, ties in the order given. Also says whether there was any remainder.
pub(crate) fn apportion(total: Money, weights: &[i128]) -> (Vec<Money>, bool) {
    let big = |amount: i128| U256::new(u128::try_from(amount).expect("not negative"));
    let whole = big(weights.iter().sum());
    let mut parts = Vec::new();
    let mut remainders = Vec::new();
    for (position, weight) in weights.iter().enumerate() {
        let product = big(total.0).checked_mul(big(*weight)).expect("256 bits hold a product of two amounts");
        parts.push(Money(i128::try_from(product / whole).expect("a part is no more than the total")));
        remainders.push((product % whole, position));
    }
    let left = total - parts.iter().copied().sum();
    remainders.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    for (_, position) in remainders.iter().take(usize::try_from(left.0).expect("fewer units left than parts")) {
        parts[*position] = parts[*position] + Money(1);
    }
    (parts, remainders.iter().any(|(remainder, _)| *remainder != U256::ZERO))
}

#[test]
fn money_is_rounded_half_away_from_zero_at_the_tenth_decimal() {
    let units = |text| Money::parse(text).expect("a number").0;
    assert_eq!(units("0.00000000005"), 1);
    assert_eq!(units("-0.00000000005"), -1);
    assert_eq!(units("0.000000000049999"), 0);
    assert_eq!(units("1.5E-9"), 15);
    assert_eq!(units("2e3"), 20_000_000_000_000);
    assert_eq!(units("1E-60"), 0);
    assert_eq!(units(".5"), 5_000_000_000);
    assert_eq!(Money::parse("12,5"), None);
    assert_eq!(Money::parse(""), None);
    assert_eq!(Money(-1).to_string(), "-0.0000000001");
}

#[test]
fn equal_remainders_go_to_the_first_parts() {
    let (parts, rounded) = apportion(Money(8), &[1, 1, 1]);
    assert_eq!(parts, [Money(3), Money(3), Money(2)]);
    assert!(rounded);
    let huge = 10_i128.pow(25);
    assert_eq!(apportion(Money(huge), &[huge, huge]).0, [Money(huge / 2), Money(huge / 2)]);
}
