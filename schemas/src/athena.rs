//! How Athena and Glue see the tables, the views over them, and the checks that a run must pass before it is published.
//!
//! * Published tables are external Parquet tables. A table's location is the pointer to a run, so the program makes and
//!   moves them itself; [`columns`] and [`projection`] say with what.
//! * [`VIEWS`] are what finance and dashboards ask for: `athena/views/<name>.sql`.
//! * [`CHECKS`] recompute the tie-out and the invariants over the staged run: `athena/checks/<name>.sql`.
//!
//! Committed under `generated/athena` is the DDL of every table, in `../infra/views.yaml` the template of the views;
//! both derive from here, and a test keeps them true.

mod checks;
mod views;

use std::fmt::Write;

use credit_ledger::BillingPeriod;

use crate::{Place, Table, tables};

pub use checks::{CHECKS, Check, unique_rows};
pub use views::{VIEWS, View, ViewColumn, views_template};

/// Hive class that reads Parquet.
pub const SERDE: &str = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe";
/// Hive class that opens Parquet files.
pub const INPUT_FORMAT: &str = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat";
/// Hive class that would write Parquet files.
pub const OUTPUT_FORMAT: &str = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat";

/// A column as Glue and Athena's DDL know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GlueColumn {
    /// Name.
    pub name: &'static str,
    /// Hive type.
    pub sql_type: &'static str,
    /// What it says, at most 255 characters.
    pub doc: &'static str,
}

/// The columns of a table's files, in order.
#[must_use]
pub fn columns(table: &Table) -> Vec<GlueColumn> {
    let glue = |column: &crate::Column| GlueColumn {
        name: column.name,
        sql_type: column.column_type.sql(),
        doc: column.doc.trim(),
    };
    table.columns.iter().map(glue).collect()
}

/// The column that stands in folder names only.
pub const PARTITION_KEY: GlueColumn =
    GlueColumn { name: Table::PARTITION, sql_type: "string", doc: "Billing period, `YYYY-MM`" };

/// The parameters of a partitioned table whose folders lie below `location`, from the first to the last of `months`.
///
/// Partitions are projected, not registered: Athena makes up a folder for every month that is listed, and a month without a
/// folder has no rows. Months are listed one by one, as Trino and what is built on it knows no dates by the month.
#[must_use]
pub fn projection(location: &str, months: (BillingPeriod, BillingPeriod)) -> Vec<(&'static str, String)> {
    let values: Vec<String> = months.0.through(months.1).map(|month| month.to_string()).collect();
    let mut parameters = projected(location);
    parameters.extend([
        ("projection.billing_period.type", "enum".to_owned()),
        ("projection.billing_period.values", values.join(",")),
    ]);
    parameters
}

/// Any month from AWS's first bill into next year: in Athena's words, as others know no months.
fn projection_of_any_month(location: &str) -> Vec<(&'static str, String)> {
    let mut parameters = projected(location);
    parameters.extend([
        ("projection.billing_period.type", "date".to_owned()),
        ("projection.billing_period.format", "yyyy-MM".to_owned()),
        ("projection.billing_period.range", "2006-01,NOW+1YEAR".to_owned()),
        ("projection.billing_period.interval", "1".to_owned()),
        ("projection.billing_period.interval.unit", "MONTHS".to_owned()),
    ]);
    parameters
}

fn projected(location: &str) -> Vec<(&'static str, String)> {
    let folder = location.trim_end_matches('/');
    vec![
        ("projection.enabled", "true".to_owned()),
        ("storage.location.template", format!("{folder}/billing_period=${{billing_period}}")),
    ]
}

/// The statement that makes a table, with a head comment. `None` for tables that Athena never sees.
///
/// Locations are examples, and months reach from AWS's first bill into next year: who runs it by hand puts in their own.
#[must_use]
pub fn create_table(table: &Table) -> Option<String> {
    match table.place {
        Place::Published => Some(create_external_table(table)),
        Place::Log => Some(create_iceberg_table(table)),
        Place::Generation | Place::Intermediate => None,
    }
}

/// The tables that Athena sees.
pub fn athena_tables() -> impl Iterator<Item = Table> {
    tables::ALL.into_iter().filter(|table| create_table(table).is_some())
}

fn create_external_table(table: &Table) -> String {
    let location = format!("s3://DATA_BUCKET/lake/runs/RUN_ID/{}/", table.name);
    let mut ddl = String::from(
        "-- Not needed to deploy: `publish` makes this table and moves it from run to run.\n\
         -- By hand it opens any run that is still kept: put in its bucket and run id.\n",
    );
    let _ = write!(ddl, "CREATE EXTERNAL TABLE IF NOT EXISTS `{}` (\n{}\n)\n", table.name, declared(&columns(table)));
    let _ = writeln!(ddl, "COMMENT {}", literal(table.doc.trim()));
    if table.partitioned {
        let _ = write!(ddl, "PARTITIONED BY (\n{}\n)\n", declared(&[PARTITION_KEY]));
    }
    let _ = writeln!(ddl, "ROW FORMAT SERDE '{SERDE}'");
    let _ = writeln!(ddl, "STORED AS INPUTFORMAT '{INPUT_FORMAT}'\n  OUTPUTFORMAT '{OUTPUT_FORMAT}'");
    let _ = writeln!(ddl, "LOCATION {}", literal(&location));
    let mut parameters = vec![("classification", "parquet".to_owned())];
    if table.partitioned {
        parameters.extend(projection_of_any_month(&location));
    }
    let _ = writeln!(ddl, "{};", properties(&parameters));
    ddl
}

/// As Athena would make it. The program's own logs have columns that must not be null where the declaration says so,
/// which Athena cannot express.
fn create_iceberg_table(table: &Table) -> String {
    let location = format!("s3://DATA_BUCKET/lake/warehouse/finops_credits/{}/", table.name);
    let iceberg = [("table_type", "ICEBERG".to_owned()), ("format", "parquet".to_owned())];
    let mut ddl = String::from(
        "-- Not needed to deploy: the program makes this log in the Glue catalogue when it first runs.\n\
         -- This is the same table in Athena's words, to read or to append to.\n",
    );
    let _ = write!(ddl, "CREATE TABLE IF NOT EXISTS `{}` (\n{}\n)\n", table.name, declared(&columns(table)));
    let _ = write!(ddl, "LOCATION {}\n{};\n", literal(&location), properties(&iceberg));
    ddl
}

fn declared(columns: &[GlueColumn]) -> String {
    let declare =
        |column: &GlueColumn| format!("  `{}` {} COMMENT {}", column.name, column.sql_type, literal(column.doc));
    columns.iter().map(declare).collect::<Vec<_>>().join(",\n")
}

fn properties(parameters: &[(&str, String)]) -> String {
    let declare = |(key, value): &(&str, String)| format!("  {} = {}", literal(key), literal(value));
    format!("TBLPROPERTIES (\n{}\n)", parameters.iter().map(declare).collect::<Vec<_>>().join(",\n"))
}

/// Text as Athena's DDL, which is Hive's, writes it.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Column, ColumnType};

    const COLUMNS: [Column; 2] = [
        Column { name: "credit_key", column_type: ColumnType::Text, nullable: false, doc: " The credit's key, `\\d+`" },
        Column { name: "used", column_type: ColumnType::Money, nullable: true, doc: " Above zero" },
    ];
    const TABLE: Table = Table {
        name: "so_called",
        version: 1,
        doc: " What it's for.",
        grain: &["billing_period", "credit_key"],
        place: Place::Published,
        partitioned: true,
        columns: &COLUMNS,
    };

    #[test]
    fn a_published_table_is_made_with_its_comments_as_hive_reads_them_and_any_month() {
        let ddl = create_table(&TABLE).unwrap();
        let (_, statement) = ddl.split_once("run id.\n").unwrap();
        let expected = r"CREATE EXTERNAL TABLE IF NOT EXISTS `so_called` (
  `credit_key` string COMMENT 'The credit\'s key, `\\d+`',
  `used` decimal(38,10) COMMENT 'Above zero'
)
COMMENT 'What it\'s for.'
PARTITIONED BY (
  `billing_period` string COMMENT 'Billing period, `YYYY-MM`'
)
ROW FORMAT SERDE 'org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe'
STORED AS INPUTFORMAT 'org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat'
  OUTPUTFORMAT 'org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat'
LOCATION 's3://DATA_BUCKET/lake/runs/RUN_ID/so_called/'
TBLPROPERTIES (
  'classification' = 'parquet',
  'projection.enabled' = 'true',
  'storage.location.template' = 's3://DATA_BUCKET/lake/runs/RUN_ID/so_called/billing_period=${billing_period}',
  'projection.billing_period.type' = 'date',
  'projection.billing_period.format' = 'yyyy-MM',
  'projection.billing_period.range' = '2006-01,NOW+1YEAR',
  'projection.billing_period.interval' = '1',
  'projection.billing_period.interval.unit' = 'MONTHS'
);
";
        assert_eq!(statement, expected);
    }

    #[test]
    fn a_log_is_made_as_iceberg_and_a_table_without_months_has_none() {
        let whole = create_table(&Table { partitioned: false, ..TABLE }).unwrap();
        assert!(!whole.contains("PARTITIONED") && !whole.contains("projection"), "{whole}");
        assert!(whole.ends_with("TBLPROPERTIES (\n  'classification' = 'parquet'\n);\n"), "{whole}");
        let log = create_table(&Table { place: Place::Log, partitioned: false, ..TABLE }).unwrap();
        let end = "LOCATION 's3://DATA_BUCKET/lake/warehouse/finops_credits/so_called/'\n\
                   TBLPROPERTIES (\n  'table_type' = 'ICEBERG',\n  'format' = 'parquet'\n);\n";
        assert!(log.ends_with(end), "{log}");
        assert!(log.contains("CREATE TABLE IF NOT EXISTS `so_called` (\n"), "{log}");
    }

    #[test]
    fn one_month_is_projected_as_one_and_a_run_that_ends_before_it_begins_has_none() {
        let values = |first: &str, last: &str| {
            let parameters =
                projection("s3://bucket/runs/r1/net_cost", (first.parse().unwrap(), last.parse().unwrap()));
            let found = parameters.into_iter().find(|(name, _)| *name == "projection.billing_period.values");
            found.unwrap().1
        };
        assert_eq!(values("2026-03", "2026-03"), "2026-03");
        assert_eq!(values("2026-03", "2026-02"), "");
        let of = |location: &str| projection(location, ("2026-01".parse().unwrap(), "2026-01".parse().unwrap()));
        assert_eq!(of("s3://b/net_cost"), of("s3://b/net_cost/"), "with a slash at its end or without");
    }
}
