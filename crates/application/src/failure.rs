//! The one error a command ends with, and its exit code.

use std::error::Error;
use std::fmt;

use apply_fifo::FifoError;
use credit_ledger::MoneyError;
use cur_reader::ReadError;
use datafusion::error::DataFusionError;
use detect_credits::{DetectError, EngineLost, EngineRefused};
use join_allocations::JoinError;
use lake::LakeError;
use schemas::RowsError;
use schemas::reference::Problems;
use serde_json::Value;
use table_files::TableFileError;
use write_net_cost::NetCostError;

use crate::foreign_text::{LINE, visible, without_keys};
use crate::removed_nodes;

/// What the caller can do about a failure; each kind has its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The command line is wrong.
    Usage,
    /// Settings, reference data or the export are wrong: somebody has to mend them.
    BadInput,
    /// Input is not there yet: try again later.
    NotYet,
    /// A check failed, or the lake is damaged; nothing was published.
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

    /// Its name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::BadInput => "bad_input",
            Self::NotYet => "not_yet",
            Self::CheckFailed => "check_failed",
            Self::Storage => "storage",
            Self::LostRace => "lost_race",
        }
    }

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

impl From<&TableFileError> for Kind {
    fn from(error: &TableFileError) -> Self {
        match error {
            TableFileError::Write(_) => Self::Storage,
            TableFileError::TooLarge(_) => Self::BadInput,
            TableFileError::Value(_) => Self::CheckFailed,
        }
    }
}

/// A failure with what to tell the person.
#[derive(Debug)]
pub struct Failure {
    /// What the caller can do.
    pub kind: Kind,
    lines: Vec<String>,
}

impl Failure {
    /// A failure told in one line, whatever stands in the message.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, lines: vec![message.into()] }
    }

    /// A failure told in several lines: what is wrong, and each place.
    pub fn list(kind: Kind, what: &str, places: impl IntoIterator<Item = impl ToString>) -> Self {
        let places = places.into_iter().map(|place| place.to_string());
        Self { kind, lines: std::iter::once(what.to_owned()).chain(places).collect() }
    }

    /// What is wrong, a line each.
    pub fn into_lines(self) -> Vec<String> {
        self.lines
    }
}

impl Failure {
    /// For programs: `{"error": {"kind", "exit_code", "message", "lines"}}` in one line. `message` is the first of `lines`.
    pub fn json(&self) -> String {
        self.for_programs().to_string()
    }

    /// As [`json`](Self::json), as a value.
    pub fn for_programs(&self) -> Value {
        let lines: Vec<_> = self.lines.iter().map(|line| without_keys(line)).collect();
        let error = serde_json::json!({
            "kind": self.kind.name(),
            "exit_code": self.kind.exit_code(),
            "message": lines.first(),
            "lines": lines,
        });
        serde_json::json!({ "error": error })
    }
}

/// What a message quotes is made `visible`; it cannot break a line.
impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.lines.iter().map(|line| visible(&without_keys(line), LINE)).collect();
        formatter.write_str(&lines.join("\n"))
    }
}

impl Error for Failure {}

impl From<LakeError> for Failure {
    fn from(error: LakeError) -> Self {
        let kind = match &error {
            LakeError::BadRows(problems) => return problems.into(),
            LakeError::BadInput(_) | LakeError::Denied(_) => Kind::BadInput,
            LakeError::OfNow { .. } => Kind::Usage,
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
        let kind = match error {
            DetectError::Read(error) => return error.into(),
            DetectError::Lake(error) => return error.into(),
            DetectError::CountMismatch(_) | DetectError::Rows(_) | DetectError::Money { .. } => Kind::CheckFailed,
            DetectError::Engine(ref error) => match in_plan::<ReadError>(error) {
                Some(read) => return read.into(),
                None => match (in_plan::<EngineLost>(error), in_plan::<EngineRefused>(error)) {
                    (Some(lost), _) => return Self::new(Kind::Storage, lost.to_string()),
                    (_, Some(refused)) => return Self::new(Kind::BadInput, refused.to_string()),
                    _ => engine_kind(error),
                },
            },
        };
        Self::new(kind, error.to_string())
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        (&error).into()
    }
}

impl From<&ReadError> for Failure {
    fn from(error: &ReadError) -> Self {
        let kind = match error {
            ReadError::BadExport(problems) => return problems.into(),
            ReadError::NotYet(_) => Kind::NotYet,
            ReadError::Store(error) if is_lasting(error) => Kind::BadInput,
            ReadError::Store(_) | ReadError::Io { .. } => Kind::Storage,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<JoinError> for Failure {
    fn from(error: JoinError) -> Self {
        match error {
            JoinError::RemovedNodes { removed, likely } => {
                Self::list(Kind::BadInput, removed_nodes::WHAT_TO_DO, removed_nodes::lines(&removed, &likely))
            }
            JoinError::BadRows(problems) => problems.into(),
            JoinError::Lake(error) => error.into(),
            JoinError::Money(error) => error.into(),
        }
    }
}

impl From<FifoError> for Failure {
    fn from(error: FifoError) -> Self {
        match error {
            FifoError::Breach(breaches) => Self::list(Kind::CheckFailed, "an invariant does not hold:", breaches),
            FifoError::TemporaryFile(_) => Self::new(Kind::Storage, error.to_string()),
            FifoError::Memory { .. } | FifoError::Policy(_) => Self::new(Kind::BadInput, error.to_string()),
            FifoError::Lake(error) => error.into(),
            FifoError::Cells(error) => (*error).into(),
            _ => Self::new(Kind::CheckFailed, error.to_string()),
        }
    }
}

impl From<NetCostError> for Failure {
    fn from(error: NetCostError) -> Self {
        match error {
            NetCostError::Breaches(breaches) => {
                Self::list(Kind::CheckFailed, "the run does not tie out, nothing is published:", breaches)
            }
            NetCostError::Lake(error) => error.into(),
            NetCostError::Engine(error) => (*error).into(),
            NetCostError::Rows(error) => error.into(),
            NetCostError::Money(error) => error.into(),
        }
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
        Self::from(&problems)
    }
}

impl From<&Problems> for Failure {
    fn from(problems: &Problems) -> Self {
        Self { kind: Kind::BadInput, lines: problems.0.iter().map(ToString::to_string).collect() }
    }
}

impl From<DataFusionError> for Failure {
    fn from(error: DataFusionError) -> Self {
        match LakeError::from(error) {
            LakeError::Engine(error) => Self::new(engine_kind(&error), error.strip_backtrace()),
            of_the_lake => of_the_lake.into(),
        }
    }
}

/// True where storage does not allow it, or a file's name cannot be told: that does not heal by itself.
fn is_lasting(error: &object_store::Error) -> bool {
    use object_store::Error::{Generic, InvalidPath, PermissionDenied, Unauthenticated};
    match error {
        PermissionDenied { .. } | Unauthenticated { .. } | InvalidPath { .. } => true,
        // Of a listing the store says so in words only.
        Generic { source, .. } => {
            ["status code: 401", "status code: 403"].iter().any(|code| source.to_string().contains(code))
        }
        _ => false,
    }
}

/// The error of ours that a plan failed with, however deep the plan has wrapped it.
fn in_plan<T: Error + 'static>(error: &DataFusionError) -> Option<&T> {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

/// Storage where an I/O or object store error is at the bottom, else a failed check.
pub(crate) fn engine_kind(error: &DataFusionError) -> Kind {
    if let DataFusionError::ResourcesExhausted(_) = error.find_root() {
        return Kind::Storage;
    }
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.downcast_ref::<object_store::Error>().is_some_and(is_lasting) {
            return Kind::BadInput;
        }
        if error.is::<std::io::Error>() || error.is::<object_store::Error>() || error.is::<EngineLost>() {
            return Kind::Storage;
        }
        cause = error.source();
    }
    Kind::CheckFailed
}

/// Why a statement broke off: storage, a sum past 38 digits, or arithmetic of the statement's own.
pub(crate) fn statement_failed(error: &DataFusionError) -> Failure {
    let text = one_line(error);
    let kind = match engine_kind(error) {
        Kind::CheckFailed if !text.contains("overflows") => Kind::Usage,
        kind => kind,
    };
    Failure::new(kind, format!("query: {text}"))
}

/// The engine lists what it knows line by line.
pub(crate) fn one_line(error: &DataFusionError) -> String {
    error.strip_backtrace().replace(['\n', '\t'], " ")
}

#[cfg(test)]
mod tests;
