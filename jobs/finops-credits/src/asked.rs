//! `--run-id` and `--as-of` of commands that read: they answer from that run, or say why they cannot.

use chrono::NaiveDate;
use lake::RunInLake;

use crate::app::App;
use crate::cli::{Allocations, Command};
use crate::{Failure, Kind};

/// What a command does with a run and a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    /// Makes or continues the run, as of the date.
    Makes,
    /// Answers from the run.
    Reads,
    /// Does something today; the date stands for that.
    Acts,
    /// Has nothing to do with either.
    None,
}

fn use_of(command: &Command) -> Use {
    match command {
        Command::Run(_)
        | Command::DetectCredits(_)
        | Command::JoinAllocations(_)
        | Command::ApplyFifo
        | Command::WriteNetCost
        | Command::AthenaCheck
        | Command::Publish => Use::Makes,
        Command::Credits(_)
        | Command::Queue(_)
        | Command::Query(_)
        | Command::Export(_)
        | Command::Report(_)
        | Command::Allocations(Allocations::List(_) | Allocations::Export { history: false, .. }) => Use::Reads,
        Command::Allocate(_)
        | Command::Move(_)
        | Command::Revoke(_)
        | Command::Check(_)
        | Command::Allocations(Allocations::Import { .. }) => Use::Acts,
        Command::Allocations(_)
        | Command::Lake(_)
        | Command::Serve(_)
        | Command::Diff(_)
        | Command::Init(_)
        | Command::Completions(_)
        | Command::Man(_) => Use::None,
    }
}

/// Refuses `--run-id` and `--as-of` where a command would ignore them.
///
/// # Errors
/// [`Kind::Usage`] that says so.
pub(crate) fn check(command: &Command, as_of: Option<NaiveDate>, run_id: Option<&str>) -> Result<(), Failure> {
    let refused = match use_of(command) {
        Use::Reads if as_of.is_some() && run_id.is_some() => "give --run-id or --as-of, not both: each names a run",
        Use::Acts if run_id.is_some() => "--run-id: this command does not read a run",
        Use::None if run_id.is_some() => "--run-id: this command does not read a run",
        Use::None if as_of.is_some() => "--as-of: this command does not depend on a date",
        _ => return Ok(()),
    };
    Err(Failure::new(Kind::Usage, refused))
}

/// Makes the lake answer from the run that a reading command asks for: the one of the id, or the newest as of the date. Says
/// which.
///
/// # Errors
/// [`Kind::Usage`] that lists the runs that are kept, where none fits; [`Kind::NotYet`] before the first run.
pub(crate) async fn run(
    app: &App,
    command: &Command,
    as_of: Option<NaiveDate>,
    run_id: Option<&str>,
) -> Result<Option<RunInLake>, Failure> {
    if use_of(command) != Use::Reads || (as_of.is_none() && run_id.is_none()) {
        return Ok(None);
    }
    let kept = app.context.lake.runs_in_lake().await?;
    if kept.is_empty() {
        let message =
            format!("nothing is published in the lake {} yet; `run` first", app.context.settings.lake.location);
        return Err(Failure::new(Kind::NotYet, message));
    }
    let fits = |run: &&RunInLake| run_id.map_or(as_of == Some(run.as_of), |id| run.id == id);
    let Some(found) = kept.iter().find(fits) else {
        let what = match (run_id, as_of) {
            (Some(id), _) => format!("run {id} is not kept in the lake"),
            (None, Some(date)) => format!("no kept run is as of {date}; `run --as-of {date}` makes one"),
            (None, None) => String::new(),
        };
        return Err(Failure::new(Kind::Usage, format!("{what}; there are: {}", RunInLake::listed(&kept))));
    };
    app.context.lake.answer_from(found).await;
    Ok(Some(found.clone()))
}
