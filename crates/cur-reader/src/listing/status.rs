//! `cost_and_usage_data_status`: by this table a CUR 1.0 for Athena says whether AWS is still writing.

use std::sync::Arc;

use futures::TryStreamExt;
use object_store::ObjectStore;

use schemas::records::LeftOut;

use super::{ExportFile, Listing};
use crate::error::ReadError;
use crate::error::bad_column;
use crate::raw::{OpenFile, decoding};

/// What the name of its folder is.
pub(crate) const FOLDER: &str = "cost_and_usage_data_status";
const COLUMN: &str = "status";
const UPDATING: &str = "UPDATING";

/// Refuses an export that AWS is still writing: files of it may be missing. Says which statuses cannot be read.
///
/// # Errors
/// [`ReadError::NotYet`] for such an export.
pub async fn check_status(store: &Arc<dyn ObjectStore>, listing: &Listing) -> Result<Vec<LeftOut>, ReadError> {
    let mut unread = Vec::new();
    for file in &listing.statuses {
        match check(store, file).await {
            Err(ReadError::BadExport(_)) => unread.push(LeftOut {
                path: file.path.clone(),
                files: 1,
                reason: "cannot be read: whether AWS is still delivering is not known".to_owned(),
            }),
            checked => checked?,
        }
    }
    Ok(unread)
}

async fn check(store: &Arc<dyn ObjectStore>, file: &ExportFile) -> Result<(), ReadError> {
    let open = OpenFile::open(store, file).await?;
    let Some(column) = open.names.iter().find(|name| name.eq_ignore_ascii_case(COLUMN)).cloned() else { return Ok(()) };
    for part in open.parts() {
        let mut batches = open.read(store, part, std::slice::from_ref(&column));
        while let Some(batch) = batches.try_next().await? {
            let is_updating = decoding::<_, ReadError>(&file.path, || {
                let Some(status) = batch.columns.first() else { return Ok(false) };
                let status = status.text().map_err(|message| bad_column(&file.path, &column, message))?;
                let is_updating = |row| status.get(row).is_some_and(|text| text.trim().eq_ignore_ascii_case(UPDATING));
                Ok((0..batch.rows).any(is_updating))
            })?;
            if is_updating {
                let message = format!("{}: AWS is still delivering (status UPDATING); try again later", file.path);
                return Err(ReadError::NotYet(message));
            }
        }
    }
    Ok(())
}
