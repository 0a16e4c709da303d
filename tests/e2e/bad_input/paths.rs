//! Names of folders and files that programs take for something else.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::{AS_OF, HIERARCHY, RULES, USAGE, cur_2, good_input};
use crate::support::Workspace;

const NAMES: [&str; 7] = ["what?", "all*", "[a-z]", "100%25", "no#1", "with space", "Zürich 'q' {x} +&=~;"];
const LATIN_1: &[u8] = b"Z\xfcrich";

fn not_utf_8() -> PathBuf {
    PathBuf::from(OsStr::from_bytes(LATIN_1))
}

/// Runs, allocates, runs job by job and asks: everything comes to the right figures.
fn works(workspace: &Workspace, name: &str) {
    let run = |arguments: &[&str]| {
        workspace.try_run(AS_OF, arguments).unwrap_or_else(|problem| panic!("{name}: {problem}"));
    };
    run(&["run"]);
    run(&["allocate", "--key", "id:1", "--amount", "5", "--to", "Retail"]);
    run(&["run"]);
    run(&["credits"]);
    for job in ["detect-credits", "join-allocations", "apply-fifo", "write-net-cost", "publish"] {
        run(&[job, "--run-id", "night-1"]);
    }
    let sql = "SELECT (SELECT sum(net_cost) FROM net_cost) AS net_cost, (SELECT sum(charges) FROM cost_lines) AS charges, \
               (SELECT count(*) FROM allocations_log) AS rows";
    let rows = workspace.query(AS_OF, sql).unwrap_or_else(|problem| panic!("{name}: {problem}"));
    assert_eq!(rows[0]["net_cost"], "55.0000000000", "{name}");
    assert_eq!(rows[0]["charges"], "60.0000000000", "{name}");
    assert_eq!(rows[0]["rows"], "1", "{name}");
}

#[test]
fn folders_of_any_name_work() {
    for name in NAMES {
        let workspace = good_input();
        for folder in ["cur", "reference"] {
            let to = workspace.path(&format!("{name}/{folder} {name}"));
            std::fs::create_dir_all(to.parent().expect("a folder")).expect("a new folder");
            std::fs::rename(workspace.path(folder), to).expect("a moved folder");
        }
        let location = |folder: &str| format!("location = {:?}", format!("{name}/{folder} {name}"));
        let settings = ["cur", "reference", "lake"].map(location);
        let [source, reference, lake] = &settings;
        workspace.write("credits.toml", format!("[source]\n{source}\n[reference]\n{reference}\n[lake]\n{lake}\n"));
        works(&workspace, name);
        assert!(workspace.path(&format!("{name}/lake {name}/published/net_cost")).is_dir(), "{name}");
    }
}

#[test]
fn files_of_any_name_are_read() {
    for name in NAMES {
        let workspace = good_input();
        let from = workspace.path("cur/good.csv");
        std::fs::rename(from, workspace.path(&format!("cur/{name}.csv"))).expect("a moved file");
        works(&workspace, name);
    }
}

#[test]
fn folder_whose_name_is_not_utf_8_is_named() {
    let workspace = good_input();
    let other = workspace.path("").join(not_utf_8());
    std::fs::create_dir(&other).expect("a folder");
    std::fs::copy(workspace.path("credits.toml"), other.join("credits.toml")).expect("copied settings");
    let root = workspace.path("").canonicalize().expect("a folder");
    let refuses = |config: PathBuf, message: &str| {
        let outcome = workspace.run_with(&config, &["--as-of", AS_OF, "run"]);
        let said = outcome.stderr.replace(root.to_str().expect("a UTF-8 path"), "<workspace>");
        assert_eq!(said, format!("error: {message}\n"));
        assert_eq!(outcome.exit_code, Some(3), "{message}");
    };
    let message = "the name of the folder <workspace>/Z\u{fffd}rich is not UTF-8; rename it";
    refuses(other.join("credits.toml"), message);
    assert_eq!(std::fs::read_dir(&other).expect("a folder").count(), 1, "nothing is made beside the settings");

    std::os::unix::fs::symlink(&other, workspace.path("lake")).expect("a link");
    refuses(workspace.path("credits.toml"), message);
}

#[test]
fn input_in_a_folder_whose_name_is_not_utf_8_works_by_a_link() {
    let workspace = Workspace::new();
    let other = workspace.path("").join(not_utf_8());
    for folder in ["cur", "reference"] {
        std::fs::remove_dir(workspace.path(folder)).expect("a removed folder");
        std::fs::create_dir_all(other.join(folder)).expect("a folder");
        std::os::unix::fs::symlink(other.join(folder), workspace.path(folder)).expect("a link");
    }
    workspace.write("cur/good.csv", cur_2(&[USAGE]));
    workspace.write("reference/hierarchy.csv", HIERARCHY);
    workspace.write("reference/cost_rules.csv", RULES);
    workspace.try_run(AS_OF, &["run"]).unwrap_or_else(|problem| panic!("{problem}"));
}

#[test]
fn file_of_the_export_whose_name_is_not_utf_8_is_named() {
    let workspace = good_input();
    let name = [LATIN_1, b".csv"].concat();
    std::fs::write(workspace.path("cur").join(OsStr::from_bytes(&name)), cur_2(&[USAGE])).expect("a written file");
    let outcome = workspace.run(AS_OF, &["run"]);
    assert_eq!(outcome.exit_code, Some(3), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("Z%FCrich.csv"), "{}", outcome.stderr);
}
