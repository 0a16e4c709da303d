//! What changed from one run to another: net cost by month and business unit, and credits, each with the reason as far as
//! the tables say it. A value that a terminal, an e-mail or a page can show.
//!
//! * [`changes_between`] reads two kept runs; months whose tables are the same files are not read
//! * rows sum up: over the business units of a month and currency, a figure's changes are the difference of the two
//!   published tables

mod costs;
mod credits;
mod model;
mod read;
mod reasons;
mod tables;

pub use costs::month_changes;
pub use credits::CreditFold;
pub use model::{
    AmountChange, BudgetChange, Changes, CountChange, CreditChange, CreditEvent, CreditFigures, CreditMonth, LotChange,
    LotTerms, MonthChange, Reason, Recorded, RunInBrief, UnitChange,
};
pub use read::changes_between;
pub use reasons::Evidence;
pub use tables::{Credits, MonthTables};

#[cfg(test)]
mod tests;
