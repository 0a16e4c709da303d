//! Billing periods: calendar months in UTC.

use std::fmt;
use std::str::FromStr;

use chrono::{Datelike, Days, NaiveDate};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Quoted;

/// A calendar month, written `YYYY-MM`; ordered by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BillingPeriod {
    first_day: NaiveDate,
}

/// A text that is no billing period.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is not a billing period (YYYY-MM)", Quoted(.0))]
pub struct PeriodError(pub String);

impl BillingPeriod {
    /// The month that holds `date`.
    #[must_use]
    pub fn of(date: NaiveDate) -> Self {
        Self { first_day: date.with_day(1).unwrap_or(date) }
    }

    /// Its first day.
    #[must_use]
    pub const fn first_day(self) -> NaiveDate {
        self.first_day
    }

    /// Its last day.
    #[must_use]
    pub fn last_day(self) -> NaiveDate {
        self.next().first_day.checked_sub_days(Days::new(1)).unwrap_or(self.first_day)
    }

    /// The month after.
    #[must_use]
    pub fn next(self) -> Self {
        let next = self.first_day.checked_add_months(chrono::Months::new(1));
        Self { first_day: next.unwrap_or(NaiveDate::MAX) }
    }

    /// True if `date` lies in the month.
    #[must_use]
    pub fn contains(self, date: NaiveDate) -> bool {
        Self::of(date) == self
    }

    /// `date`, or the period's first or last day where `date` lies before or after it.
    #[must_use]
    pub fn clamp(self, date: NaiveDate) -> NaiveDate {
        date.clamp(self.first_day, self.last_day())
    }

    /// All months from `self` to `last`, both included; none if `last` is earlier.
    pub fn through(self, last: Self) -> impl Iterator<Item = Self> {
        std::iter::successors(Some(self), |period| Some(period.next())).take_while(move |period| *period <= last)
    }
}

impl fmt::Display for BillingPeriod {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month) = (self.first_day.year(), self.first_day.month());
        match formatter.width() {
            None => write!(formatter, "{year:04}-{month:02}"),
            Some(_) => formatter.pad(&format!("{year:04}-{month:02}")),
        }
    }
}

impl FromStr for BillingPeriod {
    type Err = PeriodError;

    fn from_str(text: &str) -> Result<Self, PeriodError> {
        let is_shaped = |(year, month): &(&str, &str)| {
            (year.len(), month.len()) == (4, 2) && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
        };
        let first = text
            .split_once('-')
            .filter(is_shaped)
            .and_then(|(year, month)| NaiveDate::from_ymd_opt(year.parse().ok()?, month.parse().ok()?, 1));
        first.map(|first_day| Self { first_day }).ok_or_else(|| PeriodError(text.to_owned()))
    }
}

impl Serialize for BillingPeriod {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for BillingPeriod {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_run_on_across_the_year_end() {
        let period: BillingPeriod = "2025-12".parse().unwrap();
        assert_eq!(period.next().to_string(), "2026-01");
        assert_eq!(period.last_day(), NaiveDate::from_ymd_opt(2025, 12, 31).unwrap());
        let to: BillingPeriod = "2026-02".parse().unwrap();
        assert_eq!(period.through(to).count(), 3);
        assert_eq!(to.through(period).count(), 0);
    }

    #[test]
    fn only_year_dash_month_is_a_period() {
        for text in ["2026-1", "2026-13", "2026-01-01", "202601", "", "26-01", "2026-00", "+026-01"] {
            assert_eq!(text.parse::<BillingPeriod>(), Err(PeriodError(text.to_owned())));
        }
    }
}
