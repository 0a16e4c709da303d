//! What readers see while runs are published and removed, and what is never removed.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use super::shop::{Shop, assert_same, files, make_old, names, outcome};
use crate::support::SETTINGS;

/// Points `published` at one run after the other, as publishing does, until told to stop.
fn switch_to_and_fro(lake: &Path, runs: [&str; 2], stop: &AtomicBool) {
    for run in runs.iter().cycle() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        symlink(format!("runs/{run}"), lake.join(".published.next")).expect("a link");
        fs::rename(lake.join(".published.next"), lake.join("published")).expect("a switch");
        sleep(Duration::from_micros(300));
    }
}

/// Does something while the pointer is switched all the time.
fn while_switching(shop: &Shop, runs: [&str; 2], work: impl FnOnce()) {
    let (lake, stop) = (shop.0.path("lake"), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| switch_to_and_fro(&lake, runs, &stop));
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        stop.store(true, Ordering::Relaxed);
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

/// A shop with two published runs, `one` and `other`, that differ in every table that is asked.
fn two_runs() -> Shop {
    let shop = Shop::new();
    shop.succeed(&["--run-id", "one", "run"]);
    shop.change();
    shop.succeed(&["--run-id", "other", "run"]);
    shop
}

/// One row from each of several tables.
const FIGURES: &str = "SELECT (SELECT sum(net_cost) FROM net_cost) AS a, (SELECT sum(net_cost) FROM net_cost_summary) AS b, \
(SELECT count(*) FROM credit_consumption) AS c, (SELECT count(*) FROM credit_balances) AS d, \
(SELECT sum(aws_applied) FROM credit_queue) AS e, (SELECT sum(export_total) FROM reconciliation) AS f";

#[test]
fn query_sees_one_run_while_others_are_published() {
    let shop = two_runs();
    let figures = |run: &str| {
        fs::remove_file(shop.0.path("lake/published")).expect("a link");
        symlink(format!("runs/{run}"), shop.0.path("lake/published")).expect("a link");
        shop.rows(FIGURES)
    };
    let expected = [figures("one"), figures("other")];
    assert_ne!(expected[0], expected[1]);
    let mut seen = BTreeSet::new();
    while_switching(&shop, ["one", "other"], || {
        for _ in 0..20 {
            let rows = shop.rows(FIGURES);
            assert!(expected.contains(&rows), "two runs in one answer: {rows:?} of {expected:?}");
            seen.insert(rows);
        }
    });
    assert_eq!(seen.len(), 2, "both runs were seen");
}

#[test]
fn reader_that_resolves_the_link_once_sees_one_run_while_others_are_published() {
    let shop = two_runs();
    let link = shop.0.path("lake/published");
    let whole = |run: &str| {
        let folder = shop.0.path(&format!("lake/runs/{run}"));
        files(&folder).into_iter().map(|file| fs::read(folder.join(&file)).map(|bytes| (file, bytes))).collect()
    };
    let expected: [Result<Vec<_>, _>; 2] = ["one", "other"].map(whole);
    let expected = expected.map(|files| files.expect("readable files"));
    while_switching(&shop, ["one", "other"], || {
        for _ in 0..300 {
            let folder = link.canonicalize().expect("a published run");
            let seen: Vec<(String, Vec<u8>)> = files(&folder)
                .into_iter()
                .map(|file| (file.clone(), fs::read(folder.join(file)).expect("a file that is still there")))
                .collect();
            assert!(expected.contains(&seen), "files of two runs");
        }
    });
}

#[test]
fn run_before_the_published_one_is_kept_even_where_one_run_is_asked_for() {
    let shop = Shop::new();
    shop.0.write("credits.toml", format!("{SETTINGS}[run]\nkeep_runs = 1\n"));
    for id in ["a", "b", "c"] {
        shop.succeed(&["--run-id", id, "run"]);
    }
    assert_eq!(names(&shop.0.path("lake/runs")), ["b", "c"].map(str::to_owned).into());
    assert_eq!(names(&shop.0.path("lake/summaries")), ["b.json", "c.json"].map(str::to_owned).into());
}

#[test]
fn query_of_a_run_that_lost_a_file_is_an_error_and_not_an_answer_without_it() {
    let shop = Shop::new();
    shop.succeed(&["--run-id", "night", "run"]);
    for file in ["net_cost/billing_period=2026-02", "credit_queue"] {
        let (folder, aside) = (shop.0.path(&format!("lake/runs/night/{file}")), shop.0.path("aside"));
        fs::rename(&folder, &aside).expect("a moved folder");
        let table = file.split('/').next().expect("a table");
        let query = shop.run(&["query", &format!("SELECT count(*) FROM {table}")]);
        assert!([Some(5), Some(6)].contains(&query.exit_code), "{file}: {query:?}");
        assert!(query.stderr.contains(&format!("{file}/part-0.parquet")), "{file} is named: {query:?}");
        fs::rename(&aside, &folder).expect("a moved folder");
    }
    fs::rename(shop.0.path("lake/runs/night"), shop.0.path("aside")).expect("a moved folder");
    for command in [&["query", "SELECT count(*) FROM net_cost"][..], &["credits"]] {
        let read = shop.run(command);
        assert!([Some(6), Some(7)].contains(&read.exit_code), "{command:?}: {read:?}");
    }
}

#[test]
fn run_that_the_log_does_not_know_stays_unless_it_was_under_way() {
    let shop = Shop::new();
    shop.0.write("credits.toml", format!("{SETTINGS}[run]\nkeep_runs = 2\n"));
    shop.succeed(&["run"]);
    let published = shop.0.path(&format!("lake/runs/{}", shop.published_run()));
    for (name, content) in shop.0.published() {
        shop.0.write(&format!("lake/runs/from-before/{name}"), content);
    }
    shop.0.write("lake/runs/killed/net_cost/part-0.parquet", "half");
    shop.0.write("lake/work/killed/lots/part-0.parquet", "half");
    for id in ["b", "c", "d"] {
        shop.succeed(&["--run-id", id, "run"]);
    }
    assert!(!published.exists(), "the log knows it, and it is older than those to keep");
    assert_eq!(names(&shop.0.path("lake/runs")), ["c", "d", "from-before"].map(str::to_owned).into());
    let again = shop.run(&["--run-id", "from-before", "run"]);
    assert_eq!(again.exit_code, Some(7), "its id is taken: {again:?}");
    assert!(shop.0.path("lake/runs/from-before/net_cost").exists());
}

#[test]
fn generation_that_a_run_made_current_outlives_a_reader_of_the_same_period_that_is_killed() {
    let [first, second] = Shop::undisturbed();
    for delay_ms in [0, 20, 40, 60, 80, 100, 130, 160, 200, 250] {
        let shop = Shop::new();
        shop.succeed(&["run"]);
        assert_same("the first night", &shop.0.published(), &first);
        shop.change();
        let run = shop.start(&["run"]);
        sleep(Duration::from_millis(delay_ms / 2));
        let mut period = shop.start(&["detect-credits", "--period", "2026-03"]);
        sleep(Duration::from_millis(delay_ms));
        period.kill().expect("a killed process");
        period.wait().expect("an ended process");
        let run = outcome(run);
        assert_eq!(run.exit_code, Some(0), "{delay_ms} ms: {run:?}");
        fs::remove_dir_all(shop.0.path("lake/work")).expect("intermediate tables");
        let next = shop.run(&["run"]);
        assert_eq!((next.exit_code, next.stderr.as_str()), (Some(0), ""), "{delay_ms} ms: nothing is missing");
        assert_same(&format!("{delay_ms} ms"), &shop.0.published(), &second);
    }
}

#[test]
fn superseded_generation_stays_for_a_day_and_goes_then() {
    let shop = Shop::new();
    shop.succeed(&["run"]);
    let folders = || {
        let mut all = names(&shop.0.path("lake/generations/2026-03"));
        all.remove("current.json");
        all
    };
    let before = folders();
    shop.change();
    shop.succeed(&["run"]);
    assert!(folders().is_superset(&before) && folders().len() == 2, "somebody may be reading it");
    make_old(&shop.0.path("lake/generations/2026-03"));
    shop.succeed(&["run"]);
    assert!(folders().is_disjoint(&before) && folders().len() == 1, "and then nobody is");
}
