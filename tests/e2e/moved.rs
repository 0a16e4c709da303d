//! A lake that was copied or moved: its logs hold the path where it was made.

use std::fs;
use std::path::Path;

use crate::support::{SETTINGS, Workspace};

const AS_OF: &str = "2026-03-31";
const HEADER: &str = "bill_billing_period_start_date,bill_payer_account_id,line_item_usage_account_id,\
                      line_item_usage_start_date,line_item_line_item_type,line_item_product_code,\
                      line_item_currency_code,line_item_unblended_cost,line_item_line_item_description\n";

fn workspace() -> Workspace {
    let workspace = Workspace::new();
    let line = |rest: &str| format!("2026-03-01,999999999999,111111111111,2026-03-{rest}\n");
    let lines = [
        line("30,Usage,AmazonEC2,USD,100,"),
        line("11,Credit,AmazonEC2,USD,-1,\"Spring, credit id: 1\""),
        line("12,Credit,AmazonEC2,USD,-2,\"Summer, credit id: 2\""),
    ];
    workspace.write("cur/march.csv", format!("{HEADER}{}", lines.concat()));
    workspace.write("reference/hierarchy.csv", "business_unit,department,portfolio,product\nRetail,,,\n");
    workspace.write(
        "reference/cost_rules.csv",
        "rule_id,priority,payer_account_id,account_id,service,region,tag_key,tag_value,cost_category_key,\
         cost_category_value,business_unit,department,portfolio,product,share\nall,10,,*,,,,,,,Retail,,,,\n",
    );
    workspace
}

/// Two nights, and an allocation between them and after.
fn lake() -> Workspace {
    let workspace = workspace();
    says(&workspace, &["run"]);
    says(&workspace, &["allocate", "--key", "id:1", "--amount", "10", "--to", "Retail", "--by", "ann"]);
    says(&workspace, &["run"]);
    says(&workspace, &["allocate", "--key", "id:2", "--amount", "20", "--to", "Retail", "--by", "bob"]);
    workspace
}

fn says(workspace: &Workspace, arguments: &[&str]) -> String {
    workspace.try_run(AS_OF, arguments).unwrap_or_else(|problem| panic!("{problem}"))
}

/// The lake lies at `place` from now on.
fn set_lake(workspace: &Workspace, place: &str) {
    workspace.write("credits.toml", SETTINGS.replace("\"lake\"", &format!("\"{place}\"")));
}

fn logs(workspace: &Workspace) -> Vec<String> {
    let logs = ["allocations_log", "credits_log", "runs_log"];
    logs.map(|log| says(workspace, &["--format", "csv", "query", &format!("SELECT * FROM {log} ORDER BY 1, 2")])).into()
}

fn copy(from: &Path, to: &Path) {
    let done = std::process::Command::new("cp").arg("-a").args([from, to]).status().expect("a copy");
    assert!(done.success());
}

fn tree(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            match fs::symlink_metadata(&path).expect("a file").is_dir() {
                true => folders.push(path),
                false if path.is_symlink() => {}
                false => files.push((path.display().to_string(), fs::read(&path).expect("a file"))),
            }
        }
    }
    files.sort();
    files
}

const COMMANDS: [&[&str]; 4] = [
    &["run"],
    &["allocate", "--key", "id:2", "--amount", "21", "--to", "Retail"],
    &["revoke", "--key", "id:1"],
    &["lake", "repair"],
];

fn refuses_to_write(workspace: &Workspace) {
    let root = fs::canonicalize(workspace.path("")).expect("a path").display().to_string();
    for arguments in COMMANDS {
        let outcome = workspace.run(AS_OF, arguments);
        assert_eq!(outcome.exit_code, Some(3), "{arguments:?}: {outcome:?}");
        let message = "error: the lake <workspace>/copy was made at <workspace>/lake, and its logs hold that path: what is \
                       recorded here would go there. If this is the lake now, run `finops-credits lake relocate`, which makes its \
                       logs anew here; nothing was changed\n";
        assert_eq!(outcome.stderr.replace(&root, "<workspace>"), message, "{arguments:?}");
    }
}

#[test]
fn copy_refuses_to_write_into_the_original_until_it_is_relocated() {
    let workspace = lake();
    let before = logs(&workspace);
    copy(&workspace.path("lake"), &workspace.path("copy"));
    let original = tree(&workspace.path("lake"));
    set_lake(&workspace, "copy");
    refuses_to_write(&workspace);
    assert_eq!(logs(&workspace), before, "it can be read");
    let said = says(&workspace, &["lake", "relocate"]);
    assert!(said.contains("allocations_log: 2 rows\n"), "{said}");
    assert!(said.contains("As it was: catalog.db.moved-1, warehouse.moved-1;"), "{said}");
    assert_eq!(logs(&workspace), before, "the same rows");
    assert!(says(&workspace, &["lake", "relocate"]).ends_with("was made here; there is nothing to do.\n"));
    says(&workspace, &["allocate", "--key", "id:2", "--amount", "21", "--to", "Retail"]);
    says(&workspace, &["run"]);
    assert_eq!(tree(&workspace.path("lake")), original, "nothing of it went into the original");
    let runs = workspace.query(AS_OF, "SELECT run_id, count(*) AS n FROM runs_log GROUP BY run_id").expect("runs");
    assert_eq!(runs.len(), 3);
    assert!(runs.iter().all(|run| run["n"] == "1"), "no run is logged twice: {runs:?}");
}

#[test]
fn moved_lake_and_one_of_an_older_version_are_known_too() {
    for says_where in [true, false] {
        let workspace = lake();
        let before = logs(&workspace);
        if !says_where {
            fs::remove_file(workspace.path("lake/lake.json")).expect("a removed file");
        }
        fs::rename(workspace.path("lake"), workspace.path("copy")).expect("a moved lake");
        set_lake(&workspace, "copy");
        refuses_to_write(&workspace);
        let outcome = workspace.run(AS_OF, &["query", "SELECT * FROM allocations_log"]);
        assert_eq!(outcome.exit_code, Some(3), "its logs are not there any more: {outcome:?}");
        assert!(outcome.stderr.contains("lake relocate"), "{}", outcome.stderr);
        says(&workspace, &["lake", "relocate"]);
        assert_eq!(logs(&workspace), before);
        says(&workspace, &["run"]);
    }
}

#[test]
fn relocation_that_broke_off_is_begun_again_from_what_it_had_read() {
    let workspace = lake();
    let before = logs(&workspace);
    fs::rename(workspace.path("lake"), workspace.path("copy")).expect("a moved lake");
    set_lake(&workspace, "copy");
    says(&workspace, &["lake", "relocate"]);
    // As it was when the logs were being made: the journal is there, and nothing says where the lake is.
    let said = says(&workspace, &["lake", "backup", &workspace.path("copy/relocating.zip").display().to_string()]);
    assert!(said.contains("allocations_log: 2 rows"), "{said}");
    fs::remove_file(workspace.path("copy/lake.json")).expect("a removed file");
    fs::remove_file(workspace.path("copy/catalog.db")).expect("a removed file");
    let as_it_was = tree(&workspace.path("copy"));
    for arguments in COMMANDS.into_iter().chain([&["queue"][..], &["lake", "restore", "backup.zip"]]) {
        let outcome = workspace.run(AS_OF, arguments);
        assert_eq!(outcome.exit_code, Some(3), "{arguments:?}: {outcome:?}");
        let is_told = outcome.stderr.contains("run `finops-credits lake relocate` again");
        assert!(is_told || arguments.contains(&"restore"), "{}", outcome.stderr);
    }
    assert_eq!(tree(&workspace.path("copy")), as_it_was, "nothing begins anew meanwhile");
    says(&workspace, &["lake", "relocate"]);
    assert_eq!(logs(&workspace), before);
    assert!(!workspace.path("copy/relocating.zip").exists());
    says(&workspace, &["run"]);
}

#[test]
fn state_of_a_log_that_the_catalogue_never_named_does_not_count() {
    let workspace = lake();
    let before = logs(&workspace);
    fs::rename(workspace.path("lake"), workspace.path("copy")).expect("a moved lake");
    set_lake(&workspace, "copy");
    let folder = workspace.path("copy/warehouse/finops_credits/allocations_log/metadata");
    let mut files = fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let first = files.find(|file| file.display().to_string().contains("/00000-")).expect("the first state");
    fs::copy(first, folder.join("00099-01890000-0000-7000-8000-000000000000.metadata.json")).expect("a copy");
    says(&workspace, &["lake", "relocate"]);
    assert_eq!(logs(&workspace), before);
}

#[test]
fn folder_that_is_no_lake_is_told_and_stays_as_it_is() {
    let workspace = workspace();
    fs::create_dir(workspace.path("lake")).expect("a folder");
    let outcome = workspace.run(AS_OF, &["lake", "relocate"]);
    assert_eq!(outcome.exit_code, Some(4), "{outcome:?}");
    assert!(outcome.stderr.contains("there is no lake at"), "{}", outcome.stderr);
    let none = workspace.path("none.zip").display().to_string();
    let outcome = workspace.run(AS_OF, &["lake", "restore", &none]);
    assert_eq!(outcome.exit_code, Some(3), "{outcome:?}");
    assert!(fs::read_dir(workspace.path("lake")).expect("a folder").next().is_none());
}

#[test]
fn lake_of_an_older_version_says_where_it_is_after_the_next_night() {
    let workspace = lake();
    fs::remove_file(workspace.path("lake/lake.json")).expect("a removed file");
    says(&workspace, &["queue"]);
    assert!(!workspace.path("lake/lake.json").exists(), "reading writes nothing");
    says(&workspace, &["run"]);
    let said = fs::read_to_string(workspace.path("lake/lake.json")).expect("a file");
    let root = fs::canonicalize(workspace.path("lake")).expect("a path").display().to_string();
    assert!(said.contains(&format!("\"location\": \"{root}\"")), "{said}");
}

#[test]
fn command_that_reads_makes_no_lake() {
    let workspace = workspace();
    let zip = workspace.path("backup.zip").display().to_string();
    for arguments in [
        &["queue"][..],
        &["credits"],
        &["query", "SELECT 1"],
        &["allocations", "list"],
        &["allocations", "export"],
        &["allocate", "--key", "id:1", "--amount", "1", "--to", "Retail"],
        &["lake", "backup", &zip],
        &["lake", "drop-period", "2026-03", "--yes"],
    ] {
        for exists in [false, true] {
            if exists {
                fs::create_dir(workspace.path("lake")).expect("a folder");
            }
            let outcome = workspace.run(AS_OF, arguments);
            assert_eq!(outcome.exit_code, Some(4), "{arguments:?}: {outcome:?}");
            assert!(outcome.stderr.ends_with("/lake yet; `run` makes it\n"), "{}", outcome.stderr);
            // Where there was a folder it is as empty as before.
            assert_eq!(fs::remove_dir(workspace.path("lake")).is_ok(), exists, "{arguments:?}");
        }
    }
    assert!(!workspace.path("backup.zip").exists());
}
