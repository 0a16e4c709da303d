//! What is generated from the declarations and committed is what the declarations say today.
//!
//! After a change: `FINOPS_UPDATE_GENERATED=1 cargo test -p schemas`.

#![cfg(test)]

use std::path::Path;

use schemas::{Place, tables};

#[test]
fn the_reference_page_says_what_the_declarations_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("generated/tables.md");
    let page = schemas::reference_page();
    #[expect(clippy::disallowed_methods, reason = "how one asks to write instead of to compare")]
    if std::env::var("FINOPS_UPDATE_GENERATED").is_ok() {
        std::fs::write(&path, &page).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == page, "{} is out of date: FINOPS_UPDATE_GENERATED=1 cargo test -p schemas", path.display());
}

#[test]
fn every_grain_column_exists_and_every_column_is_documented() {
    for table in tables::ALL {
        assert!(!table.doc.trim().is_empty(), "{} has no description", table.name);
        for name in table.grain {
            let found = table.column_names().any(|column| column == *name);
            assert!(found || (table.partitioned && *name == "billing_period"), "{}: {name}", table.name);
        }
        for column in table.columns {
            assert!(!column.doc.trim().is_empty(), "{}.{} has no description", table.name, column.name);
        }
        let names_partition = table.grain.first() == Some(&"billing_period");
        let in_file = table.column_names().any(|column| column == "billing_period");
        assert!(table.partitioned == (names_partition && !in_file), "{}: partition and grain disagree", table.name);
    }
}

#[test]
fn table_names_are_unique_and_ten_are_published() {
    let names: std::collections::BTreeSet<&str> = tables::ALL.iter().map(|table| table.name).collect();
    assert_eq!(names.len(), tables::ALL.len());
    assert_eq!(tables::ALL.iter().filter(|table| table.place == Place::Published).count(), 10);
}
