//! The one error a command ends with, and its exit code.

use std::error::Error;
use std::fmt;

use apply_fifo::FifoError;
use credit_ledger::MoneyError;
use datafusion::error::DataFusionError;
use detect_credits::DetectError;
use lake::LakeError;
use schemas::RowsError;
use schemas::reference::Problems;

/// What the caller can do about a failure; each kind has its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The command line is wrong.
    Usage,
    /// Settings, reference data or the export are wrong: somebody has to mend them.
    BadInput,
    /// Input is not there yet: try again later.
    NotYet,
    /// A check failed; nothing was published.
    CheckFailed,
    /// Storage or a service is unavailable: a retry may help.
    Storage,
    /// Another run was faster: retry.
    LostRace,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 6] =
        [Self::Usage, Self::BadInput, Self::NotYet, Self::CheckFailed, Self::Storage, Self::LostRace];

    /// The exit code.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Usage => 2,
            Self::BadInput => 3,
            Self::NotYet => 4,
            Self::CheckFailed => 5,
            Self::Storage => 6,
            Self::LostRace => 7,
        }
    }

    /// What it means, for help texts and docs.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::BadInput => "bad input (settings, reference data, export)",
            Self::NotYet => "input not there yet",
            Self::CheckFailed => "an invariant or the tie-out failed or the lake is damaged, nothing published",
            Self::Storage => "storage or service unavailable (a retry may help)",
            Self::LostRace => "lost a race with another run (retry)",
        }
    }
}

/// A failure with what to tell the person.
#[derive(Debug)]
pub struct Failure {
    /// What the caller can do.
    pub kind: Kind,
    message: String,
}

impl Failure {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl Error for Failure {}

impl From<LakeError> for Failure {
    fn from(error: LakeError) -> Self {
        let kind = match &error {
            LakeError::BadInput(_) | LakeError::BadRows(_) | LakeError::Denied(_) => Kind::BadInput,
            LakeError::NotYet(_) => Kind::NotYet,
            LakeError::LostRace(_) => Kind::LostRace,
            LakeError::Io { .. } | LakeError::Store(_) | LakeError::Service(_) => Kind::Storage,
            LakeError::Iceberg(error) if error.kind() == iceberg_conflict() => Kind::LostRace,
            LakeError::Iceberg(_) => Kind::Storage,
            LakeError::Engine(error) => engine_kind(error),
            LakeError::Rows(_) | LakeError::Record { .. } | LakeError::Damaged(_) => Kind::CheckFailed,
        };
        Self::new(kind, error.to_string())
    }
}

const fn iceberg_conflict() -> lake::IcebergErrorKind {
    lake::IcebergErrorKind::CatalogCommitConflicts
}

impl From<DetectError> for Failure {
    fn from(error: DetectError) -> Self {
        let kind = match &error {
            DetectError::BadExport(_) => Kind::BadInput,
            DetectError::NotYet(_) => Kind::NotYet,
            DetectError::CountMismatch(_) | DetectError::Rows(_) | DetectError::Money { .. } => Kind::CheckFailed,
            DetectError::Store(error) if is_denied(error) => Kind::BadInput,
            DetectError::Store(_) | DetectError::Io { .. } => Kind::Storage,
            DetectError::Engine(error) => engine_kind(error),
        };
        Self::new(kind, error.to_string())
    }
}

impl From<FifoError> for Failure {
    fn from(error: FifoError) -> Self {
        Self::new(Kind::CheckFailed, error.to_string())
    }
}

impl From<MoneyError> for Failure {
    fn from(error: MoneyError) -> Self {
        Self::new(Kind::CheckFailed, error.to_string())
    }
}

impl From<RowsError> for Failure {
    fn from(error: RowsError) -> Self {
        Self::new(Kind::CheckFailed, error.to_string())
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self::new(Kind::BadInput, problems.to_string())
    }
}

impl From<DataFusionError> for Failure {
    fn from(error: DataFusionError) -> Self {
        Self::new(engine_kind(&error), error.strip_backtrace())
    }
}

/// True where storage does not allow it: that does not heal by itself.
const fn is_denied(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. })
}

/// Storage where an I/O or object store error is at the bottom, else a failed check.
pub(crate) fn engine_kind(error: &DataFusionError) -> Kind {
    if let DataFusionError::ResourcesExhausted(_) = error.find_root() {
        return Kind::Storage;
    }
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.downcast_ref::<object_store::Error>().is_some_and(is_denied) {
            return Kind::BadInput;
        }
        if error.is::<std::io::Error>() || error.is::<object_store::Error>() {
            return Kind::Storage;
        }
        cause = error.source();
    }
    Kind::CheckFailed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_below_a_plan_is_a_storage_failure() {
        let full = std::io::Error::from_raw_os_error(28);
        let store = object_store::Error::Generic { store: "LocalFileSystem", source: Box::new(full) };
        let wrapped = DataFusionError::ObjectStore(Box::new(store)).context("writing");
        assert_eq!(engine_kind(&wrapped), Kind::Storage);
        assert_eq!(engine_kind(&DataFusionError::Execution("SUM overflows".into())), Kind::CheckFailed);
    }
}
