//! What the summary says of an export that is not read whole, or not as people may mean it.

use super::{AS_OF, CREDIT, HEADER, USAGE, cur_2, good_input};
use crate::support::{SETTINGS, Workspace};

/// What the summary says of the export.
fn said(workspace: &Workspace) -> String {
    let outcome = workspace.run(AS_OF, &["run"]);
    assert_eq!(outcome.exit_code, Some(0), "{}", outcome.stderr);
    let lines = outcome.stdout.lines().skip_while(|line| !line.starts_with("Export"));
    lines.take_while(|line| !line.starts_with("Credits")).collect::<Vec<_>>().join("\n")
}

/// A column more in a CUR 2.0 file.
fn with_column(name: &str, lines: &[(&str, &str)]) -> String {
    let lines = lines.iter().map(|(line, value)| format!("{line},{value}"));
    [format!("{HEADER},{name}")].into_iter().chain(lines).collect::<Vec<_>>().join("\n")
}

#[test]
fn files_that_are_left_out_are_named_with_the_reason() {
    let workspace = good_input();
    let february = cur_2(&[&USAGE.replace("2026-01", "2026-02")]);
    for (path, text) in [
        (".ipynb_checkpoints/good-checkpoint.csv", cur_2(&[USAGE])),
        ("__MACOSX/._good.csv", "x".to_owned()),
        ("notes.txt", "buy milk\n".to_owned()),
        ("x/data/BILLING_PERIOD=2026-02/x-1.csv", february.clone()),
        ("x/data/BILLING_PERIOD=2026-02/x-2.csv", february.clone()),
        ("x/data/BILLING_PERIOD=2026-03/x-1.csv", february.replace("2026-02", "2026-03")),
    ] {
        workspace.write(&format!("cur/{path}"), text);
    }
    let manifest = r#"{"dataFiles": ["s3://b/x/data/BILLING_PERIOD=2026-02/x-1.csv"]}"#;
    workspace.write("cur/x/metadata/BILLING_PERIOD=2026-02/x-Manifest.json", manifest);
    workspace.write("cur/x/metadata/BILLING_PERIOD=2026-02/x-RedshiftManifest.json", "{}");
    insta::assert_snapshot!(said(&workspace), @r"
    Export      CUR 2.0: 2 periods read (5 lines), 0 unchanged (0 lines)
                the export ends on 2026-02-10, 49 days before the as-of date: it may not be delivered any more; what is lost after that day is provisional
                no lines of 2026-02 yet in the location itself
                exclusions not applied in 2026-01, 2026-02, their charges count as eligible: ineligible_billing_entities (no column bill_billing_entity)
                left out: .ipynb_checkpoints/: hidden names are no part of an export
                left out: __MACOSX/: hidden names are no part of an export
                left out: notes.txt: holds no columns of a billing export
                left out: x/data/BILLING_PERIOD=2026-02/x-2.csv: x/metadata/BILLING_PERIOD=2026-02/x-Manifest.json does not name it
                left out: x/data/BILLING_PERIOD=2026-03/: 2026-03 has no manifest yet: its delivery is in progress
    ");
}

#[test]
fn exclusions_that_have_no_column_are_named_with_their_periods() {
    let workspace = good_input();
    let fee = USAGE.replace("2026-01", "2026-02").replace(",Usage,", ",Fee,");
    workspace.write("cur/february.csv", with_column("bill_billing_entity", &[(&fee, "AWS")]));
    insta::assert_snapshot!(said(&workspace), @r"
    Export      CUR 2.0: 2 periods read (5 lines), 0 unchanged (0 lines)
                the export ends on 2026-02-10, 49 days before the as-of date: it may not be delivered any more; what is lost after that day is provisional
                exclusions not applied in 2026-01, their charges count as eligible: ineligible_billing_entities (no column bill_billing_entity)
                exclusions not applied in 2026-02, their charges count as eligible: ineligible_upfront_fees (no column reservation_reservation_a_r_n), ineligible_upfront_fees (no column savings_plan_savings_plan_a_r_n)
    ");
    let settings = format!("{SETTINGS}\n[credits]\nineligible_billing_entities = [\"AWS Marketplace\"]\n");
    workspace.write("credits.toml", settings);
    let refused = workspace.run(AS_OF, &["run"]);
    assert_eq!(refused.exit_code, Some(3));
    assert_eq!(
        refused.stderr,
        "error: good.csv: has no column bill_billing_entity, which [credits] ineligible_billing_entities needs; add it to \
         the export, or take the setting out\n"
    );
    let logged = workspace.query(AS_OF, "SELECT billing_period, exclusions_not_applied FROM runs_log ORDER BY 1");
    let logged: Vec<String> =
        logged.expect("a query").iter().map(|row| row["exclusions_not_applied"].clone()).collect();
    assert_eq!(
        logged,
        [
            "ineligible_billing_entities (no column bill_billing_entity)",
            "ineligible_upfront_fees (no column reservation_reservation_a_r_n), \
         ineligible_upfront_fees (no column savings_plan_savings_plan_a_r_n)",
        ]
    );
}

#[test]
fn columns_that_count_as_null_are_named_with_their_periods() {
    let workspace = good_input();
    workspace
        .write("credits.toml", SETTINGS.replace("location = \"cur\"", "location = \"cur\"\ncost = \"net_unblended\""));
    let february = USAGE.replace("2026-01", "2026-02");
    let lines = [(february.as_str(), "50"), (&february, "")];
    workspace.write("cur/february.csv", with_column("line_item_net_unblended_cost", &lines));
    insta::assert_snapshot!(said(&workspace), @r"
    Export      CUR 2.0: 2 periods read (6 lines), 0 unchanged (0 lines)
                the export ends on 2026-02-10, 49 days before the as-of date: it may not be delivered any more; what is lost after that day is provisional
                exclusions not applied in 2026-01, 2026-02, their charges count as eligible: ineligible_billing_entities (no column bill_billing_entity)
                columns that count as null, as 2026-01 has none: line_item_net_unblended_cost
    ");
    let rows =
        workspace.query(AS_OF, "SELECT gross_cost FROM net_cost_summary WHERE level = 0 ORDER BY billing_period");
    let rows: Vec<String> = rows.expect("a query").iter().map(|row| row["gross_cost"].clone()).collect();
    // A line without a net cost counts with its cost.
    assert_eq!(rows, ["60.0000000000", "110.0000000000"]);
}

#[test]
fn account_ids_that_are_too_short_are_named() {
    let workspace = good_input();
    workspace.write("cur/good.csv", cur_2(&[&USAGE.replace("111111111111", "11111111111"), CREDIT]));
    insta::assert_snapshot!(said(&workspace), @r"
    Export      CUR 2.0: 1 period read (2 lines), 0 unchanged (0 lines)
                the export ends on 2026-01-11, 79 days before the as-of date: it may not be delivered any more; what is lost after that day is provisional
                exclusions not applied in 2026-01, their charges count as eligible: ineligible_billing_entities (no column bill_billing_entity)
                account ids of fewer than 12 digits, as they stand: 11111111111
    ");
}

#[test]
fn invoices_of_a_period_and_lines_without_one_are_in_the_reconciliation() {
    let workspace = good_input();
    let lines = [(USAGE, "INV-2"), (USAGE, ""), (CREDIT, "INV-1"), (USAGE, "INV-2")];
    workspace.write("cur/good.csv", with_column("bill_invoice_id", &lines));
    workspace.try_run(AS_OF, &["run"]).unwrap_or_else(|problem| panic!("{problem}"));
    let sql = "SELECT invoice_ids, lines_without_invoice FROM reconciliation";
    let rows = workspace.query(AS_OF, sql).expect("a query");
    let rows: Vec<_> =
        rows.iter().map(|row| (row["invoice_ids"].as_str(), row["lines_without_invoice"].as_str())).collect();
    assert_eq!(rows, [("INV-1,INV-2", "1")]);
}
