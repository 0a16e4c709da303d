//! The statement of one credit: what a run and the logs say of it, put together for a terminal, a page or a mail.

mod find;
mod findings;
mod history;
mod lots;
mod model;
mod read;

pub use find::{Unfound, find};
pub use model::{CreditStatement, Finding, RecordedLot, Revision, StatementLot, StatementMonth, UsedBy};
pub use read::statement;
