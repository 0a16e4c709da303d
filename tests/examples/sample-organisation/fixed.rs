//! Fixed-point numbers with ten decimals, for money, rates and quantities alike: what an export prints.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Neg, Sub, SubAssign};
use std::str::FromStr;

use serde::Deserialize;

use crate::Result;

const DECIMALS: usize = 10;
const ONE: i128 = 10_000_000_000;

/// A signed count of 1e-10 units.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(try_from = "String")]
pub(crate) struct Fixed(i128);

impl Fixed {
    pub(crate) const ZERO: Self = Self(0);

    /// A whole number.
    pub(crate) fn whole(number: u32) -> Self {
        Self(i128::from(number) * ONE)
    }

    /// The product, rounded half away from zero to ten decimals.
    pub(crate) fn times(self, other: Self) -> Self {
        Self(rounded_quotient(self.0 * other.0, ONE))
    }

    /// `self * numerator / denominator`, rounded half away from zero to ten decimals.
    pub(crate) fn scaled(self, numerator: i128, denominator: i128) -> Self {
        Self(rounded_quotient(self.0 * numerator, denominator))
    }

    /// Rounded half away from zero to the given number of decimals, at most ten.
    pub(crate) fn rounded(self, decimals: u32) -> Self {
        let step = ONE / 10_i128.pow(decimals);
        Self(rounded_quotient(self.0, step) * step)
    }

    /// The double that reads back as this number.
    pub(crate) fn double(self) -> Result<f64> {
        Ok(self.to_string().parse()?)
    }
}

/// Division rounded half away from zero; the denominator is positive.
fn rounded_quotient(numerator: i128, denominator: i128) -> i128 {
    (2 * numerator + numerator.signum() * denominator) / (2 * denominator)
}

impl FromStr for Fixed {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let bad = || format!("{text:?} is not a number with at most ten decimals");
        let (sign, digits) = match text.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, text),
        };
        let (integer, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if fraction.len() > DECIMALS {
            return Err(bad());
        }
        let units: i128 = format!("{integer}{fraction:0<DECIMALS$}").parse().map_err(|_| bad())?;
        Ok(Self(sign * units))
    }
}

impl TryFrom<String> for Fixed {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        text.parse()
    }
}

/// The shortest decimal text: `13.5`, `-0.0464`.
impl fmt::Display for Fixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let units = self.0.abs();
        let fraction = format!("{:0DECIMALS$}", units % ONE);
        let fraction = fraction.trim_end_matches('0');
        let point = if fraction.is_empty() { "" } else { "." };
        write!(f, "{sign}{}{point}{fraction}", units / ONE)
    }
}

impl Add for Fixed {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl Sub for Fixed {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl Neg for Fixed {
    type Output = Self;

    fn neg(self) -> Self {
        Self(-self.0)
    }
}

impl AddAssign for Fixed {
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
    }
}

impl SubAssign for Fixed {
    fn sub_assign(&mut self, other: Self) {
        self.0 -= other.0;
    }
}

impl Sum for Fixed {
    fn sum<I: Iterator<Item = Self>>(numbers: I) -> Self {
        numbers.fold(Self::ZERO, Add::add)
    }
}
