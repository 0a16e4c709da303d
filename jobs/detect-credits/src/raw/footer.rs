//! What a Parquet footer says of the wanted columns, and no more: of 130 columns it takes about 0.1 MB a row group.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::errors::Result;
use parquet::file::metadata::{FileMetaData, ParquetMetaData, RowGroupMetaData};
use parquet::schema::types::{SchemaDescriptor, Type};
use schemas::coded_text_type;

/// The footer as it lies in the file, with text as dictionary indexes.
pub(super) fn coded(whole: Arc<ParquetMetaData>) -> Result<ArrowReaderMetadata> {
    let plain = ArrowReaderMetadata::try_new(whole, ArrowReaderOptions::new())?;
    let fields: Fields = plain.schema().fields().iter().map(|field| Arc::new(with_coded_text(field))).collect();
    ArrowReaderMetadata::try_new(Arc::clone(plain.metadata()), options(fields))
}

fn options(fields: Fields) -> ArrowReaderOptions {
    ArrowReaderOptions::new().with_schema(Arc::new(Schema::new(fields)))
}

/// The same of these columns only.
pub(super) fn of_columns(whole: &ArrowReaderMetadata, roots: &BTreeSet<usize>) -> Result<ArrowReaderMetadata> {
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
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => coded_text_type(),
        DataType::Dictionary(_, entries) if entries.is_string() => coded_text_type(),
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
