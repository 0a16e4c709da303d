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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::csv_text;
    use crate::testing::money;

    fn spend(subject: &str, amount: &str, currency: &str) -> Finding {
        Finding {
            billing_period: "2026-09".parse().ok(),
            amount: Some(money(amount)),
            currency: Some(currency.into()),
            ..Finding::new(Severity::Warning, Kind::Unassigned, subject, "")
        }
    }

    fn found() -> Vec<Finding> {
        vec![
            Finding::new(Severity::Error, Kind::ReferenceFile, "", "budgets.csv, row 2: \"x\" is not a number"),
            spend("222222222222 AmazonEC2", "1234.565", "USD"),
            spend("222222222222 AmazonS3", "7", "EUR"),
            Finding::new(Severity::Warning, Kind::UnmatchedRule, "shadowed", "rule all comes first"),
            Finding::new(Severity::Note, Kind::UnmatchedRule, "=future", "counts from 2026-10 on"),
            Finding::new(Severity::Note, Kind::IdleNode, "Media", ""),
        ]
    }

    #[test]
    fn findings_are_told_by_severity_and_kind_with_what_is_unassigned_summed() {
        let text = lines(&found(), &told(1, 3, 2)).join("\n");
        insta::assert_snapshot!(text, @r#"
        error    reference files that cannot be read: 1
                   budgets.csv, row 2: "x" is not a number

        warning  7.00 EUR, 1,234.57 USD of 2026-09 Unassigned: no rule takes it
                   222222222222 AmazonEC2  1,234.57 USD
                   222222222222 AmazonS3  7.00 EUR

        warning  rules that match nothing: 1
                   shadowed  rule all comes first

        note     rules that match nothing: 1
                   =future  counts from 2026-10 on

        note     nodes with neither cost nor lots nor a budget: 1
                   Media

        1 error, 3 warnings, 2 notes.
        "#);
        assert_eq!(lines(&[], &told(0, 0, 0)), ["0 errors, 0 warnings, 0 notes."]);
    }

    #[test]
    fn of_many_findings_of_a_kind_twenty_are_listed_and_all_are_counted() {
        let many: Vec<Finding> = (0..1_025).map(|number| spend(&format!("{number:012}"), "1", "USD")).collect();
        let [section]: [Section; 1] =
            sections(&many, SHOWN).try_into().unwrap_or_else(|_| panic!("one kind is one section"));
        assert_eq!(section.heading, "1,025.00 USD of 2026-09 Unassigned: no rule takes it");
        assert_eq!(section.entries.len(), SHOWN + 1);
        assert_eq!(section.entries.last().map(String::as_str), Some("and 1,005 more"));
    }

    #[test]
    fn csv_has_every_finding_with_exact_amounts_and_no_formulas() {
        let expected = "severity,kind,subject,message,billing_period,amount,currency\n\
                        error,reference_file,,\"budgets.csv, row 2: \"\"x\"\" is not a number\",,,\n\
                        warning,unassigned,222222222222 AmazonEC2,,2026-09,1234.5650000000,USD\n\
                        warning,unassigned,222222222222 AmazonS3,,2026-09,7.0000000000,EUR\n\
                        warning,unmatched_rule,shadowed,rule all comes first,,,\n\
                        note,unmatched_rule,'=future,counts from 2026-10 on,,,\n\
                        note,idle_node,Media,,,,\n";
        assert_eq!(csv_text(&[batch(&found()).unwrap()], false).unwrap(), expected);
    }
}
