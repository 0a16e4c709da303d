//! Why a table makes no file.

use arrow::error::ArrowError;

/// The variants differ in what a caller can do about them.
#[derive(Debug, thiserror::Error)]
pub enum TableFileError {
    /// It cannot be written.
    #[error("{0}")]
    Write(#[from] std::io::Error),
    /// The kind of file cannot hold it; says what to do.
    #[error("{0}")]
    TooLarge(String),
    /// A value cannot be told.
    #[error("{0}")]
    Value(#[from] ArrowError),
}

impl From<parquet::errors::ParquetError> for TableFileError {
    fn from(error: parquet::errors::ParquetError) -> Self {
        Self::Write(std::io::Error::other(error))
    }
}
