//! The files of the export as they were listed, to be listed again after they were read.

use std::sync::Arc;

use credit_ledger::ExportPeriods;
use cur_reader::ReadError;
use cur_reader::listing::{
    CurrentFiles, ExportFile, ExportLocation, Listing, Manifests, check_status, current_files, list,
};
use lake::{Generation, SourceFile};
use object_store::ObjectStore;
use schemas::records::LeftOut;

use crate::engine::ScanEngine;
use crate::error::DetectError;

/// Where the export lies, or several, and how it is read.
#[derive(Debug, Clone)]
pub struct ExportSource {
    /// Its files.
    pub store: Arc<dyn ObjectStore>,
    /// What people call the places, and the folder of each in the store.
    pub locations: Vec<ExportLocation>,
    /// The billing periods that it can hold.
    pub periods: ExportPeriods,
    /// Manifests and footers that are fetched at once.
    pub fetched_at_once: usize,
    /// Parts that are read at once: of an export on S3 some wait for bytes while others are decoded.
    pub readers: usize,
    /// The engine that reads it; none: this process.
    pub engine: Option<Arc<dyn ScanEngine>>,
}

/// The files that count, as they lie there.
pub(crate) struct Listed {
    source: ExportSource,
    manifests: Manifests,
    current: CurrentFiles,
    pub(crate) files: Vec<ExportFile>,
    /// Files that do not count, and why.
    pub(crate) left_out: Vec<LeftOut>,
}

impl ExportSource {
    /// Lists the files.
    ///
    /// # Errors
    /// Where it cannot be said which files count.
    pub(crate) async fn list_current(self) -> Result<Listed, DetectError> {
        let (manifests, current, unread) = self.current(&Manifests::default()).await?;
        let (files, mut left_out) = current.by_content(&self.store).await?;
        left_out.extend(unread);
        Ok(Listed { source: self, manifests, current, files, left_out })
    }

    async fn current(&self, known: &Manifests) -> Result<(Manifests, CurrentFiles, Vec<LeftOut>), DetectError> {
        let listing = self.listing().await?;
        let unread = check_status(&self.store, &listing).await?;
        let manifests = Manifests::fetch(&self.store, &listing, known, self.fetched_at_once).await?;
        let files = current_files(&listing, &manifests, self.periods)?;
        Ok((manifests, files, unread))
    }

    async fn listing(&self) -> Result<Listing, ReadError> {
        list(&self.store, &self.locations).await
    }
}

impl Listed {
    pub(crate) const fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.source.store
    }

    /// The engine that reads it, where that is another one.
    pub(crate) const fn engine(&self) -> Option<&Arc<dyn ScanEngine>> {
        self.source.engine.as_ref()
    }

    /// Parts that are read at once.
    pub(crate) const fn readers(&self) -> usize {
        self.source.readers
    }

    /// Lists the export again: a file that changed while it was read may have been read half old, half new.
    ///
    /// # Errors
    /// [`ReadError::NotYet`] where it changed.
    pub(crate) async fn check_unchanged(&self) -> Result<(), DetectError> {
        let (_, now, _) = self.source.current(&self.manifests).await?;
        match self.current.first_other(&now) {
            None => Ok(()),
            Some(file) => {
                let message = format!("{}: the export changed while it was read; try again", file.path);
                Err(ReadError::NotYet(message).into())
            }
        }
    }

    /// Why the export could not be read: because it changed meanwhile, or else `failure`.
    pub(crate) async fn changed_or(&self, failure: DetectError) -> DetectError {
        match self.check_unchanged().await {
            Err(changed @ DetectError::Read(ReadError::NotYet(_))) => changed,
            _ => failure,
        }
    }
}

/// A file that a generation was read from and that the export still has, if any.
///
/// # Errors
/// Where the export cannot be listed.
pub async fn still_there(source: &ExportSource, generation: &Generation) -> Result<Option<String>, DetectError> {
    let listing = match source.listing().await {
        Err(ReadError::NotYet(_)) => return Ok(None),
        listing => listing?,
    };
    let is_there = |file: &&SourceFile| listing.has(&file.path, file.size, &file.version);
    Ok(generation.files.iter().find(is_there).map(|file| file.path.clone()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use object_store::ObjectStoreExt;
    use object_store::memory::InMemory;
    use object_store::path::Path;

    use super::*;

    const DATA: &str = "x/data/BILLING_PERIOD=2026-05/x-1.csv";
    const MANIFEST: &str = "x/metadata/BILLING_PERIOD=2026-05/x-Manifest.json";
    const STATUS: &str = "r/cost_and_usage_data_status/part-0.csv";

    async fn put(source: &ExportSource, path: &str, text: &str) {
        source.store.put(&Path::from(path), text.to_owned().into()).await.unwrap();
    }

    /// An export of a manifest and the file that it names.
    async fn delivered() -> ExportSource {
        let source = ExportSource {
            store: Arc::new(InMemory::new()),
            locations: vec![ExportLocation { folder: String::new(), location: "cur".to_owned() }],
            periods: ExportPeriods::up_to("2027-06".parse().unwrap()),
            fetched_at_once: 2,
            readers: 1,
            engine: None,
        };
        put(&source, DATA, "some lines").await;
        put(&source, MANIFEST, r#"{"dataFiles": ["s3://bucket/x/data/BILLING_PERIOD=2026-05/x-1.csv"]}"#).await;
        source
    }

    #[tokio::test]
    async fn what_counts_and_what_is_left_out_is_listed_with_the_reason() {
        let source = delivered().await;
        put(&source, "x/data/BILLING_PERIOD=2026-06/x-1.csv", "under way").await;
        put(&source, "x/notes.txt", "buy milk").await;
        put(&source, STATUS, "status\nREADY\n").await;
        put(&source, "r/cost_and_usage_data_status/part-1.parquet", "PAR1").await;
        let listed = source.list_current().await.unwrap();
        assert_eq!(listed.files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), [DATA]);
        let left_out: Vec<_> = listed.left_out.iter().map(|file| format!("{}: {}", file.path, file.reason)).collect();
        assert_eq!(
            left_out,
            [
                "x/data/BILLING_PERIOD=2026-06/: 2026-06 has no manifest yet: its delivery is in progress",
                "x/notes.txt: no manifest names it",
                "r/cost_and_usage_data_status/part-1.parquet: cannot be read: whether AWS is still delivering is not known",
            ]
        );
    }

    #[tokio::test]
    async fn export_that_changed_while_it_was_read_says_so_instead_of_what_failed_by_it() {
        let changed = |path: &str| format!("{path}: the export changed while it was read; try again");
        let failure = || DetectError::CountMismatch("5 lines were read but 6 were counted".to_owned());
        let source = delivered().await;
        let listed = source.clone().list_current().await.unwrap();
        listed.check_unchanged().await.unwrap();
        assert_eq!(listed.changed_or(failure()).await.to_string(), failure().to_string());
        // What does not count may come and go.
        put(&source, "x/notes.txt", "buy milk").await;
        listed.check_unchanged().await.unwrap();
        put(&source, DATA, "other text").await;
        assert_eq!(listed.check_unchanged().await.unwrap_err().to_string(), changed(DATA));
        assert_eq!(listed.changed_or(failure()).await.to_string(), changed(DATA));

        let source = delivered().await;
        let listed = source.clone().list_current().await.unwrap();
        put(&source, "y/data/BILLING_PERIOD=2026-05/y-1.csv", "more").await;
        let more = listed.check_unchanged().await.unwrap_err().to_string();
        assert_eq!(more, changed("y/data/BILLING_PERIOD=2026-05/y-1.csv"));

        let source = delivered().await;
        let listed = source.clone().list_current().await.unwrap();
        source.store.delete(&Path::from(DATA)).await.unwrap();
        let gone = listed.changed_or(failure()).await.to_string();
        assert!(gone.ends_with("which is not there; wait for the delivery or copy the file"), "{gone}");

        let source = delivered().await;
        let listed = source.clone().list_current().await.unwrap();
        put(&source, STATUS, "status\nUPDATING\n").await;
        let updating = listed.changed_or(failure()).await.to_string();
        assert_eq!(updating, format!("{STATUS}: AWS is still delivering (status UPDATING); try again later"));
    }

    #[tokio::test]
    async fn file_of_a_generation_is_still_there_while_it_is_as_it_was_read() {
        let source = delivered().await;
        let file = source.clone().list_current().await.unwrap().files.remove(0);
        let read = |size| {
            let lines = BTreeMap::new();
            let file = SourceFile {
                path: file.path.clone(),
                size,
                version: file.version.clone(),
                lines,
                export: file.export.clone(),
            };
            let gone = SourceFile { path: "x/data/BILLING_PERIOD=2026-05/x-0.csv".to_owned(), ..file.clone() };
            Generation {
                fingerprint: String::new(),
                folder: String::new(),
                format: String::new(),
                files: vec![gone, file],
                totals: Vec::new(),
                blank_costs: 0,
                unknown_line_types: BTreeMap::new(),
                notes: schemas::PeriodNotes::default(),
                tables: BTreeMap::new(),
            }
        };
        assert_eq!(still_there(&source, &read(file.size)).await.unwrap().as_deref(), Some(DATA));
        assert_eq!(still_there(&source, &read(file.size + 1)).await.unwrap(), None);
        for path in [DATA, MANIFEST] {
            source.store.delete(&Path::from(path)).await.unwrap();
        }
        assert_eq!(still_there(&source, &read(file.size)).await.unwrap(), None, "of an export that is empty now");
    }
}
