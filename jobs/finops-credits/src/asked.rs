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
        | Command::Scheduler(_)
        | Command::Executor(_)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{AS_OF, COMMANDS, Shop, command, date};

    #[test]
    fn run_and_date_are_refused_where_a_command_would_ignore_them() {
        let (date, run) = (Some(date(AS_OF)), Some("night-1"));
        let refused = |line: &str, as_of, run_id| {
            let failure = check(&command(line), as_of, run_id).err()?;
            assert_eq!(failure.kind, Kind::Usage);
            Some(failure.to_string())
        };
        let no_run = Some("--run-id: this command does not read a run".to_owned());
        let no_date = Some("--as-of: this command does not depend on a date".to_owned());
        let each_is_one = Some("give --run-id or --as-of, not both: each names a run".to_owned());
        let reads = ["queue", "allocations export", "allocations list", "credits", "query", "report", "export"];
        let acts = ["allocate", "move", "revoke", "allocations import", "check"];
        let neither =
            ["allocations history", "diff", "lake", "serve", "init", "completions", "man", "scheduler", "executor"];
        for line in COMMANDS {
            let is_of =
                |names: &[&str]| names.iter().any(|name| line == *name || line.starts_with(&format!("{name} ")));
            let expected = match () {
                () if is_of(&reads) => [None, None, each_is_one.clone()],
                () if is_of(&acts) => [None, no_run.clone(), no_run.clone()],
                () if is_of(&neither) => [no_date.clone(), no_run.clone(), no_run.clone()],
                () => [None, None, None],
            };
            let said = [refused(line, date, None), refused(line, None, run), refused(line, date, run)];
            assert_eq!(said, expected, "{line}");
            assert_eq!(refused(line, None, None), None, "{line}");
        }
        assert_eq!(refused("allocations export --history", date, None), no_date, "a history is of no run");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn reading_commands_answer_from_the_run_or_say_which_there_are() {
        let shop = Shop::new();
        let credits = command("credits");
        let app = shop.app("asking", AS_OF).await;
        let early = run(&app, &credits, None, Some("night-1")).await.unwrap_err();
        let nothing = format!("nothing is published in the lake {} yet; `run` first", shop.path("lake").display());
        assert_eq!((early.kind, early.to_string()), (Kind::NotYet, nothing));
        shop.night("night-1", AS_OF).await;
        shop.night("night-2", "2026-02-28").await;
        let app = shop.app("asking", AS_OF).await;
        let of_id = run(&app, &credits, None, Some("night-1")).await.unwrap().unwrap();
        assert_eq!((of_id.id.as_str(), of_id.as_of), ("night-1", date(AS_OF)));
        assert_eq!(app.context.lake.published().await.unwrap().as_deref(), Some("night-1"));
        let app = shop.app("asking", AS_OF).await;
        let of_date = run(&app, &credits, Some(date("2026-02-28")), None).await.unwrap().unwrap();
        assert_eq!(of_date.id, "night-2");
        let refused = async |as_of: Option<NaiveDate>, run_id: Option<&str>| {
            run(&app, &credits, as_of, run_id).await.unwrap_err().to_string()
        };
        let there_are = "there are: night-2 (as of 2026-02-28), night-1 (as of 2026-01-31)";
        let none_kept = "no kept run is as of 2026-03-31; `run --as-of 2026-03-31` makes one";
        assert_eq!(refused(Some(date("2026-03-31")), None).await, format!("{none_kept}; {there_are}"));
        let gone = format!("run night-0 is not kept in the lake; {there_are}");
        assert_eq!(refused(None, Some("night-0")).await, gone);
        assert_eq!(run(&app, &command("check"), Some(date(AS_OF)), None).await.unwrap(), None, "it acts today");
    }
}
