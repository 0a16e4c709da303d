//! What can go wrong between a job and the lake.

use std::error::Error;
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
    /// The lake holds it as it is now only, and not as it was in the run that was asked for.
    #[error("{table} is not kept as it was in run {run_id}; ask without --run-id and --as-of for what stands now")]
    OfNow {
        /// The table.
        table: &'static str,
        /// The run.
        run_id: String,
    },
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
    Store(object_store::Error),
    /// A service did not answer, or not as it should.
    #[error("{0}")]
    Service(String),
    /// Something that the lake had is lost, or is not as it was written; says what, and what to do. Nothing was changed.
    #[error("{0}")]
    Damaged(String),
    /// Storage or a service does not allow it.
    #[error("{0}")]
    Denied(String),
    /// The catalogue or a log refused.
    #[error("{}", in_brief(.0))]
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

impl From<object_store::Error> for LakeError {
    fn from(error: object_store::Error) -> Self {
        if is_refusal(&error) { Self::Denied(format!("storage: {error}")) } else { Self::Store(error) }
    }
}

/// True where storage does not allow it, which no retry helps.
const fn is_refusal(error: &object_store::Error) -> bool {
    use object_store::Error::{PermissionDenied, Unauthenticated};
    matches!(error, PermissionDenied { .. } | Unauthenticated { .. })
}

/// An error and what it comes from, down to the bottom. What an I/O error was made of is no source of its own.
pub(crate) fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| match error.downcast_ref::<std::io::Error>() {
        Some(error) => error.get_ref().map(|cause| cause as &(dyn Error + 'static)),
        None => error.source(),
    })
}

/// An Iceberg error in one line. Of the answer of its service the Glue catalogue keeps the debug text alone, as the message
/// of an error without a type; what counts of it is the code and the message.
fn in_brief(error: &iceberg::Error) -> String {
    let whole = error.to_string();
    let quoted = |field: &str| {
        let (_, rest) = whole.split_once(&format!("{field}: Some(\""))?;
        rest.split_once("\")").map(|(text, _)| text)
    };
    match (quoted("code"), quoted("message")) {
        (Some(code), Some(message)) => format!("iceberg: {}: {code}: {message}", error.message()),
        (Some(code), None) => format!("iceberg: {}: {code}", error.message()),
        _ => format!("iceberg: {}", whole.chars().take(500).collect::<String>()),
    }
}

/// What is wrong where a log was changed later than now.
pub(crate) const CLOCK_IS_BEHIND: &str =
    "the clock of this machine is behind: a log of the lake was changed later than now; set the clock";

impl From<iceberg::Error> for LakeError {
    fn from(error: iceberg::Error) -> Self {
        // Iceberg takes no change that is more than a minute older than the last one.
        let begins = ["Invalid snapshot timestamp", "Invalid update timestamp"];
        let is_older = begins.iter().any(|begins| error.message().starts_with(begins));
        if is_older && error.kind() == iceberg::ErrorKind::DataInvalid {
            return Self::BadInput(CLOCK_IS_BEHIND.to_owned());
        }
        let text = in_brief(&error);
        // As Glue says it.
        let is_denied = text.contains("AccessDenied");
        if is_denied || causes(&error).filter_map(|cause| cause.downcast_ref::<object_store::Error>()).any(is_refusal) {
            return Self::Denied(text);
        }
        Self::Iceberg(Box::new(error))
    }
}

impl From<DataFusionError> for LakeError {
    fn from(error: DataFusionError) -> Self {
        match error {
            // Our own streams say what is wrong.
            DataFusionError::External(source) => match source.downcast::<Self>() {
                Ok(own) => *own,
                Err(source) => Self::Engine(Box::new(DataFusionError::External(source))),
            },
            other => Self::Engine(Box::new(other)),
        }
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

#[cfg(test)]
mod tests {
    use iceberg::{Error, ErrorKind};

    use super::*;

    fn of_service(said: &str) -> Error {
        let answer = format!(
            "service error: ServiceError {{ source: Unhandled {{ {said} }}, raw: Response {{ headers: [] }} }}"
        );
        Error::new(ErrorKind::Unexpected, "Operation failed for hitting aws sdk error")
            .with_source(std::io::Error::other(answer))
    }

    #[test]
    fn answer_of_a_service_is_told_by_its_code_and_message() {
        let of = |said: &str| LakeError::from(of_service(said)).to_string();
        let begins = "iceberg: Operation failed for hitting aws sdk error";
        assert_eq!(
            of("code: Some(\"ThrottlingException\"), message: Some(\"Rate exceeded\")"),
            format!("{begins}: ThrottlingException: Rate exceeded")
        );
        assert_eq!(
            of("code: Some(\"InternalServiceException\"), message: None"),
            format!("{begins}: InternalServiceException")
        );
        let long = of(&"x".repeat(5000));
        assert!(long.starts_with("iceberg: Unexpected => Operation failed") && long.len() < 600, "{}", long.len());
    }

    #[test]
    fn refusal_that_no_retry_helps_is_told_from_one_that_a_retry_may() {
        let denied =
            "code: Some(\"AccessDeniedException\"), message: Some(\"not authorized to perform: glue:GetTable\")";
        let denied = LakeError::from(of_service(denied));
        assert!(matches!(&denied, LakeError::Denied(text) if text.ends_with("glue:GetTable")), "{denied:?}");
        let throttled = LakeError::from(of_service("code: Some(\"ThrottlingException\")"));
        assert!(matches!(throttled, LakeError::Iceberg(_)), "{throttled:?}");
        let source = || "403".into();
        let path = || "lake/x".to_owned();
        for error in [
            object_store::Error::PermissionDenied { path: path(), source: source() },
            object_store::Error::Unauthenticated { path: path(), source: source() },
        ] {
            assert!(matches!(LakeError::from(error), LakeError::Denied(text) if text.starts_with("storage: ")));
        }
        let missing = LakeError::from(object_store::Error::NotFound { path: path(), source: source() });
        assert!(matches!(missing, LakeError::Store(_)), "{missing:?}");
    }

    #[test]
    fn refusal_of_storage_is_known_however_deep_below_an_iceberg_error_it_lies() {
        let above = |source: Box<dyn std::error::Error + Send + Sync>| {
            Error::new(ErrorKind::Unexpected, "lake/x cannot be written").with_source(std::io::Error::other(source))
        };
        let (path, source) = (|| "lake/x".to_owned(), || "no".into());
        let refusals = || {
            [
                object_store::Error::PermissionDenied { path: path(), source: source() },
                object_store::Error::Unauthenticated { path: path(), source: source() },
            ]
        };
        for refusal in refusals() {
            let error = Error::new(ErrorKind::Unexpected, "lake/x").with_source(refusal);
            let denied = LakeError::from(error);
            assert!(matches!(&denied, LakeError::Denied(text) if text.starts_with("iceberg: ")), "{denied:?}");
        }
        for refusal in refusals() {
            let denied = LakeError::from(above(above(Box::new(refusal)).into()));
            assert!(matches!(denied, LakeError::Denied(_)), "{denied:?}");
        }
        let missing = above(Box::new(object_store::Error::NotFound { path: path(), source: source() }));
        let missing = LakeError::from(missing);
        assert!(matches!(missing, LakeError::Iceberg(_)), "{missing:?}");
    }

    #[test]
    fn log_that_was_changed_later_than_now_says_that_the_clock_is_behind() {
        for said in ["Invalid snapshot timestamp 5: before last snapshot", "Invalid update timestamp 5: before last"] {
            let error = LakeError::from(Error::new(ErrorKind::DataInvalid, said));
            assert!(matches!(&error, LakeError::BadInput(text) if text == CLOCK_IS_BEHIND), "{error:?}");
        }
    }

    #[test]
    fn failure_of_our_own_comes_out_of_a_plan_as_it_went_in() {
        let own = LakeError::Damaged("x is damaged".to_owned());
        let passed = LakeError::from(DataFusionError::External(Box::new(own)));
        assert!(matches!(&passed, LakeError::Damaged(text) if text == "x is damaged"), "{passed:?}");
        let foreign = LakeError::from(DataFusionError::External("x".into()));
        assert!(matches!(foreign, LakeError::Engine(_)), "{foreign:?}");
        let parquet = LakeError::from(parquet::errors::ParquetError::General("no footer".to_owned()));
        assert!(parquet.to_string().contains("no footer"), "{parquet}");
    }
}
