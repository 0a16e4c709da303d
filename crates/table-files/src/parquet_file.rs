//! Parquet.

use std::io::Write;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::error::TableFileError;

/// A Parquet file with the columns and types of its batches.
pub struct ParquetFile<W: Write + Send> {
    writer: ArrowWriter<W>,
}

impl<W: Write + Send> ParquetFile<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// [`TableFileError::Write`] where it cannot be written.
    pub fn begin(to: W, schema: SchemaRef) -> Result<Self, TableFileError> {
        let properties = WriterProperties::builder()
            .set_created_by("finops-credits".to_owned())
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .build();
        Ok(Self { writer: ArrowWriter::try_new(to, schema, Some(properties))? })
    }

    /// Adds rows.
    ///
    /// # Errors
    /// [`TableFileError::Write`] where it cannot be written.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), TableFileError> {
        Ok(self.writer.write(batch)?)
    }

    /// Ends the file and gives back what it was written to.
    ///
    /// # Errors
    /// [`TableFileError::Write`] where the rest cannot be written.
    pub fn finish(self) -> Result<W, TableFileError> {
        Ok(self.writer.into_inner()?)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, StringArray};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;

    #[test]
    fn rows_come_back_as_they_were() {
        let names: ArrayRef = Arc::new(StringArray::from(vec![Some("=a"), None, Some("é")]));
        let batch = RecordBatch::try_from_iter_with_nullable([("name", names, true)]).unwrap();
        let mut file = ParquetFile::begin(Vec::new(), batch.schema()).unwrap();
        file.write(&batch.slice(0, 1)).unwrap();
        file.write(&batch.slice(1, 2)).unwrap();
        let bytes = bytes::Bytes::from(file.finish().unwrap());
        let read: Vec<_> =
            ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap().map(Result::unwrap).collect();
        assert_eq!(arrow::compute::concat_batches(&batch.schema(), &read).unwrap(), batch);
    }
}
