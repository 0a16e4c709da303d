//! A billing period that was never right is taken out of the lake.

use std::fs::{self, File};

use serde_json::{Value, json};

use crate::support::Workspace;

const AS_OF: &str = "2026-03-31";
const HEADER: &str = "bill_billing_period_start_date,bill_payer_account_id,bill_payer_account_name,\
                      line_item_usage_account_id,line_item_usage_start_date,line_item_line_item_type,\
                      line_item_product_code,line_item_currency_code,line_item_unblended_cost,\
                      line_item_line_item_description\n";

fn month(period: &str) -> String {
    let line = |cost: &str| format!("{period}-01,999999999999,P,111111111111,{period}-10,Usage,AmazonEC2,{cost},\n");
    format!("{HEADER}{}{}{}", line("USD,1234.5"), line("USD,0.5"), line("EUR,-3"))
}

/// A lake that has read 2019-03, by mistake, and 2026-01.
fn lake_with_a_mistake() -> Workspace {
    let workspace = Workspace::new();
    workspace.write("reference/hierarchy.csv", "business_unit,department,portfolio,product\nRetail,,,\n");
    workspace.write(
        "reference/cost_rules.csv",
        "rule_id,priority,payer_account_id,account_id,service,region,tag_key,tag_value,cost_category_key,\
         cost_category_value,business_unit,department,portfolio,product,share\nall,10,,*,,,,,,,Retail,,,,\n",
    );
    workspace.write("cur/january.csv", month("2026-01"));
    workspace.write("cur/mistake.csv", month("2019-03"));
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

fn periods(workspace: &Workspace, table: &str) -> Vec<String> {
    let sql = format!("SELECT DISTINCT billing_period FROM {table} ORDER BY 1");
    let rows = workspace.query(AS_OF, &sql).expect("a query");
    rows.into_iter().map(|mut row| row.remove("billing_period").expect("a period")).collect()
}

#[test]
fn dropped_period_is_gone_with_the_next_run() {
    let workspace = lake_with_a_mistake();
    fs::remove_file(workspace.path("cur/mistake.csv")).expect("a removed file");
    says(&workspace, &["run"]);
    assert_eq!(periods(&workspace, "reconciliation"), ["2019-03", "2026-01"], "a period that was pruned stays");
    assert_eq!(
        says(&workspace, &["lake", "drop-period", "2019-03", "--yes"]),
        "Dropped 2019-03: 3 lines, -3.00 EUR, 1,235.00 USD. `run --publish` publishes without it.\n"
    );
    assert!(!workspace.path("lake/generations/2019-03").exists());
    assert_eq!(periods(&workspace, "reconciliation"), ["2019-03", "2026-01"], "what is published stays till then");
    says(&workspace, &["run", "--publish"]);
    for table in ["reconciliation", "net_cost", "cost_lines"] {
        assert_eq!(periods(&workspace, table), ["2026-01"], "{table}");
    }
    let published = workspace.published();
    workspace.empty("lake");
    says(&workspace, &["run"]);
    assert!(workspace.published() == published, "as if it had never been there");
}

#[test]
fn period_that_the_export_still_has_is_read_again() {
    let workspace = lake_with_a_mistake();
    assert_eq!(
        says(&workspace, &["lake", "drop-period", "2019-03", "--yes"]),
        "Dropped 2019-03: 3 lines, -3.00 EUR, 1,235.00 USD. The export still has it, in mistake.csv: unless that changes, \
         the next run reads it again.\n"
    );
    says(&workspace, &["run"]);
    assert_eq!(periods(&workspace, "reconciliation"), ["2019-03", "2026-01"]);
    fs::remove_dir_all(workspace.path("cur")).expect("a removed folder");
    let said = says(&workspace, &["lake", "drop-period", "2019-03", "--yes"]);
    assert!(said.ends_with("`run --publish` publishes without it.\n"), "{said}");
}

#[test]
fn nothing_is_dropped_unasked_or_that_is_not_there() {
    let workspace = lake_with_a_mistake();
    let message = "lake drop-period: give --yes, as there is no terminal to ask on";
    refuses(&workspace, &["lake", "drop-period", "2019-03"], 2, message);
    let message = "the lake <workspace>/lake does not have billing period 2020-01; it has 2019-03, 2026-01";
    refuses(&workspace, &["lake", "drop-period", "2020-01", "--yes"], 3, message);
    assert_eq!(periods(&workspace, "cost_lines"), ["2019-03", "2026-01"]);
    let empty = Workspace::new();
    let message = "there is no lake at <workspace>/lake yet; `run` makes it";
    refuses(&empty, &["lake", "drop-period", "2020-01", "--yes"], 4, message);
}

#[test]
fn lake_with_a_period_that_no_bill_can_have_says_how_to_take_it_out() {
    let workspace = lake_with_a_mistake();
    fs::remove_file(workspace.path("cur/mistake.csv")).expect("a removed file");
    // As a release left it that took any period.
    fs::rename(workspace.path("lake/generations/2019-03"), workspace.path("lake/generations/0026-09"))
        .expect("renamed");
    let message = "the lake <workspace>/lake: billing period 0026-09 is before 2006-01: AWS billed nothing then; \
                   `lake drop-period 0026-09` takes it out";
    refuses(&workspace, &["run"], 3, message);
    let said = says(&workspace, &["lake", "drop-period", "0026-09", "--yes"]);
    assert_eq!(said, "Dropped 0026-09: 3 lines, -3.00 EUR, 1,235.00 USD. `run --publish` publishes without it.\n");
    says(&workspace, &["run", "--publish"]);
    assert_eq!(periods(&workspace, "reconciliation"), ["2026-01"]);
}

#[test]
fn file_that_was_read_before_periods_were_checked_is_named_with_the_row() {
    let workspace = lake_with_a_mistake();
    // As a release left it that took any period: the file is the one that was read.
    let file = workspace.path("cur/mistake.csv");
    let read_at = fs::metadata(&file).and_then(|file| file.modified()).expect("a time");
    fs::write(&file, month("0026-09")).expect("a written file");
    File::options().append(true).open(&file).and_then(|file| file.set_modified(read_at)).expect("its time");
    let pointer = workspace.path("lake/generations/2019-03/current.json");
    let mut read: Value = serde_json::from_slice(&fs::read(&pointer).expect("a pointer")).expect("JSON");
    read["files"][0]["lines"] = json!({"0026-09": 3});
    read.as_object_mut().expect("a record").remove("xxh64");
    fs::write(&pointer, read.to_string()).expect("a written pointer");
    let message = "mistake.csv, row 2, column bill_billing_period_start_date: billing period 0026-09 is before 2006-01: \
                   AWS billed nothing then; correct the date or deliver the file again";
    refuses(&workspace, &["run"], 3, message);
}
