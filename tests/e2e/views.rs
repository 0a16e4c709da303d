//! The views of Athena in `query`: each answers with the rows that it has in Athena's SQL on another engine.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{SAMPLE_AS_OF, Workspace, published_sample};

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The rows of large views that the golden results show; as `tests/aws/athena/test_views.py` has it.
fn shown(view: &str) -> &'static str {
    match view {
        "net_cost_daily_view" | "dashboard_net_cost_daily_view" => "usage_date = DATE '2026-10-15'",
        "dashboard_overview_view" | "dashboard_waterfall_view" => "is_latest_period = 'yes'",
        _ => "true",
    }
}

/// Names to the texts of the files.
fn views() -> BTreeMap<String, String> {
    let files = fs::read_dir(repository("schemas/athena/views")).expect("the views");
    let view = |path: PathBuf| {
        let name = path.file_stem().expect("a name").to_str().expect("UTF-8").to_owned();
        (name, fs::read_to_string(&path).expect("a view"))
    };
    files.map(|file| view(file.expect("a file").path())).collect()
}

/// Columns and their types, as the head of a view declares them.
fn columns(text: &str) -> Vec<(&str, &str)> {
    let declared = text.lines().skip_while(|line| *line != "-- Columns:").skip(1);
    let declared = declared.map_while(|line| line.strip_prefix("--   "));
    declared
        .map(|line| {
            let mut words = line.split_whitespace();
            (words.next().expect("a name"), words.next().expect("a type"))
        })
        .collect()
}

fn csv(sample: &Workspace, sql: &str) -> Vec<Vec<String>> {
    let text = sample.try_run(SAMPLE_AS_OF, &["--format", "csv", "--raw", "query", sql]);
    records(&text.unwrap_or_else(|problem| panic!("{sql}: {problem}")))
}

fn records(text: &str) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
    reader.records().map(|record| record.expect("a record").iter().map(str::to_owned).collect()).collect()
}

#[test]
fn every_view_answers_with_its_golden_rows() {
    let sample = &published_sample();
    let views = views();
    assert!(views.len() > 20, "{}", views.len());
    for (name, text) in &views {
        let grain = text.lines().find_map(|line| line.strip_prefix("-- Grain: ")).expect("a grain");
        let order: Vec<String> = grain.split(", ").map(|column| format!("{column} NULLS FIRST")).collect();
        let sql = format!("SELECT * FROM {name} WHERE {} ORDER BY {}", shown(name), order.join(", "));
        let golden =
            fs::read_to_string(repository(&format!("tests/aws/athena/golden/{name}.csv"))).expect("golden rows");
        let columns = columns(text);
        let found: Vec<Vec<String>> = csv(sample, &sql)
            .into_iter()
            .enumerate()
            .map(|(row, values)| {
                let value = |(value, (_, kind)): (String, &(&str, &str))| match *kind {
                    "double" if row > 0 && !value.is_empty() => {
                        format!("{:.6}", value.parse::<f64>().expect("a double"))
                    }
                    "boolean" if row > 0 => value.replace("true", "True").replace("false", "False"),
                    _ => value,
                };
                values.into_iter().zip(&columns).map(value).collect()
            })
            .collect();
        assert_eq!(found, records(&golden), "{name}");
    }
}

#[test]
fn views_have_the_declared_columns_and_types() {
    let sample = &published_sample();
    for (name, text) in views() {
        let described = csv(sample, &format!("DESCRIBE {name}"));
        let found: Vec<(String, String)> =
            described.iter().skip(1).map(|row| (row[0].clone(), row[1].clone())).collect();
        let in_engine = |kind: &str| match kind {
            "varchar" => "Utf8",
            "integer" => "Int32",
            "bigint" => "Int64",
            "double" => "Float64",
            "date" => "Date32",
            "boolean" => "Boolean",
            "decimal(38,10)" => "Decimal128(38, 10)",
            other => panic!("{name}: {other}"),
        };
        let declared: Vec<_> =
            columns(&text).into_iter().map(|(name, kind)| (name.to_owned(), in_engine(kind).to_owned())).collect();
        assert_eq!(found, declared, "{name}");
    }
}

#[test]
fn a_view_is_what_its_tables_say() {
    let sample = &published_sample();
    let executive = "SELECT billing_period, gross_cost, net_cost, used FROM executive_overview_view ORDER BY 1";
    let direct = "SELECT n.billing_period, n.gross_cost, n.net_cost, coalesce(b.used, 0) AS used \
                  FROM (SELECT billing_period, sum(gross_cost) AS gross_cost, sum(net_cost) AS net_cost FROM net_cost GROUP BY 1) n \
                  LEFT JOIN (SELECT billing_period, sum(used) AS used FROM credit_balances GROUP BY 1) b \
                  ON b.billing_period = n.billing_period ORDER BY 1";
    assert_eq!(csv(sample, executive), csv(sample, direct));
    let expiring = "SELECT credit_key, lot, days_left, remaining FROM expiring_credits_view ORDER BY 1, 2";
    let direct = "SELECT credit_key, lot, CAST(end_date - DATE '2026-10-31' AS int) AS days_left, remaining FROM credit_balances \
                  WHERE billing_period = '2026-10' AND end_date IS NOT NULL AND remaining > 0 ORDER BY 1, 2";
    assert_eq!(csv(sample, expiring), csv(sample, direct));
}

#[test]
fn show_tables_lists_tables_logs_and_views() {
    let sample = &published_sample();
    let names: BTreeSet<String> = csv(sample, "SHOW TABLES").into_iter().map(|row| row[2].clone()).collect();
    for name in views().keys().map(String::as_str).chain(["net_cost", "credits", "allocations_log", "cost_lines"]) {
        assert!(names.contains(name), "{name} is missing in {names:?}");
    }
}

#[test]
fn functions_of_athena_that_are_not_known_here_in_full_say_so() {
    let sample = &published_sample();
    let rows = csv(
        sample,
        "SELECT date_diff('day', DATE '2026-10-31', DATE '2026-11-02'), max_by(a, b) FROM (VALUES ('x', 1), ('y', 2)) AS t (a, b)",
    );
    assert_eq!(rows[1], ["2", "y"]);
    let outcome =
        sample.run(SAMPLE_AS_OF, &["query", "SELECT date_diff('month', DATE '2026-10-31', DATE '2026-11-02')"]);
    assert_eq!(outcome.exit_code, Some(2), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("date_diff counts in days ('day') here, not in \"month\""), "{}", outcome.stderr);
}

#[test]
fn statement_comes_from_a_file_or_standard_input() {
    let sample = &published_sample();
    let workspace = sample;
    let sql = "-- what is left\nSELECT credit_key\nFROM credits\nORDER BY credit_key;\n";
    let expected = csv(sample, "SELECT credit_key FROM credits ORDER BY credit_key");
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), sql).expect("a written file");
    let name = file.path().to_str().expect("UTF-8");
    let of_file = workspace.try_run(SAMPLE_AS_OF, &["query", "-f", name, "--format", "csv", "--raw"]).expect("rows");
    assert_eq!(records(&of_file), expected);
    for arguments in [&["query", "-"][..], &["query", "--file", "-"]] {
        let input = fs::File::open(file.path()).expect("the file");
        let mut command = workspace.command(SAMPLE_AS_OF, &[&["--format", "csv", "--raw"], arguments].concat());
        let output = command.stdin(input).output().expect("an end");
        assert_eq!(records(&String::from_utf8_lossy(&output.stdout)), expected, "{output:?}");
    }
    for (path, wrong) in [("/no/such.sql", "/no/such.sql does not exist"), ("/", "/ is a folder")] {
        let outcome = workspace.run(SAMPLE_AS_OF, &["query", "-f", path]);
        assert_eq!((outcome.exit_code, outcome.stderr), (Some(3), format!("error: {wrong}\n")));
    }
    assert_eq!(workspace.run(SAMPLE_AS_OF, &["query"]).exit_code, Some(2));
}
