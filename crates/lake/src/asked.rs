//! Runs that somebody asks for: commands that read what is published answer from another run that is kept.

use chrono::{NaiveDate, NaiveDateTime};
use object_store::path::Path;

use crate::error::LakeError;
use crate::lake::Lake;
use crate::layout::RUNS;
use crate::manifest::Manifest;

/// A run that was staged and is kept, published or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunInLake {
    /// Its id.
    pub id: String,
    /// As-of date.
    pub as_of: NaiveDate,
    /// Start, UTC.
    pub started_at: NaiveDateTime,
}

/// Runs that a message lists.
const LISTED: usize = 10;

impl RunInLake {
    /// Runs as a message lists them.
    #[must_use]
    pub fn listed(runs: &[Self]) -> String {
        let mut listed: Vec<String> =
            runs.iter().take(LISTED).map(|run| format!("{} (as of {})", run.id, run.as_of)).collect();
        if runs.len() > LISTED {
            listed.push(format!("and {} more", runs.len() - LISTED));
        }
        listed.join(", ")
    }
}

impl Lake {
    /// All runs that were staged whole and are kept, newest first.
    ///
    /// # Errors
    /// [`LakeError`] from the store.
    pub async fn runs_in_lake(&self) -> Result<Vec<RunInLake>, LakeError> {
        let mut runs = Vec::new();
        for id in self.store.folders(&Path::from(RUNS)).await? {
            match self.manifest(&id).await {
                Ok(Some(Manifest { run: Some(run), .. })) => {
                    runs.push(RunInLake { id, as_of: run.as_of, started_at: run.started_at });
                }
                Ok(_) => {}
                Err(LakeError::Damaged(problem)) => tracing::warn!("{problem}"),
                Err(other) => return Err(other),
            }
        }
        runs.sort_by(|left, right| (right.started_at, &right.id).cmp(&(left.started_at, &left.id)));
        Ok(runs)
    }

    /// From now on this process takes a run for the published one, and refuses what the lake holds as it is now only.
    pub async fn answer_from(&self, run: &RunInLake) {
        self.found.asked.get_or_init(|| run.id.clone());
        *self.found.published.lock().await = Some(Some(run.id.clone()));
    }
}
