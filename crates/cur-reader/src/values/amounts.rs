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
    use std::sync::Arc;

    use arrow::array::{BooleanArray, Decimal32Array, Decimal64Array, Int64Array, StringArray, UInt64Array};
    use arrow::datatypes::i256;

    use super::*;

    /// Row by row: the amount, `blank`, or what it holds instead.
    fn read(array: impl Array + 'static) -> Vec<String> {
        let array: ArrayRef = Arc::new(array);
        let column = AmountColumn::new(&array).unwrap();
        let shown = |row| match column.get(row) {
            Ok(amount) => {
                assert_eq!(column.is_blank(row), amount.is_none());
                amount.map_or("blank".to_owned(), |amount| amount.to_string())
            }
            Err(NoAmount { text, overflow: true }) => format!("too large: {text}"),
            Err(NoAmount { text, overflow: false }) => format!("no amount: {text}"),
        };
        (0..array.len()).map(shown).collect()
    }

    #[test]
    fn text_holds_an_amount_with_a_point_an_exponent_a_sign_and_blanks_around() {
        let texts =
            ["-35.576771", " 1.5 ", "+2", ".5", "5.", "-0", "1e-3", "-1.5E-10", "0.12345678905", "1e-400", "  "];
        let expected = [
            "-35.5767710000",
            "1.5000000000",
            "2.0000000000",
            "0.5000000000",
            "5.0000000000",
            "0.0000000000",
            "0.0010000000",
            "-0.0000000002",
            "0.1234567891",
            "0.0000000000",
            "blank",
        ];
        assert_eq!(read(StringArray::from(texts.to_vec())), expected);
        assert_eq!(
            read(StringArray::from(vec![None, Some("9999999999999999999999999999")])),
            ["blank", "9999999999999999999999999999.0000000000"]
        );
    }

    #[test]
    fn text_that_is_no_amount_is_repeated_and_none_is_guessed_from_it() {
        for text in [
            "1,234.56",
            "12,5",
            "$5",
            "(5.00)",
            "\u{2212}5",
            "1.2.3",
            "NaN",
            "inf",
            "0x10",
            "1_000",
            "\u{ff15}",
            "1e",
            ".",
        ] {
            assert_eq!(read(StringArray::from(vec![text])), [format!("no amount: {text}")]);
        }
        for text in ["1e400", "-1e28", "10000000000000000000000000000"] {
            assert_eq!(read(StringArray::from(vec![text])), [format!("too large: {text}")]);
        }
        let long = "x".repeat(5_000);
        assert_eq!(read(StringArray::from(vec![&long[..]])), [format!("no amount: {}…", &long[..100])]);
    }

    #[test]
    fn one_amount_reads_alike_in_every_type_that_writers_choose() {
        let expected = ["-35.5767710000", "blank"];
        assert_eq!(read(Float64Array::from(vec![Some(-35.576_771), None])), expected);
        assert_eq!(read(StringArray::from(vec![Some("-3.5576771e1"), Some("")])), expected);
        let narrow = Decimal32Array::from(vec![Some(-35_576_771), None]).with_precision_and_scale(9, 6).unwrap();
        assert_eq!(read(narrow), expected);
        let medium = Decimal64Array::from(vec![Some(-355_767_710_000), None]).with_precision_and_scale(18, 10).unwrap();
        assert_eq!(read(medium), expected);
        let usual = Decimal128Array::from(vec![Some(-3_557_677_100), None]).with_precision_and_scale(38, 8).unwrap();
        assert_eq!(read(usual), expected);
        let wide = Decimal256Array::from(vec![Some(i256::from(-35_576_771_000_000_i64)), None]);
        assert_eq!(read(wide.with_precision_and_scale(76, 12).unwrap()), expected);
        // A float holds seven digits: the shortest decimal that reads back to it, and no more of them.
        assert_eq!(
            read(Float32Array::from(vec![Some(0.1), None, Some(-35.57)])),
            ["0.1000000000", "blank", "-35.5700000000"]
        );
        assert_eq!(read(Int64Array::from(vec![Some(-7), None])), ["-7.0000000000", "blank"]);
        assert_eq!(read(UInt64Array::from(vec![u64::MAX])), ["18446744073709551615.0000000000"]);
    }

    #[test]
    fn decimals_of_more_than_ten_places_are_rounded_half_away_from_zero() {
        let units = [50, 49, -50, -49, 149, 150, 1_000_000_000_050];
        let expected = [
            "0.0000000001",
            "0.0000000000",
            "-0.0000000001",
            "0.0000000000",
            "0.0000000001",
            "0.0000000002",
            "1.0000000001",
        ];
        assert_eq!(read(Decimal128Array::from(units.to_vec()).with_precision_and_scale(38, 12).unwrap()), expected);
        let wide: Decimal256Array = units.iter().map(|units| Some(i256::from_i128(*units))).collect();
        assert_eq!(read(wide.with_precision_and_scale(76, 12).unwrap()), expected);
        // Hundreds.
        assert_eq!(read(Decimal128Array::from(vec![5]).with_precision_and_scale(38, -2).unwrap()), ["500.0000000000"]);
    }

    #[test]
    fn numbers_beyond_money_are_named_as_too_large_and_those_that_are_none_as_no_amount() {
        let doubles = Float64Array::from(vec![1e30, f64::NAN, f64::NEG_INFINITY, f64::MIN_POSITIVE]);
        let expected =
            ["too large: 1000000000000000000000000000000", "no amount: NaN", "no amount: -inf", "0.0000000000"];
        assert_eq!(read(doubles), expected);
        let most = i256::from_i128(i128::MAX);
        let wide = Decimal256Array::from(vec![most]).with_precision_and_scale(76, 0).unwrap();
        assert_eq!(read(wide), [format!("too large: {}", i128::MAX)]);
    }

    #[test]
    fn what_holds_no_amounts_is_named_by_its_type() {
        let refused = |array: ArrayRef| AmountColumn::new(&array).unwrap_err();
        assert_eq!(refused(Arc::new(BooleanArray::from(vec![true]))), "has type Boolean, not an amount");
        let dates: ArrayRef = arrow::array::new_null_array(&DataType::Date32, 1);
        assert_eq!(refused(dates), "has type Date32, not an amount");
        // A month without any value has no type.
        assert_eq!(read(arrow::array::NullArray::new(2)), ["blank", "blank"]);
    }

    #[test]
    fn doubles_that_are_summed_as_whole_numbers_are_the_ones_that_lose_nothing_by_it() {
        let values = vec![Some(12.34), Some(0.1 + 0.2), Some(-0.000_000_000_1), Some(1e14), None, Some(f64::NAN)];
        let array: ArrayRef = Arc::new(Float64Array::from(values));
        let column = AmountColumn::new(&array).unwrap();
        let units: Vec<_> = (0..6).map(|row| column.whole_units(row)).collect();
        assert_eq!(units, [Some(123_400_000_000), None, Some(-1), None, None, None]);
    }

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
