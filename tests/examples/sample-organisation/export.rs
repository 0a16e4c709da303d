//! The export's files: Parquet under `data/`, manifests under `metadata/`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use chrono::{Days, NaiveDate};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::Compression;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use serde_json::json;

use crate::Result;
use crate::columns;
use crate::line::Line;
use crate::organisation::{Account, Period};
use crate::random::SplitMix64;

const NAME: &str = "finops-daily";
/// Where the export lies in the bucket: not the local path, as with any copy.
const REMOTE: &str = "s3://acme-billing-exports/billing/finops-daily";
/// Periods that are large enough to come in two files.
const IN_TWO_CHUNKS: [&str; 2] = ["2026-07", "2026-10"];

/// Writes one export.
pub(crate) struct Export<'a> {
    pub(crate) folder: PathBuf,
    pub(crate) payer: &'a Account,
    pub(crate) seed: u64,
}

/// One delivery of a period.
struct Execution {
    id: String,
    /// Folder below the period's own, where each delivery has one; else empty.
    folder: String,
    period: Period,
}

impl Export<'_> {
    /// Writes a period as an export that overwrites its files.
    pub(crate) fn overwrite(&self, period: Period, lines: &[Line]) -> Result<()> {
        let execution = Execution { id: self.execution_id(period, "current"), folder: String::new(), period };
        self.deliver(&execution, lines)?;
        Ok(())
    }

    /// Writes a period as an export that keeps earlier deliveries: one from the middle of the month, then the final
    /// one, which the manifest of the period names.
    pub(crate) fn create_new(&self, period: Period, lines: &[Line]) -> Result<()> {
        let middle = period.first_day() + Days::new(18);
        let so_far: Vec<Line> = lines.iter().filter(|line| line.day() < middle).cloned().collect();
        self.deliver(&self.execution(period, middle), &so_far)?;
        let manifest = self.deliver(&self.execution(period, period.end() + Days::new(13)), lines)?;
        self.write_manifest(period, "", &manifest)
    }

    fn execution(&self, period: Period, day: NaiveDate) -> Execution {
        let id = self.execution_id(period, &day.to_string());
        // Data Exports writes colons in the time, which not every file system takes.
        Execution { folder: format!("{day}T041233.337Z-{id}"), id, period }
    }

    fn execution_id(&self, period: Period, which: &str) -> String {
        SplitMix64::of(self.seed, &format!("execution/{}/{which}", period.label())).uuid()
    }

    /// Writes data files and their manifest, which it returns.
    fn deliver(&self, execution: &Execution, lines: &[Line]) -> Result<serde_json::Value> {
        let period = execution.period;
        let chunks = if IN_TWO_CHUNKS.contains(&period.label().as_str()) { 2 } else { 1 };
        let folder = Path::new("data").join(partition(period)).join(&execution.folder);
        fs::create_dir_all(self.folder.join(&folder))?;
        let mut files = Vec::new();
        let mut names = Vec::new();
        for (chunk, part) in lines.chunks(lines.len().div_ceil(chunks).max(1)).enumerate() {
            let file = folder.join(format!("{NAME}-{:05}.snappy.parquet", chunk + 1));
            let batch = columns::batch(part, self.payer)?;
            write_parquet(&self.folder.join(&file), &batch)?;
            files.push(format!("{REMOTE}/{}", file.display()));
            names = column_types(&batch);
        }
        let manifest = json!({
            "executionId": execution.id,
            "exportArn": format!("arn:aws:bcm-data-exports:us-east-1:{}:export/{NAME}", self.payer.id),
            "billingPeriod": {
                "start": format!("{}T00:00:00.000Z", period.first_day()),
                "end": format!("{}T00:00:00.000Z", period.end()),
            },
            "columns": names,
            "dataFiles": files,
        });
        self.write_manifest(period, &execution.folder, &manifest)?;
        Ok(manifest)
    }

    fn write_manifest(&self, period: Period, folder: &str, manifest: &serde_json::Value) -> Result<()> {
        let folder = self.folder.join("metadata").join(partition(period)).join(folder);
        fs::create_dir_all(&folder)?;
        let text = serde_json::to_string_pretty(manifest)?;
        Ok(fs::write(folder.join(format!("{NAME}-Manifest.json")), text + "\n")?)
    }
}

fn partition(period: Period) -> String {
    format!("BILLING_PERIOD={}", period.label())
}

/// Names and types as manifests have them.
fn column_types(batch: &RecordBatch) -> Vec<serde_json::Value> {
    let type_name = |data_type: &DataType| match data_type {
        DataType::Float64 => "double",
        DataType::Timestamp(_, _) => "timestamp",
        DataType::Map(_, _) => "map",
        _ => "string",
    };
    let schema = batch.schema();
    let fields = schema.fields().iter();
    fields.map(|field| json!({ "name": field.name(), "type": type_name(field.data_type()) })).collect()
}

/// Parquet as AWS writes it: Snappy, no Arrow schema. Nothing in the file depends on the day or the machine.
fn write_parquet(path: &Path, batch: &RecordBatch) -> Result<()> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_created_by(NAME.to_owned())
        .build();
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(File::create(path)?, batch.schema(), options)?;
    writer.write(batch)?;
    writer.close()?;
    Ok(())
}
