//! The same inputs and as-of date give the same bytes, however the work is cut into processes, lakes and threads.

use std::fs;
use std::path::Path;

use crate::faults::shop::{Shop, assert_same, files};
use crate::support::Workspace;

pub(crate) const JOBS: [&str; 5] = ["detect-credits", "join-allocations", "apply-fifo", "write-net-cost", "publish"];
const SURROUNDINGS: [&str; 3] = ["elsewhere/home", "elsewhere/tmp", "elsewhere/cwd"];

/// A workspace of the committed sample organisation with `threads` of its settings.
pub(crate) fn sample(threads: Option<usize>) -> Workspace {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let workspace = Workspace::new();
    for file in files(&repository.join("data")) {
        let content = fs::read(repository.join("data").join(&file)).expect("a readable file");
        workspace.write(&format!("data/{file}"), content);
    }
    let settings = fs::read_to_string(repository.join("credits.toml")).expect("the sample's settings");
    let line = threads.map_or(String::new(), |threads| format!("threads = {threads}\n"));
    workspace.write("credits.toml", settings.replace("[run]\n", &format!("[run]\n{line}")));
    workspace
}

fn must(result: Result<String, String>) {
    result.unwrap_or_else(|problem| panic!("{problem}"));
}

#[test]
fn run_and_its_jobs_one_by_one_in_processes_that_share_only_the_lake_give_the_same_bytes() {
    let [first, second] = Shop::undisturbed();
    let shop = Shop::new();
    for (night, expected) in [("one", &first), ("two", &second)] {
        if night == "two" {
            shop.change();
        }
        for job in JOBS {
            shop.succeed(&["--run-id", night, job]);
            for folder in SURROUNDINGS {
                let left = files(&shop.0.path(folder));
                assert!(left.is_empty() || folder != "elsewhere/cwd", "{job} wrote where it was started: {left:?}");
                shop.0.empty(folder);
            }
        }
        assert_same(&format!("night {night}, job by job"), &shop.0.published(), expected);
    }
    shop.assert_tidy();
}

#[test]
fn second_run_of_unchanged_inputs_changes_no_byte() {
    let shop = Shop::new();
    shop.succeed(&["--run-id", "one", "run"]);
    let published = shop.0.published();
    let summary = shop.succeed(&["--run-id", "two", "run"]);
    assert!(summary.contains("0 periods read (0 lines), 3 unchanged (7 lines)"), "nothing is read again:\n{summary}");
    assert_eq!(shop.published_run(), "two");
    assert_same("run twice", &shop.0.published(), &published);
}

#[test]
fn lake_that_is_made_anew_from_the_same_inputs_shows_the_same_bytes() {
    let shop = Shop::new();
    shop.succeed(&["run"]);
    shop.change();
    shop.succeed(&["run"]);
    let grown = shop.0.published();
    fs::remove_dir_all(shop.0.path("lake")).expect("a removed lake");
    shop.succeed(&["run"]);
    shop.change();
    shop.succeed(&["run"]);
    assert_same("a lake made anew", &shop.0.published(), &grown);
}

#[test]
fn sample_organisation_gives_the_same_bytes_with_any_number_of_threads_and_on_any_lake() {
    let as_of = "2026-10-31";
    let one = sample(None);
    must(one.try_run(as_of, &["run"]));
    let expected = one.published();
    assert!(expected.len() > 30, "the sample has six periods of seven tables");
    for threads in [1, 7] {
        let other = sample(Some(threads));
        must(other.try_run(as_of, &["run"]));
        assert_same(&format!("{threads} threads"), &other.published(), &expected);
    }
}
