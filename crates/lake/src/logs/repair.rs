//! Registers the logs of a lake again where its catalogue lost them.

use std::collections::BTreeSet;

use arrow::record_batch::RecordBatch;
use chrono::{DateTime, NaiveDateTime};
use iceberg::spec::{DataFile, ManifestList};
use iceberg::table::Table as IcebergTable;
use schemas::Table;
use serde::Serialize;

use super::damage::{MetadataFiles, caught, read_whole, unreadable_file};
use super::{LOGS, LogSnapshot, Logs, scan};
use uuid::Uuid;

use crate::error::LakeError;

/// What `lake repair` found of a log, and did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RepairedLog {
    /// The log.
    pub log: &'static str,
    /// What became of it.
    pub repair: Repair,
    /// Rows it has now.
    pub rows: usize,
    /// Its newest change, UTC; none of an empty log.
    pub newest: Option<NaiveDateTime>,
}

/// What became of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Repair {
    /// Nothing was wrong.
    Whole,
    /// It is registered again.
    Registered {
        /// The metadata file that it is registered from.
        metadata: String,
        /// Newer metadata files that cannot be read.
        unreadable: Vec<String>,
        /// What became of the rows that they had and `metadata` has not.
        newer: Newer,
    },
    /// Nothing of it was left: it begins anew.
    StartedEmpty,
}

/// Rows of a log's newest states whose metadata cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Newer {
    /// So many were found in their data files and are in the log again.
    Recovered(u64),
    /// Some of them are lost.
    Lost,
}

impl Logs {
    /// Registers each log that the catalogue does not know, or not readably, from its newest metadata that can be read.
    /// Where that loses something that had been recorded, only with `accept_loss`.
    ///
    /// # Errors
    /// [`LakeError::Damaged`] where something recorded would be lost.
    pub(crate) async fn repair(&self, accept_loss: bool) -> Result<Vec<RepairedLog>, LakeError> {
        self.create_namespace().await?;
        let mut repaired = Vec::with_capacity(LOGS.len());
        for table in LOGS {
            repaired.push(self.repair_one(&table, accept_loss).await?);
        }
        Ok(repaired)
    }

    async fn repair_one(&self, table: &Table, accept_loss: bool) -> Result<RepairedLog, LakeError> {
        if self.exists(table).await?
            && let Ok(log) = self.catalog.load_table(&self.ident(table)).await
        {
            match caught(scan(&log, table)).await {
                Ok(batches) => return Ok(repaired(table, Repair::Whole, &log, &batches)),
                Err(_) if accept_loss => {}
                Err(error) => return Err(self.unreadable_files(&log, table, error).await),
            }
        }
        let MetadataFiles { readable, mut unreadable } = self.metadata_files(table).await?;
        for found in readable {
            let log = self.register(table, self.metadata_location(table, &found.file)).await?;
            if caught(scan(&log, table)).await.is_err() {
                let file = unreadable_file(&log).await.unwrap_or_else(|| found.file.clone());
                if !accept_loss {
                    return Err(self.loses(table, &format!("{file} cannot be read")));
                }
                unreadable.push(found.file);
                continue;
            }
            let Some(newer) = self.recover(table, &log, &unreadable, accept_loss).await? else {
                // While nobody accepts the loss, the state before it must not pass for the newest one.
                self.forget(table).await?;
                return Err(self.loses(table, &format!("{} cannot be read", unreadable.join(", "))));
            };
            let repair = Repair::Registered { metadata: found.file, unreadable, newer };
            let log = self.load(table).await?;
            return Ok(repaired(table, repair, &log, &self.scan(&log, table).await?));
        }
        if !accept_loss {
            return Err(self.loses(table, "it has no metadata that can be read"));
        }
        self.forget(table).await?;
        self.create(table).await?;
        Ok(RepairedLog { log: table.name, repair: Repair::StartedEmpty, rows: 0, newest: None })
    }

    fn loses(&self, table: &Table, why: &str) -> LakeError {
        LakeError::Damaged(format!(
            "the log {} cannot be repaired without loss: {why}; bring {}/ back from a backup, or run `finops-credits lake repair \
             --accept-loss`, which goes back to the newest state that can be read",
            table.name,
            self.metadata_folder(table).as_ref().trim_end_matches("/metadata")
        ))
    }

    fn metadata_location(&self, table: &Table, file: &str) -> String {
        format!("{}/{}/{}/metadata/{file}", self.warehouse, self.database(), table.name)
    }

    async fn forget(&self, table: &Table) -> Result<(), LakeError> {
        if self.exists(table).await? {
            self.catalog.drop_table(&self.ident(table)).await?;
        }
        Ok(())
    }

    /// Makes the catalogue name this metadata file.
    async fn register(&self, table: &Table, location: String) -> Result<IcebergTable, LakeError> {
        self.forget(table).await?;
        self.catalog.register_table(&self.ident(table), location.clone()).await?;
        let log = self.catalog.load_table(&self.ident(table)).await?;
        if log.metadata_location() == Some(location.as_str()) { Ok(log) } else { Err(self.not_kept(table.name)) }
    }

    /// Appends what newer states had, of which only the metadata cannot be read: their lists of files are there. None where
    /// something would be lost and that is not accepted.
    async fn recover(
        &self,
        table: &Table,
        log: &IcebergTable,
        unreadable: &[String],
        accept_loss: bool,
    ) -> Result<Option<Newer>, LakeError> {
        if unreadable.is_empty() {
            return Ok(Some(Newer::Recovered(0)));
        }
        let newer = self.newer_lists(table, log).await?;
        let newest = newer.iter().map(|(sequence, _)| *sequence).max();
        let newest: Vec<_> = newer.into_iter().filter(|(sequence, _)| Some(*sequence) == newest).collect();
        // Of two lists nobody can say which one counted.
        let [(_, list)] = newest.as_slice() else { return Ok(accept_loss.then_some(Newer::Lost)) };
        let known = match log.metadata().current_snapshot() {
            Some(snapshot) => data_files(log, &log.manifest_list_reader(snapshot).load().await?).await?,
            None => Vec::new(),
        };
        let known: BTreeSet<&str> = known.iter().map(DataFile::file_path).collect();
        let Ok(files) = caught(data_files(log, list)).await else { return Ok(accept_loss.then_some(Newer::Lost)) };
        let (mut found, mut is_whole, mut rows) = (Vec::new(), true, 0);
        for file in files.into_iter().filter(|file| !known.contains(file.file_path())) {
            if caught(read_whole(log, file.file_path())).await.is_ok() {
                rows += file.record_count();
                found.push(file);
            } else {
                is_whole = false;
            }
        }
        if !is_whole && !accept_loss {
            return Ok(None);
        }
        if !found.is_empty() {
            self.append_files(table, found, &Uuid::now_v7().to_string()).await?;
        }
        Ok(Some(if is_whole { Newer::Recovered(rows) } else { Newer::Lost }))
    }

    /// Lists of files of newer states than the log has, by sequence number.
    async fn newer_lists(&self, table: &Table, log: &IcebergTable) -> Result<Vec<(i64, ManifestList)>, LakeError> {
        let files = self.store.files(&self.metadata_folder(table)).await?;
        let mut newer = Vec::new();
        for file in files.iter().filter(|file| file.starts_with("snap-") && file.ends_with(".avro")) {
            let bytes = log.file_io().new_input(self.metadata_location(table, file))?.read().await?;
            let version = log.metadata().format_version();
            let Ok(list) = caught(async { ManifestList::parse_with_version(&bytes, version) }).await else { continue };
            let sequence = list.entries().iter().map(|manifest| manifest.sequence_number).max().unwrap_or(0);
            if sequence > log.metadata().last_sequence_number() {
                newer.push((sequence, list));
            }
        }
        Ok(newer)
    }
}

/// The data files that a list names.
async fn data_files(log: &IcebergTable, list: &ManifestList) -> iceberg::Result<Vec<DataFile>> {
    let mut files = Vec::new();
    for manifest in list.entries() {
        let manifest = manifest.load_manifest(log.file_io()).await?;
        files.extend(manifest.entries().iter().filter(|entry| entry.is_alive()).map(|entry| entry.data_file().clone()));
    }
    Ok(files)
}

fn count(batches: &[RecordBatch]) -> usize {
    batches.iter().map(RecordBatch::num_rows).sum()
}

fn repaired(table: &Table, repair: Repair, log: &IcebergTable, batches: &[RecordBatch]) -> RepairedLog {
    let newest = LogSnapshot::from(log).id.and(DateTime::from_timestamp_millis(log.metadata().last_updated_ms()));
    RepairedLog { log: table.name, repair, rows: count(batches), newest: newest.map(|instant| instant.naive_utc()) }
}

#[cfg(test)]
mod tests;
