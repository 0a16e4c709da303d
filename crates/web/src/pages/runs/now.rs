//! The run that is started from the page.

use application::Kind;
use chrono::NaiveDateTime;
use maud::{Markup, html};

use crate::form::TOKEN;
use crate::guard::access::Access;
use crate::guard::session::Session;
use crate::site::{Site, StartedRun};

/// Lines that are shown while a run is under way; afterwards all that are kept.
const NEWEST: usize = 25;

/// True while a run that was started here has not ended.
pub(super) fn is_under_way(run: Option<&StartedRun>) -> bool {
    run.is_some_and(|run| run.ended.is_none())
}

/// The button that starts a run, and how the one goes that was started last.
pub(super) fn run_now(site: &Site, session: &Session, access: &Access, run: Option<&StartedRun>) -> Markup {
    if !site.contexts.can_run() {
        return html! { p.note { "This lake is not run from here: its nightly schedule runs it." } };
    }
    html! {
        section aria-labelledby="run-now" {
            h2 id="run-now" { "Run now" }
            @if let Some(run) = run { (told(run)) }
            @if !is_under_way(run) && !site.settings.read_only && access.may_run() {
                form method="post" action="/runs" {
                    input type="hidden" name=(TOKEN) value=(session.form_token);
                    p.buttons {
                        button.primary { "Run now" }
                        span.small {
                            "As " code { "finops-credits run" } " in a shell: it reads what is new in the export, takes in what was recorded, and "
                            "publishes."
                        }
                    }
                }
            }
        }
    }
}

fn told(run: &StartedRun) -> Markup {
    let outcome = run.ended.map(|ended| (ended.at, ended.exit_code));
    let shown = if outcome.is_some() { run.lines.len() } else { NEWEST };
    let skipped = run.lines.len().saturating_sub(shown);
    html! {
        @match outcome {
            None => p.done role="status" {
                "A run is under way since " (at(run.started_at)) ". This page loads itself again until it has ended."
            },
            Some((ended_at, Some(0))) => p.done role="status" { "The run that was started here ended at " (at(ended_at)) "." },
            Some((ended_at, exit_code)) => div.problem role="alert" {
                p { "The run that was started here failed at " (at(ended_at)) ": " (meaning(exit_code)) "." }
            },
        }
        @if !run.lines.is_empty() {
            pre.output tabindex="0" role="region" aria-label="What the run says" {
                @for line in run.lines.iter().skip(skipped) { (line) "\n" }
            }
        }
    }
}

fn at(instant: NaiveDateTime) -> String {
    instant.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// What an exit code says.
fn meaning(exit_code: Option<i32>) -> String {
    let Some(code) = exit_code else { return "it was ended from outside".to_owned() };
    let kind = Kind::ALL.into_iter().find(|kind| i32::from(kind.exit_code()) == code);
    kind.map_or_else(|| format!("exit code {code}"), |kind| format!("{}, exit code {code}", kind.meaning()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::EndedRun;

    fn said(lines: usize, exit_code: Option<Option<i32>>) -> String {
        let started_at: NaiveDateTime = "2026-11-02T09:00:00.5".parse().unwrap();
        let ended = exit_code.map(|exit_code| EndedRun { at: started_at, exit_code });
        let lines = (1..=lines).map(|line| format!("<{line}>")).collect();
        told(&StartedRun { started_at, lines, ended }).into_string()
    }

    #[test]
    fn newest_lines_are_shown_while_it_runs_and_all_once_it_has_ended() {
        let under_way = said(40, None);
        assert!(under_way.contains("A run is under way since 2026-11-02 09:00:00 UTC"), "{under_way}");
        assert!(!under_way.contains("&lt;15&gt;") && under_way.contains("&lt;16&gt;\n"), "{under_way}");
        let done = said(40, Some(Some(0)));
        assert!(done.contains("&lt;1&gt;\n") && done.contains("&lt;40&gt;\n") && !done.contains("failed"), "{done}");
    }

    #[test]
    fn failure_is_told_by_what_its_exit_code_means() {
        for (exit_code, expected) in [
            (Some(7), "lost a race with another run (retry), exit code 7"),
            (Some(101), "exit code 101"),
            (None, "it was ended from outside"),
        ] {
            let said = said(0, Some(exit_code));
            assert!(said.contains(&format!("failed at 2026-11-02 09:00:00 UTC: {expected}.")), "{said}");
            assert!(!said.contains("<pre"), "{said}");
        }
    }
}
