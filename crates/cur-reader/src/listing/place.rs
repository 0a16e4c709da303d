//! Where a path stands in the export.

use std::sync::LazyLock;

use credit_ledger::BillingPeriod;
use regex::Regex;

static PERIOD_FOLDER: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let pattern = r"(?i)(?:^|/)(?:billing_period=(?P<y1>[0-9]{4})-(?P<m1>[0-9]{2})|year=(?P<y2>[0-9]{4})/month=(?P<m2>[0-9]{1,2})|(?P<y3>[0-9]{4})(?P<m3>[0-9]{2})[0-9]{2}-[0-9]{8})(?:/|$)";
    Regex::new(pattern).ok()
});
/// `2026-09-05T16:57:09.000Z-<uuid>` or `20260905T165709Z`.
static INSTANT: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^[0-9]{4}-?[0-9]{2}-?[0-9]{2}T").ok());

/// Where a path stands in the export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// What comes before the period's folder, without `data/` or `metadata/`. Without such a folder that of the file,
    /// without partitions (`key=value`).
    pub root: String,
    pub period: Option<BillingPeriod>,
    /// The period's folder below the root as it is spelled, `data/` included: in several ways, as it happens.
    pub spelled: String,
    /// Folders between the period's and the file, without partitions: an execution.
    pub below: String,
}

impl Place {
    pub(crate) fn of(path: &str) -> Self {
        let folder = folder(path);
        let found = PERIOD_FOLDER.as_ref().and_then(|regex| regex.captures(folder));
        let Some(found) = found else {
            let root = without_partitions(folder).to_owned();
            return Self { root, period: None, spelled: String::new(), below: String::new() };
        };
        let group =
            |names: [&str; 3]| names.into_iter().find_map(|name| found.name(name)).map_or("", |group| group.as_str());
        let period = format!("{}-{:0>2}", group(["y1", "y2", "y3"]), group(["m1", "m2", "m3"])).parse().ok();
        let whole = found.get(0);
        let root = whole.and_then(|whole| folder.get(..whole.start())).unwrap_or_default();
        let below = whole.and_then(|whole| folder.get(whole.end()..)).unwrap_or_default();
        let (above, last) = root.rsplit_once('/').unwrap_or(("", root));
        let root = if ["data", "metadata"].contains(&last) { above } else { root };
        let end = whole.map_or(0, |whole| whole.end());
        let spelled = folder.get(root.len()..end).unwrap_or_default().trim_matches('/').to_owned();
        Self { root: root.to_owned(), period, spelled, below: without_partitions(below).to_owned() }
    }

    /// True for an execution whose folder says when it was.
    pub(crate) fn is_dated(&self) -> bool {
        INSTANT.as_ref().is_some_and(|regex| regex.is_match(&self.below))
    }

    /// Orders dated executions by time, whether their instants are written with hyphens or without.
    pub(crate) fn instant(&self) -> String {
        self.below.replace(['-', ':'], "")
    }
}

/// The folder of a file.
pub(crate) fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// The last part of a path.
pub(crate) fn last_part(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

/// A folder as messages name it.
pub(crate) fn named(folder: &str) -> String {
    if folder.is_empty() { "export".to_owned() } else { folder.to_owned() }
}

/// A folder without the partitions of one table that it ends with: `dt=2026-09-01/hour=5`.
fn without_partitions(folder: &str) -> &str {
    let mut rest = folder;
    loop {
        let (above, last) = rest.rsplit_once('/').unwrap_or(("", rest));
        if !last.contains('=') {
            return rest;
        }
        rest = above;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_of_one_table_are_one_place_and_other_folders_are_not() {
        for (path, root, below) in [
            ("a/dt=2026-09-01/x.parquet", "a", ""),
            ("a/b/x.parquet", "a/b", ""),
            ("dt=1/hour=2/x.parquet", "", ""),
            ("a/data/BILLING_PERIOD=2026-09/account=1/x.parquet", "a", ""),
            ("a/data/BILLING_PERIOD=2026-09/e1/x.parquet", "a", "e1"),
            ("a/20260901-20261001/e1/x.csv", "a", "e1"),
        ] {
            let place = Place::of(path);
            assert_eq!((place.root.as_str(), place.below.as_str()), (root, below), "{path}");
        }
    }

    #[test]
    fn executions_are_dated_with_hyphens_or_without() {
        let instant = |name: &str| Place::of(&format!("r/20260901-20261001/{name}/r.csv"));
        let (old, new) = (instant("2026-09-03T08:11:20.000Z-1f"), instant("20260905T165709Z"));
        assert!(old.is_dated() && new.is_dated() && old.instant() < new.instant());
        assert!(!instant("aa1ddccb").is_dated());
    }
}
