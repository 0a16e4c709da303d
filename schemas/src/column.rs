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
