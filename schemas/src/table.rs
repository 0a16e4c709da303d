//! Table declarations.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{Schema, SchemaRef};
use credit_ledger::{Node, NodeError};

use crate::Column;

/// Where a table lives and who may read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// An append-only Iceberg log: state.
    Log,
    /// Immutable Parquet per billing period, replaced as a whole by a pointer switch: state.
    Generation,
    /// What jobs of one run hand each other; gone after the run.
    Intermediate,
    /// Published Parquet, for everybody.
    Published,
}

/// A table of the public contract or between jobs.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// Raised when the same inputs make other rows than before: digests of what a table is made from cover it, so no table
    /// of an older version of the program is reused.
    pub version: u32,
    /// What it says.
    pub doc: &'static str,
    /// The columns that identify a row, `billing_period` first where the table is partitioned.
    pub grain: &'static [&'static str],
    /// Where it lives.
    pub place: Place,
    /// True if split by `billing_period`, a string column that stands in the folder name only.
    pub partitioned: bool,
    /// The columns in order, without the partition's.
    pub columns: &'static [Column],
}

/// Columns that files of an older version of the program lack, by table: they are zero there.
const LATER: [(&str, &str); 1] = [("credit_balances", "moved")];

/// A row type that declares a table.
pub trait TableRow: Sized {
    /// The table.
    const TABLE: Table;

    /// Rows as Arrow columns, in the table's order.
    fn to_columns(rows: &[Self]) -> Vec<ArrayRef>;

    /// The rows of Arrow columns, all of one length, found by name.
    ///
    /// # Errors
    /// The first column that does not fit, and why.
    fn from_columns<'a>(column: impl Fn(&str) -> Option<&'a ArrayRef>) -> Result<Vec<Self>, (&'static str, String)>;
}

impl Table {
    /// Name of the partition column.
    pub const PARTITION: &'static str = "billing_period";

    /// The Arrow schema of its files.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(self.columns.iter().map(Column::field).collect::<Vec<_>>()))
    }

    /// As [`schema`](Self::schema), for files of any version of the program: [later columns](Self::later_columns) may be
    /// missing.
    #[must_use]
    pub fn schema_of_files(&self) -> SchemaRef {
        let is_later = |name: &str| self.later_columns().any(|later| later == name);
        let field = |column: &Column| column.field().with_nullable(column.nullable || is_later(column.name));
        Arc::new(Schema::new(self.columns.iter().map(field).collect::<Vec<_>>()))
    }

    /// The grain within a file: without the partition, which the folder's name says.
    #[must_use]
    pub fn keys(&self) -> &'static [&'static str] {
        if self.partitioned { self.grain.get(1..).unwrap_or_default() } else { self.grain }
    }

    /// The column that identifies a row of a file by itself.
    #[must_use]
    pub fn sole_key(&self) -> Option<&'static str> {
        match self.keys() {
            [key] => Some(key),
            _ => None,
        }
    }

    /// Amounts that files of an older version of the program lack: they are zero there.
    pub fn later_columns(&self) -> impl Iterator<Item = &'static str> {
        LATER.into_iter().filter(|(table, _)| *table == self.name).map(|(_, column)| column)
    }

    /// The names of its columns in order.
    pub fn column_names(&self) -> impl Iterator<Item = &'static str> {
        self.columns.iter().map(|column| column.name)
    }
}

/// Declares a table and its row type; see any module of `tables`.
macro_rules! table {
    (
        $(#[doc = $doc:literal])*
        $place:ident $name:literal version $version:literal by [$($grain:literal),+ $(,)?] $($partitioned:ident)?;
        pub struct $row:ident {
            $($(#[doc = $column_doc:literal])* $column:ident: $type:ty,)*
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
        pub struct $row {
            $($(#[doc = $column_doc])* pub $column: $type,)*
        }

        impl $crate::TableRow for $row {
            const TABLE: $crate::Table = $crate::Table {
                name: $name,
                version: $version,
                doc: concat!($($doc),*),
                grain: &[$($grain),+],
                place: $crate::Place::$place,
                partitioned: table!(@partitioned $($partitioned)?),
                columns: &[$($crate::Column {
                    name: stringify!($column),
                    column_type: <$type as $crate::ColumnValue>::TYPE,
                    nullable: <$type as $crate::ColumnValue>::NULLABLE,
                    doc: concat!($($column_doc),*),
                },)*],
            };

            fn to_columns(rows: &[Self]) -> Vec<arrow::array::ArrayRef> {
                vec![$(<$type as $crate::ColumnValue>::to_array(rows.iter().map(|row| &row.$column)),)*]
            }

            fn from_columns<'a>(
                column: impl Fn(&str) -> Option<&'a arrow::array::ArrayRef>,
            ) -> Result<Vec<Self>, (&'static str, String)> {
                $(
                    let values = match column(stringify!($column)) {
                        Some(array) => <$type as $crate::ColumnValue>::from_array(array),
                        None => Err("is missing".to_owned()),
                    };
                    let mut $column = values.map_err(|problem| (stringify!($column), problem))?.into_iter();
                )*
                let length = [$($column.len()),*].into_iter().min().unwrap_or(0);
                let mut rows = Vec::with_capacity(length);
                rows.extend(std::iter::from_fn(|| Some(Self { $($column: $column.next()?,)* })));
                Ok(rows)
            }
        }
    };
    (@partitioned) => { false };
    (@partitioned partitioned) => { true };
}

/// Rows with the four nullable node columns.
pub trait NodeColumns {
    /// The node; an error names a gap between levels.
    ///
    /// # Errors
    /// [`NodeError`] where the columns are no node.
    fn node(&self) -> Result<Node, NodeError>;
}

macro_rules! node_columns {
    ($($row:ty),* $(,)?) => {
        $(impl $crate::NodeColumns for $row {
            fn node(&self) -> Result<credit_ledger::Node, credit_ledger::NodeError> {
                let levels = [&self.business_unit, &self.department, &self.portfolio, &self.product];
                credit_ledger::Node::from_levels(levels.map(Option::as_deref))
            }
        })*
    };
}
