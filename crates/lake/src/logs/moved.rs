//! The logs of a lake that lies elsewhere than it was made.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use iceberg::table::Table as IcebergTable;
use iceberg::{Catalog, ErrorKind, Runtime};
use schemas::Table;

use super::damage::{MetadataFiles, caught};
use super::{LOGS, Logs, scan};
use crate::error::LakeError;
use crate::local::sqlite_catalog;
use crate::moved::MovedFiles;

impl Logs {
    /// Where the logs say that they lie, if not where the lake does: what people call that place.
    pub(crate) async fn made_elsewhere(&self) -> Result<Option<String>, LakeError> {
        for table in LOGS {
            let location = match self.catalog.load_table(&self.ident(&table)).await {
                Ok(log) => Some(log.metadata().location().to_owned()),
                Err(_) => {
                    self.metadata_files(&table).await?.readable.first().map(|it| it.metadata.location().to_owned())
                }
            };
            let below = format!("/{}/{}", self.database(), table.name);
            match location {
                Some(location) if location != format!("{}{below}", self.warehouse) => {
                    return Ok(Some(place(&location, &below)));
                }
                _ => {}
            }
        }
        Ok(None)
    }

    /// All rows of all logs of a lake that was made at `made_at` and lies at `root` now. What the catalogue names counts; where
    /// it does not know a log, the newest state that is there.
    ///
    /// # Errors
    /// [`LakeError::Damaged`] where that state cannot be read.
    pub(crate) async fn under_old_names(
        &self,
        root: &std::path::Path,
        made_at: &str,
    ) -> Result<Vec<(Table, Vec<RecordBatch>)>, LakeError> {
        let files = MovedFiles::new(made_at, root);
        let catalog = sqlite_catalog(&root.display().to_string(), Arc::new(files.clone())).await?;
        let mut rows = Vec::new();
        for table in LOGS {
            let folder = self.metadata_folder(&table);
            let damaged = |why: &str| {
                LakeError::Damaged(format!(
                    "the log {} cannot be read: {folder}/: {why}; copy the lake again",
                    table.name
                ))
            };
            let log = match caught(catalog.load_table(&self.ident(&table))).await {
                Ok(log) => log,
                Err(error) if error.kind() == ErrorKind::TableNotFound => {
                    let MetadataFiles { readable, unreadable } = self.metadata_files(&table).await?;
                    if let Some(file) = unreadable.first() {
                        return Err(damaged(&format!("{file} is damaged")));
                    }
                    let newest = readable.into_iter().next().ok_or_else(|| damaged("there is no metadata"))?;
                    IcebergTable::builder()
                        .identifier(self.ident(&table))
                        .file_io(files.file_io())
                        .metadata(newest.metadata)
                        .runtime(Runtime::try_current()?)
                        .build()?
                }
                Err(error) => return Err(damaged(error.message())),
            };
            let read = caught(scan(&log, &table)).await;
            rows.push((table, read.map_err(|error| damaged(error.message()))?));
        }
        Ok(rows)
    }
}

/// What people call the lake whose log has this location.
fn place(location: &str, below: &str) -> String {
    let warehouse = location.strip_suffix(below).unwrap_or(location);
    let root = warehouse.strip_suffix("/warehouse").unwrap_or(warehouse);
    root.strip_prefix("file://").unwrap_or(root).to_owned()
}
