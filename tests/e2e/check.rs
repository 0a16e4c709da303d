//! `check`, and what every `run` says of it.

use serde_json::Value;

use crate::support::Workspace;

const AS_OF: &str = "2026-02-28";
const HEADER: &str = "bill_billing_period_start_date,bill_payer_account_id,line_item_usage_account_id,\
                      line_item_usage_start_date,line_item_line_item_type,line_item_product_code,\
                      line_item_currency_code,line_item_unblended_cost,line_item_line_item_description\n";
const RULES: &str = "rule_id,priority,account_id,service,business_unit,department\n\
                     shop,10,111111111111,,Retail,Shop\nslip,20,222222222223,,Retail,Web\nnever,30,,AWSLambda*,Media,\n";

fn lake() -> Workspace {
    let workspace = Workspace::new();
    let line = |month: &str, rest: &str| format!("{month}-01,999999999999,{rest},{month}-01,");
    let lines = [
        line("2026-01", "111111111111") + "Usage,AmazonEC2,USD,600.5,\n",
        line("2026-02", "222222222222") + "Usage,AmazonEC2,USD,400,\n",
        line("2026-02", "222222222222") + "Tax,,USD,40.125,\n",
        line("2026-02", "33333") + "Usage,AmazonS3,USD,1000,\n",
    ];
    workspace.write("cur/cur.csv", format!("{HEADER}{}", lines.concat()));
    workspace.write("reference/cost_rules.csv", RULES);
    let nodes = "business_unit,department\nRetail,Shop\nRetail,shop\nRetail,Web\nMedia,\n";
    workspace.write("reference/hierarchy.csv", nodes);
    workspace
}

fn says(workspace: &Workspace, arguments: &[&str]) -> String {
    workspace.try_run(AS_OF, arguments).unwrap_or_else(|problem| panic!("{problem}"))
}

#[test]
fn check_says_what_most_likely_is_not_as_it_is_meant() {
    let workspace = lake();
    says(&workspace, &["run"]);
    insta::assert_snapshot!(says(&workspace, &["check"]), @r#"
    warning  1,440.13 USD of 2026-02 Unassigned: no rule takes it
               33333 AmazonS3  1,000.00 USD
               222222222222 AmazonEC2  400.00 USD
               222222222222  40.13 USD

    warning  rules for accounts and services that the export does not have: 1
               slip  account "222222222223" is not in the export; it has "222222222222"

    warning  rules that match nothing: 1
               never

    warning  account ids in the export that are not whole: 1
               33333  has 5 digits where an account id has 12

    warning  nodes whose names can hardly be told apart: 1
               Retail/Shop and Retail/shop  differ only by case, blanks or the form of their characters

    note     nodes with neither cost nor lots nor a budget: 3
               Media
               Retail/Web
               Retail/shop

    0 errors, 7 warnings, 3 notes.
    "#);
    insta::assert_snapshot!(says(&workspace, &["--format", "csv", "check"]), @r#"
    severity,kind,subject,message,billing_period,amount,currency
    warning,unassigned,33333 AmazonS3,,2026-02,1000.0000000000,USD
    warning,unassigned,222222222222 AmazonEC2,,2026-02,400.0000000000,USD
    warning,unassigned,222222222222,,2026-02,40.1250000000,USD
    warning,unknown_value,slip,"account ""222222222223"" is not in the export; it has ""222222222222""",,,
    warning,unmatched_rule,never,,,,
    warning,damaged_account,33333,has 5 digits where an account id has 12,,,
    warning,similar_nodes,Retail/Shop and Retail/shop,"differ only by case, blanks or the form of their characters",,,
    note,idle_node,Media,,,,
    note,idle_node,Retail/Web,,,,
    note,idle_node,Retail/shop,,,,
    "#);
    let strict = workspace.run(AS_OF, &["check", "--strict"]);
    assert_eq!((strict.exit_code, strict.stderr.as_str()), (Some(3), "error: check: 0 errors, 7 warnings, 3 notes\n"));
    let january = says(&workspace, &["check", "--period", "2026-01"]);
    assert!(!january.contains("Unassigned"), "{january}");
}

#[test]
fn every_run_says_the_warnings_and_json_has_them_all() {
    let workspace = lake();
    let said = says(&workspace, &["run"]);
    let (said, _) = said[said.find("Check ").expect("a section")..].split_once("\n\n").expect("an end");
    insta::assert_snapshot!(said, @r#"
    Check       1,440.13 USD of 2026-02 Unassigned: no rule takes it
                  33333 AmazonS3  1,000.00 USD
                  222222222222 AmazonEC2  400.00 USD
                  222222222222  40.13 USD
                rules for accounts and services that the export does not have: 1
                  slip  account "222222222223" is not in the export; it has "222222222222"
                rules that match nothing: 1
                  never
                account ids in the export that are not whole: 1
                  33333  has 5 digits where an account id has 12
                nodes whose names can hardly be told apart: 1
                  Retail/Shop and Retail/shop  differ only by case, blanks or the form of their characters
    "#);
    let report: Value = serde_json::from_str(&says(&workspace, &["--format", "json", "run"])).expect("JSON");
    let checks = report["checks"].as_array().expect("a list");
    assert_eq!(checks.len(), 10, "{checks:?}");
    assert_eq!(checks[0]["kind"], "unassigned");
    assert_eq!(
        (checks[0]["amount"].as_str(), checks[0]["billing_period"].as_str()),
        (Some("1000.0000000000"), Some("2026-02"))
    );
}

#[test]
fn reference_files_that_cannot_be_read_are_errors_also_before_the_first_run() {
    let workspace = lake();
    let damage = || workspace.write("reference/cost_rules.csv", RULES.replace("222222222223", "2.2E+11"));
    damage();
    let before = workspace.run(AS_OF, &["check"]);
    assert!(before.exit_code == Some(3) && before.stderr.contains("row 3, column account_id"), "{before:?}");
    workspace.write("reference/cost_rules.csv", RULES);
    says(&workspace, &["run"]);
    damage();
    let outcome = workspace.run(AS_OF, &["check"]);
    assert_eq!((outcome.exit_code, outcome.stderr.as_str()), (Some(3), "error: check: 1 error, 0 warnings, 0 notes\n"));
    let expected = "error    reference files that cannot be read: 1\n           cost_rules.csv, row 3, column account_id: \
                    \"2.2E+11\" is a number as a spreadsheet shows it: write all 12 digits as text\n";
    assert!(outcome.stdout.starts_with(expected), "{}", outcome.stdout);
}

#[test]
fn rules_that_changed_since_the_last_run_are_not_said_to_match_nothing() {
    let workspace = lake();
    says(&workspace, &["run"]);
    workspace.write("reference/cost_rules.csv", RULES.replace("222222222223", "222222222222"));
    let said = says(&workspace, &["check"]);
    assert!(said.contains("slip  is new or has changed since the last run; `run` says what it takes\n"), "{said}");
    let said = says(&workspace, &["run"]);
    assert!(!said.contains("slip"), "{said}");
}

#[test]
fn files_as_spreadsheets_leave_them_are_read() {
    let workspace = lake();
    says(&workspace, &["run"]);
    let before = workspace.published();
    let saved = |text: &str| {
        let rows = text.lines().map(|row| row.replace(',', ";") + ";;\r\n").collect::<String>();
        format!("\u{feff}{rows};;;;;;;\r\n;;;;;;;\r\n")
    };
    workspace.write("reference/cost_rules.csv", saved(RULES));
    workspace.write(
        "reference/hierarchy.csv",
        "business_unit\tdepartment\nRetail\tShop\nRetail\tshop\nRetail\tWeb\nMedia\t\n\t\n",
    );
    says(&workspace, &["run"]);
    assert!(workspace.published() == before, "the same files in another dress");
}
