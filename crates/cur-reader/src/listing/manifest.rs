//! Manifests: which files a delivery consists of.

use std::collections::BTreeMap;
use std::sync::Arc;

use credit_ledger::BillingPeriod;
use futures::{StreamExt, TryStreamExt};
use object_store::{ObjectStore, ObjectStoreExt};

use super::place::Place;
use super::{Listing, object_path};
use crate::error::ReadError;
use crate::error::bad_file;

/// The manifests of a listing, by path and version; `None` for a file that is named as one and names no data files.
#[derive(Debug, Default)]
pub struct Manifests(BTreeMap<(String, String), Option<Manifest>>);

impl Manifests {
    /// Fetches the manifests of a listing, `at_once` of them at once; those that are known already are not read again.
    ///
    /// # Errors
    /// [`ReadError::BadExport`] for one that cannot be read.
    pub async fn fetch(
        store: &Arc<dyn ObjectStore>,
        listing: &Listing,
        known: &Self,
        at_once: usize,
    ) -> Result<Self, ReadError> {
        let listed = listing.manifests.iter().map(|(path, version)| (path.clone(), version.clone()));
        let fetched = listed.collect::<Vec<_>>().into_iter().map(async |place| {
            let manifest = match known.0.get(&place) {
                Some(known) => known.clone(),
                None => Manifest::fetch(store, &place.0).await?,
            };
            Ok::<_, ReadError>((place, manifest))
        });
        Ok(Self(futures::stream::iter(fetched).buffered(at_once).try_collect().await?))
    }

    /// All that could be read.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Manifest> {
        self.0.values().flatten()
    }

    /// Files that are named as manifests and are none.
    pub fn others(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|(_, manifest)| manifest.is_none()).map(|((path, _), _)| path.as_str())
    }
}

/// A delivery: the names of its files.
#[derive(Debug, Clone)]
pub(crate) struct Manifest {
    pub path: String,
    pub place: Place,
    pub period: Option<BillingPeriod>,
    pub files: Vec<String>,
}

/// Bytes of a manifest. One that names 10,000 files has about 2 MB.
const LARGEST_MANIFEST: u64 = 16 << 20;
/// Bytes of a name in it. Keys of S3 have at most 1,024.
const LONGEST_NAME: usize = 2_048;

impl Manifest {
    async fn fetch(store: &Arc<dyn ObjectStore>, path: &str) -> Result<Option<Self>, ReadError> {
        let object = store.get(&object_path(path)).await?;
        if object.meta.size > LARGEST_MANIFEST {
            let message = format!("is no manifest: it has {} bytes, at most {LARGEST_MANIFEST}", object.meta.size);
            return Err(bad_file(path, message));
        }
        Self::parse(path, &object.bytes().await?)
    }

    /// Reads a manifest of Data Exports (`dataFiles`) or of CUR 1.0 (`reportKeys`), tolerantly: entries are texts, or
    /// objects with a key, url or path. JSON with neither is no manifest.
    fn parse(path: &str, bytes: &[u8]) -> Result<Option<Self>, ReadError> {
        let json: serde_json::Value = serde_json::from_slice(bytes)
            .map_err(|error| bad_file(path, format!("is no JSON manifest ({error}); copy the file again")))?;
        let list = ["dataFiles", "reportKeys"].into_iter().find_map(|key| json.get(key)?.as_array());
        let Some(list) = list else { return Ok(None) };
        let named = |entry: &serde_json::Value| {
            let keys = ["key", "url", "relativePath", "path", "filePath", "s3Uri"];
            let text = entry.as_str().or_else(|| keys.into_iter().find_map(|key| entry.get(key)?.as_str()));
            text.filter(|name| name.len() <= LONGEST_NAME).map(str::to_owned)
        };
        let files: Option<Vec<String>> = list.iter().map(named).collect();
        let files = files.ok_or_else(|| bad_file(path, "manifest with an entry that names no file"))?;
        let place = Place::of(path);
        let start = json.get("billingPeriod").and_then(|period| period.get("start")?.as_str());
        let period = place.period.or_else(|| start.and_then(period_of_start));
        Ok(Some(Self { path: path.to_owned(), place, period, files }))
    }
}

/// `20190101T000000.000Z` or `2026-05-01T00:00:00.000Z`.
fn period_of_start(start: &str) -> Option<BillingPeriod> {
    let digits: String = start.chars().filter(char::is_ascii_digit).take(6).collect();
    format!("{}-{}", digits.get(..4)?, digits.get(4..6)?).parse().ok()
}
