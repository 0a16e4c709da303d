//! The inbox: what people put there is recorded as a whole or not at all, by whom their folder names, with a receipt.

mod names;
mod nights;
mod putting;

use std::fs::{self, File};
use std::time::{Duration, UNIX_EPOCH};

use chrono::{DateTime, Utc};
use rust_xlsxwriter::Workbook;

use crate::bad_input::good_input;
use crate::support::{Outcome, Workspace};

const AS_OF: &str = "2026-03-31";

const HEADER: &str = "credit_key,amount,currency,end_date,reference,business_unit,department,portfolio,product\n";

/// A lake in which credits `id:1` and `id:2` wait; Retail is a node.
fn lake() -> Workspace {
    let workspace = good_input();
    says(&workspace, &["run"]);
    workspace
}

fn says(workspace: &Workspace, arguments: &[&str]) -> String {
    workspace.try_run(AS_OF, arguments).unwrap_or_else(|problem| panic!("{problem}"))
}

/// Rows that somebody puts into the inbox, at this instant.
fn came(workspace: &Workspace, place: &str, at: &str, rows: &str) {
    workspace.write(&format!("lake/inbox/{place}"), format!("{HEADER}{rows}\n"));
    dated(workspace, place, at);
}

fn dated(workspace: &Workspace, place: &str, at: &str) {
    let at: DateTime<Utc> = at.parse().expect("an instant");
    let since = Duration::from_micros(u64::try_from(at.timestamp_micros()).expect("after 1970"));
    let file = File::options().write(true).open(workspace.path(&format!("lake/inbox/{place}"))).expect("a file");
    file.set_modified(UNIX_EPOCH + since).expect("another date");
}

fn take(workspace: &Workspace) -> Outcome {
    workspace.run(AS_OF, &["allocations", "import", "--inbox"])
}

/// Takes what lies there; nothing is refused.
fn takes(workspace: &Workspace) -> String {
    says(workspace, &["allocations", "import", "--inbox"])
}

/// The log in order: credit, amount, node, by whom, when.
fn log(workspace: &Workspace) -> Vec<String> {
    let sql = "SELECT credit_key, amount, business_unit, recorded_by, recorded_at FROM allocations_log \
               ORDER BY recorded_at, credit_key, lot";
    let rows = workspace.query(AS_OF, sql).expect("the log");
    let columns = ["credit_key", "amount", "business_unit", "recorded_by", "recorded_at"];
    rows.iter().map(|row| columns.map(|name| row[name].as_str()).join(" ")).collect()
}

fn receipt(workspace: &Workspace, name: &str) -> String {
    fs::read_to_string(workspace.path(&format!("lake/inbox/{name}"))).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A receipt without what it is about.
fn text(workspace: &Workspace, name: &str) -> String {
    let whole = receipt(workspace, name);
    let (text, about) = whole.trim_end().rsplit_once("\n\n").expect("what it is about");
    let keys: Vec<&str> = about.lines().map(|line| line.split(' ').next().expect("a word")).collect();
    assert_eq!(keys[..2], ["version", "sha256"], "{whole}");
    text.to_owned()
}

fn is_there(workspace: &Workspace, name: &str) -> bool {
    workspace.path(&format!("lake/inbox/{name}")).exists()
}

#[test]
fn files_of_two_people_are_recorded_by_them_and_at_the_instant_each_came() {
    let workspace = lake();
    came(&workspace, "jane/july.csv", "2026-03-06T09:00:00Z", "id:1,100,USD,2026-12-31,MAP-1,Retail,,,");
    came(&workspace, "AROAEXAMPLEID1234:bob/2026/a.csv", "2026-03-05T10:30:00.25Z", "id:2,50,USD,,,Retail,,,");
    let said = takes(&workspace);
    let expected = "AROAEXAMPLEID1234:bob/2026/a.csv: Recorded 1 row of 2026/a.csv.\n\
                    jane/july.csv: Recorded 1 row of july.csv.\n\
                    What is recorded counts from the next run.\n";
    assert_eq!(said, expected);
    let expected = [
        "id:2 50.0000000000 Retail AROAEXAMPLEID1234:bob 2026-03-05T10:30:00.250",
        "id:1 100.0000000000 Retail jane 2026-03-06T09:00:00",
    ];
    assert_eq!(log(&workspace), expected);
    let id = &workspace.query(AS_OF, "SELECT allocation_id FROM allocations_log WHERE credit_key = 'id:1'");
    let id = &id.as_ref().expect("a row")[0]["allocation_id"];
    let expected = format!(
        "Recorded 1 row of july.csv.\n\n\
         {id}  id:1  lot 1: 100.0000000000 USD on Retail, until 2026-12-31\n\
         As recorded by jane at 2026-03-06 09:00:00 UTC, when it came."
    );
    assert_eq!(text(&workspace, "jane/july.csv.taken.txt"), expected);
    assert_eq!(receipt(&workspace, "jane/july.csv"), format!("{HEADER}id:1,100,USD,2026-12-31,MAP-1,Retail,,,\n"));
}

#[test]
fn bad_file_is_refused_with_all_that_is_wrong_and_the_others_are_recorded() {
    let workspace = lake();
    came(
        &workspace,
        "jane/a.csv",
        "2026-03-05T09:00:00Z",
        "id:1,100,USD,,,Retail,,,\nid:9,5,USD,,,Retail,,,\nid:2,,USD,,,Retail,,,",
    );
    came(&workspace, "bob/b.csv", "2026-03-05T10:00:00Z", "id:2,50,USD,,,Retail,,,");
    let outcome = take(&workspace);
    assert_eq!(outcome.exit_code, Some(3), "{outcome:?}");
    assert_eq!(outcome.stdout, "bob/b.csv: Recorded 1 row of b.csv.\nWhat is recorded counts from the next run.\n");
    let expected = "error: a file of the inbox is refused, nothing of it is recorded:\n\
                    jane/a.csv: a.csv, row 3: credit id:9 is not registered; did you mean id:1?; and 1 more\n";
    assert_eq!(outcome.stderr, expected);
    assert_eq!(log(&workspace), ["id:2 50.0000000000 Retail bob 2026-03-05T10:00:00"]);
    let expected = "Nothing of it is recorded: a.csv, row 3: credit id:9 is not registered; did you mean id:1?; and 1 more\n\n\
                    a.csv, row 3: credit id:9 is not registered; did you mean id:1?\n\
                    a.csv, row 4, column amount: is empty\n\
                    Mend what it names, and upload the file again, under this name or another one.";
    assert_eq!(text(&workspace, "jane/a.csv.refused.txt"), expected);
    assert_eq!(takes(&workspace), "There is nothing new in the inbox.\n", "it was told");
    let again = workspace.run(AS_OF, &["--format", "json", "allocations", "import", "--inbox"]);
    assert_eq!(again.stdout, "{\n  \"taken\": [],\n  \"refused\": []\n}\n");
}

#[test]
fn corrected_file_of_the_same_name_is_read_again_and_so_is_the_same_one_once_the_hierarchy_is_mended() {
    let workspace = lake();
    came(&workspace, "jane/a.csv", "2026-03-05T09:00:00Z", "id:1,1O0,USD,,,Retail,,,");
    came(&workspace, "jane/b.csv", "2026-03-05T09:00:00Z", "id:2,50,USD,,,Media,,,");
    let outcome = take(&workspace);
    assert!(outcome.stderr.contains("2 files of the inbox are refused"), "{outcome:?}");
    came(&workspace, "jane/a.csv", "2026-03-05T11:00:00Z", "id:1,100,USD,,,Retail,,,");
    workspace
        .write("reference/hierarchy.csv", "business_unit,department,portfolio,product\nRetail,Online,,\nMedia,,,\n");
    dated(&workspace, "jane/b.csv", "2026-03-05T12:00:00Z");
    takes(&workspace);
    let expected =
        ["id:1 100.0000000000 Retail jane 2026-03-05T11:00:00", "id:2 50.0000000000 Media jane 2026-03-05T12:00:00"];
    assert_eq!(log(&workspace), expected);
    for name in ["jane/a.csv", "jane/b.csv"] {
        assert!(
            is_there(&workspace, &format!("{name}.taken.txt")) && !is_there(&workspace, &format!("{name}.refused.txt"))
        );
    }
    came(&workspace, "jane/a.csv", "2026-03-06T11:00:00Z", "id:1,nothing,USD,,,Retail,,,");
    assert_eq!(take(&workspace).exit_code, Some(3));
    assert!(is_there(&workspace, "jane/a.csv.refused.txt") && !is_there(&workspace, "jane/a.csv.taken.txt"));
    assert_eq!(log(&workspace), expected, "what was recorded stays");
}

#[test]
fn file_that_was_taken_is_not_recorded_twice_whatever_became_of_its_receipt() {
    let workspace = lake();
    came(&workspace, "jane/a.csv", "2026-03-05T09:00:00Z", "id:1,100,USD,,,Retail,,,");
    takes(&workspace);
    says(
        &workspace,
        &["allocate", "--key", "id:1", "--amount", "70", "--to", "Retail", "--recorded-at", "2026-03-06T09:00:00Z"],
    );
    let before = log(&workspace);
    let nothing = "There is nothing new in the inbox.\n";
    assert_eq!(takes(&workspace), nothing);
    dated(&workspace, "jane/a.csv", "2026-03-09T09:00:00Z");
    assert_eq!(takes(&workspace), nothing, "the lake was copied, and every file has another date");
    dated(&workspace, "jane/a.csv", "2026-03-05T09:00:00Z");
    let whole = receipt(&workspace, "jane/a.csv.taken.txt");
    for damaged in [&whole[..whole.len() / 2], "", "\u{0}\u{1b}[2J", "version \n\nsha256 \n"] {
        workspace.write("lake/inbox/jane/a.csv.taken.txt", damaged);
        let said = takes(&workspace);
        assert!(said.starts_with("jane/a.csv: Recorded 0 rows of a.csv. 1 row stood in the log already."), "{said}");
        assert_eq!(takes(&workspace), nothing, "it has a receipt again");
    }
    workspace.write("lake/inbox/jane/a.csv.taken.txt", [0xff_u8, 0xfe, 0x00]);
    takes(&workspace);
    assert_eq!(log(&workspace), before);
}

#[test]
fn of_two_revisions_the_one_that_came_later_counts_whenever_they_are_read() {
    let workspace = lake();
    came(&workspace, "jane/a.csv", "2026-03-05T10:00:00Z", "id:1,100,USD,,,Retail,,,");
    came(&workspace, "jane/b.csv", "2026-03-05T10:00:00Z", "id:2,20,USD,,,Retail,,,");
    came(&workspace, "jane/c.csv", "2026-03-05T10:00:00Z", "id:2,30,USD,,,Retail,,,");
    let later = ["--amount", "70", "--to", "Retail/Online", "--by", "bob", "--recorded-at", "2026-03-05T15:00:00Z"];
    says(&workspace, &[&["allocate", "--key", "id:1"], &later[..]].concat());
    takes(&workspace);
    let list = says(
        &workspace,
        &["--format", "csv", "allocations", "list", "--columns", "credit_key,amount,recorded_by,recorded_at"],
    );
    let expected = "credit_key,amount,recorded_by,recorded_at\n\
                    id:1,70.0000000000,bob,2026-03-05T15:00:00\n\
                    id:2,30.0000000000,jane,2026-03-05T10:00:00.000002\n";
    assert_eq!(list, expected, "of one instant the last name counts");
    let warning =
        "warning: credit id:1: a revision recorded at 2026-03-05 15:00:00 is newer and stays the one that counts";
    assert!(text(&workspace, "jane/a.csv.taken.txt").ends_with(warning));
}

#[test]
fn workbook_is_taken_by_its_first_sheet_and_one_that_cannot_be_read_is_refused() {
    let workspace = lake();
    let mut book = Workbook::new();
    let sheet = book.add_worksheet();
    for (column, name) in (0..).zip(HEADER.trim_end().split(',')) {
        sheet.write(0, column, name).expect("a cell");
    }
    for (column, value) in [(0, "id:1"), (2, "USD"), (5, "Retail")] {
        sheet.write(1, column, value).expect("a cell");
    }
    sheet.write(1, 1, 2500.1).expect("a cell");
    book.add_worksheet().set_name("My notes").expect("a name");
    let whole = book.save_to_buffer().expect("a workbook");
    workspace.write("lake/inbox/jane/queue.xlsx", &whole);
    workspace.write("lake/inbox/jane/half.xlsx", &whole[..whole.len() / 2]);
    let outcome = take(&workspace);
    assert!(outcome.stdout.starts_with("jane/queue.xlsx: Recorded 1 row of queue.xlsx."), "{outcome:?}");
    assert!(outcome.stderr.contains("jane/half.xlsx: half.xlsx is no workbook that can be read ("), "{outcome:?}");
    let note = "note: of queue.xlsx only the first sheet is read, not My notes";
    assert!(text(&workspace, "jane/queue.xlsx.taken.txt").ends_with(note));
    assert_eq!(log(&workspace).len(), 1);
}

#[test]
fn whom_a_row_names_stands_beside_whom_the_folder_names_and_a_history_comes_over_once() {
    let workspace = lake();
    came(&workspace, "jane/a.csv", "2026-03-05T10:00:00Z", "id:1,100,USD,,,Retail,,,");
    takes(&workspace);
    let exported = workspace.path("history.csv").display().to_string();
    says(&workspace, &["allocations", "export", "--history", &exported]);
    let history =
        fs::read_to_string(&exported).expect("a file").replace(",jane,", ",bob,").replace("10:00:00", "11:00:00");
    workspace.write("lake/inbox/jane/history.csv", history.replace("alc-", "old-"));
    takes(&workspace);
    assert_eq!(log(&workspace)[1], "id:1 100.0000000000 Retail jane (bob) 2026-03-05T11:00:00");
    says(&workspace, &["allocations", "export", "--history", &exported]);
    workspace.write("lake/inbox/jane/again.csv", fs::read(&exported).expect("a file"));
    let said = takes(&workspace);
    assert!(
        said.starts_with("jane/again.csv: Recorded 0 rows of again.csv. 2 rows stood in the log already."),
        "{said}"
    );
}
