//! `--run-id` and `--as-of` of commands that read: they answer from that run, or say why not.

use std::fs;

use crate::support::compare::csv_rows;
use crate::support::{Outcome, Workspace};

const HEADER: &str = "bill_billing_period_start_date,bill_payer_account_id,line_item_usage_account_id,\
                      line_item_usage_start_date,line_item_line_item_type,line_item_product_code,\
                      line_item_currency_code,line_item_unblended_cost,line_item_line_item_description\n";

fn month(month: u32, lines: &[&str]) -> String {
    let line = |rest: &&str| format!("2026-0{month}-01,999999999999,111111111111,2026-0{month}-{rest}\n");
    format!("{HEADER}{}", lines.iter().map(line).collect::<String>())
}

/// Published as of January by `january`, as of February by `february`; a credit of each month, the first allocated in between.
fn lake() -> Workspace {
    let workspace = Workspace::new();
    workspace.write("reference/hierarchy.csv", "business_unit,department,portfolio,product\nRetail,,,\n");
    workspace.write(
        "reference/cost_rules.csv",
        "rule_id,priority,payer_account_id,account_id,service,region,tag_key,tag_value,cost_category_key,\
         cost_category_value,business_unit,department,portfolio,product,share\nall,10,,*,,,,,,,Retail,,,,\n",
    );
    workspace.write("cur/1.csv", month(1, &["31,Usage,S3,USD,10,", "11,Credit,S3,USD,-1,\"A, credit id: 1\""]));
    workspace.write("cur/2.csv", month(2, &["28,Usage,S3,USD,20,", "12,Credit,S3,USD,-2,\"B, credit id: 2\""]));
    allocate(&workspace, "january", "2026-01-31", None);
    allocate(&workspace, "february", "2026-02-28", Some("5"));
    allocate(&workspace, "february-2", "2026-02-28", Some("7"));
    workspace
}

/// Allocates credit 1 and makes a run.
fn allocate(workspace: &Workspace, run_id: &str, as_of: &str, amount: Option<&str>) {
    if let Some(amount) = amount {
        let allocate = ["allocate", "--key", "id:1", "--amount", amount, "--to", "Retail", "--by", "ann"];
        workspace.try_run(as_of, &allocate).expect("an allocation");
    }
    workspace.try_run(as_of, &["--run-id", run_id, "run"]).expect("a run");
}

fn asks(workspace: &Workspace, arguments: &[&str]) -> Outcome {
    workspace.run_with(&workspace.path("credits.toml"), arguments)
}

/// One column of what a command prints.
fn column(workspace: &Workspace, arguments: &[&str], name: &str) -> Vec<String> {
    let outcome = asks(workspace, &[arguments, &["--format", "csv"]].concat());
    assert_eq!(outcome.exit_code, Some(0), "{arguments:?}: {}", outcome.stderr);
    csv_rows(&outcome.stdout).iter().map(|row| row[name].clone()).collect()
}

#[test]
fn command_that_reads_answers_from_the_run_that_is_asked_for() {
    let workspace = lake();
    let sql = "SELECT sum(net_cost) AS net FROM net_cost";
    for (run, waiting, net, allocated) in [
        (&["--run-id", "january"][..], &["id:1"][..], "10.0000000000", None),
        (&["--as-of", "2026-01-31"], &["id:1"], "10.0000000000", None),
        (&["--run-id", "february"], &["id:2"], "25.0000000000", Some("5.0000000000")),
        (&["--as-of", "2026-02-28"], &["id:2"], "23.0000000000", Some("7.0000000000")),
        (&[], &["id:2"], "23.0000000000", Some("7.0000000000")),
    ] {
        let ask = |command: &[&'static str]| [run, command].concat();
        assert_eq!(column(&workspace, &ask(&["queue"]), "credit_key"), waiting, "{run:?}");
        assert_eq!(column(&workspace, &ask(&["query", sql]), "net"), [net], "{run:?}");
        let expected: Vec<String> = allocated.into_iter().map(str::to_owned).collect();
        assert_eq!(column(&workspace, &ask(&["credits"]), "allocated_amount"), expected, "{run:?}");
        assert_eq!(column(&workspace, &ask(&["allocations", "list"]), "amount"), expected, "{run:?}");
        assert_eq!(column(&workspace, &ask(&["allocations", "export"]), "amount"), expected, "{run:?}");
    }
}

#[test]
fn run_that_was_held_back_can_be_asked() {
    let workspace = lake();
    let said = workspace.try_run("2026-01-31", &["--run-id", "again", "run"]).expect("a run");
    assert!(said.contains("Not published: "), "{said}");
    let sql = "SELECT sum(credits_applied) AS applied FROM net_cost";
    assert_eq!(column(&workspace, &["--run-id", "again", "query", sql], "applied"), ["-7.0000000000"]);
    assert_eq!(
        column(&workspace, &["--as-of", "2026-01-31", "query", sql], "applied"),
        ["-7.0000000000"],
        "the newest"
    );
}

#[test]
fn what_cannot_be_answered_is_a_usage_error() {
    let workspace = lake();
    let refuses = |arguments: &[&str], message: &str| {
        let outcome = asks(&workspace, arguments);
        assert_eq!((outcome.exit_code, &outcome.stdout[..]), (Some(2), ""), "{arguments:?}");
        assert_eq!(outcome.stderr, format!("error: {message}\n"));
    };
    let kept = "there are: february-2 (as of 2026-02-28), february (as of 2026-02-28), january (as of 2026-01-31)";
    refuses(&["--run-id", "march", "credits"], &format!("run march is not kept in the lake; {kept}"));
    refuses(
        &["--as-of", "2026-02-01", "queue"],
        &format!("no kept run is as of 2026-02-01; `run --as-of 2026-02-01` makes one; {kept}"),
    );
    refuses(
        &["--run-id", "january", "query", "SELECT * FROM allocations_log"],
        "query: allocations_log is not kept as it was in run january; ask without --run-id and --as-of for what stands now",
    );
    let out = workspace.path("lines.csv").display().to_string();
    refuses(
        &["--as-of", "2026-01-31", "export", "cost_lines", "--out", &out],
        "cost_lines is not kept as it was in run january; ask without --run-id and --as-of for what stands now",
    );
    let text = ["--run-id", "january", "query", "SELECT count(*) AS n, 'lots of cells' AS said FROM credits"];
    assert_eq!(column(&workspace, &text, "n"), ["1"], "text names no table");
    let both = ["--run-id", "january", "--as-of", "2026-01-31", "credits"];
    refuses(&both, "give --run-id or --as-of, not both: each names a run");
    let no_run = "--run-id: this command does not read a run";
    refuses(&["--run-id", "january", "allocations", "history", "id:1"], no_run);
    refuses(&["--run-id", "january", "revoke", "--key", "id:1"], no_run);
    let no_date = "--as-of: this command does not depend on a date";
    refuses(&["--as-of", "2026-01-31", "lake", "repair"], no_date);
    refuses(&["--as-of", "2026-01-31", "allocations", "export", "--history"], no_date);
}

#[test]
fn run_whose_files_are_damaged_is_not_taken_for_an_empty_one() {
    let workspace = lake();
    fs::remove_file(workspace.path("lake/runs/january/credit_queue/part-0.parquet")).expect("a removed file");
    let outcome = asks(&workspace, &["--run-id", "january", "queue"]);
    assert_eq!(outcome.exit_code, Some(5), "{outcome:?}");
    assert!(outcome.stderr.contains("credit_queue/part-0.parquet"), "{}", outcome.stderr);
}
