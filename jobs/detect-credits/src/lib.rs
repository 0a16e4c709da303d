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
//! `cur-reader` says which files count, `line_counts.rs` which billing periods they hold. `plan.rs` is the plan of the scan:
//! its leaf, `cost_scan.rs`, reads parts of files into `lines/` and hands on what they sum up to, what was counted and what
//! is wrong as rows (`scan_rows.rs`). `scan.rs` runs the plan, here or on another engine ([`ScanEngine`]), and takes each
//! period's rows from it: the tally, credit lines, cost lines. [`history`] gathers what the credit lines of all periods say,
//! [`register`] derives the credits. `job.rs` is the job.

mod columns;
mod cost_scan;
mod credit_lines;
mod deliveries;
pub mod description;
mod engine;
mod error;
mod export;
#[cfg(any(fuzzing, test))]
#[doc(hidden)]
pub mod fuzzing;
pub mod history;
mod interner;
mod job;
mod line_counts;
mod lines;
mod listed;
mod plan;
mod progress;
mod reading;
pub mod register;
mod rules;
mod scan;
mod scan_rows;
mod scan_units;
mod stated;
mod tally;

#[cfg(any(feature = "codec", test))]
pub use cost_scan::CostScanCodec;
pub use engine::{Cut, EngineLost, EngineRefused, ScanEngine, ScanProgress};
pub use error::DetectError;
pub use job::{Planned, credit_history, detect_credits, plan_reading, read_period};
pub use listed::{ExportSource, still_there};
pub use progress::Progress;
