//! What a run takes over from the published one instead of making it again.
//!
//! Of a table or partition that is made from the same, the published file is put in place again: linked, where the store
//! can. Only files that are still as the run's manifest says are taken; the others are made again, and a warning names
//! them.

use std::collections::BTreeSet;

use credit_ledger::{BillingPeriod, Text};
use object_store::path::Path;
use schemas::tables::ALL;
use schemas::{Place, Table, TableRow};

use crate::known::{Condition, under};
use crate::manifest::Manifest;
use crate::publishing::run_folder;
use crate::tables::part;
use crate::work::partition;
use crate::{Lake, LakeError};

impl Lake {
    /// The published run and what its manifest says of its files. Nothing of a run is known that an older version of the
    /// program published, nor where the manifest is damaged.
    async fn known_published(&self) -> Result<Option<String>, LakeError> {
        let Some(run_id) = self.published().await? else { return Ok(None) };
        let mut learned = self.found.manifest_of.lock().await;
        if learned.as_ref() != Some(&run_id) {
            match self.manifest(&run_id).await {
                Ok(manifest) => self.learn(&run_id, manifest.unwrap_or_default()),
                Err(LakeError::Damaged(problem)) => tracing::warn!("{problem}"),
                Err(other) => return Err(other),
            }
            *learned = Some(run_id.clone());
        }
        Ok(Some(run_id))
    }

    /// Knows the files of a run as its manifest has them.
    pub(crate) fn learn(&self, run_id: &str, manifest: Manifest) {
        for (file, sum) in manifest.files {
            self.store.learn(under(&run_folder(run_id), &file), sum);
        }
    }

    /// Of these files of the published run, those that are as they were written. Warns of the others.
    async fn sound(&self, run_id: &str, files: Vec<Path>) -> Result<BTreeSet<Path>, LakeError> {
        let found = self.store.conditions(&run_folder(run_id), files).await?;
        for (path, condition) in &found {
            if let Some(problem) = condition.problem() {
                self.store.warn(path, problem, "it is made again");
            }
        }
        let sound = found.into_iter().filter(|(_, condition)| matches!(condition, Condition::Sound(_)));
        Ok(sound.map(|(path, _)| path).collect())
    }

    /// What is damaged of the published run and of the current generations, if anything is.
    ///
    /// # Errors
    /// [`LakeError`] from the store; [`LakeError::Damaged`] that says what is damaged.
    pub async fn check_all(&self) -> Result<(), LakeError> {
        let generations = self.generations().await?;
        if let Some(damaged) = self.damaged_generations(&generations).await?.into_values().next() {
            return Err(self.damaged_generation(&damaged));
        }
        let Some(run_id) = self.known_published().await? else { return Ok(()) };
        let folder = run_folder(&run_id);
        let files = self.store.sums_below(&folder).into_keys().map(|file| under(&folder, &file));
        for (path, condition) in self.store.conditions(&folder, files).await? {
            if let Some(problem) = condition.problem() {
                return Err(self.store.damaged(&path, problem));
            }
        }
        Ok(())
    }

    /// The months of which these tables are published, as they were written.
    ///
    /// # Errors
    /// [`LakeError`] from the store.
    pub async fn sound_months(&self, tables: &[Table]) -> Result<BTreeSet<BillingPeriod>, LakeError> {
        let Some(run_id) = self.known_published().await? else { return Ok(BTreeSet::new()) };
        let known = self.store.sums_below(&run_folder(&run_id));
        let period = |file: &String| file.split('/').find_map(|part| part.split_once('=')?.1.parse().ok());
        let months: BTreeSet<BillingPeriod> = known.keys().filter_map(period).collect();
        let files = |month| tables.iter().map(move |table| (month, table));
        let file = |(month, table): (BillingPeriod, &Table)| published_file(&run_id, table, Some(month));
        let all = months.iter().flat_map(|month| files(*month)).map(file).collect();
        let sound = self.sound(&run_id, all).await?;
        Ok(months.into_iter().filter(|month| files(*month).map(file).all(|file| sound.contains(&file))).collect())
    }

    /// True if every file of the published run is as it was written, of all these periods.
    ///
    /// # Errors
    /// [`LakeError`] where the store refuses.
    pub async fn holds_published(&self, periods: impl Iterator<Item = BillingPeriod>) -> Result<bool, LakeError> {
        let Some(run_id) = self.known_published().await? else { return Ok(false) };
        let files: Vec<Path> =
            periods.map(Some).chain([None]).flat_map(|period| published_files(&run_id, period)).collect();
        let count = files.len();
        Ok(self.sound(&run_id, files).await?.len() == count)
    }

    /// Stages all tables of one period, or with no period those that are not partitioned, as they are published; false
    /// where one is not.
    ///
    /// # Errors
    /// [`LakeError`] where the store refuses.
    pub async fn stage_all_published(&self, run_id: &str, period: Option<BillingPeriod>) -> Result<bool, LakeError> {
        for table in published_tables(period) {
            if !self.stage_one_published(run_id, table, period).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Stages a period of a table as it is published; false where it is not.
    ///
    /// # Errors
    /// [`LakeError`] where the store refuses.
    pub async fn stage_published<R: TableRow>(&self, run_id: &str, period: BillingPeriod) -> Result<bool, LakeError> {
        self.stage_one_published(run_id, &R::TABLE, Some(period)).await
    }

    async fn stage_one_published(
        &self,
        run_id: &str,
        table: &Table,
        period: Option<BillingPeriod>,
    ) -> Result<bool, LakeError> {
        let Some(published) = self.known_published().await? else { return Ok(false) };
        let is_sound = !self.sound(&published, vec![published_file(&published, table, period)]).await?.is_empty();
        let of = |run_id| table_folder(run_id, table, period);
        Ok(is_sound && self.store.copy_if_there(&of(&published), &of(run_id)).await?)
    }

    /// One published period of a table, as rows.
    ///
    /// # Errors
    /// [`LakeError::NotYet`] before the first run, [`LakeError::Damaged`] where it is not as it was written.
    pub async fn published_rows<R: TableRow>(&self, period: BillingPeriod) -> Result<Vec<R>, LakeError> {
        let (_, run_id) = (self.known_published().await?, self.published_run().await?);
        let file = published_file(&run_id, &R::TABLE, Some(period));
        if let Some(problem) = self.store.condition(&run_folder(&run_id), &file).await?.problem() {
            return Err(self.store.damaged(&file, problem));
        }
        self.staged(&run_id, Some(period)).await
    }

    /// A table that is published and not partitioned; empty before the first run, and where it is not as it was written.
    ///
    /// # Errors
    /// [`LakeError`] from the store.
    pub async fn published_table<R: TableRow>(&self) -> Result<Vec<R>, LakeError> {
        let Some(run_id) = self.known_published().await? else { return Ok(Vec::new()) };
        if self.sound(&run_id, vec![published_file(&run_id, &R::TABLE, None)]).await?.is_empty() {
            return Ok(Vec::new());
        }
        self.staged(&run_id, None).await
    }

    /// A column of text of a table that is published and not partitioned; empty before the first run, and where it is
    /// not as it was written.
    ///
    /// # Errors
    /// [`LakeError`] from the store.
    pub async fn published_texts(&self, table: &Table, column: &'static str) -> Result<Vec<Text>, LakeError> {
        let Some(run_id) = self.known_published().await? else { return Ok(Vec::new()) };
        let (folder, file) = (table_folder(&run_id, table, None), published_file(&run_id, table, None));
        if let Some(problem) = self.store.condition(&run_folder(&run_id), &file).await?.problem() {
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

/// The published tables that are partitioned, or with no period those that are not.
fn published_tables(period: Option<BillingPeriod>) -> impl Iterator<Item = &'static Table> {
    let tables = ALL.iter().filter(|table| table.place == Place::Published);
    tables.filter(move |table| table.partitioned == period.is_some())
}

fn table_folder(run_id: &str, table: &Table, period: Option<BillingPeriod>) -> Path {
    partition(run_folder(run_id).join(table.name), period)
}

fn published_file(run_id: &str, table: &Table, period: Option<BillingPeriod>) -> Path {
    part(&table_folder(run_id, table, period))
}

fn published_files(run_id: &str, period: Option<BillingPeriod>) -> impl Iterator<Item = Path> {
    published_tables(period).map(move |table| published_file(run_id, table, period))
}
