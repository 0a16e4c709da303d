//! Staged and published runs, and the pointer between them.

use std::collections::BTreeSet;
use std::fs::File;
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
use crate::known::Condition;
use crate::manifest::{Manifest, RunExtent};
use crate::tables::part;
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
        std::fs::rename(&next, &link).map_err(at(&link))?;
        File::open(&self.root).and_then(|root| root.sync_all()).map_err(at(&self.root))
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
    /// What the run is of.
    #[must_use]
    pub fn extent(&self) -> RunExtent {
        let periods = self.periods.iter().map(|period| period.billing_period).collect();
        RunExtent { as_of: self.as_of, periods }
    }

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
    /// Exclusions that could not be applied.
    #[serde(default)]
    pub exclusions_not_applied: BTreeSet<String>,
}

/// Texts as one, separated by commas; none where there are none.
fn listed(texts: &BTreeSet<String>) -> Option<Text> {
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    (!texts.is_empty()).then(|| texts.join(", ").into())
}

const SUMMARIES: &str = "summaries";
const RUNS: &str = "runs";
/// The published run, and the one before it for those who began to read that.
const LEAST_RUNS: usize = 2;

fn summary_name(run_id: &str) -> String {
    format!("{run_id}.json")
}

pub(crate) fn run_folder(run_id: &str) -> Path {
    Path::from(RUNS).join(run_id)
}

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

    /// What a published run is of, by its manifest, else by the log of published runs; none where neither says.
    ///
    /// # Errors
    /// [`LakeError`] from the store or the catalogue.
    pub async fn published_extent(&self, run_id: &str) -> Result<Option<RunExtent>, LakeError> {
        match self.manifest(run_id).await {
            Ok(Some(Manifest { extent: Some(extent), .. })) => return Ok(Some(extent)),
            Ok(_) => {}
            Err(LakeError::Damaged(problem)) => tracing::warn!("{problem}"),
            Err(other) => return Err(other),
        }
        let (_, logged) = self.run_log().await?;
        let mut logged = logged.iter().filter(|row| row.run_id == run_id).peekable();
        let Some(as_of) = logged.peek().map(|row| row.as_of) else { return Ok(None) };
        Ok(Some(RunExtent { as_of, periods: logged.map(|row| row.billing_period).collect() }))
    }

    /// A table of the published run as a plan, `billing_period` included where it is partitioned.
    ///
    /// # Errors
    /// [`LakeError::NotYet`] before the first run.
    pub async fn published_frame(&self, context: &SessionContext, table: &Table) -> Result<DataFrame, LakeError> {
        let folder = run_folder(&self.published_run().await?).join(table.name);
        self.store.frame(context, &folder, table, table.partitioned).await
    }

    /// Refuses what was read of the published run if a file of it has gone meanwhile: it would look empty.
    ///
    /// # Errors
    /// [`LakeError::LostRace`] where the whole run is gone, [`LakeError::Damaged`] that names a file of it.
    pub async fn check_published(&self) -> Result<(), LakeError> {
        let Some(run_id) = self.published().await? else { return Ok(()) };
        if !self.store.has_files(&run_folder(&run_id)).await? {
            let message = format!("run {run_id} was removed from {} while it was read; try again", self.location);
            return Err(LakeError::LostRace(message));
        }
        match self.manifest(&run_id).await? {
            Some(manifest) => self.check_sizes(&run_id, &manifest).await,
            None => Ok(()),
        }
    }

    pub(crate) async fn published_run(&self) -> Result<String, LakeError> {
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
        let is_published = self.pointer.published().await?.as_deref() == Some(run_id);
        if is_published || self.is_logged(run_id).await? || self.is_left(run_id).await {
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
        Ok(self.store.write_stream(&folder, &R::TABLE, rows).await?.rows)
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
        Ok(self.store.write_rows(&folder, rows).await?.rows)
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
    /// [`LakeError`] from the store, [`LakeError::Damaged`] where it is not as it was handed over.
    pub async fn stage_handed_over<R: TableRow>(
        &self,
        run_id: &str,
        period: Option<BillingPeriod>,
    ) -> Result<(), LakeError> {
        let from = partition(work::folder(run_id).join(R::TABLE.name), period);
        let to = partition(run_folder(run_id).join(R::TABLE.name), period);
        let file = part(&from);
        match self.store.condition(&work::folder(run_id), &file).await? {
            Condition::Sound(_) => self.store.copy(&from, &to).await,
            Condition::Unknown => Err(self.store.damaged(&file, "has no known checksum")),
            Condition::Damaged(problem) => Err(self.store.damaged(&file, problem)),
        }
    }

    /// Makes a staged run the published one, logs it, and removes what no pointer reaches any more.
    ///
    /// # Errors
    /// [`LakeError::LostRace`] if another run was published since it was staged; [`LakeError::BadInput`] where the clock
    /// is behind the log of published runs.
    pub async fn publish(&self, run_id: &str, staged: &StagedRun, finished_at: NaiveDateTime) -> Result<(), LakeError> {
        let published = self.pointer.published().await?;
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
            self.check_staged(run_id).await?;
            self.store.sync().await?;
            self.pointer.switch(run_id, published.as_deref(), staged.months()).await?;
        }
        let (logged, remembered, dropped, credits, allocations) = futures::join!(
            self.log_run(run_id, staged, finished_at),
            self.remember(run_id, &staged.made_from),
            self.drop_old_generations(finished_at),
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
            Err(LakeError::Damaged(problem)) => {
                tracing::warn!("{problem}; what it says of {run_id} is missing in runs_log");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// True if a run has files without the work that led to them: it was published, and its log is lost.
    async fn is_left(&self, run_id: &str) -> bool {
        let (run, work) = (run_folder(run_id), work::folder(run_id));
        let (staged, begun) = futures::join!(self.store.has_files(&run), self.store.has_files(&work));
        staged.unwrap_or(false) && !begun.unwrap_or(true)
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
            exclusions_not_applied: listed(&period.exclusions_not_applied),
        });
        let rows: Vec<RunLogRow> = rows.collect();
        self.append_to_log(before, &logged, &rows).await?;
        logged.extend(rows);
        Ok(logged)
    }

    /// Removes runs that are older than those to keep, and those that were under way when this one was published. The
    /// published run and the one before it stay, whatever the clock said: somebody may be reading that. So does a run
    /// that the log does not know, as if the log had been lost meanwhile.
    async fn drop_old_runs(&self, run_id: &str, staged: &StagedRun, logged: &[RunLogRow]) -> Result<(), LakeError> {
        let newest_first: BTreeSet<_> =
            logged.iter().map(|row| (std::cmp::Reverse(row.finished_at), row.run_id.as_str())).collect();
        let newest_first = newest_first.into_iter().map(|(_, id)| id);
        let always = [run_id].into_iter().chain(staged.follows.as_deref());
        let kept: BTreeSet<&str> = newest_first.take(self.keep_runs.max(LEAST_RUNS)).chain(always).collect();
        let begun: BTreeSet<String> = self.store.folders(&Path::from(work::WORK)).await?.into_iter().collect();
        let logged: BTreeSet<&str> = logged.iter().map(|row| row.run_id.as_str()).collect();
        let goes = |id: &str| !kept.contains(id) && (logged.contains(id) || begun.contains(id));
        self.store.remove_all_but(&Path::from(RUNS), |id| !goes(id)).await?;
        let of_run = |name: &str| name.strip_suffix(".json").is_some_and(|id| !goes(id));
        self.store.remove_all_but(&Path::from(SUMMARIES), of_run).await?;
        self.drop_old_markers(&kept).await
    }
}
