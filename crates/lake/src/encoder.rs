//! Rows to the bytes of a Parquet file, column beside column.

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::common::runtime::SpawnedTask;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowLeafColumn, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;

/// So few are encoded before another thread would wake up to do it.
const FEW_ROWS: usize = 500;

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
        self.rows += batch.num_rows();
        self.columns =
            side_by_side(self.rows, columns, |(mut column, values): (ArrowColumnWriter, ArrowLeafColumn)| {
                column.write(&values)?;
                Ok(column)
            })
            .await?;
        if self.rows >= self.rows_per_group {
            self.end_group().await?;
        }
        Ok(std::mem::take(self.file.inner_mut()))
    }

    async fn end_group(&mut self) -> Result<(), ParquetError> {
        let columns = std::mem::take(&mut self.columns);
        let columns = side_by_side(self.rows, columns, ArrowColumnWriter::close).await?;
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

/// Works on columns on all threads, but those of a few rows on this one. Results come in order.
async fn side_by_side<T: Send + 'static, R: Send + 'static>(
    rows: usize,
    items: Vec<T>,
    work: fn(T) -> Result<R, ParquetError>,
) -> Result<Vec<R>, ParquetError> {
    if rows <= FEW_ROWS {
        return items.into_iter().map(work).collect();
    }
    let started: Vec<_> = items.into_iter().map(|item| SpawnedTask::spawn(async move { work(item) })).collect();
    let mut done = Vec::with_capacity(started.len());
    for task in started {
        done.push(task.join_unwind().await.map_err(|error| ParquetError::External(error.into()))??);
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringArray};
    use arrow::compute::concat_batches;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;

    fn rows(first: i64, count: i64) -> RecordBatch {
        let numbers: ArrayRef = Arc::new((first..first + count).collect::<Int64Array>());
        let texts: ArrayRef =
            Arc::new((first..first + count).map(|row| Some(format!("t{row}"))).collect::<StringArray>());
        RecordBatch::try_from_iter([("number", numbers), ("text", texts)]).unwrap()
    }

    async fn encoded(batches: &[RecordBatch]) -> Vec<u8> {
        let mut encoder = Encoder::new(rows(0, 0).schema(), WriterProperties::builder().build(), 4).unwrap();
        let mut bytes = Vec::new();
        for batch in batches {
            bytes.extend(encoder.write(batch).await.unwrap());
        }
        bytes.extend(encoder.finish().await.unwrap());
        bytes
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 3)]
    async fn rows_read_back_in_order_in_row_groups_that_the_batches_fill() {
        let bytes = encoded(&[rows(0, 2), rows(2, 2), rows(4, 2)]).await;
        assert_eq!(bytes, encoded(&[rows(0, 2), rows(2, 2), rows(4, 2)]).await);
        let file = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).unwrap();
        let groups: Vec<i64> = file.metadata().row_groups().iter().map(|group| group.num_rows()).collect();
        let read: Vec<RecordBatch> = file.build().unwrap().map(Result::unwrap).collect();
        assert_eq!((groups, concat_batches(&rows(0, 0).schema(), &read).unwrap()), (vec![4, 2], rows(0, 6)));
    }

    #[tokio::test]
    async fn no_rows_make_a_file_without_row_groups() {
        let file = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(encoded(&[]).await)).unwrap();
        assert_eq!((file.metadata().num_row_groups(), file.schema().clone()), (0, rows(0, 0).schema()));
    }
}
