//! Commands given twice, as a scheduler that lost an answer would.

use std::collections::BTreeSet;
use std::fs;

use super::shop::{Shop, assert_same, files, make_old, names};
use crate::support::SETTINGS;

const JOBS: [&str; 5] = ["detect-credits", "join-allocations", "apply-fifo", "write-net-cost", "publish"];

#[test]
fn publish_given_twice_changes_nothing() {
    let shop = Shop::new();
    for job in JOBS {
        shop.succeed(&["--run-id", "night", job]);
    }
    let (published, logged) = (shop.0.published(), shop.rows("SELECT * FROM runs_log ORDER BY billing_period"));
    shop.succeed(&["--run-id", "night", "publish"]);
    assert_same("published twice", &shop.0.published(), &published);
    assert_eq!(shop.rows("SELECT * FROM runs_log ORDER BY billing_period"), logged);
    assert_eq!(logged.len(), 3);
    shop.assert_tidy();

    for job in &JOBS {
        shop.succeed(&["--run-id", "next", job]);
    }
    // The answer to the first one was lost.
    shop.succeed(&["--run-id", "next", "publish"]);
    assert_eq!(shop.rows("SELECT count(*) FROM runs_log WHERE run_id = 'next'"), ["3"]);
    assert_same("the same inputs", &shop.0.published(), &published);
    shop.assert_tidy();
}

#[test]
fn jobs_given_twice_leave_the_same_bytes() {
    let [expected, _] = Shop::undisturbed();
    let shop = Shop::new();
    for job in JOBS {
        shop.succeed(&["--run-id", "night", job]);
        shop.succeed(&["--run-id", "night", job]);
    }
    assert_same("every job twice", &shop.0.published(), &expected);

    shop.change();
    for job in ["detect-credits", "join-allocations", "detect-credits", "join-allocations", "apply-fifo"] {
        shop.succeed(&["--run-id", "next", job]);
    }
    for job in &JOBS[1..] {
        shop.succeed(&["--run-id", "next", job]);
    }
    assert_same("begun again in the middle", &shop.0.published(), &Shop::undisturbed()[1]);
    shop.assert_tidy();
}

#[test]
fn published_run_is_never_staged_or_published_again() {
    let shop = Shop::new();
    shop.succeed(&["--run-id", "monday", "run"]);
    let monday = shop.0.published();
    shop.change();
    shop.succeed(&["--run-id", "tuesday", "run"]);
    let tuesday = shop.0.published();

    for job in &JOBS[1..] {
        let late = shop.run(&["--run-id", "monday", job]);
        assert_eq!(late.exit_code, Some(7), "{job}: {late:?}");
    }
    for id in ["monday", "tuesday"] {
        let again = shop.run(&["--run-id", id, "run"]);
        assert_eq!(again.exit_code, Some(7), "{again:?}");
        assert_eq!(again.stderr, format!("error: run {id} is already published; start a new run\n"));
    }
    assert_same("the current run", &shop.0.published(), &tuesday);
    fs::remove_file(shop.0.path("lake/published")).expect("a link");
    std::os::unix::fs::symlink("runs/monday", shop.0.path("lake/published")).expect("a link");
    assert_same("the earlier run, kept as reported", &shop.0.published(), &monday);
}

#[test]
fn job_that_fails_leaves_why_beside_the_folder_of_its_run() {
    let shop = Shop::new();
    shop.succeed(&["--run-id", "night", "detect-credits"]);
    let failed = shop.run(&["--run-id", "night", "apply-fifo"]);
    assert_eq!(failed.exit_code, Some(4), "{failed:?}");
    let written = fs::read_to_string(shop.0.path("lake/work/night.failure.json")).expect("why it failed");
    let written: serde_json::Value = serde_json::from_str(&written).expect("JSON");
    let message = "run night: join-allocations has not been done; give all jobs of a run one --run-id";
    assert_eq!((&written["error"]["message"], &written["error"]["exit_code"]), (&message.into(), &4.into()));
    for job in &JOBS[1..] {
        shop.succeed(&["--run-id", "night", job]);
    }
    assert_same("after a failure", &shop.0.published(), &Shop::undisturbed()[0]);
    shop.assert_tidy();
}

#[test]
fn job_without_the_one_before_it_waits_for_input() {
    let shop = Shop::new();
    for job in &JOBS[1..] {
        assert_eq!(shop.run(&["--run-id", "night", job]).exit_code, Some(4), "{job} on an empty lake");
    }
    shop.succeed(&["run"]);
    for job in &JOBS[1..] {
        assert_eq!(shop.run(&["--run-id", "night", job]).exit_code, Some(4), "{job} of a run that never began");
    }
}

#[test]
fn only_the_last_runs_are_kept() {
    let shop = Shop::new();
    shop.0.write("credits.toml", format!("{SETTINGS}[run]\nkeep_runs = 2\n"));
    // Ids that do not sort by time.
    for id in ["c", "a", "b"] {
        shop.succeed(&["--run-id", &format!("overtaken-by-{id}"), "detect-credits"]);
        shop.succeed(&["--run-id", id, "run"]);
    }
    assert_eq!(names(&shop.0.path("lake/runs")), ["a", "b"].map(str::to_owned).into());
    assert_eq!(shop.published_run(), "b");
    let logged = shop.rows("SELECT DISTINCT run_id FROM runs_log ORDER BY run_id");
    assert_eq!(logged, ["a", "b", "c"], "the log remembers every run");
    let markers = names(&shop.0.path("lake/superseded"));
    assert_eq!(markers, ["overtaken-by-a.json", "overtaken-by-b.json"].map(str::to_owned).into());
}

#[test]
fn run_whose_publish_broke_off_after_the_switch_is_logged_by_the_next() {
    let shop = Shop::new();
    for job in &JOBS[..4] {
        shop.succeed(&["--run-id", "night", job]);
    }
    std::os::unix::fs::symlink("runs/night", shop.0.path("lake/published")).expect("the switch, and nothing after it");
    shop.succeed(&["--run-id", "next", "run"]);
    assert_eq!(shop.rows("SELECT DISTINCT run_id FROM runs_log ORDER BY run_id"), ["next", "night"]);
    shop.assert_tidy();
}

#[test]
fn half_written_files_of_a_killed_run_are_swept_by_the_next() {
    let shop = Shop::new();
    shop.succeed(&["--run-id", "killed", "detect-credits"]);
    // As kills leave them: a generation that nothing points to yet, halves of files, a period that is gone since.
    for half in [
        "work/killed/lots/part-0.parquet#1",
        "runs/killed/net_cost/billing_period=2026-01/part-0.parquet#1",
        "generations/2025-12/0123456789abcdef/cost_lines/part-0.parquet",
        "generations/2026-01/.current.json.0123456789abcdef",
        "generations/2026-01/0123456789abcdef-1/cost_lines/part-0.parquet#1",
        "generations/2026-01/0123456789abcdef-2/cost_lines/part-0.parquet",
    ] {
        shop.0.write(&format!("lake/{half}"), "half");
    }
    let generations = || files(&shop.0.path("lake/generations"));
    let halves = |all: BTreeSet<String>| all.into_iter().filter(|file| file.contains("0123456789abcdef")).count();
    shop.succeed(&["run"]);
    assert_eq!(halves(generations()), 4, "another process may be writing these");
    make_old(&shop.0.path("lake/generations"));
    std::os::unix::fs::symlink("runs/killed", shop.0.path("lake/.published.next")).expect("a link");
    shop.succeed(&["run"]);
    assert_eq!(halves(generations()), 0, "after a day nobody is");
    shop.assert_tidy();
    assert_same("after the sweep", &shop.0.published(), &Shop::undisturbed()[0]);
}
