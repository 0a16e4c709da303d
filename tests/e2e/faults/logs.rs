//! The logs: what people recorded is the one thing that nothing can make again. An allocation that is said to be recorded
//! is; a catalogue or a log that is lost or damaged is named, and brought back.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::shop::{ALLOCATE_B, Shop, assert_same, files};
use super::storage::{namespace, script};

/// What `allocations list` shows of credit B.
fn amount_of_b(shop: &Shop) -> Option<String> {
    let rows = crate::support::compare::csv_rows(&shop.succeed(&["--format", "csv", "allocations", "list"]));
    rows.iter().find(|row| row["credit_key"] == "code:Credit B@111111111111").map(|row| row["amount"].clone())
}

/// Runs SQL on the catalogue in Python, which has SQLite built in.
fn on_catalog(shop: &Shop, statements: &str) {
    let program = format!(
        "import sqlite3, sys\nconnection = sqlite3.connect(sys.argv[1])\nconnection.executescript({statements:?})\nconnection.commit()"
    );
    let done = Command::new("python3").args(["-c", &program]).arg(shop.0.path("lake/catalog.db")).status();
    assert!(done.expect("a started Python").success());
}

#[test]
fn allocation_beside_a_reader_that_holds_the_catalogue_is_refused_and_not_claimed() {
    let shop = Shop::new();
    shop.succeed(&["run"]);
    // A backup or a database browser: it reads, and does not let go.
    let reader = "import sqlite3, sys\nconnection = sqlite3.connect(sys.argv[1], isolation_level=None)\n\
                  connection.execute('BEGIN')\nconnection.execute('SELECT * FROM iceberg_tables').fetchall()\n\
                  print('reading', flush=True)\nsys.stdin.read()";
    let mut reader = Command::new("python3")
        .args(["-c", reader])
        .arg(shop.0.path("lake/catalog.db"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a started Python");
    let mut said = String::new();
    BufReader::new(reader.stdout.take().expect("its output")).read_line(&mut said).expect("a line");
    assert_eq!(said, "reading\n");
    shop.0.write("import.csv", "promotion_code,account_id,credit_key,amount,currency,end_date,reference,business_unit,department,portfolio,product\n,,code:Credit B@111111111111,7,USD,,,Retail,,,\n");
    let file = shop.0.path("import.csv").display().to_string();
    for arguments in [&ALLOCATE_B[..], &["allocations", "import", &file]] {
        let refused = shop.run(arguments);
        assert_eq!(refused.exit_code, Some(6), "{refused:?}");
        assert_eq!(refused.stdout, "");
        let catalog = shop.0.path("lake/catalog.db").canonicalize().expect("a path");
        let expected = format!(
            "error: allocations_log: nothing was recorded: {} does not keep what is written to it; another program may hold it \
             open (a backup, a database browser), or its disk is full; try again after that\n",
            catalog.display()
        );
        assert_eq!(refused.stderr, expected);
    }
    drop(reader.stdin.take());
    assert!(reader.wait().expect("its end").success());
    assert_eq!(amount_of_b(&shop), None, "nothing was recorded");
    shop.succeed(&ALLOCATE_B);
    assert_eq!(amount_of_b(&shop).as_deref(), Some("50.0000000000"));
}

/// Allocations of 1, 2, 3 … on a disk with more room each time: what is said to be recorded is what is listed then.
const ALLOCATE_ON_A_FULL_DISK: &str = r#"
mkdir -p "$LAKE"
mount -t tmpfs -o size=64m tmpfs "$LAKE"
finops run >/dev/null
for room in $(seq 0 4 96); do
    used=$(df --output=used -k "$LAKE" | tail -1)
    mount -o "remount,size=$((used + room))k" tmpfs "$LAKE"
    code=0
    finops allocate --key 'code:Credit B@111111111111' --amount "$((room + 1))" --to Retail --by a \
        >/dev/null 2>&1 || code=$?
    mount -o remount,size=64m tmpfs "$LAKE"
    listed=$(finops --format csv allocations list | grep 'Credit B' | cut -d, -f9 || true)
    echo "$room $code ${listed:-none}"
done
"#;

#[test]
fn allocation_on_a_disk_that_is_nearly_full_is_recorded_or_refused() {
    // Where the machine gives no disk of its own, the tests of failing system calls have the same fault.
    let Some(way) = namespace() else { return };
    let shop = Shop::new();
    let played = script(&shop, &[&["unshare"], way].concat(), ALLOCATE_ON_A_FULL_DISK);
    assert_eq!(played.exit_code, Some(0), "{played:?}");
    let (mut listed_before, mut codes) = ("none".to_owned(), Vec::new());
    for line in played.stdout.lines() {
        let [room, code, listed] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let amount: u32 = room.parse::<u32>().expect("a number") + 1;
        match code {
            "0" => assert_eq!(
                listed,
                format!("{amount}.0000000000"),
                "claimed with {room} KiB of room:\n{}",
                played.stdout
            ),
            "6" => assert_eq!(listed, listed_before, "refused with {room} KiB of room:\n{}", played.stdout),
            other => panic!("exit code {other} with {room} KiB of room"),
        }
        listed.clone_into(&mut listed_before);
        codes.push(code.to_owned());
    }
    assert!(codes.contains(&"0".to_owned()) && codes.contains(&"6".to_owned()), "both were met: {codes:?}");
}

/// Two nights and an allocation that no run has seen yet.
fn two_nights_and_an_allocation() -> Shop {
    let shop = Shop::new();
    shop.succeed(&["run"]);
    shop.0.write("cur/cur-2026-03.csv", shop.second_delivery());
    shop.succeed(&["run"]);
    shop.succeed(&ALLOCATE_B);
    shop
}

/// Every command says that the lake is damaged, and changes nothing.
fn assert_refused(shop: &Shop, what: &str) {
    let kept = files(&shop.0.path("lake/runs"));
    for arguments in [&["run"][..], &ALLOCATE_B, &["queue"], &["query", "SELECT * FROM allocations_log"]] {
        let refused = shop.run(arguments);
        assert_eq!(refused.exit_code, Some(5), "{arguments:?}: {refused:?}");
        assert!(refused.stderr.contains(what), "{arguments:?}: names {what}: {}", refused.stderr);
        assert!(refused.stderr.contains("finops-credits lake repair"), "{arguments:?}: {}", refused.stderr);
        assert_eq!(refused.stderr.lines().count(), 1, "{}", refused.stderr);
    }
    assert_eq!(files(&shop.0.path("lake/runs")), kept, "no run was removed");
}

/// After a repair everything is as if nothing had happened.
fn assert_whole(shop: &Shop) {
    assert_eq!(amount_of_b(shop).as_deref(), Some("50.0000000000"));
    shop.succeed(&["run"]);
    let undisturbed = two_nights_and_an_allocation();
    undisturbed.succeed(&["run"]);
    assert_same("after the repair", &shop.0.published(), &undisturbed.0.published());
}

/// What is done to a lake.
type Damage<'a> = &'a dyn Fn(&Shop);

#[test]
fn catalogue_that_is_lost_emptied_or_damaged_is_named_and_repaired() {
    let whole = |shop: &Shop| fs::read(shop.0.path("lake/catalog.db")).expect("a catalogue");
    let write = |shop: &Shop, bytes: &[u8]| fs::write(shop.0.path("lake/catalog.db"), bytes).expect("a written file");
    let damages: [(&str, &str, Damage); 6] = [
        ("removed", "catalog.db is missing", &|shop| {
            fs::remove_file(shop.0.path("lake/catalog.db")).expect("a removed file");
        }),
        ("emptied", "catalog.db is empty", &|shop| write(shop, b"")),
        ("without logs", "does not know the log finops_credits.credits_log", &|shop| {
            on_catalog(shop, "DELETE FROM iceberg_tables");
        }),
        ("without one log", "does not know the log finops_credits.allocations_log", &|shop| {
            on_catalog(shop, "DELETE FROM iceberg_tables WHERE table_name = 'allocations_log'");
        }),
        ("something else", "catalog.db is damaged", &|shop| write(shop, &[0x5a; 9000])),
        ("cut", "catalog.db is damaged", &|shop| write(shop, &whole(shop)[..5000])),
    ];
    for (damage, what, apply) in damages {
        let shop = two_nights_and_an_allocation();
        apply(&shop);
        assert_refused(&shop, what);
        let repaired = shop.succeed(&["lake", "repair"]);
        assert!(repaired.contains("allocations_log: registered again from 0000"), "{damage}: {repaired}");
        assert_whole(&shop);
        assert_eq!(
            shop.succeed(&["lake", "repair"]).matches(": whole, ").count(),
            3,
            "{damage}: nothing is left to do"
        );
    }
}

/// The newest file in the folder of a log whose name ends so.
fn newest(shop: &Shop, log: &str, folder: &str, suffix: &str) -> PathBuf {
    let folder = shop.0.path(&format!("lake/warehouse/finops_credits/{log}/{folder}"));
    let found = files(&folder).into_iter().filter(|name| name.ends_with(suffix)).map(|name| folder.join(name));
    let changed = |path: &PathBuf| fs::metadata(path).and_then(|file| file.modified()).expect("a file");
    found.max_by_key(changed).expect("a file of the log")
}

fn cut(path: &Path) {
    let bytes = fs::read(path).expect("a file");
    fs::write(path, &bytes[..bytes.len() / 2]).expect("a written file");
}

#[test]
fn log_whose_newest_metadata_is_cut_is_named_and_repaired_without_loss() {
    for log in ["allocations_log", "credits_log", "runs_log"] {
        let shop = two_nights_and_an_allocation();
        let metadata = newest(&shop, log, "metadata", ".metadata.json");
        let name = metadata.file_name().expect("a name").to_string_lossy().into_owned();
        cut(&metadata);
        let refused = shop.run(&["query", &format!("SELECT * FROM {log}")]);
        assert_eq!(refused.exit_code, Some(5), "{refused:?}");
        assert!(refused.stderr.contains(&name) && refused.stderr.contains("lake repair"), "{}", refused.stderr);
        let repaired = shop.succeed(&["lake", "repair"]);
        assert!(repaired.contains(&format!("{log}: registered again from 0000")), "{repaired}");
        assert!(repaired.contains(&format!("{name} cannot be read")), "{repaired}");
        assert_whole(&shop);
    }
}

#[test]
fn log_with_a_data_file_that_is_cut_is_named_and_goes_back_only_when_told_to() {
    let shop = two_nights_and_an_allocation();
    let data = newest(&shop, "allocations_log", "data", ".parquet");
    cut(&data);
    let refused = shop.run(&["allocations", "list"]);
    assert_eq!(refused.exit_code, Some(5), "{refused:?}");
    assert!(refused.stderr.contains(&data.file_name().expect("a name").to_string_lossy()[..]), "{}", refused.stderr);
    assert_eq!(shop.run(&["lake", "repair"]).exit_code, Some(5), "that would lose the allocation");
    let repaired = shop.succeed(&["lake", "repair", "--accept-loss"]);
    assert!(repaired.contains("what was recorded then is lost, record it again"), "{repaired}");
    assert_eq!(amount_of_b(&shop), None);
    shop.succeed(&ALLOCATE_B);
    assert_whole(&shop);
}

#[test]
fn log_of_which_nothing_is_left_begins_anew_only_when_told_to() {
    let shop = two_nights_and_an_allocation();
    fs::remove_dir_all(shop.0.path("lake/warehouse")).expect("a removed folder");
    let refused = shop.run(&["lake", "repair"]);
    assert_eq!(refused.exit_code, Some(5), "{refused:?}");
    assert!(refused.stderr.contains("without loss: it has no metadata that can be read"), "{}", refused.stderr);
    let repaired = shop.succeed(&["lake", "repair", "--accept-loss"]);
    assert!(repaired.contains("allocations_log: nothing of it could be read; it begins anew"), "{repaired}");
    shop.succeed(&["run"]);
}

#[test]
fn new_lake_whose_first_command_was_killed_while_it_made_the_logs_goes_on() {
    let shop = Shop::new();
    let job = shop.run(&["join-allocations", "--run-id", "night"]);
    assert_eq!(job.exit_code, Some(4), "nothing was read yet: {job:?}");
    on_catalog(&shop, "DELETE FROM iceberg_tables WHERE table_name <> 'credits_log'");
    shop.succeed(&["run"]);
}
