//! Publishing: a staged run becomes the published one, and what no pointer reaches any more goes.

use std::collections::BTreeSet;

use chrono::{NaiveDateTime, TimeDelta};
use credit_ledger::Text;
use object_store::path::Path;
use schemas::TableRow;
use schemas::tables::RunLogRow;

use crate::error::{CLOCK_IS_BEHIND, LakeError};
use crate::lake::Lake;
use crate::layout::{self, RUNS, SUMMARIES, SUPERSEDED, WORK, run_of_record};
use crate::manifest::{Manifest, RunFiles, StagedRun};
use crate::run::Superseded;

/// The published run, and the one before it for those who began to read that.
const LEAST_RUNS: usize = 2;

impl Lake {
    /// Makes a staged run the published one, logs it, and removes what no pointer reaches any more. Completes a publication
    /// that broke off.
    ///
    /// # Errors
    /// [`LakeError::LostRace`] if another run was published since it was staged; [`LakeError::BadInput`] where the clock
    /// is behind the log of published runs; [`LakeError::Damaged`] where a staged file is not as it was written.
    pub async fn publish(&self, run_id: &str, finished_at: NaiveDateTime) -> Result<(), LakeError> {
        let (written, staged) = self.staged_manifest(run_id).await?;
        let published = self.pointer.published().await?;
        if published.as_deref() != Some(run_id) {
            if published != staged.follows {
                return Err(LakeError::LostRace(format!(
                    "run {run_id} was staged to follow {}, but {} is published now; start a new run",
                    staged.follows.as_deref().unwrap_or("no run"),
                    published.as_deref().unwrap_or("no run"),
                )));
            }
            self.refuse_unloggable(finished_at).await?;
            if let Some(previous) = &published {
                self.complete_log(previous, finished_at).await?;
            }
            self.check_staged(run_id, written).await?;
            self.store.sync().await?;
            self.pointer.switch(run_id, published.as_deref(), staged.months).await?;
        }
        self.log_run(run_id, &staged, finished_at).await?;
        self.drop_old_generations(finished_at).await?;
        self.drop_old_runs(run_id, &staged).await?;
        self.drop_work(run_id, &staged).await
    }

    /// A run that is published must be logged. Iceberg reads the log's list of files then, and takes no append that is more
    /// than a minute older than the last one.
    async fn refuse_unloggable(&self, now: NaiveDateTime) -> Result<(), LakeError> {
        let newest = self.logs().appendable(&RunLogRow::TABLE).await?.committed_at.unwrap_or_default();
        let is_behind = newest.signed_duration_since(now) > TimeDelta::minutes(1);
        if is_behind { Err(LakeError::BadInput(CLOCK_IS_BEHIND.to_owned())) } else { Ok(()) }
    }

    /// Refuses a staged run that is not whole.
    async fn check_staged(&self, run_id: &str, written: RunFiles) -> Result<(), LakeError> {
        self.refuse_incomplete(run_id, &written).await?;
        if self.store.folder().is_none() {
            return Ok(());
        }
        // What other processes staged is read once more before everybody reads it.
        let files = Self::published_files(run_id, &written);
        self.learn_files(run_id, written);
        self.store.refuse_damaged(&layout::run(run_id), files).await
    }

    /// Logs a published run whose `publish` broke off after the switch.
    async fn complete_log(&self, run_id: &str, finished_at: NaiveDateTime) -> Result<(), LakeError> {
        match self.manifest(run_id).await {
            Ok(Some(Manifest { run: Some(staged), .. })) => self.log_run(run_id, &staged, finished_at).await,
            Ok(_) => Ok(()),
            Err(LakeError::Damaged(problem)) => {
                tracing::warn!("{problem}; where its publication broke off, {run_id} is missing in runs_log");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Logs a published run, once.
    async fn log_run(&self, run_id: &str, staged: &StagedRun, finished_at: NaiveDateTime) -> Result<(), LakeError> {
        let rows = staged.periods.iter().map(|period| RunLogRow {
            run_id: run_id.into(),
            billing_period: period.billing_period,
            as_of: staged.as_of,
            source_fingerprint: period.fingerprint.as_str().into(),
            rows_read: i64::try_from(period.lines).unwrap_or(i64::MAX),
            policy: staged.policy.as_str().into(),
            outcome: Text::new_static("published"),
            started_at: staged.started_at,
            finished_at,
            exclusions_not_applied: joined(&period.exclusions_not_applied),
        });
        self.logs().append_once(run_id, &rows.collect::<Vec<_>>()).await.map(drop)
    }

    /// This run and those before it, newest first, as each manifest names the run that its own followed.
    async fn runs_in_order(&self, run_id: &str, staged: &StagedRun) -> Result<Vec<String>, LakeError> {
        let mut runs = vec![run_id.to_owned()];
        let mut next = staged.follows.clone();
        while let Some(run_id) = next.filter(|run_id| !runs.contains(run_id)) {
            next = match self.manifest(&run_id).await {
                Ok(manifest) => manifest.and_then(|manifest| manifest.run?.follows),
                Err(LakeError::Damaged(_)) => None,
                Err(other) => return Err(other),
            };
            runs.push(run_id);
        }
        Ok(runs)
    }

    /// Removes runs that are older than those to keep, and those that were under way when this one was published. A run
    /// that neither a manifest nor the log of published runs knows stays, as if the log had been lost.
    async fn drop_old_runs(&self, run_id: &str, staged: &StagedRun) -> Result<(), LakeError> {
        let runs = self.runs_in_order(run_id, staged).await?;
        let kept: BTreeSet<&String> = runs.iter().take(self.keep_runs.max(LEAST_RUNS)).collect();
        let mut gone: BTreeSet<String> = runs.iter().filter(|id| !kept.contains(id)).cloned().collect();
        gone.extend(self.store.folders(&Path::from(WORK)).await?.into_iter().filter(|id| !kept.contains(id)));
        let found = self.store.folders(&Path::from(RUNS)).await?;
        let is_known = |id: &String| runs.contains(id) || gone.contains(id);
        if runs.len() >= self.keep_runs.max(LEAST_RUNS) && !found.iter().all(is_known) {
            // An older version of the program published it: its manifest does not say which run it followed.
            let logged = self.logs().read::<RunLogRow>().await?;
            let logged = logged.into_iter().map(|row| row.run_id.to_string());
            gone.extend(logged.filter(|id| !runs.contains(id)));
        }
        self.store.remove_all_but(&Path::from(RUNS), |id| !gone.contains(id)).await?;
        let stays = |name: &str| run_of_record(name).is_some_and(|id| !gone.contains(id));
        self.store.remove_all_but(&Path::from(SUMMARIES), stays).await?;
        self.drop_old_markers(&kept).await
    }

    /// Removes the intermediate tables of all other runs. Runs that are under way lose: a marker tells their next job.
    async fn drop_work(&self, published: &str, staged: &StagedRun) -> Result<(), LakeError> {
        for run_id in self.store.folders(&Path::from(WORK)).await? {
            if run_id != published && Some(&run_id) != staged.follows.as_ref() {
                let marker = Superseded { by: published.to_owned() };
                self.store.write_record(&layout::superseded(&run_id), &marker).await?;
            }
        }
        self.store.remove_all_but(&Path::from(WORK), |id| id == published).await
    }

    /// Removes the markers of runs that lost to one that is no longer kept.
    async fn drop_old_markers(&self, kept: &BTreeSet<&String>) -> Result<(), LakeError> {
        let mut current = BTreeSet::new();
        for name in self.store.files(&Path::from(SUPERSEDED)).await? {
            let marker: Option<Superseded> = self.store.read_kept(&Path::from(SUPERSEDED).join(name.as_str())).await;
            if marker.is_some_and(|marker| kept.contains(&marker.by)) {
                current.insert(name);
            }
        }
        self.store.remove_all_but(&Path::from(SUPERSEDED), |name| current.contains(name)).await
    }
}

/// Texts separated by commas; none where there are none.
fn joined(texts: &BTreeSet<String>) -> Option<Text> {
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    (!texts.is_empty()).then(|| texts.join(", ").into())
}

#[cfg(test)]
mod tests;
