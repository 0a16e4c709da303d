//! The tables of finops-credits: what jobs hand each other, what the lake keeps and what is published.
//!
//! One module per table under [`tables`]: a row type whose fields are the columns, with the grain, the place in the
//! lake and a description of every column. Arrow schemas, the reference page `generated/tables.md`, and the reading
//! and writing of rows all derive from that one declaration. [`mod@reference`] holds the shapes of the CSV files that
//! people keep: hierarchy, renames, cost rules, budgets, allocations and access; [`settings`] the part of the settings that
//! jobs share; [`records`] what jobs find beside their tables.
//!
//! Money is `decimal(38,10)`, dates are `date32`, instants are UTC microseconds without a zone. Costs are positive
//! and what reduces cost is negative in cost columns; ledger amounts (`amount`, `used`, `expired`, `remaining`,
//! `aws_applied`) are positive.

pub mod athena;
mod column;
mod decoding;
mod docs;
mod foreign;
mod notes;
mod owners;
pub mod records;
pub mod reference;
mod rows;
pub mod settings;
#[macro_use]
mod table;
pub mod tables;

pub use column::{Column, ColumnType, ColumnValue, coded_text_type, money_type};
pub use decoding::decoding;
pub use docs::reference_page;
pub use foreign::{LONGEST_TEXT, excerpt, misread, too_long};
pub use notes::PeriodNotes;
pub use owners::Owners;
pub use rows::{RowsError, column_values, from_batches, to_batch};
pub use table::{NodeColumns, Place, Table, TableRow};
