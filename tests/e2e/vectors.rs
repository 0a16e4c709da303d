//! The golden scenarios, played through the built binary as a person would: run, record allocations, run again.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::Workspace;
use crate::support::compare::{Row, csv_rows, differences, table};

/// The folder of a scenario.
pub(crate) fn scenario(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/vectors").join(name)
}

/// A text file of a scenario.
pub(crate) fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// How `got` differs from `expected/<table>.csv`, on the columns that file has.
pub(crate) fn golden_differences(folder: &Path, name: &str, got: &[Row]) -> Vec<String> {
    let text = read(&folder.join("expected").join(format!("{name}.csv")));
    let header = text.lines().next().expect("a header");
    let columns: BTreeSet<String> = header.split(',').map(str::to_owned).collect();
    differences(table(name), &columns, &csv_rows(&text), got)
}

/// The names of the expected tables of a scenario.
pub(crate) fn expected_tables(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder.join("expected")).expect("a folder of expected tables");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("an entry").path().file_stem().expect("a name").to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// The history of `allocations.csv` as commands: one import per `recorded_at`, one revocation per `revoke` row.
fn record_allocations(workspace: &Workspace, as_of: &str, text: &str) {
    let header: Vec<&str> = text.lines().next().expect("a header").split(',').collect();
    let kept: Vec<&str> = header.iter().copied().filter(|name| !["recorded_at", "action"].contains(name)).collect();
    let rows = csv_rows(text);
    let instants: BTreeSet<Option<&String>> = rows.iter().map(|row| row.get("recorded_at")).collect();
    for instant in instants {
        let mut lines = vec![kept.join(",")];
        for row in rows.iter().filter(|row| row.get("recorded_at") == instant) {
            if row.get("action").is_some_and(|action| action == "revoke") {
                let (code, account) = (row["promotion_code"].as_str(), row["account_id"].as_str());
                must(workspace.try_run(as_of, &["revoke", "--code", code, "--account", account, "--by", "finance"]));
            } else {
                lines.push(kept.iter().map(|name| row[*name].as_str()).collect::<Vec<_>>().join(","));
            }
        }
        if lines.len() > 1 {
            workspace.write("import.csv", lines.join("\n") + "\n");
            let file = workspace.path("import.csv").display().to_string();
            must(workspace.try_run(as_of, &["allocations", "import", &file, "--by", "finance"]));
        }
    }
}

fn must<T>(result: Result<T, String>) -> T {
    result.unwrap_or_else(|problem| panic!("{problem}"))
}

/// Plays a scenario and compares every expected table, cell by cell.
fn play(name: &str) {
    let folder = scenario(name);
    let workspace = Workspace::new();
    workspace.copy(&folder.join("cur"), "cur");
    workspace.copy(&folder.join("reference"), "reference");
    workspace.write("credits.toml", read(&folder.join("credits.toml")));
    let as_of = read(&folder.join("as_of.txt"));
    let as_of = as_of.trim();

    must(workspace.try_run(as_of, &["run"]));
    record_allocations(&workspace, as_of, &read(&folder.join("allocations.csv")));
    must(workspace.try_run(as_of, &["run"]));

    let list: Vec<String> = expected_tables(&folder)
        .iter()
        .flat_map(|table| {
            golden_differences(&folder, table, &must(workspace.query(as_of, &format!("SELECT * FROM {table}"))))
        })
        .collect();
    assert!(list.is_empty(), "{name}:\n{}", list.join("\n"));
}

#[test]
fn worked_example_gives_the_golden_tables() {
    play("01-worked-example");
}

#[test]
fn credit_issued_in_march_and_allocated_in_april_lands_in_march() {
    play("02-issued-in-march-allocated-in-april");
}

#[test]
fn department_credit_is_spread_by_largest_remainder() {
    play("03-department-credit-largest-remainder");
}

#[test]
fn exhausted_credit_hands_over_to_the_next_in_order() {
    play("04-fifo-exhaustion-and-roll-over");
}

#[test]
fn newer_credit_lapses_behind_an_older_one_that_ends_later() {
    play("05-older-credit-ends-later");
}

#[test]
fn shared_cost_is_split_and_unmatched_cost_is_unassigned() {
    play("06-shared-cost-and-unassigned");
}

#[test]
fn two_books_differ_by_the_clearing() {
    play("07-two-books-and-clearing");
}

#[test]
fn newest_revision_counts_from_the_issue_date_on() {
    play("08-lots-reallocation-revocation");
}
