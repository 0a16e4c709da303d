//! Checks of a staged run.

use std::fmt::Write;

use crate::{Place, Table, tables};

/// A query over the `staged_…` tables that returns what is wrong, one row each, as text in its only column `problem`.
///
/// Plain SQL, the same in Athena and in `DuckDB`, so that what is tested is what runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Check {
    /// Its name, which is its file's.
    pub name: &'static str,
    /// The query.
    pub sql: &'static str,
    /// True if it holds only where the cost column is `unblended`: with another one, gross cost is not what is invoiced.
    pub unblended_only: bool,
}

macro_rules! checks {
    ($($name:literal $($unblended_only:ident)?),* $(,)?) => {
        &[$(Check {
            name: $name,
            sql: include_str!(concat!("../../athena/checks/", $name, ".sql")),
            unblended_only: checks!(@flag $($unblended_only)?),
        }),*]
    };
    (@flag) => { false };
    (@flag unblended_only) => { true };
}

/// All checks; those that say most come first.
pub const CHECKS: &[Check] = checks![
    "tie_out",
    "books",
    "invoice" unblended_only,
    "reconciliation",
    "clearing",
    "summary",
    "consumption",
    "eligible",
    "draws",
    "balances",
    "carry_over",
    "moves",
    "used",
    "standing",
    "queue",
    "nodes",
    "unique_rows",
];

/// The text of the check `unique_rows`, which follows from the declared grains.
#[must_use]
pub fn unique_rows() -> String {
    let mut sql = String::from(
        "-- Generated from the grain of the tables; a test keeps it true.\n\
         -- No table holds two rows of one key: nothing was written twice, no old file lies beside a new one.\n",
    );
    let published = tables::ALL.iter().filter(|table| table.place == Place::Published);
    for (number, table) in published.enumerate() {
        let union = if number == 0 { "" } else { "UNION ALL\n" };
        let _ = write!(sql, "{union}{}", duplicates(table));
    }
    sql
}

fn duplicates(table: &Table) -> String {
    format!(
        "SELECT '{name}: ' || CAST(count(*) AS varchar) || ' rows of one key' AS problem\nFROM staged_{name}\n\
         GROUP BY {grain}\nHAVING count(*) > 1\n",
        name = table.name,
        grain = table.grain.join(", "),
    )
}
