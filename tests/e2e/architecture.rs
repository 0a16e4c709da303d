//! The shape of the workspace, over `cargo metadata` and the source files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

/// What each crate may use of the others, besides tests.
const DIRECTION: [(&str, &[&str]); 11] = [
    ("credit-ledger", &[]),
    ("schemas", &["credit-ledger"]),
    ("money-sql", &["credit-ledger"]),
    ("detect-credits", JOB),
    ("join-allocations", JOB),
    ("apply-fifo", JOB),
    ("write-net-cost", JOB),
    ("lake", &["credit-ledger", "schemas"]),
    ("lake-aws", &["credit-ledger", "lake", "schemas"]),
    (
        "finops-credits",
        &[
            "apply-fifo",
            "credit-ledger",
            "detect-credits",
            "join-allocations",
            "lake",
            "lake-aws",
            "money-sql",
            "schemas",
            "write-net-cost",
        ],
    ),
    ("tests", &[]),
];

/// Jobs meet in tables: never in each other's code, and never in the lake's.
const JOB: &[&str] = &["credit-ledger", "money-sql", "schemas"];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the repository")
}

fn metadata() -> Metadata {
    let manifest = repository().join("Cargo.toml");
    MetadataCommand::new().manifest_path(manifest).no_deps().exec().expect("cargo metadata")
}

/// Names of the direct dependencies that are more than test tools.
fn dependencies(package: &Package) -> BTreeSet<String> {
    let used = package.dependencies.iter().filter(|dependency| dependency.kind != DependencyKind::Development);
    used.map(|dependency| dependency.name.clone()).collect()
}

/// Crates with a dependency whose name fits, tests' examples aside.
fn users(packages: &[Package], fits: impl Fn(&str) -> bool) -> BTreeSet<String> {
    let uses = |package: &&Package| dependencies(package).iter().any(|name| fits(name));
    packages.iter().filter(uses).map(|package| package.name.to_string()).collect()
}

/// Every Rust file of the repository: relative path to text.
fn sources() -> BTreeMap<String, String> {
    let root = repository();
    let mut found = BTreeMap::new();
    let mut folders: Vec<PathBuf> = ["jobs", "schemas", "tests"].map(|folder| root.join(folder)).into();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&root).expect("a path below").display().to_string();
                found.insert(name, fs::read_to_string(&path).expect("a readable file"));
            }
        }
    }
    found
}

#[test]
fn crates_depend_on_each_other_in_one_direction_only() {
    let packages = metadata().packages;
    let members: BTreeSet<String> = packages.iter().map(|package| package.name.to_string()).collect();
    let direction: BTreeMap<&str, &[&str]> = DIRECTION.into();
    let mut wrong = Vec::new();
    for package in &packages {
        let Some(allowed) = direction.get(package.name.as_str()) else {
            wrong.push(format!("{} is in no layer: say in {} what it may use", package.name, file!()));
            continue;
        };
        for used in dependencies(package).intersection(&members) {
            if !allowed.contains(&used.as_str()) {
                wrong.push(format!("{} must not use {used}", package.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn heavy_and_foreign_crates_stay_where_they_belong() {
    let packages = metadata().packages;
    let only = |name: &str| BTreeSet::from([name.to_owned()]);
    assert_eq!(users(&packages, |name| name == "clap"), only("finops-credits"), "the command line");
    assert_eq!(users(&packages, |name| name == "anyhow").difference(&only("finops-credits")).count(), 0, "anyhow");
    let aws = users(&packages, |name| name.starts_with("aws-"));
    assert_eq!(aws.difference(&only("lake-aws")).count(), 0, "only the cloud adapter may use aws-*: {aws:?}");
    let ledger = packages.iter().find(|package| package.name == "credit-ledger").expect("the ledger");
    let heavy: Vec<String> = dependencies(ledger)
        .into_iter()
        .filter(|name| {
            let stems = ["arrow", "datafusion", "tokio", "parquet", "object_store", "iceberg", "async"];
            stems.iter().any(|stem| name.starts_with(stem))
        })
        .collect();
    assert!(heavy.is_empty(), "the ledger is plain arithmetic: {heavy:?}");
}

#[test]
fn crates_are_named_as_their_folders_and_share_the_lints() {
    for package in metadata().packages {
        let folder = package.manifest_path.parent().expect("a folder");
        assert_eq!(folder.file_name(), Some(package.name.as_str()), "{}", package.manifest_path);
        let manifest = fs::read_to_string(&package.manifest_path).expect("a manifest");
        assert!(manifest.contains("\n[lints]\nworkspace = true\n"), "{}: no workspace lints", package.manifest_path);
    }
}

#[test]
fn files_stay_short() {
    let sources = sources();
    assert!(sources.len() > 50, "found {} files", sources.len());
    let lines = |text: &str| text.lines().count();
    let long: Vec<String> = sources
        .iter()
        .filter(|(_, text)| lines(text) > 500)
        .map(|(name, text)| format!("{name}: {} lines", lines(text)))
        .collect();
    assert!(long.is_empty(), "over 500 lines: {long:?}");
    let main = &sources["jobs/finops-credits/src/main.rs"];
    assert!(lines(main) <= 15, "main.rs has {} lines", lines(main));
}
