//! A run takes over what it would make again, and only that.

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
fn periods_whose_inputs_are_the_same_are_taken_over() {
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
    let of_january = ["credit_impact", "net_cost_summary", "reconciliation"].map(|table| format!("{table}/2026-01"));
    assert_eq!(made_anew(&shop, &before), of_january, "January got a budget");
}

#[test]
fn later_months_are_made_again_only_if_something_else_was_left_for_them() {
    let shop = Shop::new();
    shop.succeed(&["run"]);
    let first = inodes(&shop);
    let january = fs::read_to_string(shop.0.path("cur/cur-2026-01.csv")).expect("a readable file");
    shop.0.write("cur/cur-2026-01.csv", &january);
    shop.0.write("cur/cur-2026-03.csv", shop.second_delivery());
    shop.succeed(&["run"]);
    let delivered = all_tables_of(&["2026-01", "2026-03"]);
    assert_eq!(made_anew(&shop, &first), delivered, "as much is left of credit A for February");
    assert_shows_what_it_would_without_anything_kept(&shop, "February was taken over");

    let before = inodes(&shop);
    let late_line = shop.second_delivery().lines().nth_back(1).expect("a line of usage").replace("2026-03", "2026-01");
    shop.0.write("cur/cur-2026-01.csv", format!("{january}{late_line}\n"));
    shop.succeed(&["run"]);
    let since_january = all_tables_of(&["2026-01", "2026-02", "2026-03"]);
    assert_eq!(made_anew(&shop, &before), since_january, "credit A drew more in January");
    assert_shows_what_it_would_without_anything_kept(&shop, "nothing was taken over");
}

fn remove(shop: &Shop, kept: &str) {
    let path = shop.0.path(kept);
    if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) }.expect("something to remove");
}

fn assert_shows_what_it_would_without_anything_kept(shop: &Shop, context: &str) {
    let taken_over = shop.0.published();
    remove(shop, "lake/cache");
    shop.succeed(&["run"]);
    assert_same(context, &shop.0.published(), &taken_over);
}

#[test]
fn what_is_kept_to_be_taken_over_may_be_removed_at_any_time() {
    let [first, second] = Shop::undisturbed();
    let lost = [
        "lake/cache",
        "lake/cache/cells",
        "lake/cache/logs",
        "lake/cache/published.json",
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
fn record_of_what_was_made_that_nobody_can_read_counts_as_none() {
    let shop = Shop::new();
    shop.succeed(&["run"]);
    let published = shop.0.published();
    for text in ["", "{\"run_id\": 7}", "{"] {
        shop.0.write("lake/cache/published.json", text);
        shop.succeed(&["run"]);
        assert_same("an unreadable record", &shop.0.published(), &published);
    }
}

#[test]
fn a_log_is_read_from_what_is_kept_of_it_unless_that_is_damaged_or_old() {
    let shop = Shop::new();
    shop.succeed(&["run"]);
    let kept = files(&shop.0.path("lake/cache/logs"));
    let logs: Vec<&str> = kept.iter().filter_map(|file| file.split('/').next()).collect();
    assert_eq!(logs, ["allocations_log", "credits_log", "runs_log"], "one state of each log");

    let (warehouse, away) = (shop.0.path("lake/warehouse"), shop.0.path("warehouse-away"));
    fs::rename(warehouse.join("finops_credits"), &away).expect("the logs");
    for log in logs {
        // Its states stay, its rows go.
        let metadata = format!("finops_credits/{log}/metadata");
        fs::create_dir_all(warehouse.join(&metadata)).expect("a folder");
        for file in files(&away.join(log).join("metadata")) {
            let from = away.join(log).join("metadata").join(&file);
            fs::copy(from, warehouse.join(&metadata).join(file)).expect("a state of a log");
        }
    }
    shop.0.write("cur/cur-2026-03.csv", shop.second_delivery());
    shop.succeed(&["run"]);
    let delivered = shop.0.published();
    for file in files(&away).iter().filter(|file| file.contains("/data/")) {
        let to = warehouse.join("finops_credits").join(file);
        fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
        fs::copy(away.join(file), to).expect("rows of a log");
    }

    shop.succeed(&ALLOCATE_B);
    shop.succeed(&["run"]);
    assert_ne!(shop.0.published(), delivered, "what was recorded since the log was kept counts");
    assert_shows_what_it_would_without_anything_kept(&shop, "a log that grew");

    let published = shop.0.published();
    for file in files(&shop.0.path("lake/cache/logs")) {
        shop.0.write(&format!("lake/cache/logs/{file}"), "damaged");
    }
    shop.succeed(&["run"]);
    assert_same("what is kept is damaged", &shop.0.published(), &published);
}

#[test]
fn a_run_of_which_nothing_changed_takes_over_every_file() {
    let shop = Shop::new();
    shop.succeed(&["run"]);
    let first = inodes(&shop);
    let summary = shop.succeed(&["--format", "json", "run"]);
    assert_eq!(inodes(&shop), first);
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
        run("taken-over", jobs);
        let taken_over = shop.0.published();
        remove(&shop, "lake/cache");
        run("anew", &["run"]);
        assert_same(name, &shop.0.published(), &taken_over);
    }
}
