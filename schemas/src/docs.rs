//! The reference page of all tables, from their declarations.

use std::fmt::Write;

use crate::{Place, Table, tables};

const PLACES: [(Place, &str, &str); 3] = [
    (
        Place::Published,
        "Published tables",
        "Parquet (zstd) under `<lake>/published/<table>/`, in folders `billing_period=YYYY-MM` where partitioned; `billing_period` is then a string column.",
    ),
    (Place::Log, "Logs", "Apache Iceberg (format v2), append-only: the current state is the newest row per key."),
    (
        Place::Generation,
        "Generations",
        "Immutable Parquet per billing period under `<lake>/generations/`, kept when the export is pruned.",
    ),
];

/// Markdown: every table that outlives a run, with its grain and columns.
#[must_use]
pub fn reference_page() -> String {
    let mut page = String::from(
        "# Tables\n\n\
         Generated from the declarations in `schemas/src/tables/`; a test keeps it true. Money is `decimal(38,10)`. \
         Cost columns carry their sign (what reduces cost is negative); `amount`, `used`, `expired`, `remaining`, \
         `opening`, `issued` and `aws_applied` are positive, `moved` has either sign.\n",
    );
    for (place, title, note) in PLACES {
        let _ = write!(page, "\n## {title}\n\n{note}\n");
        for table in tables::ALL.iter().filter(|table| table.place == place) {
            table_section(&mut page, table);
        }
    }
    page
}

fn table_section(page: &mut String, table: &Table) {
    let _ = write!(page, "\n### {}\n\n{}\n\nGrain: `{}`.", table.name, table.doc.trim(), table.grain.join("`, `"));
    let partition = if table.partitioned { " Partitioned by `billing_period`." } else { "" };
    let _ = write!(page, "{partition}\n\n| column | type | null | meaning |\n|---|---|---|---|\n");
    for column in table.columns {
        let null = if column.nullable { "yes" } else { "" };
        let _ = writeln!(page, "| {} | {} | {null} | {} |", column.name, column.column_type.sql(), column.doc.trim());
    }
}
