//! Files of the export as Arrow batches of the wanted columns.

use std::io::Read;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringDictionaryBuilder};
use arrow::datatypes::{DataType, Field, Fields, Int32Type, Schema};
use arrow::record_batch::RecordBatch;
use chrono::DateTime;
use credit_ledger::BillingPeriod;
use flate2::read::MultiGzDecoder;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::buffered::BufReader;
use object_store::{ObjectMeta, ObjectStore};
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::arrow::async_reader::{AsyncFileReader, ParquetObjectReader};
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use parquet::errors::ParquetError;
use tokio_util::io::SyncIoBridge;

use crate::DetectError;
use crate::error::{bad_file, bad_row};
use crate::listing::{ExportFile, FileKind, object_path};
use crate::values::{DayColumn, PeriodMemo, dictionary_of_text};

const ROWS_PER_BATCH: usize = 8192;
/// Of a text file; no request stays open while lines are read.
const BYTES_PER_READ: usize = 8 << 20;

/// A file opened as far as its columns are known.
#[derive(Clone)]
pub(crate) struct OpenFile {
    pub(crate) file: ExportFile,
    /// Column names as the file spells them.
    pub(crate) names: Vec<String>,
    parquet: Option<ArrowReaderMetadata>,
}

/// The column with text as it lies in the file: numbers of dictionary entries, inside maps too.
fn with_coded_text(field: &Field) -> Field {
    let coded = match field.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => dictionary_of_text(),
        DataType::Dictionary(_, entries) if entries.is_string() => dictionary_of_text(),
        DataType::Map(entries, sorted) => match entries.data_type() {
            DataType::Struct(pair) => {
                let pair: Fields = pair.iter().map(|field| Arc::new(with_coded_text(field))).collect();
                let entries = entries.as_ref().clone().with_data_type(DataType::Struct(pair));
                DataType::Map(Arc::new(entries), *sorted)
            }
            _ => return field.clone(),
        },
        _ => return field.clone(),
    };
    field.clone().with_data_type(coded)
}

/// Rows as they stand in the file.
pub(crate) struct RawBatch {
    /// Row of the first one as a spreadsheet counts: the header of a CSV file is row 1.
    pub(crate) first_row: u64,
    /// The wanted columns, in the wanted order.
    pub(crate) columns: Vec<ArrayRef>,
    pub(crate) rows: usize,
}

pub(crate) type RawStream = BoxStream<'static, Result<RawBatch, DetectError>>;

impl OpenFile {
    /// Reads a Parquet footer or a CSV header.
    pub(crate) async fn open(store: &Arc<dyn ObjectStore>, file: &ExportFile) -> Result<Self, DetectError> {
        if file.size == 0 {
            return Err(bad_file(&file.path, "is empty (0 bytes); copy the file again"));
        }
        if file.kind == FileKind::Parquet {
            let mut reader = parquet_reader(store, file);
            let metadata = reader.get_metadata(None).await.map_err(|error| parquet_error(&file.path, error))?;
            let plain = ArrowReaderMetadata::try_new(metadata, ArrowReaderOptions::new());
            let plain = plain.map_err(|error| parquet_error(&file.path, error))?;
            let coded: Fields = plain.schema().fields().iter().map(|field| Arc::new(with_coded_text(field))).collect();
            let options = ArrowReaderOptions::new().with_schema(Arc::new(Schema::new(coded)));
            let metadata = ArrowReaderMetadata::try_new(Arc::clone(plain.metadata()), options);
            let metadata = metadata.map_err(|error| parquet_error(&file.path, error))?;
            let names = metadata.schema().fields().iter().map(|field| field.name().clone()).collect();
            return Ok(Self { file: file.clone(), names, parquet: Some(metadata) });
        }
        let name = file.path.clone();
        let bytes = byte_reader(store, file);
        let kind = file.kind;
        let header = tokio::task::spawn_blocking(move || {
            csv_reader(bytes, kind).headers().cloned().map_err(|error| csv_error(&name, 1, &error))
        });
        let header = header.await.map_err(|error| bad_file(&file.path, error.to_string()))??;
        let names = header.iter().map(|name| name.trim_start_matches('\u{feff}').to_owned()).collect();
        Ok(Self { file: file.clone(), names, parquet: None })
    }

    /// The parts that can be read apart: row groups of a Parquet file, a text file as a whole.
    pub(crate) fn parts(&self) -> Range<usize> {
        0..self.parquet.as_ref().map_or(1, |metadata| metadata.metadata().num_row_groups())
    }

    /// Rows of a Parquet file from its footer; `None` for text.
    pub(crate) fn rows(&self) -> Option<u64> {
        let metadata = self.parquet.as_ref()?.metadata();
        Some(metadata.row_groups().iter().map(|group| group.num_rows().unsigned_abs()).sum())
    }

    /// The one period that all rows of a part have, and their number, where the footer tells by the bounds of a date
    /// or timestamp `column`.
    pub(crate) fn one_period(&self, part: usize, column: &str) -> Result<Option<(BillingPeriod, u64)>, DetectError> {
        let Some(metadata) = &self.parquet else { return Ok(None) };
        let (schema, groups) = (metadata.schema(), metadata.metadata().row_groups());
        let is_day = schema
            .field_with_name(column)
            .is_ok_and(|field| matches!(field.data_type(), DataType::Date32 | DataType::Timestamp(..)));
        let Some(group) = groups.get(part).filter(|_| is_day) else { return Ok(None) };
        let refused = |error| parquet_error(&self.file.path, error);
        let bounds = StatisticsConverter::try_new(column, schema, metadata.parquet_schema()).map_err(refused)?;
        let no_nulls = bounds.row_group_null_counts([group]).map_err(refused)?.iter().all(|nulls| nulls == Some(0));
        let period = |bound: ArrayRef| {
            let days = DayColumn::new(&bound).ok()?;
            days.period(0, &mut PeriodMemo::default()).ok().flatten()
        };
        let first = period(bounds.row_group_mins([group]).map_err(refused)?);
        let last = period(bounds.row_group_maxes([group]).map_err(refused)?);
        let one = first.filter(|first| no_nulls && last == Some(*first));
        Ok(one.map(|period| (period, group.num_rows().unsigned_abs())))
    }

    /// Bytes of one part.
    pub(crate) fn part_bytes(&self, part: usize) -> u64 {
        let group = self.parquet.as_ref().and_then(|metadata| metadata.metadata().row_groups().get(part));
        group.map_or(self.file.size, |group| group.compressed_size().unsigned_abs())
    }

    /// The wanted columns of one part.
    pub(crate) fn read(
        &self,
        store: &Arc<dyn ObjectStore>,
        part: usize,
        wanted: &[String],
    ) -> Result<RawStream, DetectError> {
        match &self.parquet {
            Some(metadata) => self.read_parquet(store, metadata, part, wanted),
            None => Ok(self.read_csv(store, wanted)),
        }
    }

    fn read_parquet(
        &self,
        store: &Arc<dyn ObjectStore>,
        metadata: &ArrowReaderMetadata,
        part: usize,
        wanted: &[String],
    ) -> Result<RawStream, DetectError> {
        let path = self.file.path.clone();
        let groups = metadata.metadata().row_groups();
        let before: u64 = groups.iter().take(part).map(|group| group.num_rows().unsigned_abs()).sum();
        let roots: Vec<usize> =
            wanted.iter().filter_map(|name| self.names.iter().position(|column| column == name)).collect();
        let mask = ProjectionMask::roots(metadata.parquet_schema(), roots);
        let stream =
            ParquetRecordBatchStreamBuilder::new_with_metadata(parquet_reader(store, &self.file), metadata.clone())
                .with_projection(mask)
                .with_row_groups(vec![part])
                .with_batch_size(ROWS_PER_BATCH)
                .build()
                .map_err(|error| parquet_error(&path, error))?;
        let wanted = wanted.to_vec();
        let mut next_row = before + 1;
        let batches = stream.map_err({
            let path = path.clone();
            move |error| parquet_error(&path, error)
        });
        Ok(batches
            .map(move |batch| {
                let batch = batch?;
                let first_row = next_row;
                next_row += batch.num_rows() as u64;
                raw_batch(&path, first_row, &batch, &wanted)
            })
            .boxed())
    }

    fn read_csv(&self, store: &Arc<dyn ObjectStore>, wanted: &[String]) -> RawStream {
        let bytes = byte_reader(store, &self.file);
        let kind = self.file.kind;
        let indexes: Vec<usize> =
            wanted.iter().filter_map(|name| self.names.iter().rposition(|column| column == name)).collect();
        let name = self.file.path.clone();
        let (sender, receiver) = tokio::sync::mpsc::channel(2);
        tokio::task::spawn_blocking(move || {
            let mut reader = csv_reader(bytes, kind);
            let mut first_row = 2;
            loop {
                let batch = csv_batch(&name, &mut reader, first_row, &indexes);
                let last = batch.as_ref().map_or(true, |batch| batch.rows < ROWS_PER_BATCH);
                first_row += ROWS_PER_BATCH as u64;
                if sender.blocking_send(batch).is_err() || last {
                    return;
                }
            }
        });
        futures::stream::unfold(
            receiver,
            |mut receiver| async move { receiver.recv().await.map(|batch| (batch, receiver)) },
        )
        .boxed()
    }
}

fn raw_batch(path: &str, first_row: u64, batch: &RecordBatch, wanted: &[String]) -> Result<RawBatch, DetectError> {
    let columns = wanted.iter().map(|name| {
        let column = batch.column_by_name(name).cloned();
        column.ok_or_else(|| bad_file(path, format!("column {name} is missing")))
    });
    Ok(RawBatch { first_row, columns: columns.collect::<Result<_, _>>()?, rows: batch.num_rows() })
}

fn parquet_reader(store: &Arc<dyn ObjectStore>, file: &ExportFile) -> ParquetObjectReader {
    // A footer is some thousandths of its file: with what is fetched first, mostly all of it.
    let footer = usize::try_from(file.size / 100).unwrap_or(usize::MAX).clamp(8 << 10, 512 << 10);
    ParquetObjectReader::new(Arc::clone(store), object_path(&file.path))
        .with_file_size(file.size)
        .with_footer_size_hint(footer)
}

/// The bytes of a file for a blocking reader.
fn byte_reader(store: &Arc<dyn ObjectStore>, file: &ExportFile) -> Box<dyn Read + Send> {
    // As the listing said; nothing else of it is looked at.
    let object = ObjectMeta {
        location: object_path(&file.path),
        last_modified: DateTime::UNIX_EPOCH,
        size: file.size,
        e_tag: None,
        version: None,
    };
    Box::new(SyncIoBridge::new(BufReader::with_capacity(Arc::clone(store), &object, BYTES_PER_READ)))
}

/// Records of a CSV file, unpacked. Blocks: a gzip reader reads its header when it is made.
fn csv_reader(bytes: Box<dyn Read + Send>, kind: FileKind) -> csv::Reader<Box<dyn Read + Send>> {
    let text: Box<dyn Read + Send> = if kind == FileKind::CsvGz { Box::new(MultiGzDecoder::new(bytes)) } else { bytes };
    csv::ReaderBuilder::new().from_reader(text)
}

/// Up to [`ROWS_PER_BATCH`] records; `NULL` and empty fields are null.
fn csv_batch(
    path: &str,
    reader: &mut csv::Reader<Box<dyn Read + Send>>,
    first_row: u64,
    indexes: &[usize],
) -> Result<RawBatch, DetectError> {
    let mut builders: Vec<StringDictionaryBuilder<Int32Type>> =
        indexes.iter().map(|_| StringDictionaryBuilder::new()).collect();
    let mut record = csv::StringRecord::new();
    let mut rows = 0;
    while rows < ROWS_PER_BATCH {
        let more = reader.read_record(&mut record).map_err(|error| csv_error(path, first_row + rows as u64, &error))?;
        if !more {
            break;
        }
        for (builder, index) in builders.iter_mut().zip(indexes) {
            builder.append_option(record.get(*index).filter(|value| !value.is_empty() && *value != "NULL"));
        }
        rows += 1;
    }
    let columns = builders.iter_mut().map(|builder| Arc::new(builder.finish()) as ArrayRef).collect();
    Ok(RawBatch { first_row, columns, rows })
}

fn csv_error(path: &str, row: u64, error: &csv::Error) -> DetectError {
    use std::io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    let message = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            let message = format!("has {len} fields where the header has {expected_len}; the file may be cut off");
            return bad_row(path, row, message);
        }
        csv::ErrorKind::Utf8 { .. } => return bad_row(path, row, "is not UTF-8".to_owned()),
        csv::ErrorKind::Io(io) if io.kind() == UnexpectedEof && row == 1 => {
            "is cut off before its first row; copy the file again".to_owned()
        }
        csv::ErrorKind::Io(io) if io.kind() == UnexpectedEof => {
            format!("is cut off after row {}: the gzip stream has no end; copy the file again", row.saturating_sub(1))
        }
        csv::ErrorKind::Io(io) if matches!(io.kind(), InvalidData | InvalidInput) => {
            format!("is no valid gzip file ({io}); copy the file again, or end its name in .csv if it is plain text")
        }
        csv::ErrorKind::Io(io) => {
            let source = std::io::Error::new(io.kind(), io.to_string());
            return DetectError::Io { file: path.to_owned(), source };
        }
        _ => return bad_row(path, row, error.to_string()),
    };
    bad_file(path, message)
}

fn parquet_error(path: &str, error: ParquetError) -> DetectError {
    match error {
        ParquetError::External(source) => match source.downcast::<object_store::Error>() {
            Ok(source) => DetectError::Store(*source),
            Err(source) => bad_file(path, format!("cannot be read: {source}")),
        },
        error => bad_file(path, format!("is not a complete Parquet file ({error}); copy the file again")),
    }
}
