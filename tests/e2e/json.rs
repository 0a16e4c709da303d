//! `--format json`: every command answers JSON, the final error included.

use serde_json::Value;

use crate::bad_input::good_input;
use crate::support::{Outcome, Workspace};

const AS_OF: &str = "2026-03-31";

/// The one JSON value that a command answers.
fn answer(workspace: &Workspace, arguments: &[&str]) -> Value {
    let Outcome { exit_code, stdout, stderr } = workspace.run(AS_OF, &[&["--format", "json"], arguments].concat());
    assert_eq!(exit_code, Some(0), "{arguments:?}: {stderr}");
    assert!(stderr.lines().all(|line| line.starts_with("note: ")), "{arguments:?}: {stderr}");
    serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {stdout}"))
}

/// The JSON error that a command ends with, and its exit code.
fn error(workspace: &Workspace, arguments: &[&str]) -> (Value, Option<i32>) {
    let Outcome { exit_code, stdout, stderr } = workspace.run(AS_OF, arguments);
    assert_eq!(stdout, "", "{arguments:?}");
    let last = stderr.lines().last().unwrap_or_default();
    let error: Value = serde_json::from_str(last).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {stderr}"));
    (error["error"].clone(), exit_code)
}

#[test]
fn every_command_answers_one_json_value() {
    let workspace = good_input();
    for job in ["detect-credits", "join-allocations", "apply-fifo", "write-net-cost", "publish"] {
        let said = answer(&workspace, &[job, "--run-id", "night-1"]);
        assert_eq!(said, serde_json::json!({ "done": job, "run_id": "night-1", "as_of": AS_OF }));
    }
    assert_eq!(answer(&workspace, &["run"])["published"], true);
    let recorded =
        answer(&workspace, &["allocate", "--key", "id:1", "--amount", "0.5", "--to", "Retail", "--by", "ann"]);
    assert_eq!(recorded["recorded"][0]["amount"], "0.5000000000");
    assert_eq!(recorded["warnings"].as_array().map(Vec::len), Some(1), "less than AWS applied: {recorded}");
    assert_eq!(answer(&workspace, &["revoke", "--key", "id:1"])["recorded"][0]["action"], "revoke");
    let file = workspace.path("entered.csv");
    workspace.write(
        "entered.csv",
        "credit_key,amount,currency,end_date,reference,business_unit,department,portfolio,product\nid:1,9,USD,,,Retail,,,\n",
    );
    let imported = answer(&workspace, &["allocations", "import", file.to_str().expect("UTF-8")]);
    assert_eq!(
        (imported["recorded"].as_array().map(Vec::len), &imported["already_recorded"]),
        (Some(1), &Value::from(0))
    );
    for list in [&["queue"][..], &["credits"], &["allocations", "list"], &["allocations", "history", "id:1"]] {
        assert!(answer(&workspace, list).is_array(), "{list:?}");
    }
    assert!(answer(&workspace, &["query", "SHOW TABLES"]).is_array());
    let out = workspace.path("out.csv");
    let exported = answer(&workspace, &["export", "credits", "--out", out.to_str().expect("UTF-8")]);
    assert_eq!(exported["exported"][0]["rows"], 3);
    let repaired = answer(&workspace, &["lake", "repair"]);
    assert!(repaired["logs"].as_array().expect("logs").iter().all(|log| log["repair"] == "whole"), "{repaired}");
    let dropped = answer(&workspace, &["lake", "drop-period", "2026-01", "--yes"]);
    assert_eq!(dropped["dropped"], "2026-01");
    assert_eq!(dropped["still_in_export"], "good.csv");
}

#[test]
fn the_final_error_is_one_json_object_on_stderr() {
    let workspace = good_input();
    for (arguments, kind, code) in [
        (&["--format", "json", "credits"][..], "not_yet", 4),
        (&["--format=json", "revoke", "--key", "id:1"], "not_yet", 4),
        (&["--format", "json", "query", "SELEC"], "not_yet", 4),
        (&["--format", "json", "no-command"], "usage", 2),
        (&["credits", "--no-option", "--format=json"], "usage", 2),
    ] {
        let (error, exit_code) = error(&workspace, arguments);
        assert_eq!((error["kind"].as_str(), error["exit_code"].as_i64()), (Some(kind), Some(code)), "{arguments:?}");
        assert_eq!(exit_code.map(i64::from), Some(code), "{arguments:?}");
        assert_eq!(error["message"], error["lines"][0], "{arguments:?}");
    }
    workspace.write("reference/hierarchy.csv", "business_unit,department,portfolio,product\n,,,\nUnassigned,,,\n");
    let (error, _) = error(&workspace, &["--format", "json", "run"]);
    assert_eq!(error["lines"].as_array().map(Vec::len), Some(2), "{error}");
    assert_eq!(error["message"], "hierarchy.csv, row 2, column business_unit: is empty");
}
