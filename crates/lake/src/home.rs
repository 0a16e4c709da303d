//! Where a lake was made. Its logs hold their absolute paths: a copy would write into the original, so it is known by
//! `lake.json` at the root, and by the logs themselves where an older version of the program left none.

use serde::{Deserialize, Serialize};

use crate::error::LakeError;
use crate::layout::HOME;
use crate::logs::Logs;
use crate::store::Store;
use object_store::path::Path;

/// `lake.json`
#[derive(Debug, Serialize, Deserialize)]
struct Home {
    /// Of what lies in the lake.
    format: u32,
    /// Where it was made: what people call it.
    location: String,
}

const FORMAT: u32 = 1;

/// What is known of where a lake was made.
pub(crate) enum Found {
    /// Here, and it says so.
    Here,
    /// Nothing says where.
    Unsaid,
    /// At this place.
    Elsewhere(String),
}

/// Where the lake at `location` was made.
pub(crate) async fn find(store: &Store, logs: &Logs, location: &str) -> Result<Found, LakeError> {
    match store.read_record::<Home>(&Path::from(HOME)).await {
        Ok(Some(home)) if home.format > FORMAT => Err(LakeError::BadInput(format!(
            "the lake {location} was made by a newer version of the program (format {}); use that",
            home.format
        ))),
        Ok(Some(home)) if home.location == location => Ok(Found::Here),
        Ok(Some(home)) => Ok(Found::Elsewhere(home.location)),
        Ok(None) => said_by_logs(logs).await,
        Err(LakeError::Damaged(problem)) => {
            tracing::warn!("{problem}");
            said_by_logs(logs).await
        }
        Err(other) => Err(other),
    }
}

async fn said_by_logs(logs: &Logs) -> Result<Found, LakeError> {
    Ok(logs.made_elsewhere().await?.map_or(Found::Unsaid, Found::Elsewhere))
}

/// Says that the lake was made here.
pub(crate) async fn write(store: &Store, location: &str) -> Result<(), LakeError> {
    store.write_record(&Path::from(HOME), &Home { format: FORMAT, location: location.to_owned() }).await
}

/// Refuses a folder whose `lake.json` names another place: for when its logs cannot be asked.
pub(crate) fn refuse_copy(root: &std::path::Path) -> Result<(), LakeError> {
    let said = std::fs::read(root.join(HOME)).ok().and_then(|bytes| serde_json::from_slice::<Home>(&bytes).ok());
    let location = root.display().to_string();
    match said.filter(|home| home.location != location) {
        Some(home) => Err(LakeError::BadInput(refusal(&location, &home.location))),
        None => Ok(()),
    }
}

/// What a copy says to whoever would write to it.
pub(crate) fn refusal(location: &str, made_at: &str) -> String {
    format!(
        "the lake {location} was made at {made_at}, and its logs hold that path: what is recorded here would go there. If this is \
         the lake now, run `finops-credits lake relocate`, which makes its logs anew here; nothing was changed"
    )
}
