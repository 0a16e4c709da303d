//! Several processes at work on one lake.

use std::thread::sleep;
use std::time::Duration;

use super::shop::{Shop, assert_same, outcome};

/// The jobs of a night before `publish`.
const JOBS: [&str; 4] = ["detect-credits", "join-allocations", "apply-fifo", "write-net-cost"];

#[test]
fn two_runs_at_once_publish_what_one_alone_would_and_the_loser_is_told_to_retry() {
    let [expected, _] = Shop::undisturbed();
    let mut lost = 0;
    for delay_ms in [0, 5, 60, 200, 350] {
        let shop = Shop::new();
        let one = shop.start(&["--run-id", "one", "run"]);
        sleep(Duration::from_millis(delay_ms));
        let other = shop.start(&["--run-id", "other", "run"]);
        let outcomes = [outcome(one), outcome(other)];
        let codes: Vec<Option<i32>> = outcomes.iter().map(|outcome| outcome.exit_code).collect();
        assert!(codes.contains(&Some(0)), "one must win: {outcomes:?}");
        assert!(codes.iter().all(|code| [Some(0), Some(7)].contains(code)), "win or lose, nothing else: {outcomes:?}");
        lost += codes.iter().filter(|code| **code == Some(7)).count();
        assert_same(&format!("{delay_ms} ms apart"), &shop.0.published(), &expected);
        shop.assert_tidy();
    }
    assert!(lost > 0, "the runs never met");
}

#[test]
fn run_that_was_overtaken_by_a_whole_run_cannot_publish() {
    let shop = Shop::new();
    shop.succeed(&["run"]);
    for job in JOBS {
        shop.succeed(&["--run-id", "slow", job]);
    }
    shop.change();
    shop.succeed(&["--run-id", "quick", "run"]);
    let published = shop.0.published();

    let late = shop.run(&["--run-id", "slow", "publish"]);
    assert_eq!(late.exit_code, Some(7), "{late:?}");
    assert_eq!(late.stderr, "error: run slow was overtaken: quick was published meanwhile; start a new run\n");
    assert_eq!(shop.published_run(), "quick");
    assert_same("after the late publish", &shop.0.published(), &published);
    shop.assert_tidy();
}

#[test]
fn run_cannot_follow_a_run_whose_publish_broke_off_after_the_switch() {
    let shop = Shop::new();
    for run in ["slow", "quick"] {
        for job in JOBS {
            shop.succeed(&["--run-id", run, job]);
        }
    }
    std::os::unix::fs::symlink("runs/quick", shop.0.path("lake/published")).expect("the switch, and nothing after it");
    let late = shop.run(&["--run-id", "slow", "publish"]);
    assert_eq!(late.exit_code, Some(7), "{late:?}");
    let reason = "error: run slow was staged to follow no run, but quick is published now; start a new run\n";
    assert_eq!(late.stderr, reason);
    shop.succeed(&["--run-id", "quick", "publish"]);
    assert_eq!(shop.published_run(), "quick");
    shop.assert_tidy();
}

#[test]
fn run_that_was_overtaken_loses_at_its_next_job_whichever_that_is() {
    for done in 1..JOBS.len() {
        let shop = Shop::new();
        for job in &JOBS[..done] {
            shop.succeed(&["--run-id", "slow", job]);
        }
        shop.succeed(&["--run-id", "quick", "run"]);
        let next = shop.run(&["--run-id", "slow", JOBS[done]]);
        assert_eq!(next.exit_code, Some(7), "{}: {next:?}", JOBS[done]);
    }
}

#[test]
fn overtaken_run_that_starts_again_under_its_id_is_published() {
    let shop = Shop::new();
    shop.succeed(&["--run-id", "slow", "detect-credits"]);
    shop.succeed(&["--run-id", "quick", "run"]);
    let published = shop.0.published();
    for job in JOBS.iter().chain(&["publish"]) {
        shop.succeed(&["--run-id", "slow", job]);
    }
    assert_eq!(shop.published_run(), "slow");
    assert_same("the same inputs", &shop.0.published(), &published);
    shop.assert_tidy();
}

#[test]
fn new_lake_that_eight_processes_open_at_once_is_made_once() {
    let shop = Shop::new();
    let children: Vec<_> = (0..8).map(|_| shop.start(&["detect-credits", "--plan"])).collect();
    for child in children {
        let opened = outcome(child);
        assert_eq!(opened.exit_code, Some(0), "{opened:?}");
    }
    shop.succeed(&["run"]);
    shop.assert_tidy();
}

/// Key, allocated amount, and the sum over the lots as `credit_balances` has them.
const ALLOCATED: &str = "SELECT c.credit_key, c.allocated_amount, b.amount FROM credits c JOIN (\
SELECT credit_key, sum(issued) AS amount FROM credit_balances GROUP BY credit_key) b ON b.credit_key = c.credit_key \
WHERE c.allocated_amount IS NOT NULL ORDER BY 1";

/// The newest revision of each credit, as the log has it.
const NEWEST: &str = "SELECT l.credit_key, sum(l.amount) FROM allocations_log l JOIN (\
SELECT credit_key, max(recorded_at) AS at FROM allocations_log GROUP BY credit_key) n \
ON n.credit_key = l.credit_key AND n.at = l.recorded_at GROUP BY l.credit_key ORDER BY 1";

fn assert_next_run_counts_the_newest(shop: &Shop) {
    shop.succeed(&["run"]);
    let counted = shop.rows("SELECT credit_key, allocated_amount FROM credits ORDER BY 1");
    assert_eq!(counted, shop.rows(NEWEST), "the next run counts the newest revision of each credit");
    assert_eq!(counted.len(), 2);
}

#[test]
fn allocations_that_eight_processes_record_during_a_run_are_all_kept() {
    let shop = Shop::new();
    shop.succeed(&["run"]);
    let run = shop.start(&["run"]);
    let children = [1000, 1010, 1020, 1030, 1040, 1050, 1060, 1070].map(|amount: u32| {
        let name = if amount.is_multiple_of(20) { "Credit A" } else { "Credit B" };
        let credit = ["allocate", "--code", name, "--account", "111111111111", "--by", "finance"];
        shop.start(&[&credit[..], &["--amount", &amount.to_string(), "--to", "Retail"]].concat())
    });
    for child in children.into_iter().chain([run]) {
        let ended = outcome(child);
        assert_eq!(ended.exit_code, Some(0), "{ended:?}");
    }
    assert_eq!(shop.rows("SELECT count(DISTINCT allocation_id), count(*) FROM allocations_log"), ["9,9"]);
    assert_next_run_counts_the_newest(&shop);
}

#[test]
fn allocations_of_several_lots_recorded_during_runs_are_never_half_seen() {
    const REVISIONS: u32 = 8;
    let shop = Shop::new();
    shop.succeed(&["run"]);
    let record = || {
        for number in 0..REVISIONS {
            let lot = |amount: u32| format!("Credit B,111111111111,,{amount},USD,,,Retail,,,\n");
            let header = "promotion_code,account_id,credit_key,amount,currency,end_date,reference,business_unit,\
                          department,portfolio,product\n";
            shop.0.write("lots.csv", [header.to_owned(), lot(1000 + number), lot(1000 + number)].concat());
            let path = shop.0.path("lots.csv").display().to_string();
            shop.succeed(&["allocations", "import", &path, "--by", "finance"]);
        }
    };
    std::thread::scope(|scope| {
        let recording = scope.spawn(record);
        while !recording.is_finished() {
            shop.succeed(&["run"]);
            for row in shop.rows(ALLOCATED) {
                let [key, allocated, lots] = row.split(',').collect::<Vec<_>>()[..] else { panic!("{row}") };
                assert_eq!(allocated, lots, "credits and credit_balances are of one snapshot");
                let whole = key.contains("Credit A") || allocated.starts_with("20");
                assert!(whole, "{allocated} is one lot of two");
            }
        }
    });
    assert_eq!(shop.rows("SELECT count(DISTINCT allocation_id), count(*) FROM allocations_log"), ["9,17"]);
    assert_next_run_counts_the_newest(&shop);
}
