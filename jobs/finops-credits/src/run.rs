//! From the command line to the command.

use std::error::Error;
use std::io::IsTerminal;
use std::sync::Arc;

use application::{Context, ReferenceSource};
use chrono::{NaiveDate, NaiveDateTime};
use credit_ledger::within_years;
use lake::{LakeLock, Settings};

use crate::app::App;
use crate::asked;
use crate::background::RunArguments;
use crate::cli::{Cli, Command, Completions, Credits, CreditsCommand, Detect, LakeCommand, Man};
use crate::commands;
use crate::jobs::{DETECT, FIFO, JOIN, NET_COST, athena_check, detect, fifo, join, net_cost, publish, scan};
use crate::locations::{self, Locations};
use crate::output::answer;
use crate::screen::Screen;
use crate::{Failure, Kind};
use crate::{freshness, notify};

/// Runs a command.
///
/// # Errors
/// The one [`Failure`] it ends with.
pub(crate) fn run(cli: Cli) -> Result<(), Failure> {
    match &cli.command {
        Command::Init(arguments) => return commands::init::init(cli.format, arguments),
        Command::Completions(Completions { shell }) => return commands::shell::completions(*shell),
        Command::Man(Man { out }) => return commands::shell::man(cli.format, out.as_deref()),
        Command::Scheduler(arguments) => return commands::cluster::schedule(arguments.clone()),
        _ => {}
    }
    let settings = locations::settings(cli.config.as_deref(), cli.settings.as_deref());
    let told = match &cli.command {
        Command::Run(run) => run.notify.clone().or_else(|| settings.as_ref().ok()?.run.notify.clone()),
        _ => None,
    };
    let done = settings.and_then(|settings| start(cli, settings, told.as_deref()));
    if let (Some(command), Err(failure)) = (&told, &done) {
        notify::failed(command, failure);
    }
    done
}

fn start(cli: Cli, settings: Settings, told: Option<&str>) -> Result<(), Failure> {
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
    runtime.block_on(dispatch(cli, settings, told))
}

async fn dispatch(cli: Cli, mut settings: Settings, told: Option<&str>) -> Result<(), Failure> {
    let now = clock();
    if let Some(scheduler) = cli.command.scheduler() {
        settings.engine = settings.engine.on(scheduler.clone());
    }
    asked::check(&cli.command, cli.as_of, cli.run_id.as_deref())?;
    let locations = Arc::new(Locations::of(&settings).await?);
    match cli.command {
        Command::Lake(LakeCommand::Repair { accept_loss }) => {
            return commands::repair::repair(&locations, &settings, accept_loss, cli.format).await;
        }
        Command::Executor(arguments) => return commands::cluster::execute(&locations, &settings, arguments).await,
        Command::Lake(LakeCommand::Relocate) => return commands::backup::relocate(&settings, now).await,
        Command::Serve(arguments) => {
            let run = RunArguments { config: cli.config, settings: cli.settings };
            return commands::serve::serve(locations, settings, (run, cli.format), arguments).await;
        }
        Command::Lake(LakeCommand::Restore { file, merge }) => {
            return commands::backup::restore(&locations, &settings, &file, merge).await;
        }
        _ => {}
    }
    // Where they cannot be read, the job that needs them says so.
    let reference = async {
        if matches!(cli.command, Command::Run(_) | Command::DetectCredits(_)) {
            let _read_again = locations.reference_files(&settings).await;
        }
    };
    let as_of = as_of(cli.as_of, &settings, now)?;
    let (lake, ()) = futures::join!(locations.open_lake(&settings, cli.command.makes_lake()), reference);
    // Before the first run the reference files are all that can be checked.
    if matches!(cli.command, Command::Check(_)) && lake.is_err() {
        locations.reference_files(&settings).await?;
    }
    let as_of_pinned_in = freshness::pinned_in(&settings, cli.as_of.is_some());
    let runtime = application::runtime(&settings)?;
    let reference: Arc<dyn ReferenceSource> = Arc::<Locations>::clone(&locations);
    let mut app = App {
        context: Context::new(settings, Arc::new(lake?), (as_of, now), reference, runtime),
        as_of_pinned_in,
        run_id: cli.run_id.clone().unwrap_or_else(|| uuid::Uuid::now_v7().to_string()),
        format: cli.format,
        raw: cli.raw,
        screen: Screen::of(cli.screen),
        watched: std::io::stderr().is_terminal(),
        locations,
    };
    app.context.asked = asked::run(&app, &cli.command, cli.as_of, cli.run_id.as_deref()).await?;
    carry_out(app, cli.command, told).await
}

/// The one reading of the clock, UTC: microseconds, as the tables keep them.
#[expect(clippy::disallowed_methods, reason = "the one reading of the clock")]
pub(crate) fn clock() -> NaiveDateTime {
    let now = chrono::Utc::now();
    chrono::DateTime::from_timestamp_micros(now.timestamp_micros()).unwrap_or(now).naive_utc()
}

/// The as-of date: as stated, else as the settings say, else today.
///
/// # Errors
/// [`Kind::BadInput`] where the clock says a year that cannot be.
pub(crate) fn as_of(stated: Option<NaiveDate>, settings: &Settings, now: NaiveDateTime) -> Result<NaiveDate, Failure> {
    let as_of = stated.or(settings.run.as_of).unwrap_or_else(|| now.date());
    within_years(as_of).map_err(|wrong| Failure::new(Kind::BadInput, format!("as-of date: {wrong}; set the clock")))
}

/// Does what is asked, once all is there that commands work with.
async fn carry_out(app: App, command: Command, told: Option<&str>) -> Result<(), Failure> {
    match command {
        Command::Run(arguments) => commands::run::run(&app, arguments, told).await,
        Command::DetectCredits(Detect { plan: true, .. }) => scan::plan(&app).await,
        Command::DetectCredits(Detect { period: Some(period), .. }) => {
            done(&app, DETECT, scan::read_period(&app, period).await).await
        }
        Command::DetectCredits(_) => job(&app, DETECT, async |lock| detect::detect_credits(&app, lock).await).await,
        Command::JoinAllocations(arguments) => {
            job(&app, JOIN, async |lock| join::join_allocations(&app, lock, arguments).await).await
        }
        Command::ApplyFifo => job(&app, FIFO, async |lock| fifo::apply_fifo(&app, lock).await).await,
        Command::WriteNetCost => {
            job(&app, NET_COST, async |lock| net_cost::write_net_cost(&app, lock).await.map(drop)).await
        }
        Command::AthenaCheck => {
            job(&app, "athena-check", async |lock| athena_check::athena_check(&app, lock).await).await
        }
        Command::Publish => job(&app, "publish", async |lock| publish::publish(&app, lock).await).await,
        Command::Queue(arguments) => commands::queue::queue(&app, &arguments).await,
        Command::Allocate(arguments) => commands::allocate::allocate(&app, arguments).await,
        Command::Move(arguments) => commands::allocate::move_lot(&app, arguments).await,
        Command::Revoke(arguments) => commands::allocate::revoke(&app, arguments).await,
        Command::Allocations(command) => commands::allocations::allocations(&app, command).await,
        Command::Credits(Credits { show: Some(CreditsCommand::Show { key }), .. }) => {
            commands::credit_show::show(&app, &key).await
        }
        Command::Credits(Credits { list, .. }) => commands::credits::credits(&app, &list).await,
        Command::Diff(runs) => commands::diff::diff(&app, &runs).await,
        Command::Check(arguments) => commands::check::check(&app, arguments).await,
        Command::Lake(LakeCommand::DropPeriod { period, yes }) => commands::lake::drop_period(&app, period, yes).await,
        Command::Lake(LakeCommand::Backup { file }) => commands::backup::backup(&app, &file).await,
        Command::Export(arguments) => commands::export::export(&app, arguments).await,
        Command::Report(arguments) => commands::report::report(&app, &arguments).await,
        // Done above: without a lake, or with one that does not open.
        Command::Lake(LakeCommand::Repair { .. } | LakeCommand::Relocate | LakeCommand::Restore { .. })
        | Command::Serve(_)
        | Command::Scheduler(_)
        | Command::Executor(_)
        | Command::Init(_)
        | Command::Completions(_)
        | Command::Man(_) => Ok(()),
        Command::Query(arguments) => commands::query::query(&app, &arguments).await,
    }
}

/// A job on its own, while the lake is held for its run.
async fn job(
    app: &App,
    name: &'static str,
    work: impl AsyncFnOnce(&LakeLock) -> Result<(), Failure>,
) -> Result<(), Failure> {
    done(app, name, app.locked(work).await).await
}

/// A job on its own tells the run id, so that the next job can be given it: people in the log, programs on stdout. Why it failed,
/// a file beside the run's folder says, too: what started the job elsewhere sees no more of it than its exit code.
async fn done(app: &App, job: &'static str, result: Result<(), Failure>) -> Result<(), Failure> {
    if let Err(failure) = result {
        // A run that was overtaken leaves nothing.
        if failure.kind != Kind::LostRace
            && let Err(error) = app.run().record_failure(&failure.for_programs()).await
        {
            tracing::info!("why {job} failed could not be written down: {error}");
        }
        return Err(failure);
    }
    tracing::info!(run_id = %app.run_id, as_of = %app.context.as_of, "done");
    let said = serde_json::json!({ "done": job, "run_id": app.run_id, "as_of": app.context.as_of });
    answer(app.format, &said, [""; 0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Shop, date, instant};

    #[test]
    fn as_of_date_is_the_stated_one_else_that_of_the_settings_else_today() {
        let shop = Shop::new();
        let (plain, pinned) = (shop.settings_with(""), shop.settings_with("run.as_of = 2026-02-28"));
        let now = instant("2026-11-02T23:59:59");
        let of = |stated: Option<&str>, settings| as_of(stated.map(date), settings, now).unwrap().to_string();
        assert_eq!(of(Some("2026-01-31"), &pinned), "2026-01-31");
        assert_eq!(of(None, &pinned), "2026-02-28");
        assert_eq!(of(None, &plain), "2026-11-02");
    }

    #[test]
    fn clock_that_was_never_set_is_told_as_such() {
        let failure = as_of(None, &Shop::new().settings_with(""), instant("1970-01-01T00:00:07")).unwrap_err();
        let expected = "as-of date: 1970-01-01 is not in the years 2006 to 2100; set the clock";
        assert_eq!((failure.kind, failure.to_string().as_str()), (Kind::BadInput, expected));
    }

    /// What started the job elsewhere sees no more of it than its exit code.
    #[tokio::test(flavor = "multi_thread")]
    async fn why_a_job_failed_is_written_beside_the_run_unless_it_was_overtaken() {
        let shop = Shop::new();
        let app = shop.app("night-1", "2026-01-31").await;
        let failed = |kind: Kind| Failure::list(kind, "may.csv is wrong:", ["row 7", "row 9"]);
        let record = shop.path("lake/work/night-1.failure.json");
        done(&app, DETECT, Err(failed(Kind::LostRace))).await.unwrap_err();
        assert!(!record.exists(), "a run that was overtaken leaves nothing");
        done(&app, DETECT, Err(failed(Kind::BadInput))).await.unwrap_err();
        let told: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(record).unwrap()).unwrap();
        assert_eq!(told["error"]["exit_code"], 3);
        assert_eq!(told["error"]["lines"], serde_json::json!(["may.csv is wrong:", "row 7", "row 9"]));
    }
}
