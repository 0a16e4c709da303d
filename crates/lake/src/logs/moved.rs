//! The logs of a lake that lies elsewhere than it was made.

use arrow::record_batch::RecordBatch;
use iceberg::Runtime;
use iceberg::table::Table as IcebergTable;
use schemas::Table;

use super::damage::{MetadataFiles, caught};
use super::{LOGS, Logs, scan};
use crate::error::LakeError;
use crate::moved::moved_files;

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

    /// All rows of all logs, read below the root of a lake that was moved.
    ///
    /// # Errors
    /// [`LakeError::Damaged`] where the newest state of a log cannot be read.
    pub(crate) async fn under_old_names(
        &self,
        root: &std::path::Path,
    ) -> Result<Vec<(Table, Vec<RecordBatch>)>, LakeError> {
        let mut rows = Vec::new();
        for table in LOGS {
            let folder = self.metadata_folder(&table);
            let damaged = |why: &str| {
                LakeError::Damaged(format!(
                    "the log {} cannot be read: {folder}/{why}; copy the lake again",
                    table.name
                ))
            };
            let MetadataFiles { readable, unreadable } = self.metadata_files(&table).await?;
            if let Some(file) = unreadable.first() {
                return Err(damaged(file));
            }
            let newest = readable.into_iter().next().ok_or_else(|| damaged(" has no metadata"))?;
            let below = format!("/{}/{}", self.database(), table.name);
            let old = place(newest.metadata.location(), &below);
            let log = IcebergTable::builder()
                .identifier(self.ident(&table))
                .file_io(moved_files(&old, root.to_path_buf()))
                .metadata(newest.metadata)
                .runtime(Runtime::try_current()?)
                .build()?;
            let read = caught(scan(&log, &table)).await;
            rows.push((table, read.map_err(|error| damaged(&format!("{} ({})", newest.file, error.message())))?));
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
