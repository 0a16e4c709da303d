//! What to say where a log is lost or cannot be read: which file, and what to do.

use std::error::Error as _;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use iceberg::spec::{Manifest, ManifestContentType, TableMetadata};
use iceberg::table::Table as IcebergTable;
use iceberg::{Error, ErrorKind, Result};
use object_store::path::Path;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use schemas::Table;

use super::{LogSnapshot, Logs};
use crate::decoding::decoded;
use crate::error::{LakeError, causes};
use crate::layout::{GENERATIONS, RUNS};

/// SQLite's codes for a file that is damaged, or none of its own.
const DAMAGED_DATABASE: [u32; 2] = [11, 26];

/// Work of a library on files that may hold anything: a panic of its is an error.
pub(super) async fn caught<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    decoded(work).await.unwrap_or_else(|panic| Err(Error::new(ErrorKind::DataInvalid, panic)))
}

/// A metadata file of a log that can be read.
pub(super) struct FoundMetadata {
    pub(super) file: String,
    pub(super) metadata: TableMetadata,
}

/// The metadata files of a log.
#[derive(Default)]
pub(super) struct MetadataFiles {
    /// Newest first.
    pub(super) readable: Vec<FoundMetadata>,
    /// Those that may have had rows which no readable one has; where none is readable, all.
    pub(super) unreadable: Vec<String>,
}

/// The version that a metadata file's name begins with: `00012-….metadata.json`, or `v12.metadata.json`.
fn version(file: &str) -> u64 {
    let digits: String = file.trim_start_matches('v').chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(0)
}

/// The file that a new log begins with. It has no rows; a full disk leaves half of it.
fn is_first(file: &str) -> bool {
    file.starts_with("00000-")
}

impl Logs {
    /// Reads all metadata files of a log.
    pub(super) async fn metadata_files(&self, table: &Table) -> std::result::Result<MetadataFiles, LakeError> {
        let folder = self.metadata_folder(table);
        let mut files = self.store.files(&folder).await?;
        files.retain(|file| file.ends_with(".metadata.json"));
        let (mut readable, mut unreadable) = (Vec::new(), Vec::new());
        for file in files {
            match self.store.read_record::<TableMetadata>(&folder.clone().join(file.as_str())).await {
                Ok(Some(metadata)) => readable.push(FoundMetadata { file, metadata }),
                Ok(None) => {}
                Err(LakeError::Damaged(_)) => unreadable.push(file),
                Err(error) => return Err(error),
            }
        }
        let order = |found: &FoundMetadata| (version(&found.file), found.metadata.last_updated_ms());
        readable.sort_by_key(|found| std::cmp::Reverse(order(found)));
        if let Some(newest) = readable.first().map(|found| version(&found.file)) {
            unreadable.retain(|file| version(file) >= newest && !is_first(file));
        }
        unreadable.sort();
        Ok(MetadataFiles { readable, unreadable })
    }

    /// What says that the lake had this log: results of runs, or metadata that has rows or may have had some.
    pub(super) async fn traces(&self, table: &Table) -> std::result::Result<Vec<String>, LakeError> {
        let mut traces = Vec::new();
        for folder in [RUNS, GENERATIONS] {
            if self.store.has_files(&Path::from(folder)).await? {
                traces.push(format!("{folder}/"));
            }
        }
        let found = self.metadata_files(table).await?;
        let has_rows = found.readable.iter().any(|it| it.metadata.current_snapshot().is_some());
        // An append leaves a list of files.
        let has_lists =
            self.store.files(&self.metadata_folder(table)).await?.iter().any(|file| file.ends_with(".avro"));
        if has_rows || has_lists || !found.unreadable.iter().all(|file| is_first(file)) {
            traces.push(self.metadata_folder(table).to_string() + "/");
        }
        Ok(traces)
    }

    /// The catalogue does not know a log that left traces.
    pub(super) fn lost(&self, table: &Table, traces: &[String]) -> LakeError {
        LakeError::Damaged(format!(
            "{} does not know the log {}.{}, but this lake is not new: {} is there; bring the catalogue back from a backup, or \
             run `finops-credits lake repair`, which registers the logs again from their newest metadata in warehouse/",
            self.catalog_name,
            self.database(),
            table.name,
            traces.join(", ")
        ))
    }

    /// Why the catalogue did not do as asked, with its name where its database says so.
    pub(super) fn refused(&self, error: Error) -> LakeError {
        refused(&self.catalog_name, error)
    }

    /// Why a log cannot be loaded.
    pub(super) async fn unreadable_metadata(&self, table: &Table, error: Error) -> LakeError {
        if error.kind() != ErrorKind::DataInvalid && !is_not_found(&error) {
            return self.refused(error);
        }
        let names = match self.metadata_files(table).await {
            Ok(found) if !found.unreadable.is_empty() => found.unreadable.join(", "),
            _ => "its metadata".to_owned(),
        };
        LakeError::Damaged(format!(
            "the log {} is damaged: {}/{names} cannot be read ({}); bring it back from a backup, or run `finops-credits lake \
             repair`, which goes back to the newest metadata that can be read",
            table.name,
            self.metadata_folder(table),
            error.message()
        ))
    }

    /// The newest state of a log that can be appended to: an append reads the list of files before it.
    ///
    /// # Errors
    /// [`LakeError::Damaged`] where that cannot be read.
    pub(crate) async fn appendable(&self, table: &Table) -> std::result::Result<LogSnapshot, LakeError> {
        let log = self.load(table).await?;
        if let Some(snapshot) = log.metadata().current_snapshot()
            && let Err(error) = caught(log.manifest_list_reader(snapshot).load()).await
        {
            return Err(self.unreadable_files(&log, table, error).await);
        }
        Ok(LogSnapshot::from(&log))
    }

    /// Why the rows of a log cannot be read.
    pub(super) async fn unreadable_files(&self, log: &IcebergTable, table: &Table, error: Error) -> LakeError {
        match unreadable_file(log).await {
            Some(file) => LakeError::Damaged(format!(
                "the log {} is damaged: {file} cannot be read; bring it back from a backup; without one, `finops-credits lake \
                 repair --accept-loss` goes back to what was recorded before it",
                table.name
            )),
            None if is_of_storage(&error) => error.into(),
            None => LakeError::Damaged(format!(
                "the log {} is damaged: {} does not fit its files ({}); bring both back from a backup",
                table.name,
                log.metadata_location().unwrap_or("its metadata"),
                error.message()
            )),
        }
    }
}

/// Why a catalogue did not do as asked: it is no database any more, or its database says why.
pub(crate) fn refused(name: &str, error: Error) -> LakeError {
    match sql_error(&error) {
        Some(cause) if is_damage(cause) => LakeError::Damaged(format!(
            "{name} is damaged ({cause}); bring it back from a backup, or run `finops-credits lake repair`, which registers the \
             logs again from their newest metadata in warehouse/"
        )),
        Some(cause) => LakeError::Service(format!("{name}: {cause}")),
        None => error.into(),
    }
}

/// True where SQLite says that its file is damaged, or where it holds other values than it should.
fn is_damage(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code()?.parse::<u32>().ok());
    // The lowest byte is the kind, those above say more of it.
    let is_damaged = code.is_some_and(|code| DAMAGED_DATABASE.contains(&(code & 0xff)));
    is_damaged || matches!(error, sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_))
}

/// True where storage did not answer, which a retry may help.
fn is_of_storage(error: &Error) -> bool {
    causes(error).any(|cause| cause.is::<std::io::Error>() || cause.is::<object_store::Error>())
}

fn sql_error(error: &Error) -> Option<&sqlx::Error> {
    error.source()?.downcast_ref()
}

fn is_not_found(error: &Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<object_store::Error>());
    matches!(cause, Some(object_store::Error::NotFound { .. }))
}

/// Lists of files that are read at once.
const LISTS_AT_ONCE: usize = 16;

/// Reads the lists of files that a scan reads. A panic in one of the scan's own tasks ends it without an error, as if there
/// were no more files. Says how many rows the files have; none where another client has deleted some.
pub(super) async fn rows_listed(log: &IcebergTable) -> Result<Option<u64>> {
    let Some(snapshot) = log.metadata().current_snapshot() else { return Ok(Some(0)) };
    let list = caught(log.manifest_list_reader(snapshot).load()).await?;
    let read = list.entries().iter().cloned().map(|manifest| {
        let files = log.file_io().clone();
        async move { caught(manifest.load_manifest(&files)).await }
    });
    let read: Vec<_> = read.collect();
    let manifests: Vec<Manifest> = futures::stream::iter(read).buffered(LISTS_AT_ONCE).try_collect().await?;
    let only_data = list.entries().iter().all(|manifest| manifest.content == ManifestContentType::Data);
    let files = manifests.iter().flat_map(Manifest::entries).filter(|file| file.is_alive());
    let rows = files.map(|file| file.record_count()).sum();
    Ok(only_data.then_some(rows))
}

/// The first file of a log's newest state that cannot be read.
pub(super) async fn unreadable_file(log: &IcebergTable) -> Option<String> {
    let snapshot = log.metadata().current_snapshot()?;
    let list = caught(log.manifest_list_reader(snapshot).load()).await;
    let Ok(list) = list else { return Some(snapshot.manifest_list().to_owned()) };
    for manifest in list.entries() {
        let Ok(read) = caught(manifest.load_manifest(log.file_io())).await else {
            return Some(manifest.manifest_path.clone());
        };
        for entry in read.entries() {
            let file = entry.file_path();
            if caught(read_whole(log, file)).await.is_err() {
                return Some(file.to_owned());
            }
        }
    }
    None
}

/// Decodes all rows of a data file.
pub(super) async fn read_whole(log: &IcebergTable, file: &str) -> Result<()> {
    let bytes: Bytes = log.file_io().new_input(file)?.read().await?;
    let invalid = |error: &dyn std::fmt::Display| Error::new(ErrorKind::DataInvalid, error.to_string());
    let batches = ParquetRecordBatchReaderBuilder::try_new(bytes).and_then(|file| file.build());
    for batch in batches.map_err(|error| invalid(&error))? {
        batch.map_err(|error| invalid(&error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{is_first, version};

    #[test]
    fn a_metadata_file_says_its_version() {
        assert_eq!(version("00012-2cd22b57-5127-4198-92ba-e4e67c79821b.metadata.json"), 12);
        assert_eq!(version("v7.metadata.json"), 7);
        assert_eq!(version("other.metadata.json"), 0);
        assert!(
            is_first("00000-2cd22b57-5127-4198-92ba-e4e67c79821b.metadata.json") && !is_first("other.metadata.json")
        );
    }
}
