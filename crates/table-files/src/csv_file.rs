//! CSV.

use std::io::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::csv::WriterBuilder;
use arrow::datatypes::{DataType, Schema};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use schemas::reference::guarded;

use crate::error::TableFileError;
use crate::text::{exact, is_text};

/// A CSV file with a header; nulls are empty.
pub struct CsvFile<W: Write> {
    to: W,
    raw: bool,
}

impl<W: Write> CsvFile<W> {
    /// Begins a file with the names of the columns. Texts, names included, are guarded against being taken for formulas
    /// unless `raw`.
    ///
    /// # Errors
    /// [`TableFileError::Write`] where it cannot be written.
    pub fn begin(to: W, schema: &Schema, raw: bool) -> Result<Self, TableFileError> {
        let mut file = Self { to, raw };
        file.add(&RecordBatch::new_empty(Arc::new(schema.clone())), true)?;
        Ok(file)
    }

    /// Adds rows.
    ///
    /// # Errors
    /// [`TableFileError`] where a value has no text or the file cannot be written.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), TableFileError> {
        self.add(batch, false)
    }

    /// The library tells in words only why something cannot be written, so it writes to memory.
    fn add(&mut self, batch: &RecordBatch, has_header: bool) -> Result<(), TableFileError> {
        let schema = batch.schema();
        let columns = schema.fields().iter().zip(batch.columns()).map(|(field, column)| {
            let name = if self.raw { field.name().into() } else { guarded(field.name()) };
            Ok((name, cells(column, self.raw)?, true))
        });
        let cells = RecordBatch::try_from_iter_with_nullable(columns.collect::<Result<Vec<_>, ArrowError>>()?)?;
        let mut text = Vec::new();
        WriterBuilder::new().with_header(has_header).build(&mut text).write(&cells)?;
        Ok(self.to.write_all(&text)?)
    }

    /// Ends the file and gives back what it was written to.
    ///
    /// # Errors
    /// [`TableFileError::Write`] where the rest cannot be written.
    pub fn finish(mut self) -> Result<W, TableFileError> {
        self.to.flush()?;
        Ok(self.to)
    }
}

/// A column as the library takes it: texts guarded unless `raw`, and nested values, which it refuses, as text.
fn cells(column: &ArrayRef, raw: bool) -> Result<ArrayRef, ArrowError> {
    if column.data_type().is_nested() {
        let texts = (0..column.len()).map(|row| exact(column, row)).collect::<Result<Vec<_>, ArrowError>>()?;
        return Ok(Arc::new(StringArray::from(texts)));
    }
    if raw || !is_text(column.data_type()) {
        return Ok(Arc::clone(column));
    }
    let texts = cast(column, &DataType::Utf8)?;
    Ok(Arc::new(texts.as_string::<i32>().iter().map(|text| text.map(guarded)).collect::<StringArray>()))
}

#[cfg(test)]
mod tests {
    use std::io;

    use arrow::array::{
        Date32Array, Decimal128Array, DictionaryArray, Int32Array, ListArray, TimestampMicrosecondArray,
    };
    use arrow::buffer::OffsetBuffer;
    use arrow::datatypes::{Field, Int32Type};

    use super::*;

    fn table<const N: usize>(columns: [(&str, ArrayRef); N]) -> RecordBatch {
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, values)| (name, values, true))).unwrap()
    }

    fn text(batch: &RecordBatch, raw: bool) -> String {
        let mut file = CsvFile::begin(Vec::new(), &batch.schema(), raw).unwrap();
        file.write(batch).unwrap();
        String::from_utf8(file.finish().unwrap()).unwrap()
    }

    /// Texts that a spreadsheet would take for formulas, beside numbers that begin as these do.
    fn entered_by_others() -> RecordBatch {
        let amounts = Decimal128Array::from(vec![Some(-125_000_000_000), Some(0), None]);
        let services: DictionaryArray<Int32Type> = [Some("@SUM(A1)"), Some("AmazonEC2"), None].into_iter().collect();
        table([
            ("=cmd|' /C calc'!A0", Arc::new(StringArray::from(vec![Some("=1+1"), Some("- 5 %"), None]))),
            ("net_cost", Arc::new(amounts.with_precision_and_scale(38, 10).unwrap())),
            ("days_left", Arc::new(Int32Array::from(vec![Some(-3), Some(60), None]))),
            ("service", Arc::new(services)),
        ])
    }

    #[test]
    fn texts_and_names_of_columns_are_never_formulas_and_negative_numbers_stay_numbers() {
        let expected = "'=cmd|' /C calc'!A0,net_cost,days_left,service\n\
                        '=1+1,-12.5000000000,-3,'@SUM(A1)\n\
                        '- 5 %,0.0000000000,60,AmazonEC2\n\
                        ,,,\n";
        assert_eq!(text(&entered_by_others(), false), expected);
        assert_eq!(text(&entered_by_others(), true), &expected.replace("\n'", "\n").replace(",'@", ",@")[1..]);
    }

    #[test]
    fn days_and_instants_are_iso_8601() {
        let instants = vec![Some(1_769_938_200_000_000), Some(1_769_938_200_500_000), None];
        let batch = table([
            ("end_date", Arc::new(Date32Array::from(vec![Some(20_543), Some(-1), None]))),
            ("recorded_at", Arc::new(TimestampMicrosecondArray::from(instants))),
        ]);
        let expected = "end_date,recorded_at\n2026-03-31,2026-02-01T09:30:00\n1969-12-31,2026-02-01T09:30:00.500\n,\n";
        assert_eq!(text(&batch, false), expected);
    }

    #[test]
    fn nested_values_are_text() {
        let texts = StringArray::from(vec!["=1", "a,b", "c"]);
        let item = Arc::new(Field::new_list_field(DataType::Utf8, false));
        let lists = ListArray::new(item, OffsetBuffer::from_lengths([2, 0, 1]), Arc::new(texts), None);
        let batch = table([("list", Arc::new(lists))]);
        assert_eq!(text(&batch, false), "list\n\"[=1, a,b]\"\n[]\n[c]\n");
    }

    #[test]
    fn separators_quotes_and_line_breaks_in_a_name_come_back_as_they_were() {
        let names = ["Retail, \"A/B\" Testing", "two\nlines", " spaces ", "Größe 🎉"];
        let batch = table([("node", Arc::new(StringArray::from(names.to_vec())))]);
        let written = text(&batch, false);
        assert!(written.starts_with("node\n\"Retail, \"\"A/B\"\" Testing\"\n"), "{written}");
        let mut reader = csv::Reader::from_reader(written.as_bytes());
        let read: Vec<String> = reader.records().map(|record| record.unwrap()[0].to_owned()).collect();
        assert_eq!(read, names);
    }

    #[test]
    fn table_without_rows_has_its_header() {
        assert_eq!(text(&entered_by_others().slice(0, 0), true), "=cmd|' /C calc'!A0,net_cost,days_left,service\n");
    }

    /// A disk on which so many bytes are left.
    struct NearlyFull(usize);

    impl Write for NearlyFull {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or_else(|| io::Error::from_raw_os_error(28))?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn disk_that_fills_up_is_told_in_the_midst_and_at_the_end() {
        let batch = table([("text", Arc::new(StringArray::from(vec!["x".repeat(100_000); 2])))]);
        let on = |left: usize| {
            let mut file = CsvFile::begin(NearlyFull(left), &batch.schema(), false)?;
            file.write(&batch)?;
            file.finish().map(drop)
        };
        for left in [0, 100_000, 200_000] {
            let error = on(left).unwrap_err();
            assert!(matches!(error, TableFileError::Write(_)), "{error:?}");
            assert_eq!(error.to_string(), "No space left on device (os error 28)", "{left}");
        }
        on(300_000).unwrap();
    }
}
