//! **join-allocations**: credits x allocations x hierarchy -> lots; cost lines x rules -> cells.
//!
//! * reads: `credit_register`, `allocations_log`, `hierarchy.csv`, `cost_rules.csv`, generations `cost_lines`
//! * writes, for the later jobs: `allocated_credits` and `lots` (grain credit, lot), `allocation_issues`, `cells` per
//!   billing period (grain day, payer, account, service, currency, node)
//! * invariants: the cells of a period sum to its cost lines, measure by measure; every registered credit is either
//!   allocated or waiting with a reason
//! * a re-run finds the same: the log is read at one snapshot
//!
//! [`join`] reads the log, [`entry`] checks what people record before it gets there, [`cells`] maps spend to nodes.

pub mod cells;
pub mod entry;
pub mod join;
