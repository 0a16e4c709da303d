//! What must never come of a damaged file.

use std::collections::BTreeMap;

use super::cases::Case;
use super::world::{Base, Ended, World};

/// Endings by which a message is seen to name a file.
const FILES: [&str; 9] = [".parquet", ".json", ".avro", ".db", ".csv", ".gz", ".zip", ".toml", "-Manifest"];

/// What is wrong with how a command ended, one short line each; nothing for a good end.
pub(super) fn faults(case: &Case, world: &World, ended: &Ended, before: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
    let mut faults = of_output(ended, &case.arguments);
    let code = ended.code;
    if !allowed(case).contains(&code) && faults.is_empty() {
        faults.push(format!("exit code {code}"));
    }
    let stderr = String::from_utf8_lossy(&ended.stderr);
    let names_a_file = FILES.iter().any(|ending| stderr.contains(ending))
        // Found in the lines of all files together.
        || stderr.starts_with("error: credit ")
        || case.kind == "settings"
            && (stderr.contains('[') || stderr.contains(&world.workspace.path("").display().to_string()));
    if faults.is_empty() && code != 0 && !names_a_file {
        faults.push(format!("exit code {code} and a message that names no file"));
    }
    if code != 0 && world.published_now() != *before {
        faults.push(format!("published tables changed, exit code {code}"));
    }
    let publishes = case.arguments.iter().any(|word| word == "run" || word == "publish");
    if code == 0 && case.is_state() && publishes && world.published_comparable() != world.published {
        faults.push("other tables published, exit code 0".to_owned());
    }
    faults
}

/// What no command may do, whatever it was given.
pub(super) fn of_output(ended: &Ended, arguments: &[String]) -> Vec<String> {
    let mut faults = Vec::new();
    let stderr = String::from_utf8_lossy(&ended.stderr);
    if let Some((_, panic)) = stderr.split_once("panicked at ") {
        faults.push(format!("panic at {}", place(panic)));
    }
    if ended.is_hang() {
        faults.push("hang".to_owned());
    } else if ended.code >= 128 || ended.code < 0 {
        let last = stderr.lines().rfind(|line| !line.is_empty()).unwrap_or_default();
        faults.push(format!("signal {}: {}", ended.code - 128, last.chars().take(80).collect::<String>()));
    }
    for (name, bytes) in [("stdout", &ended.stdout), ("stderr", &ended.stderr)] {
        match std::str::from_utf8(bytes) {
            Err(_) => faults.push(format!("{name} is not UTF-8")),
            Ok(text) => {
                // CSV is for programs and stays as it is.
                let is_csv = name == "stdout" && arguments.iter().any(|word| word == "csv");
                if !is_csv && text.chars().any(|character| character.is_control() && character != '\n') {
                    faults.push(format!("raw control character on {name}"));
                }
            }
        }
    }
    if ended.stderr.len() > 100_000 {
        faults.push("more than 100 KB of error".to_owned());
    }
    faults
}

/// Cells of a CSV output that a spreadsheet would compute.
pub(super) fn formulas(shown: &Ended) -> Option<String> {
    let mut reader = csv::Reader::from_reader(&shown.stdout[..]);
    let computed = |cell: &str| {
        cell.starts_with(['=', '@', '\t', '\r']) || cell.starts_with(['+', '-']) && cell.parse::<f64>().is_err()
    };
    let found = reader.records().flatten().any(|record| record.iter().any(computed));
    found.then(|| "a formula in CSV output".to_owned())
}

/// The source file and line of a panic, without the folder of this machine.
fn place(panic: &str) -> String {
    let first = panic.lines().next().unwrap_or_default();
    let from = first.rfind("/registry/src/").and_then(|at| first[at + 14..].find('/').map(|slash| at + 15 + slash));
    first[from.unwrap_or_default()..].trim_end_matches(':').to_owned()
}

/// 0, and what a bad file of the kind may end with.
fn allowed(case: &Case) -> &'static [i32] {
    match (case.kind, case.base) {
        ("lake" | "intermediate", _) => &[0, 5],
        ("manifest" | "settings", _) => &[0, 3, 4],
        // Without the good months of the lake there may be nothing to do yet.
        (_, Base::New) => &[0, 3, 4],
        _ => &[0, 3],
    }
}
