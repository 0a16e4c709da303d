//! One bill in many spellings: whatever program wrote the export and however its files lie, the same files are
//! published.
//!
//! `spellings/one_bill.py` writes the bills: each value of each axis at least once, and `FINOPS_SPELLINGS` draws more,
//! from `FINOPS_SPELLINGS_SEED` on. The programs that it writes with live in a virtual environment that is made on first
//! use and kept: `FINOPS_SPELLINGS_VENV`, else `spellings-venv` in the target folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::exports::assert_net_cost;
use crate::faults::shop::Published;
use crate::support::python::{finish, python};
use crate::support::{SETTINGS, Workspace, number};
use crate::vectors::read;

/// The last day of the bill.
const AS_OF: &str = "2026-09-30";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("spellings")
}

/// Writes bills below `out` and says what each is.
fn write_bills(out: &Path, arguments: &[&str]) -> Vec<Value> {
    let python = python(&folder().join("requirements.txt"), "FINOPS_SPELLINGS_VENV", "spellings-venv");
    let script = folder().join("one_bill.py");
    let mut command = Command::new(python);
    command.env("PYTHONDONTWRITEBYTECODE", "1").arg(script).arg("--out").arg(out).args(arguments);
    finish(&mut command).lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

/// A workspace whose export is this bill.
fn workspace(out: &Path, bill: &Value) -> Workspace {
    let workspace = Workspace::new();
    workspace.copy(&out.join("reference"), "reference");
    let export = out.join(bill["folder"].as_str().expect("a folder"));
    let location = export.to_str().expect("a UTF-8 path");
    workspace.write("credits.toml", SETTINGS.replace("\"cur\"", &format!("'{location}'")));
    workspace
}

/// Names of the published files that differ. FOCUS 1.0 has no ids of invoices, so what tells them does.
fn differing<'a>(got: &'a Published, expected: &'a Published, bill: &Value) -> Vec<&'a str> {
    let all = got.keys().chain(expected.keys().filter(|name| !got.contains_key(*name)));
    let differ = all.filter(|name| got.get(*name) != expected.get(*name)).map(String::as_str);
    let tells_invoices = |name: &&str| name.starts_with("reconciliation/") || *name == "manifest.json";
    differ.filter(|name| bill["choices"]["format"] != "focus10" || !tells_invoices(name)).collect()
}

/// What makes this bill again.
fn again(bill: &Value) -> String {
    let choices = bill["choices"].as_object().expect("choices").iter();
    let choices: Vec<String> =
        choices.map(|(axis, value)| format!("{axis}={}", value.as_str().expect("a value"))).collect();
    format!("one_bill.py --seed {} --choose {} --out FOLDER", bill["seed"], choices.join(","))
}

#[test]
fn one_bill_in_every_spelling_publishes_the_same_files() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let seed = number("FINOPS_SPELLINGS_SEED", 1).to_string();
    let draws = number("FINOPS_SPELLINGS", 40).to_string();
    let bills = write_bills(out.path(), &["--every-value", "--seed", &seed, "--draws", &draws]);
    let (usual, others) = bills.split_first().expect("a bill");

    let first = workspace(out.path(), usual);
    first.try_run(AS_OF, &["run"]).unwrap_or_else(|problem| panic!("{}:\n{problem}", again(usual)));
    assert_net_cost(&first, &read(&folder().join("expected.csv")));
    let expected = first.published();

    let mut problems = Vec::new();
    for bill in others {
        let other = workspace(out.path(), bill);
        match other.try_run(AS_OF, &["run"]) {
            Err(problem) => problems.push(format!("{}\n{problem}", again(bill))),
            Ok(_) => {
                let published = other.published();
                let names = differing(&published, &expected, bill);
                if !names.is_empty() {
                    problems.push(format!("{}\ndiffers in {}", again(bill), names.join(", ")));
                }
            }
        }
    }
    assert!(
        problems.is_empty(),
        "{} of {} spellings differ from {}\n\n{}",
        problems.len(),
        others.len(),
        again(usual),
        problems.join("\n\n")
    );
}
