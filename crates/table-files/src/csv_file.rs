//! CSV.

use std::io::Write;

use arrow::datatypes::Schema;
use arrow::record_batch::RecordBatch;
use schemas::reference::guarded;

use crate::error::TableFileError;
use crate::text::{exact, is_text};

/// A CSV file with a header; nulls are empty.
pub struct CsvFile<W: Write> {
    writer: csv::Writer<W>,
    raw: bool,
}

impl<W: Write> CsvFile<W> {
    /// Begins a file with the names of the columns. Texts, names included, are guarded against being taken for formulas
    /// unless `raw`.
    ///
    /// # Errors
    /// [`TableFileError::Write`] where it cannot be written.
    pub fn begin(to: W, schema: &Schema, raw: bool) -> Result<Self, TableFileError> {
        let mut file = Self { writer: csv::Writer::from_writer(to), raw };
        let names: Vec<String> = schema.fields().iter().map(|field| file.cell(field.name())).collect();
        file.writer.write_record(names)?;
        Ok(file)
    }

    fn cell(&self, text: &str) -> String {
        if self.raw { text.to_owned() } else { guarded(text).into_owned() }
    }

    /// Adds rows.
    ///
    /// # Errors
    /// [`TableFileError`] where a value has no text or the file cannot be written.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), TableFileError> {
        for row in 0..batch.num_rows() {
            let values = batch.columns().iter().map(|column| {
                let value = exact(column, row)?;
                Ok(if is_text(column.data_type()) { self.cell(&value) } else { value })
            });
            let values = values.collect::<Result<Vec<_>, TableFileError>>()?;
            self.writer.write_record(values)?;
        }
        Ok(())
    }

    /// Ends the file and gives back what it was written to.
    ///
    /// # Errors
    /// [`TableFileError::Write`] where the rest cannot be written.
    pub fn finish(self) -> Result<W, TableFileError> {
        self.writer.into_inner().map_err(|error| TableFileError::Write(error.into_error()))
    }
}
