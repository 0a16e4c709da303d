//! XLSX, for spreadsheets.

use std::io::Write;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType, Schema};
use arrow::record_batch::RecordBatch;
use rust_xlsxwriter::{DocProperties, ExcelDateTime, Format, Workbook, Worksheet, XlsxError};

use crate::error::TableFileError;
use crate::text::exact;

/// Digits that every spreadsheet keeps of a number.
const DIGITS: usize = 15;

/// Characters that a sheet's name has at most.
const LONGEST_NAME: usize = 31;

/// A workbook with a sheet per table: the header stays in sight and can be filtered, amounts are numbers, days are days, and
/// texts are never formulas.
pub struct WorkbookFile {
    book: Workbook,
    sheets: usize,
    /// Of the sheet in the making, the header included.
    rows: u32,
    columns: u16,
    header: Format,
    amount: Format,
    day: Format,
}

impl WorkbookFile {
    /// Begins a workbook without a sheet.
    ///
    /// # Errors
    /// [`TableFileError::Write`], as all of them.
    pub fn begin() -> Result<Self, TableFileError> {
        let mut book = Workbook::new();
        // The same tables make the same bytes, whenever that is.
        book.set_properties(&DocProperties::new().set_creation_datetime(&ExcelDateTime::from_ymd(2000, 1, 1)?));
        let (header, amount) = (Format::new().set_bold(), Format::new().set_num_format("#,##0.00########"));
        let day = Format::new().set_num_format("yyyy-mm-dd");
        Ok(Self { book, sheets: 0, rows: 0, columns: 0, header, amount, day })
    }

    /// Begins a sheet with the names of the columns.
    ///
    /// # Errors
    /// [`TableFileError::Write`] for a name that another sheet has, and where the system has no temporary files.
    pub fn sheet(&mut self, name: &str, schema: &Schema) -> Result<(), TableFileError> {
        self.end_sheet()?;
        let name: String = name.chars().take(LONGEST_NAME).collect();
        let sheet = self.book.add_worksheet_with_constant_memory()?;
        sheet.set_name(name)?.set_freeze_panes(1, 0)?;
        for (column, field) in (0..).zip(schema.fields()) {
            let width = u16::try_from(field.name().len()).unwrap_or(u16::MAX).clamp(12, 28);
            sheet.set_column_width(column, width)?;
            sheet.write_string_with_format(0, column, field.name(), &self.header)?;
        }
        (self.rows, self.columns) = (1, u16::try_from(schema.fields().len()).unwrap_or(u16::MAX));
        self.sheets += 1;
        Ok(())
    }

    /// Adds rows to the sheet that was begun last.
    ///
    /// # Errors
    /// [`TableFileError::Write`] for more rows than a sheet holds or a text longer than a cell holds.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), TableFileError> {
        let sheet = self.book.worksheet_from_index(self.sheets.saturating_sub(1))?;
        for row in 0..batch.num_rows() {
            for (place, column) in (0..).zip(batch.columns()) {
                if column.is_valid(row) {
                    cell(sheet, (self.rows, place), column, row, (&self.amount, &self.day))?;
                }
            }
            self.rows += 1;
        }
        Ok(())
    }

    fn end_sheet(&mut self) -> Result<(), TableFileError> {
        if let Some(last) = self.sheets.checked_sub(1) {
            let sheet = self.book.worksheet_from_index(last)?;
            sheet.autofilter(0, 0, self.rows.saturating_sub(1), self.columns.saturating_sub(1))?;
        }
        Ok(())
    }

    /// Ends the workbook.
    ///
    /// # Errors
    /// [`TableFileError::Write`] where it cannot be written.
    pub fn finish(mut self, to: impl Write + Send) -> Result<(), TableFileError> {
        self.end_sheet()?;
        Ok(self.book.save_to_writer(to)?)
    }
}

fn cell(
    sheet: &mut Worksheet,
    (row, column): (u32, u16),
    values: &ArrayRef,
    at: usize,
    (amount, day): (&Format, &Format),
) -> Result<(), TableFileError> {
    let text = exact(values, at)?;
    match values.data_type() {
        DataType::Decimal128(..) if fits(&text) => {
            sheet.write_number_with_format(row, column, text.parse::<f64>().unwrap_or_default(), amount)?
        }
        data_type if data_type.is_integer() && fits(&text) => {
            sheet.write_number(row, column, text.parse::<f64>().unwrap_or_default())?
        }
        DataType::Date32 => {
            sheet.write_datetime_with_format(row, column, &ExcelDateTime::parse_from_str(&text)?, day)?
        }
        DataType::Boolean => sheet.write_boolean(row, column, text == "true")?,
        _ => sheet.write_string(row, column, text)?,
    };
    Ok(())
}

/// True where a spreadsheet keeps every digit of a number; another one is written as text.
fn fits(number: &str) -> bool {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let (whole, fraction) = (whole.trim_start_matches(['-', '0']), fraction.trim_end_matches('0'));
    let digits = if whole.is_empty() { fraction.trim_start_matches('0').len() } else { whole.len() + fraction.len() };
    digits <= DIGITS
}

impl From<XlsxError> for TableFileError {
    fn from(error: XlsxError) -> Self {
        match error {
            XlsxError::IoError(error) => Self::Write(error),
            XlsxError::RowColumnLimitError => {
                Self::TooLarge("a sheet holds 1,048,575 rows; narrow it, or name a file that ends in .csv".to_owned())
            }
            XlsxError::MaxStringLengthExceeded => {
                Self::TooLarge("a cell holds 32,767 characters of text; name a file that ends in .csv".to_owned())
            }
            other => Self::Write(std::io::Error::other(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;
    use std::sync::Arc;

    use arrow::array::{
        BooleanArray, Date32Array, Decimal128Array, Int64Array, StringArray, TimestampMicrosecondArray,
    };

    use super::*;
    use crate::sheet::{Sheet, read_sheet};

    fn table() -> RecordBatch {
        let amounts = Decimal128Array::from(vec![Some(12_345_000_000_001), Some(-5), None]);
        let amounts = amounts.with_precision_and_scale(38, 10).unwrap();
        let large = Decimal128Array::from(vec![Some(12_345_678_900_000_000_001), Some(0), None]);
        let columns: [(&str, ArrayRef); 6] = [
            ("amount", Arc::new(amounts)),
            ("large", Arc::new(large.with_precision_and_scale(38, 10).unwrap())),
            ("day", Arc::new(Date32Array::from(vec![Some(20_543), None, Some(0)]))),
            ("lot", Arc::new(Int64Array::from(vec![Some(1), Some(-2), None]))),
            ("text", Arc::new(StringArray::from(vec![Some("=1+1"), Some(" 041000000203"), None]))),
            ("flag", Arc::new(BooleanArray::from(vec![Some(true), Some(false), None]))),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, values)| (name, values, true))).unwrap()
    }

    fn bytes() -> Vec<u8> {
        let mut file = WorkbookFile::begin().unwrap();
        for name in ["first", "a_name_of_more_characters_than_a_sheet_may_have"] {
            file.sheet(name, &table().schema()).unwrap();
            file.write(&table().slice(0, 1)).unwrap();
            file.write(&table().slice(1, 2)).unwrap();
        }
        let mut to = Cursor::new(Vec::new());
        file.finish(&mut to).unwrap();
        to.into_inner()
    }

    #[test]
    fn rows_come_back_with_every_digit_and_texts_are_no_formulas() {
        let Sheet { csv, other_sheets } = read_sheet(&bytes()).unwrap();
        let expected = "amount,large,day,lot,text,flag\n1234.5000000001,1234567890.0000000001,2026-03-31,1,=1+1,true\n\
                        -0.0000000005,0,,-2, 041000000203,false\n,,1970-01-01,,,\n";
        assert_eq!(String::from_utf8(csv).unwrap(), expected);
        assert_eq!(other_sheets, ["a_name_of_more_characters_than_"]);
    }

    fn part(book: &[u8], name: &str) -> String {
        let mut archive = zip::ZipArchive::new(Cursor::new(book)).unwrap();
        std::io::read_to_string(archive.by_name(name).unwrap()).unwrap()
    }

    #[test]
    fn header_stays_in_sight_columns_can_be_filtered_and_amounts_and_days_look_like_such() {
        let book = bytes();
        let (sheet, styles) = (part(&book, "xl/worksheets/sheet1.xml"), part(&book, "xl/styles.xml"));
        for shown in ["<pane ySplit=\"1\" topLeftCell=\"A2\"", "<autoFilter ref=\"A1:F4\"/>"] {
            assert!(sheet.contains(shown), "{shown}: {sheet}");
        }
        for format in ["#,##0.00########", "yyyy-mm-dd"] {
            assert!(styles.contains(format), "{format}: {styles}");
        }
        assert!(!sheet.contains("<f>"), "no cell is a formula: {sheet}");
    }

    /// A sheet of which only the last row is left.
    #[test]
    fn sheet_that_is_full_is_told_with_what_to_do() {
        let mut file = WorkbookFile::begin().unwrap();
        file.sheet("net_cost", &table().schema()).unwrap();
        file.rows = 1_048_575;
        file.write(&table().slice(0, 1)).unwrap();
        let full = file.write(&table().slice(1, 1)).unwrap_err();
        assert!(matches!(full, TableFileError::TooLarge(_)), "{full:?}");
        assert_eq!(full.to_string(), "a sheet holds 1,048,575 rows; narrow it, or name a file that ends in .csv");
    }

    #[test]
    fn text_that_no_cell_holds_is_told_with_what_to_do() {
        let with = |length: usize| {
            let texts: ArrayRef = Arc::new(StringArray::from(vec!["é".repeat(length)]));
            let batch = RecordBatch::try_from_iter([("description", texts)]).unwrap();
            let mut file = WorkbookFile::begin()?;
            file.sheet("credits", &batch.schema())?;
            file.write(&batch)
        };
        with(32_767).unwrap();
        let long = with(32_768).unwrap_err();
        assert!(matches!(long, TableFileError::TooLarge(_)), "{long:?}");
        assert_eq!(long.to_string(), "a cell holds 32,767 characters of text; name a file that ends in .csv");
    }

    #[test]
    fn table_without_rows_is_its_header_and_an_instant_is_text() {
        let instants: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![1_769_938_200_000_000]));
        let batch = RecordBatch::try_from_iter([("recorded_at", instants)]).unwrap();
        let mut file = WorkbookFile::begin().unwrap();
        file.sheet("allocations", &batch.schema()).unwrap();
        file.write(&batch).unwrap();
        file.sheet("empty", &table().schema()).unwrap();
        let mut to = Cursor::new(Vec::new());
        file.finish(&mut to).unwrap();
        let book = to.into_inner();
        assert_eq!(read_sheet(&book).unwrap().csv, b"recorded_at\n2026-02-01T09:30:00\n");
        let empty = part(&book, "xl/worksheets/sheet2.xml");
        assert!(empty.contains("<autoFilter ref=\"A1:F1\"/>") && !empty.contains("<row r=\"2\""), "{empty}");
    }

    #[test]
    fn same_tables_make_the_same_bytes() {
        assert_eq!(bytes(), bytes());
    }

    #[test]
    fn number_is_kept_as_one_where_fifteen_digits_hold_it() {
        for (number, is_kept) in [
            ("12345.6789012345", true),
            ("123456.6789012345", false),
            ("0.0000000001", true),
            ("-100000000000000.0000000000", true),
            ("1000000000000000.0000000000", false),
        ] {
            assert_eq!(fits(number), is_kept, "{number}");
        }
    }
}
