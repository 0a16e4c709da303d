//! Other clients on the same lake: DuckDB reads what is published, `PyIceberg` reads the logs and appends to them.
//!
//! The clients live in a virtual environment that is made on first use and kept: `FINOPS_VENV`, else `interop-venv` in
//! the target folder.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::faults::shop::{Shop, names, outcome};
use crate::support;
use crate::support::python::finish;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("interop")
}

/// Python with the pinned clients.
fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| support::python::python(&folder().join("requirements.txt"), "FINOPS_VENV", "interop-venv"))
}

/// One of the scripts beside the requirements, on the shop's lake.
fn script(shop: &Shop, name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(python());
    let lake = shop.0.path("lake").canonicalize().expect("the lake");
    command.arg(folder().join(name)).arg(lake).args(arguments).env("HOME", shop.0.path("elsewhere/home"));
    command
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

/// Starts a client that appends one commit per list of rows, and waits until it has loaded everything.
fn start_append(shop: &Shop, table: &str) -> Child {
    let mut command = script(shop, "logs.py", &["append", table, "--wait"]);
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = pipes.spawn().expect("a started client");
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().expect("a pipe")).read_line(&mut line).expect("a line");
    if line != "ready\n" {
        panic!("{:?}", outcome(child));
    }
    child
}

/// Appends rows in one commit.
fn append(shop: &Shop, table: &str, rows: &Value) {
    let mut child = start_append(shop, table);
    writeln!(child.stdin.take().expect("a pipe"), "{rows}").expect("a written line");
    let appended = outcome(child);
    assert_eq!(appended.exit_code, Some(0), "{appended:?}");
}

/// One lot of an allocation to Retail; other columns can be laid over it.
fn lot(id: &str, number: u32, credit: &str, amount: &str, over: &[(&str, Value)]) -> Value {
    let mut row = json!({
        "allocation_id": id, "lot": number, "credit_key": format!("code:{credit}@111111111111"), "action": "allocate",
        "business_unit": "Retail", "amount": amount, "currency": "USD", "recorded_by": "athena",
        "recorded_at": "2026-03-16T10:00:00",
    });
    for (column, value) in over {
        row[*column] = value.clone();
    }
    row
}

/// Column names and types as `DESCRIBE` gives them, in the words of `spell`.
fn described(shop: &Shop, table: &str, spell: fn(&str) -> &'static str) -> BTreeMap<String, String> {
    let text = shop.succeed(&["--format", "json", "query", &format!("DESCRIBE {table}")]);
    let rows: Vec<Value> = serde_json::from_str(&text).expect("JSON");
    let word = |row: &Value, column: &str| row[column].as_str().expect("text").to_owned();
    rows.iter().map(|row| (word(row, "column_name"), spell(&word(row, "data_type")).to_owned())).collect()
}

fn in_duckdb(arrow: &str) -> &'static str {
    match arrow {
        "Utf8" | "Utf8View" => "VARCHAR",
        "Date32" => "DATE",
        "Decimal128(38, 10)" => "DECIMAL(38,10)",
        "Int32" => "INTEGER",
        "Int64" => "BIGINT",
        other if other.starts_with("Timestamp") => "TIMESTAMP",
        other => panic!("{other} is no type of the contract"),
    }
}

fn in_iceberg(arrow: &str) -> &'static str {
    match in_duckdb(arrow) {
        "VARCHAR" => "string",
        "DATE" => "date",
        "DECIMAL(38,10)" => "decimal(38, 10)",
        "INTEGER" => "int",
        "BIGINT" => "long",
        _ => "timestamp",
    }
}

fn columns(described: &Value) -> BTreeMap<String, String> {
    let columns = described.as_object().expect("an object").iter();
    columns.map(|(name, kind)| (name.clone(), kind.as_str().expect("a type").to_owned())).collect()
}

#[test]
fn duckdb_reads_every_published_table_by_glob_with_the_same_rows_totals_and_types() {
    let shop = Shop::new();
    shop.succeed(&["run"]);
    shop.change();
    append(&shop, "allocations_log", &json!([lot("bad", 1, "Credit C", "5", &[("business_unit", json!("Nowhere"))])]));
    shop.succeed(&["run"]);
    let seen = parsed(&finish(&mut script(&shop, "published.py", &[])));
    let tables: BTreeSet<String> = seen.as_object().expect("an object").keys().cloned().collect();
    let mut entries = names(&shop.0.path("lake/published"));
    assert!(entries.remove("manifest.json"));
    assert_eq!(tables, entries);
    assert_eq!(tables.len(), 10, "{tables:?}");
    for table in &tables {
        let seen = &seen[table];
        assert_eq!(columns(&seen["columns"]), described(&shop, table, in_duckdb), "{table}");
        let totals = seen["totals"].as_object().expect("an object");
        let sums: Vec<String> = totals.keys().map(|column| format!(", sum({column})")).collect();
        let own = shop.rows(&format!("SELECT count(*){} FROM {table}", sums.concat()));
        let texts = totals.values().map(|total| total.as_str().expect("text").to_owned());
        let foreign: Vec<String> = std::iter::once(seen["rows"].to_string()).chain(texts).collect();
        assert_eq!(own, [foreign.join(",")], "{table}: rows and totals of {:?}", totals.keys());
        assert_ne!(seen["rows"], json!(0), "{table} shows nothing");
    }
}

#[test]
fn pyiceberg_opens_all_logs_with_the_types_of_the_contract() {
    let shop = Shop::new();
    shop.succeed(&["run"]);
    let types = parsed(&finish(&mut script(&shop, "logs.py", &["types"])));
    let logs = ["allocations_log", "credits_log", "runs_log"];
    assert_eq!(types.as_object().expect("an object").keys().collect::<Vec<_>>(), logs);
    for log in logs {
        assert_eq!(columns(&types[log]), described(&shop, log, in_iceberg), "{log}");
        let rows = parsed(&finish(&mut script(&shop, "logs.py", &["rows", log])));
        let count = rows.as_array().expect("rows").len().to_string();
        assert_eq!([count], shop.rows(&format!("SELECT count(*) FROM {log}"))[..], "{log}");
    }
}

#[test]
fn allocation_that_pyiceberg_appends_counts_from_the_next_run_on() {
    let shop = Shop::new();
    shop.succeed(&["run"]);
    let end = [("end_date", json!("2026-03-15")), ("reference", json!("PY-1"))];
    append(
        &shop,
        "allocations_log",
        &json!([lot("py", 1, "Credit B", "30", &end), lot("py", 2, "Credit B", "20.0000000001", &end)]),
    );
    shop.succeed(&["run"]);
    let columns = "status, allocated_amount, used, expired, end_date, reference, recorded_by, recorded_at";
    let rows = shop.rows(&format!("SELECT {columns} FROM credits WHERE promotion_code = 'Credit B'"));
    assert_eq!(
        rows,
        ["expired,50.0000000001,15.0000000000,35.0000000001,2026-03-15,PY-1,athena,2026-03-16T10:00:00"],
        "A leaves B 15 of the spend up to the 15th"
    );
    assert!(shop.rows("SELECT * FROM credit_queue").is_empty());
}

#[test]
fn bad_allocations_that_pyiceberg_appends_are_listed_and_leave_their_credits_waiting() {
    let shop = Shop::new();
    shop.0.write("cur/cur-2026-03.csv", shop.second_delivery());
    shop.succeed(&["run"]);
    let rows = json!([
        lot("no-such-node", 1, "Credit A", "70", &[("business_unit", json!("Nowhere"))]),
        lot("not-yet", 1, "Credit B", "50", &[("recorded_at", json!("2999-01-01T00:00:00"))]),
        lot("two-currencies", 1, "Credit C", "5", &[]),
        lot("two-currencies", 2, "Credit C", "5", &[("currency", json!("EUR"))]),
    ]);
    append(&shop, "allocations_log", &rows);
    let summary = shop.succeed(&["run"]);

    let issues = shop.rows("SELECT allocation_id, lot, problem FROM allocation_issues ORDER BY 1, 2");
    assert_eq!(
        issues,
        [
            "no-such-node,1,node Nowhere is not in hierarchy.csv",
            "not-yet,1,recorded_at 2999-01-01 00:00:00 is in the future",
            "two-currencies,2,\"currency EUR is not that of the credit, USD\"",
        ]
    );
    assert!(summary.contains("Allocations 3 cannot be used:\n"), "{summary}");
    for id in ["no-such-node", "not-yet", "two-currencies"] {
        assert!(summary.contains(id), "{id}:\n{summary}");
    }
    let waiting = shop.rows("SELECT promotion_code, reason FROM credit_queue ORDER BY 1");
    assert_eq!(waiting, ["Credit A", "Credit B", "Credit C"].map(|credit| format!("{credit},allocation_invalid")));
    let states = shop.rows("SELECT DISTINCT status, allocated_amount FROM credits");
    assert_eq!(states, ["invalid,"], "the valid revision of credit A does not revive");
    assert_eq!(shop.rows("SELECT count(*) FROM credit_consumption"), ["0"]);
}

/// By hand: January 15th.
fn set_issue_date_of_b(shop: &Shop) {
    let rows = parsed(&finish(&mut script(shop, "logs.py", &["rows", "credits_log"])));
    let of_b = rows.as_array().expect("rows").iter().find(|row| row["promotion_code"] == "Credit B");
    let mut row = of_b.expect("credit B").clone();
    assert_eq!((&row["revision"], &row["issue_date"]), (&json!(1), &json!("2026-02-28")));
    for (column, value) in [("issue_date", "2026-01-15"), ("issue_date_source", "manual"), ("run_id", "by-hand")] {
        row[column] = json!(value);
    }
    row["revision"] = json!(2);
    append(shop, "credits_log", &json!([row]));
}

#[test]
fn issue_date_that_pyiceberg_sets_by_hand_shows_in_months_whose_lines_have_not_changed() {
    let shop = Shop::new();
    shop.succeed(&["run"]);
    let issued = "SELECT billing_period, issue_period FROM credit_impact WHERE credit_key LIKE '%Credit B%'";
    assert_eq!(shop.rows(issued), ["2026-03,2026-02"]);
    set_issue_date_of_b(&shop);
    shop.succeed(&["run"]);
    assert_eq!(shop.rows(issued), ["2026-03,2026-01"], "nobody has allocated it");
}

#[test]
fn issue_date_that_pyiceberg_sets_by_hand_is_kept() {
    let shop = Shop::new();
    shop.succeed(&["run"]);
    shop.change();
    set_issue_date_of_b(&shop);
    for _ in 0..2 {
        shop.succeed(&["run"]);
        let columns = "issue_date, issue_date_source, issue_period, first_cur_date";
        let credit = shop.rows(&format!("SELECT {columns} FROM credits WHERE promotion_code = 'Credit B'"));
        assert_eq!(credit, ["2026-01-15,manual,2026-01,2026-03-01"]);
        let used = "SELECT billing_period, used FROM credit_balances WHERE promotion_code = 'Credit B' ORDER BY 1";
        let used = shop.rows(used);
        assert_eq!(used[0], "2026-01,50.0000000000", "it is older than credit A now and goes first: {used:?}");
        let revisions = "SELECT max(revision) FROM credits_log WHERE promotion_code = 'Credit B'";
        assert_eq!(shop.rows(revisions), ["2"], "nothing has changed since");
    }
}

#[test]
fn allocations_that_pyiceberg_appends_during_runs_are_neither_lost_nor_half_seen() {
    const COMMITS: u32 = 12;
    let shop = Shop::new();
    shop.succeed(&["run"]);
    let mut client = start_append(&shop, "allocations_log");
    let mut pipe = client.stdin.take().expect("a pipe");
    for commit in 1..=COMMITS {
        let at = [("recorded_at", json!(format!("2026-03-16T10:00:{commit:02}")))];
        let lots = [1, 2].map(|number| lot(&format!("py-{commit}"), number, "Credit B", &format!("{commit}"), &at));
        writeln!(pipe, "{}", json!(lots)).expect("a written line");
    }
    drop(pipe);
    let mut runs = 0;
    while client.try_wait().expect("a process").is_none() || runs == 0 {
        shop.succeed(&["run"]);
        runs += 1;
        let lots =
            "SELECT amount FROM credit_balances WHERE promotion_code = 'Credit B' AND billing_period = '2026-03'";
        let balances = shop.rows(&lots.replace("amount", "opening + issued"));
        assert!([0, 2].contains(&balances.len()), "both lots of a revision or none: {balances:?}");
        assert!(balances.windows(2).all(|pair| pair[0] == pair[1]), "both lots of the same revision: {balances:?}");
    }
    let appended = outcome(client);
    assert_eq!(appended.exit_code, Some(0), "{appended:?}");
    shop.succeed(&["run"]);
    let counted = shop.rows("SELECT allocated_amount FROM credits WHERE promotion_code = 'Credit B'");
    assert_eq!(counted, [format!("{}.0000000000", 2 * COMMITS)], "the newest revision");
    let logged = shop.rows("SELECT count(*) FROM allocations_log WHERE recorded_by = 'athena'");
    assert_eq!(logged, [(2 * COMMITS).to_string()], "after {runs} runs meanwhile");
}
