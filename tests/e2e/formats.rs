//! One little organisation in every format of export: the same rows of `net_cost` come out.

pub(crate) mod incremental;
mod layouts;
mod pages;
pub(crate) mod parquet_file;
mod shapes;

use std::collections::BTreeSet;
use std::path::Path;

use crate::support::Workspace;
use crate::support::compare::{Row, csv_rows, differences, table};
use crate::vectors::read;

/// After the end of May 2026, the month of the fixtures.
const AS_OF: &str = "2026-06-10";
/// Sum of the lines, each rounded to ten decimals.
const EXPORT_TOTAL: &str = "138.2997567891";

/// A file of the fixtures.
pub(crate) fn fixture(name: &str) -> String {
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/formats").join(name))
}

/// A workspace with the organisation's reference data and no export yet.
pub(crate) fn organisation() -> Workspace {
    let workspace = Workspace::new();
    for name in ["hierarchy.csv", "cost_rules.csv", "allocations.csv"] {
        workspace.write(&format!("reference/{name}"), fixture(&format!("reference/{name}")));
    }
    workspace
}

/// The rows of `net_cost` worked out by hand.
fn expected() -> Vec<Row> {
    csv_rows(&fixture("expected_net_cost.csv"))
}

/// Runs the pipeline on the export in the workspace and compares `net_cost` and the tie-out.
fn assert_net_cost(workspace: &Workspace, expected: &[Row]) {
    workspace.try_run(AS_OF, &["run"]).unwrap_or_else(|problem| panic!("{problem}"));
    let got = query(workspace, "SELECT * FROM net_cost WHERE billing_period = '2026-05'");
    let columns: BTreeSet<String> = table("net_cost").columns().map(str::to_owned).collect();
    let list = differences(table("net_cost"), &columns, expected, &got);
    assert!(list.is_empty(), "{}", list.join("\n"));
    let totals =
        query(workspace, "SELECT export_total, difference FROM reconciliation WHERE billing_period = '2026-05'");
    let totals: Vec<_> = totals.iter().map(|row| (row["export_total"].as_str(), row["difference"].as_str())).collect();
    assert_eq!(totals, [(EXPORT_TOTAL, "0.0000000000")]);
}

fn query(workspace: &Workspace, sql: &str) -> Vec<Row> {
    workspace.query(AS_OF, sql).unwrap_or_else(|problem| panic!("{problem}"))
}

/// A CSV text with a change to each cell; `change` is given the column and the cell.
pub(crate) fn map_cells(text: &str, change: impl Fn(&str, &str) -> String) -> String {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().expect("a header").clone();
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(&header).expect("a written header");
    for record in reader.records() {
        let record = record.expect("a record");
        writer.write_record(header.iter().zip(&record).map(|(column, cell)| change(column, cell))).expect("a record");
    }
    String::from_utf8(writer.into_inner().expect("the text")).expect("UTF-8")
}

/// A CSV text without one column.
pub(crate) fn without_column(text: &str, column: &str) -> String {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
    let records: Vec<csv::StringRecord> = reader.records().map(|record| record.expect("a record")).collect();
    let index = records[0].iter().position(|name| name == column).expect("the column");
    let mut writer = csv::Writer::from_writer(Vec::new());
    for record in &records {
        let kept = record.iter().enumerate().filter(|(at, _)| *at != index).map(|(_, cell)| cell);
        writer.write_record(kept).expect("a record");
    }
    String::from_utf8(writer.into_inner().expect("the text")).expect("UTF-8")
}

/// The header as `change` spells it, the rows as they are.
fn with_header(text: &str, change: impl Fn(&str) -> String) -> String {
    let (header, rows) = text.split_once('\n').expect("a header");
    format!("{}\n{rows}", change(header))
}
