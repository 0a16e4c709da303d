//! What a person sees and types on a terminal.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::Workspace;
use crate::support::python::python;

const AS_OF: &str = "2026-09-30";

/// What was seen.
#[derive(Debug, Deserialize)]
struct Seen {
    /// Those that were kept, and the last one.
    screens: Vec<String>,
    exit_code: i32,
    /// True if the cursor is visible at the end.
    cursor: bool,
}

/// Runs the binary on a terminal of 80 columns and 24 rows.
fn on_terminal(workspace: &Workspace, arguments: &[&str], steps: &Value) -> Seen {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("terminal");
    let python = python(&folder.join("requirements.txt"), "FINOPS_TERMINAL_VENV", "terminal-venv");
    let command = workspace.command(AS_OF, arguments);
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<&str> = words.map(|word| word.to_str().expect("UTF-8")).collect();
    let environment: BTreeMap<&str, &str> = command
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_str()?, value?.to_str()?)))
        .chain([("TERM", "xterm-256color"), ("USER", "ann")])
        .collect();
    let task = json!({
        "command": words, "environment": environment, "folder": workspace.path("elsewhere/cwd"),
        "columns": 80, "rows": 24, "steps": steps,
    });
    let mut screen = Command::new(python);
    screen.arg(folder.join("screen.py")).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut screen = screen.spawn().expect("a started terminal");
    write!(screen.stdin.take().expect("a pipe"), "{task}").expect("a written task");
    let output = screen.wait_with_output().expect("an end");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Two credits wait; Retail, Retail/Online and Media spend.
fn waiting() -> Workspace {
    let workspace = Workspace::new();
    let header = "bill_billing_period_start_date,bill_payer_account_id,line_item_usage_account_id,\
                  line_item_usage_start_date,line_item_line_item_type,line_item_product_code,line_item_currency_code,\
                  line_item_unblended_cost,line_item_line_item_description";
    let line = |kind: &str, cost: &str, text: &str| {
        format!("2026-09-01,999999999999,111111111111,2026-09-05,{kind},AmazonEC2,USD,{cost},{text}\n")
    };
    let lines = [
        line("Usage", "700", ""),
        line("Credit", "-50", "AWS Activate"),
        line("Credit", "-20", "\"MAP 2.0, credit id: 42\""),
    ];
    workspace.write("cur/cur.csv", format!("{header}\n{}", lines.concat()));
    let hierarchy = "business_unit,department,portfolio,product\nMedia,,,\nRetail,Online,,\n";
    workspace.write("reference/hierarchy.csv", hierarchy);
    let rules = "rule_id,priority,payer_account_id,account_id,service,region,tag_key,tag_value,cost_category_key,\
                 cost_category_value,business_unit,department,portfolio,product,share\nall,1,,*,,,,,,,Retail,Online,,,\n";
    workspace.write("reference/cost_rules.csv", rules);
    workspace.try_run(AS_OF, &["run"]).expect("a run");
    workspace
}

fn recorded(workspace: &Workspace) -> Vec<String> {
    let sql = "SELECT credit_key || ' ' || business_unit || ' ' || coalesce(department, '-') || ' ' || amount || ' ' \
               || coalesce(CAST(end_date AS varchar), '-') || ' ' || coalesce(reference, '-') || ' ' || recorded_by AS row \
               FROM allocations_log";
    let rows = workspace.query(AS_OF, sql).expect("a query");
    rows.into_iter().map(|mut row| row.remove("row").expect("a row")).collect()
}

const ENTER: &str = "\r";
const ESC: &str = "\u{1b}";
const CTRL_C: &str = "\u{3}";
const DOWN: &str = "\u{1b}[B";

#[test]
fn what_is_missing_is_asked_for_and_lists_are_filtered_by_typing() {
    let workspace = waiting();
    let steps = json!([
        {"wait": "Credit"}, {"send": "42"}, {"wait": "42"}, {"screen": true}, {"send": ENTER},
        {"wait": "Amount in USD (AWS has applied 20.00 so far)"}, {"send": "1,000.00"}, {"send": ENTER},
        {"wait": "Node"}, {"send": "onl"}, {"send": ENTER},
        {"wait": "End date"}, {"send": "2026-12-31"}, {"send": ENTER},
        {"wait": "Reference"}, {"send": "PO-7"}, {"send": ENTER},
        {"wait": "Record this?"}, {"screen": true}, {"send": "y"}, {"send": ENTER},
    ]);
    let seen = on_terminal(&workspace, &["allocate"], &steps);
    assert_eq!((seen.exit_code, seen.cursor), (0, true), "{seen:#?}");
    let [filtered, before, ..] = seen.screens.as_slice() else { panic!("{seen:#?}") };
    assert!(filtered.contains("> id:42  (USD 20.00 applied by AWS so far, since 2026-09-05)"), "{filtered}");
    assert!(!filtered.contains("AWS Activate") && filtered.contains("Esc to go back"), "{filtered}");
    for shown in ["Replaces  nothing: it is not allocated", "2026-09", "Record this? (y/N)"] {
        assert!(before.contains(shown), "{before}");
    }
    assert_eq!(recorded(&workspace), ["id:42 Retail Online 1000.0000000000 2026-12-31 PO-7 ann"]);
}

#[test]
fn escape_goes_back_to_the_question_before_and_from_the_first_one_ends_without_recording() {
    let workspace = waiting();
    let steps = json!([
        {"wait": "Credit"}, {"send": ENTER},
        {"wait": "Amount in USD (AWS has applied 50.00"}, {"send": ESC},
        {"wait": "type to filter"}, {"send": DOWN}, {"send": ENTER},
        {"wait": "Amount in USD (AWS has applied 20.00"}, {"send": ESC},
        {"wait": "type to filter"}, {"send": ESC},
    ]);
    let seen = on_terminal(&workspace, &["allocate"], &steps);
    assert_eq!((seen.exit_code, seen.cursor), (2, true), "{seen:#?}");
    assert!(seen.screens[0].ends_with("error: no answer: nothing was recorded\n"), "{}", seen.screens[0]);
    assert_eq!(recorded(&workspace), Vec::<String>::new());
}

#[test]
fn a_wrong_amount_is_said_at_its_question_and_nothing_is_lost() {
    let workspace = waiting();
    let steps = json!([
        {"wait": "Amount"}, {"send": "12,50"}, {"send": ENTER},
        {"wait": "thousands may be set apart"}, {"screen": true},
        {"send": "\u{7f}\u{7f}\u{7f}\u{7f}\u{7f}-5"}, {"send": ENTER}, {"wait": "it must be above zero"},
        {"send": CTRL_C},
    ]);
    let seen = on_terminal(&workspace, &["allocate", "--key", "id:42", "--to", "Media"], &steps);
    let interrupted = -2;
    assert_eq!((seen.exit_code, seen.cursor), (interrupted, true), "{seen:#?}");
    let wrong = "# not an amount; thousands may be set apart as in 2,500.00";
    assert!(seen.screens[0].contains(wrong) && seen.screens[0].contains(") 12,50\n"), "{}", seen.screens[0]);
    assert_eq!(recorded(&workspace), Vec::<String>::new());
}

#[test]
fn enter_alone_does_not_record_and_yes_does_not_ask() {
    let workspace = waiting();
    let allocate = ["allocate", "--key", "id:42", "--to", "Media", "--amount", "30"];
    let seen = on_terminal(&workspace, &allocate, &json!([{"wait": "Record this?"}, {"send": ENTER}]));
    assert_eq!((seen.exit_code, recorded(&workspace)), (2, Vec::new()), "{seen:#?}");
    let seen = on_terminal(&workspace, &[&allocate[..], &["--yes"]].concat(), &json!([]));
    assert_eq!((seen.exit_code, recorded(&workspace).len()), (0, 1), "{seen:#?}");
}

#[test]
fn a_key_that_is_not_there_is_said_before_anything_is_asked() {
    let workspace = waiting();
    let seen = on_terminal(&workspace, &["allocate", "--key", "id:43"], &json!([]));
    assert_eq!(
        (seen.exit_code, seen.screens[0].as_str()),
        (3, "error: credit id:43 is not registered; did you mean id:42?\n")
    );
}
