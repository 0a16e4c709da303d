//! The model against the golden scenarios; no binary is needed.

use super::units::date;
use super::{Inputs, Settings, publish};
use crate::vectors::{expected_tables, golden_differences, read, scenario};

/// A scenario's files as the model reads them; all scenarios have the default settings.
fn inputs(name: &str) -> Inputs {
    let folder = scenario(name);
    let export = std::fs::read_dir(folder.join("cur")).expect("an export");
    let reference = |file: &str| read(&folder.join("reference").join(file));
    Inputs {
        as_of: date(read(&folder.join("as_of.txt")).trim()),
        settings: Settings::default(),
        export: export.map(|entry| read(&entry.expect("an entry").path())).collect(),
        hierarchy: reference("hierarchy.csv"),
        rules: reference("cost_rules.csv"),
        budgets: reference("budgets.csv"),
        allocations: read(&folder.join("allocations.csv")),
    }
}

#[test]
fn model_equals_the_golden_vectors() {
    let folder = scenario("");
    let mut list = Vec::new();
    let mut names: Vec<String> = std::fs::read_dir(&folder)
        .expect("scenarios")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_dir())
        .map(|path| path.file_name().expect("a name").to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert_eq!(names.len(), 8, "scenarios in {}", folder.display());
    for name in &names {
        let tables = publish(&inputs(name)).tables;
        for table in expected_tables(&scenario(name)) {
            let differences = golden_differences(&scenario(name), &table, &tables[&table]);
            list.extend(differences.iter().map(|difference| format!("{name}: {difference}")));
        }
    }
    assert!(list.is_empty(), "{}", list.join("\n"));
}
