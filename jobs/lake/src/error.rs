//! What can go wrong between a job and the lake.

use std::path::PathBuf;

use datafusion::error::DataFusionError;
use schemas::RowsError;
use schemas::reference::Problems;

/// Why the lake could not do as asked. The variants differ in what a caller can do about them.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    /// Settings or reference files are wrong; somebody has to mend them.
    #[error("{0}")]
    BadInput(String),
    /// Rows of reference files are wrong.
    #[error(transparent)]
    BadRows(#[from] Problems),
    /// Something that an earlier step leaves is not there yet.
    #[error("{0}")]
    NotYet(String),
    /// Another run holds the lake or was faster.
    #[error("{0}")]
    LostRace(String),
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The object store refused.
    #[error("storage: {0}")]
    Store(#[from] object_store::Error),
    /// The catalogue or a log refused.
    #[error("iceberg: {0}")]
    Iceberg(#[from] Box<iceberg::Error>),
    /// A plan failed.
    #[error("{0}")]
    Engine(#[from] Box<DataFusionError>),
    /// A file holds something else than its table says.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// A record beside the tables cannot be read.
    #[error("{path}: {source}")]
    Record {
        /// Where.
        path: String,
        /// Why.
        source: serde_json::Error,
    },
}

impl From<iceberg::Error> for LakeError {
    fn from(error: iceberg::Error) -> Self {
        Self::Iceberg(Box::new(error))
    }
}

impl From<DataFusionError> for LakeError {
    fn from(error: DataFusionError) -> Self {
        Self::Engine(Box::new(error))
    }
}

impl From<parquet::errors::ParquetError> for LakeError {
    fn from(error: parquet::errors::ParquetError) -> Self {
        Self::from(DataFusionError::from(error))
    }
}

impl From<arrow::error::ArrowError> for LakeError {
    fn from(error: arrow::error::ArrowError) -> Self {
        Self::from(DataFusionError::from(error))
    }
}

pub(crate) fn at(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> LakeError {
    let path = path.into();
    move |source| LakeError::Io { path, source }
}
