//! Columns and the Rust types of their values.

use arrow::datatypes::{DataType, Field, TimeUnit};
use chrono::{NaiveDate, NaiveDateTime};
use credit_ledger::{BillingPeriod, Money};

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
pub trait ColumnValue {
    /// The column's type.
    const TYPE: ColumnType;
    /// True for `Option`.
    const NULLABLE: bool = false;
}

macro_rules! column_value {
    ($($rust:ty => $column:ident),* $(,)?) => {
        $(impl ColumnValue for $rust {
            const TYPE: ColumnType = ColumnType::$column;
        })*
    };
}

column_value! {
    String => Text,
    BillingPeriod => Text,
    NaiveDate => Date,
    NaiveDateTime => Instant,
    Money => Money,
    i32 => Int,
    i64 => Long,
}

impl<T: ColumnValue> ColumnValue for Option<T> {
    const TYPE: ColumnType = T::TYPE;
    const NULLABLE: bool = true;
}
