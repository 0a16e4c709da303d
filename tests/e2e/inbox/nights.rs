//! A night takes what lies in the inbox, says so, and goes on whatever lies there.

use std::fs;

use serde_json::Value;

use super::{AS_OF, came, lake, log, says};
use crate::bad_input::good_input;
use crate::support::Workspace;

const AT: &str = "2026-03-05T10:00:00Z";

/// What the night says in brief, to whatever passes it on.
fn brief(workspace: &Workspace, run_id: &str) -> Value {
    let text = fs::read_to_string(workspace.path(&format!("lake/summaries/{run_id}.json"))).expect("a summary");
    let whole: Value = serde_json::from_str(&text).expect("JSON");
    whole["inbox"].clone()
}

#[test]
fn first_night_takes_what_lies_there_and_it_counts_in_that_night() {
    let workspace = good_input();
    came(&workspace, "jane/a.csv", AT, "id:1,40,USD,,,Retail,,,");
    came(&workspace, "bob/b.csv", AT, "id:7,50,USD,,,Retail,,,");
    let said = says(&workspace, &["run", "--run-id", "n1"]);
    let expected = "Inbox       1 file taken:\n\
                    \x20             jane/a.csv: Recorded 1 row of a.csv.\n\
                    \x20           1 file refused, nothing of it is recorded:\n\
                    \x20             bob/b.csv: b.csv, row 2: credit id:7 is not registered; did you mean id:1?\n";
    assert!(said.contains(expected), "{said}");
    let expected = serde_json::json!({
        "taken": { "count": 1, "first": ["jane/a.csv: Recorded 1 row of a.csv."] },
        "refused": {
            "count": 1,
            "first": ["bob/b.csv: b.csv, row 2: credit id:7 is not registered; did you mean id:1?"],
        },
    });
    assert_eq!(brief(&workspace, "n1"), expected);
    let credits = workspace.query(AS_OF, "SELECT allocated_amount, recorded_by FROM credits WHERE credit_key = 'id:1'");
    let credits = credits.expect("a row");
    assert_eq!(
        (credits[0]["allocated_amount"].as_str(), credits[0]["recorded_by"].as_str()),
        ("40.0000000000", "jane")
    );
    let said = says(&workspace, &["run", "--run-id", "n2"]);
    assert!(!said.contains("Inbox"), "it is told once: {said}");
    assert_eq!(brief(&workspace, "n2")["refused"]["count"], 0);
}

#[test]
fn night_that_broke_off_after_it_took_a_file_tells_of_it_when_it_is_continued() {
    let workspace = lake();
    came(&workspace, "jane/a.csv", AT, "id:1,40,USD,,,Retail,,,");
    came(&workspace, "bob/b.csv", AT, "id:7,50,USD,,,Retail,,,");
    for job in ["detect-credits", "detect-credits", "join-allocations", "apply-fifo", "write-net-cost"] {
        says(&workspace, &[job, "--run-id", "n1"]);
    }
    let brief = brief(&workspace, "n1");
    assert_eq!((&brief["taken"]["count"], &brief["refused"]["count"]), (&Value::from(1), &Value::from(1)), "{brief}");
    assert_eq!(log(&workspace).len(), 1);
}

#[test]
fn command_that_a_night_tells_is_told_of_files_that_are_refused() {
    let workspace = lake();
    came(&workspace, "bob/b.csv", AT, "id:7,50,USD,,,Retail,,,");
    let keep = "printf '%s' \"$FINOPS_CREDITS_EVENT\" > told.txt";
    let mut run = workspace.command(AS_OF, &["run", "--notify", keep]);
    let done = run.env("PATH", "/usr/bin:/bin").output().expect("a run");
    assert!(done.status.success(), "{done:?}");
    assert_eq!(fs::read_to_string(workspace.path("elsewhere/cwd/told.txt")).expect("events"), "refused,stale");
}

#[test]
fn run_as_of_the_past_checks_what_came_by_the_credits_of_today() {
    let workspace = lake();
    let february =
        "2026-02-01,999999999999,Payer,111111111111,2026-02-11,Credit,AmazonEC2,USD,-5,\"New, credit id: 3\"";
    let january = fs::read_to_string(workspace.path("cur/good.csv")).expect("the export");
    let header = january.lines().next().expect("a header");
    workspace.write("cur/february.csv", format!("{header}\n{february}\n"));
    says(&workspace, &["run"]);
    came(&workspace, "jane/a.csv", AT, "id:3,40,USD,,,Retail,,,");
    let run = workspace.try_run("2026-01-31", &["run"]).unwrap_or_else(|problem| panic!("{problem}"));
    assert!(run.contains("jane/a.csv: Recorded 1 row of a.csv."), "{run}");
}
