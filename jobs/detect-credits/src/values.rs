//! Values of the export as lines need them: text, days, money. The one door where a double becomes [`Money`].

use arrow::array::{
    Array, ArrayRef, AsArray, Date32Array, Decimal128Array, Float32Array, Float64Array, MapArray, StringArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, TimeUnit};
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

/// Text, whatever its physical type.
#[derive(Debug, Clone)]
pub(crate) struct TextColumn(StringArray);

impl TextColumn {
    pub(crate) fn new(array: &ArrayRef) -> Result<Self, TypeMismatch> {
        let nested = matches!(array.data_type(), DataType::Map(..) | DataType::List(_) | DataType::Struct(_));
        if nested {
            return Err(format!("has type {}, not text", array.data_type()));
        }
        let text = cast(array, &DataType::Utf8).map_err(|error| error.to_string())?;
        Ok(Self(text.as_string::<i32>().clone()))
    }

    /// The value; `None` where it is null or blank.
    pub(crate) fn get(&self, row: usize) -> Option<&str> {
        if self.0.is_null(row) {
            return None;
        }
        Some(self.0.value(row)).filter(|text| !text.trim().is_empty())
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
            DataType::Date32 | DataType::Date64 => Ok(Self::Days(days(array)?)),
            // Casting through UTC: a zone only says how to print an instant.
            DataType::Timestamp(..) => {
                let utc = cast(array, &DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())));
                let plain = utc.and_then(|utc| cast(&utc, &DataType::Timestamp(TimeUnit::Microsecond, None)));
                Ok(Self::Days(days(&plain.map_err(|error| error.to_string())?)?))
            }
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(..) => {
                Ok(Self::Text(TextColumn::new(array)?))
            }
            other => Err(format!("has type {other}, not a date")),
        }
    }

    /// The day; `Ok(None)` where blank, `Err` with the text where it is no date.
    pub(crate) fn get(&self, row: usize) -> Result<Option<NaiveDate>, String> {
        match self {
            Self::Days(days) if days.is_null(row) => Ok(None),
            Self::Days(days) => {
                Date32Type::to_naive_date_opt(days.value(row)).map(Some).ok_or_else(|| "date".to_owned())
            }
            Self::Text(text) => text.get(row).map(|text| parse_day(text).ok_or_else(|| text.to_owned())).transpose(),
        }
    }

    /// The billing period; as [`Self::get`].
    pub(crate) fn period(&self, row: usize) -> Result<Option<BillingPeriod>, String> {
        if let Self::Text(text) = self
            && let Some(Ok(period)) = text.get(row).map(|text| text.trim().parse())
        {
            return Ok(Some(period));
        }
        Ok(self.get(row)?.map(BillingPeriod::of))
    }
}

fn days(array: &ArrayRef) -> Result<Date32Array, TypeMismatch> {
    let days = cast(array, &DataType::Date32).map_err(|error| error.to_string())?;
    Ok(days.as_primitive::<Date32Type>().clone())
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

    /// The amount; `Ok(None)` where blank.
    pub(crate) fn get(&self, row: usize) -> Result<Option<Money>, NoAmount> {
        let (text, money) = match self {
            Self::Double(values) if values.is_valid(row) => {
                let value = values.value(row);
                (value.to_string(), money_from_double(value))
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

/// The door: a double counts as the shortest decimal that reads back to it, rounded half away from zero to 10
/// decimals.
///
/// Where `value` is a whole number of units of at most 15 digits that reads back to it, that is its shortest decimal:
/// two decimals of at most 15 digits never read to one double.
pub(crate) fn money_from_double(value: f64) -> Result<Money, MoneyError> {
    const UNITS: f64 = 1e10;
    const EXACT: f64 = 1e15;
    let units = (value * UNITS).round_ties_even();
    if units.abs() < EXACT && units / UNITS == value {
        #[expect(clippy::cast_possible_truncation, reason = "a whole number below 1e15")]
        return Money::from_units(units as i128);
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
    Map { map: Box<MapArray>, keys: TextColumn, values: TextColumn },
    Json(TextColumn),
}

impl MapColumn {
    pub(crate) fn new(array: &ArrayRef) -> Result<Self, TypeMismatch> {
        match array.data_type() {
            DataType::Map(..) => {
                let map = Box::new(array.as_map().clone());
                let (keys, values) = (TextColumn::new(map.keys())?, TextColumn::new(map.values())?);
                Ok(Self::Map { map, keys, values })
            }
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(..) => {
                Ok(Self::Json(TextColumn::new(array)?))
            }
            other => Err(format!("has type {other}, not a map")),
        }
    }

    /// Hands each non-blank entry of a row to `entry`, in order. `Err` with the text where it is no JSON object.
    pub(crate) fn each(&self, row: usize, mut entry: impl FnMut(&str, &str)) -> Result<(), String> {
        match self {
            Self::Map { map, keys, values } => {
                if map.is_valid(row) {
                    let offsets = map.value_offsets();
                    let bound = |index: usize| offsets.get(index).and_then(|at| usize::try_from(*at).ok()).unwrap_or(0);
                    for at in bound(row)..bound(row + 1) {
                        if let (Some(key), Some(value)) = (keys.get(at), values.get(at)) {
                            entry(key, value);
                        }
                    }
                }
                Ok(())
            }
            Self::Json(text) => {
                let Some(text) = text.get(row) else { return Ok(()) };
                let object: serde_json::Map<String, serde_json::Value> =
                    serde_json::from_str(text).map_err(|_error| text.to_owned())?;
                for (key, value) in &object {
                    match value {
                        serde_json::Value::Null => {}
                        serde_json::Value::String(value) if value.trim().is_empty() => {}
                        serde_json::Value::String(value) => entry(key, value),
                        other => entry(key, &other.to_string()),
                    }
                }
                Ok(())
            }
        }
    }
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
