//! What is published: for commands that read it, and for the next run.

use std::collections::BTreeSet;

use credit_ledger::{BillingPeriod, Text};
use datafusion::prelude::{DataFrame, SessionContext};
use object_store::path::Path;
use schemas::tables::RunLogRow;
use schemas::{Place, Table, TableRow};

use crate::error::LakeError;
use crate::extent::RunExtent;
use crate::known::Condition;
use crate::lake::Lake;
use crate::layout::{self, part, root_of_run, table_of_run, under};
use crate::manifest::Manifest;
use crate::sums::Problem;

impl Lake {
    /// The published run, if any, as this command found it first: all of a command sees one run.
    ///
    /// # Errors
    /// [`LakeError::Io`] where the pointer cannot be read.
    pub async fn published(&self) -> Result<Option<String>, LakeError> {
        let mut found = self.found.published.lock().await;
        if let Some(run_id) = found.as_ref() {
            return Ok(run_id.clone());
        }
        let run_id = self.pointer.published().await?;
        *found = Some(run_id.clone());
        Ok(run_id)
    }

    /// The published run.
    ///
    /// # Errors
    /// [`LakeError::NotYet`] before the first run.
    pub async fn published_run(&self) -> Result<String, LakeError> {
        self.published().await?.ok_or_else(|| {
            LakeError::NotYet(format!("nothing is published in the lake {} yet; `run` first", self.location))
        })
    }

    /// The published run, when its manifest has said what its files are. Nothing is known of the files where the manifest
    /// is damaged.
    pub(crate) async fn known_published(&self) -> Result<Option<String>, LakeError> {
        let Some(run_id) = self.published().await? else { return Ok(None) };
        let mut learned = self.found.manifest_of.lock().await;
        if learned.as_ref() != Some(&run_id) {
            match self.manifest(&run_id).await {
                Ok(manifest) => self.learn_files(&run_id, manifest.unwrap_or_default().written),
                Err(LakeError::Damaged(problem)) => tracing::warn!("{problem}"),
                Err(other) => return Err(other),
            }
            *learned = Some(run_id.clone());
        }
        Ok(Some(run_id))
    }

    /// The date and the periods of a published run, by its manifest, else by the log of published runs; none where neither
    /// says.
    ///
    /// # Errors
    /// [`LakeError`] from the store or the catalogue.
    async fn published_extent(&self, run_id: &str) -> Result<Option<RunExtent>, LakeError> {
        match self.manifest(run_id).await {
            Ok(Some(Manifest { run: Some(run), .. })) => return Ok(Some(run.extent())),
            Ok(_) => {}
            Err(LakeError::Damaged(problem)) => tracing::warn!("{problem}"),
            Err(other) => return Err(other),
        }
        let logged = self.logs().read::<RunLogRow>().await?;
        let mut logged = logged.iter().filter(|row| row.run_id == run_id).peekable();
        let Some(as_of) = logged.peek().map(|row| row.as_of) else { return Ok(None) };
        Ok(Some(RunExtent { as_of, periods: logged.map(|row| (row.billing_period, BTreeSet::new())).collect() }))
    }

    /// Why a staged run is not to be published by itself: months of the published run would go.
    ///
    /// # Errors
    /// [`LakeError`] from the store or the catalogue.
    pub async fn why_shorter(&self, run_id: &str) -> Result<Option<String>, LakeError> {
        let Some(published) = self.published().await? else { return Ok(None) };
        let (_, staged) = self.staged_manifest(run_id).await?;
        Ok(match self.published_extent(&published).await? {
            None => Some(format!("the date and the periods of the published run {published} are not known")),
            Some(extent) => staged.extent().takes_away(&published, &extent),
        })
    }

    /// A table of the published run as a plan, `billing_period` included where it is partitioned.
    ///
    /// # Errors
    /// [`LakeError::NotYet`] before the first run.
    pub async fn published_frame(&self, context: &SessionContext, table: &Table) -> Result<DataFrame, LakeError> {
        let folder = table_of_run(&self.published_run().await?, table, None);
        self.store.frame(context, &folder, table, table.partitioned).await
    }

    /// Refuses what was read of the published run if a file of it has gone meanwhile: it would look empty.
    ///
    /// # Errors
    /// [`LakeError::LostRace`] where the whole run is gone, [`LakeError::Damaged`] that names a file of it.
    pub async fn check_published(&self) -> Result<(), LakeError> {
        let Some(run_id) = self.published().await? else { return Ok(()) };
        if !self.store.has_files(&layout::run(&run_id)).await? {
            let message = format!("run {run_id} was removed from {} while it was read; try again", self.location);
            return Err(LakeError::LostRace(message));
        }
        match self.manifest(&run_id).await? {
            Some(manifest) => self.refuse_incomplete(&run_id, &manifest.written).await,
            None => Ok(()),
        }
    }

    /// Refuses a lake whose published run or current generations are damaged.
    ///
    /// # Errors
    /// [`LakeError::Damaged`] that names a file; [`LakeError`] from the store.
    pub async fn check_all(&self) -> Result<(), LakeError> {
        let generations = self.generations().await?;
        if let Some(damaged) = self.damaged_generations(&generations).await?.into_values().next() {
            return Err(self.damaged_generation(&damaged));
        }
        let Some(run_id) = self.known_published().await? else { return Ok(()) };
        let folder = layout::run(&run_id);
        let files = self.store.known.records_below(&folder).into_keys().map(|file| under(&folder, &file));
        self.store.refuse_damaged(&folder, files).await
    }

    /// Files of a table of the published run that are as they were written. Warns of the others.
    async fn sound_files(&self, run_id: &str, table: &Table, files: Vec<Path>) -> Result<BTreeSet<Path>, LakeError> {
        let mut sound = BTreeSet::new();
        for (path, condition) in self.store.conditions(&root_of_run(run_id, table), files).await? {
            match condition {
                Condition::Sound(_) => sound.extend([path]),
                // Storage may drop intermediate tables after a while.
                Condition::Damaged(Problem::Missing) if table.place != Place::Published => {}
                Condition::Damaged(problem) => self.store.warn(&path, &problem, "it is made again"),
                Condition::Unknown => {}
            }
        }
        Ok(sound)
    }

    /// The billing periods of a published table whose files are as they were written. Warns of the others.
    ///
    /// # Errors
    /// [`LakeError`] from the store.
    pub async fn published_periods<R: TableRow>(&self) -> Result<BTreeSet<BillingPeriod>, LakeError> {
        let Some(run_id) = self.known_published().await? else { return Ok(BTreeSet::new()) };
        let known = self.store.known.records_below(&table_of_run(&run_id, &R::TABLE, None));
        let period = |file: String| file.split('/').find_map(|part| part.split_once('=')?.1.parse().ok());
        let periods: Vec<BillingPeriod> = known.into_keys().filter_map(period).collect();
        let file = |period| part(&table_of_run(&run_id, &R::TABLE, Some(period)));
        let sound = self.sound_files(&run_id, &R::TABLE, periods.iter().copied().map(file).collect()).await?;
        Ok(periods.into_iter().filter(|period| sound.contains(&file(*period))).collect())
    }

    /// One billing period of a published table, as rows.
    ///
    /// # Errors
    /// [`LakeError::NotYet`] before the first run, [`LakeError::Damaged`] where it is not as it was written.
    pub async fn published_rows<R: TableRow>(&self, period: BillingPeriod) -> Result<Vec<R>, LakeError> {
        let (_, run_id) = (self.known_published().await?, self.published_run().await?);
        let folder = table_of_run(&run_id, &R::TABLE, Some(period));
        self.store.refuse_damaged(&layout::run(&run_id), [part(&folder)]).await?;
        self.store.read_rows(&folder).await
    }

    /// A table of the published run that is not partitioned, also one that only its jobs read; empty before the first run,
    /// and where it is not as it was written.
    ///
    /// # Errors
    /// [`LakeError`] from the store.
    pub async fn published_table<R: TableRow>(&self) -> Result<Vec<R>, LakeError> {
        let Some(run_id) = self.known_published().await? else { return Ok(Vec::new()) };
        let folder = table_of_run(&run_id, &R::TABLE, None);
        match self.sound_files(&run_id, &R::TABLE, vec![part(&folder)]).await?.is_empty() {
            true => Ok(Vec::new()),
            false => self.store.read_rows(&folder).await,
        }
    }

    /// A column of text of a table that is published and not partitioned; empty before the first run, and where it is
    /// not as it was written.
    ///
    /// # Errors
    /// [`LakeError`] from the store.
    pub async fn published_texts(&self, table: &Table, column: &'static str) -> Result<Vec<Text>, LakeError> {
        let Some(run_id) = self.known_published().await? else { return Ok(Vec::new()) };
        let folder = table_of_run(&run_id, table, None);
        let file = part(&folder);
        if let Some(problem) = self.store.condition(&layout::run(&run_id), &file).await?.problem() {
            self.store.warn(&file, problem, "it is made again");
            return Ok(Vec::new());
        }
        match self.store.read_texts(&folder, table, column).await {
            Err(LakeError::Damaged(problem)) => {
                tracing::warn!("{problem}");
                Ok(Vec::new())
            }
            read => read,
        }
    }
}

#[cfg(test)]
mod tests;
