//! Why an export cannot be read.

use schemas::reference::{Problem, Problems};

/// The variants differ in what a caller can do about them.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The export is not what it should be; each place is named.
    #[error(transparent)]
    BadExport(#[from] Problems),
    /// The export is not there yet, or changes while it is read.
    #[error("{0}")]
    NotYet(String),
    /// Storage refused.
    #[error("storage: {0}")]
    Store(object_store::Error),
    /// Storage failed while a file was read.
    #[error("{file}: {source}")]
    Io {
        /// The file.
        file: String,
        /// Why.
        source: std::io::Error,
    },
}

impl From<object_store::Error> for ReadError {
    fn from(error: object_store::Error) -> Self {
        use object_store::Error::{InvalidPath, NotFound};
        match error {
            // It was listed.
            NotFound { path, .. } => Self::NotYet(format!("{path}: the export changed while it was read; try again")),
            InvalidPath { source } => bad_file("export", format!("{source}; rename what is named so")),
            other => Self::Store(other),
        }
    }
}

/// One problem with a row.
pub(crate) fn bad_row(file: &str, row: u64, message: String) -> ReadError {
    ReadError::BadExport(Problems(vec![Problem { file: file.to_owned(), row: Some(row), column: None, message }]))
}

/// One problem with a column.
#[must_use]
pub fn bad_column(file: &str, column: &str, message: String) -> ReadError {
    let column = Some(column.to_owned());
    ReadError::BadExport(Problems(vec![Problem { file: file.to_owned(), row: None, column, message }]))
}

/// One problem with a file as a whole.
#[must_use]
pub fn bad_file(file: &str, message: impl Into<String>) -> ReadError {
    ReadError::BadExport(Problems(vec![Problem {
        file: file.to_owned(),
        row: None,
        column: None,
        message: message.into(),
    }]))
}
