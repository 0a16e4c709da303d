//! A clock that was set back: nothing is taken that would not count, and nothing is removed that somebody reads.

use std::fs;

use serde_json::{Value, json};

use crate::support::{SETTINGS, Workspace};

const AS_OF: &str = "2026-03-31";
const CREDIT: &str = "bill_billing_period_start_date,bill_payer_account_id,bill_payer_account_name,\
                      line_item_usage_account_id,line_item_usage_start_date,line_item_line_item_type,\
                      line_item_product_code,line_item_currency_code,line_item_unblended_cost,\
                      line_item_line_item_description\n\
                      2026-01-01,9,P,111111111111,2026-01-10,Credit,AmazonEC2,USD,-1,\"A, credit id: 1\"\n";
const BEHIND: &str =
    "error: the clock of this machine is behind: a log of the lake was changed later than now; set the clock\n";

fn lake() -> Workspace {
    let workspace = Workspace::new();
    workspace.write("reference/hierarchy.csv", "business_unit,department,portfolio,product\nRetail,,,\n");
    workspace.write(
        "reference/cost_rules.csv",
        "rule_id,priority,payer_account_id,account_id,service,region,tag_key,tag_value,cost_category_key,\
         cost_category_value,business_unit,department,portfolio,product,share\nall,10,,*,,,,,,,Retail,,,,\n",
    );
    workspace.write("cur/january.csv", CREDIT);
    workspace.try_run(AS_OF, &["run"]).unwrap_or_else(|problem| panic!("{problem}"));
    workspace
}

/// Makes the last change of a log as much later, as if the clock had been set back by that since.
fn move_last_change(workspace: &Workspace, log: &str, milliseconds: i64) {
    let folder = workspace.path(&format!("lake/warehouse/finops_credits/{log}/metadata"));
    let files = fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let newest = files.filter(|file| file.to_string_lossy().ends_with(".metadata.json")).max().expect("metadata");
    let mut metadata: Value = serde_json::from_slice(&fs::read(&newest).expect("metadata")).expect("JSON");
    let later = |time: &mut Value| *time = json!(time.as_i64().expect("a time") + milliseconds);
    later(&mut metadata["last-updated-ms"]);
    for list in ["snapshots", "snapshot-log"] {
        later(&mut metadata[list].as_array_mut().and_then(|list| list.last_mut()).expect("a snapshot")["timestamp-ms"]);
    }
    fs::write(&newest, metadata.to_string()).expect("written metadata");
}

const HOUR: i64 = 3_600_000;

#[test]
fn run_by_a_clock_that_is_behind_publishes_nothing_and_says_why() {
    let workspace = lake();
    let pointer = || fs::read_link(workspace.path("lake/published")).expect("a pointer");
    let before = pointer();
    move_last_change(&workspace, "runs_log", HOUR);
    let outcome = workspace.run(AS_OF, &["run"]);
    assert_eq!((outcome.stderr.as_str(), outcome.exit_code), (BEHIND, Some(3)));
    assert_eq!(pointer(), before);
    move_last_change(&workspace, "runs_log", -HOUR);
    workspace.try_run(AS_OF, &["run"]).unwrap_or_else(|problem| panic!("{problem}"));
    assert_ne!(pointer(), before);
}

#[test]
fn allocation_by_a_clock_that_is_behind_is_refused_and_not_recorded() {
    let workspace = lake();
    let allocate = ["allocate", "--key", "id:1", "--amount", "5", "--to", "Retail"];
    workspace.try_run(AS_OF, &allocate).unwrap_or_else(|problem| panic!("{problem}"));
    move_last_change(&workspace, "allocations_log", HOUR);
    for arguments in [&allocate[..], &["revoke", "--key", "id:1"]] {
        let outcome = workspace.run(AS_OF, arguments);
        assert_eq!((outcome.stderr.as_str(), outcome.stdout.as_str(), outcome.exit_code), (BEHIND, "", Some(3)));
    }
    let rows = workspace.query(AS_OF, "SELECT count(*) AS n FROM allocations_log").expect("a query");
    assert_eq!(rows[0]["n"], "1");
}

#[test]
fn run_before_the_published_one_stays_however_few_are_kept() {
    let workspace = lake();
    workspace.write("credits.toml", format!("{SETTINGS}\n[run]\nkeep_runs = 1\n"));
    for run_id in ["b", "a", "c"] {
        workspace.try_run(AS_OF, &["run", "--run-id", run_id]).unwrap_or_else(|problem| panic!("{problem}"));
    }
    let runs = fs::read_dir(workspace.path("lake/runs")).expect("runs");
    let mut runs: Vec<_> = runs.map(|run| run.expect("a run").file_name().into_string().expect("a name")).collect();
    runs.sort();
    assert_eq!(runs, ["a", "c"]);
}
