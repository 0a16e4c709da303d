//! Text files of the export, packed or plain.

use std::io::Read;
use std::sync::Arc;

use arrow::array::StringDictionaryBuilder;
use arrow::datatypes::Int32Type;
use chrono::DateTime;
use flate2::read::MultiGzDecoder;
use futures::StreamExt;
use object_store::buffered::BufReader;
use object_store::{ObjectMeta, ObjectStore};
use tokio_util::io::SyncIoBridge;

use super::{ROWS_PER_BATCH, RawBatch, RawColumn, RawStream};
use crate::DetectError;
use crate::error::{bad_file, bad_row};
use crate::listing::{ExportFile, FileKind, object_path};

/// Bytes read at once; no request stays open while lines are read.
const BYTES_PER_READ: usize = 8 << 20;

/// Column names as the header spells them.
pub(super) async fn header(store: &Arc<dyn ObjectStore>, file: &ExportFile) -> Result<Vec<String>, DetectError> {
    let (name, kind) = (file.path.clone(), file.kind);
    let bytes = byte_reader(store, file);
    let header = tokio::task::spawn_blocking(move || {
        csv_reader(bytes, kind).headers().cloned().map_err(|error| csv_error(&name, 1, &error))
    });
    let header = header.await.map_err(|error| bad_file(&file.path, error.to_string()))??;
    Ok(header.iter().map(|name| name.trim_start_matches('\u{feff}').to_owned()).collect())
}

/// The columns at these positions.
pub(super) fn read(store: &Arc<dyn ObjectStore>, file: &ExportFile, indexes: Vec<usize>) -> RawStream {
    let (name, kind) = (file.path.clone(), file.kind);
    let bytes = byte_reader(store, file);
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
    let columns = builders.iter_mut().map(|builder| RawColumn::Array(Arc::new(builder.finish()))).collect();
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
