//! `query`: SQL over every table and view.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::prelude::DataFrame;
use lake::{LakeError, decoded};

use crate::app::App;
use crate::cli::Query;
use crate::failure::engine_kind;
use crate::output::{Shown, print};
use crate::{Failure, Kind, files};

pub(crate) async fn query(app: &App, arguments: &Query) -> Result<(), Failure> {
    let sql = match (&arguments.file, arguments.sql.as_deref()) {
        (Some(file), _) if *file != Path::new("-") => files::read_text(file)?,
        (None, Some(sql)) if sql != "-" => sql.to_owned(),
        _ => read_stdin()?,
    };
    let context = app.session().await?;
    let frame = app.lake.query(&context, &sql).await.map_err(refused)?;
    let batches = collected(app, frame).await?;
    app.lake.check_generations().await?;
    print(app, &batches, Shown::Exact, "(no rows)")
}

fn read_stdin() -> Result<String, Failure> {
    let mut sql = String::new();
    let read = std::io::stdin().lock().read_to_string(&mut sql);
    read.map_err(|error| Failure::new(Kind::BadInput, format!("query: standard input: {error}")))?;
    Ok(sql)
}

/// The rows, in at least one batch.
pub(super) async fn collected(app: &App, frame: DataFrame) -> Result<Vec<RecordBatch>, Failure> {
    let schema = Arc::new(frame.schema().as_arrow().clone());
    let mut batches = read(app, frame.collect()).await?;
    app.lake.check_published().await?;
    if batches.is_empty() {
        batches.push(RecordBatch::new_empty(schema));
    }
    Ok(batches)
}

/// What a plan gives. Where it cannot be read, it is the files that are looked at first.
pub(super) async fn read<T>(app: &App, work: impl Future<Output = Result<T, DataFusionError>>) -> Result<T, Failure> {
    let failure = match decoded(work).await {
        Ok(Ok(read)) => return Ok(read),
        Ok(Err(error)) => failed(&error),
        Err(panic) => Failure::new(Kind::CheckFailed, panic),
    };
    app.lake.check_published().await?;
    app.lake.check_all().await?;
    Err(failure)
}

/// Why a statement cannot be planned: mostly a slip of the person.
fn refused(error: LakeError) -> Failure {
    match error {
        LakeError::Engine(error) => {
            let text = one_line(&error).replace("datafusion.public.", "");
            let hint =
                if text.contains("not found") && text.contains("table") { "; SHOW TABLES lists them" } else { "" };
            let kind = match engine_kind(&error) {
                Kind::CheckFailed => Kind::Usage,
                kind => kind,
            };
            Failure::new(kind, format!("query: {text}{hint}"))
        }
        LakeError::NotYet(message) => Failure::new(Kind::NotYet, format!("query: {message}")),
        of_now @ LakeError::OfNow { .. } => Failure::new(Kind::Usage, format!("query: {of_now}")),
        other => other.into(),
    }
}

/// Why a statement broke off: storage, a sum past 38 digits, or arithmetic of the statement's own.
fn failed(error: &DataFusionError) -> Failure {
    let text = one_line(error);
    let kind = match engine_kind(error) {
        Kind::CheckFailed if !text.contains("overflows") => Kind::Usage,
        kind => kind,
    };
    Failure::new(kind, format!("query: {text}"))
}

/// The engine lists what it knows line by line.
fn one_line(error: &DataFusionError) -> String {
    error.strip_backtrace().replace(['\n', '\t'], " ")
}
