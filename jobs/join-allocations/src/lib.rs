//! **join-allocations**: credits x allocations x hierarchy -> lots; cost lines x rules -> cells.
//!
//! * reads: `credit_register`, `allocations_log`, `hierarchy.csv`, `renames.csv`, `cost_rules.csv`, generations `cost_lines`
//! * writes: `allocated_credits` and `lots` (grain credit, lot), `allocation_issues`, `hierarchy`, `cells` per billing
//!   period (grain day, payer, account, service, currency, node), `rule_spend` per billing period and `rules_read`
//! * invariants: the cells of a period sum to its cost lines, measure by measure; every registered credit is either
//!   allocated or waiting with a reason
//! * a re-run finds the same: the log is read at one snapshot
//!
//! [`lots`] reads the log, [`record`] checks what people record before it gets there, [`cells`] maps spend to nodes as [`plan`]
//! says, [`check`] looks at the reference files beside the export, `job.rs` is the job.

pub mod cells;
pub mod check;
mod check_names;
mod check_rules;
mod error;
pub mod finding;
#[cfg(test)]
mod fixtures;
mod job;
pub mod lots;
pub mod plan;
pub mod record;
mod recording;
mod removed_nodes;
pub mod renamed;
mod rule_spend;
mod share_of;
mod unchanged;

pub use error::{JoinError, RemovedNode};
pub use job::{import_initial_allocations, join_allocations, taken_over};
pub use unchanged::not_recorded;
