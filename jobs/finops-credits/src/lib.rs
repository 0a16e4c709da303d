//! The binary: command line, one thin shell per job, output.
//!
//! The clock is read once, in `run`; the environment by the command line (settings as text), by the commands that record
//! who did something, and by the AWS SDK. Everything below takes the as-of date and the run's start as values.

mod app;
mod asked;
mod aws;
mod background;
mod changes_csv;
mod changes_text;
pub mod cli;
mod clusters;
mod commands;
mod connections;
mod digest;
mod files;
mod freshness;
mod function;
mod jobs;
mod locations;
mod notify;
mod output;
mod progress;
mod report;
mod run;
mod screen;
mod sign_in;
mod stderr;
#[cfg(test)]
mod testing;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use clap::error::{ContextKind, ContextValue};
use tracing_subscriber::EnvFilter;

pub use application::{Failure, Kind};

use application::foreign_text::{LINE, visible};
use stderr::{LogLines, to_stderr};

/// Parses the command line, runs the command, reports a failure in one error and returns its exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return answer(error),
    };
    start_log(&cli);
    let format = cli.format;
    match run::run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tracing::debug!(kind = failure.kind.meaning(), "failed");
            report(&failure, format);
            ExitCode::from(failure.kind.exit_code())
        }
    }
}

/// The one error that a command ends with.
fn report(failure: &Failure, format: cli::Format) {
    to_stderr(&match format {
        cli::Format::Json => failure.json() + "\n",
        cli::Format::Table | cli::Format::Csv => format!("error: {failure}\n"),
    });
}

/// What the command line answers by itself: help, or what is wrong with an argument, which may be somebody else's text.
fn answer(mut error: clap::Error) -> ExitCode {
    let quoted: Vec<(ContextKind, String)> = error
        .context()
        .filter_map(|(kind, value)| match value {
            ContextValue::String(text) => Some((kind, visible(text, LINE))),
            _ => None,
        })
        .collect();
    for (kind, text) in quoted {
        error.insert(kind, ContextValue::String(text));
    }
    let exit_code = u8::try_from(error.exit_code()).unwrap_or(Kind::Usage.exit_code());
    if error.use_stderr() && wants_json(std::env::args_os()) {
        let text = error.render().to_string();
        let mut lines =
            text.lines().map(|line| line.trim().trim_start_matches("error: ")).filter(|line| !line.is_empty());
        let first = lines.next().unwrap_or_default().to_owned();
        report(&Failure::list(Kind::Usage, &first, lines), cli::Format::Json);
    } else {
        let _gone = error.print();
    }
    ExitCode::from(exit_code)
}

/// True for `--format json`, where the command line as a whole cannot be read.
fn wants_json(arguments: impl Iterator<Item = OsString>) -> bool {
    let arguments: Vec<OsString> = arguments.collect();
    let apart = arguments.windows(2).any(|pair| pair == ["--format", "json"]);
    apart || arguments.iter().any(|argument| argument == "--format=json")
}

/// Logs go to stderr: warnings, with `-v` what the jobs do, with `-vv` more, with `-vvv` the engine too.
fn start_log(cli: &cli::Cli) {
    let log = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_ansi_sanitization(false)
        .log_internal_errors(false)
        .with_env_filter(log_filter(cli.verbose));
    match cli.log_format {
        cli::LogFormat::Text => log.with_writer(|| LogLines).with_target(false).init(),
        cli::LogFormat::Json => log.with_writer(std::io::stderr).json().flatten_event(true).init(),
    }
}

/// Our crates, and the engine's: no others. Clients of AWS and HTTP would log credentials and signed requests.
fn log_filter(verbose: u8) -> EnvFilter {
    let own = match verbose {
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    let engine = if verbose > 2 { "debug" } else { "error" };
    let crates = [
        "finops_credits",
        "cur_reader",
        "detect_credits",
        "join_allocations",
        "apply_fifo",
        "write_net_cost",
        "lake",
        "application",
        "cluster",
        "web",
    ];
    // What tasks did, of executors and schedulers.
    let ballista = if verbose == 0 { "error" } else { "info" };
    let engines = ["datafusion", "parquet", "object_store", "iceberg", "sqlx"];
    let own = crates.iter().map(|name| format!("{name}={own}"));
    let engine = engines.iter().map(|name| format!("{name}={engine}"));
    let members = ["ballista_core", "ballista_executor", "ballista_scheduler"].iter();
    let members = members.map(|name| format!("{name}={ballista}"));
    let filter = std::iter::once("error".to_owned()).chain(own).chain(engine).chain(members);
    EnvFilter::new(filter.collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_crates_and_the_engine_log_more_however_often_v_is_given() {
        for verbose in [3, 4, 9] {
            let filter = log_filter(verbose).to_string();
            for silent in ["aws", "hyper", "reqwest", "rustls", "reqsign", "opendal", "h2"] {
                assert!(!filter.contains(silent), "{filter}");
            }
            assert!(filter.contains("datafusion=debug"), "{filter}");
        }
    }

    #[test]
    fn our_crates_say_warnings_then_what_jobs_do_then_more_and_the_engine_errors_only() {
        for (verbose, level) in [(0, "warn"), (1, "info"), (2, "debug"), (3, "debug")] {
            let filter = log_filter(verbose).to_string();
            for own in ["finops_credits", "detect_credits", "lake", "web"] {
                assert!(filter.contains(&format!("{own}={level}")), "-v {verbose}: {filter}");
            }
            assert_eq!(filter.contains("datafusion=error"), verbose < 3, "-v {verbose}: {filter}");
        }
    }

    #[test]
    fn json_is_wanted_however_it_is_written_and_only_as_the_format() {
        let wants = |line: &str| wants_json(line.split(' ').map(OsString::from));
        for line in ["p --format json queu", "p queu --format=json", "p --format csv --format json"] {
            assert!(wants(line), "{line}");
        }
        for line in ["p queu", "p --format table json", "p --log-format json", "p --log-format=json", "p --format"] {
            assert!(!wants(line), "{line}");
        }
    }
}
