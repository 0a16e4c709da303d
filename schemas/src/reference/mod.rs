//! The CSV files people keep: `hierarchy.csv`, `renames.csv`, `cost_rules.csv`, `budgets.csv`, `allocations.csv`, `access.csv`.
//!
//! Every file has a header, is UTF-8, and is read whole or not at all: all bad rows are reported at once, each with
//! file, row and column. Rows are counted as a spreadsheet shows them: the header is row 1. What spreadsheets leave behind
//! is read over: semicolons or tabs between columns, empty rows at the end, columns without a name and a value. A `'` that
//! guards a text from being taken for a formula ([`guarded`]) is no part of it.

mod access;
mod account_ids;
mod allocations;
mod budgets;
mod cost_rules;
mod csv_file;
mod formula_guard;
mod hierarchy;
mod renames;

pub use access::{AccessList, NodePattern, parse_access};
pub use allocations::{Action, AllocationRow, CreditName, EnteredAllocations, parse_allocations, read_allocations};
pub use budgets::{Budget, parse_budgets};
pub use cost_rules::{CostRule, CostRules, KeyedCondition, RuleConditions, parse_cost_rules};
pub use csv_file::{Problem, Problems, foreign_separator};
pub use formula_guard::guarded;
pub use hierarchy::{Hierarchy, Owner, nearest, parse_hierarchy};
pub use renames::{Renames, parse_renames};

#[cfg(test)]
mod tests;
