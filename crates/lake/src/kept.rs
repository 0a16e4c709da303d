//! Runs that are kept whole: for commands that read one of them, and for what changed between two.

use std::collections::BTreeSet;
use std::sync::Arc;

use credit_ledger::BillingPeriod;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::prelude::{Expr, SessionContext};
use object_store::path::Path;
use schemas::{Place, Table, TableRow};
use serde::de::DeserializeOwned;

use crate::asked::RunInLake;
use crate::decoding::decoded;
use crate::error::LakeError;
use crate::lake::Lake;
use crate::layout::{self, RUNS, below, part, table_of_run};
use crate::manifest::{RunFiles, StagedRun};
use crate::sums::FileSum;

/// How one names the published run, and the one before it, without their ids.
const PUBLISHED: &str = "published";
const PREVIOUS: &str = "previous";

/// A staged or published run, as its manifest says: its tables never change.
#[derive(Clone)]
pub struct KeptRun {
    lake: Arc<Lake>,
    id: Arc<str>,
    written: Arc<RunFiles>,
    staged: Arc<StagedRun>,
}

impl Lake {
    /// The run of this id.
    ///
    /// # Errors
    /// [`LakeError::Damaged`] where its manifest is not there or cannot be read.
    pub async fn open_run(self: &Arc<Self>, run_id: &str) -> Result<KeptRun, LakeError> {
        let (written, staged) = self.staged_manifest(run_id).await?;
        self.learn_files(run_id, written.clone());
        Ok(KeptRun { lake: Arc::clone(self), id: run_id.into(), written: written.into(), staged: staged.into() })
    }

    /// The run that somebody names: `published`, `previous`, an id, or the beginning of an id that only one run has.
    ///
    /// # Errors
    /// [`LakeError::BadInput`] that lists the runs that are kept; [`LakeError::NotYet`] before there is one.
    pub async fn named_run(self: &Arc<Self>, name: &str) -> Result<KeptRun, LakeError> {
        let published = self.published_run().await?;
        match name {
            PUBLISHED => return self.open_run(&published).await,
            PREVIOUS => return self.previous_run(&published).await,
            _ => {}
        }
        let kept = self.store.folders(&Path::from(RUNS)).await?;
        let begins: Vec<&String> = kept.iter().filter(|id| id.starts_with(name)).collect();
        match begins.as_slice() {
            _ if name.is_empty() => Err(self.no_such_run("an empty id names no run", &kept).await),
            _ if kept.iter().any(|id| id == name) => self.open_run(name).await,
            [only] => self.open_run(only).await,
            [] => {
                let what = format!("run {name} is not in the lake {}, or was removed", self.location);
                Err(self.no_such_run(&what, &kept).await)
            }
            several => {
                let several: Vec<String> = several.iter().copied().cloned().collect();
                Err(self.no_such_run(&format!("{} runs begin with {name}", several.len()), &several).await)
            }
        }
    }

    /// The run that was published before `published`.
    async fn previous_run(self: &Arc<Self>, published: &str) -> Result<KeptRun, LakeError> {
        let follows = self.open_run(published).await?.staged.follows.clone();
        let previous = follows.ok_or_else(|| {
            LakeError::NotYet(format!("{published} is the first run that was published: there is none before it"))
        })?;
        match self.manifest(&previous).await? {
            Some(_) => self.open_run(&previous).await,
            None => {
                let what = format!("run {previous}, published before {published}, was removed; see [run] keep_runs");
                let kept = self.store.folders(&Path::from(RUNS)).await?;
                Err(self.no_such_run(&what, &kept).await)
            }
        }
    }

    /// What is wrong, and which of these runs there are.
    async fn no_such_run(&self, what: &str, kept: &[String]) -> LakeError {
        match self.runs_in_lake().await {
            Ok(mut runs) => {
                runs.retain(|run| kept.contains(&run.id));
                LakeError::BadInput(format!("{what}; there are: {}", RunInLake::listed(&runs)))
            }
            Err(error) => error,
        }
    }
}

impl KeptRun {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The lake.
    #[must_use]
    pub const fn lake(&self) -> &Arc<Lake> {
        &self.lake
    }

    /// What it is of.
    #[must_use]
    pub fn staged(&self) -> &StagedRun {
        &self.staged
    }

    /// All months of its tables, oldest first.
    pub fn months(&self) -> impl Iterator<Item = BillingPeriod> + use<> {
        let (first, last) = self.staged.months;
        first.through(last)
    }

    /// Size and checksum of a table, or of one billing period of it; none where the run has no such file. Two runs whose
    /// sums are equal have the same rows.
    #[must_use]
    pub fn sum<R: TableRow>(&self, period: Option<BillingPeriod>) -> Option<FileSum> {
        let (root, files) = match R::TABLE.place {
            Place::Published => (layout::run(&self.id), &self.written.files),
            _ => (layout::work(&self.id), &self.written.intermediate),
        };
        let file = below(&part(&self.folder(&R::TABLE, period)), &root)?;
        files.get(&file).map(|record| record.sum)
    }

    /// The billing periods that a published table has.
    #[must_use]
    pub fn periods<R: TableRow>(&self) -> BTreeSet<BillingPeriod> {
        let folder = format!("{}/{}=", R::TABLE.name, Table::PARTITION);
        let period = |file: &String| file.strip_prefix(&folder)?.split('/').next()?.parse().ok();
        self.written.files.keys().filter_map(period).collect()
    }

    /// What a job of the run found; none where no record of it is kept: only the published run has its records still.
    pub async fn found<T: DeserializeOwned>(&self, job: &str) -> Option<T> {
        self.lake.store.read_kept(&layout::job_record(&self.id, job)).await
    }

    fn folder(&self, table: &Table, period: Option<BillingPeriod>) -> Path {
        table_of_run(&self.id, table, period)
    }

    /// The folder of a published table that the run has, as it was written; none where it has none.
    async fn checked<R: TableRow>(&self, period: Option<BillingPeriod>) -> Result<Option<Path>, LakeError> {
        if self.sum::<R>(period).is_none() {
            return Ok(None);
        }
        let folder = self.folder(&R::TABLE, period);
        match self.lake.store.refuse_damaged(&layout::run(&self.id), [part(&folder)]).await {
            Err(LakeError::Damaged(_)) if !self.lake.store.has_files(&layout::run(&self.id)).await? => {
                let message = format!("run {} was removed while it was read; try again", self.id);
                Err(LakeError::LostRace(message))
            }
            checked => checked.map(|()| Some(folder)),
        }
    }

    /// A published table, or one billing period of it, as rows; none where the run does not have it.
    ///
    /// # Errors
    /// [`LakeError`] from the store, [`LakeError::Damaged`] where it is not as it was written.
    pub async fn rows<R: TableRow>(&self, period: Option<BillingPeriod>) -> Result<Vec<R>, LakeError> {
        match self.checked::<R>(period).await? {
            Some(folder) => self.lake.store.read_rows(&folder).await,
            None => Ok(Vec::new()),
        }
    }

    /// As [`rows`](Self::rows), a batch after the other, with text as numbers of dictionary entries.
    ///
    /// # Errors
    /// As [`rows`](Self::rows).
    pub async fn coded_stream<R: TableRow>(
        &self,
        period: Option<BillingPeriod>,
    ) -> Result<Option<SendableRecordBatchStream>, LakeError> {
        match self.checked::<R>(period).await? {
            Some(folder) => self.lake.store.read_coded_stream(&folder, &R::TABLE).await.map(Some),
            None => Ok(None),
        }
    }

    /// The rows that a condition on columns takes.
    ///
    /// # Errors
    /// As [`rows`](Self::rows), and from the engine.
    pub async fn rows_where<R: TableRow>(
        &self,
        context: &SessionContext,
        period: Option<BillingPeriod>,
        condition: Expr,
    ) -> Result<Vec<R>, LakeError> {
        let Some(folder) = self.checked::<R>(period).await? else { return Ok(Vec::new()) };
        let frame = self.lake.store.frame(context, &folder, &R::TABLE, false).await?.filter(condition)?;
        match decoded(frame.collect()).await {
            Ok(batches) => Ok(schemas::from_batches(&batches?)?),
            Err(panic) => Err(self.lake.store.damaged(&part(&folder), format!("cannot be decoded: {panic}"))),
        }
    }
}

#[cfg(test)]
mod tests;
