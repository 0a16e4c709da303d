//! What people recorded goes out and comes in again: allocations, a queue that somebody filled in, a backup of the logs.

use std::fs;
use std::path::PathBuf;

use crate::support::Workspace;
use crate::support::compare::{Row, csv_rows};

const AS_OF: &str = "2026-03-31";
const HEADER: &str = "bill_billing_period_start_date,bill_payer_account_id,line_item_usage_account_id,\
                      line_item_usage_start_date,line_item_line_item_type,line_item_product_code,\
                      line_item_currency_code,line_item_unblended_cost,line_item_line_item_description\n";

/// Before the first run: usage, and three credits of which nobody has said anything.
fn new_workspace() -> Workspace {
    let workspace = Workspace::new();
    let line = |rest: &str| format!("2026-03-01,999999999999,041000000203,2026-03-{rest}\n");
    let lines = [
        line("30,Usage,AmazonEC2,USD,100,"),
        line("11,Credit,AmazonEC2,USD,-1,\"Spring, credit id: 1\""),
        line("12,Credit,AmazonEC2,USD,-2,\"Summer, credit id: 2\""),
        line("13,Credit,AmazonEC2,USD,-3,=Autumn"),
    ];
    workspace.write("cur/march.csv", format!("{HEADER}{}", lines.concat()));
    workspace
        .write("reference/hierarchy.csv", "business_unit,department,portfolio,product\nRetail,Online,,\nMedia,,,\n");
    workspace.write(
        "reference/cost_rules.csv",
        "rule_id,priority,payer_account_id,account_id,service,region,tag_key,tag_value,cost_category_key,\
         cost_category_value,business_unit,department,portfolio,product,share\nall,10,,*,,,,,,,Retail,,,,\n",
    );
    workspace
}

fn after_a_run() -> Workspace {
    let workspace = new_workspace();
    says(&workspace, &["run"]);
    workspace
}

fn says(workspace: &Workspace, arguments: &[&str]) -> String {
    workspace.try_run(AS_OF, arguments).unwrap_or_else(|problem| panic!("{problem}"))
}

fn refuses(workspace: &Workspace, arguments: &[&str], exit_code: i32, message: &str) {
    let outcome = workspace.run(AS_OF, arguments);
    let said = outcome.stderr.replace(workspace.path("").to_str().expect("a UTF-8 path"), "<workspace>/");
    assert_eq!((said, outcome.exit_code), (format!("error: {message}\n"), Some(exit_code)));
}

fn log(workspace: &Workspace) -> Vec<Row> {
    let sql = "SELECT * FROM allocations_log ORDER BY credit_key, recorded_at, allocation_id, lot";
    workspace.query(AS_OF, sql).expect("the log")
}

fn file(workspace: &Workspace, name: &str) -> String {
    workspace.path(name).display().to_string()
}

/// Two lots, a revision that replaces another, and one that ends.
fn record_some(workspace: &Workspace) {
    let lots = ["--to", "Retail=1000.0000000001,2026-12-31", "--to", "Media=5"];
    says(workspace, &[&["allocate", "--key", "id:1", "--reference", "=A-1", "--by", "ann"], &lots[..]].concat());
    says(workspace, &["allocate", "--key", "id:2", "--amount", "7", "--to", "Retail/Online", "--by", "bob"]);
    says(workspace, &["allocate", "--key", "id:2", "--amount", "8", "--to", "Media", "--by", "bob"]);
    let autumn = "code:=Autumn@041000000203";
    says(workspace, &["allocate", "--key", autumn, "--amount", "9", "--to", "Media"]);
    says(workspace, &["revoke", "--key", autumn, "--by", "ann"]);
}

#[test]
fn history_goes_to_another_lake_to_the_same_rows() {
    let workspace = after_a_run();
    record_some(&workspace);
    let name = "history.csv";
    says(&workspace, &["allocations", "export", "--history", &file(&workspace, name)]);
    let other = after_a_run();
    let said = says(&other, &["allocations", "import", &file(&workspace, name)]);
    assert_eq!(said, format!("Recorded 6 rows of {name}. They count from the next run.\n"));
    assert_eq!(log(&other), log(&workspace), "{name}");
    let again = says(&other, &["allocations", "import", &file(&workspace, name)]);
    assert_eq!(again, format!("Recorded 0 rows of {name}. 6 rows stood in the log already.\n"));
}

#[test]
fn what_counts_goes_out_with_all_lots_and_comes_in() {
    let workspace = after_a_run();
    record_some(&workspace);
    let exported = says(&workspace, &["allocations", "export"]);
    let rows = csv_rows(&exported);
    let lots: Vec<(&str, &str)> = rows.iter().map(|row| (row["credit_key"].as_str(), row["lot"].as_str())).collect();
    assert_eq!(lots, [("id:1", "1"), ("id:1", "2"), ("id:2", "1")]);
    assert_eq!((&rows[0]["account_id"][..], &rows[2]["amount"][..]), ("041000000203", "8.0000000000"));
    workspace.write("out.csv", exported);
    let again = says(&workspace, &["allocations", "import", &file(&workspace, "out.csv")]);
    assert_eq!(again, "Recorded 0 rows of out.csv. 3 rows stood in the log already.\n");
}

#[test]
fn queue_that_was_filled_in_is_recorded_once_whatever_the_clock_and_the_person() {
    let workspace = after_a_run();
    says(&workspace, &["queue", "--out", &file(&workspace, "queue.csv")]);
    let queue = fs::read_to_string(workspace.path("queue.csv")).expect("a queue");
    assert_eq!(queue, says(&workspace, &["queue", "--format", "csv"]));
    let filled = queue.replace(",,,,,,,\n", ",50,2026-12-31,REF,Retail,Online,,\n");
    // A spreadsheet has made a number of the account; and somebody knows only one of the three.
    let mut lines: Vec<String> =
        filled.lines().map(|line| line.replace("041000000203,", "41000000203,") + "\n").collect();
    lines[2] = queue.lines().nth(2).expect("a row").to_owned() + "\n";
    lines[3] = queue.lines().nth(3).expect("a row").to_owned() + "\n";
    workspace.write("queue.csv", lines.concat());
    let import = ["allocations", "import", &file(&workspace, "queue.csv")];
    let said = says(&workspace, &[&import[..], &["--by", "ann"]].concat());
    assert_eq!(said, "Recorded 1 row of queue.csv. They count from the next run. 2 rows left empty, skipped.\n");
    let recorded = log(&workspace);
    let said = says(&workspace, &[&import[..], &["--by", "bob"]].concat());
    assert_eq!(said, "Recorded 0 rows of queue.csv. 1 row stood in the log already. 2 rows left empty, skipped.\n");
    assert_eq!(log(&workspace), recorded);
    let unfilled = "business_unit: is empty";
    workspace.write("queue.csv", lines.concat().replace("REF,Retail,Online", "REF,,"));
    refuses(&workspace, &import, 3, &format!("queue.csv, row 2, column {unfilled}"));
}

const ALLOCATIONS: &str = "credit_key,amount,currency,end_date,reference,business_unit,department,portfolio,product\n";

#[test]
fn edits_of_the_reference_folder_after_the_first_run_are_named_until_they_are_imported() {
    let workspace = new_workspace();
    workspace
        .write("reference/allocations.csv", format!("{ALLOCATIONS}id:1,10,USD,,,Retail,,,\nid:2,5,USD,,,Media,,,\n"));
    let told =
        |said: &str| said.lines().find(|line| line.contains("allocations.csv")).map(|line| line.trim().to_owned());
    assert_eq!(told(&says(&workspace, &["run"])), None);
    let edited = format!("{ALLOCATIONS}id:1,11,USD,,,Retail,,,\nid:2,5,USD,,,Media,,,\n");
    workspace.write("reference/allocations.csv", edited);
    let expected = "allocations.csv: 1 row differs from what is recorded (row 2); `allocations import` records them";
    for _ in 0..2 {
        assert_eq!(told(&says(&workspace, &["run"])).as_deref(), Some(expected));
    }
    let said = says(&workspace, &["allocations", "import", &file(&workspace, "reference/allocations.csv")]);
    assert_eq!(
        said,
        "Recorded 1 row of allocations.csv. The allocation of 1 credit is replaced. They count from the next run. 1 row stood in \
         the log already.\n"
    );
    assert_eq!(told(&says(&workspace, &["run"])), None);
    says(&workspace, &["allocate", "--key", "id:2", "--amount", "6", "--to", "Media"]);
    assert_eq!(told(&says(&workspace, &["run"])), None, "what was replaced later is no edit");
}

fn backup(workspace: &Workspace, name: &str) -> PathBuf {
    let said = says(workspace, &["lake", "backup", &file(workspace, name)]);
    assert!(said.contains("\nWritten to ") || said.starts_with("Written"), "{said}");
    workspace.path(name)
}

fn all_logs(workspace: &Workspace) -> Vec<Vec<Row>> {
    let orders = [
        "allocations_log ORDER BY allocation_id, lot",
        "credits_log ORDER BY credit_key, revision",
        "runs_log ORDER BY run_id, billing_period",
    ];
    orders.map(|order| workspace.query(AS_OF, &format!("SELECT * FROM {order}")).expect("a log")).into()
}

#[test]
fn backup_goes_into_a_new_lake_to_the_same_rows_once() {
    let workspace = after_a_run();
    record_some(&workspace);
    let logs = all_logs(&workspace);
    let published = says(&workspace, &["run"]);
    assert!(published.contains("Run "), "{published}");
    let zip = backup(&workspace, "backup.zip");
    let logs_with_run = all_logs(&workspace);
    assert_ne!(logs, logs_with_run, "the second run is logged");
    let zip = zip.display().to_string();
    let credits = says(&workspace, &["credits", "--format", "csv"]);
    fs::remove_dir_all(workspace.path("lake")).expect("a removed lake");
    let said = says(&workspace, &["lake", "restore", &zip]);
    assert!(said.contains("\nallocations_log: 6 rows restored\n"), "{said}");
    assert_eq!(all_logs(&workspace), logs_with_run);
    let again = says(&workspace, &["lake", "restore", &zip]);
    assert!(again.contains("allocations_log: 0 rows restored, 6 stood there already"), "{again}");
    assert_eq!(all_logs(&workspace), logs_with_run);
    says(&workspace, &["run"]);
    assert_eq!(says(&workspace, &["credits", "--format", "csv"]), credits);
}

#[test]
fn lake_with_rows_of_its_own_is_left_alone_unless_it_is_to_be_merged() {
    let workspace = after_a_run();
    let zip = backup(&workspace, "backup.zip").display().to_string();
    record_some(&workspace);
    let before = log(&workspace);
    let message = "the lake <workspace>/lake has what the backup lacks: 6 rows of allocations_log; restore into a new lake \
                   before its first run, or append what is missing with --merge: of each credit the newest revision counts then";
    let outcome = workspace.run(AS_OF, &["lake", "restore", &zip]);
    assert_eq!(outcome.exit_code, Some(3), "{outcome:?}");
    let root = fs::canonicalize(workspace.path("")).expect("a path").display().to_string();
    assert_eq!(outcome.stderr.replace(&root, "<workspace>"), format!("error: {message}\n"));
    assert_eq!(log(&workspace), before);
    let other = after_a_run();
    says(&other, &["allocate", "--key", "id:1", "--amount", "3", "--to", "Media"]);
    let theirs = backup(&other, "theirs.zip").display().to_string();
    let said = says(&workspace, &["lake", "restore", &theirs, "--merge"]);
    assert!(said.contains("allocations_log: 1 rows restored"), "{said}");
    assert!(said.contains("credits_log: 0 rows restored"), "{said}");
    assert_eq!(log(&workspace).len(), before.len() + 1);
}

#[test]
fn file_that_is_no_whole_backup_is_refused_and_nothing_is_taken() {
    let workspace = after_a_run();
    record_some(&workspace);
    let zip = backup(&workspace, "backup.zip");
    let whole = fs::read(&zip).expect("a backup");
    fs::remove_dir_all(workspace.path("lake")).expect("a removed lake");
    says(&workspace, &["run"]);
    let damaged = |bytes: &[u8], said: &str| {
        fs::write(&zip, bytes).expect("a written file");
        let outcome = workspace.run(AS_OF, &["lake", "restore", &zip.display().to_string()]);
        assert_eq!(outcome.exit_code, Some(3), "{outcome:?}");
        assert!(outcome.stderr.contains(said), "{said}: {}", outcome.stderr);
        assert_eq!(log(&workspace), Vec::<Row>::new());
    };
    damaged(b"PK is no ZIP file", "is no backup made by `finops-credits lake backup`");
    damaged(&whole[..whole.len() / 2], "is no backup made by `finops-credits lake backup`");
    let place = whole.windows(4).position(|bytes| bytes == b"PAR1").expect("a Parquet file");
    for at in [place + 5, place + 40] {
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        damaged(&flipped, "is damaged: ");
    }
    let none = file(&workspace, "none.zip");
    refuses(&workspace, &["lake", "restore", &none], 3, "<workspace>/none.zip does not exist");
}
