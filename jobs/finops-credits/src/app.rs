//! What every command works with.

use std::sync::Arc;

use application::Context;
use cur_reader::listing::ExportLocation;
use detect_credits::ExportSource;
use lake::{JobContext, LakeLock, Run};
use schemas::records::Detected;

use crate::cli::Format;
use crate::clusters;
use crate::locations::Locations;
use crate::screen::Screen;
use crate::{Failure, Kind};

/// What every command works with.
pub(crate) struct App {
    pub(crate) context: Context,
    pub(crate) locations: Arc<Locations>,
    /// The settings that say the as-of date, where they do.
    pub(crate) as_of_pinned_in: Option<String>,
    pub(crate) run_id: String,
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
        Run::new(Arc::clone(&self.context.lake), &self.run_id)
    }

    /// What a job works with.
    ///
    /// # Errors
    /// For a lake at an address that is none.
    pub(crate) fn job_context(&self) -> Result<JobContext, Failure> {
        Ok(JobContext {
            run: self.run(),
            session: self.context.session()?,
            settings: self.context.settings.clone(),
            as_of: self.context.as_of,
            now: self.context.now,
        })
    }

    /// Where the export lies, and how it is read.
    ///
    /// # Errors
    /// [`Kind::NotYet`] where nothing is there.
    pub(crate) async fn export_source(&self) -> Result<ExportSource, Failure> {
        let sources = &self.context.settings.source;
        let is_remote = sources.has_remote();
        let locations = sources
            .iter()
            .map(|source| ExportLocation { folder: source.folder().to_owned(), location: source.location.clone() });
        Ok(ExportSource {
            store: self.locations.open_exports(&self.context.settings).await?,
            locations: locations.collect(),
            periods: credit_ledger::ExportPeriods::read_on(self.context.now.date(), self.context.as_of),
            // In a file system each takes a thread.
            fetched_at_once: if is_remote { 16 } else { 1 },
            readers: self.context.settings.threads() * if is_remote { 2 } else { 1 },
            engine: None,
        })
    }

    /// The same, read by the engine of the settings.
    ///
    /// # Errors
    /// As [`export_source`](Self::export_source); [`Kind::Usage`] where the program is built without that engine.
    pub(crate) async fn export_on_engine(&self) -> Result<ExportSource, Failure> {
        let engine = clusters::engine(&self.context.settings)?;
        Ok(ExportSource { engine, ..self.export_source().await? })
    }

    /// What `detect-credits` found in this run, as of the same date.
    ///
    /// # Errors
    /// [`Kind::Usage`] where the run was started with another date; [`Kind::NotYet`] where the job has not been done.
    pub(crate) async fn detected(&self) -> Result<Detected, Failure> {
        let detected: Detected = self.run().finished_job(crate::jobs::DETECT).await?;
        if detected.as_of != self.context.as_of {
            let message = format!(
                "run {} was started with --as-of {}, not {}; give all jobs of a run the same",
                self.run_id, detected.as_of, self.context.as_of
            );
            return Err(Failure::new(Kind::Usage, message));
        }
        Ok(detected)
    }

    /// Does the work while the lake is held for this run.
    ///
    /// # Errors
    /// Of taking the lake, or of the work.
    pub(crate) async fn locked<R>(
        &self,
        work: impl AsyncFnOnce(&LakeLock) -> Result<R, Failure>,
    ) -> Result<R, Failure> {
        let lock = self.context.lake.lock(&self.run_id).await?;
        let done = work(&lock).await;
        if let Err(error) = lock.release().await {
            // The work is done or not; the lake is free after a while by itself.
            tracing::warn!("the lake was not given back: {error}");
        }
        done
    }
}
