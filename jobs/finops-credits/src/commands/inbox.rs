//! The lake's inbox: what lies in it is recorded, and something is put into it.

use application::take_inbox;
use arrow::record_batch::RecordBatch;
use lake::is_s3;
use schemas::records::{InboxFile, InboxFiles};
use schemas::tables::AllocationLogRow;
use serde::Serialize;

use super::importable::importable;
use super::who;
use crate::app::App;
use crate::cli::RecordArgs;
use crate::output::{answer, csv_text};
use crate::{Failure, Kind};

/// Records what lies in the inbox.
///
/// # Errors
/// [`Kind::BadInput`] where a file is refused: the others are recorded all the same.
pub(super) async fn take(app: &App) -> Result<(), Failure> {
    let found = app.locked(async |_lock| take_inbox(&app.context, None).await).await?;
    let InboxFiles { taken, refused } = &found;
    let mut lines: Vec<String> = taken.iter().map(line).collect();
    if taken.is_empty() && refused.is_empty() {
        lines.push("There is nothing new in the inbox.".to_owned());
    } else if !taken.is_empty() {
        lines.push("What is recorded counts from the next run.".to_owned());
    }
    answer(app.format, &found, lines)?;
    let what = match refused.len() {
        0 => return Ok(()),
        1 => "a file of the inbox is refused, nothing of it is recorded:".to_owned(),
        more => format!("{more} files of the inbox are refused, nothing of them is recorded:"),
    };
    Err(Failure::list(Kind::BadInput, &what, refused.iter().map(line)))
}

fn line(InboxFile { file, said }: &InboxFile) -> String {
    format!("{file}: {said}")
}

/// A file that was put into the inbox.
#[derive(Debug, Serialize)]
pub(super) struct Put {
    file: String,
}

impl Put {
    pub(super) fn said(&self) -> String {
        format!("Put into the inbox: {}. The next run records it, and leaves a receipt beside it.", self.file)
    }
}

/// Puts a file into the person's folder of the inbox, under a name that none there has yet.
///
/// # Errors
/// [`Failure`] where AWS names nobody or the store refuses.
pub(super) async fn put(app: &App, name: &str, bytes: Vec<u8>) -> Result<Put, Failure> {
    let name = format!("{}-{name}", app.context.now.format("%Y-%m-%dT%H%M%S%.6fZ"));
    Ok(Put { file: app.context.lake.put_upload(&who::folder(app).await?, &name, bytes).await? })
}

/// As [`put`], of a revision: `what` was entered, and by whom where somebody said so.
///
/// # Errors
/// As [`put`].
pub(super) async fn put_rows(
    app: &App,
    what: &str,
    rows: &[AllocationLogRow],
    record: &RecordArgs,
) -> Result<Put, Failure> {
    let said = |row: &AllocationLogRow| AllocationLogRow {
        recorded_by: record.by.as_ref().map(|by| by.as_str().into()),
        ..row.clone()
    };
    let batch = importable(&rows.iter().map(said).collect::<Vec<_>>(), &[])?;
    // What nobody stated, the inbox says.
    let unsaid = ["promotion_code", "account_id", "allocation_id"];
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns()).map(|(field, column)| (field.name().as_str(), column));
    let columns =
        columns.filter(|(name, _)| !unsaid.contains(name) && (*name != "recorded_at" || record.recorded_at.is_some()));
    let columns = columns.map(|(name, column)| (name, column.clone(), true));
    let batch = RecordBatch::try_from_iter_with_nullable(columns).map_err(datafusion::error::DataFusionError::from)?;
    let key = rows.first().map_or("", |row| row.credit_key.as_str());
    let key: String =
        key.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).take(60).collect();
    put(app, &format!("{what}-{key}.csv"), csv_text(&[batch], false)?.into_bytes()).await
}

/// What to say to somebody who may not write to the log of a lake on AWS.
pub(super) fn or_put(app: &App, failure: Failure) -> Failure {
    let said = failure.to_string();
    let is_denied = ["AccessDenied", "lacked the necessary privileges"].iter().any(|words| said.contains(words));
    if !is_denied || !is_s3(&app.context.settings.lake.location) {
        return failure;
    }
    Failure::new(failure.kind, format!("{said}; with --to-inbox the next run records it"))
}
