//! `--to-inbox`: checked where somebody sits, recorded by the next run.

use std::fs;

use super::{AS_OF, HEADER, lake, log, says, takes};
use crate::support::{Outcome, Workspace, outcome};

/// As jane, who may not write to the log.
fn jane(workspace: &Workspace, arguments: &[&str]) -> Outcome {
    outcome(workspace.command(AS_OF, arguments).env("USER", "jane"))
}

fn put(workspace: &Workspace, arguments: &[&str]) -> String {
    let outcome = jane(workspace, &[arguments, &["--to-inbox"]].concat());
    assert_eq!(outcome.exit_code, Some(0), "{arguments:?}: {outcome:?}");
    outcome.stdout
}

/// Names of the files in her folder, receipts left out.
fn files(workspace: &Workspace) -> Vec<String> {
    let entries = fs::read_dir(workspace.path("lake/inbox/jane")).expect("her folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"));
    let mut names: Vec<String> = names.filter(|name| !name.ends_with(".txt")).collect();
    names.sort();
    names
}

#[test]
fn file_is_checked_and_lies_in_the_inbox_until_the_next_run() {
    let workspace = lake();
    let file = workspace.path("queue.csv").display().to_string();
    workspace.write("queue.csv", format!("{HEADER}id:9,5,USD,,,Retail,,,\n"));
    let refused = jane(&workspace, &["allocations", "import", &file, "--to-inbox"]);
    assert_eq!(refused.exit_code, Some(3));
    assert_eq!(refused.stderr, "error: queue.csv, row 2: credit id:9 is not registered; did you mean id:1?\n");
    assert!(!workspace.path("lake/inbox").exists());
    workspace.write("queue.csv", format!("{HEADER}id:1,5,USD,,,Retail,,,\n"));
    let said = put(&workspace, &["allocations", "import", &file]);
    let names = files(&workspace);
    let [name] = &names[..] else { panic!("one file") };
    assert!(name.ends_with("Z-queue.csv"), "{name}");
    let place = workspace.path("lake").canonicalize().expect("the lake").join("inbox/jane").join(name);
    let place = place.display();
    assert_eq!(
        said,
        format!("Put into the inbox: {place}. The next run records it, and leaves a receipt beside it.\n")
    );
    assert_eq!(log(&workspace), [""; 0]);
    put(&workspace, &["allocations", "import", &file]);
    assert_eq!(files(&workspace).len(), 2, "under another name");
    says(&workspace, &["run"]);
    let log = log(&workspace);
    assert_eq!(log.len(), 1, "the second says the same again: {log:?}");
    assert!(log[0].starts_with("id:1 5.0000000000 Retail jane 20"), "{log:?}");
}

#[test]
fn allocation_move_and_revocation_come_to_the_log_by_the_inbox_as_they_would_without() {
    let (direct, by_inbox) = (lake(), lake());
    let lots =
        ["--to", "Retail=30.5,2026-12-31", "--to", "Retail/Online=12", "--reference", "=A-1", "--note", "a, \"b\""];
    let steps: [&[&str]; 3] = [
        &[&["allocate", "--key", "id:1", "--by", "ann"], &lots[..]].concat(),
        &["move", "id:1:1", "--from", "2026-03", "--to", "Retail/Online"],
        &["revoke", "--key", "id:1"],
    ];
    let sql = "SELECT credit_key, lot, action, business_unit, department, amount, end_date, reference, note, from_period, \
               continues_lot FROM allocations_log ORDER BY recorded_at, lot";
    for step in steps {
        let said = jane(&direct, step);
        assert_eq!(said.exit_code, Some(0), "{said:?}");
        let put = put(&by_inbox, step);
        assert!(put.contains("Put into the inbox: "), "{put}");
        takes(&by_inbox);
        let rows = |workspace: &Workspace| workspace.query(AS_OF, sql).expect("the log");
        assert_eq!(rows(&by_inbox), rows(&direct), "{step:?}");
    }
    assert!(log(&by_inbox)[0].contains(" Retail jane (ann) 20"), "{:?}", log(&by_inbox));
}

#[test]
fn nothing_is_put_there_by_a_dry_run_nor_together_with_what_the_folder_says() {
    let workspace = lake();
    let allocate = ["allocate", "--key", "id:1", "--amount", "5", "--to", "Retail", "--to-inbox"];
    assert_eq!(jane(&workspace, &[&allocate[..], &["--dry-run"]].concat()).exit_code, Some(2));
    for more in [["--by", "ann"], ["--recorded-at", "2026-03-05T09:00:00Z"]] {
        let arguments = [&["allocations", "import", "a.csv", "--to-inbox"], &more[..]].concat();
        assert_eq!(jane(&workspace, &arguments).exit_code, Some(2), "{more:?}");
    }
    assert_eq!(jane(&workspace, &["allocations", "import"]).exit_code, Some(2));
    assert!(!workspace.path("lake/inbox").exists());
}

#[test]
fn what_would_not_be_read_in_the_inbox_is_not_put_there() {
    let workspace = lake();
    for name in ["may.taken.txt", "may.refused.txt"] {
        workspace.write(name, format!("{HEADER}id:1,5,USD,,,Retail,,,\n"));
        let file = workspace.path(name).display().to_string();
        let refused = jane(&workspace, &["allocations", "import", &file, "--to-inbox"]);
        assert_eq!(refused.exit_code, Some(3), "{refused:?}");
        assert!(refused.stderr.contains("has the name of a receipt"), "{refused:?}");
    }
    assert!(!workspace.path("lake/inbox").exists());
    workspace.write("queue.csv", format!("{HEADER}id:1,5,USD,,,Retail,,,\n"));
    let file = workspace.path("queue.csv").display().to_string();
    let arguments = ["allocations", "import", &file, "--to-inbox"];
    let put = outcome(workspace.command(AS_OF, &arguments).env("USER", ".jane"));
    assert_eq!(put.exit_code, Some(0), "{put:?}");
    takes(&workspace);
    assert_eq!(log(&workspace).len(), 1, "her folder is one that is read");
}
