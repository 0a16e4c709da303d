//! `check`: reference files beside the export.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::record_batch::RecordBatch;
use credit_ledger::{Money, Text};
use datafusion::error::DataFusionError;
use join_allocations::finding::{Finding, Kind, Severity};
use schemas::ColumnValue;
use serde::Serialize;

use crate::app::App;
use crate::cli::{Check, Format};
use crate::output::{Shown, print, print_json, print_lines};
use crate::{Failure, Kind as FailureKind};
use application::findings;
use application::money_text::{cents, count};

/// Entries of a list that people are shown; CSV and JSON have all.
const SHOWN: usize = 20;

pub(crate) async fn check(app: &App, arguments: Check) -> Result<(), Failure> {
    let findings = findings(&app.context, arguments.period).await?;
    let number = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let (errors, warnings, notes) = (number(Severity::Error), number(Severity::Warning), number(Severity::Note));
    match app.format {
        Format::Json => {
            print_json(serde_json::to_string_pretty(&Checks { errors, warnings, notes, findings: &findings }))?
        }
        Format::Csv => print(app, &[batch(&findings)?], Shown::Exact, "")?,
        Format::Table => print_lines(lines(&findings, &told(errors, warnings, notes)))?,
    }
    match errors > 0 || (arguments.strict && warnings > 0) {
        true => Err(Failure::new(FailureKind::BadInput, format!("check: {}", told(errors, warnings, notes)))),
        false => Ok(()),
    }
}

#[derive(Debug, Serialize)]
struct Checks<'a> {
    errors: usize,
    warnings: usize,
    notes: usize,
    findings: &'a [Finding],
}

fn told(errors: usize, warnings: usize, notes: usize) -> String {
    let counted = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
    [counted(errors, "error"), counted(warnings, "warning"), counted(notes, "note")].join(", ")
}

fn lines(findings: &[Finding], told: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for Section { severity, heading, entries } in sections(findings, SHOWN) {
        lines.push(format!("{:<9}{heading}", severity.name()));
        lines.extend(entries.into_iter().map(|entry| format!("           {entry}")));
        lines.push(String::new());
    }
    lines.push(format!("{told}."));
    lines
}

/// Findings of one kind.
pub(super) struct Section {
    severity: Severity,
    pub(super) heading: String,
    pub(super) entries: Vec<String>,
}

/// Findings by severity and kind, at most so many of each.
pub(super) fn sections(findings: &[Finding], most: usize) -> Vec<Section> {
    let alike = findings.chunk_by(|one, next| (one.severity, one.kind) == (next.severity, next.kind));
    let section = |alike: &[Finding]| {
        let first = alike.first()?;
        let mut entries: Vec<String> = alike.iter().take(most).map(entry).collect();
        if alike.len() > most {
            entries.push(format!("and {} more", count((alike.len() - most) as u64)));
        }
        let heading = match (first.kind, first.billing_period) {
            (Kind::Unassigned, Some(period)) => format!("{} of {period} {}", sums(alike), first.kind.heading()),
            (kind, _) => format!("{}: {}", kind.heading(), count(alike.len() as u64)),
        };
        Some(Section { severity: first.severity, heading, entries })
    };
    alike.filter_map(section).collect()
}

fn entry(finding: &Finding) -> String {
    let amount = finding.amount.zip(finding.currency.as_ref());
    let amount = amount.map(|(amount, currency)| format!("{} {currency}", cents(amount)));
    let parts = [Some(finding.subject.clone()), amount, Some(finding.message.clone())];
    parts.into_iter().flatten().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("  ")
}

/// `1,234.56 USD, 7.00 EUR`
fn sums(findings: &[Finding]) -> String {
    let mut sums: BTreeMap<&Text, Money> = BTreeMap::new();
    for finding in findings {
        if let (Some(amount), Some(currency)) = (finding.amount, &finding.currency) {
            let sum = sums.entry(currency).or_default();
            *sum = sum.checked_add(amount).unwrap_or(*sum);
        }
    }
    sums.iter().map(|(currency, sum)| format!("{} {currency}", cents(*sum))).collect::<Vec<_>>().join(", ")
}

fn batch(findings: &[Finding]) -> Result<RecordBatch, Failure> {
    let texts = |text: fn(&Finding) -> Option<String>| -> ArrayRef {
        Arc::new(findings.iter().map(text).collect::<StringArray>())
    };
    let amounts: Vec<Option<Money>> = findings.iter().map(|finding| finding.amount).collect();
    let columns = [
        ("severity", texts(|finding| Some(finding.severity.name().to_owned()))),
        ("kind", texts(|finding| Some(finding.kind.name().to_owned()))),
        ("subject", texts(|finding| Some(finding.subject.clone()).filter(|text| !text.is_empty()))),
        ("message", texts(|finding| Some(finding.message.clone()).filter(|text| !text.is_empty()))),
        ("billing_period", texts(|finding| finding.billing_period.map(|period| period.to_string()))),
        ("amount", ColumnValue::to_array(amounts.iter())),
        ("currency", texts(|finding| finding.currency.as_ref().map(Text::to_string))),
    ];
    let columns = columns.into_iter().map(|(name, column)| (name, column, true));
    Ok(RecordBatch::try_from_iter_with_nullable(columns).map_err(DataFusionError::from)?)
}
