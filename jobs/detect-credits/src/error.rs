//! Why credits cannot be detected.

use cur_reader::ReadError;
use datafusion::error::DataFusionError;
use lake::LakeError;
use schemas::RowsError;
use schemas::reference::Problems;

/// The variants differ in what a caller can do about them.
#[derive(Debug, thiserror::Error)]
pub enum DetectError {
    /// The export cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// What was read is not what was counted.
    #[error("{0}")]
    CountMismatch(String),
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

impl From<Problems> for DetectError {
    fn from(problems: Problems) -> Self {
        Self::Read(problems.into())
    }
}

impl From<DataFusionError> for DetectError {
    fn from(error: DataFusionError) -> Self {
        Self::Engine(Box::new(error))
    }
}
