//! What every command works with.

use std::sync::Arc;

use chrono::{NaiveDate, NaiveDateTime};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::SessionContext;
use detect_credits::ExportSource;
use lake::{JobContext, Lake, LakeLock, ReferenceFiles, Run, RunInLake, Settings, is_s3};
use schemas::records::Detected;
use tokio::sync::OnceCell;

use crate::cli::Format;
use crate::failure::{Failure, Kind};
use crate::locations::Locations;
use crate::screen::Screen;

/// What every command works with.
pub(crate) struct App {
    pub(crate) settings: Settings,
    pub(crate) locations: Locations,
    pub(crate) lake: Arc<Lake>,
    pub(crate) session: OnceCell<SessionContext>,
    pub(crate) as_of: NaiveDate,
    /// The settings that say the as-of date, where they do.
    pub(crate) as_of_pinned_in: Option<String>,
    /// The run that a reading command was told to answer from, in place of the published one and of what stands now.
    pub(crate) asked: Option<RunInLake>,
    pub(crate) run_id: String,
    /// Start of the command, UTC: the one reading of the clock.
    pub(crate) now: NaiveDateTime,
    pub(crate) format: Format,
    /// True where cells of CSV are wanted without a guard against formulas.
    pub(crate) raw: bool,
    /// What tables for people go to.
    pub(crate) screen: Screen,
    /// True where a person watches stderr.
    pub(crate) watched: bool,
}

impl App {
    /// The run that the command works on.
    pub(crate) fn run(&self) -> Run {
        Run::new(Arc::clone(&self.lake), &self.run_id)
    }

    /// What a job works with.
    ///
    /// # Errors
    /// Where the system has no folder for what spills.
    pub(crate) async fn job_context(&self) -> Result<JobContext, Failure> {
        Ok(JobContext {
            run: self.run(),
            session: self.session().await?,
            settings: self.settings.clone(),
            as_of: self.as_of,
            now: self.now,
        })
    }

    /// The reference files, read once: all jobs of one command have the same.
    pub(crate) async fn reference_files(&self) -> Result<Arc<ReferenceFiles>, Failure> {
        self.locations.reference_files(&self.settings).await
    }

    /// Where the export lies, and how it is read.
    ///
    /// # Errors
    /// [`Kind::NotYet`] where nothing is there.
    pub(crate) fn export_source(&self) -> Result<ExportSource, Failure> {
        let is_remote = is_s3(&self.settings.source.location);
        Ok(ExportSource {
            store: self.locations.open_export(&self.settings)?,
            location: self.settings.source.location.clone(),
            periods: credit_ledger::ExportPeriods::read_on(self.now.date(), self.as_of),
            // In a file system each takes a thread.
            fetched_at_once: if is_remote { 16 } else { 1 },
            readers: self.settings.threads() * if is_remote { 2 } else { 1 },
        })
    }

    /// What `detect-credits` found in this run, as of the same date.
    ///
    /// # Errors
    /// [`Kind::Usage`] where the run was started with another date; [`Kind::NotYet`] where the job has not been done.
    pub(crate) async fn detected(&self) -> Result<Detected, Failure> {
        let detected: Detected = self.run().finished_job(crate::jobs::DETECT).await?;
        if detected.as_of != self.as_of {
            let message = format!(
                "run {} was started with --as-of {}, not {}; give all jobs of a run the same",
                self.run_id, detected.as_of, self.as_of
            );
            return Err(Failure::new(Kind::Usage, message));
        }
        Ok(detected)
    }

    /// The session for the plans of all jobs of the command.
    ///
    /// # Errors
    /// Where the system has no folder for what spills.
    pub(crate) async fn session(&self) -> Result<SessionContext, Failure> {
        let opened = self.session.get_or_try_init(|| async { self.open_session() });
        opened.await.cloned()
    }

    fn open_session(&self) -> Result<SessionContext, Failure> {
        let mut runtime = RuntimeEnvBuilder::new();
        if let Some(limit) = self.settings.memory_limit() {
            let bytes = usize::try_from(limit.as_u64()).unwrap_or(usize::MAX);
            runtime = runtime.with_memory_pool(Arc::new(FairSpillPool::new(bytes)));
        }
        let runtime = runtime.build_arc().map_err(|error| Failure::new(Kind::Storage, error.to_string()))?;
        let context = money_sql::session(self.settings.threads(), runtime);
        self.lake.register_with(&context)?;
        Ok(context)
    }

    /// Does the work while the lake is held for this run.
    ///
    /// # Errors
    /// Of taking the lake, or of the work.
    pub(crate) async fn locked<R>(
        &self,
        work: impl AsyncFnOnce(&LakeLock) -> Result<R, Failure>,
    ) -> Result<R, Failure> {
        let lock = self.lake.lock(&self.run_id).await?;
        let done = work(&lock).await;
        if let Err(error) = lock.release().await {
            // The work is done or not; the lake is free after a while by itself.
            tracing::warn!("the lake was not given back: {error}");
        }
        done
    }
}
