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

#[cfg(test)]
mod tests {
    use schemas::tables::AllocationLogRow;

    use super::*;
    use crate::lake::Lake;
    use crate::testing::{cut, flip, lot, opened, settings, told};

    #[tokio::test(flavor = "multi_thread")]
    async fn lake_of_a_newer_version_is_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        let lake = opened(folder.path()).await;
        let newer = Home { format: FORMAT + 1, location: folder.path().display().to_string() };
        lake.store.write_record(&Path::from(HOME), &newer).await.unwrap();
        let expected = "BadInput: the lake <lake> was made by a newer version of the program (format 2); use that";
        assert_eq!(told(folder.path(), Lake::open_local(&settings(folder.path())).await), expected);
        assert_eq!(told(folder.path(), Lake::open_existing_local(&settings(folder.path())).await), expected);
        assert_eq!(told(folder.path(), Lake::repair_local(&settings(folder.path()), true).await), expected);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn lake_whose_file_says_nothing_any_more_is_known_by_its_logs_and_says_it_again_after_a_run() {
        let folder = tempfile::tempdir().unwrap();
        let says = folder.path().join(HOME);
        let run = async || opened(folder.path()).await.lock("night").await.unwrap().release().await.unwrap();
        opened(folder.path()).await;
        assert!(!says.exists(), "whoever only opens it writes nothing");
        run().await;
        let whole = std::fs::read(&says).unwrap();
        for damage in [cut as fn(&std::path::Path), flip, |file| std::fs::write(file, "").unwrap()] {
            damage(&says);
            opened(folder.path()).await.logs().append(&[lot("a", 1, "5")]).await.unwrap();
            assert_ne!(std::fs::read(&says).unwrap(), whole);
            run().await;
            assert_eq!(std::fs::read(&says).unwrap(), whole);
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn copy_of_a_lake_can_be_read_and_everything_that_would_be_written_is_refused() {
        for says_where in [true, false] {
            let folder = tempfile::tempdir().unwrap();
            let (original, copy) = (folder.path().join("original"), folder.path().join("copy"));
            let lake = opened(&original).await;
            lake.logs().append(&[lot("a", 1, "5")]).await.unwrap();
            if says_where {
                lake.lock("night").await.unwrap().release().await.unwrap();
            }
            crate::testing::copy(&original, &copy);
            let lake = opened(&copy).await;
            let refusal = "BadInput: the lake <lake>/copy was made at <lake>/original, and its logs hold that path: what is recorded \
                           here would go there. If this is the lake now, run `finops-credits lake relocate`, which makes its logs \
                           anew here; nothing was changed";
            let told = |outcome| told(folder.path(), outcome);
            assert_eq!(lake.logs().read::<AllocationLogRow>().await.unwrap().len(), 1, "it can be read");
            assert_eq!(told(lake.logs().append(&[lot("b", 1, "5")]).await.map(drop)), refusal);
            assert_eq!(told(lake.lock("night").await.map(drop)), refusal);
            assert_eq!(told(Lake::repair_local(&settings(&copy), true).await.map(drop)), refusal);
            std::fs::remove_dir_all(&original).unwrap();
            let lake = opened(&copy).await;
            assert_eq!(
                told(lake.logs().read::<AllocationLogRow>().await.map(drop)),
                refusal,
                "now its logs are not there"
            );
        }
    }

    #[test]
    fn copy_whose_catalogue_cannot_be_asked_is_known_by_its_file() {
        let folder = tempfile::tempdir().unwrap();
        refuse_copy(folder.path()).unwrap();
        let text = |location: &str| format!("{{\"format\":1,\"location\":\"{location}\"}}");
        std::fs::write(folder.path().join(HOME), text(&folder.path().display().to_string())).unwrap();
        refuse_copy(folder.path()).unwrap();
        std::fs::write(folder.path().join(HOME), text("/srv/lake")).unwrap();
        let refused = told(folder.path(), refuse_copy(folder.path()));
        assert!(refused.starts_with("BadInput: the lake <lake> was made at /srv/lake, and its logs"), "{refused}");
    }
}
