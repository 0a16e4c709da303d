//! What changed between two runs, for people.

use std::collections::BTreeMap;

use arrow::record_batch::RecordBatch;
use credit_ledger::{BillingPeriod, Money, Text};
use datafusion::error::DataFusionError;
use schemas::ColumnValue;
use write_net_cost::changes::{
    AmountChange, BudgetChange, Changes, CreditChange, CreditEvent, CreditFigures, CreditMonth, LotChange, LotTerms,
    MonthChange, Reason, Recorded, UnitChange,
};

use crate::Failure;
use application::money_text::{cents, count, signed};

/// Credits, budgets and months that one line names.
const NAMED: usize = 5;

/// A heading, a table of figures where there is one, and lines.
pub(crate) struct Section {
    pub(crate) heading: String,
    pub(crate) table: Option<RecordBatch>,
    pub(crate) lines: Vec<String>,
}

/// All that changed, past months first; of each section at most so many entries.
pub(crate) fn sections(changes: &Changes, most: usize) -> Result<Vec<Section>, Failure> {
    let mut sections = Vec::new();
    let now = BillingPeriod::of(changes.from.as_of);
    let (past, current) = (format!("Past months, before {now}"), format!("{now} and later"));
    for (which, months) in [(past, &changes.past_months), (current, &changes.current_months)] {
        if !months.is_empty() {
            let heading = format!("{which}: net cost {}; changes by business unit", net_cost(months)?);
            sections.push(months_section(heading, months, most)?);
        }
    }
    if !changes.credits.is_empty() {
        let credits = &changes.credits;
        let mut lines: Vec<String> =
            credits.iter().take(most).map(|credit| format!("  {}", credit_line(credit))).collect();
        lines.extend(more(credits.len(), most));
        sections.push(Section {
            heading: format!("Credits, {} changed", count(credits.len() as u64)),
            table: None,
            lines,
        });
    }
    Ok(sections)
}

fn more(all: usize, most: usize) -> Option<String> {
    (all > most).then(|| format!("  and {} more; `finops-credits diff` shows all", all - most))
}

/// `-4,590.87 USD`, by currency.
fn net_cost(months: &[MonthChange]) -> Result<String, Failure> {
    let mut sums: BTreeMap<&str, Money> = BTreeMap::new();
    for month in months {
        let sum = sums.entry(&month.currency).or_default();
        *sum = Money::total(std::iter::once(*sum).chain(month.business_units.iter().map(|unit| unit.net_cost.change)))?;
    }
    let sums: Vec<String> = sums.iter().map(|(currency, sum)| format!("{} {currency}", signed(*sum))).collect();
    Ok(sums.join(", "))
}

fn months_section(heading: String, months: &[MonthChange], most: usize) -> Result<Section, Failure> {
    let units: Vec<(&MonthChange, &UnitChange)> =
        months.iter().flat_map(|month| month.business_units.iter().map(move |unit| (month, unit))).collect();
    let shown = units.get(..most).unwrap_or(&units);
    let table = if shown.is_empty() { None } else { Some(units_table(shown)?) };
    let mut lines: Vec<String> = more(units.len(), most).into_iter().collect();
    let why = why_lines(months);
    lines.extend(why.iter().take(most).cloned());
    lines.extend(more(why.len(), most));
    Ok(Section { heading, table, lines })
}

fn units_table(units: &[(&MonthChange, &UnitChange)]) -> Result<RecordBatch, Failure> {
    let texts = |text: &dyn Fn(&MonthChange, &UnitChange) -> Text| {
        let texts: Vec<Text> = units.iter().map(|(month, unit)| text(month, unit)).collect();
        Text::to_array(texts.iter())
    };
    let money =
        |figure: fn(&UnitChange) -> &AmountChange| Money::to_array(units.iter().map(|(_, unit)| &figure(unit).change));
    let columns = [
        ("month", texts(&|month, _| month.billing_period.to_string().into())),
        ("business_unit", texts(&|_, unit| unit.business_unit.clone())),
        ("currency", texts(&|month, _| month.currency.clone())),
        ("gross_cost", money(|unit| &unit.gross_cost)),
        ("refunds", money(|unit| &unit.refunds)),
        ("aws_credits", money(|unit| &unit.aws_credits)),
        ("credits_applied", money(|unit| &unit.credits_applied)),
        ("net_cost", money(|unit| &unit.net_cost)),
    ];
    Ok(RecordBatch::try_from_iter(columns).map_err(DataFusionError::from)?)
}

/// `2026-08  export: 40,100.00 -> 40,250.00 USD (+150.00), 6,100 -> 6,130 lines`: a line a reason, with the months that share
/// it.
fn why_lines(months: &[MonthChange]) -> Vec<String> {
    let mut lines: Vec<(String, Vec<String>)> = Vec::new();
    for month in months {
        let is_below = month.nodes_changed > 0 && month.business_units.is_empty();
        let below = is_below.then(|| format!("{} nodes below business units changed", month.nodes_changed));
        for text in below.into_iter().chain(month.why.iter().map(|reason| reason_text(reason, month))) {
            let period = month.billing_period.to_string();
            match lines.iter_mut().find(|(told, _)| *told == text) {
                Some((_, periods)) if periods.last() == Some(&period) => {}
                Some((_, periods)) => periods.push(period),
                None => lines.push((text, vec![period])),
            }
        }
    }
    lines.into_iter().map(|(text, periods)| format!("  {}  {text}", periods.join(", "))).collect()
}

fn amounts(change: &AmountChange, currency: &str) -> String {
    format!("{} -> {} {currency} ({})", cents(change.from), cents(change.to), signed(change.change))
}

/// The first few, and how many more.
fn listed<T>(all: &[T], text: impl Fn(&T) -> String) -> String {
    let mut texts: Vec<String> = all.iter().take(NAMED).map(text).collect();
    if all.len() > NAMED {
        texts.push(format!("{} more", all.len() - NAMED));
    }
    texts.join(", ")
}

/// A reason in one sentence.
pub(crate) fn reason_text(reason: &Reason, month: &MonthChange) -> String {
    let currency = &month.currency;
    match reason {
        Reason::NewMonth => "new: the run before did not reach this month".to_owned(),
        Reason::GoneMonth => "gone: the run after does not reach this month".to_owned(),
        Reason::Export { export_total, lines } => {
            let number = |lines: i64| count(lines.unsigned_abs());
            format!("export: {}, {} -> {} lines", amounts(export_total, currency), number(lines.from), number(lines.to))
        }
        Reason::Measures { cost } => format!(
            "the same lines make other sums, {}: the cost column, or what counts as a refund or a credit, is set otherwise",
            amounts(cost, currency)
        ),
        Reason::Shifted { amount } => format!(
            "{} {currency} lie on other nodes: rules or the hierarchy changed, or accounts and tags of lines",
            cents(*amount)
        ),
        Reason::Spend => {
            "the same cost is on other days, accounts or services, or another part of it is eligible".to_owned()
        }
        Reason::Allocations { credits } => format!("allocations: {}", listed(credits, recorded_text)),
        Reason::IssueDates { credits } => format!("issue dates: {}", listed(credits, ToString::to_string)),
        Reason::EarlierMonths { credits } => {
            format!("earlier months left other amounts of {}", listed(credits, ToString::to_string))
        }
        Reason::Policy { from, to } => format!("FIFO policy: {from} -> {to}"),
        Reason::Budgets => format!("budgets: {}", listed(&month.budgets, |budget| budget_text(budget, currency))),
        Reason::Version => "another version of the program made it".to_owned(),
    }
}

fn recorded_text(recorded: &Recorded) -> String {
    let Recorded { credit_key, status, recorded_by, recorded_at } = recorded;
    let what = match (recorded_at, status) {
        (Some(at), _) => {
            let by = recorded_by.as_ref().map(|by| format!("{by}, ")).unwrap_or_default();
            format!("{by}{}", at.format("%Y-%m-%d %H:%M"))
        }
        (None, Some(status)) => format!("now {status}"),
        (None, None) => "gone".to_owned(),
    };
    format!("{credit_key} ({what})")
}

fn budget_text(budget: &BudgetChange, currency: &str) -> String {
    let amount = |amount: Option<Money>| amount.map_or_else(|| "none".to_owned(), cents);
    let node = budget.node.as_ref().map_or_else(|| "the whole".to_owned(), ToString::to_string);
    format!("{node} {} -> {} {currency}", amount(budget.from), amount(budget.to))
}

/// `2026-08  Retail  net cost -500.00 USD`: an entry of a list.
pub(crate) fn unit_line(month: &MonthChange, unit: &UnitChange) -> String {
    let change = signed(unit.net_cost.change);
    format!("{}  {}  net cost {change} {}", month.billing_period, unit.business_unit, month.currency)
}

/// The credit and all that happened to it.
pub(crate) fn credit_line(credit: &CreditChange) -> String {
    let told: Vec<String> = credit.events.iter().map(|event| event_text(*event, credit)).collect();
    format!("{}  {}", credit.credit_key, told.join("; "))
}

fn event_text(event: CreditEvent, credit: &CreditChange) -> String {
    let currency = &credit.currency;
    let (from, to) = (credit.from.as_ref(), credit.to.as_ref());
    let status = to.map_or("gone", |to| to.status.as_str());
    let change = |figure: fn(&CreditFigures) -> Option<Money>| {
        let of = |figures: Option<_>| figures.and_then(figure).unwrap_or_default();
        AmountChange::of(of(from), of(to)).unwrap_or_default()
    };
    match event {
        CreditEvent::Gone => "is in the export no more".to_owned(),
        CreditEvent::Invalid => "its allocation cannot be used".to_owned(),
        CreditEvent::Expired => {
            format!("expired, {} {currency} lost", cents(change(|of| of.expired).change))
        }
        CreditEvent::Exhausted => "exhausted".to_owned(),
        CreditEvent::New => {
            format!("new, {} {currency} applied by AWS so far", cents(change(|of| Some(of.aws_applied)).to))
        }
        CreditEvent::Allocated => match credit.lots.as_slice() {
            [] => format!("allocated, {} {currency}", cents(change(|of| of.allocated_amount).to)),
            lots => format!("allocated, {}", listed(lots, |lot| lot_text(lot, currency))),
        },
        CreditEvent::Revoked => "revoked".to_owned(),
        CreditEvent::Lots => listed(&credit.lots, |lot| lot_text(lot, currency)),
        CreditEvent::IssueDate => {
            let dates = from.zip(to).map(|(from, to)| format!(" {} -> {}", from.issue_date, to.issue_date));
            format!("issue date{}", dates.unwrap_or_default())
        }
        CreditEvent::ExpiringSoon => {
            let end = to.and_then(|to| to.end_date).map(|end| format!(", ends {end}")).unwrap_or_default();
            format!("expires soon, {} {currency} left{end}", cents(change(|of| of.remaining).to))
        }
        CreditEvent::Status => match from {
            Some(from) if from.status != status => format!("{} -> {status}", from.status),
            _ => format!("{status} as before, other figures"),
        },
        CreditEvent::Used => format!("used {}{}", amounts(&change(|of| of.used), currency), months_text(credit)),
        CreditEvent::AwsApplied => format!("applied by AWS {}", amounts(&change(|of| Some(of.aws_applied)), currency)),
        CreditEvent::Recorded => {
            let by = to.and_then(|to| to.recorded_by.as_ref()).map(|by| format!(" by {by}")).unwrap_or_default();
            format!("recorded anew{by}")
        }
    }
}

/// The months in which another amount was used, where that says more than the sum.
fn months_text(credit: &CreditChange) -> String {
    let months: Vec<_> = credit.months.iter().filter(|month| !month.used.change.is_zero()).collect();
    match months.as_slice() {
        [] => String::new(),
        [only] => format!(" in {}", only.billing_period),
        months => {
            let of_month = |month: &&CreditMonth| format!("{} {}", month.billing_period, signed(month.used.change));
            format!(": {}", listed(months, of_month))
        }
    }
}

fn lot_text(change: &LotChange, currency: &str) -> String {
    let end = |terms: &LotTerms| terms.end_date.map_or_else(|| "open-ended".to_owned(), |end| format!("until {end}"));
    let whole = |terms: &LotTerms| {
        let to = if terms.is_moved { "moved to" } else { "to" };
        format!("{} {currency} {to} {}, {}", cents(terms.amount), terms.node, end(terms))
    };
    match (&change.from, &change.to) {
        (Some(from), Some(to)) => {
            let mut parts = Vec::new();
            if from.node != to.node {
                parts.push(format!("moved from {} to {}", from.node, to.node));
            }
            if from.amount != to.amount {
                parts.push(format!("{} -> {} {currency}", cents(from.amount), cents(to.amount)));
            }
            if from.end_date != to.end_date {
                parts.push(format!("{} -> {}", end(from), end(to)));
            }
            format!("lot {}: {}", change.lot, parts.join(", "))
        }
        (None, Some(to)) => format!("lot {}: {}", change.lot, whole(to)),
        (Some(from), None) => format!("lot {} is gone: {}", change.lot, whole(from)),
        (None, None) => String::new(),
    }
}

#[cfg(test)]
mod tests;
