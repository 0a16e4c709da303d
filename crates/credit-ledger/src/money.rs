//! Exact money.
//!
//! | text | units of 1e-10 |
//! |---|---|
//! | `1234567.89` | 12345678900000000 |
//! | `0.00000000005` | 1 (half away from zero) |
//! | `-1.5e-10` | -2 |

use std::fmt;
use std::iter::Sum;
use std::str::FromStr;

use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Quoted;

/// An amount of one currency: an integer count of 1e-10 units, at most 38 digits.
///
/// The currency stands beside the amount in every table and key; amounts of two currencies are never added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Money(i128);

/// Why a text or a result is no amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// The text is not a decimal number.
    #[error("{} is not a number", Quoted(.0))]
    NotANumber(String),
    /// The amount needs more than 38 digits at 10 decimals.
    #[error("amount out of range: more than 38 digits at 10 decimals")]
    Overflow,
}

/// The largest count of units that `decimal(38,10)` holds.
const MAX_UNITS: i128 = 10_i128.pow(38) - 1;
/// Units in one currency unit.
const UNITS: u128 = 10_u128.pow(Money::SCALE as u32);

impl Money {
    /// Decimals kept.
    pub const SCALE: i8 = 10;
    /// Digits kept.
    pub const PRECISION: u8 = 38;
    /// No money.
    pub const ZERO: Self = Self(0);

    /// An amount from its count of 1e-10 units.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`] beyond 38 digits.
    pub const fn from_units(units: i128) -> Result<Self, MoneyError> {
        if units > MAX_UNITS || units < -MAX_UNITS { Err(MoneyError::Overflow) } else { Ok(Self(units)) }
    }

    /// The count of 1e-10 units.
    #[must_use]
    pub const fn units(self) -> i128 {
        self.0
    }

    /// The sum.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`] beyond 38 digits.
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        self.0.checked_add(other.0).ok_or(MoneyError::Overflow).and_then(Self::from_units)
    }

    /// The difference.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`] beyond 38 digits.
    pub fn checked_sub(self, other: Self) -> Result<Self, MoneyError> {
        self.0.checked_sub(other.0).ok_or(MoneyError::Overflow).and_then(Self::from_units)
    }

    /// The amount with its sign turned. Cannot overflow: the range is symmetric.
    #[must_use]
    #[expect(clippy::arithmetic_side_effects, reason = "the range of Money is symmetric")]
    pub const fn negated(self) -> Self {
        Self(-self.0)
    }

    /// The sum of all amounts.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`] beyond 38 digits at any step.
    pub fn total(amounts: impl IntoIterator<Item = Self>) -> Result<Self, MoneyError> {
        amounts.into_iter().try_fold(Self::ZERO, Self::checked_add)
    }

    /// True below zero.
    #[must_use]
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// True above zero.
    #[must_use]
    pub const fn is_positive(self) -> bool {
        self.0 > 0
    }

    /// True for no money.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The amount of `digits` (most significant first, ASCII) times 10^`exponent`, rounded half away from zero.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`] beyond 38 digits; [`MoneyError::NotANumber`] for anything but ASCII digits.
    pub fn from_digits(negative: bool, digits: &[u8], exponent: i64) -> Result<Self, MoneyError> {
        let shift = exponent.saturating_add(i64::from(Self::SCALE));
        // Digits at or beyond `kept` are below one unit: only the first of them decides the rounding.
        let length = i64::try_from(digits.len()).map_err(|_too_long| MoneyError::Overflow)?;
        let kept = usize::try_from(length.saturating_add(shift).clamp(0, length)).unwrap_or(0);
        let mut units: i128 = 0;
        for digit in digits.iter().take(kept) {
            units = push_digit(units, *digit)?;
        }
        if units != 0 {
            for _ in 0..shift.clamp(0, 64) {
                units = push_digit(units, b'0')?;
            }
        }
        let first_dropped_counts = length.saturating_add(shift) >= 0;
        let rounds_up = first_dropped_counts && digits.get(kept).is_some_and(|digit| *digit >= b'5');
        if rounds_up {
            units = units.checked_add(1).ok_or(MoneyError::Overflow)?;
        }
        let amount = Self::from_units(units)?;
        Ok(if negative { amount.negated() } else { amount })
    }
}

fn push_digit(units: i128, digit: u8) -> Result<i128, MoneyError> {
    let value = digit.checked_sub(b'0').filter(|value| *value <= 9);
    let value = value.ok_or_else(|| MoneyError::NotANumber(char::from(digit).to_string()))?;
    units.checked_mul(10).and_then(|units| units.checked_add(i128::from(value))).ok_or(MoneyError::Overflow)
}

impl FromStr for Money {
    type Err = MoneyError;

    /// Reads `[+-]digits[.digits][e[+-]digits]`, rounded half away from zero to 10 decimals.
    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let not_a_number = || MoneyError::NotANumber(text.to_owned());
        let (negative, unsigned) = match text.as_bytes().first() {
            Some(b'-') => (true, text.get(1..)),
            Some(b'+') => (false, text.get(1..)),
            _ => (false, Some(text)),
        };
        let unsigned = unsigned.unwrap_or_default();
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().map_err(|_bad| not_a_number())?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return Err(not_a_number());
        }
        let decimals = i64::try_from(fraction.len()).map_err(|_too_long| MoneyError::Overflow)?;
        Self::from_digits(negative, &digits, i64::from(exponent).saturating_sub(decimals))
    }
}

impl fmt::Display for Money {
    /// Always ten decimals: `-12.3400000000`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = self.0.unsigned_abs();
        let sign = if self.0 < 0 { "-" } else { "" };
        let (whole, fraction) = (units.checked_div(UNITS), units.checked_rem(UNITS));
        let text = format!("{sign}{}.{:010}", whole.unwrap_or(0), fraction.unwrap_or(0));
        formatter.pad(&text)
    }
}

impl Sum<Money> for Result<Money, MoneyError> {
    fn sum<I: Iterator<Item = Money>>(amounts: I) -> Self {
        Money::total(amounts)
    }
}

impl TryFrom<Decimal> for Money {
    type Error = MoneyError;

    /// Rounds half away from zero to 10 decimals.
    fn try_from(decimal: Decimal) -> Result<Self, MoneyError> {
        decimal.to_string().parse()
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(text: &str) -> i128 {
        text.parse::<Money>().unwrap().units()
    }

    #[test]
    fn text_is_rounded_half_away_from_zero_to_ten_decimals() {
        let cases = [
            ("1234567.89", 12_345_678_900_000_000),
            ("0.00000000005", 1),
            ("-0.00000000005", -1),
            ("0.000000000049999999999999999999999999999999999999", 0),
            ("0.00000000015", 2),
            ("1e-10", 1),
            ("5E-11", 1),
            ("4.9e-11", 0),
            ("9e-12", 0),
            ("1.5E+3", 15_000_000_000_000),
            (".5", 5_000_000_000),
            ("5.", 50_000_000_000),
            ("+7", 70_000_000_000),
            ("-0", 0),
            ("0e999999", 0),
        ];
        for (text, expected) in cases {
            assert_eq!(units(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["", "-", ".", "abc", "1,5", "1.2.3", "NaN", "inf", "1e", "0x10", " 1", "1 "] {
            assert_eq!(text.parse::<Money>(), Err(MoneyError::NotANumber(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn overflow_is_an_error_never_a_wrap() {
        let most = Money::from_units(MAX_UNITS).unwrap();
        assert_eq!(most.checked_add(Money(1)), Err(MoneyError::Overflow));
        assert_eq!(most.negated().checked_sub(Money(1)), Err(MoneyError::Overflow));
        assert_eq!("1e28".parse::<Money>(), Err(MoneyError::Overflow));
        assert_eq!(Money::from_units(i128::MIN), Err(MoneyError::Overflow));
        assert_eq!(Money::total([most, most]), Err(MoneyError::Overflow));
    }

    #[test]
    fn text_reads_back_to_the_same_amount() {
        for count in [0, 1, -1, 10_000_000_000, -123_456_789_012_345, MAX_UNITS, -MAX_UNITS] {
            assert_eq!(Money(count).to_string().parse::<Money>(), Ok(Money(count)));
        }
        assert_eq!(Money(-5).to_string(), "-0.0000000005");
    }

    fn money(text: &str) -> Money {
        text.parse().unwrap()
    }

    #[test]
    fn lines_are_rounded_each_by_itself_before_they_are_summed() {
        let lines = ["0.00000000005", "0.00000000005", "0.00000000005", "-0.00000000005", "0.00000000004"].map(money);
        assert_eq!(Money::total(lines).unwrap().units(), 2, "their sum would be 1.4 units");
        assert_eq!(Money::total(lines.map(Money::negated)).unwrap().units(), -2, "and the same below zero");
    }

    #[test]
    fn a_double_counts_as_what_every_tool_prints_of_it() {
        let cases = [
            ("1234567.89", "1234567.8900000000"),
            ("0.30000000000000004", "0.3000000000"),
            ("1e-7", "0.0000001000"),
            ("2.5e-11", "0.0000000000"),
            ("-7.5e-11", "-0.0000000001"),
            ("5e-324", "0.0000000000"),
            ("1.00000000005", "1.0000000001"),
            ("1.0000000000499998", "1.0000000000"),
            ("9007199254740993", "9007199254740993.0000000000"),
            ("1.5E+15", "1500000000000000.0000000000"),
        ];
        for (printed, expected) in cases {
            assert_eq!(money(printed).to_string(), expected, "{printed}");
        }
        assert_eq!("1.7976931348623157e308".parse::<Money>(), Err(MoneyError::Overflow));
    }

    #[test]
    fn amounts_have_28_digits_before_the_point_and_not_one_unit_more() {
        let most = "9999999999999999999999999999.9999999999";
        assert_eq!(money(most).units(), MAX_UNITS);
        assert_eq!(money(&format!("{most}4")), money(most), "the eleventh decimal is rounded off");
        for beyond in [format!("{most}5"), format!("-{most}5"), "1e28".to_owned(), format!("1{}", "0".repeat(28))] {
            assert_eq!(beyond.parse::<Money>(), Err(MoneyError::Overflow), "{beyond}");
        }
        let text = MoneyError::Overflow.to_string();
        assert_eq!(text, "amount out of range: more than 38 digits at 10 decimals");
        assert_eq!(money(&format!("{}7", "0".repeat(100))), money("7"), "zeros before it are no digits");
        assert_eq!(money(&format!("0.{}9", "0".repeat(400))), Money::ZERO);
        assert_eq!(money("1e-2147483648"), Money::ZERO);
        assert_eq!("1e2147483647".parse::<Money>(), Err(MoneyError::Overflow));
    }

    #[test]
    fn a_sum_that_leaves_the_range_on_its_way_is_an_error_though_it_would_come_back() {
        let most = Money::from_units(MAX_UNITS).unwrap();
        let unit = money("0.0000000001");
        assert_eq!(Money::total([most, unit, unit.negated()]), Err(MoneyError::Overflow));
        assert_eq!(Money::total([most, unit.negated(), unit]), Ok(most));
        let sum: Result<Money, MoneyError> = [most, most.negated(), unit].into_iter().sum();
        assert_eq!(sum, Ok(unit));
        assert_eq!(most.negated().checked_sub(most), Err(MoneyError::Overflow));
        assert_eq!(Money::total([]), Ok(Money::ZERO));
    }

    #[test]
    fn digits_and_an_exponent_as_files_hold_them_make_the_amount_of_their_text() {
        let of = |negative, digits: &[u8], exponent| Money::from_digits(negative, digits, exponent);
        assert_eq!(of(false, b"123456789", -2), Ok(money("1234567.89")));
        assert_eq!(of(true, b"25", -11), Ok(money("-0.0000000003")), "2.5 units, away from zero");
        assert_eq!(of(false, b"00012", 3), Ok(money("12000")));
        assert_eq!(of(true, b"0", 0), Ok(Money::ZERO));
        assert_eq!(of(false, b"", 5), Ok(Money::ZERO));
        assert_eq!(of(false, b"1", i64::MAX), Err(MoneyError::Overflow));
        assert_eq!(of(false, b"9", i64::MIN), Ok(Money::ZERO));
        assert_eq!(of(false, b"12x", 0), Err(MoneyError::NotANumber("x".to_owned())));
    }

    #[test]
    fn a_decimal_of_more_places_is_rounded_and_one_that_is_too_large_refused() {
        let of = |text: &str| Money::try_from(text.parse::<Decimal>().unwrap());
        assert_eq!(of("0.12345678905"), Ok(money("0.1234567891")));
        assert_eq!(of("-0.00000000005"), Ok(money("-0.0000000001")));
        assert_eq!(of("0.0000000000499999999999999999"), Ok(Money::ZERO));
        assert_eq!(Money::try_from(Decimal::MAX), Err(MoneyError::Overflow));
    }

    #[test]
    fn amounts_stand_in_columns_and_compare_by_worth() {
        let amounts = [money("12.5"), money("-0.5"), money("-0.0000000001"), Money::ZERO];
        let column: Vec<String> = amounts.iter().map(|amount| format!("{amount:>14}|{amount:<15}|")).collect();
        let expected = [
            " 12.5000000000|12.5000000000  |",
            " -0.5000000000|-0.5000000000  |",
            " -0.0000000001|-0.0000000001  |",
            "  0.0000000000|0.0000000000   |",
        ];
        assert_eq!(column, expected);
        let mut sorted = amounts;
        sorted.sort();
        assert_eq!(sorted.map(Money::units), [-5_000_000_000, -1, 0, 125_000_000_000]);
        assert!(amounts[2].is_negative() && !amounts[2].is_zero() && !Money::ZERO.is_positive());
    }

    #[test]
    fn amounts_in_records_are_text_and_text_that_is_none_is_refused() {
        use serde::de::IntoDeserializer;
        use serde::de::value::{Error, StrDeserializer};

        struct Written(Money);

        impl fmt::Display for Written {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.serialize(formatter)
            }
        }

        let read = |text: &'static str| {
            let text: StrDeserializer<'_, Error> = text.into_deserializer();
            Money::deserialize(text)
        };
        assert_eq!(Written(money("-1234.5")).to_string(), "-1234.5000000000");
        assert_eq!(read("-1234.5000000000"), Ok(money("-1234.5")));
        assert_eq!(read("1,234.50").unwrap_err().to_string(), "\"1,234.50\" is not a number");
        assert_eq!(read("1e28").unwrap_err().to_string(), "amount out of range: more than 38 digits at 10 decimals");
    }
}
