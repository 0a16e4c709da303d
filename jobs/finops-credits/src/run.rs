//! From the command line to the command.

use std::error::Error;
use std::io::IsTerminal;
use std::sync::Arc;

use chrono::{NaiveDate, NaiveDateTime, NaiveTime};
use credit_ledger::{ExportPeriods, within_years};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::SessionContext;
use lake::{Lake, LakeLock, LogSnapshot, Settings, is_s3};
use tokio::sync::OnceCell;

use crate::cli::{Cli, Command, Detect, Format, LakeCommand};
use crate::jobs::handed_over::HandedOver;
use crate::jobs::{athena_check, detect, fifo, join, net_cost, publish};
use crate::places::{self, Places};
use crate::{Failure, Kind, commands};

/// What every command works with.
pub(crate) struct App {
    pub(crate) settings: Settings,
    pub(crate) places: Places,
    pub(crate) lake: Arc<Lake>,
    /// Given back with the process: row by row would take longer.
    pub(crate) handed_over: &'static HandedOver,
    session: OnceCell<SessionContext>,
    pub(crate) as_of: NaiveDate,
    pub(crate) run_id: String,
    /// Start of the command, UTC: the one reading of the clock.
    pub(crate) now: NaiveDateTime,
    pub(crate) format: Format,
    /// True where cells of CSV are wanted without a guard against formulas.
    pub(crate) raw: bool,
    /// True where a person watches stderr.
    pub(crate) watched: bool,
}

impl App {
    /// Parts of the export that are read at once: of one on S3 some wait for bytes while others are decoded.
    pub(crate) fn readers(&self) -> usize {
        let per_thread = if is_s3(&self.settings.source.location) { 2 } else { 1 };
        self.settings.threads() * per_thread
    }

    /// Manifests and footers of the export that are fetched at once: in a file system each takes a thread.
    pub(crate) fn fetched_at_once(&self) -> usize {
        if is_s3(&self.settings.source.location) { 16 } else { 1 }
    }

    /// Periods whose files are put in place at once: of a lake on S3 most wait for answers.
    pub(crate) fn periods_at_once(&self) -> usize {
        let per_thread = if is_s3(&self.settings.lake.location) { 4 } else { 1 };
        self.settings.threads() * per_thread
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

    /// The billing periods that the export can hold.
    pub(crate) fn export_periods(&self) -> ExportPeriods {
        ExportPeriods::read_on(self.now.date(), self.as_of)
    }

    /// The latest instant at which anything in a log of this state can have been recorded.
    pub(crate) fn latest_instant(&self, log: LogSnapshot) -> NaiveDateTime {
        latest_instant(self.now, self.as_of, log)
    }
}

/// Now, or the end of a later as-of date, or the log's newest commit: somebody may record while a run is on its way, or on
/// a machine whose clock is ahead.
fn latest_instant(now: NaiveDateTime, as_of: NaiveDate, log: LogSnapshot) -> NaiveDateTime {
    let end_of_day = as_of.and_time(NaiveTime::from_hms_micro_opt(23, 59, 59, 999_999).unwrap_or_default());
    now.max(end_of_day).max(log.committed_at.unwrap_or_default())
}

/// Runs a command.
///
/// # Errors
/// The one [`Failure`] it ends with.
pub(crate) fn run(cli: Cli) -> Result<(), Failure> {
    let settings = places::settings(cli.config.as_deref(), cli.settings.as_deref())?;
    let threads = settings.threads();
    let cannot_start = |error: &dyn Error| {
        let message = format!("cannot start {threads} threads: {error}; set [run] threads to fewer");
        Failure::new(Kind::Storage, message)
    };
    // The ledger's threads; a second command in one process keeps those of the first.
    match rayon::ThreadPoolBuilder::new().num_threads(threads).build_global() {
        Err(refused) if refused.source().is_some() => return Err(cannot_start(&refused)),
        _ => {}
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build();
    let runtime = runtime.map_err(|error| cannot_start(&error))?;
    runtime.block_on(dispatch(cli, settings))
}

async fn dispatch(cli: Cli, settings: Settings) -> Result<(), Failure> {
    #[expect(clippy::disallowed_methods, reason = "the one reading of the clock")]
    let now = chrono::Utc::now();
    // Microseconds, as the tables keep them.
    let now = chrono::DateTime::from_timestamp_micros(now.timestamp_micros()).unwrap_or(now).naive_utc();
    let places = Places::of(&settings).await;
    if let Command::Lake(LakeCommand::Repair { accept_loss }) = cli.command {
        return commands::repair::repair(&places, &settings, accept_loss).await;
    }
    // Where they cannot be read, the job that needs them says so.
    let reference = async {
        if matches!(cli.command, Command::Run(_) | Command::DetectCredits(_)) {
            let _read_again = places.reference_files(&settings).await;
        }
    };
    let as_of = cli.as_of.or(settings.run.as_of).unwrap_or_else(|| now.date());
    within_years(as_of).map_err(|wrong| Failure::new(Kind::BadInput, format!("as-of date: {wrong}; set the clock")))?;
    let (lake, ()) = futures::join!(places.open_lake(&settings), reference);
    let app = App {
        as_of,
        run_id: cli.run_id.unwrap_or_else(|| uuid::Uuid::now_v7().to_string()),
        now,
        format: cli.format,
        raw: cli.raw,
        watched: std::io::stderr().is_terminal(),
        lake: Arc::new(lake?),
        handed_over: Box::leak(Box::new(HandedOver::new(matches!(cli.command, Command::Run(_))))),
        session: OnceCell::new(),
        places,
        settings,
    };
    match cli.command {
        Command::Run(arguments) => commands::run::run(&app, arguments).await,
        Command::DetectCredits(Detect { plan: true, .. }) => detect::plan(&app).await,
        Command::DetectCredits(Detect { period: Some(period), .. }) => {
            job(&app, detect::read_period(&app, period).await)
        }
        Command::DetectCredits(_) => {
            job(&app, locked(&app, async |lock| detect::detect_credits(&app, lock).await.map(drop)).await)
        }
        Command::JoinAllocations(arguments) => {
            job(&app, locked(&app, async |lock| join::join_allocations(&app, lock, arguments).await.map(drop)).await)
        }
        Command::ApplyFifo => job(&app, locked(&app, async |lock| fifo::apply_fifo(&app, lock).await).await),
        Command::WriteNetCost => {
            job(&app, locked(&app, async |lock| net_cost::write_net_cost(&app, lock).await.map(drop)).await)
        }
        Command::AthenaCheck => {
            job(&app, locked(&app, async |lock| athena_check::athena_check(&app, lock).await).await)
        }
        Command::Publish => job(&app, locked(&app, async |lock| publish::publish(&app, lock).await).await),
        Command::Queue => commands::queue::queue(&app).await,
        Command::Allocate(arguments) => commands::allocate::allocate(&app, arguments).await,
        Command::Revoke(arguments) => commands::allocate::revoke(&app, arguments).await,
        Command::Allocations(command) => commands::allocations::allocations(&app, command).await,
        Command::Credits => commands::credits::credits(&app).await,
        Command::Lake(LakeCommand::DropPeriod { period, yes }) => commands::lake::drop_period(&app, period, yes).await,
        // Works on a lake that does not open.
        Command::Lake(LakeCommand::Repair { .. }) => Ok(()),
        Command::Query { sql } => commands::query::query(&app, &sql).await,
    }
}

/// Does the work while the lake is held for this run.
///
/// # Errors
/// Of taking the lake, or of the work.
pub(crate) async fn locked<R>(
    app: &App,
    work: impl AsyncFnOnce(&LakeLock) -> Result<R, Failure>,
) -> Result<R, Failure> {
    let lock = app.lake.lock(&app.run_id).await?;
    let done = work(&lock).await;
    if let Err(error) = lock.release().await {
        // The work is done or not; the lake is free after a while by itself.
        tracing::warn!("the lake was not given back: {error}");
    }
    done
}

/// A job on its own tells the run id on stderr, so that the next job can be given it.
fn job(app: &App, result: Result<(), Failure>) -> Result<(), Failure> {
    if result.is_ok() {
        tracing::info!(run_id = %app.run_id, as_of = %app.as_of, "done");
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revision_that_was_recorded_while_the_run_was_on_its_way_is_not_of_the_future() {
        let instant = |text: &str| text.parse::<NaiveDateTime>().unwrap();
        let (now, as_of) = (instant("2026-11-01T02:00:00"), "2026-10-31".parse().unwrap());
        let log = |committed_at| LogSnapshot { id: Some(1), parent: None, committed_at };
        let recorded = instant("2026-11-01T02:00:07.5");
        assert!(recorded > latest_instant(now, as_of, log(None)));
        assert!(recorded <= latest_instant(now, as_of, log(Some(instant("2026-11-01T02:00:07.6")))));
        assert_eq!(latest_instant(now, now.date(), log(None)), instant("2026-11-01T23:59:59.999999"));
    }
}
