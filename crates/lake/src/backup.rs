//! A backup of the logs: what people recorded is the one thing in a lake that nothing else can make again.
//!
//! A ZIP file that needs no program of ours to be read:
//!
//! ```text
//! README.txt                what it is
//! manifest.json             format, version, where and when it was made; rows and SHA-256 of each log's file
//! <log>.parquet             all rows of a log, in order of its grain: allocations_log, credits_log, runs_log
//! ```
//!
//! **Invariant:** nothing of a backup is taken before all of it was checked. **Invariant:** restoring appends what is
//! missing, and the same backup restored again appends nothing.

use std::collections::BTreeMap;
use std::io::{Cursor, Read, Write};

use arrow::array::RecordBatch;
use arrow::compute::{SortColumn, concat_batches, lexsort_to_indices, take_record_batch};
use bytes::Bytes;
use bytesize::ByteSize;
use chrono::NaiveDateTime;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use schemas::tables::{AllocationLogRow, CreditLogRow, RunLogRow};
use schemas::{Table, TableRow};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use crate::error::LakeError;
use crate::lake::Lake;
use crate::logs::{LOGS, with_all_columns};

const FORMAT: &str = "finops-credits-backup";
const VERSION: u32 = 1;
const MANIFEST: &str = "manifest.json";

/// The most that a file of a backup may unpack to, and its manifest.
const MOST_BYTES: u64 = 1024 * 1024 * 1024;
const LARGEST_MANIFEST: u64 = 1024 * 1024;
/// The most rows of a log: equal ones take hardly a byte of a file.
const MOST_ROWS: usize = 10_000_000;

const README: &str = "\
A backup of what finops-credits cannot make again: the logs of a lake, as Parquet files.

allocations_log.parquet   who said whose a credit is, every revision
credits_log.parquet       the journal of the register of credits, with dates set by hand
runs_log.parquet          the runs that were published

manifest.json says where and when it was made, and rows and SHA-256 of each file. Any Parquet reader reads them;
`finops-credits lake restore FILE` puts what is missing into a lake.
";

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupManifest {
    /// `finops-credits-backup`
    format: String,
    /// Of the format.
    version: u32,
    /// The version of the program that made it.
    pub program: String,
    /// When, UTC.
    pub made_at: NaiveDateTime,
    /// The lake it was made of.
    pub lake: String,
    /// The logs, by name.
    pub logs: BTreeMap<String, BackedUpLog>,
}

/// A log in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackedUpLog {
    /// Its file in the backup.
    pub file: String,
    /// Rows.
    pub rows: usize,
    /// Of the file's bytes, in hexadecimal.
    pub sha256: String,
}

/// A backup whose every file is as its manifest says.
#[derive(Debug, Clone)]
pub struct Backup {
    /// What it says of itself.
    pub manifest: BackupManifest,
    logs: BTreeMap<String, Vec<RecordBatch>>,
}

/// What `lake restore` did to a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoredLog {
    /// The log.
    pub log: &'static str,
    /// Rows that were appended.
    pub restored: usize,
    /// Rows that stood there already.
    pub known: usize,
    /// Rows that were left out, as the log says something else under their key.
    pub other: usize,
}

/// A log's rows as they go into a backup.
pub(crate) type LogRows = Vec<(Table, Vec<RecordBatch>)>;

/// A backup of these rows, as bytes: the same for the same rows.
pub(crate) fn packed(logs: &LogRows, lake: &str, made_at: NaiveDateTime, program: &str) -> Result<Packed, LakeError> {
    let mut files = Vec::with_capacity(logs.len());
    let mut manifest = BackupManifest {
        format: FORMAT.to_owned(),
        version: VERSION,
        program: program.to_owned(),
        made_at,
        lake: lake.to_owned(),
        logs: BTreeMap::new(),
    };
    for (table, batches) in logs {
        let rows = in_order(table, batches)?;
        let bytes = parquet_of(&rows)?;
        let file = format!("{}.parquet", table.name);
        let known = BackedUpLog { file: file.clone(), rows: rows.num_rows(), sha256: sha256(&bytes) };
        manifest.logs.insert(table.name.to_owned(), known);
        files.push((file, bytes));
    }
    let text = serde_json::to_vec_pretty(&manifest);
    let text = text.map_err(|source| LakeError::Record { path: MANIFEST.to_owned(), source })?;
    let small = [("README.txt".to_owned(), README.as_bytes().to_vec()), (MANIFEST.to_owned(), text)];
    let bytes = zipped(small.into_iter().chain(files)).map_err(|error| LakeError::Service(format!("ZIP: {error}")))?;
    Ok(Packed { manifest, bytes })
}

/// A backup in the making.
#[derive(Debug)]
pub struct Packed {
    /// What it says of itself.
    pub manifest: BackupManifest,
    /// The ZIP file.
    pub bytes: Vec<u8>,
}

/// Rows by grain, then by all that they say.
fn in_order(table: &Table, batches: &[RecordBatch]) -> Result<RecordBatch, LakeError> {
    let schema = table.schema();
    let columns =
        |batch: &RecordBatch| table.column_names().filter_map(|name| batch.column_by_name(name).cloned()).collect();
    let batches = batches.iter().map(|batch| RecordBatch::try_new(schema.clone(), columns(batch)));
    let whole = concat_batches(&schema, &batches.collect::<Result<Vec<_>, _>>()?)?;
    let keys = table.keys().iter().filter_map(|name| whole.column_by_name(name)).chain(whole.columns());
    let keys: Vec<SortColumn> = keys.map(|values| SortColumn { values: values.clone(), options: None }).collect();
    Ok(take_record_batch(&whole, &lexsort_to_indices(&keys, None)?)?)
}

fn parquet_of(rows: &RecordBatch) -> Result<Vec<u8>, LakeError> {
    let zstd = Compression::ZSTD(ZstdLevel::try_new(3)?);
    let properties = WriterProperties::builder().set_compression(zstd).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), Some(properties))?;
    writer.write(rows)?;
    Ok(writer.into_inner()?)
}

fn zipped(files: impl Iterator<Item = (String, Vec<u8>)>) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().last_modified_time(zip::DateTime::default());
    for (name, bytes) in files {
        let is_packed = name.ends_with(".parquet");
        let method = if is_packed { CompressionMethod::Stored } else { CompressionMethod::Deflated };
        writer.start_file(name, options.compression_method(method))?;
        writer.write_all(&bytes)?;
    }
    Ok(writer.finish()?.into_inner())
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Backup {
    /// Reads and checks a backup.
    ///
    /// # Errors
    /// [`LakeError::BadInput`] for a file that is none, is damaged, or was made by a newer version of the program.
    pub fn read(bytes: Vec<u8>) -> Result<Self, LakeError> {
        let read = schemas::decoding(|| read_backup(bytes)).unwrap_or_else(|panic| Err(format!("is damaged: {panic}")));
        read.map_err(LakeError::BadInput)
    }
}

fn read_backup(bytes: Vec<u8>) -> Result<Backup, String> {
    let damaged = |what: &dyn std::fmt::Display| format!("is damaged: {what}; use another backup");
    let none = "is no backup made by `finops-credits lake backup`".to_owned();
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| format!("{none}: {error}"))?;
    if archive.index_for_name(MANIFEST).is_none() {
        return Err(format!("{none}: it has no {MANIFEST}"));
    }
    let mut file = |name: &str, most: u64| {
        let entry = archive.by_name(name).map_err(|error| damaged(&format!("{name}: {error}")))?;
        let mut bytes = Vec::new();
        let read = entry.take(most.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|error| damaged(&format!("{name}: {error}")))?;
        let is_larger = bytes.len() as u64 > most;
        if is_larger { Err(damaged(&format!("{name} is larger than {}", ByteSize(most)))) } else { Ok(bytes) }
    };
    let said: serde_json::Value = serde_json::from_slice(&file(MANIFEST, LARGEST_MANIFEST)?)
        .map_err(|error| damaged(&format!("{MANIFEST}: {error}")))?;
    if said.get("format").and_then(|format| format.as_str()) != Some(FORMAT) {
        return Err(none);
    }
    if said.get("version").and_then(serde_json::Value::as_u64) != Some(u64::from(VERSION)) {
        return Err(format!(
            "is of another version of the format than {VERSION}; use the version of the program that made it"
        ));
    }
    let manifest: BackupManifest =
        serde_json::from_value(said).map_err(|error| damaged(&format!("{MANIFEST}: {error}")))?;
    let mut logs = BTreeMap::new();
    for table in LOGS {
        let Some(known) = manifest.logs.get(table.name) else {
            return Err(damaged(&format!("{MANIFEST} says nothing of {}", table.name)));
        };
        let bytes = file(&known.file, MOST_BYTES)?;
        if sha256(&bytes) != known.sha256 {
            return Err(damaged(&format!("{} holds other bytes than were written", known.file)));
        }
        let batches =
            rows_of(&table, bytes, known.rows).map_err(|error| damaged(&format!("{}: {error}", known.file)))?;
        logs.insert(table.name.to_owned(), batches);
    }
    Ok(Backup { manifest, logs })
}

/// The rows of a log's file, if they are as many as the manifest says.
fn rows_of(table: &Table, bytes: Vec<u8>, rows: usize) -> Result<Vec<RecordBatch>, Box<dyn std::error::Error>> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(bytes))?;
    let held = usize::try_from(reader.metadata().file_metadata().num_rows()).unwrap_or(usize::MAX);
    if held != rows {
        return Err(format!("it has {held} rows where {MANIFEST} says {rows}").into());
    }
    if held > MOST_ROWS {
        return Err(format!("it has {held} rows; at most {MOST_ROWS} are read").into());
    }
    let (mut batches, mut left) = (Vec::new(), rows);
    for batch in reader.build()? {
        let batch = batch?;
        left = left.checked_sub(batch.num_rows()).ok_or("it has more rows than it says")?;
        batches.push(with_all_columns(&batch, table)?);
    }
    if left == 0 { Ok(batches) } else { Err("it has fewer rows than it says".into()) }
}

impl Lake {
    /// A backup of the logs.
    ///
    /// # Errors
    /// [`LakeError`] from the catalogue or storage, [`LakeError::Damaged`] where a log cannot be read.
    pub async fn backup(&self, made_at: NaiveDateTime, program: &str) -> Result<Packed, LakeError> {
        let mut rows = LogRows::new();
        for table in LOGS {
            rows.push((table, self.logs().batches(&table).await?));
        }
        packed(&rows, &self.location, made_at, program)
    }

    /// Appends what the logs lack of a backup. With rows of their own that the backup lacks they are left as they are, unless
    /// `merge`: then what they say under a key stays.
    ///
    /// # Errors
    /// [`LakeError::BadInput`] where the logs have rows that the backup lacks; [`LakeError`] from the catalogue or storage.
    pub async fn restore(&self, backup: &Backup, merge: bool) -> Result<Vec<RestoredLog>, LakeError> {
        let allocations = self.missing::<AllocationLogRow>(backup, &["allocation_id"]).await?;
        let credits = self.missing::<CreditLogRow>(backup, &["credit_key", "revision"]).await?;
        let runs = self.missing::<RunLogRow>(backup, &["run_id"]).await?;
        let own = [allocations.own(), credits.own(), runs.own()];
        if !merge && own.iter().any(|(_, rows)| *rows > 0) {
            let own = own.iter().filter(|(_, rows)| *rows > 0).map(|(log, rows)| format!("{rows} rows of {log}"));
            return Err(LakeError::BadInput(format!(
                "the lake {} has what the backup lacks: {}; restore into a new lake before its first run, or append what is \
                 missing with --merge: of each credit the newest revision counts then",
                self.location,
                own.collect::<Vec<_>>().join(", ")
            )));
        }
        self.logs().append(&allocations.rows).await?;
        self.logs().append(&credits.rows).await?;
        // The next publication would log the published run once more, if its append were not known.
        let published = self.published().await?.unwrap_or_default();
        let (of_published, others): (Vec<_>, Vec<_>) =
            runs.rows.iter().cloned().partition(|row: &RunLogRow| row.run_id == published);
        self.logs().append(&others).await?;
        self.logs().append_once(&published, &of_published).await?;
        Ok(vec![allocations.restored(), credits.restored(), runs.restored()])
    }

    /// What the log lacks; `entry` are the columns that name what was appended at once.
    async fn missing<R: TableRow + Serialize>(&self, backup: &Backup, entry: &[&str]) -> Result<Missing<R>, LakeError> {
        let batches = backup.logs.get(R::TABLE.name).map_or(&[][..], Vec::as_slice);
        let backed_up: Vec<R> = schemas::from_batches(batches)?;
        Missing::of(backed_up, &self.logs().read().await?, entry)
    }
}

/// What a log lacks of a backup.
struct Missing<R> {
    rows: Vec<R>,
    /// Rows of the log that the backup lacks.
    own: usize,
    known: usize,
    other: usize,
}

impl<R: TableRow + Serialize> Missing<R> {
    /// What was appended at once is taken whole or not at all: all lots of a revision, or none.
    fn of(backed_up: Vec<R>, log: &[R], entry: &[&str]) -> Result<Self, LakeError> {
        let (mut whole, mut own) = (Said::new(), 0);
        for row in log {
            let (entry, text) = said(row, entry)?;
            *whole.entry(entry).or_default().entry(text).or_insert(0_usize) += 1;
            own += 1;
        }
        let mut missing = Self { rows: Vec::new(), own, known: 0, other: 0 };
        for row in backed_up {
            let (entry, text) = said(&row, entry)?;
            match whole.get_mut(&entry).map(|texts| texts.get_mut(&text)) {
                Some(Some(left)) if *left > 0 => {
                    *left -= 1;
                    missing.own -= 1;
                    missing.known += 1;
                }
                Some(_) => missing.other += 1,
                None => missing.rows.push(row),
            }
        }
        Ok(missing)
    }

    fn own(&self) -> (&'static str, usize) {
        (R::TABLE.name, self.own)
    }

    fn restored(&self) -> RestoredLog {
        RestoredLog { log: R::TABLE.name, restored: self.rows.len(), known: self.known, other: self.other }
    }
}

/// How often a log says something, by entry.
type Said = BTreeMap<String, BTreeMap<String, usize>>;

/// What a row says in the columns of its entry, and all that it says, as text.
fn said<R: TableRow + Serialize>(row: &R, entry: &[&str]) -> Result<(String, String), LakeError> {
    let broken = |source| LakeError::Record { path: R::TABLE.name.to_owned(), source };
    let value = serde_json::to_value(row).map_err(broken)?;
    let entry: Vec<String> = entry.iter().map(|column| value[*column].to_string()).collect();
    Ok((entry.join("\n"), value.to_string()))
}

#[cfg(test)]
mod tests;
