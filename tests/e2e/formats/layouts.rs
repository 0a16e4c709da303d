//! Folders and manifests: the current files count, once.

use super::incremental::june;
use super::{AS_OF, Workspace, assert_net_cost, expected, fixture, organisation, query};
use crate::formats::parquet_file::{Types, parquet};

/// An older delivery of the same month, with another amount.
fn stale() -> String {
    fixture("cur-2.0.csv").replace("10.5", "999")
}

/// The first lines and the others, as two files.
fn halves() -> (String, String) {
    let text = fixture("cur-2.0.csv");
    let (header, rows) = text.split_once('\n').expect("a header");
    let at = rows.match_indices('\n').nth(4).expect("five rows").0 + 1;
    (format!("{header}\n{}", &rows[..at]), format!("{header}\n{}", &rows[at..]))
}

fn periods(workspace: &Workspace) -> Vec<String> {
    let rows = query(workspace, "SELECT DISTINCT billing_period FROM net_cost ORDER BY 1");
    rows.iter().map(|row| row["billing_period"].clone()).collect()
}

#[test]
fn overwritten_export_counts_the_files_its_manifest_names_through_double_slashes() {
    let workspace = organisation();
    let (first, second) = halves();
    workspace.write("cur/acme/data/BILLING_PERIOD=2026-05/acme-00001.csv", first);
    workspace.write("cur/acme/data/BILLING_PERIOD=2026-05/acme-00002.csv", second);
    workspace.write("cur/acme/data/BILLING_PERIOD=2026-05/acme-00003.csv", stale());
    let manifest = r#"{"executionId": "e", "billingPeriod": {"start": "2026-05-01T00:00:00.000Z"}, "dataFiles": [
        "s3://bucket//billing/acme/data/BILLING_PERIOD=2026-05/acme-00001.csv",
        "s3://bucket//billing/acme/data/BILLING_PERIOD=2026-05/acme-00002.csv"]}"#;
    workspace.write("cur/acme/metadata/BILLING_PERIOD=2026-05/acme-Manifest.json", manifest);
    assert_net_cost(&workspace, &expected());
}

#[test]
fn create_new_export_counts_the_execution_its_manifest_names_though_folders_hold_colons() {
    let workspace = organisation();
    let (old, new) = ("2026-06-01T09:14:43.337Z-0a0a", "2026-06-02T09:20:00.001Z-0b0b");
    workspace.write(&format!("cur/data/BILLING_PERIOD=2026-05/{old}/acme-00001.csv"), stale());
    workspace.write(&format!("cur/data/BILLING_PERIOD=2026-05/{new}/acme-00001.csv"), fixture("cur-2.0.csv"));
    let manifest = |execution: &str| {
        format!(r#"{{"dataFiles": ["s3://bucket/acme/data/BILLING_PERIOD=2026-05/{execution}/acme-00001.csv"]}}"#)
    };
    workspace.write("cur/metadata/BILLING_PERIOD=2026-05/acme-Manifest.json", manifest(new));
    for execution in [old, new] {
        let path = format!("cur/metadata/BILLING_PERIOD=2026-05/{execution}/acme-Manifest.json");
        workspace.write(&path, manifest(execution));
    }
    assert_net_cost(&workspace, &expected());
}

#[test]
fn of_several_execution_manifests_the_newest_counts() {
    let workspace = organisation();
    for (execution, text) in
        [("2026-06-01T09:14:43.337Z-ff", stale()), ("2026-06-02T09:20:00.001Z-00", fixture("cur-2.0.csv"))]
    {
        let file = format!("data/billing_period=2026-05/{execution}/acme-00001.csv");
        workspace.write(&format!("cur/{file}"), text);
        let path = format!("cur/metadata/billing_period=2026-05/{execution}/acme-Manifest.json");
        workspace.write(&path, format!(r#"{{"dataFiles": [{{"key": "s3://bucket/acme/{file}"}}]}}"#));
    }
    assert_net_cost(&workspace, &expected());
}

#[test]
fn lower_case_period_folders_without_a_manifest_count_as_they_lie() {
    let workspace = organisation();
    workspace.write("cur/data/billing_period=2026-05/acme-00001.csv", fixture("cur-2.0.csv"));
    workspace.write("cur/data/billing_period=2026-06/acme-00001.csv", june());
    assert_net_cost(&workspace, &expected());
    assert_eq!(periods(&workspace), ["2026-05", "2026-06"]);
}

#[test]
fn cur_1_counts_the_assembly_that_the_manifest_of_the_month_names() {
    let workspace = organisation();
    let month = "cur/acme/20260501-20260601";
    workspace.write(&format!("{month}/aaaa-1111/acme-1.csv"), stale());
    workspace.write(&format!("{month}/bbbb-2222/acme-1.csv"), fixture("cur-1.0.csv"));
    let manifest = |assembly: &str| {
        format!(
            r#"{{"assemblyId": "{assembly}", "compression": "GZIP", "bucket": "billing", "columns": [],
                "billingPeriod": {{"start": "20260501T000000.000Z", "end": "20260601T000000.000Z"}},
                "reportKeys": ["/reports/acme/20260501-20260601/{assembly}/acme-1.csv"]}}"#
        )
    };
    workspace.write(&format!("{month}/acme-Manifest.json"), manifest("bbbb-2222"));
    for assembly in ["aaaa-1111", "bbbb-2222"] {
        workspace.write(&format!("{month}/{assembly}/acme-Manifest.json"), manifest(assembly));
    }
    assert_net_cost(&workspace, &expected());
}

#[test]
fn cur_1_that_is_overwritten_counts_the_files_of_its_manifest() {
    let workspace = organisation();
    let month = "cur/acme/20260501-20260601";
    workspace.write(&format!("{month}/acme-1.csv"), fixture("cur-1.0.csv"));
    workspace.write(&format!("{month}/acme-2.csv"), stale());
    let manifest = r#"{"reportKeys": ["reports/acme/20260501-20260601/acme-1.csv"]}"#;
    workspace.write(&format!("{month}/acme-Manifest.json"), manifest);
    assert_net_cost(&workspace, &expected());
}

#[test]
fn athena_folders_count_as_they_lie_and_the_status_table_does_not() {
    let workspace = organisation();
    let file = parquet(&fixture("cur-1.0-athena.csv"), &Types { maps: false, ..Types::of_aws() });
    workspace.write("cur/acme/acme/year=2026/month=5/acme-1.snappy.parquet", file);
    workspace.write("cur/acme/cost_and_usage_data_status/status.parquet", "no Parquet at all");
    workspace.write("cur/acme/acme-create-table.sql", "CREATE EXTERNAL TABLE acme");
    assert_net_cost(&workspace, &expected());
    let said = workspace.try_run(AS_OF, &["run"]).unwrap_or_else(|problem| panic!("{problem}"));
    let left_out: Vec<&str> = said.lines().filter(|line| line.contains("left out")).collect();
    assert_eq!(
        left_out,
        ["            left out: acme/cost_and_usage_data_status/status.parquet: cannot be read: whether AWS is still \
         delivering is not known"]
    );
}

#[test]
fn plain_files_that_share_a_month_count_together() {
    let workspace = organisation();
    let (first, second) = halves();
    workspace.write("cur/first part.csv", first);
    workspace.write("cur/more/second%20part.csv", second);
    workspace.write("cur/june.csv", june());
    assert_net_cost(&workspace, &expected());
    assert_eq!(periods(&workspace), ["2026-05", "2026-06"]);
}
