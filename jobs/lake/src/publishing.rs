//! Staged and published runs, and the pointer between them.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{NaiveDate, NaiveDateTime, TimeDelta};
use credit_ledger::{BillingPeriod, Text};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::prelude::{DataFrame, SessionContext};
use object_store::path::Path;
use schemas::tables::{AllocationLogRow, CreditLogRow, RunLogRow};
use schemas::{Table, TableRow};
use serde::{Deserialize, Serialize};

use crate::error::{CLOCK_IS_BEHIND, at};
use crate::work::{self, partition};
use crate::{Lake, LakeError, LogSnapshot, MadeFrom};

/// Says which run is published. The embedded lake has a symbolic link; a cloud adapter brings its own.
#[async_trait]
pub trait Pointer: Send + Sync {
    /// The published run, if any.
    async fn published(&self) -> Result<Option<String>, LakeError>;
    /// Publishes `run_id`, which follows `follows`, whose months are `periods`: a reader sees a table of the run before
    /// or of this one. Completes a switch to `run_id` that broke off.
    ///
    /// # Errors
    /// [`LakeError::LostRace`] where another run was published meanwhile.
    async fn switch(&self, run_id: &str, follows: Option<&str>, periods: PeriodRange) -> Result<(), LakeError>;
}

/// First and last month of a run's tables.
pub type PeriodRange = (BillingPeriod, BillingPeriod);

/// `<lake>/published`, a symbolic link replaced by rename.
#[derive(Debug)]
pub(crate) struct SymlinkPointer {
    root: PathBuf,
}

impl SymlinkPointer {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }
}

#[async_trait]
impl Pointer for SymlinkPointer {
    async fn published(&self) -> Result<Option<String>, LakeError> {
        let link = self.root.join("published");
        match std::fs::read_link(&link) {
            Ok(target) => Ok(target.file_name().map(|name| name.to_string_lossy().into_owned())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(at(link)(error)),
        }
    }

    async fn switch(&self, run_id: &str, _follows: Option<&str>, _periods: PeriodRange) -> Result<(), LakeError> {
        let (link, next) = (self.root.join("published"), self.root.join(".published.next"));
        match std::fs::remove_file(&next) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(at(next)(error)),
            _ => {}
        }
        std::os::unix::fs::symlink(PathBuf::from("runs").join(run_id), &next).map_err(at(&next))?;
        std::fs::rename(&next, &link).map_err(at(&link))
    }
}

/// The job whose record is a [`StagedRun`].
const STAGING_JOB: &str = "write-net-cost";

/// What `write-net-cost` leaves for `publish`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StagedRun {
    /// The run that was published when this one was staged: it may only follow that one.
    pub follows: Option<String>,
    /// As-of date.
    pub as_of: NaiveDate,
    /// FIFO policy.
    pub policy: String,
    /// Start of the run, UTC.
    pub started_at: NaiveDateTime,
    /// The export's periods in the run.
    pub periods: Vec<StagedPeriod>,
    /// What the tables are made from.
    pub made_from: MadeFrom,
}

impl StagedRun {
    /// First and last month of the tables.
    #[must_use]
    pub fn months(&self) -> PeriodRange {
        let as_of = BillingPeriod::of(self.as_of);
        let months = &self.made_from.tables;
        let first = months.first_key_value().map_or(as_of, |(period, _)| *period);
        (first, months.last_key_value().map_or(as_of, |(period, _)| *period))
    }
}

/// One period of the export in a staged run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StagedPeriod {
    /// The period.
    pub billing_period: BillingPeriod,
    /// Fingerprint of its generation.
    pub fingerprint: String,
    /// Lines.
    pub lines: u64,
}

const SUMMARIES: &str = "summaries";

fn summary_name(run_id: &str) -> String {
    format!("{run_id}.json")
}

pub(crate) fn run_folder(run_id: &str) -> Path {
    Path::from(format!("runs/{run_id}"))
}

impl Lake {
    /// The published run, if any.
    ///
    /// # Errors
    /// [`LakeError::Io`] where the pointer cannot be read.
    pub async fn published(&self) -> Result<Option<String>, LakeError> {
        self.pointer.published().await
    }

    /// A published table as a plan, `billing_period` included where it is partitioned.
    ///
    /// # Errors
    /// [`LakeError::NotYet`] before the first run.
    pub async fn published_frame(&self, context: &SessionContext, table: &Table) -> Result<DataFrame, LakeError> {
        let folder = run_folder(&self.published_run().await?).join(table.name);
        self.store.frame(context, &folder, table, table.partitioned).await
    }

    /// The periods of a table that are published.
    ///
    /// # Errors
    /// [`LakeError`] from the store.
    pub async fn published_periods<R: TableRow>(&self) -> Result<BTreeSet<BillingPeriod>, LakeError> {
        let Some(run_id) = self.published().await? else { return Ok(BTreeSet::new()) };
        let folders = self.store.folders_with_a_part(&run_folder(&run_id).join(R::TABLE.name)).await?;
        let period = |folder: &Path| folder.filename()?.split_once('=')?.1.parse().ok();
        Ok(folders.iter().filter_map(period).collect())
    }

    /// One published period of a table, as rows.
    ///
    /// # Errors
    /// [`LakeError::NotYet`] before the first run.
    pub async fn published_rows<R: TableRow>(&self, period: BillingPeriod) -> Result<Vec<R>, LakeError> {
        self.staged(&self.published_run().await?, Some(period)).await
    }

    /// A column of text of a table that is published and not partitioned; empty before the first run.
    ///
    /// # Errors
    /// [`LakeError`] from the store.
    pub async fn published_texts(&self, table: &Table, column: &'static str) -> Result<Vec<Text>, LakeError> {
        match self.published().await? {
            Some(run_id) => self.store.read_texts(&run_folder(&run_id).join(table.name), table, column).await,
            None => Ok(Vec::new()),
        }
    }

    async fn published_run(&self) -> Result<String, LakeError> {
        self.published().await?.ok_or_else(|| {
            LakeError::NotYet(format!("nothing is published in the lake {} yet; `run` first", self.location))
        })
    }

    /// One staged period of a table as a plan, without `billing_period`.
    ///
    /// # Errors
    /// [`LakeError`] from the engine.
    pub async fn staged_frame<R: TableRow>(
        &self,
        context: &SessionContext,
        run_id: &str,
        period: BillingPeriod,
    ) -> Result<DataFrame, LakeError> {
        let folder = partition(run_folder(run_id).join(R::TABLE.name), Some(period));
        self.store.frame(context, &folder, &R::TABLE, false).await
    }

    /// A staged table as rows; of a partitioned one a period.
    ///
    /// # Errors
    /// [`LakeError`] from the store.
    pub async fn staged<R: TableRow>(&self, run_id: &str, period: Option<BillingPeriod>) -> Result<Vec<R>, LakeError> {
        self.store.read_rows(&partition(run_folder(run_id).join(R::TABLE.name), period)).await
    }

    /// One staged period of a table, in its order.
    ///
    /// # Errors
    /// [`LakeError`] from the store.
    pub async fn staged_stream<R: TableRow>(
        &self,
        run_id: &str,
        period: BillingPeriod,
    ) -> Result<SendableRecordBatchStream, LakeError> {
        self.store.read_stream(&partition(run_folder(run_id).join(R::TABLE.name), Some(period))).await
    }

    /// Refuses the id of a run that is or was published: its files must not change.
    ///
    /// # Errors
    /// [`LakeError::LostRace`] for such a run.
    pub async fn refuse_published(&self, run_id: &str) -> Result<(), LakeError> {
        if self.published().await?.as_deref() == Some(run_id) || self.is_logged(run_id).await? {
            return Err(LakeError::LostRace(format!("run {run_id} is already published; start a new run")));
        }
        Ok(())
    }

    /// Removes what an earlier attempt staged under this id.
    ///
    /// # Errors
    /// [`LakeError::LostRace`] if the run is or was published.
    pub async fn begin_staging(&self, run_id: &str) -> Result<(), LakeError> {
        self.refuse_published(run_id).await?;
        self.store.remove_folder(&run_folder(run_id)).await
    }

    /// Stages one period of a table; the rows must be in order.
    ///
    /// # Errors
    /// [`LakeError`] from the stream or the store.
    pub async fn stage_stream<R: TableRow>(
        &self,
        run_id: &str,
        period: BillingPeriod,
        rows: SendableRecordBatchStream,
    ) -> Result<u64, LakeError> {
        let folder = partition(run_folder(run_id).join(R::TABLE.name), Some(period));
        self.store.write_stream(&folder, &R::TABLE, rows).await
    }

    /// Stages rows of a table, or of one period of it.
    ///
    /// # Errors
    /// [`LakeError`] from the store.
    pub async fn stage<R: TableRow>(
        &self,
        run_id: &str,
        period: Option<BillingPeriod>,
        rows: &[R],
    ) -> Result<u64, LakeError> {
        let folder = partition(run_folder(run_id).join(R::TABLE.name), period);
        self.store.write_rows(&folder, rows).await
    }

    /// Writes what a run has to say for machines that pass it on; kept as long as the run.
    ///
    /// # Errors
    /// [`LakeError`] from the store.
    pub async fn write_summary<T: Serialize + Sync>(&self, run_id: &str, summary: &T) -> Result<(), LakeError> {
        self.store.write_record(&Path::from(SUMMARIES).join(summary_name(run_id)), summary).await
    }

    /// Stages a table, or one period of it, as an earlier job of the run handed it over.
    ///
    /// # Errors
    /// [`LakeError`] from the store.
    pub async fn stage_handed_over<R: TableRow>(
        &self,
        run_id: &str,
        period: Option<BillingPeriod>,
    ) -> Result<(), LakeError> {
        let from = partition(work::folder(run_id).join(R::TABLE.name), period);
        let to = partition(run_folder(run_id).join(R::TABLE.name), period);
        self.store.copy(&from, &to).await
    }

    /// Makes a staged run the published one, logs it, and removes what no pointer reaches any more.
    ///
    /// # Errors
    /// [`LakeError::LostRace`] if another run was published since it was staged; [`LakeError::BadInput`] where the clock
    /// is behind the log of published runs.
    pub async fn publish(&self, run_id: &str, staged: &StagedRun, finished_at: NaiveDateTime) -> Result<(), LakeError> {
        let published = self.published().await?;
        if published.as_deref() != Some(run_id) {
            if published != staged.follows {
                return Err(LakeError::LostRace(format!(
                    "run {run_id} was staged to follow {}, but {} is published now; start a new run",
                    staged.follows.as_deref().unwrap_or("no run"),
                    published.as_deref().unwrap_or("no run"),
                )));
            }
            self.refuse_clock_behind(finished_at).await?;
            if let Some(previous) = &published {
                self.complete_log(previous, finished_at).await?;
            }
            self.pointer.switch(run_id, published.as_deref(), staged.months()).await?;
        }
        let (logged, remembered, dropped, credits, allocations) = futures::join!(
            self.log_run(run_id, staged, finished_at),
            self.remember(run_id, &staged.made_from),
            self.drop_old_generations(),
            self.keep_newest_log::<CreditLogRow>(),
            self.keep_newest_log::<AllocationLogRow>(),
        );
        remembered.and(dropped).and(credits).and(allocations)?;
        let logged = logged?;
        let (kept, dropped) =
            futures::join!(self.keep_newest_log::<RunLogRow>(), self.drop_old_runs(run_id, staged, &logged));
        kept.and(dropped)?;
        self.drop_work(run_id).await
    }

    /// A run that is published must be logged, and Iceberg takes no append that is more than a minute older than the last
    /// one.
    async fn refuse_clock_behind(&self, now: NaiveDateTime) -> Result<(), LakeError> {
        let newest = self.logs().snapshot::<RunLogRow>().await?.committed_at.unwrap_or_default();
        let is_behind = newest.signed_duration_since(now) > TimeDelta::minutes(1);
        if is_behind { Err(LakeError::BadInput(CLOCK_IS_BEHIND.to_owned())) } else { Ok(()) }
    }

    /// Logs a published run whose `publish` broke off after the switch: its work is still there then.
    async fn complete_log(&self, run_id: &str, finished_at: NaiveDateTime) -> Result<(), LakeError> {
        match self.finished_job::<StagedRun>(run_id, STAGING_JOB).await {
            Ok(staged) => self.log_run(run_id, &staged, finished_at).await.map(drop),
            Err(LakeError::NotYet(_) | LakeError::LostRace(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn is_logged(&self, run_id: &str) -> Result<bool, LakeError> {
        let (_, logged) = self.run_log().await?;
        Ok(logged.iter().any(|row| row.run_id == run_id))
    }

    /// The log of published runs and the state that has these rows; read again only where it has changed.
    async fn run_log(&self) -> Result<(LogSnapshot, Arc<Vec<RunLogRow>>), LakeError> {
        let mut known = self.run_log.lock().await;
        let newest = self.logs().snapshot::<RunLogRow>().await?;
        if let Some((state, rows)) = known.as_ref().filter(|(state, _)| *state == newest) {
            return Ok((*state, Arc::clone(rows)));
        }
        let (state, rows) = self.log_rows().await?;
        let rows = Arc::new(rows);
        *known = Some((state, Arc::clone(&rows)));
        Ok((state, rows))
    }

    /// Logs a published run, once. Says what is logged then.
    async fn log_run(
        &self,
        run_id: &str,
        staged: &StagedRun,
        finished_at: NaiveDateTime,
    ) -> Result<Vec<RunLogRow>, LakeError> {
        let (before, logged) = self.run_log().await?;
        let mut logged = logged.to_vec();
        if logged.iter().any(|row| row.run_id == run_id) {
            return Ok(logged);
        }
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
        });
        let rows: Vec<RunLogRow> = rows.collect();
        self.append_to_log(before, &logged, &rows).await?;
        logged.extend(rows);
        Ok(logged)
    }

    /// Keeps the newest runs and, whatever the clock said when they ended, the published one and the one before it:
    /// somebody may be reading that.
    async fn drop_old_runs(&self, run_id: &str, staged: &StagedRun, logged: &[RunLogRow]) -> Result<(), LakeError> {
        let newest_first: BTreeSet<_> =
            logged.iter().map(|row| (std::cmp::Reverse(row.finished_at), row.run_id.as_str())).collect();
        let kept: BTreeSet<&str> = newest_first
            .into_iter()
            .map(|(_, id)| id)
            .take(self.keep_runs)
            .chain([run_id])
            .chain(staged.follows.as_deref())
            .collect();
        self.store.remove_all_but(&Path::from("runs"), |name| kept.contains(name)).await?;
        let summaries: BTreeSet<String> = kept.iter().map(|run_id| summary_name(run_id)).collect();
        self.store.remove_all_but(&Path::from(SUMMARIES), |name| summaries.contains(name)).await?;
        self.drop_old_markers(&kept).await
    }
}
