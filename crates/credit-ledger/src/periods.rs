//! Several billing periods in a row, as people write them.

use std::fmt;
use std::str::FromStr;

use crate::{BillingPeriod, Quoted};

/// From the first to the last, both included: `2026-09`, `2026-Q3`, `2026`, `2026-05..2026-09`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Periods {
    first: BillingPeriod,
    last: BillingPeriod,
}

/// A text that names no periods.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} names no billing periods (2026-09, 2026-Q3, 2026, 2026-05..2026-09)", Quoted(.0))]
pub struct PeriodsError(String);

impl Periods {
    /// The first one.
    #[must_use]
    pub const fn first(self) -> BillingPeriod {
        self.first
    }

    /// The last one.
    #[must_use]
    pub const fn last(self) -> BillingPeriod {
        self.last
    }

    /// True for each of them.
    #[must_use]
    pub fn contains(self, period: BillingPeriod) -> bool {
        (self.first..=self.last).contains(&period)
    }

    /// A month, a quarter or a year.
    fn span(text: &str) -> Option<Self> {
        let months = match text.split_once('-') {
            None => ("01", "12"),
            Some((_, "Q1")) => ("01", "03"),
            Some((_, "Q2")) => ("04", "06"),
            Some((_, "Q3")) => ("07", "09"),
            Some((_, "Q4")) => ("10", "12"),
            Some((_, month)) => (month, month),
        };
        let year = text.split('-').next()?;
        let of = |month: &str| format!("{year}-{month}").parse::<BillingPeriod>().ok()?.within_years().ok();
        Some(Self { first: of(months.0)?, last: of(months.1)? })
    }
}

impl FromStr for Periods {
    type Err = PeriodsError;

    fn from_str(text: &str) -> Result<Self, PeriodsError> {
        let (from, to) = text.split_once("..").unwrap_or((text, text));
        let found = Self::span(from).zip(Self::span(to)).map(|(from, to)| Self { first: from.first, last: to.last });
        found.filter(|periods| periods.first <= periods.last).ok_or_else(|| PeriodsError(text.to_owned()))
    }
}

impl fmt::Display for Periods {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first == self.last {
            true => self.first.fmt(formatter),
            false => write!(formatter, "{}..{}", self.first, self.last),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_quarters_years_and_ranges_of_them_are_periods() {
        for (text, expected) in [
            ("2026-09", "2026-09"),
            ("2026-Q3", "2026-07..2026-09"),
            ("2026", "2026-01..2026-12"),
            ("2026-05..2026-09", "2026-05..2026-09"),
            ("2025-Q4..2026-Q1", "2025-10..2026-03"),
            ("2025..2026-02", "2025-01..2026-02"),
        ] {
            assert_eq!(text.parse::<Periods>().unwrap().to_string(), expected);
        }
        let quarter: Periods = "2026-Q1".parse().unwrap();
        let is_in = |period: &str| quarter.contains(period.parse().unwrap());
        assert_eq!(["2025-12", "2026-01", "2026-03", "2026-04"].map(is_in), [false, true, true, false]);
    }

    #[test]
    fn what_is_no_row_of_months_is_refused() {
        for text in
            ["", "2026-13", "2026-Q5", "2026-q1", "26", "2026-09..2026-05", "..", "2026-09..", "0026", "2026-Q1-Q2"]
        {
            let message = format!("{text:?} names no billing periods (2026-09, 2026-Q3, 2026, 2026-05..2026-09)");
            assert_eq!(text.parse::<Periods>().unwrap_err().to_string(), message);
        }
    }
}
