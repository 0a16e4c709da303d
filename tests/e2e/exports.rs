//! Exports as they are met in the field: each folder of `fixtures/exports/<kind>` is a case with its own export, what
//! comes of it, and a line that says why it is there. `spellings/make_exports.py` writes most of them.
//!
//! A case has `about.txt`, `export/`, and one of `expected.csv` (the summary by business unit) and `refused.txt` (the
//! exit code and what the error says). It may have `credits.csv` (columns of the register), `says.txt` (what the run's
//! summary says), and settings and reference data of its own.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::faults::shop::{files, names};
use crate::support::compare::{Row, csv_rows};
use crate::support::{Outcome, Workspace};
use crate::vectors::read;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/exports")
}

/// Runs with the workspace's own settings, its as-of date included.
fn run(workspace: &Workspace, arguments: &[&str]) -> Outcome {
    workspace.run_with(&workspace.path("credits.toml"), arguments)
}

fn query(workspace: &Workspace, sql: &str) -> Vec<Row> {
    let outcome = run(workspace, &["--format", "csv", "--raw", "query", sql]);
    assert_eq!(outcome.exit_code, Some(0), "{sql}: {}", outcome.stderr);
    csv_rows(&outcome.stdout)
}

/// A number without the zeros at its end; other text as it is.
fn plain(text: &str) -> &str {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit() || b"-.".contains(&byte));
    if is_number && text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

/// The rows as lines of CSV, in order.
fn lines(columns: &[&str], rows: &[Row]) -> Vec<String> {
    let mut lines: Vec<String> = rows
        .iter()
        .map(|row| columns.iter().map(|column| plain(&row[*column])).collect::<Vec<_>>().join(","))
        .collect();
    lines.sort();
    lines
}

/// How a table differs from a CSV text, on the columns of that.
fn table_differences(workspace: &Workspace, table: &str, expected: &str) -> Option<String> {
    let columns: Vec<&str> = expected.lines().next().expect("a header").split(',').collect();
    let got = lines(&columns, &query(workspace, &format!("SELECT {} FROM {table}", columns.join(", "))));
    let expected = lines(&columns, &csv_rows(expected));
    (got != expected).then(|| format!("{table}: expected\n  {}\ngot\n  {}", expected.join("\n  "), got.join("\n  ")))
}

const BUSINESS_UNITS: &str = "net_cost_summary WHERE level = 1";

/// The summary by business unit is this CSV text.
pub(crate) fn assert_net_cost(workspace: &Workspace, expected: &str) {
    if let Some(difference) = table_differences(workspace, BUSINESS_UNITS, expected) {
        panic!("{difference}");
    }
}

/// Those lines that `said` has nothing of; a line may hold alternatives.
fn unsaid<'a>(wanted: impl Iterator<Item = &'a str>, said: &str) -> Vec<String> {
    let said = said.to_lowercase();
    wanted
        .filter(|line| !line.split(" | ").any(|text| said.contains(&text.to_lowercase())))
        .map(|line| format!("nobody says {line:?}"))
        .collect()
}

/// A workspace with the export, the settings and the reference data of a case.
fn workspace(case: &Path) -> Workspace {
    let workspace = Workspace::new();
    let own = |name: &str| if case.join(name).exists() { case.join(name) } else { root().join(name) };
    workspace.write("credits.toml", read(&own("credits.toml")));
    workspace.copy(&root().join("reference"), "reference");
    for place in ["export", "reference"] {
        for file in files(&case.join(place)) {
            workspace
                .write(&format!("{place}/{file}"), fs::read(case.join(place).join(&file)).expect("a readable file"));
        }
    }
    workspace
}

/// Every way in which a run on a case does not come to what is expected.
fn problems(case: &Path) -> Vec<String> {
    let workspace = workspace(case);
    let Outcome { exit_code, stdout, stderr } = run(&workspace, &["run"]);
    let ended = format!("exit code {exit_code:?}\n{stdout}{stderr}");
    let refused = case.join("refused.txt");
    if refused.exists() {
        let text = read(&refused);
        let mut wanted = text.lines();
        let code = wanted.next().and_then(|line| line.strip_prefix("exit ")).expect("an exit code");
        if exit_code.map(|code| code.to_string()).as_deref() != Some(code) {
            return vec![format!("expected exit code {code}, got {ended}")];
        }
        let mut list = unsaid(wanted, &stderr);
        if workspace.path("lake/published").exists() {
            list.push("something is published".to_owned());
        }
        return list.into_iter().map(|problem| format!("{problem}\n{ended}")).collect();
    }
    if exit_code != Some(0) {
        return vec![ended];
    }
    let mut list: Vec<String> = [("expected.csv", BUSINESS_UNITS), ("credits.csv", "credits")]
        .into_iter()
        .filter(|(name, _)| *name == "expected.csv" || case.join(name).exists())
        .filter_map(|(name, table)| table_differences(&workspace, table, &read(&case.join(name))))
        .collect();
    if case.join("says.txt").exists() {
        list.extend(unsaid(read(&case.join("says.txt")).lines(), &format!("{stdout}{stderr}")));
    }
    list.into_iter().map(|problem| format!("{problem}\n{ended}")).collect()
}

/// Plays all cases of a kind.
fn play(kind: &str) {
    let mut list = Vec::new();
    for case in names(&root().join(kind)) {
        let folder = root().join(kind).join(&case);
        for problem in problems(&folder) {
            list.push(format!("{kind}/{case}: {}\n{problem}", read(&folder.join("about.txt")).trim_end()));
        }
    }
    assert!(list.is_empty(), "\n{}\n", list.join("\n\n"));
}

/// A test per kind, and the list of them.
macro_rules! kinds {
    ($($test:ident: $kind:literal,)*) => {
        const KINDS: &[&str] = &[$($kind),*];
        $(
            #[test]
            fn $test() {
                play($kind);
            }
        )*
    };
}

kinds! {
    account_ids_as_numbers_are_padded_or_refused: "account-ids",
    newest_assembly_counts_where_only_instants_tell: "assemblies-by-instant",
    columns_that_a_month_does_not_have_count_as_null: "columns-by-month",
    columns_of_type_null_are_all_null: "columns-of-type-null",
    required_column_that_stands_twice_is_named: "columns-twice",
    dates_of_every_spelling_are_the_same_days: "dates",
    delivery_under_way_does_not_count_as_whole: "deliveries-under-way",
    exclusion_whose_column_is_missing_is_never_silent: "exclusions",
    files_that_a_re_delivery_left_behind_do_not_count: "files-left-behind",
    hidden_files_are_no_part_of_the_export: "hidden-files",
    manifests_of_other_tools_are_no_manifests: "manifests-of-other-tools",
    marketplace_charges_are_told_in_every_format: "marketplace",
    data_files_are_known_by_their_content: "names-of-files",
    payers_share_a_location_and_no_month_counts_twice: "payers-under-one-location",
    refunds_are_told_in_every_format_and_view: "refunds",
    other_separators_than_commas_are_named: "separators",
    purchases_of_one_credit_have_ends_of_their_own: "several-purchases",
    maps_of_every_shape_are_read: "shapes-of-maps",
    amounts_of_every_type_are_exact: "types-of-amounts",
    text_that_is_not_marked_as_text_is_read: "types-of-text",
    zip_of_one_text_is_read: "zip",
}

#[test]
fn every_kind_of_export_is_played() {
    let mut found = names(&root());
    for other in ["README.md", "credits.toml", "reference"] {
        assert!(found.remove(other), "{other} is missing");
    }
    assert_eq!(found, KINDS.iter().map(|kind| (*kind).to_owned()).collect::<BTreeSet<String>>());
}
