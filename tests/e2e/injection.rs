//! What others wrote, in an export, in reference files, in allocations, in names of files, is shown to people and never
//! obeyed: not by their terminal, not by their spreadsheet.

use std::process::Stdio;

use serde_json::Value;

use crate::support::{Outcome, SETTINGS, Workspace};

const AS_OF: &str = "2026-03-31";
const HEADER: &str = "bill_billing_period_start_date,bill_payer_account_id,bill_payer_account_name,\
                      line_item_usage_account_id,line_item_usage_start_date,line_item_line_item_type,\
                      line_item_product_code,line_item_currency_code,line_item_unblended_cost,\
                      line_item_line_item_description\n";
const ALLOCATIONS: &str = "credit_key,amount,currency,end_date,reference,business_unit,department,portfolio,product,\
                           allocation_id,recorded_at,recorded_by,note\n";

/// What would be a second message if its line break reached the terminal.
const FORGED: &str = "error: all is fine";

/// Descriptions: what clears the screen and names the window, a link, text turned round, controls of eight bits, another
/// line, a hidden character, a long one.
fn descriptions() -> Vec<String> {
    [
        "\u{1b}[2J\u{1b}]0;title\u{7}Clear",
        "\u{1b}]8;;http://evil.example\u{1b}\\Link\u{1b}]8;;\u{1b}\\",
        "\u{202e}sterces\u{202c} \u{2066}x\u{2069}",
        "\u{9b}31mRed\u{7f}\u{0}",
        "Line\r\nerror: all is fine",
        "Zero\u{200b}\u{feff}\u{ad}Width\u{2028}error: all is fine",
    ]
    .map(str::to_owned)
    .into_iter()
    .chain(["Long".repeat(50_000)])
    .collect()
}

/// Names of credits that a spreadsheet would take for formulas, or that look guarded against it.
const FORMULAS: [&str; 7] = ["=cmd|' /C calc'!A0", "+1", "-2+3", "@SUM(1)", "'=2", "''+3", "＝4"];

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

fn line(day: u32, line_type: &str, service: &str, cost: &str, description: &str) -> String {
    format!(
        "2026-01-01,999999999999,Pa\u{1b}[1myer,111111111111,2026-01-{day:02},{},{},USD,{cost},{}\n",
        quoted(line_type),
        quoted(service),
        quoted(description)
    )
}

/// An export with credits of these descriptions, and a hierarchy that wants to be obeyed, too.
fn workspace(descriptions: &[impl AsRef<str>]) -> Workspace {
    let workspace = Workspace::new();
    let credits = (1..).zip(descriptions).map(|(day, text)| line(day, "Credit", "AmazonEC2", "-5", text.as_ref()));
    let other = [
        line(1, "Usage", "Amazon\u{1b}[31mEC2", "100", ""),
        line(2, "Odd\u{1b}[2J\nerror: all is fine", "AmazonEC2", "1", ""),
    ];
    let lines: String = credits.chain(other).collect();
    workspace.write("cur/january.csv", format!("{HEADER}{lines}"));
    workspace.write(
        "reference/hierarchy.csv",
        "business_unit,department,portfolio,product\n\"Re\u{1b}[1mtail\nerror: all is fine\",'@Online,,\n",
    );
    workspace.write(
        "reference/cost_rules.csv",
        "rule_id,priority,payer_account_id,account_id,service,region,tag_key,tag_value,cost_category_key,\
         cost_category_value,business_unit,department,portfolio,product,share\n\
         all,10,,*,,,,,,,\"Re\u{1b}[1mtail\nerror: all is fine\",'@Online,,,\n",
    );
    workspace
}

/// One allocation whose every text wants to be obeyed.
fn allocation(key: &str) -> String {
    format!(
        "{ALLOCATIONS}{},3,USD,2026-05-01,\"\u{1b}]0;ref\u{7}\nerror: all is fine\",\"Re\u{1b}[1mtail\nerror: all is fine\",\
         '@Online,,,a\u{1b}[1m1,2026-02-01T09:30:00Z,ann\u{202e},\"note\r\nerror: all is fine\"\n",
        quoted(key)
    )
}

fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Nothing in it is obeyed by a terminal, and no line of it is somebody else's.
fn assert_harmless(outcome: &Outcome, of: &[&str]) {
    for text in [&outcome.stdout, &outcome.stderr] {
        let hidden = text.chars().find(|character| *character != '\n' && is_hidden(*character));
        assert_eq!(hidden, None, "{of:?}\n{}", text.escape_debug());
        let forged = text.lines().find(|line| line.trim_start().starts_with(FORGED));
        assert_eq!(forged, None, "{of:?}\n{text}");
        let longest = text.lines().map(|line| line.chars().count()).max().unwrap_or(0);
        assert!(longest < 4_000, "{of:?}: a line of {longest} characters");
    }
}

/// Runs a command that ends with this exit code and whose output is harmless.
fn harmless(workspace: &Workspace, arguments: &[&str], exit_code: i32) -> Outcome {
    let outcome = workspace.run(AS_OF, arguments);
    assert_eq!(outcome.exit_code, Some(exit_code), "{arguments:?}\n{}\n{}", outcome.stdout, outcome.stderr);
    assert_harmless(&outcome, arguments);
    outcome
}

const CLEAR: &str = "code:\u{1b}[2J\u{1b}]0;title\u{7}Clear@111111111111";

#[test]
fn what_others_wrote_is_shown_and_not_obeyed_by_every_command() {
    let workspace = workspace(&descriptions());
    workspace.write("reference/allocations.csv", allocation(CLEAR));
    let run = harmless(&workspace, &["run"], 0);
    assert!(run.stdout.contains(r"code:\u{1b}[2J\u{1b}]0;title\u{7}Clear@111111111111  5.00 USD"), "{}", run.stdout);
    assert!(run.stdout.contains(r"unknown line type Odd\u{1b}[2J\nerror: all is fine counts"), "{}", run.stdout);
    assert!(run.stdout.contains(r"Re\u{1b}[1mtail\nerror: all is fine  USD"), "{}", run.stdout);
    assert!(run.stderr.contains(r"WARN allocations.csv: credit code:\u{1b}[2J"), "{}", run.stderr);
    let queue = harmless(&workspace, &["queue"], 0);
    assert_eq!(queue.stdout.lines().count(), descriptions().len() + 1, "with a sum: {}", queue.stdout);
    for shown in [r"\u{202e}sterces\u{202c} \u{2066}x\u{2069}", r"\u{9b}31mRed\u{7f}\u{0}", "LongLong", "…"] {
        assert!(queue.stdout.contains(shown), "{shown}\n{}", queue.stdout);
    }
    let credits = harmless(&workspace, &["credits"], 0);
    assert!(credits.stdout.contains(r"\u{1b}]0;ref\u{7}\nerror: all is fine"), "{}", credits.stdout);
    let list = harmless(&workspace, &["allocations", "list", "--wide"], 0);
    for shown in [r"a\u{1b}[1m1", r"ann\u{202e}", r"note\r\nerror: all is fine"] {
        assert!(list.stdout.contains(shown), "{shown}\n{}", list.stdout);
    }
    harmless(&workspace, &["allocations", "history", CLEAR], 0);
    let texts = "SELECT description AS \"\u{1b}[2J\nerror: all is fine\", account_id FROM credits";
    harmless(&workspace, &["query", texts], 0);
    let to = "\"Re\u{1b}[1mtail\nerror: all is fine\"/@Online";
    let said = harmless(&workspace, &["allocate", "--key", CLEAR, "--amount", "1", "--to", to], 0);
    assert!(
        said.stdout.contains(r"to Re\u{1b}[1mtail\nerror: all is fine/@Online, until 2026-05-01."),
        "{}",
        said.stdout
    );
    assert!(said.stderr.starts_with("warning: "), "{}", said.stderr);
    harmless(&workspace, &["revoke", "--key", CLEAR, "--note", "\u{1b}[2J"], 0);
}

#[test]
fn log_of_a_run_is_one_harmless_line_for_each_event() {
    let workspace = workspace(&descriptions());
    workspace.write("reference/allocations.csv", allocation(CLEAR));
    let run = workspace.run(AS_OF, &["run", "-v", "--log-format", "json"]);
    let events: Vec<Value> = run.stderr.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let warned = |event: &Value| event["message"].as_str().is_some_and(|message| message.contains(CLEAR));
    assert!(events.iter().any(warned), "{events:?}");
    // The node of the allocation is gone: an error, then an event of a verbose log, an issue in the summary, a note of the queue.
    for file in ["hierarchy.csv", "cost_rules.csv"] {
        let path = format!("reference/{file}");
        let text = std::fs::read_to_string(workspace.path(&path)).expect("a reference file");
        workspace.write(&path, text.replace("\"Re\u{1b}[1mtail\nerror: all is fine\"", "Other"));
    }
    let refused = harmless(&workspace, &["run"], 3);
    let node = r"Re\u{1b}[1mtail\nerror: all is fine/@Online: lot 1 of ";
    assert!(refused.stderr.lines().any(|line| line.starts_with(node)), "{}", refused.stderr);
    let run = harmless(&workspace, &["run", "-vv", "--accept-removed-nodes"], 0);
    let issue = r"node Re\u{1b}[1mtail\nerror: all is fine/@Online is not in hierarchy.csv";
    assert!(run.stdout.contains(&format!(r"a\u{{1b}}[1m1 lot 1: {issue}")), "{}", run.stdout);
    let event = run.stderr.lines().find(|line| line.contains(issue)).unwrap_or_else(|| panic!("{}", run.stderr));
    assert!(event.contains("DEBUG") && event.contains(r"allocation=a\u{1b}[1m1"), "{event}");
    assert!(run.stderr.lines().all(|line| line.starts_with("20")), "each line is an event:\n{}", run.stderr);
    let queue = harmless(&workspace, &["queue"], 0);
    assert!(queue.stderr.starts_with(r"note: allocation a\u{1b}[1m1 lot 1 cannot be used: "), "{}", queue.stderr);
}

#[test]
fn summary_for_an_email_is_harmless_and_small() {
    let workspace = workspace(&descriptions());
    workspace.try_run(AS_OF, &["run", "--run-id", "night"]).expect("a run");
    let text = std::fs::read_to_string(workspace.path("lake/summaries/night.json")).expect("a summary");
    let digest: Value = serde_json::from_str(&text).expect("JSON");
    let told: Vec<&str> =
        digest["new_credits"]["first"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    assert_eq!(told.len(), descriptions().len());
    assert!(told.iter().all(|entry| !entry.chars().any(is_hidden) && entry.chars().count() < 300), "{told:?}");
    let long = told.iter().find(|entry| entry.contains("LongLong")).expect("the long one");
    assert!(long.contains('…') && long.ends_with("@111111111111  5.00 USD"), "{long}");
}

#[test]
fn errors_show_what_others_wrote_in_one_line_each_and_cut_what_is_long() {
    let huge = "9\u{1b}[2J\nerror: all is fine;".repeat(40_000);
    let workspace = workspace(&["Spring"]);
    workspace.try_run(AS_OF, &["run"]).expect("a run");
    let error = |arguments: &[&str], exit_code: i32, shown: &str| {
        let outcome = harmless(&workspace, arguments, exit_code);
        assert!(outcome.stderr.contains(shown), "{shown}\n{}", outcome.stderr);
        assert!(outcome.stderr.len() < 4_000, "{arguments:?}: {} bytes", outcome.stderr.len());
        assert_eq!(outcome.stderr.matches("\nerror: ").count(), 0, "{}", outcome.stderr);
    };
    let import = |row: &str| {
        workspace.write("im\u{1b}[2Jport.csv", format!("{ALLOCATIONS}{row}\n"));
        workspace.path("im\u{1b}[2Jport.csv").display().to_string()
    };
    let file = import(&format!("id:1,{},USD,,,Retail,,,,,,,", quoted(&huge)));
    let cell = r#"im\u{1b}[2Jport.csv, row 2, column amount: "9\u{1b}[2J\nerror: all is fine;9"#;
    error(&["allocations", "import", &file], 3, cell);
    error(&["allocations", "import", &file], 3, "\"… is not an amount (1234.56)");
    let file = import(&format!("{},1,USD,,,Retail,,,,,,,", quoted(&huge)));
    error(&["allocations", "import", &file], 3, "is not registered; `queue` and `credits` list those that are");
    error(&["allocations", "import", "/no\nerror: all is fine/x"], 3, r"/no\nerror: all is fine/x does not exist");
    error(
        &["allocations", "history", "id:\u{1b}[2J\nerror: all is fine"],
        3,
        r"credit id:\u{1b}[2J\nerror: all is fine",
    );
    error(&["allocate", "--key", "\u{9b}2J", "--amount", "1", "--to", "A"], 3, r"credit \u{9b}2J is not registered");
    error(&["query", "SELECT \"\u{1b}[2J\nerror: all is fine\" FROM credits"], 2, r"\u{1b}[2J error: all is fine");
    error(&["query", "SELECT sum('\u{1b}[2J') FROM credits"], 2, "query: ");
    error(&["queue", "--as-of", "\u{1b}[2Jx"], 2, r"invalid value '\u{1b}[2Jx' for '--as-of <DATE>'");
    error(&["queue", "--as-of", "x\nerror: all is fine"], 2, r"invalid value 'x\nerror: all is fine' for '--as-of");
    error(&["\u{9b}2J\nerror: all is fine"], 2, r"unrecognized subcommand '\u{9b}2J\nerror: all is fine'");
    error(&["queue", "--\u{202e}x"], 2, r"unexpected argument '--\u{202e}x' found");
    for (settings, shown) in [
        (
            format!("\"a\\u001b[2J\\nerror: all is fine\" = 1\n{SETTINGS}"),
            r"unknown field `a\u{1b}[2J\nerror: all is fine`",
        ),
        (SETTINGS.replace("\"cur\"", "\"no\\nerror: all is fine\\u001b[2J\""), r"no\nerror: all is fine\u{1b}[2J"),
        (SETTINGS.replace("\"cur\"", "\"s\\nerror: all is fine://\""), r"error: all is fine"),
    ] {
        workspace.write("credits.toml", settings);
        let outcome = workspace.run(AS_OF, &["run"]);
        assert!(matches!(outcome.exit_code, Some(3 | 4)), "{outcome:?}");
        assert_harmless(&outcome, &["run"]);
        assert!(outcome.stderr.contains(shown), "{shown}\n{}", outcome.stderr);
    }
}

#[test]
fn bad_lines_of_an_export_are_shown_in_one_line_each() {
    for (name, cost) in [
        ("a.csv", "x\u{1b}[2J\nerror: all is fine".to_owned()),
        ("b.csv", "7\u{1b}]0;t\u{7}".repeat(200_000)),
        ("c\u{1b}[2J.csv", "x".to_owned()),
        ("d\nerror: all is fine.csv", "x".to_owned()),
    ] {
        let workspace = workspace(&["Spring"]);
        workspace.write(&format!("cur/{name}"), format!("{HEADER}{}", line(3, "Usage", "S3", &quoted(&cost), "")));
        let outcome = workspace.run(AS_OF, &["run"]);
        assert_eq!(outcome.exit_code, Some(3), "{name:?}: {outcome:?}");
        assert_harmless(&outcome, &[name]);
        assert!(outcome.stderr.starts_with("error: ") && outcome.stderr.lines().count() == 1, "{}", outcome.stderr);
    }
}

#[test]
fn columns_of_a_table_are_aligned_whatever_is_in_them() {
    let workspace = workspace(&["日本語クレジット", "\u{1b}[2JClear", "Plain"]);
    workspace.try_run(AS_OF, &["run"]).expect("a run");
    let sql = "SELECT promotion_code, currency FROM credits ORDER BY first_cur_date";
    let table = harmless(&workspace, &["query", sql], 0).stdout;
    let expected =
        ["promotion_code    currency", "日本語クレジット  USD", r"\u{1b}[2JClear    USD", "Plain             USD"];
    assert_eq!(table.lines().collect::<Vec<_>>(), expected);
    let long = harmless(&workspace, &["query", "SELECT repeat('x', 10000) AS text"], 0).stdout;
    assert!(long.contains('…') && long.chars().count() < 1_100, "{} characters", long.chars().count());
    let whole = workspace.try_run(AS_OF, &["--format", "json", "query", "SELECT repeat('x', 10000) AS text"]);
    assert!(whole.expect("JSON").len() > 10_000);
}

/// A lake with a credit for each of [`FORMULAS`], all of them allocated.
fn formulas() -> Workspace {
    let workspace = workspace(&FORMULAS);
    workspace.write("reference/hierarchy.csv", "business_unit,department,portfolio,product\n=Retail,,,\n");
    workspace.write("reference/cost_rules.csv", {
        let rules = std::fs::read_to_string(workspace.path("reference/cost_rules.csv")).expect("the rules");
        rules.replace("\"Re\u{1b}[1mtail\nerror: all is fine\",'@Online", "=Retail,")
    });
    workspace.try_run(AS_OF, &["run"]).expect("a run");
    let header = "promotion_code,account_id,credit_key,amount,currency,end_date,reference,business_unit,department,\
                  portfolio,product,recorded_at,note\n";
    let row =
        |name| format!("{},111111111111,,4,USD,,=1+1,=Retail,,,,2026-02-01T09:30:00Z,\t=2\n", quoted(&guard(name)));
    let rows = FORMULAS.map(row).concat();
    workspace.write("import.csv", format!("{header}{rows}"));
    let file = workspace.path("import.csv").display().to_string();
    workspace.try_run(AS_OF, &["allocations", "import", &file, "--by", "@ann"]).expect("an import");
    workspace.try_run(AS_OF, &["run"]).expect("a run");
    workspace
}

/// As a spreadsheet needs it, by hand.
fn guard(name: &str) -> String {
    format!("'{name}")
}

fn cells(csv_text: &str, column: &str) -> Vec<String> {
    let mut reader = csv::Reader::from_reader(csv_text.as_bytes());
    let at = reader.headers().expect("a header").iter().position(|name| name == column).expect("the column");
    reader.records().map(|record| record.expect("a record")[at].to_owned()).collect()
}

#[test]
fn csv_cells_that_a_spreadsheet_would_run_are_guarded_unless_raw() {
    let workspace = formulas();
    let csv = |arguments: &[&str]| {
        let arguments = [&["--format", "csv"], arguments].concat();
        workspace.try_run(AS_OF, &arguments).unwrap_or_else(|problem| panic!("{problem}"))
    };
    let mut guarded: Vec<String> = FORMULAS.map(guard).into();
    guarded.sort();
    let sorted = |mut cells: Vec<String>| {
        cells.sort();
        cells
    };
    let listed = csv(&["allocations", "list"]);
    assert_eq!(sorted(cells(&csv(&["credits"]), "promotion_code")), guarded);
    for (column, guarded) in
        [("reference", "'=1+1"), ("business_unit", "'=Retail"), ("recorded_by", "'@ann"), ("note", "'\t=2")]
    {
        assert!(cells(&listed, column).iter().all(|cell| cell == guarded), "{column}\n{listed}");
    }
    let mut raw = FORMULAS.map(str::to_owned).to_vec();
    raw.sort();
    assert_eq!(sorted(cells(&csv(&["--raw", "credits"]), "promotion_code")), raw);
    assert!(cells(&csv(&["allocations", "list", "--raw"]), "reference").iter().all(|cell| cell == "=1+1"));
    let sql = "SELECT promotion_code AS \"=name\", -1.5 AS n, -2 AS i, CAST(-1.5 AS DOUBLE) AS f, \
               arrow_cast(promotion_code, 'Dictionary(Int32, Utf8)') AS coded, -aws_applied AS money, \
               CAST('-5' AS VARCHAR) AS text FROM credits WHERE promotion_code = '+1'";
    let expected = "'=name,n,i,f,coded,money,text\n'+1,-1.5,-2,-1.5,'+1,-5.0000000000,'-5\n";
    assert_eq!(csv(&["query", sql]), expected);
    assert_eq!(csv(&["query", sql, "--raw"]), expected.replace('\'', ""));
    let json = workspace.try_run(AS_OF, &["--format", "json", "credits"]).expect("JSON");
    assert!(json.contains("\"=cmd|' /C calc'!A0\""), "{json}");
}

#[test]
fn list_of_allocations_is_imported_as_it_was_whatever_the_names() {
    let workspace = formulas();
    let lot =
        |amount| format!("code:+1@111111111111,{amount},USD,,,=Retail,,,,,2026-02-02T09:30:00.000001Z,=ann,first\n");
    let two_lots = [2, 1].map(lot).concat();
    workspace.write("lots.csv", format!("{ALLOCATIONS}{two_lots}"));
    let import = |file: &str| {
        let file = workspace.path(file).display().to_string();
        workspace.try_run(AS_OF, &["allocations", "import", &file]).unwrap_or_else(|problem| panic!("{problem}"))
    };
    import("lots.csv");
    let before = workspace.query(AS_OF, "SELECT * FROM allocations_log ORDER BY allocation_id, lot").expect("the log");
    let list = workspace.try_run(AS_OF, &["--format", "csv", "allocations", "list"]).expect("a list");
    let rows = list.lines().count() - 1;
    assert_eq!(rows, FORMULAS.len() + 1);
    // Sorted another way, as a spreadsheet may leave it: the lots are still known.
    let mut shuffled: Vec<&str> = list.lines().skip(1).collect();
    shuffled.reverse();
    let header = list.lines().next().expect("a header");
    workspace.write("list.csv", format!("{header}\n{}\n", shuffled.join("\n")));
    assert_eq!(import("list.csv"), format!("Recorded 0 rows of list.csv. {rows} rows stood in the log already.\n"));
    assert_eq!(
        workspace.query(AS_OF, "SELECT * FROM allocations_log ORDER BY allocation_id, lot").expect("the log"),
        before
    );
    // In a lake that has not recorded them, they are what they were.
    let other = self::workspace(&FORMULAS);
    for file in ["hierarchy.csv", "cost_rules.csv"] {
        let path = format!("reference/{file}");
        other.write(&path, std::fs::read(workspace.path(&path)).expect("a reference file"));
    }
    other.write("reference/allocations.csv", &list);
    other.try_run(AS_OF, &["run"]).expect("a run");
    assert_eq!(other.try_run(AS_OF, &["--format", "csv", "allocations", "list"]).expect("a list"), list);
}

#[test]
fn output_that_cannot_be_written_is_a_storage_failure_and_lost_messages_are_none() {
    let workspace = workspace(&["Spring"]);
    workspace.try_run(AS_OF, &["run"]).expect("a run");
    let command = |arguments: &[&str]| {
        let mut command = workspace.command(AS_OF, arguments);
        command.env_clear();
        command
    };
    let full = || std::fs::File::options().write(true).open("/dev/full").expect("a full device");
    for arguments in [&["queue"][..], &["query", "SELECT 1"], &["credits", "--format", "json"]] {
        let output = command(arguments).stdout(full()).output().expect("a started binary");
        assert_eq!(output.status.code(), Some(6), "{arguments:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        let expected = if arguments.contains(&"json") { "\"stdout: " } else { "error: stdout: " };
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
    for (arguments, exit_code) in [
        (&["run", "-v"][..], 0),
        (&["run", "-vv", "--log-format", "json"], 0),
        (&["query", "SELECT x"], 2),
        (&["--nonsense"], 2),
    ] {
        let status = command(arguments).stdout(Stdio::null()).stderr(full()).status().expect("a started binary");
        assert_eq!(status.code(), Some(exit_code), "{arguments:?}");
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let status = command(arguments).stdout(writer.try_clone().expect("its end")).stderr(writer).status();
        assert_eq!(status.expect("a started binary").code(), Some(exit_code), "{arguments:?}");
    }
}
