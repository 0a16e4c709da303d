//! Rows to the bytes of a Parquet file, column beside column.

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::common::runtime::SpawnedTask;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowLeafColumn, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;

/// A file in the making. Each column is encoded by whichever thread is free; the bytes are the same whichever that is.
pub(crate) struct Encoder {
    schema: SchemaRef,
    file: SerializedFileWriter<Vec<u8>>,
    groups: ArrowRowGroupWriterFactory,
    rows_per_group: usize,
    /// The row group in the making.
    columns: Vec<ArrowColumnWriter>,
    rows: usize,
}

impl Encoder {
    pub(crate) fn new(
        schema: SchemaRef,
        properties: WriterProperties,
        rows_per_group: usize,
    ) -> Result<Self, ParquetError> {
        let writer = ArrowWriter::try_new(Vec::new(), schema.clone(), Some(properties))?;
        let (file, groups) = writer.into_serialized_writer()?;
        Ok(Self { schema, file, groups, rows_per_group, columns: Vec::new(), rows: 0 })
    }

    /// Adds rows; a row group ends with the rows that fill it. Gives the bytes that are complete.
    pub(crate) async fn write(&mut self, batch: &RecordBatch) -> Result<Vec<u8>, ParquetError> {
        if self.columns.is_empty() {
            self.columns = self.groups.create_column_writers(self.file.flushed_row_groups().len())?;
        }
        let mut values = Vec::with_capacity(self.columns.len());
        for (field, column) in self.schema.fields().iter().zip(batch.columns()) {
            values.extend(compute_leaves(field, column)?);
        }
        let columns = std::mem::take(&mut self.columns).into_iter().zip(values).collect();
        self.columns = side_by_side(columns, |(mut column, values): (ArrowColumnWriter, ArrowLeafColumn)| {
            column.write(&values)?;
            Ok(column)
        })
        .await?;
        self.rows += batch.num_rows();
        if self.rows >= self.rows_per_group {
            self.end_group().await?;
        }
        Ok(std::mem::take(self.file.inner_mut()))
    }

    async fn end_group(&mut self) -> Result<(), ParquetError> {
        let columns = side_by_side(std::mem::take(&mut self.columns), ArrowColumnWriter::close).await?;
        let mut group = self.file.next_row_group()?;
        for column in columns {
            column.append_to_row_group(&mut group)?;
        }
        group.close()?;
        self.rows = 0;
        self.file.flush().map_err(|error| ParquetError::External(error.into()))
    }

    /// Gives the rest of the bytes.
    pub(crate) async fn finish(mut self) -> Result<Vec<u8>, ParquetError> {
        if !self.columns.is_empty() {
            self.end_group().await?;
        }
        self.file.into_inner()
    }
}

/// Works on items on all threads. Results come in order.
async fn side_by_side<T: Send + 'static, R: Send + 'static>(
    items: Vec<T>,
    work: fn(T) -> Result<R, ParquetError>,
) -> Result<Vec<R>, ParquetError> {
    let started: Vec<_> = items.into_iter().map(|item| SpawnedTask::spawn(async move { work(item) })).collect();
    let mut done = Vec::with_capacity(started.len());
    for task in started {
        done.push(task.join_unwind().await.map_err(|error| ParquetError::External(error.into()))??);
    }
    Ok(done)
}
