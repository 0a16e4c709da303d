//! The shape of the workspace, over `cargo metadata` and the source files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

/// What each crate may use of the others, besides tests.
const DIRECTION: [(&str, &[&str]); 16] = [
    ("credit-ledger", &[]),
    ("schemas", &["credit-ledger"]),
    ("money-sql", &["credit-ledger"]),
    ("cur-reader", &["credit-ledger", "schemas"]),
    ("lake", &["credit-ledger", "schemas"]),
    ("table-files", &["schemas"]),
    ("lake-aws", &["credit-ledger", "lake", "schemas"]),
    ("cluster", &["cur-reader", "detect-credits", "lake"]),
    ("detect-credits", JOB),
    ("join-allocations", JOB),
    ("apply-fifo", JOB),
    ("write-net-cost", JOB),
    ("application", ALL_BUT_AWS),
    (
        "web",
        &[
            "application",
            "apply-fifo",
            "credit-ledger",
            "join-allocations",
            "lake",
            "money-sql",
            "schemas",
            "table-files",
            "write-net-cost",
        ],
    ),
    (
        "finops-credits",
        &[
            "application",
            "apply-fifo",
            "cluster",
            "credit-ledger",
            "cur-reader",
            "detect-credits",
            "join-allocations",
            "lake",
            "lake-aws",
            "money-sql",
            "schemas",
            "table-files",
            "web",
            "write-net-cost",
        ],
    ),
    ("tests", &[]),
];

/// Jobs meet in tables: never in each other's code.
const JOB: &[&str] = &["credit-ledger", "cur-reader", "lake", "money-sql", "schemas"];

/// What commands and pages share stands on everything that is no AWS.
const ALL_BUT_AWS: &[&str] = &[
    "apply-fifo",
    "credit-ledger",
    "cur-reader",
    "detect-credits",
    "join-allocations",
    "lake",
    "money-sql",
    "schemas",
    "table-files",
    "write-net-cost",
];

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
    let mut folders: Vec<PathBuf> = ["crates", "jobs", "schemas", "tests"].map(|folder| root.join(folder)).into();
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
    let ballista = users(&packages, |name| name.starts_with("ballista"));
    assert_eq!(ballista, only("cluster"), "only one crate knows Ballista");
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

/// The modules of a crate and what each file of it imports of the others, by path below `src`, without `.rs`.
fn imports(sources: &BTreeMap<String, String>, crate_folder: &str) -> BTreeMap<String, BTreeSet<String>> {
    let prefix = format!("{crate_folder}/src/");
    let files: BTreeMap<String, &String> = sources
        .iter()
        .filter_map(|(name, text)| Some((name.strip_prefix(&prefix)?.strip_suffix(".rs")?.to_owned(), text)))
        .collect();
    // `lib.rs` and `mod.rs` stand for what they pass on.
    let is_folder = |name: &str| name == "lib" || name == "mod" || name.ends_with("/mod");
    let module = |name: &str| name.strip_suffix("/mod").unwrap_or(name).to_owned();
    let resolve = |path: &str| {
        let parts: Vec<&str> = path.split("::").collect();
        let candidates = (1..=parts.len()).rev().map(|length| parts[..length].join("/"));
        candidates.into_iter().find(|name| files.contains_key(name) || files.contains_key(&format!("{name}/mod")))
    };
    let mut passed_on: BTreeMap<(String, String), String> = BTreeMap::new();
    for (name, text) in files.iter().filter(|(name, _)| is_folder(name)) {
        let folder = if *name == "lib" { String::new() } else { module(name) + "::" };
        for path in used(text, &["pub use ", "pub(crate) use ", "pub(super) use "]) {
            let path = folder.replace('/', "::") + path.trim_start_matches("self::");
            if let (Some(file), Some(item)) = (resolve(&path), path.rsplit("::").next()) {
                passed_on.insert((folder.trim_end_matches("::").to_owned(), item.to_owned()), file);
            }
        }
    }
    let mut found = BTreeMap::new();
    for (name, text) in files.iter().filter(|(name, _)| !is_folder(name)) {
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let parent = name.rsplit_once('/').map_or("", |(parent, _)| parent).replace('/', "::");
        let of_file = used(code, &["use ", "pub use ", "pub(crate) use "]).into_iter().filter_map(|path| {
            let path = match path.strip_prefix("crate::") {
                Some(path) => path.to_owned(),
                None => format!("{parent}::{}", path.strip_prefix("super::")?).trim_start_matches("::").to_owned(),
            };
            let (module, item) = path.rsplit_once("::").unwrap_or(("", &path));
            let direct = passed_on.get(&(module.replace("::", "/"), item.to_owned())).cloned();
            direct.or_else(|| resolve(&path))
        });
        found.insert(name.clone(), of_file.filter(|other| other != name).collect());
    }
    found
}

/// Paths of `use` declarations that begin with one of these, braces taken apart.
fn used(text: &str, beginnings: &[&str]) -> Vec<String> {
    let mut paths = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("use ") {
        let line = rest[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let declaration = &rest[line..];
        let end = declaration.find(';').unwrap_or(declaration.len());
        if let Some(beginning) = beginnings.iter().find(|beginning| declaration.starts_with(**beginning)) {
            take_apart("", &declaration[beginning.len()..end.max(beginning.len())], &mut paths);
        }
        rest = &rest[at + 4..];
    }
    paths
}

fn take_apart(prefix: &str, tree: &str, paths: &mut Vec<String>) {
    let (mut depth, mut begin) = (0, 0);
    let mut parts = Vec::new();
    for (at, letter) in tree.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&tree[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&tree[begin..]);
    for part in parts.into_iter().map(str::trim).filter(|part| !part.is_empty()) {
        match part.split_once('{') {
            Some((path, inner)) => take_apart(&format!("{prefix}{path}"), inner.trim_end_matches('}'), paths),
            None => {
                paths.push(format!("{prefix}{}", part.split(" as ").next().unwrap_or(part).trim_end_matches("::self")))
            }
        }
    }
}

#[test]
fn no_two_files_of_a_crate_import_each_other() {
    let sources = sources();
    let mut circles = Vec::new();
    for package in metadata().packages {
        let folder = package.manifest_path.parent().expect("a folder").as_std_path();
        let folder = folder.strip_prefix(repository()).expect("a folder below").display().to_string();
        let imports = imports(&sources, &folder);
        for (name, used) in &imports {
            for other in used.iter().filter(|other| *other > name) {
                if imports.get(other).is_some_and(|others| others.contains(name)) {
                    circles.push(format!("{folder}/src: {name}.rs and {other}.rs"));
                }
            }
        }
    }
    assert!(circles.is_empty(), "{}", circles.join("\n"));
}

#[test]
fn shells_of_jobs_stay_thin() {
    let sources = sources();
    let shells = sources.iter().filter(|(name, _)| name.starts_with("jobs/finops-credits/src/jobs/"));
    let code = |text: &str| text.lines().count();
    let mut long = Vec::new();
    for (name, text) in shells {
        if code(text) > 40 {
            long.push(format!("{name}: {} lines", code(text)));
        }
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
}
