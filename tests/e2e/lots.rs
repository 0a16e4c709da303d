//! The lots of one credit: each has an end and a reference of its own.

use serde_json::Value;

use crate::support::Workspace;

const AS_OF: &str = "2026-09-30";
const KEY: &str = "code:AWS Activate@111111111111";
const HEADER: &str = "promotion_code,account_id,credit_key,amount,currency,end_date,reference,business_unit,department,\
                      portfolio,product\n";

/// Two purchases that have one name: AWS applied 500 of them, and each month from June to September costs 700.
fn two_purchases() -> Workspace {
    let workspace = Workspace::new();
    let header = "bill_billing_period_start_date,bill_payer_account_id,line_item_usage_account_id,\
                  line_item_usage_start_date,line_item_line_item_type,line_item_product_code,line_item_currency_code,\
                  line_item_unblended_cost,line_item_line_item_description";
    let month =
        |month: u32| format!("2026-0{month}-01,999999999999,111111111111,2026-0{month}-05,Usage,AmazonEC2,USD,700,\n");
    let credit = "2026-06-01,999999999999,111111111111,2026-06-02,Credit,AmazonEC2,USD,-500,AWS Activate\n";
    workspace.write("cur/cur.csv", format!("{header}\n{credit}{}", (6..=9).map(month).collect::<String>()));
    workspace.write("reference/hierarchy.csv", "business_unit,department,portfolio,product\nRetail,,,\n");
    let rules = "rule_id,priority,payer_account_id,account_id,service,region,tag_key,tag_value,cost_category_key,\
                 cost_category_value,business_unit,department,portfolio,product,share\nall,1,,*,,,,,,,Retail,,,,\n";
    workspace.write("reference/cost_rules.csv", rules);
    workspace
}

fn says(workspace: &Workspace, arguments: &[&str]) -> String {
    workspace.try_run(AS_OF, arguments).unwrap_or_else(|problem| panic!("{problem}"))
}

/// The credit's status, left, lost, end, days left and reference.
fn credit(workspace: &Workspace) -> String {
    let sql =
        "SELECT concat_ws(', ', status, remaining, expired, end_date, days_left, reference) AS credit FROM credits";
    workspace.query(AS_OF, sql).expect("a query").remove(0).remove("credit").expect("a credit")
}

#[test]
fn two_purchases_of_one_name_end_each_on_its_own_day() {
    let workspace = two_purchases();
    let rows = ",,code:AWS Activate@111111111111,3000.24,USD,2026-08-31,PO-1,Retail,,,\n\
                ,,code:AWS Activate@111111111111,1000,USD,2027-08-31,PO-2,Retail,,,\n";
    workspace.write("reference/allocations.csv", format!("{HEADER}{rows}"));
    let summary: Value = serde_json::from_str(&says(&workspace, &["--format", "json", "run"])).expect("JSON");
    let sql = "SELECT billing_period || ' ' || lot || ' ' || end_date || ': ' || used || ', ' || expired || ', ' || remaining AS row
               FROM credit_balances WHERE billing_period >= '2026-08' ORDER BY billing_period, lot";
    let balances: Vec<String> = workspace
        .query(AS_OF, sql)
        .expect("a query")
        .into_iter()
        .map(|mut row| row.remove("row").expect("a row"))
        .collect();
    let expected = [
        "2026-08 1 2026-08-31: 700.0000000000, 900.2400000000, 0.0000000000",
        "2026-08 2 2027-08-31: 0.0000000000, 0.0000000000, 1000.0000000000",
        "2026-09 1 2026-08-31: 0.0000000000, 0.0000000000, 0.0000000000",
        "2026-09 2 2027-08-31: 700.0000000000, 0.0000000000, 300.0000000000",
    ];
    assert_eq!(balances, expected);
    assert_eq!(credit(&workspace), "active, 300.0000000000, 900.2400000000, 2027-08-31, 335, PO-2");
    let lost = &summary["credits"]["expired"];
    assert_eq!((&lost[0]["amount"], &lost[0]["end_date"]), (&"900.2400000000".into(), &"2026-08-31".into()), "{lost}");
    assert_eq!(lost.as_array().map(Vec::len), Some(1), "what lapsed is told although something is left");
}

#[test]
fn allocate_records_several_lots_and_what_expires_soon_is_that_of_the_lots_that_end_soon() {
    let workspace = two_purchases();
    says(&workspace, &["run"]);
    let lots = ["--to", "Retail=2900,2026-10-31", "--to", "Retail=1000"];
    let allocate =
        [&["allocate", "--key", KEY, "--end-date", "2027-08-31", "--reference", "PO-1", "--by", "ann"], &lots[..]];
    let said = says(&workspace, &allocate.concat());
    assert_eq!(
        said.lines().last().expect("a line"),
        "Allocated 3,900.00 USD of code:AWS Activate@111111111111: 2,900.00 to Retail, until 2026-10-31; 1,000.00 to \
         Retail, until 2027-08-31. It counts from the next run."
    );
    let summary: Value = serde_json::from_str(&says(&workspace, &["--format", "json", "run"])).expect("JSON");
    assert_eq!(credit(&workspace), "expiring_soon, 1100.0000000000, 0.0000000000, 2026-10-31, 31, PO-1");
    let soon = &summary["credits"]["expiring_soon"];
    assert_eq!((&soon[0]["amount"], &soon[0]["end_date"]), (&"100.0000000000".into(), &"2026-10-31".into()), "{soon}");
    let again: Value = serde_json::from_str(&says(&workspace, &["--format", "json", "run"])).expect("JSON");
    assert_eq!(again["credits"]["expiring_soon"], *soon, "a run that takes everything over says the same");
}

#[test]
fn allocate_with_an_amount_for_some_lots_only_is_a_usage_error() {
    let workspace = two_purchases();
    says(&workspace, &["run"]);
    for lots in [&["--to", "Retail=5", "--to", "Retail"][..], &["--to", "Retail", "--to", "Retail", "--amount", "5"]] {
        let outcome = workspace.run(AS_OF, &[&["allocate", "--key", KEY], lots].concat());
        let message = "error: allocate: give one --to with --amount, or an amount with each: --to NODE=AMOUNT\n";
        assert_eq!((outcome.stderr.as_str(), outcome.exit_code), (message, Some(2)));
    }
    let recorded = workspace.query(AS_OF, "SELECT * FROM allocations_log").expect("a query");
    assert!(recorded.is_empty(), "{recorded:?}");
}
