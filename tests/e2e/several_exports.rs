//! Several exports in one lake: payers, formats and currencies of their own; one that is late, pruned or lost.

use std::fs;

use crate::support::Workspace;
use crate::support::compare::{Row, csv_rows};

const CUR: &str = "bill_billing_period_start_date,bill_payer_account_id,line_item_usage_account_id,\
                   line_item_usage_start_date,line_item_line_item_type,line_item_product_code,\
                   line_item_currency_code,line_item_unblended_cost,line_item_line_item_description\n";
const FOCUS: &str = "BillingPeriodStart,BillingAccountId,SubAccountId,ChargePeriodStart,ChargeCategory,ServiceName,\
                     BilledCost,ChargeDescription\n";
const EMEA: &str = "111122223333";
const APAC: &str = "444455556666";

const SOURCES: &str = "[[source]]\nname = \"emea\"\nlocation = \"emea\"\npayer = \"111122223333\"\n\n\
                       [[source]]\nname = \"apac\"\nlocation = \"apac\"\npayer = \"444455556666\"\ncurrency = \"JPY\"\n";

fn settings(sources: &str) -> String {
    format!("{sources}\n[reference]\nlocation = \"reference\"\n\n[lake]\nlocation = \"lake\"\n")
}

/// Two exports whose files have the same names: CUR with a manifest, FOCUS without a currency.
fn workspace() -> Workspace {
    let workspace = Workspace::new();
    workspace.write("credits.toml", settings(SOURCES));
    workspace.write("reference/hierarchy.csv", "business_unit,department,portfolio,product\nRetail,,,\nMedia,,,\n");
    workspace.write(
        "reference/cost_rules.csv",
        "rule_id,priority,payer_account_id,business_unit\nemea,10,111122223333,Retail\napac,20,444455556666,Media\n",
    );
    for month in ["2026-01", "2026-02"] {
        deliver(&workspace, "emea", month, &cur(month, EMEA, "100.25"));
        let manifest = format!(r#"{{"dataFiles": ["s3://b/x/data/BILLING_PERIOD={month}/acme-1.csv"]}}"#);
        workspace.write(&format!("emea/metadata/BILLING_PERIOD={month}/acme-Manifest.json"), manifest);
        deliver(&workspace, "apac", month, &focus(month, APAC, "9000"));
    }
    workspace
}

fn deliver(workspace: &Workspace, export: &str, month: &str, text: &str) {
    workspace.write(&format!("{export}/data/BILLING_PERIOD={month}/acme-1.csv"), text);
}

fn cur(month: &str, payer: &str, cost: &str) -> String {
    format!(
        "{CUR}{month}-01,{payer},{payer},{month}-01,Usage,AmazonEC2,USD,{cost},\n\
         {month}-01,{payer},{payer},{month}-02,Credit,AmazonEC2,USD,-10,Pilot of {payer}\n"
    )
}

fn focus(month: &str, payer: &str, cost: &str) -> String {
    format!("{FOCUS}{month}-01,{payer},{payer},{month}-01,Usage,Amazon EC2,{cost},\n")
}

fn says(workspace: &Workspace, as_of: &str, arguments: &[&str]) -> String {
    workspace.try_run(as_of, arguments).unwrap_or_else(|problem| panic!("{problem}"))
}

fn refused(workspace: &Workspace, exit_code: i32) -> String {
    let outcome = workspace.run("2026-02-28", &["run"]);
    assert_eq!(outcome.exit_code, Some(exit_code), "{}", outcome.stderr);
    assert!(fs::read_link(workspace.path("lake/published")).is_err(), "nothing is published");
    outcome.stderr
}

/// Gross cost by month, business unit and currency.
fn gross(workspace: &Workspace) -> Vec<String> {
    let sql = "SELECT billing_period, business_unit, currency, gross_cost FROM net_cost_summary \
               WHERE level = 1 ORDER BY 1, 2, 3";
    let csv = says(workspace, "2026-02-28", &["--format", "csv", "--raw", "query", sql]);
    let row = |row: &Row| {
        let number = row["gross_cost"].trim_end_matches('0').trim_end_matches('.');
        format!("{} {} {} {number}", row["billing_period"], row["business_unit"], row["currency"])
    };
    csv_rows(&csv).iter().map(row).collect()
}

#[test]
fn each_export_has_its_payer_format_and_currency_and_all_are_one_lake() {
    let workspace = workspace();
    let said = says(&workspace, "2026-02-28", &["run"]);
    assert!(said.contains("\nExport      CUR 1.0, FOCUS: 2 periods read (6 lines), 0 unchanged (0 lines)\n"), "{said}");
    assert!(said.contains("export 180.5000000000 USD = invoice_net 180.5000000000"), "{said}");
    assert!(said.contains("export 18,000.0000000000 JPY = invoice_net 18,000.0000000000"), "{said}");
    let expected =
        ["2026-01 Media JPY 9000", "2026-01 Retail USD 100.25", "2026-02 Media JPY 9000", "2026-02 Retail USD 100.25"];
    assert_eq!(gross(&workspace), expected);
    let again = says(&workspace, "2026-02-28", &["run"]);
    assert!(again.contains("0 periods read (0 lines), 2 unchanged (6 lines)"), "{again}");
    deliver(&workspace, "apac", "2026-02", &focus("2026-02", APAC, "9500"));
    let changed = says(&workspace, "2026-02-28", &["run"]);
    assert!(changed.contains("1 period read (3 lines), 1 unchanged (3 lines)"), "{changed}");
    assert_eq!(gross(&workspace)[2..], ["2026-02 Media JPY 9500", "2026-02 Retail USD 100.25"]);
}

#[test]
fn lines_of_another_payer_than_is_stated_are_refused_with_file_and_row() {
    let workspace = workspace();
    deliver(&workspace, "apac", "2026-02", &focus("2026-02", EMEA, "9000"));
    let said = refused(&workspace, 3);
    let place = "apac/data/BILLING_PERIOD=2026-02/acme-1.csv, row 2, column BillingAccountId";
    let wrong = "\"111122223333\" is not 444455556666, the payer that the settings state of this export";
    assert!(said.contains(place) && said.contains(wrong), "{said}");
}

#[test]
fn export_that_is_not_there_yet_stops_the_run_by_its_place() {
    let workspace = workspace();
    fs::remove_dir_all(workspace.path("apac/data")).expect("a removed folder");
    let said = refused(&workspace, 4);
    let place = workspace.path("apac").display().to_string();
    assert!(said.contains(&format!("no billing export at {place} yet: no Parquet, CSV, gzip or ZIP file")), "{said}");
    fs::remove_dir(workspace.path("apac")).expect("a removed folder");
    let said = refused(&workspace, 4);
    let missing = "the folder does not exist; set [[source]] apac location";
    assert!(said.contains(&format!("no billing export at {place}: {missing}")), "{said}");
}

#[test]
fn file_that_a_manifest_names_is_not_taken_from_another_export() {
    let workspace = workspace();
    let manifest = r#"{"dataFiles": ["s3://b/x/data/BILLING_PERIOD=2026-02/acme-1.csv"]}"#;
    workspace.write("apac/metadata/BILLING_PERIOD=2026-02/acme-Manifest.json", manifest);
    fs::remove_file(workspace.path("emea/data/BILLING_PERIOD=2026-02/acme-1.csv")).expect("a removed file");
    let said = refused(&workspace, 4);
    let waiting = "emea/metadata/BILLING_PERIOD=2026-02/acme-Manifest.json: names \
                   s3://b/x/data/BILLING_PERIOD=2026-02/acme-1.csv, which is not there";
    assert!(said.contains(waiting), "{said}");
}

#[test]
fn bill_that_lies_in_two_exports_is_refused_also_as_plain_files() {
    let workspace = workspace();
    workspace.write("credits.toml", settings(&SOURCES.replace("payer = \"444455556666\"\n", "")));
    fs::remove_dir_all(workspace.path("apac")).expect("a removed folder");
    fs::remove_dir_all(workspace.path("emea")).expect("a removed folder");
    workspace.write("emea/january.csv", cur("2026-01", EMEA, "100.25"));
    workspace.write("apac/january-again.csv", cur("2026-01", EMEA, "100.25"));
    let said = refused(&workspace, 3);
    let twice = "billing period 2026-01 of payer 111122223333 is delivered here and in emea too";
    assert!(said.contains(&format!("apac: {twice}")), "{said}");
}

#[test]
fn export_that_is_late_is_named_until_it_delivers() {
    let workspace = workspace();
    fs::remove_dir_all(workspace.path("apac/data/BILLING_PERIOD=2026-02")).expect("a removed folder");
    let said = says(&workspace, "2026-02-28", &["run"]);
    assert!(said.contains("\n            no lines of 2026-02 yet in apac\n"), "{said}");
    deliver(&workspace, "apac", "2026-02", &focus("2026-02", APAC, "9000"));
    let said = says(&workspace, "2026-02-28", &["run"]);
    assert!(!said.contains("no lines of"), "{said}");
    assert!(gross(&workspace).contains(&"2026-02 Media JPY 9000".to_owned()));
}

#[test]
fn month_that_one_export_pruned_stays_as_last_read_also_where_another_one_changed() {
    let workspace = workspace();
    says(&workspace, "2026-02-28", &["run"]);
    let before = gross(&workspace);
    fs::remove_dir_all(workspace.path("apac/data/BILLING_PERIOD=2026-01")).expect("a removed folder");
    deliver(&workspace, "emea", "2026-01", &cur("2026-01", EMEA, "50"));
    let said = says(&workspace, "2026-02-28", &["run"]);
    assert!(said.contains("\n            kept as last read, as they are no longer in apac: 2026-01\n"), "{said}");
    assert!(!said.contains("Not published"), "{said}");
    assert_eq!(gross(&workspace), before);
}

#[test]
fn run_in_which_a_payer_of_a_published_month_is_missing_is_staged() {
    let workspace = Workspace::new();
    workspace.write("credits.toml", settings("[source]\nlocation = \"exports/cur2\"\n"));
    workspace.write("reference/hierarchy.csv", "business_unit\nRetail\n");
    workspace.write("reference/cost_rules.csv", "rule_id,priority,account_id,business_unit\nall,10,*,Retail\n");
    // As the data collection of the Cloud Intelligence Dashboards replicates exports: data without manifests.
    let file = |payer: &str| format!("exports/cur2/{payer}/cid-cur2/data/BILLING_PERIOD=2026-02/cid-cur2-00001.csv");
    for payer in [EMEA, APAC] {
        workspace.write(&file(payer), cur("2026-02", payer, "100.25"));
    }
    says(&workspace, "2026-02-28", &["--run-id", "both", "run"]);
    assert_eq!(gross(&workspace), ["2026-02 Retail USD 200.5"]);
    fs::remove_dir_all(workspace.path("exports/cur2").join(APAC)).expect("a removed folder");
    let said = says(&workspace, "2026-02-28", &["run"]);
    let why = "\nNot published: payers of the published run both are missing: 444455556666 in 2026-02; publish it with";
    assert!(said.contains(why), "{said}");
    assert_eq!(gross(&workspace), ["2026-02 Retail USD 200.5"]);
    workspace.write(&file(APAC), cur("2026-02", APAC, "100.25"));
    assert!(!says(&workspace, "2026-02-28", &["run"]).contains("Not published"));
}
