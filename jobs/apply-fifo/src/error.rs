//! Why credits cannot be applied.

use arrow::error::ArrowError;
use bytesize::ByteSize;
use credit_ledger::{BillingPeriod, Breach, LedgerError, MoneyError, NodeError, PolicyError};
use datafusion::error::DataFusionError;
use lake::LakeError;

/// Why credits cannot be applied.
#[derive(Debug, thiserror::Error)]
pub enum FifoError {
    /// The ledger refused.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A batch of cells lacks a column, or has it in another type.
    #[error("cells without a proper column {0}")]
    Column(&'static str),
    /// A sum left the range of money.
    #[error(transparent)]
    Money(#[from] MoneyError),
    /// A row's columns are no node.
    #[error("{row}: {source}")]
    Node {
        /// Which row.
        row: String,
        /// Why.
        source: NodeError,
    },
    /// Draws could not be kept until they were wanted.
    #[error("temporary file for draws: {0}")]
    TemporaryFile(#[source] std::io::Error),
    /// The spend that lots may draw on does not fit into the memory that a run may take.
    #[error("the spend of {period} that lots may draw on takes {} or more; raise [run] memory_limit", ByteSize(*.needed))]
    Memory {
        /// The billing period.
        period: BillingPeriod,
        /// Bytes.
        needed: u64,
    },
    /// The settings name no policy.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The lake refused.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// Cells cannot be read.
    #[error(transparent)]
    Cells(#[from] Box<DataFusionError>),
    /// The rows make no batch.
    #[error(transparent)]
    Columns(#[from] ArrowError),
    /// Invariants do not hold: a fault of the program.
    #[error("an invariant does not hold:\n{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Breach(Vec<Breach>),
}

impl From<DataFusionError> for FifoError {
    fn from(error: DataFusionError) -> Self {
        Self::Cells(Box::new(error))
    }
}

impl From<FifoError> for DataFusionError {
    fn from(error: FifoError) -> Self {
        match error {
            FifoError::TemporaryFile(error) => Self::IoError(error),
            error => Self::External(error.into()),
        }
    }
}
