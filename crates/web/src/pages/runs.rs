//! Runs and problems: which runs there are, what the published one left out, what somebody should mend; and a run now.

mod now;

use std::collections::BTreeMap;
use std::sync::Arc;

use application::foreign_text::{LINE, visible};
use application::{ExportRead, Failure, Kind, TieOut, findings, findings_now, later_months_left_out};
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{HeaderValue, REFRESH};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};
use chrono::{NaiveDateTime, Timelike};
use credit_ledger::{Money, Text};
use join_allocations::finding::Finding;
use lake::{KeptRun, RunInLake};
use maud::{Markup, html};
use schemas::records::Detected;
use schemas::tables::{AllocationIssue, Reconciliation, RunLogRow};

use super::credit_address;
use crate::answer::answer;
use crate::asked::{Asked, NotAnswered};
use crate::error::{failed, refusal, status, told};
use crate::form::Form;
use crate::frame::plain;
use crate::guard::access::Access;
use crate::guard::session::Session;
use crate::page::Page;
use crate::sheet::{Sheet, column};
use crate::site::{Shared, Site, StartedRun};
use now::{is_under_way, run_now};

/// Seconds after which the page is loaded again while a run is under way.
const AGAIN: &str = "2";

pub(crate) async fn show(State(Shared(site)): State<Shared>, parts: Parts) -> Response {
    let started = site.contexts.started_run();
    let (mut response, is_file) = match Asked::of(&parts, &site).await {
        Ok(asked) => {
            let page = build(&asked, started.as_ref()).await;
            (answer(&asked, page).await, asked.filter.stated("download").is_some())
        }
        Err(NotAnswered::Failed(failure)) if failure.kind == Kind::NotYet => {
            (without_lake(&failure, &site, &parts, started.as_ref()), false)
        }
        Err(not_answered) => (not_answered.into_response(), false),
    };
    if is_under_way(started.as_ref()) && !is_file {
        response.headers_mut().insert(REFRESH, HeaderValue::from_static(AGAIN));
    }
    response
}

/// Starts a run. A second click finds the first one under way, and is shown it.
pub(crate) async fn start(
    State(Shared(site)): State<Shared>,
    Extension(access): Extension<Access>,
    _form: Form,
) -> Response {
    if !access.may_run() {
        let why = "You may start no run. Roles are given by groups; ask whoever looks after this page.";
        return refusal(StatusCode::FORBIDDEN, why).into_response();
    }
    match site.contexts.start_run().await {
        Err(failure) if failure.kind != Kind::LostRace => failed(&failure),
        _ => Redirect::to("/runs").into_response(),
    }
}

/// Before the first run there is no lake; the first one can be started, too.
fn without_lake(failure: &Failure, site: &Arc<Site>, parts: &Parts, run: Option<&StartedRun>) -> Response {
    match (parts.extensions.get::<Session>(), parts.extensions.get::<Access>()) {
        (Some(session), Some(access)) if !access.is_limited() => {
            let body = html! { (told(failure)) (run_now(site, session, access, run)) };
            (status(failure.kind), plain("Runs", &body)).into_response()
        }
        _ => failed(failure),
    }
}

async fn build(asked: &Asked, started: Option<&StartedRun>) -> Result<Page, Failure> {
    let mut page = Page::new("Runs", &[])
        .text(run_now(&asked.site, &asked.session, &asked.access, started))
        .sheet(runs(asked).await?);
    if let Some(run) = &asked.run {
        let detected: Option<Detected> = run.found(Detected::JOB).await;
        page = page.sheet(tie_out(run).await?).text(export_read(run, detected.as_ref()));
        if let Some(detected) = &detected {
            page = page.sheet(left_out(detected));
        }
        page = page.sheet(issues(run).await?);
    }
    Ok(page.sheet(found(asked).await?))
}

/// A published run, as the log of runs has it.
#[derive(Default)]
struct Logged {
    published_at: NaiveDateTime,
    months: i64,
    lines: i64,
}

async fn runs(asked: &Asked) -> Result<Sheet, Failure> {
    let lake = &asked.context.lake;
    let mut logged: BTreeMap<Text, Logged> = BTreeMap::new();
    for row in lake.logs().read::<RunLogRow>().await? {
        let of_run = logged.entry(row.run_id).or_default();
        of_run.published_at = row.finished_at;
        of_run.months += 1;
        of_run.lines = of_run.lines.saturating_add(row.rows_read);
    }
    let runs = lake.runs_in_lake().await?;
    let published = asked.run.as_ref().map(KeptRun::id);
    let of = |run: &RunInLake| logged.get(run.id.as_str());
    let state = |run: &RunInLake| match of(run) {
        _ if published == Some(run.id.as_str()) => "published",
        Some(_) => "was_published",
        None => "not_published",
    };
    Ok(Sheet::new("runs", "Runs that are kept", "No run yet.")
        .column("run_id", "Run", column(&runs, |run| Text::from(run.id.as_str())))
        .column("as_of", "As of", column(&runs, |run| run.as_of))
        .column("state", "State", column(&runs, |run| Text::from(state(run))))
        .status()
        .column("started_at", "Started (UTC)", column(&runs, |run| to_the_second(run.started_at)))
        .column(
            "published_at",
            "Published (UTC)",
            column(&runs, |run| of(run).map(|run| to_the_second(run.published_at))),
        )
        .column("months", "Months", column(&runs, |run| of(run).map(|run| run.months)))
        .column("rows_read", "Lines", column(&runs, |run| of(run).map(|run| run.lines))))
}

fn to_the_second(instant: NaiveDateTime) -> NaiveDateTime {
    instant.with_nanosecond(0).unwrap_or(instant)
}

/// The tie-out over all months; *Months* has each.
async fn tie_out(run: &KeptRun) -> Result<Sheet, Failure> {
    let mut rows: Vec<Reconciliation> = Vec::new();
    for period in run.periods::<Reconciliation>() {
        rows.extend(run.rows(Some(period)).await?);
    }
    let sums = TieOut::of(&rows)?;
    let amounts = |amount: fn(&TieOut) -> Money| column(&sums, amount);
    Ok(Sheet::new("tie_out", "Tie-out of the published run", "The export has no lines.")
        .column("currency", "Currency", column(&sums, |sum| Text::from(sum.currency.as_str())))
        .column("export_total", "Total of the export", amounts(|sum| sum.export_total))
        .column("invoice_net", "Invoiced by AWS", amounts(|sum| sum.invoice_net))
        .column("difference", "Difference", amounts(|sum| sum.difference))
        .column("net_cost", "Net cost", amounts(|sum| sum.net_cost))
        .column("clearing", "Clearing", amounts(|sum| sum.clearing)))
}

/// What the run read of the export, and what people should know of it.
fn export_read(run: &KeptRun, detected: Option<&Detected>) -> Markup {
    let read = detected.map(ExportRead::of);
    let notes = match (&read, detected) {
        (Some(read), Some(detected)) => {
            read.notes().into_iter().chain(later_months_left_out(&detected.later_periods)).collect()
        }
        _ => not_applied(run),
    };
    html! {
        section aria-labelledby="export" {
            h2 id="export" { "What the published run read of the export" }
            @match &read {
                Some(read) => p { (visible(&read.in_brief(), LINE)) },
                None => p.note { "What it left out is not kept any more; the next run says it." },
            }
            @if !notes.is_empty() { ul { @for note in &notes { li { (visible(note, LINE)) } } } }
        }
    }
}

/// What the run's manifest says still: exclusions that could not be applied.
fn not_applied(run: &KeptRun) -> Vec<String> {
    let periods = run.staged().periods.iter().filter(|period| !period.exclusions_not_applied.is_empty());
    let said = periods.map(|period| {
        let exclusions: Vec<&str> = period.exclusions_not_applied.iter().map(String::as_str).collect();
        let month = period.billing_period;
        format!("exclusions not applied in {month}, their charges count as eligible: {}", exclusions.join(", "))
    });
    said.collect()
}

fn left_out(detected: &Detected) -> Sheet {
    let files = &detected.left_out;
    Sheet::new("left_out", "Files that were not read", "Every file under the location of the export was read.")
        .column("path", "File", column(files, |file| Text::from(file.path.as_str())))
        .column("files", "Files", column(files, |file| i64::try_from(file.files).unwrap_or(i64::MAX)))
        .column("reason", "Why", column(files, |file| Text::from(file.reason.as_str())))
}

async fn issues(run: &KeptRun) -> Result<Sheet, Failure> {
    let issues: Vec<AllocationIssue> = run.rows(None).await?;
    Ok(Sheet::new("allocation_issues", "Allocations that cannot be used", "Every allocation can be used.")
        .column("credit_key", "Credit", column(&issues, |issue| issue.credit_key.clone()))
        .links(issues.iter().map(|issue| Some(credit_address(&issue.credit_key))))
        .column("lot", "Lot", column(&issues, |issue| issue.lot))
        .column("problem", "What is wrong", column(&issues, |issue| issue.problem.clone()))
        .column("recorded_by", "Recorded by", column(&issues, |issue| issue.recorded_by.clone()))
        .column("recorded_at", "When (UTC)", column(&issues, |issue| to_the_second(issue.recorded_at)))
        .column("allocation_id", "Allocation", column(&issues, |issue| issue.allocation_id.clone())))
}

/// What `check` finds: anew where something has changed since it was found.
async fn found_now(asked: &Asked) -> Result<Arc<Vec<Finding>>, Failure> {
    let snapshot = match asked.snapshot().await {
        Err(failure) if [Kind::BadInput, Kind::NotYet].contains(&failure.kind) => {
            return Ok(Arc::new(findings(&asked.context, None).await?));
        }
        read => read?,
    };
    let mut before = asked.site.memory.findings.lock().await;
    if let Some((_, found)) = before.as_ref().filter(|(of, _)| of.is_same(snapshot)) {
        return Ok(Arc::clone(found));
    }
    let found = Arc::new(findings_now(&asked.context, snapshot).await?);
    *before = Some((snapshot.clone(), Arc::clone(&found)));
    Ok(found)
}

async fn found(asked: &Asked) -> Result<Sheet, Failure> {
    let findings = found_now(asked).await?;
    let findings = findings.as_slice();
    let stated = |text: &str| (!text.is_empty()).then(|| Text::from(text));
    Ok(Sheet::new("findings", "Findings of the reference files", "Nothing is wrong with the reference files.")
        .column("severity", "Severity", column(findings, |finding| Text::from(finding.severity.name())))
        .column("kind", "What", column(findings, |finding| Text::from(finding.kind.heading())))
        .column("subject", "Of", column(findings, |finding| stated(&finding.subject)))
        .column("message", "Why", column(findings, |finding| stated(&finding.message)))
        .column(
            "billing_period",
            "Month",
            column(findings, |finding| finding.billing_period.map(|month| Text::from(month.to_string()))),
        )
        .column("currency", "Currency", column(findings, |finding| finding.currency.clone()))
        .column("amount", "Amount", column(findings, |finding| finding.amount)))
}
