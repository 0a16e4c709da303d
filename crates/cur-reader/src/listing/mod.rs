//! Which files of the export count.
//!
//! | layout | files | manifest |
//! |---|---|---|
//! | Data Exports, overwrite | `data/BILLING_PERIOD=2026-05/x-00001.snappy.parquet` | `metadata/BILLING_PERIOD=2026-05/x-Manifest.json` |
//! | Data Exports, create new | `data/BILLING_PERIOD=2026-05/<execution>/x-00001…` | as above, or below `<execution>` |
//! | CUR 1.0 | `20260501-20260601/[<assembly>/]x-1.csv.gz` | `20260501-20260601/x-Manifest.json` |
//! | CUR 1.0 for Athena | `year=2026/month=5/x-1.snappy.parquet` | as CUR 1.0, or none |
//! | plain files | any | none |
//!
//! Where a manifest exists it names the current files; old executions lie beside them and would count twice. Without
//! one, every data file counts. A data file is known by its content: names only say where to look first. What is not
//! read is listed with the reason, but for old executions and what AWS writes for other programs.

mod current;
mod left_out;
mod manifest;
mod place;
mod status;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};
use serde::{Deserialize, Serialize};

use crate::error::ReadError;

pub use current::{CurrentFiles, current_files};
pub use manifest::Manifests;
pub use status::check_status;

pub use left_out::hidden;
use left_out::{Collected, is_companion};
use place::{Place, last_part};

/// A file of the export that counts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ExportFile {
    /// Path below the source location.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Entity tag, or modification time where there is none.
    pub version: String,
    /// The export that it belongs to: the folder above those of periods, executions and partitions. Plain files all belong
    /// to the location itself.
    pub export: String,
}

impl ExportFile {
    /// A file as it was listed.
    #[must_use]
    pub fn new(path: String, size: u64, version: String) -> Self {
        let place = Place::of(&path);
        let export = place.period.map(|_| place.root).unwrap_or_default();
        Self { path, size, version, export }
    }

    /// The path without what says how the file is written and packed.
    pub fn stem(&self) -> &str {
        stem(&self.path)
    }
}

/// A path without what says how a file is written and packed.
pub fn stem(path: &str) -> &str {
    let endings = [".gz", ".zip", ".csv", ".parquet", ".parq", ".snappy"];
    match endings.into_iter().find_map(|ending| path.strip_suffix(ending)) {
        Some(rest) => stem(rest),
        None => path,
    }
}

/// True for a name that only data files have.
fn is_named_as_data(path: &str) -> bool {
    let name = last_part(path).to_lowercase();
    [".parquet", ".csv", ".csv.gz"].iter().any(|ending| name.ends_with(ending))
}

/// True for a name that data files have, among others.
fn is_named_as_packed(path: &str) -> bool {
    let name = last_part(path).to_lowercase();
    [".gz", ".zip", ".parq"].iter().any(|ending| name.ends_with(ending))
}

/// What lies in the source location.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    files: BTreeMap<String, ExportFile>,
    /// Paths of the files by their last part.
    by_name: BTreeMap<String, Vec<String>>,
    /// Paths of the manifests, and their versions.
    manifests: BTreeMap<String, String>,
    /// What says whether AWS is still writing.
    statuses: Vec<ExportFile>,
    left_out: Collected,
}

/// The path of a listed object. It is encoded already: `%`, `#` or `~` in it must not be encoded once more.
pub fn object_path(path: &str) -> Path {
    Path::parse(path).unwrap_or_else(|_| Path::from(path))
}

/// Where an export lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportLocation {
    /// The folder that its paths begin with; empty where it is the only one.
    pub folder: String,
    /// What people call the place.
    pub location: String,
}

/// True for a path below a folder, and for every path below the empty one.
#[must_use]
pub fn lies_in(folder: &str, path: &str) -> bool {
    folder.is_empty() || path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

/// Lists the exports of some locations.
///
/// # Errors
/// [`ReadError::NotYet`] where no data file is in one of them.
pub async fn list(store: &Arc<dyn ObjectStore>, locations: &[ExportLocation]) -> Result<Listing, ReadError> {
    let objects: Vec<ObjectMeta> = store.list(None).try_collect().await?;
    let mut listing = Listing::default();
    for object in objects {
        let path = object.location.to_string();
        let version = object.e_tag.unwrap_or_else(|| object.last_modified.to_rfc3339());
        let mut file = ExportFile::new(path, object.size, version);
        if file.export.is_empty() {
            let location = locations.iter().find(|location| lies_in(&location.folder, &file.path));
            file.export = location.map(|location| location.folder.clone()).unwrap_or_default();
        }
        listing.add(file);
    }
    match locations.iter().find(|location| !listing.has_export(location)) {
        None => Ok(listing),
        Some(location) => Err(listing.no_export(location)),
    }
}

impl Listing {
    fn add(&mut self, file: ExportFile) {
        let lower = file.path.to_lowercase();
        if let Some(hidden) = hidden(&file.path) {
            self.left_out.add(&hidden, "hidden names are no part of an export");
        } else if is_companion(last_part(&file.path))
            || (file.size == 0 && !is_named_as_data(&file.path) && !is_named_as_packed(&file.path))
        {
            // Known not to be data; an empty object stands for a folder.
        } else if lower.ends_with("-manifest.json") {
            self.manifests.insert(file.path, file.version);
        } else if lower.split('/').any(|part| part == status::FOLDER) {
            self.statuses.push(file);
        } else {
            self.by_name.entry(last_part(&file.path).to_owned()).or_default().push(file.path.clone());
            self.files.insert(file.path.clone(), file);
        }
    }

    fn has_export(&self, location: &ExportLocation) -> bool {
        self.files.keys().chain(self.manifests.keys()).any(|path| lies_in(&location.folder, path))
    }

    fn no_export(&self, location: &ExportLocation) -> ReadError {
        let place = &location.location;
        let mut message = format!("no billing export at {place} yet: no Parquet, CSV, gzip or ZIP file");
        if let Some(hidden) = self.left_out.list().find(|hidden| lies_in(&location.folder, &hidden.path)) {
            message.push_str(&format!("; {} is not read: {}", hidden.path, hidden.reason));
        }
        ReadError::NotYet(message)
    }

    /// True for a data file that is there as it was read.
    #[must_use]
    pub fn has(&self, path: &str, size: u64, version: &str) -> bool {
        self.files.get(path).is_some_and(|file| file.size == size && file.version == version)
    }
}
