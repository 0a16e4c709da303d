//! `run --notify`: a command is told of what a night has found, or that it failed.
//!
//! It is run by the shell, with the digest as JSON on stdin and what happened in the environment. Only where there is something
//! to tell; what it prints goes to stderr. That it fails is a warning: the night itself is done.

use std::io::Write;
use std::process::{Command, Stdio};

use serde::Serialize;

use crate::Failure;
use crate::digest::Digest;
use crate::report::Report;
use crate::stderr::to_stderr;
use application::foreign_text::{LINE, visible};

/// What a command is told of a run that failed.
#[derive(Debug, Serialize)]
struct Failed<'a> {
    exit_code: u8,
    error: &'a str,
}

/// Tells what a run has found that the published one did not have.
pub(crate) fn found(command: &str, report: &Report, database: &str) {
    let events = events(report);
    if !events.is_empty() {
        let environment = [("FINOPS_CREDITS_RUN_ID", report.run_id.clone())];
        tell(command, &events, &environment, &Digest::of(report, database));
    }
}

/// Tells that a run failed.
pub(crate) fn failed(command: &str, failure: &Failure) {
    let (exit_code, error) = (failure.kind.exit_code(), failure.to_string());
    let environment = [("FINOPS_CREDITS_EXIT_CODE", exit_code.to_string())];
    tell(command, &["failed"], &environment, &Failed { exit_code, error: &error });
}

/// What there is to tell of a run.
fn events(report: &Report) -> Vec<&'static str> {
    let credits = &report.credits;
    let happened = [
        ("new", !credits.new.is_empty()),
        ("expiring", credits.newly_expiring > 0),
        ("expired", credits.newly_expired > 0),
        ("refused", !report.inbox.refused.is_empty()),
        ("stale", report.freshness.is_stale),
        ("not_published", report.not_published.is_some()),
    ];
    happened.into_iter().filter(|(_, happened)| *happened).map(|(event, _)| event).collect()
}

fn tell<T: Serialize>(command: &str, events: &[&str], environment: &[(&str, String)], said: &T) {
    let done = start(command, events, environment, said);
    let problem = match done {
        Ok(status) if status.success() => return,
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    };
    let command = visible(command, LINE);
    to_stderr(&format!("warning: --notify: `{command}` was not told of {}: {problem}\n", events.join(", ")));
}

fn start<T: Serialize>(
    command: &str,
    events: &[&str],
    environment: &[(&str, String)],
    said: &T,
) -> std::io::Result<std::process::ExitStatus> {
    let json = serde_json::to_string_pretty(said)? + "\n";
    let mut child = Command::new("sh")
        .args(["-c", command])
        .env("FINOPS_CREDITS_EVENT", events.join(","))
        .envs(environment.iter().map(|(name, value)| (name, value.as_str())))
        .stdin(Stdio::piped())
        .stdout(std::io::stderr())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // Whoever is told need not read it all.
        let _closed_before = stdin.write_all(json.as_bytes());
    }
    child.wait()
}

#[cfg(test)]
mod tests {
    use std::fs::read_to_string;

    use super::*;
    use crate::Kind;
    use crate::freshness::Freshness;
    use crate::testing::{amount, quiet_report};

    #[test]
    fn nobody_is_told_of_a_night_that_found_nothing_new() {
        let mut report = quiet_report();
        assert_eq!(events(&report), [""; 0]);
        report.credits.waiting = vec![amount("id:1", "5", None)];
        report.credits.expiring_soon = vec![amount("id:2", "5", Some("2026-11-30"))];
        report.credits.expired = vec![amount("id:3", "5", Some("2026-09-30"))];
        assert_eq!(events(&report), [""; 0], "they waited, ended and were about to end the night before");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("told");
        found(&format!("touch {}", file.display()), &report, "finops_credits");
        assert!(!file.exists());
    }

    #[test]
    fn command_is_told_what_happened_in_its_environment_and_the_details_on_its_input() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("told");
        let mut report = quiet_report();
        report.credits.new = vec![amount("id:1", "5", None)];
        report.credits.newly_expiring = 1;
        report.credits.newly_expired = 2;
        report.freshness = Freshness { is_stale: true, ..Freshness::default() };
        report.not_published = Some("fewer periods".to_owned());
        let command = format!("{{ echo $FINOPS_CREDITS_EVENT $FINOPS_CREDITS_RUN_ID; cat; }} > {}", file.display());
        found(&command, &report, "finops_credits");
        let told = read_to_string(&file).unwrap();
        let (happened, digest) = told.split_once('\n').unwrap();
        assert_eq!(happened, "new,expiring,expired,stale,not_published night-42");
        let digest: serde_json::Value = serde_json::from_str(digest).unwrap();
        assert_eq!(digest, serde_json::to_value(Digest::of(&report, "finops_credits")).unwrap());
    }

    #[test]
    fn run_that_failed_is_told_with_its_exit_code_and_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("told");
        let failure = Failure::list(Kind::NotYet, "the export is not there yet:", ["2026-11"]);
        let command = format!("{{ echo $FINOPS_CREDITS_EVENT $FINOPS_CREDITS_EXIT_CODE; cat; }} > {}", file.display());
        failed(&command, &failure);
        let expected = "failed 4\n{\n  \"exit_code\": 4,\n  \"error\": \"the export is not there yet:\\n2026-11\"\n}\n";
        assert_eq!(read_to_string(file).unwrap(), expected);
    }

    #[test]
    fn command_that_fails_or_does_not_read_ends_nothing() {
        let large = "x".repeat(1 << 20);
        assert!(start("exit 3", &["new"], &[], &large).is_ok_and(|status| status.code() == Some(3)));
        assert!(start("true", &["new"], &[], &large).is_ok_and(|status| status.success()));
    }
}
