//! Tables as files for people and their programs, from Arrow batches: [`CsvFile`], [`ParquetFile`].
//!
//! * CSV has exact amounts, and a guard before texts that a spreadsheet would take for formulas
//! * Parquet keeps the types of the tables

mod csv_file;
mod error;
mod parquet_file;
mod text;

pub use csv_file::CsvFile;
pub use error::TableFileError;
pub use parquet_file::ParquetFile;
pub use text::{exact, is_text};
