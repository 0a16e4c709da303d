//! Tables as files for people and their programs, from Arrow batches: [`CsvFile`], [`ParquetFile`], [`WorkbookFile`]; and
//! workbooks that people filled in, [`read_sheet`].
//!
//! * CSV has exact amounts, and a guard before texts that a spreadsheet would take for formulas
//! * Parquet keeps the types of the tables
//! * XLSX has numbers and days as such; a number with more digits than a spreadsheet keeps is text

mod csv_file;
mod error;
mod parquet_file;
mod sheet;
mod text;
mod workbook_file;
mod workbook_limits;

pub use csv_file::CsvFile;
pub use error::TableFileError;
pub use parquet_file::ParquetFile;
pub use sheet::{Sheet, is_workbook, read_sheet};
pub use text::{exact, is_text};
pub use workbook_file::WorkbookFile;
