//! What a second run reads again.

use serde_json::Value;

use super::{AS_OF, Workspace, fixture, organisation, query};

/// May and June 2026, a file each, run once.
fn two_months() -> Workspace {
    let workspace = organisation();
    let may = fixture("cur-2.0.csv");
    workspace.write("cur/may.csv", &may);
    workspace.write("cur/june.csv", june());
    assert_eq!(run(&workspace), "read 2026-05 2026-06, unchanged, gone");
    workspace
}

pub(crate) fn june() -> String {
    let later = fixture("cur-2.0.csv").replace("2026-06-", "2026-07-").replace("2026-05-31", "2026-06-30");
    later.replace("2026-05-", "2026-06-")
}

/// Runs and says which periods were read, unchanged and gone.
fn run(workspace: &Workspace) -> String {
    let text = workspace.try_run(AS_OF, &["run", "--format", "json"]).unwrap_or_else(|problem| panic!("{problem}"));
    let summary: Value = serde_json::from_str(&text).expect("a JSON summary");
    let list = |name: &str| {
        let periods = summary["export"][name].as_array().expect("a list");
        periods.iter().map(|period| format!(" {}", period.as_str().expect("a period"))).collect::<String>()
    };
    format!("read{}, unchanged{}, gone{}", list("periods_read"), list("periods_unchanged"), list("periods_gone"))
}

/// Net cost of May by business unit.
fn may(workspace: &Workspace) -> Vec<String> {
    let sql = "SELECT business_unit, sum(net_cost) AS net_cost FROM net_cost WHERE billing_period = '2026-05' \
               GROUP BY 1 HAVING sum(net_cost) <> 0 ORDER BY 1";
    query(workspace, sql).iter().map(|row| format!("{} {}", row["business_unit"], row["net_cost"])).collect()
}

fn change_rules(workspace: &Workspace, from: &str, to: &str) {
    let rules = fixture("reference/cost_rules.csv");
    assert!(rules.contains(from), "{from} is not in the rules");
    workspace.write("reference/cost_rules.csv", rules.replace(from, to));
}

const MAY: [&str; 6] = [
    "Europe 3.2500000000",
    "Platform 0.1234567891",
    "Retail 10.5000000000",
    "Sandbox 7.0000000000",
    "Support 12.3400000000",
    "Unassigned 102.7000000000",
];

#[test]
fn unchanged_periods_are_not_read_again_and_the_figures_stay() {
    let workspace = two_months();
    assert_eq!(may(&workspace), MAY);
    assert_eq!(run(&workspace), "read, unchanged 2026-05 2026-06, gone");
    assert_eq!(may(&workspace), MAY);
}

#[test]
fn only_the_period_whose_file_changed_is_read_again() {
    let workspace = two_months();
    workspace.write("cur/june.csv", june().replace(",7,", ",8.25,"));
    assert_eq!(run(&workspace), "read 2026-06, unchanged 2026-05, gone");
    let sql = "SELECT billing_period, sum(charges) AS charges FROM net_cost WHERE business_unit = 'Sandbox' GROUP BY 1 ORDER BY 1";
    let charges: Vec<String> = query(&workspace, sql).iter().map(|row| row["charges"].clone()).collect();
    assert_eq!(charges, ["7.0000000000", "8.2500000000"]);
}

#[test]
fn a_file_that_is_added_to_a_period_has_it_read_again() {
    let workspace = two_months();
    let text = fixture("cur-2.0.csv");
    let lines: Vec<&str> = text.lines().take(2).collect();
    workspace.write("cur/late.csv", lines.join("\n") + "\n");
    assert_eq!(run(&workspace), "read 2026-05, unchanged 2026-06, gone");
    assert_eq!(may(&workspace)[2], "Retail 21.0000000000");
}

#[test]
fn a_period_whose_files_are_pruned_is_kept_and_listed() {
    let workspace = two_months();
    std::fs::remove_file(workspace.path("cur/may.csv")).expect("a removed file");
    assert_eq!(run(&workspace), "read, unchanged 2026-06, gone 2026-05");
    assert_eq!(may(&workspace), MAY);
    let summary = workspace.try_run(AS_OF, &["run"]).expect("a run");
    assert!(summary.contains("no longer in the export, kept as last read: 2026-05"), "{summary}");
}

#[test]
fn a_changed_condition_reads_every_period_again() {
    let workspace = two_months();
    change_rules(&workspace, "sandbox,40,,100000000003", "sandbox,40,,100000000002");
    assert_eq!(run(&workspace), "read 2026-05 2026-06, unchanged, gone");
    assert_eq!(may(&workspace)[3..], ["Sandbox 102.4000000000", "Support 12.3400000000", "Unassigned 7.3000000000"]);
}

#[test]
fn a_changed_priority_reads_every_period_again() {
    let workspace = two_months();
    change_rules(&workspace, "sandbox,40,", "sandbox,41,");
    assert_eq!(run(&workspace), "read 2026-05 2026-06, unchanged, gone");
    assert_eq!(may(&workspace), MAY);
}

#[test]
fn a_rule_that_only_goes_to_another_node_reads_nothing_again_and_moves_the_cost() {
    let workspace = two_months();
    change_rules(&workspace, ",Sandbox,,,,", ",Europe,,,,");
    assert_eq!(run(&workspace), "read, unchanged 2026-05 2026-06, gone");
    assert_eq!(may(&workspace)[..2], ["Europe 10.2500000000", "Platform 0.1234567891"]);
}

#[test]
fn a_rule_that_is_split_over_nodes_reads_nothing_again() {
    let workspace = two_months();
    let rule = "sandbox,40,,100000000003,,,,,,,Sandbox,,,,\n";
    let split = "sandbox,40,,100000000003,,,,,,,Sandbox,,,,0.75\nsandbox,40,,100000000003,,,,,,,Europe,,,,0.25\n";
    change_rules(&workspace, rule, split);
    assert_eq!(run(&workspace), "read, unchanged 2026-05 2026-06, gone");
    assert_eq!(may(&workspace)[0], "Europe 5.0000000000");
}

#[test]
fn a_pruned_period_whose_rule_is_gone_becomes_unassigned() {
    let workspace = two_months();
    std::fs::remove_file(workspace.path("cur/may.csv")).expect("a removed file");
    change_rules(&workspace, "sandbox,40,,100000000003,,,,,,,Sandbox,,,,\n", "");
    assert_eq!(run(&workspace), "read 2026-06, unchanged, gone 2026-05");
    assert_eq!(may(&workspace)[3..], ["Support 12.3400000000", "Unassigned 109.7000000000"]);
}
