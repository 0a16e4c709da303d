//! **detect-credits**: billing export -> credit lines and cost lines, and the register of credits.
//!
//! * reads: the export (CUR 2.0, CUR 1.0, FOCUS 1.0/1.2; Parquet, CSV, plain or packed), the conditions of the cost rules
//! * writes: generations `cost_lines` and `credit_lines` per billing period; `credits_log`; for the later jobs
//!   `credit_register`, `applied_by_aws`, `export_totals`
//! * grain: `cost_lines` day, payer, account, service, currency, rule; `credit_lines` credit, day, payer, account,
//!   service, description
//! * invariants: every line goes to exactly one measure; lines read = lines counted apart; no file changes meanwhile
//! * a re-run reads a period again only where its files or what the scan depends on changed, and finds the same
//!
//! `cur-reader` says which files count; [`line_counts`] which billing periods they hold, [`scan`] reads their parts into
//! [`lines`], summed as they are read, and sums those of all parts; one pass splits the ordered sums into cost lines and credit
//! lines; [`history`] gathers what the credit lines of all periods say, [`register`] derives the credits. `job.rs` is the job.

mod columns;
pub mod description;
mod error;
mod export;
#[cfg(any(fuzzing, test))]
#[doc(hidden)]
pub mod fuzzing;
pub mod history;
mod interner;
mod job;
pub mod line_counts;
pub mod lines;
mod listed;
mod plan;
mod reading;
pub mod register;
mod rules;
pub mod scan;
mod scan_units;
mod split_by_period;

pub use error::DetectError;
pub use job::{credit_history, detect_credits, plan_reading, read_period};
pub use listed::{ExportSource, still_there};
pub use rules::RuleMatcher;
