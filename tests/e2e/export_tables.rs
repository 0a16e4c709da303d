//! `export`: tables and views as files that other programs read.

use std::fs;

use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::support::compare::csv_rows;
use crate::support::{SAMPLE_AS_OF, Workspace, published_sample};

/// Exports to a path in the workspace, and returns what was said.
fn export(sample: &Workspace, to: &str, arguments: &[&str]) -> String {
    let out = sample.path(to);
    let out = out.to_str().expect("UTF-8");
    let said = sample.try_run(SAMPLE_AS_OF, &[&["export", "--out", out], arguments].concat());
    said.unwrap_or_else(|problem| panic!("{problem}")).replace(out, "<out>")
}

fn text(sample: &Workspace, path: &str) -> String {
    fs::read_to_string(sample.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn refuses(sample: &Workspace, to: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let out = sample.path(to);
    let outcome = sample.run(SAMPLE_AS_OF, &[&["export", "--out", out.to_str().expect("UTF-8")], arguments].concat());
    assert_eq!(outcome.stdout, "");
    (outcome.exit_code, outcome.stderr.trim_end().replace(out.to_str().expect("UTF-8"), "<out>"))
}

#[test]
fn csv_has_the_rows_of_the_periods_and_the_node() {
    let sample = &published_sample();
    let said = export(sample, "q3.csv", &["net_cost_summary", "--period", "2026-Q3", "--node", "Retail/Online"]);
    let rows = csv_rows(&text(sample, "q3.csv"));
    assert_eq!(said, format!("Exported net_cost_summary to <out>: {} rows\n", rows.len()));
    let sql = "SELECT * FROM net_cost_summary WHERE billing_period BETWEEN '2026-07' AND '2026-09' AND business_unit = 'Retail' \
               AND department = 'Online'";
    let mut expected = sample.query(SAMPLE_AS_OF, sql).expect("rows");
    let mut found = rows.clone();
    expected.sort_by_key(|row| format!("{row:?}"));
    found.sort_by_key(|row| format!("{row:?}"));
    assert_eq!(found, expected);
    assert!(rows.len() > 10, "{}", rows.len());
    let periods: Vec<&String> = rows.iter().map(|row| &row["billing_period"]).collect();
    assert!(periods.is_sorted(), "{periods:?}");
    for (period, months) in [("2026", 6), ("2026-09", 1), ("2026-05..2026-06", 2)] {
        export(sample, "months.csv", &["reconciliation", "--period", period]);
        assert_eq!(csv_rows(&text(sample, "months.csv")).len(), months, "{period}");
    }
}

#[test]
fn several_tables_are_files_of_a_folder() {
    let sample = &published_sample();
    let said = export(sample, "folder/", &["credits", "hierarchy_view", "allocations_log", "credits"]);
    assert_eq!(said.lines().count(), 3, "{said}");
    let names: Vec<String> = fs::read_dir(sample.path("folder"))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect();
    assert_eq!(names.len(), 3, "{names:?}");
    let credits = sample.query(SAMPLE_AS_OF, "SELECT * FROM credits ORDER BY credit_key").expect("rows");
    assert_eq!(csv_rows(&text(sample, "folder/credits.csv")), credits);
}

#[test]
fn parquet_keeps_types_and_rows() {
    let sample = &published_sample();
    export(sample, "daily.parquet", &["net_cost"]);
    let bytes = Bytes::from(fs::read(sample.path("daily.parquet")).expect("a file"));
    let file = ParquetRecordBatchReaderBuilder::try_new(bytes).expect("a Parquet file");
    let fields = file.schema().fields().iter().map(|field| format!("{} {}", field.name(), field.data_type()));
    let fields: Vec<String> = fields.collect();
    assert_eq!(fields[..2], ["billing_period Utf8", "usage_date Date32"]);
    assert!(fields.contains(&"net_cost Decimal128(38, 10)".to_owned()), "{fields:?}");
    let rows = file.metadata().file_metadata().num_rows().to_string();
    assert_eq!(sample.query(SAMPLE_AS_OF, "SELECT count(*) AS n FROM net_cost").expect("a count")[0]["n"], rows);
}

#[test]
fn what_cannot_be_exported_is_said_and_nothing_is_written() {
    let sample = &published_sample();
    let (code, message) = refuses(sample, "x.csv", &["credit"]);
    assert_eq!(code, Some(3));
    assert!(message.starts_with("error: there is no table or view \"credit\"; there are net_cost, "), "{message}");
    let told = |to: &str, arguments: &[&str], code: i32, expected: &str| {
        assert_eq!(refuses(sample, to, arguments), (Some(code), format!("error: {expected}")), "{arguments:?}");
    };
    told(
        "x.csv",
        &["credits", "--period", "2026"],
        3,
        "credits has no billing periods to choose from; take it without a period",
    );
    told("x.csv", &["credits", "--node", "Retail"], 3, "credits is not by node; take it without a node");
    told("x.txt", &["credits"], 2, "export: .txt is no kind of file; name one that ends in .csv, .xlsx or .parquet");
    let one = "export: such a file holds one table; name one that ends in .xlsx, for a sheet each, or a folder, for a CSV file \
               each";
    told("x.csv", &["credits", "net_cost"], 2, one);
    told("x.parquet", &["credits", "net_cost"], 2, one);
    fs::create_dir_all(sample.path("folder.csv")).expect("a folder");
    told("folder.csv", &["credits"], 3, "export: <out> is a folder");
    told("credits.toml/x/", &["credits"], 3, "export: <out> is or lies below a file");
    told("none/x.csv", &["credits"], 3, "export: the folder of <out> does not exist");
    let (code, message) = refuses(sample, "x.csv", &["net_cost", "--period", "2026-13"]);
    assert_eq!(code, Some(2));
    assert!(
        message.contains("\"2026-13\" names no billing periods (2026-09, 2026-Q3, 2026, 2026-05..2026-09)"),
        "{message}"
    );
    for name in ["x.csv", "x.csv.part", "x.txt", "x.parquet"] {
        assert!(!sample.path(name).exists(), "{name}");
    }
}

#[test]
fn answer_for_programs_names_files_and_rows() {
    let sample = &published_sample();
    let out = sample.path("json.csv");
    let said = sample
        .try_run(SAMPLE_AS_OF, &["--format", "json", "export", "hierarchy", "--out", out.to_str().expect("UTF-8")]);
    let said: serde_json::Value = serde_json::from_str(&said.expect("an answer")).expect("JSON");
    let rows = csv_rows(&text(sample, "json.csv")).len();
    let file = out.to_str().expect("UTF-8");
    assert_eq!(said, serde_json::json!({ "exported": [{ "table": "hierarchy", "file": file, "rows": rows }] }));
}
