//! A revision before it is recorded: what it replaces, and what the next run would publish otherwise.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::sync::Arc;

use apply_fifo::{CreditChange, LotOutcome, MonthChange, Preview, PreviewSpend, preview};
use arrow::record_batch::RecordBatch;
use chrono::{NaiveDate, NaiveDateTime};
use credit_ledger::{BillingPeriod, Continues, Money, Text};
use datafusion::error::DataFusionError;
use join_allocations::lots::join;
use join_allocations::record::{Revisions, revisions};
use lake::Run;
use schemas::reference::AllocationRow;
use schemas::tables::{AllocationLogRow, LotRow, RegisteredCredit};
use schemas::{ColumnValue, NodeColumns};
use serde::Serialize;

use super::who::recording;
use super::{CreditSnapshot, note, prompts};
use crate::app::App;
use crate::cli::{Consent, Format, RecordArgs};
use crate::money_text::cents;
use crate::output::{Shown, print, print_json, print_lines};
use crate::{Failure, Kind};

/// A revision of one credit's allocation that can be recorded.
pub(crate) struct Proposal<'a> {
    credit: &'a RegisteredCredit,
    new: Revisions,
    /// The lots that count now.
    replaced: Vec<LotRow>,
    recorded: Option<(Option<Text>, NaiveDateTime)>,
    /// None where it cannot be told.
    preview: Option<Preview>,
    /// Why it cannot be told.
    unknown: Option<String>,
    as_of: NaiveDate,
}

/// The proposal for programs.
#[derive(Serialize)]
struct ProposalRecord<'a> {
    credit_key: &'a str,
    currency: &'a str,
    as_of: NaiveDate,
    /// What was recorded; nothing where it is a dry run.
    recorded: &'a [AllocationLogRow],
    allocation_id: Option<&'a Text>,
    replaces: &'a [LotRow],
    lots: &'a [LotOutcome],
    months: &'a [MonthChange],
    other_credits: &'a [CreditChange],
    changes_unknown: Option<&'a str>,
    warnings: Vec<String>,
}

impl<'a> Proposal<'a> {
    /// Checks the rows as `allocate`, `move` or `revoke` entered them, and works out what they change.
    pub(crate) async fn of(
        app: &App,
        snapshot: &'a CreditSnapshot,
        credit: &'a RegisteredCredit,
        rows: &[AllocationRow],
        stamp: &RecordArgs,
    ) -> Result<Self, Failure> {
        let (register, hierarchy) = (&snapshot.register.credits, &snapshot.reference.hierarchy);
        let new = revisions(rows, register, hierarchy, &snapshot.log, &recording(app, snapshot, stamp))?;
        let before = snapshot.joined();
        let log = [&snapshot.log[..], &new.rows].concat();
        let after = join(register, &log, hierarchy, snapshot.latest.max(app.now));
        let is_its = |lot: &&LotRow| lot.credit_key == credit.credit_key;
        let recorded = before.credits.iter().find(|row| row.credit_key == credit.credit_key);
        let recorded = recorded.and_then(|row| Some((row.recorded_by.clone(), row.recorded_at?)));
        // A revision can be recorded although files of the published run are damaged.
        let (preview, unknown) = match changes(app, &before.lots, &after.lots).await {
            Ok(Some(preview)) => (Some(preview), None),
            Ok(None) => (None, Some("nothing is published yet".to_owned())),
            Err(failure) => (None, Some(failure.to_string())),
        };
        Ok(Self {
            credit,
            preview,
            unknown,
            replaced: before.lots.iter().filter(is_its).cloned().collect(),
            recorded,
            new,
            as_of: app.as_of,
        })
    }

    /// Says what would change, asks on a terminal, and records it, unless it is a dry run. `now` is what becomes of the lots
    /// that count, `done` what was recorded.
    pub(crate) async fn carry_out(self, app: &App, consent: Consent, (now, done): (&str, &str)) -> Result<(), Failure> {
        let is_for_people = app.format != Format::Json;
        let is_watched = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        let asks = is_watched && is_for_people && !consent.dry_run && !consent.yes;
        if asks {
            self.tell(app, now)?;
            if !prompts::confirm("Record this?")? {
                return Err(Failure::new(Kind::Usage, "nothing was recorded"));
            }
        }
        // Where nobody is asked, nothing is said of what was not recorded.
        if !consent.dry_run {
            app.lake.logs().append(&self.new.rows).await?;
        }
        if is_for_people && !asks {
            self.tell(app, now)?;
        }
        match (is_for_people, consent.dry_run) {
            (false, dry_run) => print_json(serde_json::to_string_pretty(&self.record(!dry_run))),
            (true, true) => print_lines(["Nothing was recorded: this is a dry run."]),
            (true, false) => print_lines([done]),
        }
    }

    /// Tells people what would change, and what may not be meant.
    fn tell(&self, app: &App, now: &str) -> Result<(), Failure> {
        self.print(app, now)?;
        for warning in self.warnings() {
            note(&format!("warning: {warning}"));
        }
        Ok(())
    }

    fn record(&self, is_recorded: bool) -> ProposalRecord<'_> {
        let preview = self.preview.as_ref();
        ProposalRecord {
            credit_key: &self.credit.credit_key,
            currency: &self.credit.currency,
            as_of: self.as_of,
            recorded: if is_recorded { &self.new.rows } else { &[] },
            allocation_id: self.new.rows.first().map(|row| &row.allocation_id),
            replaces: &self.replaced,
            lots: preview.map_or(&[], |preview| &preview.lots),
            months: preview.map_or(&[], |preview| &preview.months),
            other_credits: preview.map_or(&[], |preview| &preview.other_credits),
            changes_unknown: self.unknown.as_deref(),
            warnings: self.warnings(),
        }
    }

    fn print(&self, app: &App, now: &str) -> Result<(), Failure> {
        if app.format == Format::Table {
            print_lines(self.lines(now))?;
        }
        let Some(preview) = &self.preview else {
            let why = self.unknown.as_deref().unwrap_or_default();
            return print_lines([format!("What would change cannot be told: {why}")]);
        };
        if preview.months.is_empty() && app.format == Format::Table {
            return print_lines([format!("No month up to {} changes.", self.as_of), String::new()]);
        }
        print(app, &[months(&preview.months, app.format)?], Shown::Cents, "No month changes.")?;
        match app.format {
            Format::Table => print_lines([String::new()]),
            _ => Ok(()),
        }
    }

    /// What it is about, what it replaces, what becomes of its lots.
    fn lines(&self, now: &str) -> Vec<String> {
        let RegisteredCredit { credit_key, currency, issue_date, aws_applied, .. } = self.credit;
        let mut lines = vec![format!(
            "{credit_key}: issued {issue_date}, {} {currency} applied by AWS so far",
            cents(*aws_applied)
        )];
        let recorded = self.recorded.as_ref().map(|(by, at)| {
            let by = by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
            format!(", recorded{by} on {}", at.date())
        });
        match self.replaced.as_slice() {
            [] => lines.push(format!("{now:<10}nothing: it is not allocated")),
            lots => {
                let recorded = recorded.as_deref().unwrap_or_default();
                lines.extend(lots.iter().map(|lot| format!("{now:<10}{}{recorded}", lot_line(lot))));
            }
        }
        let lots = self.preview.iter().flat_map(|preview| &preview.lots);
        lines.extend(lots.map(|lot| format!("Then      {}", outcome_line(lot, self.as_of))));
        for credit in self.preview.iter().flat_map(|preview| &preview.other_credits) {
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

    /// What is not wrong, but may not be meant.
    fn warnings(&self) -> Vec<String> {
        let mut warnings = self.new.warnings.clone();
        let RegisteredCredit { currency, aws_applied, .. } = self.credit;
        let amount = Money::total(self.new.rows.iter().filter_map(|row| row.amount)).unwrap_or_default();
        let is_move = self.new.rows.iter().any(|row| row.continues_lot.is_some());
        let is_large = aws_applied.is_positive() && amount.units() / 10 >= aws_applied.units();
        if is_large && !is_move {
            let (amount, applied) = (cents(amount), cents(*aws_applied));
            warnings.push(format!("{amount} {currency} is 10 times what AWS has applied so far, {applied}, or more"));
        }
        let lots = || self.preview.iter().flat_map(|preview| &preview.lots);
        for lot in lots() {
            let is_its = |other: &&LotOutcome| other.credit_key == lot.credit_key;
            let went_on = lots().filter(is_its).any(|other| other.continues.is_some_and(|from| from.lot == lot.lot));
            if went_on || later_start(lot, self.as_of).is_some() {
                continue;
            }
            if let Some(end) = lot.end_date.filter(|end| *end < self.as_of) {
                warnings.push(format!(
                    "lot {} on {} ended on {end}: what it had not used by then is lost",
                    lot.lot, lot.node
                ));
            }
            if lot.eligible.is_zero() {
                warnings.push(format!(
                    "lot {}: there is no eligible spend at {} within its window so far",
                    lot.lot, lot.node
                ));
            }
        }
        warnings
    }
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

/// What it continues, if that goes on there only after the as-of date's month.
fn later_start(lot: &LotOutcome, as_of: NaiveDate) -> Option<Continues> {
    lot.continues.filter(|continues| continues.from_period > BillingPeriod::of(as_of))
}

fn outcome_line(lot: &LotOutcome, as_of: NaiveDate) -> String {
    let LotOutcome { lot: number, node, currency, amount, moved, used, expired, remaining, end_date, .. } = lot;
    let end = end_date.map(|end| format!(", until {end}")).unwrap_or_default();
    if let Some(Continues { lot: from, from_period }) = later_start(lot, as_of) {
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

/// What the published run would say otherwise with other lots.
async fn changes(app: &App, before: &[LotRow], after: &[LotRow]) -> Result<Option<Preview>, Failure> {
    let Some(published) = app.lake.published().await? else { return Ok(None) };
    let run = Run::new(Arc::clone(&app.lake), &published);
    let last = BillingPeriod::of(app.as_of);
    let periods = run.staged().await?.periods.into_iter().map(|period| period.billing_period);
    let periods: BTreeSet<BillingPeriod> = periods.filter(|period| *period <= last).collect();
    let policy = app.settings.credits.policy().map_err(|error| Failure::new(Kind::BadInput, error.to_string()))?;
    let spend = PreviewSpend { run: &run, periods: &periods, policy, as_of: app.as_of };
    Ok(Some(preview(spend, before, after).await?))
}
