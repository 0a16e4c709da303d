//! What Athena and Glue are given is what the declarations and the SQL files say today.
//!
//! After a change: `FINOPS_UPDATE_GENERATED=1 cargo test -p schemas`.

#![cfg(test)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use schemas::athena::{CHECKS, VIEWS, athena_tables, columns, create_table, projection, unique_rows, views_template};
use schemas::{Place, tables};

fn below_schemas(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Writes the text where asked to, then compares.
fn assert_committed(path: &str, text: &str) {
    let path = below_schemas(path);
    #[expect(clippy::disallowed_methods, reason = "how one asks to write instead of to compare")]
    if std::env::var("FINOPS_UPDATE_GENERATED").is_ok() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == text, "{} is out of date: FINOPS_UPDATE_GENERATED=1 cargo test -p schemas", path.display());
}

fn sql_files(folder: &str) -> BTreeSet<String> {
    let files = std::fs::read_dir(below_schemas(folder)).unwrap().map(|entry| entry.unwrap().path());
    let sql = files.filter(|path| path.extension().is_some_and(|extension| extension == "sql"));
    sql.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

#[test]
fn the_ddl_says_what_the_declarations_say() {
    for table in athena_tables() {
        assert_committed(&format!("generated/athena/{}.sql", table.name), &create_table(&table).unwrap());
    }
    let expected: BTreeSet<String> = athena_tables().map(|table| table.name.to_owned()).collect();
    assert_eq!(sql_files("generated/athena"), expected);
}

#[test]
fn the_template_of_the_views_says_what_their_files_say() {
    assert_committed("../infra/views.yaml", &views_template());
}

#[test]
fn the_check_for_double_rows_knows_every_grain() {
    assert_committed("athena/checks/unique_rows.sql", &unique_rows());
}

#[test]
fn every_sql_file_is_installed() {
    let views: BTreeSet<String> = VIEWS.iter().map(|view| view.name.to_owned()).collect();
    assert_eq!(views, sql_files("athena/views"));
    let checks: BTreeSet<String> = CHECKS.iter().map(|check| check.name.to_owned()).collect();
    assert_eq!(checks, sql_files("athena/checks"));
}

#[test]
fn every_view_says_what_it_answers_at_which_grain_in_which_columns() {
    for view in VIEWS {
        assert!(view.name.ends_with("_view"), "{}", view.name);
        assert!(view.question().ends_with('?'), "{}: {}", view.name, view.question());
        assert!(view.query().starts_with("SELECT") || view.query().starts_with("WITH"), "{}", view.name);
        let names: Vec<&str> = view.columns().iter().map(|column| column.name).collect();
        for key in view.grain().split(", ") {
            assert!(names.contains(&key), "{}: the grain has {key}, the columns do not", view.name);
        }
        let declared = view.text.lines().filter(|line| line.starts_with("--   ")).count();
        assert!(declared >= names.len() && names.len() > 3, "{}: {names:?}", view.name);
    }
}

#[test]
fn glue_takes_every_comment() {
    let of_tables = athena_tables().flat_map(|table| columns(&table)).map(|column| column.doc);
    let of_views = VIEWS.iter().flat_map(schemas::athena::View::columns).map(|column| column.comment);
    for comment in of_tables.chain(of_views) {
        assert!(comment.chars().count() <= 255 && !comment.contains('\n'), "{comment}");
    }
}

#[test]
fn athena_sees_published_tables_and_logs_only() {
    let places: BTreeSet<bool> = athena_tables().map(|table| table.place == Place::Published).collect();
    assert_eq!(places, BTreeSet::from([true, false]));
    assert_eq!(athena_tables().count(), 13);
    let handed_on =
        tables::ALL.into_iter().filter(|table| matches!(table.place, Place::Intermediate | Place::Generation));
    assert!(handed_on.map(|table| create_table(&table)).all(|ddl| ddl.is_none()));
}

#[test]
fn projected_months_are_those_of_the_run_in_the_run_s_folder() {
    let months = ("2025-11".parse().unwrap(), "2026-02".parse().unwrap());
    let parameters = projection("s3://bucket/lake/runs/r1/net_cost/", months);
    let of = |key: &str| parameters.iter().find(|(name, _)| *name == key).map(|(_, value)| value.as_str());
    assert_eq!(of("projection.billing_period.type"), Some("enum"));
    assert_eq!(of("projection.billing_period.values"), Some("2025-11,2025-12,2026-01,2026-02"));
    assert_eq!(
        of("storage.location.template"),
        Some("s3://bucket/lake/runs/r1/net_cost/billing_period=${billing_period}")
    );
}
