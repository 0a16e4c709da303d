//! Columns and the Rust types of their values.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Date32Array, Decimal128Array, Int32Array, Int64Array, StringArray,
    TimestampMicrosecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type, Decimal128Type, Field, Int32Type, TimeUnit};
use chrono::{DateTime, NaiveDate, NaiveDateTime};
use credit_ledger::{BillingPeriod, Money, Text};

/// One column of a table.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Name in every format and engine.
    pub name: &'static str,
    /// Type of its values.
    pub column_type: ColumnType,
    /// True if a value may be missing.
    pub nullable: bool,
    /// What it says, with unit and sign where they are not plain from the name.
    pub doc: &'static str,
}

/// The few types that tables use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// UTF-8 text; ids are text too.
    Text,
    /// A UTC day.
    Date,
    /// A UTC instant in microseconds, without a zone.
    Instant,
    /// An amount: `decimal(38,10)`.
    Money,
    /// A 32-bit count or number.
    Int,
    /// A 64-bit count.
    Long,
}

/// `decimal(38,10)`.
#[must_use]
pub const fn money_type() -> DataType {
    DataType::Decimal128(Money::PRECISION, Money::SCALE)
}

/// Text as numbers of dictionary entries.
#[must_use]
pub fn coded_text_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

impl ColumnType {
    /// The Arrow type.
    #[must_use]
    pub const fn arrow(self) -> DataType {
        match self {
            Self::Text => DataType::Utf8,
            Self::Date => DataType::Date32,
            Self::Instant => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::Money => money_type(),
            Self::Int => DataType::Int32,
            Self::Long => DataType::Int64,
        }
    }

    /// As documentation and SQL spell it.
    #[must_use]
    pub const fn sql(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Date => "date",
            Self::Instant => "timestamp",
            Self::Money => "decimal(38,10)",
            Self::Int => "int",
            Self::Long => "bigint",
        }
    }
}

impl Column {
    /// The Arrow field.
    #[must_use]
    pub fn field(&self) -> Field {
        Field::new(self.name, self.column_type.arrow(), self.nullable)
    }
}

/// A Rust type that a column can hold.
pub trait ColumnValue: Sized {
    /// The column's type.
    const TYPE: ColumnType;
    /// True for `Option`.
    const NULLABLE: bool;

    /// Values as an Arrow column.
    fn to_array<'a>(values: impl Iterator<Item = &'a Self>) -> ArrayRef
    where
        Self: 'a;

    /// The values of an Arrow column.
    ///
    /// # Errors
    /// What is wrong with it: another type, a null where no value may be missing, a value out of range.
    fn from_array(array: &ArrayRef) -> Result<Vec<Self>, String>;
}

/// How values of one type lie in Arrow.
trait Stored: Sized {
    const TYPE: ColumnType;
    type Array: Array + 'static;

    fn store<'a>(values: impl Iterator<Item = Option<&'a Self>>) -> ArrayRef
    where
        Self: 'a;

    /// The value of a row that is not null; `None` where it is out of range.
    fn load(array: &Self::Array, row: usize) -> Option<Self>;
}

/// The column in the declared type: text may be coded otherwise.
fn declared<T: Stored>(array: &ArrayRef) -> Result<ArrayRef, String> {
    let (found, declared) = (array.data_type(), T::TYPE.arrow());
    if *found == declared {
        return Ok(Arc::clone(array));
    }
    let is_text = match found {
        DataType::Dictionary(_, entries) => entries.is_string(),
        other => other.is_string(),
    };
    if !is_text || declared != DataType::Utf8 {
        return Err(format!("has type {found}, not {declared}"));
    }
    cast(array, &declared).map_err(|error| error.to_string())
}

/// The values of a column, each as `of` takes what may be null.
fn load_all<T: Stored + Clone, V>(array: &ArrayRef, of: fn(Option<T>) -> Result<V, String>) -> Result<Vec<V>, String> {
    // An entry of a dictionary is loaded once for all its rows; where one does not fit, the row is found below.
    if let Some(coded) = array.as_dictionary_opt::<Int32Type>()
        && let Ok(entries) = load_all::<T, Option<T>>(coded.values(), Ok)
    {
        let entry = |code: i32| entries.get(usize::try_from(code).ok()?).cloned().flatten();
        let mut values = Vec::with_capacity(coded.len());
        for code in coded.keys() {
            values.push(of(code.and_then(entry))?);
        }
        return Ok(values);
    }
    let array = declared::<T>(array)?;
    let Some(typed) = array.as_any().downcast_ref::<T::Array>() else {
        return Err(format!("has type {}, not {}", array.data_type(), T::TYPE.arrow()));
    };
    let mut values = Vec::with_capacity(typed.len());
    for row in 0..typed.len() {
        let value = match typed.is_null(row) {
            true => None,
            false => Some(T::load(typed, row).ok_or_else(|| format!("has a value out of range in row {}", row + 1))?),
        };
        values.push(of(value)?);
    }
    Ok(values)
}

impl<T: Stored + Clone> ColumnValue for Option<T> {
    const TYPE: ColumnType = T::TYPE;
    const NULLABLE: bool = true;

    fn to_array<'a>(values: impl Iterator<Item = &'a Self>) -> ArrayRef
    where
        Self: 'a,
    {
        T::store(values.map(Option::as_ref))
    }

    fn from_array(array: &ArrayRef) -> Result<Vec<Self>, String> {
        load_all(array, Ok)
    }
}

/// Types that stand for a value in a column, and how.
macro_rules! stored {
    ($($rust:ty => $column:ident as $array:ty, $value:expr, $load:expr;)*) => {
        $(
            impl Stored for $rust {
                const TYPE: ColumnType = ColumnType::$column;
                type Array = $array;

                fn store<'a>(values: impl Iterator<Item = Option<&'a Self>>) -> ArrayRef
                where
                    Self: 'a,
                {
                    let stored: $array = values.map(|value: Option<&'a Self>| value.map($value)).collect();
                    in_declared_type(stored)
                }

                fn load(array: &Self::Array, row: usize) -> Option<Self> {
                    $load(array.value(row))
                }
            }

            impl ColumnValue for $rust {
                const TYPE: ColumnType = ColumnType::$column;
                const NULLABLE: bool = false;

                fn to_array<'a>(values: impl Iterator<Item = &'a Self>) -> ArrayRef
                where
                    Self: 'a,
                {
                    Self::store(values.map(Some))
                }

                fn from_array(array: &ArrayRef) -> Result<Vec<Self>, String> {
                    load_all(array, |value: Option<Self>| value.ok_or_else(|| "has a row without a value".to_owned()))
                }
            }
        )*
    };
}

/// Money as the declared decimal; other columns are as they should be.
fn in_declared_type(array: impl Array + 'static) -> ArrayRef {
    let array: ArrayRef = Arc::new(array);
    match array.as_primitive_opt::<Decimal128Type>().cloned() {
        Some(amounts) => Arc::new(amounts.with_data_type(money_type())),
        None => array,
    }
}

stored! {
    Text => Text as StringArray, Text::as_str, |text: &str| Some(Text::new(text));
    BillingPeriod => Text as StringArray, BillingPeriod::to_string, |text: &str| text.parse().ok();
    NaiveDate => Date as Date32Array, |day| Date32Type::from_naive_date(*day), Date32Type::to_naive_date_opt;
    NaiveDateTime => Instant as TimestampMicrosecondArray,
        |instant| instant.and_utc().timestamp_micros(),
        |micros| DateTime::from_timestamp_micros(micros).map(|instant| instant.naive_utc());
    Money => Money as Decimal128Array, |amount| amount.units(), |units| Money::from_units(units).ok();
    i32 => Int as Int32Array, |number| *number, Some;
    i64 => Long as Int64Array, |number| *number, Some;
}

#[cfg(test)]
mod tests {
    use arrow::array::{DictionaryArray, Float64Array, LargeStringArray, StringViewArray, UInt32Array};
    use arrow::datatypes::Int8Type;

    use super::*;

    fn array(array: impl Array + 'static) -> ArrayRef {
        Arc::new(array)
    }

    fn refused<V: ColumnValue>(stored: impl Array + 'static) -> String {
        V::from_array(&array(stored)).err().unwrap()
    }

    #[test]
    fn text_is_the_same_however_a_writer_has_stored_it() {
        let texts = [Some("Zürich"), None, Some(""), Some("Zürich")];
        let expected = texts.map(|text| text.map(Text::new));
        for stored in [
            array(StringArray::from(texts.to_vec())),
            array(LargeStringArray::from(texts.to_vec())),
            array(StringViewArray::from(texts.to_vec())),
            array(texts.into_iter().collect::<DictionaryArray<Int32Type>>()),
            array(texts.into_iter().collect::<DictionaryArray<Int8Type>>()),
        ] {
            let read = Option::<Text>::from_array(&stored).unwrap();
            assert_eq!(read, expected, "{}", stored.data_type());
            let refused = Text::from_array(&stored).unwrap_err();
            assert_eq!(refused, "has a row without a value", "{}", stored.data_type());
        }
    }

    #[test]
    fn a_value_that_is_none_is_told_with_its_row_and_one_that_no_row_has_is_no_matter() {
        let months = [Some("2026-01"), Some("2026-13"), Some("2026-02")];
        let told = "has a value out of range in row 2";
        assert_eq!(refused::<BillingPeriod>(StringArray::from(months.to_vec())), told);
        assert_eq!(refused::<BillingPeriod>(months.into_iter().collect::<DictionaryArray<Int32Type>>()), told);
        let coded: DictionaryArray<Int32Type> = [months[1], months[0], months[2]].into_iter().collect();
        let read = BillingPeriod::from_array(&array(coded.slice(1, 2))).unwrap();
        assert_eq!(read.iter().map(ToString::to_string).collect::<Vec<_>>(), ["2026-01", "2026-02"]);
        let amounts = Decimal128Array::from(vec![1, i128::MAX]).with_data_type(money_type());
        assert_eq!(refused::<Money>(amounts), told, "39 digits");
        assert_eq!(refused::<NaiveDate>(Date32Array::from(vec![0, i32::MAX])), told);
        assert_eq!(refused::<NaiveDateTime>(TimestampMicrosecondArray::from(vec![0, i64::MAX])), told);
    }

    #[test]
    fn amounts_days_and_counts_are_read_from_their_own_types_only() {
        let of_scale =
            |precision, scale| Decimal128Array::from(vec![15]).with_data_type(DataType::Decimal128(precision, scale));
        assert_eq!(Money::from_array(&array(of_scale(38, 10))), Ok(vec![Money::from_units(15).unwrap()]));
        assert_eq!(refused::<Money>(of_scale(38, 9)), "has type Decimal128(38, 9), not Decimal128(38, 10)");
        assert_eq!(refused::<Money>(of_scale(20, 10)), "has type Decimal128(20, 10), not Decimal128(38, 10)");
        let told = refused::<Money>(Float64Array::from(vec![0.1]));
        assert_eq!(told, "has type Float64, not Decimal128(38, 10)", "no float becomes money here");
        assert_eq!(refused::<NaiveDate>(StringArray::from(vec!["2026-01-01"])), "has type Utf8, not Date32");
        assert_eq!(refused::<i64>(Int32Array::from(vec![1])), "has type Int32, not Int64");
        assert_eq!(refused::<Option<Text>>(UInt32Array::from(vec![1])), "has type UInt32, not Utf8");
    }

    #[test]
    fn values_of_every_kind_come_back_as_they_were_nulls_too() {
        fn comes_back<V: ColumnValue + Clone + PartialEq + std::fmt::Debug>(values: &[V]) {
            let stored = V::to_array(values.iter());
            assert_eq!(*stored.data_type(), V::TYPE.arrow());
            assert_eq!(V::from_array(&stored).unwrap(), values);
            assert_eq!(V::to_array([].iter()).data_type(), stored.data_type(), "without a row, too");
        }
        let date = |text: &str| text.parse::<NaiveDate>().unwrap();
        comes_back(&[date("1969-12-31"), date("2026-02-28"), date("9999-12-31")]);
        comes_back(&[None, Some(date("2100-12-31"))]);
        let instant = |text: &str| text.parse::<NaiveDateTime>().unwrap();
        comes_back(&[instant("1969-12-31T23:59:59.999999"), instant("2026-03-05T09:00:00.000001")]);
        let most: Money = "9999999999999999999999999999.9999999999".parse().unwrap();
        comes_back(&[Some(most), None, Some(most.negated()), Some(Money::ZERO)]);
        comes_back(&["2006-01".parse::<BillingPeriod>().unwrap(), "2100-12".parse().unwrap()]);
        comes_back(&[i32::MIN, 0, i32::MAX]);
        comes_back(&[Some(i64::MIN), None, Some(i64::MAX)]);
        comes_back(&[Some(Text::new("é\n\0")), None, Some(Text::default())]);
    }
}
