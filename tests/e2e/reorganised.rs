//! A reorganised hierarchy never restates in silence.

use std::fs;

use crate::support::Workspace;

const AS_OF: &str = "2026-02-28";
const HEADER: &str = "bill_billing_period_start_date,bill_payer_account_id,line_item_usage_account_id,\
                      line_item_usage_start_date,line_item_line_item_type,line_item_product_code,\
                      line_item_currency_code,line_item_unblended_cost,line_item_line_item_description\n";
const BEFORE: &str = "business_unit,department,portfolio,product\nRetail,Shop,,\nRetail,Web,,\nMedia,,,\nStudio,,,\n";
const AFTER: &str = "business_unit,department,portfolio,product\nRetail,Web,,\nMedia,,,\n";

/// Retail/Shop has a lot, cost in two months and a budget; Studio has nothing.
fn lake() -> Workspace {
    let workspace = Workspace::new();
    let line = |start: &str, rest: &str| format!("{start},999999999999,111111111111,{start},{rest}\n");
    let lines = [
        line("2026-01-01", "Usage,AmazonEC2,USD,600.5,"),
        line("2026-02-01", "Usage,AmazonEC2,USD,400,"),
        line("2026-02-01", "Credit,AmazonEC2,USD,-5,\"Spring, credit id: 42\""),
    ];
    workspace.write("cur/cur.csv", format!("{HEADER}{}", lines.concat()));
    rules(&workspace, "Retail,Shop");
    workspace.write("reference/hierarchy.csv", BEFORE);
    let budgets = "billing_period,business_unit,department,portfolio,product,currency,amount\n";
    workspace.write("reference/budgets.csv", format!("{budgets}2026-01,Retail,Shop,,,USD,500\n"));
    workspace.write(
        "reference/allocations.csv",
        "promotion_code,account_id,credit_key,amount,currency,end_date,reference,business_unit,department,portfolio,\
         product\n,,id:42,100,USD,,,Media,,,\n,,id:42,1250.5,USD,,,Retail,Shop,,\n",
    );
    says(&workspace, &["run"]);
    workspace
}

fn rules(workspace: &Workspace, node: &str) {
    let columns = "rule_id,priority,payer_account_id,account_id,service,region,tag_key,tag_value,cost_category_key,\
                   cost_category_value,business_unit,department,portfolio,product,share";
    workspace.write("reference/cost_rules.csv", format!("{columns}\nall,10,,*,,,,,,,{node},,,\n"));
}

/// Shop and Studio are gone, and rules and budgets with them.
fn reorganise(workspace: &Workspace) {
    workspace.write("reference/hierarchy.csv", AFTER);
    rules(workspace, "Retail,Web");
    fs::remove_file(workspace.path("reference/budgets.csv")).expect("a removed file");
}

fn says(workspace: &Workspace, arguments: &[&str]) -> String {
    workspace.try_run(AS_OF, arguments).unwrap_or_else(|problem| panic!("{problem}"))
}

const REFUSED: &str = "error: nodes of the published run are gone from hierarchy.csv, but something hangs on them. Say \
                       in renames.csv what they are called now, put them back, or move their allocations to other nodes; \
                       with --accept-removed-nodes their months are restated, and their allocations cannot be used:\n\
                       Retail/Shop: lot 2 of id:42, 1,250.50 USD; cost of its own 1,000.50 USD in 2026-01 to 2026-02; \
                       budgets of 2026-01\n";

#[test]
fn run_without_a_node_that_something_hangs_on_stops_and_changes_nothing() {
    let workspace = lake();
    let before = workspace.published();
    reorganise(&workspace);
    let outcome = workspace.run(AS_OF, &["run"]);
    assert_eq!((outcome.stderr.as_str(), outcome.exit_code), (REFUSED, Some(3)));
    says(&workspace, &["--run-id", "night", "detect-credits"]);
    let outcome = workspace.run(AS_OF, &["--run-id", "night", "join-allocations"]);
    assert_eq!((outcome.stderr.as_str(), outcome.exit_code), (REFUSED, Some(3)));
    assert!(workspace.published() == before, "what is published stays");
    says(&workspace, &["--run-id", "night", "join-allocations", "--accept-removed-nodes"]);
}

#[test]
fn accepted_removal_makes_the_credit_invalid_and_later_runs_need_no_flag() {
    let workspace = lake();
    reorganise(&workspace);
    let said = says(&workspace, &["run", "--accept-removed-nodes"]);
    assert!(said.contains("lot 2: node Retail/Shop is not in hierarchy.csv\n"), "{said}");
    says(&workspace, &["run"]);
    let sql = "SELECT concat_ws(',', c.credit_key, c.status, c.allocated_amount, c.end_date, q.reason) AS credit
               FROM credits c JOIN credit_queue q ON q.credit_key = c.credit_key";
    let rows = workspace.query(AS_OF, sql).expect("a query");
    assert_eq!(rows[0]["credit"], "id:42,invalid,allocation_invalid");
    let listed = says(&workspace, &["--format", "csv", "credits"]);
    assert!(
        listed.contains("\nid:42,Spring,111111111111,USD,invalid,,,,,,,5.0000000000,,Media; Retail/Shop,\n"),
        "{listed}"
    );
}

#[test]
fn node_without_anything_may_go_and_a_lot_that_was_moved_is_not_listed() {
    let workspace = lake();
    workspace.write("reference/hierarchy.csv", BEFORE.replace("Studio,,,\n", ""));
    says(&workspace, &["run"]);
    says(&workspace, &["allocate", "--key", "id:42", "--amount", "5", "--to", "Media"]);
    says(&workspace, &["run"]);
    reorganise(&workspace);
    let moved = REFUSED.replace("lot 2 of id:42, 1,250.50 USD; ", "");
    assert_eq!(workspace.run(AS_OF, &["run"]).stderr, moved, "the lot was moved, the cost still hangs there");
}
