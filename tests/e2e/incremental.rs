//! A run reuses what it would make again, and only that.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::determinism::JOBS;
use crate::faults::shop::{ALLOCATE_B, AS_OF, Shop, assert_same, files};

/// Published files by path below `published/`, with what tells a file from its equal copy.
fn inodes(shop: &Shop) -> BTreeMap<String, u64> {
    let published = shop.0.path("lake/published");
    let inode = |file: &String| fs::metadata(published.join(file)).expect("a published file").ino();
    let tables = files(&published).into_iter().filter(|file| file != "manifest.json");
    tables.map(|file| (file.clone(), inode(&file))).collect()
}

/// The partitioned files that are not the ones of `before`.
fn made_anew(shop: &Shop, before: &BTreeMap<String, u64>) -> Vec<String> {
    let now = inodes(shop).into_iter();
    let anew = now.filter(|(file, inode)| file.contains("billing_period=") && before.get(file) != Some(inode));
    anew.map(|(file, _)| file.trim_end_matches("/part-0.parquet").replace("billing_period=", "")).collect()
}

const OF_A_PERIOD: [&str; 6] =
    ["credit_balances", "credit_consumption", "credit_impact", "net_cost", "net_cost_summary", "reconciliation"];

fn all_tables_of(periods: &[&str]) -> Vec<String> {
    OF_A_PERIOD.iter().flat_map(|table| periods.iter().map(move |period| format!("{table}/{period}"))).collect()
}

#[test]
fn tables_whose_inputs_are_unchanged_are_reused() {
    let shop = Shop::new();
    shop.succeed(&["run"]);
    let first = inodes(&shop);
    shop.succeed(&["run"]);
    assert_eq!(made_anew(&shop, &first), Vec::<String>::new(), "nothing changed");

    shop.0.write("cur/cur-2026-03.csv", shop.second_delivery());
    shop.succeed(&["run"]);
    assert_eq!(made_anew(&shop, &first), all_tables_of(&["2026-03"]), "March was delivered again");

    let before = inodes(&shop);
    shop.change();
    shop.succeed(&["run"]);
    let since_b = all_tables_of(&["2026-02", "2026-03"]);
    assert_eq!(made_anew(&shop, &before), since_b, "credit B, issued in February, was allocated");

    let before = inodes(&shop);
    let budgets = fs::read_to_string(shop.0.path("reference/budgets.csv")).expect("budgets");
    let budgets = format!("{}\n2026-01,Retail,,,,USD,7\n", budgets.trim_end());
    shop.0.write("reference/budgets.csv", budgets);
    shop.succeed(&["run"]);
    assert_eq!(made_anew(&shop, &before), ["net_cost_summary/2026-01"], "January got a budget");
}

#[test]
fn later_month_is_reused_if_its_inputs_and_opening_balances_are_unchanged() {
    let shop = Shop::new();
    shop.succeed(&["run"]);
    let first = inodes(&shop);
    let january = fs::read_to_string(shop.0.path("cur/cur-2026-01.csv")).expect("a readable file");
    shop.0.write("cur/cur-2026-01.csv", &january);
    shop.0.write("cur/cur-2026-03.csv", shop.second_delivery());
    shop.succeed(&["run"]);
    let delivered = all_tables_of(&["2026-01", "2026-03"]);
    assert_eq!(made_anew(&shop, &first), delivered, "as much is left of credit A for February");
    assert_shows_what_it_would_without_anything_kept(&shop, "February was reused");

    let before = inodes(&shop);
    let late_line = shop.second_delivery().lines().nth_back(1).expect("a line of usage").replace("2026-03", "2026-01");
    shop.0.write("cur/cur-2026-01.csv", format!("{january}{late_line}\n"));
    shop.succeed(&["run"]);
    let since_january = all_tables_of(&["2026-01", "2026-02", "2026-03"]);
    assert_eq!(made_anew(&shop, &before), since_january, "credit A drew more in January");
    assert_shows_what_it_would_without_anything_kept(&shop, "nothing was reused");
}

fn remove(shop: &Shop, kept: &str) {
    let path = shop.0.path(kept);
    if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) }.expect("something to remove");
}

/// Without its manifest nothing is known of what a run is made from.
fn remove_what_can_be_reused(shop: &Shop) {
    remove(shop, "lake/work");
    remove(shop, "lake/published/manifest.json");
}

fn assert_shows_what_it_would_without_anything_kept(shop: &Shop, context: &str) {
    let reused = shop.0.published();
    remove_what_can_be_reused(shop);
    shop.succeed(&["run"]);
    assert_same(context, &shop.0.published(), &reused);
}

#[test]
fn what_can_be_reused_may_be_removed_at_any_time() {
    let [first, second] = Shop::undisturbed();
    let lost = [
        "lake/work",
        "lake/published/manifest.json",
        "lake/published/credit_balances/billing_period=2026-01",
        "lake/published/credit_consumption/billing_period=2026-02",
        "lake/published/credits",
        "lake/published/net_cost",
        "lake/published/reconciliation/billing_period=2026-02",
    ];
    for lost in lost {
        let shop = Shop::new();
        shop.succeed(&["run"]);
        remove(&shop, lost);
        shop.succeed(&["run"]);
        assert_same(&format!("{lost} removed, same inputs"), &shop.0.published(), &first);
        shop.change();
        if shop.0.path(lost).exists() {
            remove(&shop, lost);
        }
        shop.succeed(&["run"]);
        assert_same(&format!("{lost} removed, other inputs"), &shop.0.published(), &second);
        shop.assert_tidy();
    }
}

#[test]
fn run_of_which_nothing_changed_reuses_every_partition() {
    let shop = Shop::new();
    shop.succeed(&["run"]);
    let first = inodes(&shop);
    let summary = shop.succeed(&["--format", "json", "run"]);
    assert_eq!(made_anew(&shop, &first), Vec::<String>::new());
    let summary: serde_json::Value = serde_json::from_str(&summary).expect("a summary");
    assert_eq!(summary["credits"]["registered"], 2);
    assert_eq!(summary["credits"]["new"].as_array().map(Vec::len), Some(0), "{summary}");
    shop.assert_tidy();
}

#[test]
fn whatever_changes_a_run_shows_what_it_would_without_anything_kept() {
    type Change = fn(&Shop);
    fn append(shop: &Shop, file: &str, row: &str) {
        let text = fs::read_to_string(shop.0.path(file)).expect("a readable file");
        shop.0.write(file, format!("{}\n{row}\n", text.trim_end()));
    }
    let changes: [(&str, &str, Change); 7] = [
        ("nothing", AS_OF, |_| {}),
        ("the date", "2026-03-17", |_| {}),
        ("the settings", AS_OF, |shop| append(shop, "credits.toml", "[credits]\nexpiring_soon_days = 400")),
        ("the hierarchy", AS_OF, |shop| append(shop, "reference/hierarchy.csv", "Attic,,,")),
        ("the rules", AS_OF, |shop| {
            let file = "reference/cost_rules.csv";
            let rules = fs::read_to_string(shop.0.path(file)).expect("rules");
            shop.0.write(file, rules.lines().take(2).collect::<Vec<_>>().join("\n") + "\n");
        }),
        ("an allocation", AS_OF, |shop| drop(shop.succeed(&ALLOCATE_B))),
        ("the export", AS_OF, |shop| shop.0.write("cur/cur-2026-03.csv", shop.second_delivery())),
    ];
    let in_one_process_or_several: [&[&str]; 2] = [&["run"], &JOBS];
    for (jobs, (name, as_of, change)) in
        in_one_process_or_several.into_iter().flat_map(|jobs| changes.map(|of| (jobs, of)))
    {
        let shop = Shop::new();
        let allocations = fs::read_to_string(shop.0.path("reference/allocations.csv")).expect("allocations");
        shop.0.write("reference/allocations.csv", allocations.replace("100,USD,,", "100000,USD,2026-12-31,"));
        shop.succeed(&["run"]);
        change(&shop);
        let run = |run_id: &str, jobs: &[&str]| {
            for job in jobs {
                let ran = shop.0.try_run(as_of, &["--run-id", run_id, job]);
                ran.unwrap_or_else(|problem| panic!("{name}, {job}: {problem}"));
            }
        };
        run("reused", jobs);
        let reused = shop.0.published();
        remove_what_can_be_reused(&shop);
        run("anew", &["run"]);
        assert_same(name, &shop.0.published(), &reused);
    }
}

#[test]
fn run_that_broke_off_is_continued_job_by_job_to_the_same_bytes() {
    let [_, expected] = Shop::undisturbed();
    for done in 0..JOBS.len() - 1 {
        let shop = Shop::new();
        shop.succeed(&["run"]);
        shop.change();
        // As a `run` leaves it that was killed after so many jobs: they are the same code.
        for job in &JOBS[..=done] {
            shop.succeed(&["--run-id", "night", job]);
        }
        for job in &JOBS[done + 1..] {
            shop.succeed(&["--run-id", "night", job]);
        }
        assert_same(&format!("continued after {}", JOBS[done]), &shop.0.published(), &expected);
    }
}
