//! Text files of the export, packed or plain.

use std::sync::Arc;

use arrow::array::StringDictionaryBuilder;
use arrow::datatypes::Int32Type;
use chrono::DateTime;
use futures::StreamExt;
use object_store::buffered::BufReader;
use object_store::{ObjectMeta, ObjectStore};
use tokio_util::io::SyncIoBridge;

use super::packing::Packing;
use super::records::{Records, with_records};
use super::{RawBatch, RawColumn, RawStream, decoding, rows_per_batch};
use crate::error::ReadError;
use crate::error::bad_file;
use crate::listing::{ExportFile, object_path};

/// Bytes read at once; no request stays open while lines are read.
const BYTES_PER_READ: usize = 8 << 20;
/// Values that a column of a batch has room for from the start.
const ROOM: usize = 1024;

/// Bytes of text in one batch, however few its rows.
const BYTES_PER_BATCH: usize = 64 << 20;

/// Column names as the header spells them.
pub(crate) async fn header(
    store: &Arc<dyn ObjectStore>,
    file: &ExportFile,
    packing: Packing,
) -> Result<Vec<String>, ReadError> {
    let (name, size, bytes) = (file.path.clone(), file.size, byte_reader(store, file));
    let header = tokio::task::spawn_blocking(move || {
        decoding(&name, || with_records(&name, (bytes, size), packing, |records| Ok(records.header().clone())))
    });
    let header = header.await.map_err(|error| bad_file(&file.path, error.to_string()))??;
    Ok(header.iter().map(|name| name.trim_start_matches('\u{feff}').to_owned()).collect())
}

/// The columns at these positions.
pub(crate) fn read(
    store: &Arc<dyn ObjectStore>,
    file: &ExportFile,
    packing: Packing,
    indexes: Vec<usize>,
) -> RawStream {
    let (name, size, bytes) = (file.path.clone(), file.size, byte_reader(store, file));
    let (sender, receiver) = tokio::sync::mpsc::channel(2);
    tokio::task::spawn_blocking(move || {
        // False where nobody listens any more.
        let send = |batch: RawBatch| sender.blocking_send(Ok(batch)).is_ok();
        let all = |mut records: Records<'_>| {
            loop {
                let batch = csv_batch(&mut records, &indexes)?;
                let is_last = batch.rows == 0;
                if !send(batch) || is_last {
                    return Ok(());
                }
            }
        };
        if let Err(failure) = decoding(&name, || with_records(&name, (bytes, size), packing, all)) {
            sender.blocking_send(Err(failure)).unwrap_or_default();
        }
    });
    futures::stream::unfold(
        receiver,
        |mut receiver| async move { receiver.recv().await.map(|batch| (batch, receiver)) },
    )
    .boxed()
}

/// The bytes of a file for a blocking reader.
fn byte_reader(store: &Arc<dyn ObjectStore>, file: &ExportFile) -> SyncIoBridge<BufReader> {
    // As the listing said; nothing else of it is looked at.
    let object = ObjectMeta {
        location: object_path(&file.path),
        last_modified: DateTime::UNIX_EPOCH,
        size: file.size,
        e_tag: None,
        version: None,
    };
    SyncIoBridge::new(BufReader::with_capacity(Arc::clone(store), &object, BYTES_PER_READ))
}

/// The next records, [`rows_per_batch`] or fewer; none at the end. `NULL` and empty fields are null.
fn csv_batch(records: &mut Records<'_>, indexes: &[usize]) -> Result<RawBatch, ReadError> {
    let most = rows_per_batch(indexes.len());
    let room = most.min(ROOM);
    let mut builders: Vec<StringDictionaryBuilder<Int32Type>> =
        indexes.iter().map(|_| StringDictionaryBuilder::with_capacity(room, room, room)).collect();
    let mut record = csv::StringRecord::new();
    let (first_row, mut rows, mut bytes) = (records.row(), 0, 0);
    while rows < most && bytes < BYTES_PER_BATCH && records.next(&mut record)? {
        for (builder, index) in builders.iter_mut().zip(indexes) {
            builder.append_option(record.get(*index).filter(|value| !value.is_empty() && *value != "NULL"));
        }
        rows += 1;
        bytes += record.as_slice().len();
    }
    let columns = builders.iter_mut().map(|builder| RawColumn::Array(Arc::new(builder.finish()))).collect();
    Ok(RawBatch { first_row, columns, rows })
}
