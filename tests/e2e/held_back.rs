//! A run that would take published months away is staged and told; only `--publish` or `publish` publishes it.

use std::fs;

use serde_json::Value;

use crate::support::Workspace;

const HEADER: &str = "bill_billing_period_start_date,bill_payer_account_id,line_item_usage_account_id,\
                      line_item_usage_start_date,line_item_line_item_type,line_item_product_code,\
                      line_item_currency_code,line_item_unblended_cost,line_item_line_item_description\n";

/// A lake with January to March, published as of 2026-03-31 by the run `march`.
fn lake() -> Workspace {
    let workspace = Workspace::new();
    workspace.write("reference/hierarchy.csv", "business_unit,department,portfolio,product\nRetail,,,\n");
    workspace.write(
        "reference/cost_rules.csv",
        "rule_id,priority,payer_account_id,account_id,service,region,tag_key,tag_value,cost_category_key,\
         cost_category_value,business_unit,department,portfolio,product,share\nall,10,,*,,,,,,,Retail,,,,\n",
    );
    for month in 1..=3 {
        let start = format!("2026-0{month}-01");
        let line = format!("{start},999999999999,111111111111,{start},Usage,AmazonEC2,USD,10,\n");
        workspace.write(&format!("cur/{month}.csv"), format!("{HEADER}{line}"));
    }
    says(&workspace, "2026-03-31", &["--run-id", "march", "run"]);
    workspace
}

fn says(workspace: &Workspace, as_of: &str, arguments: &[&str]) -> String {
    workspace.try_run(as_of, arguments).unwrap_or_else(|problem| panic!("{problem}"))
}

fn published(workspace: &Workspace) -> String {
    let target = fs::read_link(workspace.path("lake/published")).expect("a pointer");
    target.file_name().expect("a run").to_str().expect("UTF-8").to_owned()
}

const EARLIER: &str = "as of 2026-01-31 is before 2026-03-31, the date of the published run march";

#[test]
fn run_as_of_an_earlier_date_is_staged_and_published_when_told_to() {
    let workspace = lake();
    let said = says(&workspace, "2026-01-31", &["--run-id", "january", "run"]);
    let told = format!("Not published: {EARLIER}; publish it with `publish --run-id january`, or run with --publish\n");
    assert!(said.ends_with(&told), "{said}");
    assert!(said.contains("\nTie-out     export 10.0000000000 USD"), "{said}");
    assert_eq!(published(&workspace), "march");
    let summary: Value =
        serde_json::from_str(&says(&workspace, "2026-01-31", &["--format", "json", "run"])).expect("JSON");
    assert_eq!((&summary["published"], &summary["not_published"]), (&false.into(), &EARLIER.into()));
    says(&workspace, "2026-01-31", &["--run-id", "january", "publish"]);
    assert_eq!(published(&workspace), "january");
    let summary: Value =
        serde_json::from_str(&says(&workspace, "2026-03-31", &["--format", "json", "run"])).expect("JSON");
    assert_eq!((&summary["published"], &summary["not_published"]), (&true.into(), &Value::Null));
    says(&workspace, "2026-02-28", &["--run-id", "february", "run", "--publish"]);
    assert_eq!(published(&workspace), "february");
}

#[test]
fn run_with_fewer_periods_than_are_published_is_staged() {
    let workspace = lake();
    fs::remove_file(workspace.path("cur/2.csv")).expect("a removed file");
    says(&workspace, "2026-03-31", &["lake", "drop-period", "2026-02", "--yes"]);
    let said = says(&workspace, "2026-04-01", &["run"]);
    assert!(
        said.contains("\nNot published: periods of the published run march are missing: 2026-02; publish"),
        "{said}"
    );
    assert_eq!(published(&workspace), "march");
}

#[test]
fn published_run_without_a_manifest_is_known_by_the_log_and_without_both_nothing_is_published() {
    let workspace = lake();
    fs::remove_file(workspace.path("lake/runs/march/manifest.json")).expect("a removed file");
    let said = says(&workspace, "2026-01-31", &["run"]);
    assert!(said.contains(&format!("\nNot published: {EARLIER};")), "{said}");
    fs::rename(workspace.path("lake/runs/march"), workspace.path("lake/runs/other")).expect("renamed");
    fs::remove_file(workspace.path("lake/published")).expect("a removed link");
    std::os::unix::fs::symlink("runs/other", workspace.path("lake/published")).expect("a link");
    let said = says(&workspace, "2026-03-31", &["run"]);
    let unknown = "\nNot published: the date and the periods of the published run other are not known; publish";
    assert!(said.contains(unknown), "{said}");
    says(&workspace, "2026-03-31", &["--run-id", "again", "run", "--publish"]);
    assert_eq!(published(&workspace), "again");
}
