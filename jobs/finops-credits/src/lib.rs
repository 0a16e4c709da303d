//! The binary: command line, one thin shell per job, output.
//!
//! The clock is read once, in `run`; the environment by the command line (settings as text), by the commands that record
//! who did something, and by the AWS SDK. Everything below takes the as-of date and the run's start as values.

pub mod cli;
mod commands;
mod failure;
mod jobs;
mod money_text;
mod output;
mod places;
mod progress;
mod run;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

pub use failure::{Failure, Kind};

/// Parses the command line, runs the command, reports a failure in one error and returns its exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    start_log(&cli);
    match run::run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tracing::debug!(kind = failure.kind.meaning(), "failed");
            #[expect(clippy::print_stderr, reason = "the one error of the command")]
            {
                eprintln!("error: {failure}");
            }
            ExitCode::from(failure.kind.exit_code())
        }
    }
}

/// Logs go to stderr: warnings, with `-v` what the jobs do, with `-vv` more, with `-vvv` the engine too.
fn start_log(cli: &cli::Cli) {
    let own = match cli.verbose {
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    let crates = ["finops_credits", "detect_credits", "join_allocations", "apply_fifo", "write_net_cost", "lake"];
    let filter: Vec<String> = crates.iter().map(|name| format!("{name}={own}")).collect();
    let engine = if cli.verbose > 2 { "debug" } else { "error" };
    let log = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(EnvFilter::new(format!("{engine},{}", filter.join(","))));
    match cli.log_format {
        cli::LogFormat::Text => log.with_ansi(std::io::stderr().is_terminal()).with_target(false).init(),
        cli::LogFormat::Json => log.json().flatten_event(true).init(),
    }
}
