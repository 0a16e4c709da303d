//! The tables of one run: what its jobs write, read and reuse of the run before.

use std::sync::Arc;

use credit_ledger::BillingPeriod;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::prelude::{DataFrame, SessionContext};
use object_store::path::Path;
use schemas::{Place, TableRow};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::concurrency::spawn_abort_on_drop;
use crate::error::LakeError;
use crate::known::Condition;
use crate::lake::Lake;
use crate::layout::{self, SUPERSEDED, part, root_of_run};
use crate::manifest::{Manifest, RunFiles, StagedRun};
use crate::sums::Problem;

/// One run in a lake.
#[derive(Clone)]
pub struct Run {
    lake: Arc<Lake>,
    id: Arc<str>,
}

/// How a table came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reuse {
    /// The published file is in place again: linked, where the store can.
    Reused,
    /// It was made.
    Written {
        /// Rows of it.
        rows: u64,
    },
}

/// A job's record, with what the run has written by then.
#[derive(Debug, Serialize)]
struct JobRecord<'a, T> {
    #[serde(flatten)]
    found: &'a T,
    #[serde(flatten)]
    written: RunFiles,
}

/// Left for a run that was under way when another one was published.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Superseded {
    pub(crate) by: String,
}

impl Run {
    /// A run of this id; nothing happens yet.
    #[must_use]
    pub fn new(lake: Arc<Lake>, id: &str) -> Self {
        Self { lake, id: id.into() }
    }

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

    /// True if the pointer names the run.
    async fn is_published(&self) -> Result<bool, LakeError> {
        Ok(self.lake.published().await?.as_deref() == Some(&*self.id))
    }

    /// True if the run has published files without the work that led to them: it was published before.
    async fn was_published(&self) -> bool {
        let (files, work) = (layout::run(&self.id), layout::work(&self.id));
        let (staged, begun) = futures::join!(self.lake.store.has_files(&files), self.lake.store.has_files(&work));
        staged.unwrap_or(false) && !begun.unwrap_or(true)
    }

    /// Removes what jobs of an earlier attempt left, so that a retry starts clean. What it left of published tables goes once
    /// the run is staged.
    ///
    /// # Errors
    /// [`LakeError::LostRace`] if the run is or was published, [`LakeError::Io`] where storage refuses.
    pub async fn begin(&self) -> Result<(), LakeError> {
        // Files of a published run must not change.
        if self.is_published().await? || self.was_published().await {
            return Err(LakeError::LostRace(format!("run {} is already published; start a new run", self.id)));
        }
        let own_marker = layout::record_name(&self.id);
        let store = &self.lake.store;
        store.remove_all_but(&Path::from(SUPERSEDED), |name| name != own_marker).await?;
        store.remove_folder(&layout::work(&self.id)).await
    }

    fn folder<R: TableRow>(&self, period: Option<BillingPeriod>) -> Path {
        layout::table_of_run(&self.id, &R::TABLE, period)
    }

    /// Writes a table, or one billing period of it, in order of its grain.
    ///
    /// # Errors
    /// [`LakeError`] from the store.
    pub async fn write<R: TableRow>(&self, period: Option<BillingPeriod>, rows: &[R]) -> Result<(), LakeError> {
        self.lake.store.write_rows(&self.folder::<R>(period), rows).await
    }

    /// Writes a table, or one billing period of it, that the next run may reuse where it is made from the same `inputs`
    /// (an [`InputDigest`](crate::InputDigest)). Rows come in order of the grain. Says how many.
    ///
    /// # Errors
    /// [`LakeError`] from the stream or the store.
    pub async fn write_reusable<R: TableRow>(
        &self,
        period: Option<BillingPeriod>,
        inputs: &str,
        rows: SendableRecordBatchStream,
    ) -> Result<u64, LakeError> {
        let folder = self.folder::<R>(period);
        let sum = self.lake.store.write_stream(&folder, &R::TABLE, rows).await?;
        self.lake.store.known.wrote(part(&folder), sum, Some(inputs.to_owned()));
        Ok(sum.rows)
    }

    /// Puts the table of the published run in place again if it is made from the same `inputs` and is as it was written.
    /// A published file that is not is warned of.
    ///
    /// # Errors
    /// [`LakeError`] where the store refuses.
    pub async fn reuse<R: TableRow>(&self, period: Option<BillingPeriod>, inputs: &str) -> Result<bool, LakeError> {
        let Some(published) = self.lake.known_published().await? else { return Ok(false) };
        let from = layout::table_of_run(&published, &R::TABLE, period);
        let (file, store) = (part(&from), &self.lake.store);
        if store.known.inputs(&file).as_deref() != Some(inputs) {
            return Ok(false);
        }
        match store.condition(&root_of_run(&published, &R::TABLE), &file).await? {
            Condition::Sound(_) => store.copy_if_there(&from, &self.folder::<R>(period)).await,
            Condition::Unknown => Ok(false),
            // Storage may drop intermediate tables after a while.
            Condition::Damaged(Problem::Missing) if R::TABLE.place != Place::Published => Ok(false),
            Condition::Damaged(problem) => {
                store.warn(&file, &problem, "it is made again");
                Ok(false)
            }
        }
    }

    /// Reuses the table of the published run where it is made from the same `inputs`; else makes and writes it.
    ///
    /// # Errors
    /// That of `make`, or [`LakeError`] from the store.
    pub async fn reuse_or_write<R: TableRow, E: From<LakeError>>(
        &self,
        period: Option<BillingPeriod>,
        inputs: &str,
        make: impl Future<Output = Result<SendableRecordBatchStream, E>>,
    ) -> Result<Reuse, E> {
        if self.reuse::<R>(period, inputs).await? {
            return Ok(Reuse::Reused);
        }
        let rows = self.write_reusable::<R>(period, inputs, make.await?).await?;
        Ok(Reuse::Written { rows })
    }

    /// What a table of this run is made from, where it may be reused.
    ///
    /// # Errors
    /// [`LakeError::Damaged`] where the record of the job that made it does not say.
    pub fn inputs_of<R: TableRow>(&self, period: Option<BillingPeriod>) -> Result<String, LakeError> {
        let file = part(&self.folder::<R>(period));
        let store = &self.lake.store;
        store.known.inputs(&file).ok_or_else(|| store.damaged(&file, "is in no record of what it is made from"))
    }

    /// The folder of a table that this run has, as it was written.
    async fn checked<R: TableRow>(&self, period: Option<BillingPeriod>) -> Result<Path, LakeError> {
        let folder = self.folder::<R>(period);
        self.lake.store.refuse_damaged(&root_of_run(&self.id, &R::TABLE), [part(&folder)]).await?;
        Ok(folder)
    }

    /// A table, or one billing period of it, as rows.
    ///
    /// # Errors
    /// [`LakeError`] from the store, [`LakeError::Damaged`] where it is not as it was written.
    pub async fn rows<R: TableRow>(&self, period: Option<BillingPeriod>) -> Result<Vec<R>, LakeError> {
        self.lake.store.read_rows(&self.checked::<R>(period).await?).await
    }

    /// As [`rows`](Self::rows), read on another thread from now on.
    pub fn spawn_rows<R: TableRow + Send + 'static>(
        &self,
        period: Option<BillingPeriod>,
    ) -> impl Future<Output = Result<Vec<R>, LakeError>> + use<R> {
        let run = self.clone();
        spawn_abort_on_drop(async move { run.rows(period).await })
    }

    /// As [`write`](Self::write), on another thread from now on.
    pub fn spawn_write<R: TableRow + Send + Sync + 'static>(
        &self,
        period: Option<BillingPeriod>,
        rows: Vec<R>,
    ) -> impl Future<Output = Result<(), LakeError>> + use<R> {
        let run = self.clone();
        spawn_abort_on_drop(async move { run.write(period, &rows).await })
    }

    /// A table, or one billing period of it, in its order.
    ///
    /// # Errors
    /// [`LakeError`] from the store, [`LakeError::Damaged`] where it is not as it was written.
    pub async fn stream<R: TableRow>(
        &self,
        period: Option<BillingPeriod>,
    ) -> Result<SendableRecordBatchStream, LakeError> {
        self.lake.store.read_stream(&self.checked::<R>(period).await?).await
    }

    /// As [`stream`](Self::stream), with text as numbers of dictionary entries.
    ///
    /// # Errors
    /// As [`stream`](Self::stream).
    pub async fn coded_stream<R: TableRow>(
        &self,
        period: Option<BillingPeriod>,
    ) -> Result<SendableRecordBatchStream, LakeError> {
        self.lake.store.read_coded_stream(&self.checked::<R>(period).await?, &R::TABLE).await
    }

    /// A table, or one billing period of it (without `billing_period`), as a plan.
    ///
    /// # Errors
    /// [`LakeError`] from the engine, [`LakeError::Damaged`] where it is not as it was written.
    pub async fn frame<R: TableRow>(
        &self,
        context: &SessionContext,
        period: Option<BillingPeriod>,
    ) -> Result<DataFrame, LakeError> {
        self.lake.store.frame(context, &self.checked::<R>(period).await?, &R::TABLE, false).await
    }

    /// As [`frame`](Self::frame), of a table that was written in order of its keys: plans need not sort it again.
    ///
    /// # Errors
    /// As [`frame`](Self::frame).
    pub async fn ordered_frame<R: TableRow>(
        &self,
        context: &SessionContext,
        period: Option<BillingPeriod>,
    ) -> Result<DataFrame, LakeError> {
        self.lake.store.ordered_frame(context, &self.checked::<R>(period).await?, &R::TABLE).await
    }

    /// Writes a job's record: it marks the job as done, so it is written last.
    ///
    /// # Errors
    /// [`LakeError`] from the store.
    pub async fn finish_job<T: Serialize + Sync>(&self, job: &str, found: &T) -> Result<(), LakeError> {
        let record = JobRecord { found, written: self.lake.known_files(&self.id) };
        self.lake.store.write_record(&layout::job_record(&self.id, job), &record).await
    }

    /// The record of an earlier job of the run.
    ///
    /// # Errors
    /// [`LakeError::NotYet`] where that job has not been done for this run, [`LakeError::LostRace`] where the run or
    /// another one has been published since, [`LakeError::Damaged`] where the record cannot be read.
    pub async fn finished_job<T: DeserializeOwned>(&self, job: &str) -> Result<T, LakeError> {
        let (store, id) = (&self.lake.store, &self.id);
        let published = || LakeError::LostRace(format!("run {id} has been published already; start a new run"));
        if self.is_published().await? {
            return Err(published());
        }
        let path = layout::job_record(id, job);
        if let Some(record) = store.read_record::<Value>(&path).await? {
            let unreadable = |error| store.damaged(&path, format!("cannot be read: {error}"));
            self.lake.learn_files(id, serde_json::from_value(record.clone()).map_err(unreadable)?);
            return serde_json::from_value(record).map_err(unreadable);
        }
        let superseded = match store.read_record::<Superseded>(&layout::superseded(id)).await {
            Err(LakeError::Damaged(_)) => Some(Superseded { by: "another run".to_owned() }),
            read => read?,
        };
        Err(match superseded {
            Some(Superseded { by }) => {
                LakeError::LostRace(format!("run {id} was overtaken: {by} was published meanwhile; start a new run"))
            }
            None if self.was_published().await => published(),
            None => {
                LakeError::NotYet(format!("run {id}: {job} has not been done; give all jobs of a run one --run-id"))
            }
        })
    }

    /// Writes down why a job of the run failed, for whoever looks after the night.
    ///
    /// # Errors
    /// [`LakeError`] from the store.
    pub async fn record_failure<T: Serialize + Sync>(&self, failure: &T) -> Result<(), LakeError> {
        self.lake.store.write_record(&layout::failure(&self.id), failure).await
    }

    /// Writes down what was staged and removes what else an earlier attempt left: the run can be published.
    ///
    /// # Errors
    /// [`LakeError`] from the store.
    pub async fn finish_staging(&self, run: StagedRun) -> Result<(), LakeError> {
        let written = self.lake.known_files(&self.id);
        self.lake.store.remove_files_but(&layout::run(&self.id), |file| written.files.contains_key(file)).await?;
        self.lake.write_manifest(&self.id, &Manifest { written, run: Some(run) }).await
    }

    /// What was staged.
    ///
    /// # Errors
    /// [`LakeError::Damaged`] where there is no readable manifest.
    pub async fn staged(&self) -> Result<StagedRun, LakeError> {
        Ok(self.lake.staged_manifest(&self.id).await?.1)
    }

    /// Writes what the run found for machines that pass it on; kept as long as the run.
    ///
    /// # Errors
    /// [`LakeError`] from the store.
    pub async fn write_summary<T: Serialize + Sync>(&self, summary: &T) -> Result<(), LakeError> {
        self.lake.store.write_record(&layout::summary(&self.id), summary).await
    }
}

#[cfg(test)]
mod tests;
