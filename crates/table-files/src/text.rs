//! Values as text.

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};

/// The value as text, nulls empty: dates and instants in ISO 8601, money with ten decimals.
///
/// # Errors
/// [`ArrowError`] for a type that has no text.
pub fn exact(column: &ArrayRef, row: usize) -> Result<String, ArrowError> {
    let options = FormatOptions::default().with_null("");
    let formatter = ArrayFormatter::try_new(column, &options)?;
    formatter.value(row).try_to_string()
}

/// True where a value can be any text: numbers, dates and instants are none, whatever they begin with.
#[must_use]
pub fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => is_text(values),
        DataType::RunEndEncoded(_, values) => is_text(values.data_type()),
        other => other.is_string(),
    }
}
