//! Why an export cannot be taken.

use datafusion::error::DataFusionError;
use lake::LakeError;
use schemas::RowsError;
use schemas::reference::{Problem, Problems};

/// The variants differ in what a caller can do about them.
#[derive(Debug, thiserror::Error)]
pub enum DetectError {
    /// The export is not what it should be; each place is named.
    #[error(transparent)]
    BadExport(#[from] Problems),
    /// The export is not there yet, or changes while it is read.
    #[error("{0}")]
    NotYet(String),
    /// What was read is not what was counted.
    #[error("{0}")]
    CountMismatch(String),
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
    /// A plan failed.
    #[error("{0}")]
    Engine(#[from] Box<DataFusionError>),
    /// The lake refused.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// Rows do not fit their table.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// A sum left the range of money.
    #[error("credit {credit_key}: {source}")]
    Money {
        /// The credit.
        credit_key: String,
        /// Why.
        source: credit_ledger::MoneyError,
    },
}

impl From<object_store::Error> for DetectError {
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

impl From<DataFusionError> for DetectError {
    fn from(error: DataFusionError) -> Self {
        Self::Engine(Box::new(error))
    }
}

/// One problem with a row.
pub(crate) fn bad_row(file: &str, row: u64, message: String) -> DetectError {
    DetectError::BadExport(Problems(vec![Problem { file: file.to_owned(), row: Some(row), column: None, message }]))
}

/// One problem with a column.
pub(crate) fn bad_column(file: &str, column: &str, message: String) -> DetectError {
    let column = Some(column.to_owned());
    DetectError::BadExport(Problems(vec![Problem { file: file.to_owned(), row: None, column, message }]))
}

/// One problem with a file as a whole.
pub(crate) fn bad_file(file: &str, message: impl Into<String>) -> DetectError {
    DetectError::BadExport(Problems(vec![Problem {
        file: file.to_owned(),
        row: None,
        column: None,
        message: message.into(),
    }]))
}
