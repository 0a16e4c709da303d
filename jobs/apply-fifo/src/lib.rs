//! **apply-fifo**: lots + cells -> consumption and balances, period by period.
//!
//! * reads, from this run: `lots`, `cells`, `applied_by_aws`
//! * writes: `credit_consumption` (grain lot, cell) and `credit_balances` (grain lot, month)
//! * invariants, checked on every posting: lots balance, no cell is overdrawn, nothing is drawn outside window, node
//!   or currency, and no lot draws while an earlier one that may draw on the cell has something left
//! * a re-run finds the same: lots and cells are sorted by total orders
//!
//! The fold itself is [`credit_ledger::Ledger`]; `book.rs` turns tables into lots and cells and postings into tables, and
//! `job.rs` goes through the months. In memory are the lots and, of one period, the cells that they may draw on; draws go
//! through a temporary file. `preview.rs` says what other lots would change, [`statement`] what a run made of one credit, and
//! [`unused`] why something of it was left.

mod book;
mod consumption;
mod draws;
mod error;
#[cfg(test)]
mod fixtures;
mod job;
mod preview;
mod spend;
pub mod statement;
pub mod unused;

pub use book::{AppliedPeriod, CreditBook};
pub use consumption::Consumption;
pub use draws::DRAWS_IN_MEMORY;
pub use error::FifoError;
pub use job::apply_fifo;
pub use preview::{CreditChange, LotOutcome, MonthChange, Preview, PreviewSpend, preview};
pub use spend::{PeriodSpend, SpendReader};
