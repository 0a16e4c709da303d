//! A proposal on a terminal: what it replaces and changes, and whether to record it.

use std::io::IsTerminal;

use application::Proposal;
use application::money_text::cents;
use apply_fifo::{CreditChange, LotOutcome, MonthChange};
use arrow::record_batch::RecordBatch;
use credit_ledger::{BillingPeriod, Continues, Money, Text};
use datafusion::error::DataFusionError;
use schemas::tables::{AllocationLogRow, LotRow, RegisteredCredit};
use schemas::{ColumnValue, NodeColumns};

use super::{inbox, note, prompts};
use crate::app::App;
use crate::cli::{Consent, Format, RecordArgs};
use crate::output::{Shown, print, print_json, print_lines};
use crate::{Failure, Kind};

/// What is said of a revision.
#[derive(Clone, Copy)]
pub(crate) struct Words<'a> {
    /// The command.
    pub(crate) command: &'a str,
    /// What becomes of the lots that count.
    pub(crate) now: &'a str,
    /// What was recorded.
    pub(crate) done: &'a str,
}

/// Says what would change, asks on a terminal, and records it, or leaves it to the next run, unless it is a dry run.
pub(crate) async fn carry_out(
    proposal: &Proposal<'_>,
    app: &App,
    (record, consent): (&RecordArgs, Consent),
    Words { command, now, done }: Words<'_>,
) -> Result<(), Failure> {
    let is_for_people = app.format != Format::Json;
    let is_watched = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    let asks = is_watched && is_for_people && !consent.dry_run && !consent.yes;
    if asks {
        tell(proposal, app, now)?;
        if !prompts::confirm(if consent.to_inbox { "Put this into the inbox?" } else { "Record this?" })? {
            return Err(Failure::new(Kind::Usage, "nothing was recorded"));
        }
    }
    // Where nobody is asked, nothing is said of what was not recorded.
    let mut done = done.to_owned();
    if consent.to_inbox {
        done = inbox::put_rows(app, command, proposal.rows(), record).await?.said();
    } else if !consent.dry_run {
        proposal.record(&app.context).await.map_err(|failure| inbox::or_put(app, failure))?;
    }
    if is_for_people && !asks {
        tell(proposal, app, now)?;
    }
    match (is_for_people, consent.dry_run) {
        (false, dry_run) => {
            if consent.to_inbox {
                note(&format!("note: {done}"));
            }
            let is_recorded = !dry_run && !consent.to_inbox;
            print_json(serde_json::to_string_pretty(&proposal.for_programs(is_recorded)))
        }
        (true, true) => print_lines(["Nothing was recorded: this is a dry run."]),
        (true, false) => print_lines([done]),
    }
}

/// Tells people what would change, and what may not be meant.
fn tell(proposal: &Proposal<'_>, app: &App, now: &str) -> Result<(), Failure> {
    print_proposal(proposal, app, now)?;
    for warning in proposal.warnings() {
        note(&format!("warning: {warning}"));
    }
    Ok(())
}

fn print_proposal(proposal: &Proposal<'_>, app: &App, now: &str) -> Result<(), Failure> {
    if app.format == Format::Table {
        print_lines(lines(proposal, now))?;
    }
    let Some(preview) = &proposal.preview else {
        let why = proposal.unknown.as_deref().unwrap_or_default();
        return print_lines([format!("What would change cannot be told: {why}")]);
    };
    if preview.months.is_empty() && app.format == Format::Table {
        return print_lines([format!("No month up to {} changes.", proposal.as_of), String::new()]);
    }
    print(app, &[months(&preview.months, app.format)?], Shown::Cents, "No month changes.")?;
    match app.format {
        Format::Table => print_lines([String::new()]),
        _ => Ok(()),
    }
}

/// What it is about, what it replaces, what becomes of its lots.
fn lines(proposal: &Proposal<'_>, now: &str) -> Vec<String> {
    let RegisteredCredit { credit_key, currency, issue_date, aws_applied, .. } = proposal.credit;
    let mut lines =
        vec![format!("{credit_key}: issued {issue_date}, {} {currency} applied by AWS so far", cents(*aws_applied))];
    let recorded = proposal.recorded.as_ref().map(|(by, at)| {
        let by = by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
        format!(", recorded{by} on {}", at.date())
    });
    match proposal.replaced.as_slice() {
        [] if !proposal.unusable.is_empty() => {
            let recorded = recorded.as_deref().unwrap_or_default();
            let lots = proposal.unusable.iter().map(recorded_line);
            lines.extend(lots.map(|lot| format!("{now:<10}{lot}{recorded}: it cannot be used")));
        }
        [] => lines.push(format!("{now:<10}nothing: it is not allocated")),
        lots => {
            let recorded = recorded.as_deref().unwrap_or_default();
            lines.extend(lots.iter().map(|lot| format!("{now:<10}{}{recorded}", lot_line(lot))));
        }
    }
    let lots = proposal.preview.iter().flat_map(|preview| &preview.lots);
    lines.extend(lots.map(|lot| format!("Then      {}", outcome_line(lot, proposal))));
    for credit in proposal.preview.iter().flat_map(|preview| &preview.other_credits) {
        let CreditChange { credit_key, currency, used_before, used, expired_before, expired } = credit;
        let mut line =
            format!("Also      {credit_key} uses {} {currency} instead of {}", cents(*used), cents(*used_before));
        if expired != expired_before {
            line += &format!(", loses {} instead of {}", cents(*expired), cents(*expired_before));
        }
        lines.push(line);
    }
    lines.push(String::new());
    lines
}

fn lot_line(lot: &LotRow) -> String {
    let node = lot.node().map(|node| node.to_string()).unwrap_or_default();
    let end = lot.end_date.map(|end| format!(", until {end}")).unwrap_or_default();
    let reference = lot.reference.as_ref().map(|reference| format!(" ({reference})")).unwrap_or_default();
    match (lot.continues_lot, lot.from_period) {
        (Some(from), Some(period)) => {
            format!("lot {}: what was left of lot {from}, on {node} from {period}{end}{reference}", lot.lot)
        }
        _ => format!("lot {}: {} {} on {node}{end}{reference}", lot.lot, cents(lot.amount), lot.currency),
    }
}

/// A lot as it was recorded, at the node that it names.
fn recorded_line(row: &AllocationLogRow) -> String {
    let node = row.node().map(|node| node.to_string()).unwrap_or_default();
    let end = row.end_date.map(|end| format!(", until {end}")).unwrap_or_default();
    let currency = row.currency.as_deref().unwrap_or_default();
    format!("lot {}: {} {currency} on {node}{end}", row.lot, cents(row.amount.unwrap_or_default()))
}

fn outcome_line(lot: &LotOutcome, proposal: &Proposal<'_>) -> String {
    let as_of = proposal.as_of;
    let LotOutcome { lot: number, node, currency, amount, moved, used, expired, remaining, end_date, .. } = lot;
    let end = end_date.map(|end| format!(", until {end}")).unwrap_or_default();
    if let Some(Continues { lot: from, from_period }) = proposal.later_start(lot) {
        return format!("lot {number}: what is then left of lot {from}, on {node} from {from_period}{end}");
    }
    let (amount, placed) = if lot.continues.is_some() { (amount.max(moved), "moved to") } else { (amount, "on") };
    let went = if moved.is_negative() {
        format!(", {} moved on", cents(*moved).trim_start_matches('-'))
    } else {
        String::new()
    };
    let lost = if expired.is_positive() { format!(", {} lost", cents(*expired)) } else { String::new() };
    format!(
        "lot {number}: {} {currency} {placed} {node}{end}: by {as_of} {} used{lost}{went}, {} left",
        cents(*amount),
        cents(*used),
        cents(*remaining)
    )
}

/// The months that change, as a table; for people without the columns that follow from the others.
fn months(months: &[MonthChange], format: Format) -> Result<RecordBatch, Failure> {
    let money = |amount: fn(&MonthChange) -> &Money| Money::to_array(months.iter().map(amount));
    let mut columns = vec![
        ("billing_period", BillingPeriod::to_array(months.iter().map(|month| &month.billing_period))),
        ("business_unit", Text::to_array(months.iter().map(|month| &month.business_unit))),
        ("currency", Text::to_array(months.iter().map(|month| &month.currency))),
        ("credits_applied_before", money(|month| &month.credits_applied_before)),
        ("credits_applied", money(|month| &month.credits_applied)),
        ("net_cost_before", money(|month| &month.net_cost_before)),
        ("net_cost", money(|month| &month.net_cost)),
        ("change", money(|month| &month.change)),
    ];
    if format == Format::Table {
        columns.retain(|(name, _)| !name.starts_with("credits_applied"));
    }
    Ok(RecordBatch::try_from_iter(columns).map_err(DataFusionError::from)?)
}

#[cfg(test)]
mod tests;
