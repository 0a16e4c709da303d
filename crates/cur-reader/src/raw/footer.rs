//! A Parquet footer, checked before it is decoded, and what it says of the wanted columns, and no more: of 130 columns
//! it takes about 0.1 MB a row group.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema};
use bytes::Bytes;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{FileMetaData, FooterTail, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};
use parquet::schema::types::{SchemaDescriptor, Type};
use schemas::coded_text_type;

use super::{parquet_error, shapes};
use crate::error::ReadError;
use crate::listing::{ExportFile, object_path};

/// The footer's length and what says that it is one.
const TAIL: usize = 8;
/// Bytes of a footer. Of 1,000 row groups with 130 columns each it has about 15 MB.
const LONGEST: usize = 64 << 20;
/// Rows that any file may claim, and rows a byte of larger ones. Lines of an export take tens of bytes each; where all are
/// alike some bytes can stand for any number of them.
const ROWS: u64 = 1 << 20;
const ROWS_PER_BYTE: u64 = 64;

/// Fetches the bytes of a footer, without its tail.
pub(crate) async fn fetch(store: &Arc<dyn ObjectStore>, file: &ExportFile) -> std::result::Result<Bytes, ReadError> {
    let refused = |error| parquet_error(&file.path, error);
    // A footer is some thousandths of its file: with what is fetched first, mostly all of it.
    let first = (file.size / 100).clamp(8 << 10, 512 << 10).min(file.size);
    let path = object_path(&file.path);
    let end = store.get_range(&path, file.size - first..file.size).await?;
    let length = length(&end, file.size).map_err(refused)?;
    let tail = end.len() - TAIL;
    if let Some(start) = tail.checked_sub(length) {
        return Ok(end.slice(start..tail));
    }
    let end = file.size - TAIL as u64;
    Ok(store.get_range(&path, end - length as u64..end).await?)
}

/// The length of the footer, from the end of a file.
fn length(end: &[u8], size: u64) -> Result<usize> {
    let tail = end.last_chunk().ok_or_else(|| ParquetError::EOF("fewer bytes than a footer has".to_owned()))?;
    let tail = FooterTail::try_new(tail)?;
    if tail.is_encrypted_footer() {
        return Err(ParquetError::General("it is encrypted".to_owned()));
    }
    let length = tail.metadata_length();
    if length > LONGEST || (length + TAIL) as u64 > size {
        return Err(ParquetError::General(format!("the footer claims {length} bytes")));
    }
    Ok(length)
}

/// The footer as it lies in the file, with text as dictionary indexes.
pub(crate) fn decode(footer: &[u8], size: u64) -> Result<ArrowReaderMetadata> {
    shapes::check(footer)?;
    let whole = ParquetMetaDataReader::decode_metadata(footer)?;
    check_rows(&whole, size)?;
    let whole = Arc::new(whole);
    // The Arrow schema that some writers embed says nothing that is needed. But where it is damaged, the file is.
    ArrowReaderMetadata::try_new(Arc::clone(&whole), ArrowReaderOptions::new())?;
    let plain = ArrowReaderMetadata::try_new(whole, ArrowReaderOptions::new().with_skip_arrow_metadata(true))?;
    let fields: Fields = plain.schema().fields().iter().map(|field| Arc::new(with_coded_text(field))).collect();
    ArrowReaderMetadata::try_new(Arc::clone(plain.metadata()), options(fields))
}

fn check_rows(footer: &ParquetMetaData, size: u64) -> Result<()> {
    let mut rows = 0_u64;
    for group in footer.row_groups() {
        let more = u64::try_from(group.num_rows()).ok().and_then(|more| rows.checked_add(more));
        rows = more.ok_or_else(|| ParquetError::General("a row group claims fewer than no rows".to_owned()))?;
    }
    if rows > ROWS.saturating_add(size.saturating_mul(ROWS_PER_BYTE)) {
        return Err(ParquetError::General(format!("the footer claims {rows} rows in {size} bytes")));
    }
    Ok(())
}

fn options(fields: Fields) -> ArrowReaderOptions {
    ArrowReaderOptions::new().with_schema(Arc::new(Schema::new(fields)))
}

/// The same of these columns only.
pub(crate) fn of_columns(whole: &ArrowReaderMetadata, roots: &BTreeSet<usize>) -> Result<ArrowReaderMetadata> {
    let (metadata, schema) = (whole.metadata(), whole.parquet_schema());
    let root = schema.root_schema();
    let fields = roots.iter().filter_map(|root_at| root.get_fields().get(*root_at).cloned()).collect();
    let kept = Type::group_type_builder(root.name()).with_fields(fields).build()?;
    let kept = Arc::new(SchemaDescriptor::new(Arc::new(kept)));
    let groups = metadata.row_groups().iter().map(|group| {
        let columns = group.columns().iter().enumerate();
        let columns = columns.filter(|(leaf, _)| roots.contains(&schema.get_column_root_idx(*leaf)));
        RowGroupMetaData::builder(Arc::clone(&kept))
            .set_num_rows(group.num_rows())
            .set_total_byte_size(group.total_byte_size())
            .set_column_metadata(columns.map(|(_, column)| column.clone()).collect())
            .build()
    });
    let groups = groups.collect::<Result<_>>()?;
    let file = metadata.file_metadata();
    let created_by = file.created_by().map(str::to_owned);
    let file = FileMetaData::new(file.version(), file.num_rows(), created_by, None, Arc::clone(&kept), None);
    let fields = roots.iter().filter_map(|root| whole.schema().fields().get(*root).cloned()).collect();
    ArrowReaderMetadata::try_new(Arc::new(ParquetMetaData::new(file, groups)), options(fields))
}

/// The column with text as it lies in the file: numbers of dictionary entries, inside maps too.
fn with_coded_text(field: &Field) -> Field {
    let coded = match field.data_type() {
        DataType::Utf8 => coded_text_type(),
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
