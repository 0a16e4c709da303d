//! `diff`, and what the summary of a run says of it.

use std::fs;

use serde_json::Value;

use crate::sample::{AS_OF, sample, says};
use crate::support::Workspace;

const ALLOCATE: [&str; 18] = [
    "allocate",
    "--code",
    "MAP credit - 2/3",
    "--account",
    "410000000901",
    "--amount",
    "2500",
    "--end-date",
    "2027-03-31",
    "--to",
    "Logistics",
    "--reference",
    "MAP-2026-114",
    "--by",
    "jane@example.com",
    "--recorded-at",
    "2026-10-31T09:30:00Z",
    "--format=csv",
];

/// Runs the sample as of the day before and then, with one more allocation and another budget, as of its day.
fn two_nights() -> (Workspace, String) {
    let workspace = sample();
    let run = ["--as-of", "2026-10-30", "--run-id", "night-1", "run"];
    let first = workspace.run_with(&workspace.path("credits.toml"), &run);
    assert_eq!((first.exit_code, first.stderr.as_str()), (Some(0), ""));
    assert!(!first.stdout.contains("Changes since"), "{}", first.stdout);
    says(&workspace, &ALLOCATE);
    let budgets = fs::read_to_string(workspace.path("reference/budgets.csv")).expect("budgets");
    let other = budgets.replace("2026-09,Retail,,,,USD,12000", "2026-09,Retail,,,,USD,12500");
    assert_ne!(budgets, other);
    workspace.write("reference/budgets.csv", other);
    let second = says(&workspace, &["--run-id", "night-2", "run"]);
    (workspace, second)
}

#[test]
fn diff_and_the_summary_tell_what_a_night_changed_past_months_first() {
    let (workspace, summary) = two_nights();
    let told = says(&workspace, &["diff"]);
    insta::assert_snapshot!("sample_diff", told);
    assert_eq!(told, says(&workspace, &["diff", "night-1", "night-2"]));
    assert_eq!(told, says(&workspace, &["diff", "night-1"]), "one run is compared with the published one");
    let since = summary.split_once("Changes since the published run night-1 as of 2026-10-30\n").expect("changes").1;
    let since = since.split_once("\n\nNet cost of ").expect("net cost").0;
    insta::assert_snapshot!("sample_changes_in_the_summary", since);
    let backwards: Value = json(&workspace, &["diff", "published", "previous"]);
    let forwards = json(&workspace, &["diff"]);
    let net_cost = |diff: &Value| diff["past_months"][0]["business_units"][0]["net_cost"].clone();
    assert_eq!(net_cost(&forwards)["from"], net_cost(&backwards)["to"]);
    assert_eq!(json(&workspace, &["diff", "night-2", "published"])["credits"], Value::Array(Vec::new()));
    assert!(says(&workspace, &["diff", "night-2", "published"]).ends_with("\n\nNothing changed.\n"));
    let csv = says(&workspace, &["--format", "csv", "diff"]);
    let header =
        "section,billing_period,currency,node,credit_key,lot,figure,from_amount,to_amount,change,from_text,to_text,why";
    assert_eq!(csv.lines().next(), Some(header));
    let moved = "credits,,USD,,code:MAP credit - 2/3@410000000901,1,node,,,,,Logistics,";
    assert!(csv.lines().any(|line| line == moved), "{csv}");
}

fn json(workspace: &Workspace, arguments: &[&str]) -> Value {
    serde_json::from_str(&says(workspace, &[&["--format", "json"], arguments].concat())).expect("JSON")
}

#[test]
fn run_that_is_not_there_is_told_with_those_that_are() {
    let (workspace, _) = two_nights();
    let fails = |arguments: &[&str]| {
        let outcome = workspace.run(AS_OF, arguments);
        (outcome.exit_code, outcome.stderr.replace(&workspace.path("lake").display().to_string(), "lake"))
    };
    let there = "there are: night-2 (as of 2026-10-31), night-1 (as of 2026-10-30)\n";
    let gone = format!("error: run night-9 is not in the lake lake, or was removed; {there}");
    assert_eq!(fails(&["diff", "night-9"]), (Some(3), gone));
    let several = format!("error: 2 runs begin with nig; {there}");
    assert_eq!(fails(&["diff", "nig"]), (Some(3), several));
    let empty = format!("error: an empty id names no run; {there}");
    assert_eq!(fails(&["diff", ""]), (Some(3), empty));
    fs::remove_dir_all(workspace.path("lake/runs/night-1")).expect("a removed run");
    let removed = "error: run night-1, published before night-2, was removed; see [run] keep_runs; there are: night-2 \
                   (as of 2026-10-31)\n";
    assert_eq!(fails(&["diff"]), (Some(3), removed.to_owned()));
    assert_eq!(fails(&["diff", "night-2", "../night-2"]).0, Some(3));
}

#[test]
fn lake_with_one_run_or_none_has_nothing_to_compare() {
    let workspace = sample();
    let outcome = workspace.run(AS_OF, &["diff"]);
    assert_eq!(outcome.exit_code, Some(4), "{}", outcome.stderr);
    says(&workspace, &["--run-id", "night-1", "run"]);
    let outcome = workspace.run(AS_OF, &["diff"]);
    let told = "error: night-1 is the first run that was published: there is none before it\n";
    assert_eq!((outcome.exit_code, outcome.stderr.as_str()), (Some(4), told));
}

#[test]
fn staged_run_is_compared_with_the_published_one_before_it_is_published() {
    let (workspace, _) = two_nights();
    let early = ["--as-of", "2026-10-15", "--run-id", "early", "run"];
    let said = workspace.run_with(&workspace.path("credits.toml"), &early).stdout;
    assert!(said.contains("Not published"), "{said}");
    let told = says(&workspace, &["diff", "early"]);
    assert!(told.starts_with("From run night-2 as of 2026-10-31\n  to run early as of 2026-10-15\n"), "{told}");
}

#[test]
fn damaged_published_table_is_said_to_make_changes_unknown_and_the_night_goes_on() {
    let (workspace, _) = two_nights();
    let file = workspace.path("lake/runs/night-2/credits/part-0.parquet");
    let mut bytes = fs::read(&file).expect("a table");
    bytes[100] ^= 1;
    fs::remove_file(&file).expect("a removed file");
    fs::write(&file, bytes).expect("a written file");
    let said = says(&workspace, &["--run-id", "night-3", "run"]);
    let told = "\nChanges since the published run are not known: ";
    assert!(said.contains(told) && said.contains("credits/part-0.parquet holds other bytes"), "{said}");
    assert!(says(&workspace, &["diff", "night-1", "night-3"]).contains("MAP credit - 2/3"));
}
