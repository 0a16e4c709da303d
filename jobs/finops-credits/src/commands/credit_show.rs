//! `credits show`: the statement of one credit.

use apply_fifo::statement::{CreditStatement, Finding, Revision, Unfound, find, statement};
use apply_fifo::unused::{Taken, Unused, UnusedReason};
use arrow::array::ArrayRef;
use arrow::record_batch::RecordBatch;
use credit_ledger::{Money, Text};
use datafusion::error::DataFusionError;
use schemas::ColumnValue;
use schemas::tables::{AllocationLogRow, Credit};

use crate::app::App;
use crate::cli::Format;
use crate::money_text::cents;
use crate::output::{Shown, print, print_json, print_lines};
use crate::{Failure, Kind};

/// Credits that an error lists, lots and services that one cell names.
const LISTED: usize = 10;
const NAMED: usize = 3;

/// Rows of who used it that a terminal shows.
const PLACES: usize = 20;

pub(crate) async fn show(app: &App, key: &str) -> Result<(), Failure> {
    let run = app.lake.open_run(&app.lake.published_run().await?).await?;
    let credits: Vec<Credit> = run.rows(None).await?;
    let credit = find(&credits, key).map_err(|unfound| not_found(key, &unfound))?;
    let log: Vec<AllocationLogRow> = app.lake.logs().read().await?;
    let statement = statement(&run, &app.session().await?, &credits, credit, &log).await?;
    match app.format {
        Format::Json => print_json(serde_json::to_string_pretty(&statement)),
        Format::Csv => print(app, &[months_table(&statement)?], Shown::Exact, ""),
        Format::Table => print_statement(app, &statement),
    }
}

fn not_found(key: &str, unfound: &Unfound) -> Failure {
    let listed = |keys: &[Text]| {
        let mut listed: Vec<String> = keys.iter().take(LISTED).map(ToString::to_string).collect();
        if keys.len() > LISTED {
            listed.push(format!("and {} more", keys.len() - LISTED));
        }
        listed.join(", ")
    };
    let message = match unfound {
        Unfound::Ambiguous(keys) => {
            format!("{} credits fit {key}: {}; give the key of one", keys.len(), listed(keys))
        }
        Unfound::Unknown(near) if near.is_empty() => {
            format!("no credit fits {key}; `queue` and `credits` list those that are registered")
        }
        Unfound::Unknown(near) => format!("no credit fits {key}; did you mean {}?", listed(near)),
    };
    Failure::new(Kind::BadInput, message)
}

fn print_statement(app: &App, statement: &CreditStatement) -> Result<(), Failure> {
    print_lines(head(statement))?;
    section(app, "Lots", lots_table(statement)?, "Nothing of it is allocated.")?;
    section(app, "Month by month", months_table(statement)?, "(no month)")?;
    section(app, "Who used it", used_table(statement)?, "Nothing of it was used.")?;
    if let Some(more) = statement.used_by.len().checked_sub(PLACES).filter(|more| *more > 0) {
        print_lines([format!("and {more} more; --format json has all")])?;
    }
    if !statement.unused.is_empty() {
        section(app, "Why something was left", unused_table(statement)?, "")?;
    }
    section_lines("What was recorded", history_lines(statement))?;
    section_lines("Findings", statement.findings.iter().map(|finding| finding_text(finding, statement)).collect())
}

fn section(app: &App, heading: &str, table: RecordBatch, empty: &str) -> Result<(), Failure> {
    print_lines([String::new(), heading.to_owned()])?;
    print(app, &[table], Shown::Cents, empty)
}

fn section_lines(heading: &str, lines: Vec<String>) -> Result<(), Failure> {
    if lines.is_empty() {
        return Ok(());
    }
    print_lines([String::new(), heading.to_owned()])?;
    print_lines(lines.into_iter().map(|line| format!("  {line}")))
}

/// Who and what it is, and how it stands.
fn head(statement: &CreditStatement) -> Vec<String> {
    let credit = &statement.credit;
    let currency = &credit.currency;
    let line = |name: &str, text: String| format!("{name:<12}{text}");
    let source = match credit.issue_date_source.as_str() {
        "cur_inferred" => "the day before its first line",
        "manual" => "set by hand",
        other => other,
    };
    let owner = credit.owner_account_id.as_ref().map(|owner| format!(", owner {owner}")).unwrap_or_default();
    let amounts = credit.allocated_amount.map(|amount| {
        let of = |amount: Option<Money>| cents(amount.unwrap_or_default());
        let (used, expired, left) = (of(credit.used), of(credit.expired), of(credit.remaining));
        format!(": {} {currency} allocated, {used} used, {expired} expired, {left} left", cents(amount))
    });
    let last = credit
        .last_cur_date
        .map_or_else(|| ", in lines that are gone".to_owned(), |last| format!(", {} to {last}", credit.first_cur_date));
    let mut lines = vec![
        credit.credit_key.to_string(),
        line("name", format!("{} ({})", credit.promotion_code, credit.credit_class)),
        line("account", format!("{}{owner}, payer {}", credit.account_id, credit.payer_account_id)),
        line("issued", format!("{}, {source}", credit.issue_date)),
        line("status", format!("{}{}", credit.status, amounts.unwrap_or_default())),
        line("by AWS", format!("{} {currency} applied{last}", cents(credit.aws_applied))),
    ];
    if let Some((at, by)) = credit.recorded_at.map(|at| (at, credit.recorded_by.as_deref().unwrap_or("unknown"))) {
        lines.push(line("recorded", format!("{} by {by}", at.format("%Y-%m-%d %H:%M"))));
    }
    lines.push(line("figures", format!("run {} as of {}", statement.run_id, statement.as_of)));
    lines
}

/// A column of values that are made on the way.
fn column<T, V: ColumnValue>(rows: &[T], value: impl Fn(&T) -> V) -> ArrayRef {
    let values: Vec<V> = rows.iter().map(value).collect();
    V::to_array(values.iter())
}

fn table<const N: usize>(columns: [(&str, ArrayRef); N]) -> Result<RecordBatch, Failure> {
    Ok(RecordBatch::try_from_iter(columns).map_err(DataFusionError::from)?)
}

fn lots_table(statement: &CreditStatement) -> Result<RecordBatch, Failure> {
    let lots = &statement.lots;
    table([
        ("lot", column(lots, |lot| lot.lot)),
        ("node", column(lots, |lot| Text::from(lot.node.to_string()))),
        ("amount", column(lots, |lot| lot.amount)),
        ("used", column(lots, |lot| lot.used)),
        ("expired", column(lots, |lot| lot.expired)),
        ("remaining", column(lots, |lot| lot.remaining)),
        ("end_date", column(lots, |lot| lot.end_date)),
        ("fifo", column(lots, |lot| Text::from(format!("{} of {}", lot.fifo_position, lot.fifo_lots)))),
        ("owner", column(lots, |lot| lot.owner_email.clone())),
        ("reference", column(lots, |lot| lot.reference.clone())),
    ])
}

fn months_table(statement: &CreditStatement) -> Result<RecordBatch, Failure> {
    let months = &statement.months;
    table([
        ("billing_period", column(months, |month| Text::from(month.billing_period.to_string()))),
        ("opening", column(months, |month| month.opening)),
        ("issued", column(months, |month| month.issued)),
        ("used", column(months, |month| month.used)),
        ("expired", column(months, |month| month.expired)),
        ("remaining", column(months, |month| month.remaining)),
        ("aws_applied", column(months, |month| month.aws_applied)),
    ])
}

fn used_table(statement: &CreditStatement) -> Result<RecordBatch, Failure> {
    let used_by = statement.used_by.get(..PLACES).unwrap_or(&statement.used_by);
    table([
        ("node", column(used_by, |of| Text::from(of.node.to_string()))),
        ("account_id", column(used_by, |of| of.account_id.clone())),
        ("service", column(used_by, |of| of.service.clone())),
        ("used", column(used_by, |of| of.used)),
        ("first_day", column(used_by, |of| of.first_day)),
        ("last_day", column(used_by, |of| of.last_day)),
    ])
}

fn unused_table(statement: &CreditStatement) -> Result<RecordBatch, Failure> {
    let unused = &statement.unused;
    let taken = |taken: &[Taken]| Money::total(taken.iter().map(|taken| taken.used)).unwrap_or_default();
    table([
        ("month", column(unused, |of| Text::from(of.billing_period.to_string()))),
        ("lot", column(unused, |of| of.lot)),
        ("left", column(unused, |of| of.remaining.max(of.expired))),
        ("cost", column(unused, |of| of.gross_cost)),
        ("eligible", column(unused, |of| of.eligible)),
        ("earlier_lots", column(unused, |of| taken(&of.earlier))),
        ("drawn", column(unused, |of| of.drawn)),
        ("why", column(unused, |of| Text::from(why(of, statement)))),
    ])
}

/// Why something was left, in words.
fn why(unused: &Unused, statement: &CreditStatement) -> String {
    let lot = statement.lots.iter().find(|lot| lot.lot == unused.lot);
    let node = lot.map(|lot| lot.node.to_string()).unwrap_or_default();
    let after = format!(" after {}", earlier(unused));
    let mut why = match unused.reason {
        UnusedReason::NoSpend => format!("no cost at {node}"),
        UnusedReason::NothingEligible => "no credit may offset any of it".to_owned(),
        UnusedReason::OutsideWindow => "eligible spend only outside of its window".to_owned(),
        UnusedReason::EarlierLots => format!("earlier lots took all: {}", earlier(unused)),
        UnusedReason::LessSpend => {
            format!("it drew all there was{}", if unused.earlier.is_empty() { "" } else { &after })
        }
    };
    if unused.outside_window.is_positive() {
        let window = unused.window.map_or_else(|| "none".to_owned(), |(first, last)| format!("{first} to {last}"));
        why += &format!("; outside of its window ({window}) {}", cents(unused.outside_window));
    }
    if !unused.not_eligible.is_zero() {
        let services = unused.not_eligible_services.iter().take(NAMED);
        let services: Vec<&str> = services.map(|of| of.service.as_deref().unwrap_or("no service")).collect();
        why += &format!("; not eligible {} ({})", cents(unused.not_eligible), services.join(", "));
    }
    if !unused.tax.is_zero() {
        why += &format!("; tax {}", cents(unused.tax));
    }
    why
}

fn earlier(unused: &Unused) -> String {
    let lot = |taken: &Taken| format!("{} lot {} {}", taken.credit_key, taken.lot, cents(taken.used));
    let mut lots: Vec<String> = unused.earlier.iter().take(NAMED).map(lot).collect();
    if unused.earlier.len() > NAMED {
        lots.push(format!("{} more", unused.earlier.len() - NAMED));
    }
    lots.join(", ")
}

fn history_lines(statement: &CreditStatement) -> Vec<String> {
    if statement.history.is_empty() {
        return vec!["nothing".to_owned()];
    }
    statement.history.iter().flat_map(|revision| revision_lines(revision, &statement.credit.currency)).collect()
}

fn revision_lines(revision: &Revision, currency: &str) -> Vec<String> {
    let by = revision.recorded_by.as_deref().unwrap_or("unknown");
    let note = revision.note.as_ref().map(|note| format!(", {note}")).unwrap_or_default();
    let newest = if revision.is_newest { "" } else { ", replaced" };
    let at = revision.recorded_at.format("%Y-%m-%d %H:%M");
    let mut lines = vec![format!("{at}  {}  by {by}{newest}{note}", revision.action)];
    lines.extend(revision.lots.iter().map(|lot| {
        let node = lot.node.as_ref().map_or_else(|| "no node".to_owned(), ToString::to_string);
        let amount = match lot.continues_lot {
            Some(from) => format!("what was left of lot {from}"),
            None => lot.amount.map_or_else(|| "no amount".to_owned(), |amount| format!("{} {currency}", cents(amount))),
        };
        let from = lot.from_period.as_ref().map(|period| format!(" from {period}")).unwrap_or_default();
        let end = lot.end_date.map_or_else(|| "open-ended".to_owned(), |end| format!("until {end}"));
        let reference = lot.reference.as_ref().map(|reference| format!(", {reference}")).unwrap_or_default();
        format!("  lot {}: {amount} to {node}{from}, {end}{reference}", lot.lot)
    }));
    lines
}

fn finding_text(finding: &Finding, statement: &CreditStatement) -> String {
    let currency = &statement.credit.currency;
    match finding {
        Finding::Waiting { reason, days, aws_applied } => {
            let applied = cents(*aws_applied);
            format!("waits for allocation for {days} days ({reason}); AWS applied {applied} {currency} so far")
        }
        Finding::AllocationIssue { allocation_id, lot, problem } => {
            format!("allocation {allocation_id} lot {lot} cannot be used: {problem}")
        }
        Finding::RecordedLater { recorded_at, recorded_by } => {
            let by = recorded_by.as_deref().unwrap_or("unknown");
            let at = recorded_at.format("%Y-%m-%d %H:%M");
            format!("the revision of {at} by {by} is not in these figures; it counts from the next run")
        }
        Finding::ExpiresSoon { lot, end_date, left } => {
            format!("lot {lot} ends on {end_date} with {} {currency} left", cents(*left))
        }
        Finding::Lapsed { lot, end_date, lost } => {
            format!("lot {lot} ended on {end_date}: {} {currency} lost", cents(*lost))
        }
        Finding::AppliedMoreThanAllocated { aws_applied, allocated_amount } => format!(
            "AWS applied {} {currency}, more than the {} allocated: the amount is too low",
            cents(*aws_applied),
            cents(*allocated_amount)
        ),
        Finding::AppliedAfterEnd { last_cur_date, end_date } => {
            format!("AWS applied it on {last_cur_date}, after its end on {end_date}: that end is too early")
        }
    }
}
