//! Values of the export as lines need them: text, days, money. The one door where a double becomes [`Money`].

use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int32Array,
    MapArray, StringArray,
};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, TimeUnit, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use chrono::{DateTime, NaiveDate, NaiveDateTime};
use credit_ledger::{BillingPeriod, Money, MoneyError};

/// What is wrong with a text that is no date.
pub(crate) fn no_date(text: &str) -> String {
    format!("{text:?} is not a date (2026-01-31, with or without a time)")
}

/// What is wrong with a blank where every line has a value.
pub(crate) const BLANK: &str = "is blank; every line needs a value here";

/// A column that holds something else than it should.
pub(crate) type TypeMismatch = String;

/// Text, whatever its physical type: each line holds the number of an entry in the column's dictionary.
#[derive(Debug, Clone)]
pub(crate) struct TextColumn {
    codes: Int32Array,
    entries: StringArray,
}

impl TextColumn {
    pub(crate) fn new(array: &ArrayRef) -> Result<Self, TypeMismatch> {
        let nested = matches!(array.data_type(), DataType::Map(..) | DataType::List(_) | DataType::Struct(_));
        if nested {
            return Err(format!("has type {}, not text", array.data_type()));
        }
        let coded = cast(array, &dictionary_of_text()).map_err(|error| error.to_string())?;
        let coded = coded.as_dictionary::<Int32Type>();
        Ok(Self { codes: coded.keys().clone(), entries: coded.values().as_string::<i32>().clone() })
    }

    /// The value; `None` where it is null or blank.
    pub(crate) fn get(&self, row: usize) -> Option<&str> {
        self.entry(self.code(row)?)
    }

    /// The entry's number; `None` where null.
    #[inline]
    pub(crate) fn code(&self, row: usize) -> Option<usize> {
        if self.codes.is_null(row) { None } else { usize::try_from(self.codes.value(row)).ok() }
    }

    /// The entries' numbers: rows with equal ones have equal texts.
    pub(crate) fn codes(&self) -> ArrayRef {
        Arc::new(self.codes.clone())
    }

    /// The dictionary; `None` for what is null or blank.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Option<&str>> {
        (0..self.entries.len()).map(|code| self.entry(code))
    }

    fn entry(&self, code: usize) -> Option<&str> {
        if self.entries.is_null(code) {
            return None;
        }
        Some(self.entries.value(code)).filter(|text| !text.trim().is_empty())
    }

    /// True where both share one dictionary, not only equal ones.
    fn shares_entries(&self, other: &StringArray) -> bool {
        self.entries.len() == other.len()
            && self.entries.offset() == other.offset()
            && self.entries.value_data().as_ptr() == other.value_data().as_ptr()
            && self.entries.value_offsets().as_ptr() == other.value_offsets().as_ptr()
    }
}

/// The type in which text is read: numbers of dictionary entries.
pub(crate) fn dictionary_of_text() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

/// The dictionary of a column, from batch to batch.
#[derive(Debug, Default)]
pub(crate) struct Dictionary {
    /// Kept, so that its memory cannot come back as another dictionary.
    entries: Option<StringArray>,
}

impl Dictionary {
    /// True where `column` has another dictionary than the batch before.
    pub(crate) fn follow(&mut self, column: &TextColumn) -> bool {
        let is_new = !self.entries.as_ref().is_some_and(|entries| column.shares_entries(entries));
        if is_new {
            self.entries = Some(column.entries.clone());
        }
        is_new
    }
}

/// What is known about the entries of a column's dictionary: worked out once per entry, not once per line.
#[derive(Debug)]
pub(crate) struct PerEntry<T> {
    dictionary: Dictionary,
    /// By entry; `Some(None)` for one that is blank.
    known: Vec<Option<Option<T>>>,
}

impl<T> Default for PerEntry<T> {
    fn default() -> Self {
        Self { dictionary: Dictionary::default(), known: Vec::new() }
    }
}

impl<T: Copy> PerEntry<T> {
    /// Forgets what is known unless `column` has the dictionary of the batch before; true where it forgot.
    pub(crate) fn follow(&mut self, column: &TextColumn) -> bool {
        let is_new = self.dictionary.follow(column);
        if is_new {
            self.known.clear();
            self.known.resize(column.entries.len(), None);
        }
        is_new
    }

    /// What is known about the row's entry; `None` where it is null or blank.
    #[inline]
    pub(crate) fn get(&mut self, column: &TextColumn, row: usize, work_out: impl FnOnce(&str) -> T) -> Option<T> {
        let code = column.code(row)?;
        if let Some(Some(known)) = self.known.get(code) {
            return *known;
        }
        let found = column.entry(code).map(work_out);
        if let Some(slot) = self.known.get_mut(code) {
            *slot = Some(found);
        }
        found
    }
}

/// UTC days: dates, timestamps of any unit, or text.
#[derive(Debug, Clone)]
pub(crate) enum DayColumn {
    Days(Date32Array),
    Text(TextColumn),
}

impl DayColumn {
    pub(crate) fn new(array: &ArrayRef) -> Result<Self, TypeMismatch> {
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
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(..) => {
                Ok(Self::Text(TextColumn::new(array)?))
            }
            other => Err(format!("has type {other}, not a date")),
        }
    }

    /// The day as days since 1970; `Ok(None)` where blank, `Err` with the text where it is no date.
    #[inline]
    pub(crate) fn get(&self, row: usize, known: &mut PerEntry<Option<i32>>) -> Result<Option<i32>, String> {
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
    pub(crate) fn period(&self, row: usize, known: &mut PeriodMemo) -> Result<Option<BillingPeriod>, String> {
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
    pub(crate) fn codes(&self) -> ArrayRef {
        match self {
            Self::Days(days) => Arc::new(days.clone()),
            Self::Text(text) => text.codes(),
        }
    }

    /// As [`Self::codes`], the same for all hours of a day.
    pub(crate) fn day_codes(&self, rows: usize, known: &mut PerEntry<Option<i32>>) -> ArrayRef {
        match self {
            Self::Days(days) => Arc::new(days.clone()),
            Self::Text(_) => {
                const NO_DAY: i32 = i32::MIN;
                let days = (0..rows).map(|row| self.get(row, known).unwrap_or(Some(NO_DAY)));
                Arc::new(days.collect::<Int32Array>())
            }
        }
    }

    /// Prepares what is known for a batch.
    pub(crate) fn follow<T: Copy>(&self, known: &mut PerEntry<T>) {
        if let Self::Text(text) = self {
            known.follow(text);
        }
    }
}

/// Periods seen before: most lines of a file have the same.
#[derive(Debug, Default)]
pub(crate) struct PeriodMemo {
    last: Option<(i32, BillingPeriod)>,
    pub(crate) entries: PerEntry<Option<BillingPeriod>>,
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

/// The UTC day of `2026-01-31`, `2026-01-31T23:00:00[.000]Z`, `2026-01-31 23:00:00[+00:00]`.
pub(crate) fn parse_day(text: &str) -> Option<NaiveDate> {
    let text = text.trim();
    if text.len() == 10 {
        return NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
    }
    if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        return Some(instant.to_utc().date_naive());
    }
    if let Ok(instant) = DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f%:z") {
        return Some(instant.to_utc().date_naive());
    }
    let plain = text.trim_end_matches(" UTC").replacen('T', " ", 1);
    NaiveDateTime::parse_from_str(&plain, "%Y-%m-%d %H:%M:%S%.f").ok().map(|instant| instant.date())
}

/// Amounts: doubles, decimals, integers, or text.
#[derive(Debug, Clone)]
pub(crate) enum AmountColumn {
    Double(Float64Array),
    Single(Float32Array),
    Decimal(Decimal128Array, i8),
    Text(TextColumn),
}

/// A value that is no amount.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NoAmount {
    pub(crate) text: String,
    pub(crate) overflow: bool,
}

impl AmountColumn {
    pub(crate) fn new(array: &ArrayRef) -> Result<Self, TypeMismatch> {
        match array.data_type() {
            DataType::Float64 => Ok(Self::Double(array.as_primitive::<Float64Type>().clone())),
            DataType::Float32 => Ok(Self::Single(array.as_primitive::<Float32Type>().clone())),
            DataType::Decimal128(_, scale) => Ok(Self::Decimal(array.as_primitive::<Decimal128Type>().clone(), *scale)),
            other if other.is_integer() => {
                let wide = cast(array, &DataType::Decimal128(38, 0)).map_err(|error| error.to_string())?;
                Ok(Self::Decimal(wide.as_primitive::<Decimal128Type>().clone(), 0))
            }
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(..) => {
                Ok(Self::Text(TextColumn::new(array)?))
            }
            other => Err(format!("has type {other}, not an amount")),
        }
    }

    /// The amount as a whole number of units, where that is at hand.
    #[inline]
    pub(crate) fn whole_units(&self, row: usize) -> Option<i64> {
        match self {
            Self::Double(values) if values.is_valid(row) => whole_units(values.value(row)),
            _ => None,
        }
    }

    /// The amount; `Ok(None)` where blank.
    pub(crate) fn get(&self, row: usize) -> Result<Option<Money>, NoAmount> {
        let (text, money) = match self {
            Self::Double(values) if values.is_valid(row) => {
                let value = values.value(row);
                return money_from_double(value)
                    .map(Some)
                    .map_err(|error| NoAmount { text: value.to_string(), overflow: error == MoneyError::Overflow });
            }
            Self::Single(values) if values.is_valid(row) => {
                let text = values.value(row).to_string();
                let money = text.parse();
                (text, money)
            }
            Self::Decimal(values, scale) if values.is_valid(row) => {
                let units = values.value(row);
                let digits = units.unsigned_abs().to_string();
                let money = Money::from_digits(units < 0, digits.as_bytes(), -i64::from(*scale));
                (units.to_string(), money)
            }
            Self::Text(values) => match values.get(row) {
                Some(text) => (text.to_owned(), text.trim().parse()),
                None => return Ok(None),
            },
            _ => return Ok(None),
        };
        money.map(Some).map_err(|error| NoAmount { text, overflow: error == MoneyError::Overflow })
    }
}

/// A double that is a whole number of units of at most 15 digits, read back to it: that is its shortest decimal, as two
/// decimals of at most 15 digits never read to one double.
#[inline]
fn whole_units(value: f64) -> Option<i64> {
    const UNITS: f64 = 1e10;
    const EXACT: f64 = 1e15;
    let units = (value * UNITS).round_ties_even();
    #[expect(clippy::cast_possible_truncation, reason = "a whole number below 1e15")]
    (units.abs() < EXACT && units / UNITS == value).then_some(units as i64)
}

/// The door: a double counts as the shortest decimal that reads back to it, rounded half away from zero to 10
/// decimals.
pub(crate) fn money_from_double(value: f64) -> Result<Money, MoneyError> {
    if let Some(units) = whole_units(value) {
        return Money::from_units(i128::from(units));
    }
    if value.is_finite() {
        ryu::Buffer::new().format_finite(value).parse()
    } else {
        Err(MoneyError::NotANumber(value.to_string()))
    }
}

/// Keys and values of maps: real maps, or JSON text.
#[derive(Debug, Clone)]
pub(crate) enum MapColumn {
    Map(Box<RealMap>),
    Json(Box<TextColumn>),
}

/// The entries of all rows, one after the other.
#[derive(Debug, Clone)]
pub(crate) struct RealMap {
    map: MapArray,
    pub(crate) keys: TextColumn,
    pub(crate) values: TextColumn,
}

impl MapColumn {
    pub(crate) fn new(array: &ArrayRef) -> Result<Self, TypeMismatch> {
        match array.data_type() {
            DataType::Map(..) => {
                let map = array.as_map().clone();
                let (keys, values) = (TextColumn::new(map.keys())?, TextColumn::new(map.values())?);
                Ok(Self::Map(Box::new(RealMap { map, keys, values })))
            }
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(..) => {
                Ok(Self::Json(Box::new(TextColumn::new(array)?)))
            }
            other => Err(format!("has type {other}, not a map")),
        }
    }
}

impl RealMap {
    /// The entries of each row: their range in keys and values.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Range<usize>> {
        let bound = |at: &i32| usize::try_from(*at).unwrap_or(0);
        let ranges = self.map.value_offsets().array_windows().map(move |[first, end]| bound(first)..bound(end));
        ranges.enumerate().map(|(row, range)| if self.map.is_null(row) { 0..0 } else { range })
    }
}

/// The non-blank entries of a JSON object, in order; `None` where it is none.
pub(crate) fn json_entries(text: &str) -> Option<Vec<(String, String)>> {
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).ok()?;
    let entries = object.into_iter().filter_map(|(key, value)| match value {
        serde_json::Value::Null => None,
        serde_json::Value::String(value) => (!value.trim().is_empty()).then_some((key, value)),
        other => Some((key, other.to_string())),
    });
    Some(entries.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_double_is_its_shortest_decimal_rounded_once() {
        for (value, expected) in [
            (1_234_567.89, "1234567.8900000000"),
            (0.1 + 0.2, "0.3000000000"),
            (0.00000000005, "0.0000000001"),
            (-0.00000000005, "-0.0000000001"),
            (0.000000000049, "0.0000000000"),
            (2.5e-10, "0.0000000003"),
            (123_456_789_012_345.67, "123456789012345.6700000000"),
            (9_007_199_254_740_993.0, "9007199254740992.0000000000"),
            (1e17, "100000000000000000.0000000000"),
            (-35.576771, "-35.5767710000"),
            (0.0, "0.0000000000"),
            (-0.0, "0.0000000000"),
        ] {
            assert_eq!(money_from_double(value).unwrap().to_string(), expected, "{value}");
        }
        assert!(money_from_double(f64::NAN).is_err());
        assert_eq!(money_from_double(1e30), Err(MoneyError::Overflow));
    }

    #[test]
    fn the_fast_way_through_the_door_agrees_with_the_text() {
        let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
        for step in 0..200_000_u32 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let scale = [1e2, 1e5, 1e9, 1e10, 1e11, 1e12, 1e17][step as usize % 7];
            #[expect(clippy::cast_precision_loss, reason = "any double will do")]
            let value = ((state >> (state % 50)) as f64) / scale;
            assert_eq!(money_from_double(value), ryu::Buffer::new().format(value).parse(), "{value:e}");
        }
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
        ] {
            assert_eq!(parse_day(text), NaiveDate::from_ymd_opt(2019, 1, 31), "{text}");
        }
        for text in ["31/01/2019", "2019-02-30", "2019-1-1", "x", "43496"] {
            assert_eq!(parse_day(text), None, "{text}");
        }
    }
}
