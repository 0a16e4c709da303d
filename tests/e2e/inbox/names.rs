//! Names and files that nobody expects: each is told, and none holds up another.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use super::{HEADER, came, dated, is_there, lake, log, take, takes, text};

const GOOD: &str = "id:1,100,USD,,,Retail,,,";
const AT: &str = "2026-03-05T10:00:00Z";
const BEFORE: &str = "2026-03-04T10:00:00Z";

/// What is refused of the inbox beside a good file, which is recorded.
fn refused(workspace: &crate::support::Workspace) -> Vec<String> {
    came(workspace, "jane/good.csv", AT, GOOD);
    let outcome = take(workspace);
    assert_eq!(outcome.exit_code, Some(3), "{outcome:?}");
    assert_eq!(log(workspace), ["id:1 100.0000000000 Retail jane 2026-03-05T10:00:00"], "{outcome:?}");
    outcome.stderr.lines().skip(1).map(str::to_owned).collect()
}

#[test]
fn names_that_can_be_none_are_told_and_hold_up_nothing() {
    let workspace = lake();
    let inbox = workspace.path("lake/inbox");
    fs::create_dir_all(inbox.join("bob")).expect("a folder");
    let long = "x".repeat(201);
    for name in [&b"a\nb.csv"[..], b"\xff.csv", b"left.csv#1", long.as_bytes()] {
        fs::write(inbox.join("bob").join(OsStr::from_bytes(name)), GOOD).expect("a file");
    }
    let unreadable = inbox.join(OsStr::from_bytes(b"\xfe"));
    fs::create_dir_all(&unreadable).expect("a folder");
    fs::write(unreadable.join("a.csv"), GOOD).expect("a file");
    fs::write(inbox.join("lone.csv"), GOOD).expect("a file");
    fs::write(workspace.path("secret.csv"), "password\nhunter2\n").expect("a file");
    symlink(workspace.path("secret.csv"), inbox.join("bob/link.csv")).expect("a link");
    symlink(&inbox, inbox.join("bob/round")).expect("a link");
    let told = refused(&workspace);
    let expected = [
        "bob/a\\nb.csv: has a name that cannot be told (",
        "bob/left.csv#1: has a name that ends in # and a number; give it another one",
        "bob/link.csv: is neither a file nor a folder",
        "bob/round: is neither a file nor a folder",
        &format!("bob/{long}: has a name that is too long for a receipt beside it; give it a shorter one"),
        "bob/\u{fffd}.csv: has a name that is not UTF-8; give it another one",
        "lone.csv: lies in no folder; put it into one that is named after whom it is of",
        "\u{fffd}: has a name that is not UTF-8; give it another one",
    ];
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.starts_with(expected), "{told}\n{expected}");
    }
    let receipts = fs::read_dir(inbox.join("bob")).expect("a folder").count();
    assert_eq!(receipts, 6, "no receipt lies there");
    let again = take(&workspace);
    assert_eq!(
        (again.exit_code, again.stdout.as_str()),
        (Some(3), ""),
        "it is told until somebody mends it: {again:?}"
    );
}

#[test]
fn any_other_name_is_taken_as_it_is_and_left_alone_where_it_begins_with_a_dot() {
    let workspace = lake();
    let names = [
        "a b.csv",
        "50%20#x.csv",
        "Größe & «Q».csv",
        "'; DROP TABLE--.csv",
        "-rf",
        "a:b*?[c].csv",
        "x.taken",
        "no\u{202e}vsc.exe",
    ];
    for name in names {
        came(&workspace, &format!("Jané D'Arc: ops/{name}"), AT, GOOD);
    }
    came(&workspace, "jane/.DS_Store", AT, "no table");
    came(&workspace, ".git/a.csv", AT, "no table");
    let said = takes(&workspace);
    assert_eq!(said.lines().count(), names.len() + 1, "{said}");
    assert!(said.contains("Jané D'Arc: ops/no\\u{202e}vsc.exe: Recorded"), "{said}");
    for name in names {
        assert!(is_there(&workspace, &format!("Jané D'Arc: ops/{name}.taken.txt")), "{name}");
    }
    assert!(!is_there(&workspace, "jane/.DS_Store.refused.txt"));
    assert_eq!(takes(&workspace), "There is nothing new in the inbox.\n");
}

#[test]
fn what_nobody_fills_in_is_refused_before_it_takes_a_night_long() {
    let workspace = lake();
    let many: Vec<String> = (0..10_001).map(|row| format!("id:1,{},USD,,,Retail,,,", row + 1)).collect();
    came(&workspace, "bob/many.csv", BEFORE, &many.join("\n"));
    came(&workspace, "bob/huge.csv", BEFORE, &"x".repeat(4 << 20));
    came(&workspace, "bob/picture.png", BEFORE, "\u{89}PNG");
    workspace.write("lake/inbox/bob/empty.csv", "");
    dated(&workspace, "bob/empty.csv", BEFORE);
    came(&workspace, "bob/old.csv", "1980-01-01T00:00:00Z", GOOD);
    came(&workspace, "bob/new.csv", "2120-01-01T00:00:00Z", GOOD);
    let told = refused(&workspace);
    let size = HEADER.len() + (4 << 20) + 1;
    let expected = [
        "bob/old.csv: old.csv is dated wrongly: 1980-01-01",
        "bob/empty.csv: empty.csv",
        &format!("bob/huge.csv: huge.csv has {size} bytes; split it, at most 4194304 are read"),
        "bob/many.csv: many.csv has 10001 rows; split it, at most 10000 are read",
        "bob/picture.png: picture.png, row ",
        "bob/new.csv: is dated 2120-01-01 and is not read before",
    ];
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.starts_with(expected), "{told}\n{expected}");
    }
}

#[test]
fn receipt_that_the_uploader_wrote_keeps_only_their_own_file_from_being_read() {
    let workspace = lake();
    came(&workspace, "jane/a.csv", AT, GOOD);
    workspace.write("lake/inbox/jane/a.csv.taken.txt", "All is well.\n\nversion 1\nsha256 2\n");
    takes(&workspace);
    assert_eq!(log(&workspace).len(), 1);
    assert!(text(&workspace, "jane/a.csv.taken.txt").starts_with("Recorded 1 row of a.csv."));
}

#[test]
fn file_that_is_called_as_a_receipt_and_is_none_is_told_and_a_receipt_whose_file_has_gone_is_not() {
    let workspace = lake();
    came(&workspace, "bob/may.taken.txt", BEFORE, GOOD);
    workspace.write("lake/inbox/bob/empty.refused.txt", "");
    workspace.write("lake/inbox/bob/gone.csv.taken.txt", "Recorded 1 row of gone.csv.\n\nversion 1\nsha256 2\n");
    let why = "has the name of a receipt, so it is not read; give it another one";
    assert_eq!(refused(&workspace), [format!("bob/empty.refused.txt: {why}"), format!("bob/may.taken.txt: {why}")]);
}
