//! What a run read of the export, and what it left out.

use std::collections::{BTreeMap, BTreeSet};

use credit_ledger::BillingPeriod;
use schemas::PeriodNotes;
use schemas::records::{Detected, Fetched, LeftOut, PeriodSource};
use serde::Serialize;

use crate::money_text::count;

/// Months that a line lists.
const LISTED: usize = 12;

/// What a run read of the export.
#[derive(Debug, Serialize)]
pub struct ExportRead {
    /// Formats of its files.
    pub format: String,
    /// Periods that it read.
    pub periods_read: Vec<BillingPeriod>,
    /// Lines of these.
    pub lines_read: u64,
    /// Periods that are as they were last read.
    pub periods_unchanged: Vec<BillingPeriod>,
    /// Lines of these.
    pub lines_unchanged: u64,
    /// No longer in the export: they keep what was last read.
    pub periods_gone: Vec<BillingPeriod>,
    /// Lines without a cost.
    pub blank_costs: u64,
    /// Lines by line type that is not known.
    pub unknown_line_types: BTreeMap<String, u64>,
    /// Files under the source location that are not read, and why.
    pub left_out: Vec<LeftOut>,
    /// Exclusions that files have no column for, and the periods in which all charges count as eligible instead.
    pub exclusions_not_applied: BTreeMap<String, Vec<BillingPeriod>>,
    /// Exclusions that somebody set and no line of any period meets.
    pub exclusions_unmatched: BTreeSet<String>,
    /// Columns of the configured cost that files do not have and that count as null, and the periods.
    pub missing_cost_columns: BTreeMap<String, Vec<BillingPeriod>>,
    /// Exports that no longer have a period that was read of them, so that it stays as last read, and the periods.
    pub exports_gone: BTreeMap<String, Vec<BillingPeriod>>,
    /// Exports that have earlier months only, and the newest period, whose lines of them are still to come.
    pub exports_awaited: BTreeMap<String, Vec<BillingPeriod>>,
    /// Some of the account ids with fewer than 12 digits, which are taken as they stand.
    pub short_account_ids: BTreeSet<String>,
    /// Of an export on S3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fetched: Option<Fetched>,
}

impl ExportRead {
    /// As `detect-credits` found it.
    #[must_use]
    pub fn of(detected: &Detected) -> Self {
        let of = |source| detected.periods.iter().filter(move |period| period.source == source);
        let periods = |source| of(source).map(|detected| detected.period).collect::<Vec<_>>();
        let lines = |source| of(source).map(|detected| detected.lines).sum();
        let mut unknown_line_types: BTreeMap<String, u64> = BTreeMap::new();
        for (line_type, lines) in detected.periods.iter().flat_map(|detected| &detected.unknown_line_types) {
            *unknown_line_types.entry(line_type.clone()).or_default() += lines;
        }
        let noted = |notes: fn(&PeriodNotes) -> &BTreeSet<String>| {
            let mut noted: BTreeMap<String, Vec<BillingPeriod>> = BTreeMap::new();
            for period in &detected.periods {
                for note in notes(&period.notes) {
                    noted.entry(note.clone()).or_default().push(period.period);
                }
            }
            noted
        };
        Self {
            format: detected.format.clone(),
            periods_read: periods(PeriodSource::Read),
            lines_read: lines(PeriodSource::Read),
            periods_unchanged: periods(PeriodSource::Unchanged),
            lines_unchanged: lines(PeriodSource::Unchanged),
            periods_gone: periods(PeriodSource::Gone),
            blank_costs: detected.periods.iter().map(|detected| detected.blank_costs).sum(),
            unknown_line_types,
            left_out: detected.left_out.clone(),
            exclusions_not_applied: noted(|notes| &notes.exclusions_not_applied),
            exclusions_unmatched: exclusions_unmatched(detected),
            missing_cost_columns: noted(|notes| &notes.missing_cost_columns),
            exports_gone: noted(|notes| &notes.exports_gone),
            exports_awaited: noted(|notes| &notes.exports_awaited),
            short_account_ids: detected.periods.iter().flat_map(|of| of.notes.short_account_ids.clone()).collect(),
            fetched: detected.fetched,
        }
    }

    /// `CUR 2.0: 1 period read (7,012 lines), 5 unchanged (31,174 lines)`
    #[must_use]
    pub fn in_brief(&self) -> String {
        let periods = |number: usize| format!("{number} {}", if number == 1 { "period" } else { "periods" });
        format!(
            "{}: {} read ({} lines), {} unchanged ({} lines)",
            self.format,
            periods(self.periods_read.len()),
            count(self.lines_read),
            self.periods_unchanged.len(),
            count(self.lines_unchanged),
        )
    }

    /// What people should know of it, a line each; not the files that are left out.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if !self.periods_gone.is_empty() {
            let gone: Vec<String> = self.periods_gone.iter().map(ToString::to_string).collect();
            notes.push(format!("no longer in the export, kept as last read: {}", gone.join(", ")));
        }
        notes.extend(by_periods(&self.exports_gone).into_iter().map(|(periods, exports)| {
            format!("kept as last read, as they are no longer in {}: {periods}", exports.join(", "))
        }));
        notes.extend(
            by_periods(&self.exports_awaited)
                .into_iter()
                .map(|(periods, exports)| format!("no lines of {periods} yet in {}", exports.join(", "))),
        );
        if self.blank_costs > 0 {
            notes.push(format!("{} lines without a cost count as zero", count(self.blank_costs)));
        }
        notes.extend(self.unknown_line_types.iter().map(|(line_type, number)| {
            format!("unknown line type {line_type} counts as charges: {} lines", count(*number))
        }));
        notes.extend(by_periods(&self.exclusions_not_applied).into_iter().map(|(periods, exclusions)| {
            let exclusions = exclusions.join(", ");
            format!("exclusions not applied in {periods}, their charges count as eligible: {exclusions}")
        }));
        if !self.exclusions_unmatched.is_empty() {
            let exclusions: Vec<&str> = self.exclusions_unmatched.iter().map(String::as_str).collect();
            notes.push(format!("exclusions that no line meets, is it a slip? {}", exclusions.join(", ")));
        }
        notes.extend(by_periods(&self.missing_cost_columns).into_iter().map(|(periods, columns)| {
            format!("columns that count as null, as {periods} has none: {}", columns.join(", "))
        }));
        if !self.short_account_ids.is_empty() {
            let ids: Vec<&str> = self.short_account_ids.iter().map(String::as_str).collect();
            notes.push(format!("account ids of fewer than 12 digits, as they stand: {}", ids.join(", ")));
        }
        notes
    }
}

/// Exclusions that no line of any period meets that the export still has.
fn exclusions_unmatched(detected: &Detected) -> BTreeSet<String> {
    let periods = detected.periods.iter().filter(|period| period.source != PeriodSource::Gone);
    let unmatched = periods.map(|period| period.notes.exclusions_unmatched.clone());
    unmatched.reduce(|all, of_period| &all & &of_period).unwrap_or_default()
}

/// What to say of the export's months after the as-of date.
#[must_use]
pub fn later_months_left_out(later: &[BillingPeriod]) -> Option<String> {
    let mut listed: Vec<String> = later.iter().take(LISTED).map(ToString::to_string).collect();
    if later.len() > LISTED {
        listed.push(format!("and {} more", later.len() - LISTED));
    }
    match later.len() {
        0 => None,
        1 => Some(format!("1 newer month of the export is left out: {}", listed.join(", "))),
        more => Some(format!("{more} newer months of the export are left out: {}", listed.join(", "))),
    }
}

/// Notes by the periods that share them: `2026-08, 2026-09`.
fn by_periods(notes: &BTreeMap<String, Vec<BillingPeriod>>) -> BTreeMap<String, Vec<&str>> {
    let mut by_periods: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (note, periods) in notes {
        let periods: Vec<String> = periods.iter().map(ToString::to_string).collect();
        by_periods.entry(periods.join(", ")).or_default().push(note);
    }
    by_periods
}

#[cfg(test)]
mod tests {
    use schemas::records::{DetectedPeriod, InboxFiles};

    use super::*;

    fn period(period: &str, source: PeriodSource) -> DetectedPeriod {
        DetectedPeriod {
            period: period.parse().unwrap(),
            fingerprint: String::new(),
            lines: 10,
            source,
            blank_costs: 600,
            unknown_line_types: [("Odd".to_owned(), 700)].into(),
            notes: PeriodNotes { exclusions_not_applied: ["Marketplace".to_owned()].into(), ..PeriodNotes::default() },
        }
    }

    #[test]
    fn notes_of_periods_are_told_together() {
        let detected = Detected {
            as_of: "2026-09-30".parse().unwrap(),
            format: "CUR 2.0".to_owned(),
            periods: vec![period("2026-08", PeriodSource::Gone), period("2026-09", PeriodSource::Read)],
            later_periods: Vec::new(),
            left_out: Vec::new(),
            fetched: None,
            inbox: InboxFiles::default(),
        };
        let read = ExportRead::of(&detected);
        assert_eq!(read.in_brief(), "CUR 2.0: 1 period read (10 lines), 0 unchanged (0 lines)");
        let expected = [
            "no longer in the export, kept as last read: 2026-08",
            "1,200 lines without a cost count as zero",
            "unknown line type Odd counts as charges: 1,400 lines",
            "exclusions not applied in 2026-08, 2026-09, their charges count as eligible: Marketplace",
        ];
        assert_eq!(read.notes(), expected);
    }

    #[test]
    fn columns_and_ids_that_are_not_as_they_should_be_are_told_by_month_and_example() {
        let missing = ["reservation_effective_cost", "savings_plan_savings_plan_effective_cost"];
        let noted = |month: &str, source, columns: &[&str], ids: &[&str]| {
            let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
            let notes = PeriodNotes {
                missing_cost_columns: owned(columns),
                short_account_ids: owned(ids),
                ..PeriodNotes::default()
            };
            let (blank_costs, unknown_line_types) = (0, BTreeMap::new());
            DetectedPeriod { blank_costs, unknown_line_types, notes, ..period(month, source) }
        };
        let periods = vec![
            noted("2026-07", PeriodSource::Unchanged, &missing, &["41"]),
            noted("2026-08", PeriodSource::Unchanged, &missing, &[]),
            noted("2026-09", PeriodSource::Read, &missing[..1], &["7", "41"]),
        ];
        let (as_of, format) = ("2026-09-30".parse().unwrap(), "CUR 1.0".to_owned());
        let (later_periods, left_out, fetched) = (Vec::new(), Vec::new(), None);
        let inbox = InboxFiles::default();
        let read = ExportRead::of(&Detected { as_of, format, periods, later_periods, left_out, fetched, inbox });
        assert_eq!(read.in_brief(), "CUR 1.0: 1 period read (10 lines), 2 unchanged (20 lines)");
        let expected = [
            "columns that count as null, as 2026-07, 2026-08 has none: savings_plan_savings_plan_effective_cost",
            "columns that count as null, as 2026-07, 2026-08, 2026-09 has none: reservation_effective_cost",
            "account ids of fewer than 12 digits, as they stand: 41, 7",
        ];
        assert_eq!(read.notes(), expected);
        let json = serde_json::to_value(&read).unwrap();
        assert_eq!(json["periods_unchanged"], serde_json::json!(["2026-07", "2026-08"]));
        assert!(json.get("fetched").is_none(), "nothing was fetched");
    }

    #[test]
    fn of_many_later_months_the_first_are_listed() {
        let months: Vec<BillingPeriod> = (1..=14)
            .map(|month| format!("{}-{:02}", 2026 + month / 13, (month - 1) % 12 + 1).parse().unwrap())
            .collect();
        let said = |count: usize| later_months_left_out(&months[..count]).unwrap_or_default();
        assert_eq!(said(0), "");
        assert_eq!(said(1), "1 newer month of the export is left out: 2026-01");
        assert!(said(14).starts_with("14 newer months of the export are left out: 2026-01, 2026-02, "));
        assert!(said(14).ends_with(", 2026-12, and 2 more"));
    }
}
