//! Billing periods: calendar months in UTC; and which periods and dates can be meant.
//!
//! A mistyped year is a costly slip: tables have a month for every month between the first and the last. So every date
//! that comes in is checked against what can be.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use chrono::{Datelike, Days, Months, NaiveDate};
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
        let next = self.first_day.checked_add_months(Months::new(1));
        Self { first_day: next.unwrap_or(NaiveDate::MAX) }
    }

    /// Itself, where it lies in [`YEARS`].
    ///
    /// # Errors
    /// [`BeyondYears`] otherwise.
    pub fn within_years(self) -> Result<Self, BeyondYears> {
        let within = YEARS.contains(&self.first_day.year());
        within.then_some(self).ok_or_else(|| BeyondYears(self.to_string()))
    }

    /// The days on which a line of the month's bill can start. Nearly all start in the month. A refund, a correction or a
    /// line that comes late carries the day of what it is about: at most the longest term that AWS sells, three years,
    /// before the month. A fee that is paid ahead carries the day on which its term begins: at most a year after.
    #[must_use]
    pub fn usage_dates(self) -> RangeInclusive<NaiveDate> {
        let first = self.first_day.checked_sub_months(Months::new(36)).unwrap_or(NaiveDate::MIN);
        let last = self.last_day().checked_add_months(Months::new(12)).unwrap_or(NaiveDate::MAX);
        first..=last
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

/// The years in which a date can lie that people state: AWS has billed since 2006, and what is later than this century
/// is a slip.
pub const YEARS: RangeInclusive<i32> = 2006..=2100;

/// A date or period outside of [`YEARS`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not in the years {first} to {last}", first = YEARS.start(), last = YEARS.end())]
pub struct BeyondYears(String);

/// `date`, where it lies in [`YEARS`].
///
/// # Errors
/// [`BeyondYears`] otherwise.
pub fn within_years(date: NaiveDate) -> Result<NaiveDate, BeyondYears> {
    YEARS.contains(&date.year()).then_some(date).ok_or_else(|| BeyondYears(date.to_string()))
}

/// The billing periods that an export can hold.
///
/// The first is 2006-01, as AWS billed nothing before. The last is 13 months after the later one of the as-of date and
/// today: what lies between is no error but not counted yet, and a run as of a past date reads the whole export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExportPeriods {
    last: BillingPeriod,
}

/// A billing period that no export can hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImpossiblePeriod {
    /// Before the first one.
    #[error("billing period {0} is before {first}-01: AWS billed nothing then", first = YEARS.start())]
    Early(BillingPeriod),
    /// After the last one.
    #[error("billing period {0} is more than {months} months ahead", months = ExportPeriods::MONTHS_AHEAD)]
    Late(BillingPeriod),
}

impl ExportPeriods {
    const MONTHS_AHEAD: u32 = 13;

    /// Those of an export that is read on `today` or as of a later date.
    #[must_use]
    pub fn read_on(today: NaiveDate, as_of: NaiveDate) -> Self {
        let ahead = today.max(as_of).checked_add_months(Months::new(Self::MONTHS_AHEAD));
        Self { last: BillingPeriod::of(ahead.unwrap_or(NaiveDate::MAX)) }
    }

    /// Those up to `last`, included.
    #[must_use]
    pub const fn up_to(last: BillingPeriod) -> Self {
        Self { last }
    }

    /// The last one.
    #[must_use]
    pub const fn last(self) -> BillingPeriod {
        self.last
    }

    /// `period`, where it is one of them.
    ///
    /// # Errors
    /// [`ImpossiblePeriod`] otherwise.
    pub fn check(self, period: BillingPeriod) -> Result<BillingPeriod, ImpossiblePeriod> {
        if period.first_day.year() < *YEARS.start() {
            return Err(ImpossiblePeriod::Early(period));
        }
        if period > self.last { Err(ImpossiblePeriod::Late(period)) } else { Ok(period) }
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

    fn period(text: &str) -> BillingPeriod {
        text.parse().unwrap()
    }

    #[test]
    fn periods_of_an_export_end_13_months_after_the_later_of_today_and_the_as_of_date() {
        let (earlier, later) = ("2025-01-31".parse().unwrap(), "2026-10-31".parse().unwrap());
        for periods in [ExportPeriods::read_on(later, earlier), ExportPeriods::read_on(earlier, later)] {
            for possible in ["2006-01", "2026-10", "2027-11"] {
                assert_eq!(periods.check(period(possible)), Ok(period(possible)));
            }
            let wrong = |text: &str| periods.check(period(text)).unwrap_err().to_string();
            assert_eq!(wrong("0026-09"), "billing period 0026-09 is before 2006-01: AWS billed nothing then");
            assert_eq!(wrong("2005-12"), "billing period 2005-12 is before 2006-01: AWS billed nothing then");
            assert_eq!(wrong("2027-12"), "billing period 2027-12 is more than 13 months ahead");
        }
    }

    #[test]
    fn lines_start_at_most_three_years_before_their_period_and_one_after() {
        let date = |text: &str| text.parse::<NaiveDate>().unwrap();
        assert_eq!(period("2026-02").usage_dates(), date("2023-02-01")..=date("2027-02-28"));
        assert_eq!(period("2027-02").usage_dates(), date("2024-02-01")..=date("2028-02-28"));
    }

    #[test]
    fn dates_and_periods_that_people_state_lie_in_2006_to_2100() {
        let date = |text: &str| text.parse::<NaiveDate>().unwrap();
        assert_eq!(within_years(date("2100-12-31")), Ok(date("2100-12-31")));
        let wrong = within_years(date("2101-01-01")).unwrap_err();
        assert_eq!(wrong.to_string(), "2101-01-01 is not in the years 2006 to 2100");
        assert_eq!(period("2006-01").within_years(), Ok(period("2006-01")));
        let wrong = period("0026-09").within_years().unwrap_err();
        assert_eq!(wrong.to_string(), "0026-09 is not in the years 2006 to 2100");
    }

    #[test]
    fn months_end_on_their_last_day_in_leap_years_too() {
        let ends = [
            ("2024-02", "2024-02-29"),
            ("2026-02", "2026-02-28"),
            ("2000-02", "2000-02-29"),
            ("2100-02", "2100-02-28"),
        ];
        for (text, last_day) in ends {
            assert_eq!(period(text).last_day().to_string(), last_day);
            assert_eq!(period(text).next().first_day(), period(text).last_day().succ_opt().unwrap());
        }
        let days = |month: BillingPeriod| month.next().first_day().signed_duration_since(month.first_day()).num_days();
        assert_eq!(period("2026-01").through(period("2026-12")).map(days).sum::<i64>(), 365);
        assert_eq!(period("2006-01").through(period("2100-12")).count(), 1_140);
        assert_eq!(period("2026-03").through(period("2026-03")).collect::<Vec<_>>(), [period("2026-03")]);
    }

    #[test]
    fn a_day_outside_of_its_billing_period_counts_as_the_first_or_last_day() {
        let date = |text: &str| text.parse::<NaiveDate>().unwrap();
        let march = period("2026-03");
        for (day, counts_as) in [
            ("2023-03-01", "2026-03-01"),
            ("2026-02-28", "2026-03-01"),
            ("2026-03-01", "2026-03-01"),
            ("2026-03-17", "2026-03-17"),
            ("2026-03-31", "2026-03-31"),
            ("2026-04-01", "2026-03-31"),
        ] {
            assert_eq!(march.clamp(date(day)), date(counts_as), "{day}");
            assert_eq!(march.contains(date(day)), day == counts_as, "{day}");
            assert_eq!(BillingPeriod::of(march.clamp(date(day))), march);
        }
    }

    #[test]
    fn periods_of_an_export_that_are_given_end_with_the_last_one() {
        let periods = ExportPeriods::up_to(period("2026-03"));
        assert_eq!((periods.last(), periods.check(period("2026-03"))), (period("2026-03"), Ok(period("2026-03"))));
        assert_eq!(periods.check(period("2026-04")), Err(ImpossiblePeriod::Late(period("2026-04"))));
        assert_eq!(periods.check(period("2005-12")), Err(ImpossiblePeriod::Early(period("2005-12"))));
        let at_year_end = ExportPeriods::read_on("2026-12-31".parse().unwrap(), "2026-12-31".parse().unwrap());
        assert_eq!(at_year_end.last(), period("2028-01"));
    }

    #[test]
    fn periods_stand_in_columns_and_are_read_from_records_as_they_are_written() {
        use serde::de::IntoDeserializer;
        use serde::de::value::{Error, StrDeserializer};

        assert_eq!(format!("{:>9}|{:<9}|", period("2026-03"), period("2026-03")), "  2026-03|2026-03  |");
        let read = |text: &'static str| {
            let text: StrDeserializer<'_, Error> = text.into_deserializer();
            BillingPeriod::deserialize(text)
        };
        assert_eq!(read("2026-03"), Ok(period("2026-03")));
        assert_eq!(read("2026-3").unwrap_err().to_string(), "\"2026-3\" is not a billing period (YYYY-MM)");
        assert!(period("2025-12") < period("2026-01") && period("2026-09") < period("2026-10"));
    }
}
