//! Files of the lake that are cut, emptied or have one byte changed: what can be made again is, to the same bytes; of
//! what cannot, somebody is told what to do.

use std::fs;
use std::path::{Path, PathBuf};

use super::shop::{Published, Shop, assert_same, files};
use crate::support::Outcome;

/// What becomes of a file.
#[derive(Debug, Clone, Copy)]
enum Damage {
    Cut,
    Emptied,
    Flipped,
}

const DAMAGES: [Damage; 3] = [Damage::Cut, Damage::Emptied, Damage::Flipped];

impl Damage {
    /// Damages a file in place, links to it included.
    fn to(self, file: &Path) {
        let mut bytes = fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        match self {
            Self::Cut => bytes.truncate(bytes.len() * 2 / 3),
            Self::Emptied => bytes.clear(),
            Self::Flipped => {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 0x04;
            }
        }
        fs::write(file, bytes).expect("a damaged file");
    }
}

/// The folder of the current generation of a period.
fn generation(shop: &Shop, period: &str) -> PathBuf {
    let folder = shop.0.path(&format!("lake/generations/{period}"));
    let pointer = fs::read(folder.join("current.json")).expect("a pointer");
    let pointer: serde_json::Value = serde_json::from_slice(&pointer).expect("a whole pointer");
    folder.join(pointer["folder"].as_str().expect("a folder"))
}

/// A run that heals what was damaged: it ends well, says what it found, and publishes what an undamaged lake would; the
/// run after it finds nothing.
fn assert_heals(context: &str, shop: &Shop, expected: &Published, named: &[&str]) {
    let run = shop.run(&["run"]);
    assert_eq!(run.exit_code, Some(0), "{context}: {run:?}");
    for name in named {
        assert!(run.stderr.contains(name), "{context}: {name} is named: {run:?}");
    }
    assert_same(context, &shop.0.published(), expected);
    let next = shop.run(&["run"]);
    assert_eq!((next.exit_code, next.stderr.as_str()), (Some(0), ""), "{context}: the next run finds it healed");
    assert_same(&format!("{context}, and once more"), &shop.0.published(), expected);
}

/// One error that names the file and says what to do.
fn assert_told(context: &str, failed: &Outcome, named: &[&str]) {
    assert_eq!(failed.exit_code, Some(5), "{context}: {failed:?}");
    let last = failed.stderr.lines().last().unwrap_or_default();
    assert!(last.starts_with("error: "), "{context}: {failed:?}");
    for name in named {
        assert!(last.contains(name), "{context}: says {name}: {last}");
    }
}

#[test]
fn damaged_pointer_of_a_period_is_made_again_from_the_record_in_its_newest_folder() {
    let shop = Shop::new();
    shop.succeed(&["run"]);
    let first = shop.0.published();
    let pointer = shop.0.path("lake/generations/2026-02/current.json");
    let whole = fs::read(&pointer).expect("a pointer");
    for damage in DAMAGES {
        damage.to(&pointer);
        assert_heals(&format!("{damage:?}"), &shop, &first, &["2026-02/current.json"]);
        assert_eq!(fs::read(&pointer).expect("a pointer"), whole, "{damage:?}: nothing was read again");
    }
    fs::remove_file(&pointer).expect("a pointer");
    assert_heals("removed", &shop, &first, &["2026-02/current.json"]);
}

#[test]
fn damaged_table_of_a_period_is_read_again_while_the_export_has_it() {
    let shop = Shop::new();
    shop.succeed(&["run"]);
    let first = shop.0.published();
    for damage in DAMAGES {
        for table in ["cost_lines", "credit_lines"] {
            let before = generation(&shop, "2026-01");
            damage.to(&before.join(table).join("part-0.parquet"));
            fs::remove_dir_all(shop.0.path("lake/work")).expect("intermediate tables");
            let context = format!("{table}, {damage:?}");
            assert_heals(&context, &shop, &first, &[&format!("{table}/part-0.parquet"), "read again"]);
            assert_ne!(generation(&shop, "2026-01"), before, "{context}: into a folder of its own");
        }
    }
}

#[test]
fn damaged_table_or_pointer_of_a_period_that_is_gone_from_the_export_is_named_with_what_to_do() {
    let shop = Shop::new();
    shop.succeed(&["run"]);
    let delivery = fs::read(shop.0.path("cur/cur-2026-01.csv")).expect("a delivery");
    fs::remove_file(shop.0.path("cur/cur-2026-01.csv")).expect("a delivery");
    shop.succeed(&["run"]);
    let kept = shop.0.published();
    let pointer = shop.0.path("lake/generations/2026-01/current.json");
    let folder = generation(&shop, "2026-01");
    let table = folder.join("cost_lines/part-0.parquet");
    let whole = fs::read(&table).expect("a table");
    for damage in DAMAGES {
        let context = format!("{damage:?}");
        damage.to(&table);
        let what_to_do = ["cost_lines/part-0.parquet", "backup", "deliver", "lake drop-period 2026-01"];
        assert_told(&context, &shop.run(&["run"]), &what_to_do);
        fs::write(&table, &whole).expect("a table from a backup");
        damage.to(&pointer);
        assert_heals(&context, &shop, &kept, &["2026-01/current.json"]);
        damage.to(&pointer);
        let record = fs::read(folder.join("generation.json")).expect("a record");
        damage.to(&folder.join("generation.json"));
        assert_told(&context, &shop.run(&["run"]), &["2026-01/current.json", "backup", "lake drop-period 2026-01"]);
        let queue = shop.run(&["queue"]);
        assert_told(&context, &queue, &["2026-01/current.json"]);
        fs::write(folder.join("generation.json"), record).expect("a record from a backup");
        shop.succeed(&["run"]);
    }
    damage_all(&folder, Damage::Cut);
    assert_told("delivered again", &shop.run(&["run"]), &["part-0.parquet"]);
    shop.0.write("cur/cur-2026-01.csv", delivery);
    assert_heals("delivered again", &shop, &kept, &["part-0.parquet"]);
}

fn damage_all(folder: &Path, damage: Damage) {
    for file in files(folder) {
        damage.to(&folder.join(file));
    }
}

#[test]
fn damaged_published_table_is_made_again_and_never_published_again() {
    let shop = Shop::new();
    shop.succeed(&["run"]);
    let first = shop.0.published();
    let of_run = || shop.0.path(&format!("lake/runs/{}", shop.published_run()));
    for (number, file) in first.keys().enumerate() {
        let damage = DAMAGES[number % DAMAGES.len()];
        damage.to(&of_run().join(file));
        // Every run makes these anew and reads nothing of the published ones.
        let is_read = !["allocation_issues/", "credit_queue/"].iter().any(|table| file.starts_with(table));
        let told: &[&str] = if is_read { &[file] } else { &[] };
        assert_heals(&format!("{file}, {damage:?}"), &shop, &first, told);
    }
    for damage in DAMAGES {
        damage_all(&of_run(), damage);
        assert_heals(&format!("all, {damage:?}"), &shop, &first, &["manifest.json"]);
    }
    for file in ["net_cost/billing_period=2026-02/part-0.parquet", "credits/part-0.parquet"] {
        fs::remove_file(of_run().join(file)).expect("a table");
        assert_heals(&format!("{file}, removed"), &shop, &first, &[file]);
    }
}

#[test]
fn damaged_published_tables_are_made_again_beside_what_changed() {
    let [_, second] = Shop::undisturbed();
    for damage in DAMAGES {
        let shop = Shop::new();
        shop.succeed(&["run"]);
        damage_all(&shop.0.path("lake/published/net_cost"), damage);
        damage_all(&shop.0.path("lake/published/credit_balances/billing_period=2026-01"), damage);
        shop.change();
        assert_heals(&format!("{damage:?}"), &shop, &second, &["net_cost/", "credit_balances/"]);
    }
}

#[test]
fn damaged_intermediate_tables_of_the_published_run_are_made_again() {
    let [_, second] = Shop::undisturbed();
    for damage in DAMAGES {
        let shop = Shop::new();
        shop.succeed(&["run"]);
        damage_all(&shop.0.path("lake/work"), damage);
        shop.change();
        assert_heals(&format!("{damage:?}"), &shop, &second, &["cells/"]);
    }
}

#[test]
fn damaged_work_of_a_run_is_named_and_a_new_run_gets_over_it() {
    let [expected, _] = Shop::undisturbed();
    let jobs = ["detect-credits", "join-allocations", "apply-fifo", "write-net-cost"];
    // The job whose output is damaged, the file, and the job that finds it.
    for (done, file, finds) in [
        (1, "detect-credits.json", "join-allocations"),
        (1, "credit_register/part-0.parquet", "join-allocations"),
        (2, "join-allocations.json", "apply-fifo"),
        (2, "lots/part-0.parquet", "apply-fifo"),
        (2, "cells/billing_period=2026-01/part-0.parquet", "apply-fifo"),
        (3, "apply-fifo.json", "write-net-cost"),
        (3, "../../runs/night/credit_balances/billing_period=2026-03/part-0.parquet", "write-net-cost"),
        (4, "write-net-cost.json", "publish"),
    ] {
        for damage in DAMAGES {
            let context = format!("{file}, {damage:?}");
            let shop = Shop::new();
            for job in &jobs[..done] {
                shop.succeed(&["--run-id", "night", job]);
            }
            damage.to(&shop.0.path(&format!("lake/work/night/{file}")));
            let told = file.trim_start_matches("../../");
            assert_told(&context, &shop.run(&["--run-id", "night", finds]), &[told, "start a new run"]);
            shop.succeed(&["run"]);
            assert_same(&context, &shop.0.published(), &expected);
            shop.assert_tidy();
        }
    }
}

#[test]
fn staged_run_that_is_not_whole_is_not_published() {
    let shop = Shop::new();
    shop.succeed(&["run"]);
    let first = shop.0.published();
    for (file, damage) in [
        ("net_cost_summary/billing_period=2026-02/part-0.parquet", Damage::Cut),
        ("net_cost/billing_period=2026-02/part-0.parquet", Damage::Flipped),
        ("manifest.json", Damage::Flipped),
    ] {
        for job in ["detect-credits", "join-allocations", "apply-fifo", "write-net-cost"] {
            shop.succeed(&["--run-id", "night", job]);
        }
        let staged = shop.0.path(&format!("lake/runs/night/{file}"));
        // The link to what is published stays whole.
        let bytes = fs::read(&staged).expect("a staged file");
        fs::remove_file(&staged).expect("a link");
        fs::write(&staged, bytes).expect("a file");
        damage.to(&staged);
        assert_told(file, &shop.run(&["--run-id", "night", "publish"]), &[file, "start a new run"]);
        assert_same(file, &shop.0.published(), &first);
    }
    assert_heals("a new run", &shop, &first, &[]);
}

#[test]
fn damaged_markers_and_summaries_stop_nobody() {
    for damage in DAMAGES {
        let shop = Shop::new();
        shop.succeed(&["--run-id", "slow", "detect-credits"]);
        shop.succeed(&["run"]);
        damage_all(&shop.0.path("lake/superseded"), damage);
        damage_all(&shop.0.path("lake/summaries"), damage);
        assert_eq!(shop.run(&["--run-id", "slow", "join-allocations"]).exit_code, Some(7), "{damage:?}: it lost");
        let first = shop.0.published();
        assert_heals(&format!("{damage:?}"), &shop, &first, &[]);
        shop.assert_tidy();
    }
}

#[test]
fn lake_of_the_version_before_checksums_is_read_as_it_is_and_gets_them() {
    let shop = Shop::new();
    shop.succeed(&["run"]);
    let first = shop.0.published();
    let edit = |file: PathBuf, edit: &dyn Fn(&mut serde_json::Map<String, serde_json::Value>)| {
        let mut record: serde_json::Value = serde_json::from_slice(&fs::read(&file).expect("a record")).expect("JSON");
        let fields = record.as_object_mut().expect("a record");
        fields.remove("xxh64");
        edit(fields);
        fs::write(&file, record.to_string()).expect("a record");
    };
    for period in ["2026-01", "2026-02", "2026-03"] {
        let folder = generation(&shop, period);
        fs::remove_file(folder.join("generation.json")).expect("a record");
        edit(folder.with_file_name("current.json"), &|fields| {
            fields.remove("folder");
            fields.remove("tables");
        });
        let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
        let fingerprint = name.split_once('-').expect("an attempt").0;
        fs::rename(&folder, folder.with_file_name(fingerprint)).expect("a renamed folder");
    }
    fs::remove_dir_all(shop.0.path("lake/work")).expect("intermediate tables");
    fs::remove_file(shop.0.path("lake/published/manifest.json")).expect("a manifest");
    shop.succeed(&["queue"]);
    shop.rows("SELECT * FROM cost_lines");
    assert_heals("the first night after", &shop, &first, &[]);
    shop.change();
    shop.succeed(&["run"]);
    let [_, second] = Shop::undisturbed();
    assert_same("the second night after", &shop.0.published(), &second);
}

#[test]
fn query_of_a_damaged_table_names_the_file() {
    for damage in DAMAGES {
        let shop = Shop::new();
        shop.succeed(&["run"]);
        for (table, file) in [
            ("credit_lines", generation(&shop, "2026-01").join("credit_lines/part-0.parquet")),
            ("net_cost", shop.0.path("lake/published/net_cost/billing_period=2026-01/part-0.parquet")),
            ("credits", shop.0.path("lake/published/credits/part-0.parquet")),
        ] {
            let whole = fs::read(&file).expect("a table");
            if let Damage::Flipped = damage {
                // The last byte: what is flipped in a page may read as another value, and the next run finds it.
                let mut bytes = whole.clone();
                *bytes.last_mut().expect("a byte") ^= 0x04;
                fs::write(&file, bytes).expect("a damaged table");
            } else {
                damage.to(&file);
            }
            let query = shop.run(&["query", &format!("SELECT * FROM {table}")]);
            let context = format!("{table}, {damage:?}");
            assert_told(&context, &query, &[&format!("{table}/"), "/part-0.parquet"]);
            if table == "credits" {
                assert_told(&context, &shop.run(&["credits"]), &["credits/part-0.parquet"]);
            }
            fs::write(&file, whole).expect("a table");
        }
    }
}
