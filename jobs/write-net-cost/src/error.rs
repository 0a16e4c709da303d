//! Why a run cannot be staged.

use credit_ledger::MoneyError;
use datafusion::error::DataFusionError;
use lake::LakeError;
use schemas::RowsError;

/// The variants differ in what a caller can do about them.
#[derive(Debug, thiserror::Error)]
pub enum NetCostError {
    /// The run does not tie out, or breaks another invariant: one line each.
    #[error("the run does not tie out:\n{}", .0.join("\n"))]
    Breaches(Vec<String>),
    /// The lake refused.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// A plan failed.
    #[error("{0}")]
    Engine(#[from] Box<DataFusionError>),
    /// Rows do not fit their table.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// A sum left the range of money.
    #[error(transparent)]
    Money(#[from] MoneyError),
}

impl From<DataFusionError> for NetCostError {
    fn from(error: DataFusionError) -> Self {
        Self::Engine(Box::new(error))
    }
}
