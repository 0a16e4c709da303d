//! Recording allocations: one by one and in bulk. Where anything is wrong nothing is recorded.

use super::{AS_OF, Published};

const HEADER: &str = "promotion_code,account_id,credit_key,amount,currency,end_date,reference,business_unit,department,\
                      portfolio,product,recorded_at\n";
const KEY: &str = "code:Credit A@111111111111";

impl Published {
    /// Imports these rows after a good one of another credit.
    fn refuses_import(&self, rows: &[&str], message: &str) {
        let text = format!("{HEADER},,id:2,50,USD,,,Retail,,,,\n{}\n", rows.join("\n"));
        self.workspace.write("import.csv", text);
        let file = self.workspace.path("import.csv").display().to_string();
        self.refuses(&["allocations", "import", &file], 3, message);
        self.nothing_is_recorded();
    }

    fn refuses_allocation(&self, arguments: &[&str], exit_code: i32, message: &str) {
        self.refuses(&[&["allocate"], arguments].concat(), exit_code, message);
        self.nothing_is_recorded();
    }

    fn nothing_is_recorded(&self) {
        let rows = self.workspace.query(AS_OF, "SELECT count(*) AS n FROM allocations_log");
        assert_eq!(rows.expect("a query")[0]["n"], "0");
    }
}

#[test]
fn import_of_rows_that_cannot_be_is_refused_with_row() {
    let published = Published::new();
    for (row, message) in [
        (",,id:9,5,USD,,,Retail,,,,", "row 3: credit id:9 is not registered; did you mean id:1?"),
        (
            "Credit Z,111111111111,,5,USD,,,Retail,,,,",
            "row 3: no credit \"Credit Z\" of account 111111111111 is registered; `queue` and `credits` list those that are",
        ),
        (
            "Twin,111111111111,,5,USD,,,Retail,,,,",
            "row 3: \"Twin\" of account 111111111111 stands for 2 credits: id:1, id:2; name one by its key",
        ),
        (",,id:1,5,USD,2026-01-10,,Retail,,,,", "row 3: end_date 2026-01-10 is before the issue date 2026-01-11"),
        (",,id:1,5,EUR,,,Retail,,,,", "row 3: currency EUR is not that of the credit, USD"),
        (",,id:1,5,USD,,,Wholesale,,,,", "row 3: node Wholesale is not in hierarchy.csv"),
        (",,id:1,5,USD,,,Unassigned,,,,", "row 3: node Unassigned is not in hierarchy.csv"),
    ] {
        published.refuses_import(&[row], &format!("import.csv, {message}"));
    }
}

#[test]
fn import_of_cells_that_are_no_values_is_refused_with_row_and_column() {
    let published = Published::new();
    for (row, message) in [
        (",,id:1,0,USD,,,Retail,,,,", "row 3, column amount: 0.0000000000 is not above zero"),
        (",,id:1,-5,USD,,,Retail,,,,", "row 3, column amount: -5.0000000000 is not above zero"),
        (",,id:1,\"5,00\",USD,,,Retail,,,,", "row 3, column amount: \"5,00\" has a decimal comma; write 1234.56"),
        (",,id:1,1e40,USD,,,Retail,,,,", "row 3, column amount: \"1e40\" is too large: more than 38 digits"),
        (",,id:1,5,$,,,Retail,,,,", "row 3, column currency: \"$\" is no currency code (USD)"),
        (",,id:1,5,USD,31/12/2026,,Retail,,,,", "row 3, column end_date: \"31/12/2026\" is not a date (YYYY-MM-DD)"),
        (",,id:1,5,USD,,,,,,,", "row 3, column business_unit: is empty"),
        (
            "Twin,1.11111E+11,,5,USD,,,Retail,,,,",
            "row 3, column account_id: \"1.11111E+11\" is a number as a spreadsheet shows it: write all 12 digits as text",
        ),
        (",,id:1,5,USD,,,Retail,,Shop,,", "row 3, column business_unit: portfolio is set but department is empty"),
        (
            ",,,5,USD,,,Retail,,,,",
            "row 3, column credit_key: is empty; name the credit by its key, or by promotion_code and account_id",
        ),
        (
            ",,id:1,5,USD,,,Retail,,,,2026-03-01",
            "row 3, column recorded_at: \"2026-03-01\" is not an instant (2026-03-05T09:00:00Z)",
        ),
    ] {
        published.refuses_import(&[row], &format!("import.csv, {message}"));
    }
}

#[test]
fn import_of_something_recorded_in_the_future_is_refused() {
    let published = Published::new();
    let message = "import.csv, row 3: recorded_at 2099-01-01 00:00:00 is in the future";
    published.refuses_import(&[",,id:1,5,USD,,,Retail,,,,2099-01-01T00:00:00Z"], message);
}

#[test]
fn lots_of_one_credit_that_disagree_are_refused() {
    let published = Published::new();
    let first = ",,id:1,5,USD,2026-12-31,,Retail,,,,";
    for (second, message) in [
        (",,id:1,5,EUR,2026-12-31,,Retail,Online,,,", "row 4: currency EUR is not that of the credit, USD"),
        (",,id:1,5,USD,2026-01-01,,Retail,Online,,,", "row 4: end_date 2026-01-01 is before the issue date 2026-01-11"),
    ] {
        published.refuses_import(&[first, second], &format!("import.csv, {message}"));
    }
}

#[test]
fn all_bad_rows_of_an_import_are_listed_at_once() {
    let published = Published::new();
    published.refuses_import(
        &[",,id:9,5,USD,,,Retail,,,,", ",,id:1,5,EUR,2026-01-01,,Nowhere,,,,", ",,id:2,five,USD,,,Retail,,,,"],
        "import.csv, row 3: credit id:9 is not registered; did you mean id:1?\n\
         import.csv, row 4: currency EUR is not that of the credit, USD\n\
         import.csv, row 4: end_date 2026-01-01 is before the issue date 2026-01-11\n\
         import.csv, row 4: node Nowhere is not in hierarchy.csv\n\
         import.csv, row 5, column amount: \"five\" is not an amount (1234.56)",
    );
    let history = published.workspace.try_run(AS_OF, &["allocations", "history", "id:2"]).expect("a history");
    assert_eq!(history, "Nothing has been recorded about this credit.\n");
}

#[test]
fn file_of_another_kind_or_that_does_not_exist_is_named() {
    let published = Published::new();
    let known = "known are credit_key, amount, currency, end_date, reference, business_unit, department, portfolio, \
                 product, promotion_code, account_id, owner_email, likely_node, likely_owner_email, allocation_id, lot, \
                 recorded_at, recorded_by, action, note, from_period, continues_lot, credit_class, first_cur_date, issue_date, issue_period, aws_applied, days_waiting, reason";
    let missing = "credit_key, amount, currency, end_date, reference, department, portfolio, product";
    published.workspace.write("import.csv", "team,business_unit\nA,Retail\n");
    let file = published.workspace.path("import.csv").display().to_string();
    let message = format!(
        "import.csv, row 1, column team: unknown in this file; {known}\n\
         import.csv, row 1, column {missing}: missing in the header"
    );
    published.refuses(&["allocations", "import", &file], 3, &message);
    let file = published.workspace.path("none.csv").display().to_string();
    published.refuses(&["allocations", "import", &file], 3, "<workspace>/none.csv does not exist");
}

#[test]
fn allocation_that_cannot_be_is_refused() {
    let published = Published::new();
    let refuses = |credit: &[&str], rest: &[&str], message: &str| {
        published.refuses_allocation(&[credit, rest].concat(), 3, message);
    };
    let of_a: &[&str] = &["--key", KEY];
    let good = ["--amount", "5", "--to", "Retail"];
    let unknown = "is registered; `queue` and `credits` list those that are";
    refuses(&["--key", "id:9"], &good, "credit id:9 is not registered; did you mean id:1?");
    refuses(
        &["--code", "Credit Z", "--account", "1"],
        &good,
        &format!("no credit \"Credit Z\" of account 1 {unknown}"),
    );
    refuses(
        &["--code", "Twin", "--account", "111111111111"],
        &good,
        "\"Twin\" of account 111111111111 stands for 2 credits: id:1, id:2; name one by its key",
    );
    refuses(of_a, &["--amount", "0", "--to", "Retail"], "allocate: amount 0.0000000000 is not above zero");
    refuses(of_a, &["--amount", "-5", "--to", "Retail"], "allocate: amount -5.0000000000 is not above zero");
    refuses(of_a, &["--amount", "5", "--to", "Nowhere"], "allocate: node Nowhere is not in hierarchy.csv");
    refuses(
        of_a,
        &["--amount", "5", "--to", "Retail", "--end-date", "2026-01-09"],
        "allocate: end_date 2026-01-09 is before the issue date 2026-01-10",
    );
    refuses(
        of_a,
        &["--amount", "5", "--to", "Retail", "--recorded-at", "2099-01-01T00:00:00Z"],
        "allocate: recorded_at 2099-01-01 00:00:00 is in the future",
    );
}

#[test]
fn allocation_without_what_it_needs_is_a_usage_error_away_from_a_terminal() {
    let published = Published::new();
    let message = "allocate: missing --key (or --code and --account), --amount, --to";
    published.refuses_allocation(&[], 2, message);
    published.refuses_allocation(&["--key", KEY, "--amount", "5"], 2, "allocate: missing --to");
    let usage = |option: &str, value: &str, wrong: &str| {
        published.refuses_allocation(
            &["--key", KEY, "--amount", "5", "--to", "Retail", option, value],
            2,
            &format!("invalid value '{value}' for '{option} {wrong}\n\nFor more information, try '--help'."),
        );
    };
    usage("--end-date", "31.12.2026", "<DATE>': not a date (YYYY-MM-DD)");
    usage("--as-of", "2026-02-30", "<DATE>': not a date (YYYY-MM-DD)");
    usage("--recorded-at", "yesterday", "<INSTANT>': not an instant (2026-03-05T09:00:00Z)");
}

#[test]
fn revocation_of_what_is_not_allocated_is_refused() {
    let published = Published::new();
    let message = format!("revoke: credit {KEY}: it is not allocated (never_allocated)");
    published.refuses(&["revoke", "--key", KEY], 3, &message);
    published.nothing_is_recorded();
}

#[test]
fn allocation_that_would_never_count_as_the_clock_is_behind_is_refused() {
    let published = Published::new();
    let run = |arguments: &[&str]| published.workspace.run("2099-12-31", arguments);
    let of_a = ["allocate", "--key", KEY, "--amount", "5", "--to", "Retail"];
    let ahead = run(&[&of_a[..], &["--recorded-at", "2099-01-01T10:00:00Z"]].concat());
    assert_eq!(ahead.exit_code, Some(0), "{}", ahead.stderr);
    let revoke = ["revoke", "--key", KEY];
    for (arguments, command) in [(&of_a[..], "allocate"), (&revoke[..], "revoke")] {
        let outcome = run(arguments);
        let start =
            format!("error: {command}: credit {KEY} has a revision recorded at 2099-01-01 10:00:00, but now is 20");
        assert!(outcome.stderr.starts_with(&start), "{}", outcome.stderr);
        let end = ": this one would never count; set the clock, or wait\n";
        assert!(outcome.stderr.ends_with(end), "{}", outcome.stderr);
        assert_eq!(outcome.exit_code, Some(3));
    }
    let rows = published.workspace.query(AS_OF, "SELECT count(*) AS n FROM allocations_log");
    assert_eq!(rows.expect("a query")[0]["n"], "1");
    // A history that is carried over may be older.
    let stated = run(&[&of_a[..], &["--recorded-at", "2026-02-01T10:00:00Z"]].concat());
    assert_eq!(
        stated.stderr,
        format!(
            "warning: credit {KEY}: a revision recorded at 2099-01-01 10:00:00 is newer and stays the one that counts\n"
        )
    );
    assert_eq!(stated.exit_code, Some(0));
}

#[test]
fn mistyped_years_are_refused() {
    let published = Published::new();
    let beyond = "is not in the years 2006 to 2100";
    for (row, message) in [
        (
            ",,id:1,5,USD,0026-12-31,,Retail,,,,",
            "end_date: 0026-12-31 is not in the years 2006 to 2100; empty: open-ended",
        ),
        (
            ",,id:1,5,USD,9999-12-31,,Retail,,,,",
            "end_date: 9999-12-31 is not in the years 2006 to 2100; empty: open-ended",
        ),
        (",,id:1,5,USD,,,Retail,,,,0026-03-01T00:00:00Z", "recorded_at: 0026-03-01 is not in the years 2006 to 2100"),
    ] {
        published.refuses_import(&[row], &format!("import.csv, row 3, column {message}"));
    }
    for (option, value, name) in
        [("--end-date", "2206-12-31", "DATE"), ("--recorded-at", "0026-03-01T00:00:00Z", "INSTANT")]
    {
        let date = &value[..10];
        let message = format!(
            "invalid value '{value}' for '{option} <{name}>': {date} {beyond}\n\nFor more information, try '--help'."
        );
        let arguments = ["--key", KEY, "--amount", "5", "--to", "Retail", option, value];
        published.refuses_allocation(&arguments, 2, &message);
    }
}

#[test]
fn import_of_a_folder_is_refused() {
    let published = Published::new();
    let folder = published.workspace.path("reference").display().to_string();
    published.refuses(&["allocations", "import", &folder], 3, "<workspace>/reference is a folder");
}
