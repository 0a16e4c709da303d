//! Runs beside the page: the program itself, as a shell would start it, one at a time.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use application::foreign_text::{LINE, visible, without_keys};
use chrono::NaiveDateTime;
use web::{EndedRun, StartedRun};

use crate::{Failure, Kind};

/// Lines that are kept of what a run says.
const KEPT: usize = 500;

/// Bytes of a line: what is longer becomes several.
const LONGEST: u64 = 64 * 1024;

/// How often it is looked whether a run has ended.
const LOOK: Duration = Duration::from_millis(100);

/// For so many looks the last lines of a run that has ended are waited for: a command that it told may hold its output open.
const LAST_LOOKS: usize = 20;

/// Says what time it is, UTC.
type Clock = fn() -> NaiveDateTime;

/// What a shell would give the program.
#[derive(Debug, Clone, Default)]
pub(crate) struct RunArguments {
    /// The settings file.
    pub(crate) config: Option<PathBuf>,
    /// The settings themselves, where no file is named.
    pub(crate) settings: Option<String>,
}

/// Runs that were started from the page.
#[derive(Debug)]
pub(crate) struct Background {
    arguments: RunArguments,
    clock: Clock,
    last: Mutex<Option<Arc<Running>>>,
}

#[derive(Debug)]
struct Running {
    started_at: NaiveDateTime,
    child: Mutex<Child>,
    lines: Mutex<VecDeque<String>>,
    ended: OnceLock<EndedRun>,
}

impl Background {
    pub(crate) fn new(arguments: RunArguments, clock: Clock) -> Self {
        Self { arguments, clock, last: Mutex::default() }
    }

    /// Starts a run.
    ///
    /// # Errors
    /// [`Kind::LostRace`] while one is under way; [`Kind::Storage`] where the system refuses.
    pub(crate) fn start(&self) -> Result<(), Failure> {
        let program = std::env::current_exe().map_err(refused)?;
        self.begin(self.arguments.command(Command::new(program)))
    }

    fn begin(&self, mut command: Command) -> Result<(), Failure> {
        let mut last = locked(&self.last);
        if last.as_ref().is_some_and(|run| run.ended.get().is_none()) {
            return Err(Failure::new(Kind::LostRace, "run: one that was started here is under way"));
        }
        let (output, input) = std::io::pipe().map_err(refused)?;
        let child = spawned(&mut command, input).map_err(refused)?;
        // It holds the other end of the pipe.
        drop(command);
        let run = Arc::new(Running {
            started_at: (self.clock)(),
            child: Mutex::new(child),
            lines: Mutex::default(),
            ended: OnceLock::new(),
        });
        *last = Some(Arc::clone(&run));
        let clock = self.clock;
        thread::spawn(move || run.attend(output, clock));
        Ok(())
    }

    /// The one that was started last.
    pub(crate) fn last(&self) -> Option<StartedRun> {
        let last = locked(&self.last);
        let run = last.as_ref()?;
        // First: then all its lines are there.
        let ended = run.ended.get().copied();
        Some(StartedRun { started_at: run.started_at, lines: locked(&run.lines).iter().cloned().collect(), ended })
    }

    /// Ends the one that is under way. What it has published stays; what it has not, the next run makes again.
    pub(crate) fn end(&self) {
        if let Some(run) = locked(&self.last).as_ref().filter(|run| run.ended.get().is_none()) {
            let mut child = locked(&run.child);
            let _gone_already = child.kill();
            let _reaped_already = child.wait();
        }
    }
}

impl RunArguments {
    fn command(&self, mut command: Command) -> Command {
        // As it goes on it says what it does.
        command.arg("--verbose");
        match (&self.config, &self.settings) {
            (Some(config), _) => {
                command.arg("--config").arg(config);
            }
            // Not as an argument, which everybody on the machine can read.
            (None, Some(settings)) => {
                command.env("FINOPS_CREDITS_SETTINGS", settings);
            }
            (None, None) => {}
        }
        command.arg("run");
        command
    }
}

impl Running {
    /// Keeps what it says, and how it ends.
    fn attend(self: Arc<Self>, output: PipeReader, clock: Clock) {
        let run = Arc::clone(&self);
        let listening = thread::spawn(move || run.listen(output));
        let status = loop {
            match locked(&self.child).try_wait() {
                Ok(None) => {}
                Ok(Some(status)) => break Some(status),
                Err(_) => break None,
            }
            thread::sleep(LOOK);
        };
        for _ in 0..LAST_LOOKS {
            if listening.is_finished() {
                break;
            }
            thread::sleep(LOOK);
        }
        let exit_code = status.and_then(|status| status.code());
        let _only_here = self.ended.set(EndedRun { at: clock(), exit_code });
    }

    fn listen(&self, output: PipeReader) {
        let mut output = BufReader::new(output);
        let mut line = Vec::new();
        while (&mut output).take(LONGEST).read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&line);
            let text = visible(&without_keys(text.trim_end_matches(['\n', '\r'])), LINE);
            let mut lines = locked(&self.lines);
            if lines.len() == KEPT {
                lines.pop_front();
            }
            lines.push_back(text);
            line.clear();
        }
    }
}

fn spawned(command: &mut Command, output: PipeWriter) -> std::io::Result<Child> {
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).spawn()
}

fn refused(error: std::io::Error) -> Failure {
    Failure::new(Kind::Storage, format!("run: cannot be started: {error}"))
}

/// A thread that panicked leaves nothing half done here.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(text: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", text]);
        command
    }

    fn background() -> Background {
        Background::new(RunArguments::default(), NaiveDateTime::default)
    }

    fn ended(background: &Background) -> StartedRun {
        for _ in 0..100 {
            match background.last() {
                Some(run) if run.ended.is_some() => return run,
                _ => thread::sleep(LOOK),
            }
        }
        panic!("it does not end");
    }

    #[test]
    fn what_a_run_says_and_how_it_ends_is_kept() {
        let background = background();
        assert!(background.last().is_none());
        background.begin(shell("printf 'a\\n\\033[2Jb\\n'; echo c >&2; exit 5")).unwrap();
        let run = ended(&background);
        assert_eq!(run.lines, ["a", "\\u{1b}[2Jb", "c"]);
        assert_eq!(run.ended.unwrap().exit_code, Some(5));
        background.begin(shell("i=0; while [ $i -lt 600 ]; do echo $i; i=$((i+1)); done")).unwrap();
        let run = ended(&background);
        assert_eq!((run.lines.len(), run.lines[0].as_str(), run.ended.unwrap().exit_code), (KEPT, "100", Some(0)));
    }

    #[test]
    fn one_is_under_way_at_a_time_and_ends_with_the_page() {
        let background = background();
        background.begin(shell("exec sleep 60")).unwrap();
        assert_eq!(background.begin(shell("true")).unwrap_err().kind, Kind::LostRace);
        background.end();
        assert_eq!(ended(&background).ended.unwrap().exit_code, None);
        background.begin(shell("true")).unwrap();
        assert_eq!(ended(&background).ended.unwrap().exit_code, Some(0));
    }

    #[test]
    fn the_program_is_started_as_a_shell_would_start_it() {
        let (config, settings) = (Some(PathBuf::from("c.toml")), Some("x = 1".to_owned()));
        let command = RunArguments { config, settings: settings.clone() }.command(Command::new("p"));
        let arguments: Vec<_> = command.get_args().collect();
        assert_eq!(arguments, ["--verbose", "--config", "c.toml", "run"]);
        assert_eq!(command.get_envs().count(), 0);
        let command = RunArguments { settings, config: None }.command(Command::new("p"));
        assert_eq!(command.get_args().collect::<Vec<_>>(), ["--verbose", "run"]);
        assert_eq!(command.get_envs().count(), 1);
    }
}
