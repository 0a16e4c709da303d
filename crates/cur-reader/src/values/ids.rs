//! Ids of accounts and invoices, also where a tool took them for numbers. An account id has 12 digits.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringDictionaryBuilder};
use arrow::datatypes::{DataType, Float64Type, Int32Type};

use super::text::strictly;
use super::{TextColumn, TypeMismatch};
use crate::raw::RawColumn;

/// Digits of an account id of AWS.
const DIGITS: usize = 12;

/// A column of account ids. Whole numbers get their leading zeros back. Numbers with a fraction are refused: they can hold
/// 12 digits, but what made them may have rounded.
pub fn account_ids(column: &RawColumn) -> Result<TextColumn, TypeMismatch> {
    let RawColumn::Array(array) = column else { return column.text() };
    let is_whole = match array.data_type() {
        DataType::Decimal32(_, scale)
        | DataType::Decimal64(_, scale)
        | DataType::Decimal128(_, scale)
        | DataType::Decimal256(_, scale) => *scale == 0,
        of if of.is_floating() => false,
        of if of.is_integer() => true,
        _ => return column.text(),
    };
    if is_whole {
        padded(array)
    } else {
        Err(format!("holds account ids as numbers with a fraction ({}); deliver them as text", array.data_type()))
    }
}

/// A column of invoice ids as text. Whole numbers among floating point ones are written as such.
pub fn invoice_ids(column: &RawColumn) -> Result<TextColumn, TypeMismatch> {
    let RawColumn::Array(array) = column else { return column.text() };
    if !array.data_type().is_floating() {
        return column.text();
    }
    let doubles = strictly(array, &DataType::Float64)?;
    let mut texts = StringDictionaryBuilder::<Int32Type>::new();
    for number in doubles.as_primitive::<Float64Type>() {
        // As text without a fraction or an exponent.
        texts.append_option(number.map(|number| number.to_string()));
    }
    let texts: ArrayRef = Arc::new(texts.finish());
    TextColumn::new(&texts)
}

fn padded(numbers: &ArrayRef) -> Result<TextColumn, TypeMismatch> {
    let texts = strictly(numbers, &DataType::Utf8)?;
    let mut padded = StringDictionaryBuilder::<Int32Type>::new();
    for number in texts.as_string::<i32>() {
        padded.append_option(number.map(|number| format!("{number:0>DIGITS$}")));
    }
    let padded: ArrayRef = Arc::new(padded.finish());
    TextColumn::new(&padded)
}

/// An account id that is text; `None` for what a number with a fraction or an exponent became.
pub fn account_id(text: &str) -> Option<&str> {
    let text = text.trim();
    let is_whole = text.bytes().all(|byte| byte.is_ascii_digit());
    let is_number = text.bytes().any(|byte| byte.is_ascii_digit()) && text.parse::<f64>().is_ok();
    (is_whole || !is_number).then_some(text)
}

/// True for an id that may have lost leading zeros on its way: other than 12 digits are surrogates of some sample, or
/// damaged.
pub fn is_short(text: &str) -> bool {
    text.len() < DIGITS && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use arrow::array::{Decimal128Array, Float64Array, Int64Array, UInt32Array};

    use super::*;

    #[test]
    fn text_is_taken_as_it_stands_unless_a_number_became_text() {
        for (text, expected, short) in [
            ("012345678901", Some("012345678901"), false),
            ("12345678901", Some("12345678901"), true),
            (" 111122223333 ", Some("111122223333"), false),
            ("/subscriptions/5", Some("/subscriptions/5"), false),
            ("infinity", Some("infinity"), false),
            ("1.2345678901E+10", None, false),
            ("12345678901.0", None, false),
        ] {
            assert_eq!(account_id(text), expected, "{text}");
            assert_eq!(account_id(text).is_some_and(is_short), short, "{text}");
        }
    }

    #[test]
    fn whole_numbers_get_their_leading_zeros_back_and_others_are_refused() {
        let of = |array: ArrayRef| account_ids(&RawColumn::Array(array));
        let ids = of(Arc::new(Int64Array::from(vec![Some(12_345_678_901), None]))).unwrap();
        assert_eq!((ids.get(0), ids.get(1)), (Some("012345678901"), None));
        assert_eq!(of(Arc::new(UInt32Array::from(vec![7]))).unwrap().get(0), Some("000000000007"));
        let whole = Decimal128Array::from(vec![111_122_223_333]).with_precision_and_scale(38, 0).unwrap();
        assert_eq!(of(Arc::new(whole)).unwrap().get(0), Some("111122223333"));
        let invoices = invoice_ids(&RawColumn::Array(Arc::new(Float64Array::from(vec![220_260_517.0, 1e15])))).unwrap();
        assert_eq!((invoices.get(0), invoices.get(1)), (Some("220260517"), Some("1000000000000000")));
        let refused = of(Arc::new(Float64Array::from(vec![12_345_678_901.0]))).unwrap_err();
        assert_eq!(refused, "holds account ids as numbers with a fraction (Float64); deliver them as text");
    }
}
