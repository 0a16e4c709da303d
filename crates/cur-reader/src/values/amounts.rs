//! Amounts. The one door where a double becomes [`Money`].

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, Decimal256Array, Float32Array, Float64Array};
use arrow::datatypes::{DataType, Decimal128Type, Decimal256Type, Float32Type, Float64Type};
use credit_ledger::{Money, MoneyError};
use schemas::excerpt;

use super::text::strictly;
use super::{TextColumn, TypeMismatch, is_text};

/// Amounts: doubles, decimals of any width, integers, or text.
#[derive(Debug, Clone)]
pub enum AmountColumn {
    /// Doubles, rounded once.
    Double(Float64Array),
    /// Floats, rounded once.
    Single(Float32Array),
    /// Decimals and integers, and their scale.
    Decimal(Decimal128Array, i8),
    /// Decimals of more than 38 digits, and their scale.
    Wide(Decimal256Array, i8),
    /// Text with a decimal point.
    Text(TextColumn),
}

/// A value that is no amount, as far as a message repeats it.
#[derive(Debug, PartialEq, Eq)]
pub struct NoAmount {
    /// The value.
    pub text: String,
    /// True where it has more than 38 digits.
    pub overflow: bool,
}

impl AmountColumn {
    /// The amounts of an array.
    ///
    /// # Errors
    /// What it holds instead.
    pub fn new(array: &ArrayRef) -> Result<Self, TypeMismatch> {
        match array.data_type() {
            DataType::Float64 => Ok(Self::Double(array.as_primitive::<Float64Type>().clone())),
            DataType::Float32 => Ok(Self::Single(array.as_primitive::<Float32Type>().clone())),
            DataType::Decimal128(_, scale) => Ok(Self::Decimal(array.as_primitive::<Decimal128Type>().clone(), *scale)),
            DataType::Decimal256(_, scale) => Ok(Self::Wide(array.as_primitive::<Decimal256Type>().clone(), *scale)),
            DataType::Decimal32(_, scale) | DataType::Decimal64(_, scale) => {
                let wide = strictly(array, &DataType::Decimal128(38, *scale))?;
                Ok(Self::Decimal(wide.as_primitive::<Decimal128Type>().clone(), *scale))
            }
            other if other.is_integer() => {
                let wide = strictly(array, &DataType::Decimal128(38, 0))?;
                Ok(Self::Decimal(wide.as_primitive::<Decimal128Type>().clone(), 0))
            }
            other if is_text(other) => Ok(Self::Text(TextColumn::new(array)?)),
            other => Err(format!("has type {other}, not an amount")),
        }
    }

    /// The amount as a whole number of units, where that is at hand.
    #[inline]
    pub fn whole_units(&self, row: usize) -> Option<i64> {
        match self {
            Self::Double(values) if values.is_valid(row) => whole_units(values.value(row)),
            _ => None,
        }
    }

    /// True where there is none.
    pub fn is_blank(&self, row: usize) -> bool {
        matches!(self.get(row), Ok(None))
    }

    /// The amount; `Ok(None)` where blank.
    pub fn get(&self, row: usize) -> Result<Option<Money>, NoAmount> {
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
            Self::Wide(values, scale) if values.is_valid(row) => {
                let units = values.value(row).to_string();
                let digits = units.trim_start_matches('-');
                let money = Money::from_digits(digits.len() < units.len(), digits.as_bytes(), -i64::from(*scale));
                (units, money)
            }
            Self::Text(values) => match values.get(row) {
                Some(text) => (excerpt(text).into_owned(), text.trim().parse()),
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
}
