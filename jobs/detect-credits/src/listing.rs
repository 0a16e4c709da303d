//! Which files of the export count.
//!
//! | layout | files | manifest |
//! |---|---|---|
//! | Data Exports, overwrite | `data/BILLING_PERIOD=2026-05/x-00001.snappy.parquet` | `metadata/BILLING_PERIOD=2026-05/x-Manifest.json` |
//! | Data Exports, create new | `data/BILLING_PERIOD=2026-05/<execution>/x-00001…` | as above, or below `<execution>` |
//! | CUR 1.0 | `20260501-20260601/[<assembly>/]x-1.csv.gz` | `20260501-20260601/x-Manifest.json` |
//! | CUR 1.0 for Athena | `year=2026/month=5/x-1.snappy.parquet` | none |
//! | plain files | any | none |
//!
//! Where a manifest exists it names the current files; old executions lie beside them and would count twice. Without
//! one, every data file counts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use credit_ledger::{BillingPeriod, ExportPeriods};
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use regex::Regex;

use crate::DetectError;
use crate::error::bad_file;

/// A file of the export that counts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExportFile {
    /// Path below the source location.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Entity tag, or modification time where there is none.
    pub version: String,
    /// How to read it.
    pub kind: FileKind,
}

/// Kinds of data files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileKind {
    /// Parquet.
    Parquet,
    /// CSV.
    Csv,
    /// CSV, gzip.
    CsvGz,
}

static PERIOD_FOLDER: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let pattern = r"(?i)(?:^|/)(?:billing_period=(?P<y1>[0-9]{4})-(?P<m1>[0-9]{2})|year=(?P<y2>[0-9]{4})/month=(?P<m2>[0-9]{1,2})|(?P<y3>[0-9]{4})(?P<m3>[0-9]{2})[0-9]{2}-[0-9]{8})(?:/|$)";
    Regex::new(pattern).ok()
});
static INSTANT_FOLDER: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T").ok());

/// Where a path stands in the export.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    /// What comes before the period's folder, without `data/` or `metadata/`.
    root: String,
    period: Option<BillingPeriod>,
    /// Folders between the period's and the file: an execution.
    below: String,
}

fn place(path: &str) -> Place {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let found = PERIOD_FOLDER.as_ref().and_then(|regex| regex.captures(folder));
    let Some(found) = found else {
        return Place { root: folder.to_owned(), period: None, below: String::new() };
    };
    let group =
        |names: [&str; 3]| names.into_iter().find_map(|name| found.name(name)).map_or("", |group| group.as_str());
    let period = format!("{}-{:0>2}", group(["y1", "y2", "y3"]), group(["m1", "m2", "m3"])).parse().ok();
    let whole = found.get(0);
    let root = whole.and_then(|whole| folder.get(..whole.start())).unwrap_or_default();
    let below = whole.and_then(|whole| folder.get(whole.end()..)).unwrap_or_default();
    let (above, last) = root.rsplit_once('/').unwrap_or(("", root));
    let root = if ["data", "metadata"].contains(&last) { above } else { root };
    Place { root: root.to_owned(), period, below: below.to_owned() }
}

fn file_kind(path: &str) -> Option<FileKind> {
    let lower = path.to_lowercase();
    let name = lower.rsplit('/').next().unwrap_or_default();
    if name.starts_with(['.', '_']) || lower.contains("cost_and_usage_data_status/") {
        return None;
    }
    let kinds = [(".parquet", FileKind::Parquet), (".csv", FileKind::Csv), (".csv.gz", FileKind::CsvGz)];
    kinds.into_iter().find(|(suffix, _)| name.ends_with(suffix)).map(|(_, kind)| kind)
}

/// What lies in the source location: data files, manifests, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    files: BTreeMap<String, ExportFile>,
    /// Paths of the files by their last part.
    by_name: BTreeMap<String, Vec<String>>,
    /// Paths of the manifests, and their versions.
    manifests: BTreeMap<String, String>,
}

/// The last part of a path.
fn last_part(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

/// The path of a listed object. It is encoded already: `%`, `#` or `~` in it must not be encoded once more.
pub(crate) fn object_path(path: &str) -> Path {
    Path::parse(path).unwrap_or_else(|_| Path::from(path))
}

/// Lists the source location.
///
/// # Errors
/// [`DetectError::NotYet`] where no data file is there; [`DetectError::BadExport`] for files that cannot be read.
pub async fn list(store: &Arc<dyn ObjectStore>, location: &str) -> Result<Listing, DetectError> {
    let objects: Vec<ObjectMeta> = store.list(None).try_collect().await?;
    let mut listing = Listing::default();
    for object in objects {
        let path = object.location.to_string();
        let version = object.e_tag.unwrap_or_else(|| object.last_modified.to_rfc3339());
        if path.to_lowercase().ends_with("manifest.json") {
            listing.manifests.insert(path, version);
        } else if let Some(kind) = file_kind(&path) {
            listing.by_name.entry(last_part(&path).to_owned()).or_default().push(path.clone());
            listing.files.insert(path.clone(), ExportFile { path, size: object.size, version, kind });
        } else if path.to_lowercase().ends_with(".zip") {
            return Err(bad_file(&path, "ZIP is not supported; deliver the export as GZIP or Parquet"));
        }
    }
    if listing.files.is_empty() && listing.manifests.is_empty() {
        return Err(DetectError::NotYet(format!(
            "no billing export at {location} yet: no .parquet, .csv or .csv.gz file"
        )));
    }
    Ok(listing)
}

/// The manifests of a listing, by path and version.
#[derive(Debug, Default)]
pub struct Manifests(BTreeMap<(String, String), Manifest>);

impl Manifests {
    /// Fetches the manifests of a listing, `at_once` of them at once; those that are known already are not read again.
    ///
    /// # Errors
    /// [`DetectError::BadExport`] for one that cannot be read.
    pub async fn fetch(
        store: &Arc<dyn ObjectStore>,
        listing: &Listing,
        known: &Self,
        at_once: usize,
    ) -> Result<Self, DetectError> {
        let listed = listing.manifests.iter().map(|(path, version)| (path.clone(), version.clone()));
        let fetched = listed.collect::<Vec<_>>().into_iter().map(async |place| {
            let manifest = match known.0.get(&place) {
                Some(known) => known.clone(),
                None => Manifest::fetch(store, &place.0).await?,
            };
            Ok::<_, DetectError>((place, manifest))
        });
        Ok(Self(futures::stream::iter(fetched).buffered(at_once).try_collect().await?))
    }
}

/// The files that count, by path.
///
/// # Errors
/// [`DetectError::NotYet`] where a manifest names a file that is not there; [`DetectError::BadExport`] where a path or
/// a manifest names a period that cannot be, or it cannot be said which files are current.
pub fn current_files(
    listing: &Listing,
    manifests: &Manifests,
    periods: ExportPeriods,
) -> Result<Vec<ExportFile>, DetectError> {
    let possible = |path: &str, period: Option<BillingPeriod>| match period.map(|period| periods.check(period)) {
        Some(Err(wrong)) => Err(bad_file(path, format!("{wrong}; move what is not part of the export elsewhere"))),
        _ => Ok(()),
    };
    let mut governed: BTreeMap<(String, Option<BillingPeriod>), Vec<&Manifest>> = BTreeMap::new();
    for manifest in manifests.0.values() {
        possible(&manifest.path, manifest.period)?;
        governed.entry((manifest.place.root.clone(), manifest.period)).or_default().push(manifest);
    }
    let mut current = BTreeSet::new();
    for manifests in governed.values() {
        let manifest = nearest(manifests)?;
        for name in &manifest.files {
            current.insert(listing.resolve(manifest, name)?.clone());
        }
    }
    let governed: BTreeSet<_> = governed.into_keys().collect();
    let mut executions: BTreeMap<(String, BillingPeriod), BTreeSet<String>> = BTreeMap::new();
    for file in listing.files.values() {
        let place = place(&file.path);
        possible(&file.path, place.period)?;
        if is_governed(&governed, &place) {
            continue;
        }
        if let Some(period) = place.period {
            executions.entry((place.root, period)).or_default().insert(place.below);
        }
        current.insert(file.clone());
    }
    for ((root, period), folders) in executions {
        if folders.len() > 1 {
            let folders: Vec<String> = folders
                .into_iter()
                .map(|folder| if folder.is_empty() { "no folder".to_owned() } else { folder })
                .collect();
            return Err(bad_file(
                &root_name(&root),
                format!(
                    "billing period {period} has {} executions and no manifest says which one counts: {}; \
                     copy the metadata folder too, or remove the old ones",
                    folders.len(),
                    folders.join(", ")
                ),
            ));
        }
    }
    if current.is_empty() {
        let paths: Vec<&str> = listing.manifests.keys().map(String::as_str).collect();
        let message = format!("{}: names no data file; wait for the delivery", paths.join(", "));
        return Err(DetectError::NotYet(message));
    }
    one_export_per_period(&current)?;
    Ok(current.into_iter().collect())
}

fn root_name(root: &str) -> String {
    if root.is_empty() { "export".to_owned() } else { root.to_owned() }
}

fn is_governed(governed: &BTreeSet<(String, Option<BillingPeriod>)>, place: &Place) -> bool {
    governed.iter().any(|(root, period)| {
        let same_root = *root == place.root || (place.period.is_none() && place.root.starts_with(&format!("{root}/")));
        same_root && (place.period.is_none() || *period == place.period || period.is_none())
    })
}

/// Two exports under one location would count every line twice.
fn one_export_per_period(current: &BTreeSet<ExportFile>) -> Result<(), DetectError> {
    let mut roots: BTreeMap<BillingPeriod, String> = BTreeMap::new();
    for place in current.iter().map(|file| place(&file.path)) {
        let Some(period) = place.period else { continue };
        let root = roots.entry(period).or_insert_with(|| place.root.clone());
        if *root != place.root {
            return Err(bad_file(
                &root_name(root),
                format!(
                    "billing period {period} is delivered here and in {} too: two exports would count every line \
                     twice; set [source] location to one of them",
                    root_name(&place.root)
                ),
            ));
        }
    }
    Ok(())
}

/// The manifest that counts: the one nearest the period's folder, of several executions the newest.
fn nearest<'a>(manifests: &[&'a Manifest]) -> Result<&'a Manifest, DetectError> {
    let depth =
        |manifest: &Manifest| if manifest.place.below.is_empty() { 0 } else { manifest.place.below.split('/').count() };
    let least = manifests.iter().map(|manifest| depth(manifest)).min().unwrap_or(0);
    let mut near: Vec<&Manifest> = manifests.iter().copied().filter(|manifest| depth(manifest) == least).collect();
    near.sort_by(|left, right| left.place.below.cmp(&right.place.below));
    let dated =
        |manifest: &&Manifest| INSTANT_FOLDER.as_ref().is_some_and(|regex| regex.is_match(&manifest.place.below));
    match near.as_slice() {
        [only] => Ok(only),
        [.., newest] if near.iter().all(dated) => Ok(newest),
        [.., last] => {
            let paths: Vec<&str> = near.iter().map(|manifest| manifest.path.as_str()).collect();
            Err(bad_file(&last.path, format!("several manifests claim one billing period: {}", paths.join(", "))))
        }
        [] => Err(DetectError::NotYet("no manifest".to_owned())),
    }
}

/// A delivery: the names of its files.
#[derive(Debug, Clone)]
struct Manifest {
    path: String,
    place: Place,
    period: Option<BillingPeriod>,
    files: Vec<String>,
}

/// Bytes of a manifest. One that names 10,000 files has about 2 MB.
const LARGEST_MANIFEST: u64 = 16 << 20;
/// Bytes of a name in it. Keys of S3 have at most 1,024.
const LONGEST_NAME: usize = 2_048;

impl Manifest {
    async fn fetch(store: &Arc<dyn ObjectStore>, path: &str) -> Result<Self, DetectError> {
        let object = store.get(&object_path(path)).await?;
        if object.meta.size > LARGEST_MANIFEST {
            let message = format!("is no manifest: it has {} bytes, at most {LARGEST_MANIFEST}", object.meta.size);
            return Err(bad_file(path, message));
        }
        Self::parse(path, &object.bytes().await?)
    }

    /// Reads a manifest of Data Exports (`dataFiles`) or of CUR 1.0 (`reportKeys`), tolerantly: entries are texts, or
    /// objects with a key, url or path.
    fn parse(path: &str, bytes: &[u8]) -> Result<Self, DetectError> {
        let json: serde_json::Value = serde_json::from_slice(bytes)
            .map_err(|error| bad_file(path, format!("is no JSON manifest ({error}); copy the file again")))?;
        let list = ["dataFiles", "reportKeys"].into_iter().find_map(|key| json.get(key)?.as_array());
        let list = list.ok_or_else(|| bad_file(path, "manifest without dataFiles or reportKeys"))?;
        let named = |entry: &serde_json::Value| {
            let keys = ["key", "url", "relativePath", "path", "filePath", "s3Uri"];
            let text = entry.as_str().or_else(|| keys.into_iter().find_map(|key| entry.get(key)?.as_str()));
            text.filter(|name| name.len() <= LONGEST_NAME).map(str::to_owned)
        };
        let files: Option<Vec<String>> = list.iter().map(named).collect();
        let files = files.ok_or_else(|| bad_file(path, "manifest with an entry that names no file"))?;
        let place = place(path);
        let start = json.get("billingPeriod").and_then(|period| period.get("start")?.as_str());
        let period = place.period.or_else(|| start.and_then(period_of_start));
        Ok(Self { path: path.to_owned(), place, period, files })
    }
}

/// `20190101T000000.000Z` or `2026-05-01T00:00:00.000Z`.
fn period_of_start(start: &str) -> Option<BillingPeriod> {
    let digits: String = start.chars().filter(char::is_ascii_digit).take(6).collect();
    format!("{}-{}", digits.get(..4)?, digits.get(4..6)?).parse().ok()
}

impl Listing {
    /// True for a data file that is there as it was read.
    #[must_use]
    pub fn has(&self, path: &str, size: u64, version: &str) -> bool {
        self.files.get(path).is_some_and(|file| file.size == size && file.version == version)
    }

    /// The local file of a manifest's entry, by the longest path suffix that exists.
    fn resolve(&self, manifest: &Manifest, name: &str) -> Result<&ExportFile, DetectError> {
        let bare = name.split_once("://").map_or(name, |(_, path)| path);
        let parts: Vec<&str> = bare.split('/').filter(|part| !part.is_empty()).collect();
        let shortest = if parts.len() > 1 { 2 } else { 1 };
        let of_name = parts.last().and_then(|last| self.by_name.get(*last)).into_iter().flatten();
        let of_name: Vec<&ExportFile> = of_name.filter_map(|path| self.files.get(path)).collect();
        for length in (shortest..=parts.len()).rev() {
            let suffix = parts.get(parts.len() - length..).unwrap_or_default().join("/");
            let longer = format!("/{suffix}");
            let found = of_name.iter().copied().filter(|file| file.path == suffix || file.path.ends_with(&longer));
            let found: Vec<&ExportFile> = found.filter(|file| length > 1 || self.belongs(manifest, file)).collect();
            let in_root: Vec<&&ExportFile> =
                found.iter().filter(|file| place(&file.path).root == manifest.place.root).collect();
            match (found.as_slice(), in_root.as_slice()) {
                ([only], _) => return Ok(only),
                (_, [only]) => return Ok(only),
                ([], _) => {}
                _ => return Err(bad_file(&manifest.path, format!("{name} could be any of {} files", found.len()))),
            }
        }
        let beside = manifest.path.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
        let beside = parts.last().and_then(|file| self.files.get(&format!("{beside}{file}")));
        beside.ok_or_else(|| {
            DetectError::NotYet(format!(
                "{}: names {name}, which is not there; wait for the delivery or copy the file",
                manifest.path
            ))
        })
    }

    /// True for a file of the manifest's period and execution, for entries without a path.
    fn belongs(&self, manifest: &Manifest, file: &ExportFile) -> bool {
        let place = place(&file.path);
        place.root == manifest.place.root && place.period == manifest.period && place.below == manifest.place.below
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    async fn current(objects: &[(&str, &str)]) -> Result<Vec<String>, String> {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        for (path, text) in objects {
            store.put(&Path::from(*path), text.as_bytes().to_vec().into()).await.unwrap();
        }
        let listing = list(&store, "cur").await.map_err(|error| error.to_string())?;
        let manifests = Manifests::fetch(&store, &listing, &Manifests::default(), 2).await;
        let manifests = manifests.map_err(|error| error.to_string())?;
        let day = "2026-10-31".parse().unwrap();
        let files = current_files(&listing, &manifests, ExportPeriods::read_on(day, day));
        let files = files.map_err(|error| error.to_string())?;
        Ok(files.into_iter().map(|file| file.path).collect())
    }

    const TWO: &str = r#"{"dataFiles": ["s3://bucket/p/x/data/BILLING_PERIOD=2026-05/e2/x-1.parquet"]}"#;

    #[tokio::test]
    async fn a_manifest_names_the_current_execution_and_old_ones_do_not_count() {
        let files = [
            ("x/data/BILLING_PERIOD=2026-05/e1/x-1.parquet", "."),
            ("x/data/BILLING_PERIOD=2026-05/e2/x-1.parquet", "."),
            ("x/data/BILLING_PERIOD=2026-06/e9/x-1.parquet", "."),
            ("x/metadata/BILLING_PERIOD=2026-05/x-Manifest.json", TWO),
            ("x/metadata/BILLING_PERIOD=2026-05/e1/x-Manifest.json", r#"{"dataFiles": ["nowhere"]}"#),
        ];
        let found = current(&files).await;
        let expected = ["x/data/BILLING_PERIOD=2026-05/e2/x-1.parquet", "x/data/BILLING_PERIOD=2026-06/e9/x-1.parquet"];
        assert_eq!(found.unwrap(), expected);
    }

    #[tokio::test]
    async fn of_dated_executions_with_a_manifest_each_the_newest_counts() {
        let entry = |name: &str| format!(r#"{{"dataFiles": ["s3://b/x/data/BILLING_PERIOD=2026-05/{name}/x-1.csv"]}}"#);
        let (old, new) = (entry("2026-05-02T01-a"), entry("2026-05-09T01-b"));
        let files = [
            ("data/BILLING_PERIOD=2026-05/2026-05-02T01-a/x-1.csv", "."),
            ("data/BILLING_PERIOD=2026-05/2026-05-09T01-b/x-1.csv", "."),
            ("metadata/BILLING_PERIOD=2026-05/2026-05-02T01-a/x-Manifest.json", &old),
            ("metadata/BILLING_PERIOD=2026-05/2026-05-09T01-b/x-Manifest.json", &new),
        ];
        let found = current(&files).await;
        assert_eq!(found.unwrap(), ["data/BILLING_PERIOD=2026-05/2026-05-09T01-b/x-1.csv"]);
    }

    #[tokio::test]
    async fn cur_1_layouts_resolve_their_report_keys() {
        let manifest = r#"{"reportKeys": ["pre/r/20260501-20260601/a2/r-1.csv.gz"], "billingPeriod": {"start": "20260501T000000.000Z"}}"#;
        let files = [
            ("r/20260501-20260601/a1/r-1.csv.gz", "."),
            ("r/20260501-20260601/a2/r-1.csv.gz", "."),
            ("r/20260501-20260601/r-Manifest.json", manifest),
            ("r/20260501-20260601/a1/r-Manifest.json", "{\"reportKeys\": []}"),
            ("r/cost_and_usage_data_status/s.parquet", "."),
        ];
        let found = current(&files).await;
        assert_eq!(found.unwrap(), ["r/20260501-20260601/a2/r-1.csv.gz"]);
        let athena =
            current(&[("r/year=2026/month=5/r-1.parquet", "."), ("r/year=2026/month=12/r-1.parquet", ".")]).await;
        assert_eq!(athena.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn a_manifest_and_its_file_side_by_side_resolve_by_name() {
        let manifest =
            r#"{"dataFiles": [{"key": "some/where/x-1.csv"}], "billingPeriod": {"start": "2026-05-01T00:00:00.000Z"}}"#;
        let files = [("x-1.csv", "."), ("x-Manifest.json", manifest), ("x-0.csv", ".")];
        let found = current(&files).await;
        assert_eq!(found.unwrap(), ["x-1.csv"]);
    }

    #[tokio::test]
    async fn what_cannot_be_decided_is_an_error_that_names_it() {
        let two = [("d/BILLING_PERIOD=2026-05/e1/x-1.csv", "."), ("d/BILLING_PERIOD=2026-05/e2/x-1.csv", ".")];
        assert_eq!(
            current(&two).await.unwrap_err(),
            "d: billing period 2026-05 has 2 executions and no manifest says which one counts: e1, e2; \
             copy the metadata folder too, or remove the old ones"
        );
        let missing = [("x/metadata/BILLING_PERIOD=2026-05/x-Manifest.json", TWO)];
        assert_eq!(
            current(&missing).await.unwrap_err(),
            "x/metadata/BILLING_PERIOD=2026-05/x-Manifest.json: names \
             s3://bucket/p/x/data/BILLING_PERIOD=2026-05/e2/x-1.parquet, which is not there; wait for the delivery or copy the file"
        );
        let exports = [("a/data/BILLING_PERIOD=2026-05/x.csv", "."), ("b/data/BILLING_PERIOD=2026-05/x.csv", ".")];
        assert_eq!(
            current(&exports).await.unwrap_err(),
            "a: billing period 2026-05 is delivered here and in b too: two exports would count every line twice; \
             set [source] location to one of them"
        );
        assert_eq!(
            current(&[("readme.txt", ".")]).await.unwrap_err(),
            "no billing export at cur yet: no .parquet, .csv or .csv.gz file"
        );
    }

    #[tokio::test]
    async fn a_period_that_cannot_be_is_named_with_the_path_or_the_manifest() {
        let refused = async |files: &[(&str, &str)]| current(files).await.unwrap_err();
        let early = "is before 2006-01: AWS billed nothing then; move what is not part of the export elsewhere";
        for (path, period) in [
            ("x/data/BILLING_PERIOD=0026-09/x-1.parquet", "0026-09"),
            ("r/year=1970/month=1/r-1.parquet", "1970-01"),
            ("r/00260901-00261001/r-1.csv.gz", "0026-09"),
            ("x/metadata/BILLING_PERIOD=0026-09/x-Manifest.json", "0026-09"),
        ] {
            assert_eq!(refused(&[(path, TWO)]).await, format!("{path}: billing period {period} {early}"));
        }
        assert_eq!(
            refused(&[("BILLING_PERIOD=2062-01/x-1.csv", ".")]).await,
            "BILLING_PERIOD=2062-01/x-1.csv: billing period 2062-01 is more than 13 months ahead; move what is not part \
             of the export elsewhere"
        );
    }
}
