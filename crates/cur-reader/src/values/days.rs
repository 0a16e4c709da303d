//! Days and billing periods.

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::str::FromStr;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, Date32Array};
use arrow::buffer::ScalarBuffer;
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use chrono::{FixedOffset, NaiveDate, NaiveTime};
use credit_ledger::{BillingPeriod, ImpossiblePeriod, Quoted};

use super::{DictionaryMemo, TextColumn, TypeMismatch, is_text};

/// What is wrong with a text that is no date.
pub fn no_date(text: &str) -> String {
    format!("{} is not a date (2026-01-31, with or without a time)", Quoted(text))
}

/// What is wrong with a period that no export can hold.
pub fn impossible(period: &ImpossiblePeriod) -> String {
    format!("{period}; correct the date or deliver the file again")
}

/// What is wrong with a line that starts years away from its period.
pub fn far_away(day: i32, period: BillingPeriod) -> String {
    let day = Date32Type::to_naive_date_opt(day).unwrap_or_default();
    let distance = if day < period.first_day() { "3 years before" } else { "a year after" };
    format!("{day} is more than {distance} billing period {period}; correct the date or deliver the file again")
}

/// UTC days: dates, timestamps of any unit, or text.
#[derive(Debug, Clone)]
pub enum DayColumn {
    /// Days since 1970.
    Days(Date32Array),
    /// ISO 8601.
    Text(TextColumn),
}

impl DayColumn {
    /// The days of an array.
    ///
    /// # Errors
    /// What it holds instead.
    pub fn new(array: &ArrayRef) -> Result<Self, TypeMismatch> {
        match array.data_type() {
            DataType::Date32 | DataType::Date64 => {
                let days = cast(array, &DataType::Date32).map_err(|error| error.to_string())?;
                Ok(Self::Days(days.as_primitive::<Date32Type>().clone()))
            }
            // A zone only says how to print an instant: the day is that of UTC.
            DataType::Timestamp(unit, _) => Ok(Self::Days(match unit {
                TimeUnit::Second => utc_days::<TimestampSecondType>(array, 1),
                TimeUnit::Millisecond => utc_days::<TimestampMillisecondType>(array, 1_000),
                TimeUnit::Microsecond => utc_days::<TimestampMicrosecondType>(array, 1_000_000),
                TimeUnit::Nanosecond => utc_days::<TimestampNanosecondType>(array, 1_000_000_000),
            })),
            other if is_text(other) => Ok(Self::Text(TextColumn::new(array)?)),
            other => Err(format!("has type {other}, not a date")),
        }
    }

    /// The day as days since 1970; `Ok(None)` where blank, `Err` with the text where it is no date.
    #[inline]
    pub fn get(&self, row: usize, known: &mut DictionaryMemo<Option<i32>>) -> Result<Option<i32>, String> {
        match self {
            Self::Days(days) if days.is_null(row) => Ok(None),
            Self::Days(days) => {
                let day = days.value(row);
                calendar_day(day).map(Some).ok_or_else(|| beyond_calendar(day))
            }
            Self::Text(text) => match known.get(text, row, |text| parse_day(text).map(Date32Type::from_naive_date)) {
                Some(None) => Err(text.get(row).unwrap_or_default().to_owned()),
                found => Ok(found.flatten()),
            },
        }
    }

    /// The billing period; as [`Self::get`]. Text may also name it: `2026-01`.
    #[inline]
    pub fn period(&self, row: usize, known: &mut PeriodMemo) -> Result<Option<BillingPeriod>, String> {
        match self {
            Self::Days(days) if days.is_null(row) => Ok(None),
            Self::Days(days) => {
                let day = days.value(row);
                if let Some((_, period)) = known.last.filter(|(last, _)| *last == day) {
                    return Ok(Some(period));
                }
                let date = calendar_day(day).and_then(Date32Type::to_naive_date_opt);
                let date = date.ok_or_else(|| beyond_calendar(day))?;
                let period = BillingPeriod::of(date);
                known.last = Some((day, period));
                Ok(Some(period))
            }
            Self::Text(text) => match known.entries.get(text, row, parse_period) {
                Some(None) => Err(text.get(row).unwrap_or_default().to_owned()),
                found => Ok(found.flatten()),
            },
        }
    }

    /// Rows with equal ones have equal values.
    pub fn codes(&self) -> ScalarBuffer<i32> {
        match self {
            Self::Days(days) => codes_of_days(days),
            Self::Text(text) => text.codes().clone(),
        }
    }

    /// As [`Self::codes`], the same for all hours of a day.
    pub fn day_codes(&self, rows: usize, known: &mut DictionaryMemo<Option<i32>>) -> ScalarBuffer<i32> {
        match self {
            Self::Days(days) => codes_of_days(days),
            Self::Text(_) => {
                let day = |row| match self.get(row, known) {
                    Ok(day) => day.unwrap_or(NO_DAY),
                    Err(_) => WRONG_DAY,
                };
                (0..rows).map(day).collect()
            }
        }
    }

    /// Prepares what is known for a batch.
    pub fn rebind<T: Copy>(&self, known: &mut DictionaryMemo<T>) {
        if let Self::Text(text) = self {
            known.rebind(text);
        }
    }
}

/// Stand for days that are none.
const NO_DAY: i32 = i32::MIN;
const WRONG_DAY: i32 = i32::MIN + 1;

fn codes_of_days(days: &Date32Array) -> ScalarBuffer<i32> {
    match days.null_count() {
        0 => days.values().clone(),
        _ => days.iter().map(|day| day.unwrap_or(NO_DAY)).collect(),
    }
}

/// Periods seen before: most lines of a file have the same.
#[derive(Debug, Default)]
pub struct PeriodMemo {
    last: Option<(i32, BillingPeriod)>,
    /// Periods of dictionary entries.
    pub entries: DictionaryMemo<Option<BillingPeriod>>,
}

fn parse_period(text: &str) -> Option<BillingPeriod> {
    text.trim().parse().ok().or_else(|| parse_day(text).map(BillingPeriod::of))
}

/// Days since 1970 of the years 1 to 9999, which every reader of the tables can show.
const CALENDAR: RangeInclusive<i32> = -719_162..=2_932_896;

fn calendar_day(day: i32) -> Option<i32> {
    CALENDAR.contains(&day).then_some(day)
}

fn beyond_calendar(day: i32) -> String {
    format!("{day} days after 1970-01-01")
}

/// Days since 1970 of instants; those beyond the calendar are no days.
fn utc_days<T: ArrowPrimitiveType<Native = i64>>(array: &ArrayRef, per_second: i64) -> Date32Array {
    const SECONDS: i64 = 86_400;
    let per_day = SECONDS * per_second;
    array.as_primitive::<T>().unary(|instant| i32::try_from(instant.div_euclid(per_day)).unwrap_or(i32::MAX))
}

/// Times of day, to the fraction of a second or to the minute.
const CLOCKS: [&str; 2] = ["%H:%M:%S%.f", "%H:%M"];

/// The UTC day of a date, or of an instant as ISO 8601 and the tools of this field write it: with `T` or a blank, with or
/// without seconds, fraction and zone (`Z`, `+00`, `+0000`, `+00:00`, ` UTC`). Without a zone it is UTC.
pub(crate) fn parse_day(text: &str) -> Option<NaiveDate> {
    let text = text.trim();
    let date = NaiveDate::parse_from_str(text.get(..10)?, "%Y-%m-%d").ok()?;
    let rest = text.get(10..)?;
    if rest.is_empty() {
        return Some(date);
    }
    let clock = rest.strip_prefix(['T', 't', ' '])?;
    let zone = clock.find(|character: char| !character.is_ascii_digit() && ![':', '.'].contains(&character));
    let (clock, zone) = clock.split_at(zone.unwrap_or(clock.len()));
    let time = CLOCKS.iter().find_map(|clock_of| NaiveTime::parse_from_str(clock, clock_of).ok())?;
    let instant = date.and_time(time);
    let zone = zone.trim();
    if ["", "Z", "z", "UTC"].contains(&zone) {
        return Some(date);
    }
    let offset = FixedOffset::from_str(&whole_offset(zone.trim_end_matches(" UTC"))).ok()?;
    instant.and_local_timezone(offset).single().map(|instant| instant.to_utc().date_naive())
}

/// `+02` as `+02:00`.
fn whole_offset(zone: &str) -> Cow<'_, str> {
    if zone.len() == 3 { Cow::Owned(format!("{zone}:00")) } else { Cow::Borrowed(zone) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        BooleanArray, Date64Array, StringArray, TimestampMicrosecondArray, TimestampMillisecondArray,
        TimestampNanosecondArray, TimestampSecondArray,
    };

    use super::*;

    /// Row by row: the day, `blank`, or what it holds instead.
    fn days(array: impl Array + 'static) -> Vec<String> {
        let array: ArrayRef = Arc::new(array);
        let (column, mut known) = (DayColumn::new(&array).unwrap(), DictionaryMemo::default());
        column.rebind(&mut known);
        let date = |day| Date32Type::to_naive_date_opt(day).unwrap().to_string();
        let shown = |row| match column.get(row, &mut known) {
            Ok(day) => day.map_or("blank".to_owned(), date),
            Err(text) => format!("no date: {text}"),
        };
        (0..array.len()).map(shown).collect()
    }

    #[test]
    fn instants_of_every_unit_are_the_days_of_utc() {
        // The last second of May, the first of June, the last before 1970, and none.
        let seconds = [Some(1_780_271_999), Some(1_780_272_000), Some(-1), None];
        let expected = ["2026-05-31", "2026-06-01", "1969-12-31", "blank"];
        let scaled = |by: i64| seconds.map(|second| second.map(|second| second * by)).to_vec();
        assert_eq!(days(TimestampSecondArray::from(scaled(1))), expected);
        assert_eq!(days(TimestampMillisecondArray::from(scaled(1_000))), expected);
        assert_eq!(days(TimestampMicrosecondArray::from(scaled(1_000_000))), expected);
        assert_eq!(days(TimestampNanosecondArray::from(scaled(1_000_000_000))), expected);
        // A zone says how an instant is shown, not when it was.
        assert_eq!(days(TimestampMillisecondArray::from(scaled(1_000)).with_timezone("+09:00")), expected);
        assert_eq!(days(Date32Array::from(vec![Some(20_604), None])), ["2026-05-31", "blank"]);
        assert_eq!(days(Date64Array::from(vec![1_780_271_999_000])), ["2026-05-31"]);
    }

    #[test]
    fn days_that_no_calendar_has_are_no_dates() {
        let beyond = "no date: 2147483647 days after 1970-01-01";
        assert_eq!(days(TimestampSecondArray::from(vec![i64::MAX, i64::MIN])), [beyond, beyond]);
        let (last, first) = (*CALENDAR.end(), *CALENDAR.start());
        assert_eq!(days(Date32Array::from(vec![last, first])), ["9999-12-31", "0001-01-01"]);
        assert_eq!(days(Date32Array::from(vec![last + 1])), ["no date: 2932897 days after 1970-01-01"]);
        assert_eq!(
            no_date("2932897 days after 1970-01-01"),
            "\"2932897 days after 1970-01-01\" is not a date (2026-01-31, with or without a time)"
        );
        let array: ArrayRef = Arc::new(BooleanArray::from(vec![true]));
        assert_eq!(DayColumn::new(&array).unwrap_err(), "has type Boolean, not a date");
    }

    #[test]
    fn a_period_is_named_as_a_month_or_by_any_of_its_instants() {
        let texts = [
            Some("2026-05"),
            Some(" 2026-05-01T00:00:00.000Z "),
            Some("2026-06-01T01:00:00+02:00"),
            Some(""),
            None,
            Some("May 2026"),
            Some("2026-05"),
        ];
        let array: ArrayRef = Arc::new(StringArray::from(texts.to_vec()));
        let (column, mut known) = (DayColumn::new(&array).unwrap(), PeriodMemo::default());
        column.rebind(&mut known.entries);
        let mut period = |row| column.period(row, &mut known).map(|period| period.map(|period| period.to_string()));
        let may: Result<_, String> = Ok(Some("2026-05".to_owned()));
        assert_eq!([0, 1, 2, 6].map(&mut period), [may.clone(), may.clone(), may.clone(), may]);
        assert_eq!([3, 4, 5].map(&mut period), [Ok(None), Ok(None), Err("May 2026".to_owned())]);
        let array: ArrayRef = Arc::new(Date32Array::from(vec![Some(20_604), Some(20_605), None, Some(20_604)]));
        let (column, mut known) = (DayColumn::new(&array).unwrap(), PeriodMemo::default());
        let periods = [0, 1, 2, 3].map(|row| column.period(row, &mut known).unwrap().map(|period| period.to_string()));
        let [may, june] = ["2026-05", "2026-06"].map(|period| Some(period.to_owned()));
        assert_eq!(periods, [may.clone(), june, None, may]);
    }

    #[test]
    fn hours_of_one_day_belong_together_and_blanks_and_mistakes_stand_for_themselves() {
        let texts = ["2026-05-02T00:00:00Z", "2026-05-02 23:00:00", "2026-05-03T00:30:00+01:00", "", "x", "y"];
        let array: ArrayRef = Arc::new(StringArray::from(texts.to_vec()));
        let (column, mut known) = (DayColumn::new(&array).unwrap(), DictionaryMemo::default());
        column.rebind(&mut known);
        let codes = column.day_codes(texts.len(), &mut known);
        assert_eq!(codes[..3], [20_575; 3]);
        assert_eq!(codes[3..], [NO_DAY, WRONG_DAY, WRONG_DAY]);
        let array: ArrayRef = Arc::new(Date32Array::from(vec![Some(20_575), None]));
        assert_eq!(DayColumn::new(&array).unwrap().codes()[..], [20_575, NO_DAY]);
    }

    #[test]
    fn a_line_that_starts_years_from_its_period_is_said_to_do_so() {
        let may: BillingPeriod = "2026-05".parse().unwrap();
        let day = |text: &str| Date32Type::from_naive_date(text.parse().unwrap());
        assert_eq!(
            far_away(day("2016-05-02"), may),
            "2016-05-02 is more than 3 years before billing period 2026-05; correct the date or deliver the file again"
        );
        assert_eq!(
            far_away(day("2062-05-02"), may),
            "2062-05-02 is more than a year after billing period 2026-05; correct the date or deliver the file again"
        );
    }

    #[test]
    fn timestamps_of_every_observed_spelling_are_utc_days() {
        for text in [
            "2019-01-31",
            "2019-01-31T00:00:00Z",
            "2019-01-31T23:59:59.000Z",
            "2019-01-31 00:00:00",
            "2019-01-31 00:00:00+00:00",
            "2019-02-01T01:00:00+02:00",
            "2019-01-31 00:00:00.123456",
            "2019-01-31 12:00:00 UTC",
            "2019-01-31T00:00Z",
            "2019-01-31 00:00",
            "2019-01-31 00:00:00+00",
            "2019-01-31 00:00:00.5+0000",
            "2019-01-31 12:00:00 +0000 UTC",
            "2019-01-31T23:59+00:00",
            "2019-01-30 23:00:00-02",
            "2019-02-01T00:30:00+0130",
            "2019-01-31t00:00:00z",
        ] {
            assert_eq!(parse_day(text), NaiveDate::from_ymd_opt(2019, 1, 31), "{text}");
        }
        for text in [
            "31/01/2019",
            "2019-02-30",
            "2019-1-1",
            "x",
            "43496",
            "2019-01-31T",
            "2019-01-31 25:00:00",
            "2019-01-31 10:00 AM",
            "2019-01-31 00:00:00+99",
            "2019-01-31 00:00:00 CET",
        ] {
            assert_eq!(parse_day(text), None, "{text}");
        }
    }
}
