//! Parquet tables among the lake's files: each table or partition is one file in a folder of its own.

use std::error::Error;
use std::sync::Arc;

use arrow::compute::BatchCoalescer;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use credit_ledger::Text;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::logical_expr::{cast, lit};
use datafusion::physical_plan::common::spawn_buffered;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::prelude::{DataFrame, ParquetReadOptions, SessionContext, col};
use futures::{Stream, StreamExt};
use object_store::buffered::BufWriter;
use object_store::path::Path;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::arrow::async_reader::ParquetObjectReader;
use parquet::arrow::async_writer::AsyncFileWriter;
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use schemas::{ColumnValue, Place, RowsError, Table, TableRow, coded_text_type, decoding, money_type};

use crate::decoding::{decoded, decoded_items};
use crate::encoder::Encoder;
use crate::error::LakeError;
use crate::layout::part;
use crate::store::Store;
use crate::sums::{FileSum, Summing};

/// Rows handed to the writer at once: fixed, so that the bytes do not depend on how a plan cut its batches.
const ROWS_PER_WRITE: usize = 8192;
const ROWS_PER_GROUP: usize = 131_072;
/// Bytes at the end of a file that are fetched first: mostly they hold the whole footer.
const FOOTER_BYTES: usize = 16 << 10;
/// Bytes of a page before it is compressed. Each column holds one while it is written or read.
const BYTES_PER_PAGE: usize = 256 << 10;

fn writer_properties(table: &Table) -> Result<WriterProperties, LakeError> {
    // Our own state is read as a whole, by us, and soon.
    let (statistics, compression) = match table.place {
        Place::Published | Place::Log => (EnabledStatistics::Page, Compression::ZSTD(ZstdLevel::try_new(1)?)),
        Place::Generation | Place::Intermediate => (EnabledStatistics::None, Compression::LZ4_RAW),
    };
    let mut properties = WriterProperties::builder();
    // No value of it comes twice.
    if let Some(key) = table.sole_key() {
        properties = properties.set_column_dictionary_enabled(ColumnPath::from(key), false);
    }
    Ok(properties
        .set_created_by("finops-credits".to_owned())
        .set_compression(compression)
        .set_statistics_enabled(statistics)
        .set_max_row_group_row_count(Some(ROWS_PER_GROUP))
        .set_data_page_size_limit(BYTES_PER_PAGE)
        .set_data_page_row_count_limit(ROWS_PER_GROUP)
        .build())
}

impl Store {
    /// Writes a stream as the one file of `folder`; its rows must be in their final order.
    pub(crate) async fn write_stream(
        &self,
        folder: &Path,
        table: &Table,
        rows: SendableRecordBatchStream,
    ) -> Result<FileSum, LakeError> {
        let path = part(folder);
        let refused = |error: ParquetError| self.refused(&path, &error).unwrap_or_else(|| error.into());
        let mut sink = BufWriter::new(Arc::clone(self.objects()), path.clone());
        let sum = encode(table, rows, &mut sink, refused).await?;
        self.known.wrote(path, sum, None);
        Ok(sum)
    }

    /// Writes rows as the one file of `folder`.
    pub(crate) async fn write_rows<R: TableRow>(&self, folder: &Path, rows: &[R]) -> Result<(), LakeError> {
        self.write_stream(folder, &R::TABLE, stream_of(rows)?).await.map(drop)
    }

    /// A table's folder as a plan, in no order. Of a table that is not partitioned the file must be there when the plan is
    /// run.
    pub(crate) async fn frame(
        &self,
        context: &SessionContext,
        folder: &Path,
        table: &Table,
        partitioned: bool,
    ) -> Result<DataFrame, LakeError> {
        let schema = table.schema_of_files();
        let options = ParquetReadOptions::default().schema(&schema);
        let (files, options) = if partitioned {
            let partitions = vec![(Table::PARTITION.to_owned(), DataType::Utf8)];
            (format!("{}{folder}/", self.engine_url()), options.table_partition_cols(partitions))
        } else {
            (format!("{}{}", self.engine_url(), part(folder)), options)
        };
        let mut frame = context.read_parquet(files, options).await?;
        for column in table.later_columns() {
            frame = frame.with_column(column, coalesce(vec![col(column), cast(lit(0), money_type())]))?;
        }
        Ok(frame)
    }

    /// The one file of `folder` as a plan that knows that it is in order of the table's keys.
    pub(crate) async fn ordered_frame(
        &self,
        context: &SessionContext,
        folder: &Path,
        table: &Table,
    ) -> Result<DataFrame, LakeError> {
        let schema = table.schema();
        let order = table.keys().iter().map(|key| col(*key).sort(true, true)).collect();
        let options = ParquetReadOptions::default().schema(&schema).file_sort_order(vec![order]);
        Ok(context.read_parquet(format!("{}{}", self.engine_url(), part(folder)), options).await?)
    }

    /// The one file of `folder` in its order, without a plan.
    pub(crate) async fn read_stream(&self, folder: &Path) -> Result<SendableRecordBatchStream, LakeError> {
        self.open(folder, None).await
    }

    /// As [`read_stream`](Self::read_stream), with text as the file keeps it: numbers of dictionary entries.
    pub(crate) async fn read_coded_stream(
        &self,
        folder: &Path,
        table: &Table,
    ) -> Result<SendableRecordBatchStream, LakeError> {
        self.open(folder, Some(table)).await
    }

    async fn open(&self, folder: &Path, coded_as: Option<&Table>) -> Result<SendableRecordBatchStream, LakeError> {
        let path = part(folder);
        let reader = ParquetObjectReader::new(Arc::clone(self.objects()), path.clone());
        let mut reader = reader.with_footer_size_hint(FOOTER_BYTES);
        let opened = decoded(async {
            let mut file = ArrowReaderMetadata::load_async(&mut reader, ArrowReaderOptions::new()).await?;
            if let Some(table) = coded_as {
                file = coded(file, table)?;
            }
            let file = ParquetRecordBatchStreamBuilder::new_with_metadata(reader, file);
            file.with_batch_size(ROWS_PER_WRITE).build()
        });
        let stream = self.read_or(&path, opened.await)?;
        let schema = Arc::clone(stream.schema());
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, self.named(path, stream))))
    }

    /// A stream whose failures name the file.
    fn named(
        &self,
        path: Path,
        stream: impl Stream<Item = Result<RecordBatch, ParquetError>> + Unpin + Send + 'static,
    ) -> impl Stream<Item = Result<RecordBatch, DataFusionError>> + Send + 'static {
        let store = self.clone();
        decoded_items(stream)
            .map(move |item| store.read_or(&path, item).map_err(|error| DataFusionError::External(Box::new(error))))
    }

    /// What was decoded of a file, or why it cannot be: storage refuses, or it is damaged.
    fn read_or<T, E: Error + 'static>(
        &self,
        path: &Path,
        decoded: Result<Result<T, E>, String>,
    ) -> Result<T, LakeError> {
        let error = match decoded {
            Ok(Ok(read)) => return Ok(read),
            Ok(Err(error)) => error,
            Err(panic) => return Err(self.damaged(path, format!("cannot be decoded: {panic}"))),
        };
        Err(match self.refused(path, &error) {
            Some(refused) => refused,
            None if self.is_remote_failure(&error) => LakeError::Service(format!("{}: {error}", self.name(path))),
            None => self.damaged(path, format!("cannot be decoded: {error}")),
        })
    }

    /// The rows of the one file of `folder`, without a plan.
    pub(crate) async fn read_rows<R: TableRow>(&self, folder: &Path) -> Result<Vec<R>, LakeError> {
        let path = part(folder);
        let bytes = self.read_small(&path).await?.ok_or_else(|| self.missing(&path))?;
        self.read_or(&path, decoding(|| rows_of(bytes)))
    }

    /// A column of text of the one file of `folder`, a table's; empty where there is none.
    pub(crate) async fn read_texts(
        &self,
        folder: &Path,
        table: &Table,
        column: &'static str,
    ) -> Result<Vec<Text>, LakeError> {
        let path = part(folder);
        let Some(bytes) = self.read_small(&path).await? else { return Ok(Vec::new()) };
        self.read_or(&path, decoding(|| texts_of(bytes, table, column)))
    }
}

/// Rows to the bytes of a file.
async fn encode(
    table: &Table,
    rows: SendableRecordBatchStream,
    sink: &mut impl AsyncFileWriter,
    refused: impl Fn(ParquetError) -> LakeError,
) -> Result<FileSum, LakeError> {
    let schema = table.schema();
    let mut file = Encoder::new(Arc::clone(&schema), writer_properties(table)?, ROWS_PER_GROUP)?;
    let mut coalescer = BatchCoalescer::new(Arc::clone(&schema), ROWS_PER_WRITE);
    let (mut count, mut sum) = (0, Summing::new());
    // Rows are made on one thread while those before are encoded on others.
    let mut rows = spawn_buffered(rows, 1);
    loop {
        let batch = rows.next().await.transpose()?;
        let is_last = batch.is_none();
        match batch {
            Some(batch) => {
                count += batch.num_rows() as u64;
                coalescer.push_batch(conform(&batch, &schema)?)?;
            }
            None => coalescer.finish_buffered_batch()?,
        }
        while let Some(full) = coalescer.next_completed_batch() {
            let complete = file.write(&full).await?;
            sum.add(&complete);
            sink.write(complete.into()).await.map_err(&refused)?;
        }
        if is_last {
            break;
        }
    }
    let rest = file.finish().await?;
    sum.add(&rest);
    sink.write(rest.into()).await.map_err(&refused)?;
    sink.complete().await.map_err(&refused)?;
    Ok(sum.finish(count))
}

/// Rows as a stream of one batch.
///
/// # Errors
/// [`LakeError::Rows`] where a value does not fit its column.
pub fn stream_of<R: TableRow>(rows: &[R]) -> Result<SendableRecordBatchStream, LakeError> {
    Ok(stream_of_batch(schemas::to_batch(rows)?))
}

/// One batch of rows as a stream.
#[must_use]
pub fn stream_of_batch(rows: RecordBatch) -> SendableRecordBatchStream {
    Box::pin(RecordBatchStreamAdapter::new(rows.schema(), futures::stream::iter([Ok(rows)])))
}

/// A column of text of a file.
fn texts_of(bytes: Vec<u8>, table: &Table, column: &'static str) -> Result<Vec<Text>, LakeError> {
    let file = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(bytes))?;
    let only = ProjectionMask::columns(file.parquet_schema(), [column]);
    let mut texts = Vec::new();
    for batch in file.with_projection(only).build()? {
        let found = match batch?.columns() {
            [found] => Text::from_array(found),
            _ => Err("is missing".to_owned()),
        };
        texts.extend(found.map_err(|problem| RowsError::Column { table: table.name, column, problem })?);
    }
    Ok(texts)
}

/// A file whose text is to be read as numbers of dictionary entries, where it has any.
fn coded(file: ArrowReaderMetadata, table: &Table) -> Result<ArrowReaderMetadata, ParquetError> {
    let fields = file.schema().fields().iter().map(|field| match field.data_type() {
        DataType::Utf8 if table.sole_key() != Some(field.name()) => {
            field.as_ref().clone().with_data_type(coded_text_type())
        }
        _ => field.as_ref().clone(),
    });
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    ArrowReaderMetadata::try_new(Arc::clone(file.metadata()), ArrowReaderOptions::new().with_schema(schema))
}

/// The rows of a file.
fn rows_of<R: TableRow>(bytes: Vec<u8>) -> Result<Vec<R>, LakeError> {
    let bytes = Bytes::from(bytes);
    let file = coded(ArrowReaderMetadata::load(&bytes, ArrowReaderOptions::new())?, &R::TABLE)?;
    let file = ParquetRecordBatchReaderBuilder::new_with_metadata(bytes, file);
    let count = usize::try_from(file.metadata().file_metadata().num_rows()).unwrap_or(ROWS_PER_GROUP);
    // One batch where one holds them all: its rows need not be put together with others.
    let batches = file.with_batch_size(count.clamp(1, ROWS_PER_GROUP)).build()?;
    Ok(schemas::from_batches(&batches.collect::<Result<Vec<_>, _>>()?)?)
}

/// The batch in the table's schema: its columns by name, nullability as declared.
fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, LakeError> {
    let columns = schema.fields().iter().map(|field| {
        let column = batch.column_by_name(field.name()).ok_or_else(|| {
            arrow::error::ArrowError::SchemaError(format!("column {} is missing in the result", field.name()))
        })?;
        arrow::compute::cast(column, field.data_type())
    });
    Ok(RecordBatch::try_new(Arc::clone(schema), columns.collect::<Result<_, _>>()?)?)
}

#[cfg(test)]
mod tests;
