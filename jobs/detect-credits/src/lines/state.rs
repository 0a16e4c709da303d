//! What one partition of a scan carries from line to line.

use std::collections::{BTreeMap, BTreeSet};

use credit_ledger::{BillingPeriod, Money, MoneyError};
use cur_reader::ReadError;
use hashbrown::{HashMap, HashSet};
use schemas::PeriodNotes;
use schemas::reference::Problem;
use schemas::settings::CreditSettings;

use super::partial_sums::PartialSums;
use crate::deliveries::Delivery;
use crate::interner::{NO_TEXT, StringInterner};
use crate::rules::{DIMENSIONS, RuleFinder, RuleMatcher};
use crate::scan_rows::{Note, kind};

/// Sums, counts, and what was worked out for earlier lines.
pub(crate) struct LineState {
    pub(crate) sums: PartialSums,
    /// Lines and unblended cost, by period and number of the currency.
    pub(super) totals: HashMap<(BillingPeriod, u32), (u64, Money)>,
    pub(super) currencies: BTreeMap<u32, String>,
    pub(super) blank_costs: BTreeMap<BillingPeriod, u64>,
    pub(super) unknown_line_types: BTreeMap<BillingPeriod, BTreeMap<String, u64>>,
    /// Lines by period, numbers of the currency and of the invoice.
    invoices: HashMap<(BillingPeriod, u32, u32), u64>,
    invoice_ids: BTreeMap<u32, String>,
    /// Of the lines before: mostly they are all on one invoice.
    invoiced_before: Option<((BillingPeriod, u32, u32), u64)>,
    pub(super) notes: BTreeMap<BillingPeriod, PeriodNotes>,
    /// What lines met of the exclusions that somebody set, by setting.
    excluded: BTreeMap<(BillingPeriod, &'static str), BTreeSet<String>>,
    /// Period, number of the payer, and number of the file, as they were met.
    met: HashSet<(BillingPeriod, u32, usize)>,
    deliveries: BTreeSet<(BillingPeriod, String, Delivery)>,
    problems: Vec<Problem>,
    parts: Vec<String>,
    pub(super) finder: RuleFinder,
    /// Period and candidates of the line before, and its rule.
    pub(super) line_before: Option<(BillingPeriod, [u32; DIMENSIONS])>,
    pub(super) rule_before: u32,
    /// Numbers of the rules' ids, by position.
    pub(super) rule_names: Vec<u32>,
}

impl LineState {
    pub(crate) fn new(rules: &RuleMatcher, names: &StringInterner) -> Self {
        let rule_names = (0..).map_while(|rule| rules.rule_id(rule)).map(|id| names.number(id)).collect();
        Self {
            sums: PartialSums::default(),
            totals: HashMap::new(),
            currencies: BTreeMap::new(),
            blank_costs: BTreeMap::new(),
            unknown_line_types: BTreeMap::new(),
            invoices: HashMap::new(),
            invoice_ids: BTreeMap::new(),
            invoiced_before: None,
            notes: BTreeMap::new(),
            excluded: BTreeMap::new(),
            met: HashSet::new(),
            deliveries: BTreeSet::new(),
            problems: Vec::new(),
            parts: Vec::new(),
            finder: RuleFinder::new(rules),
            line_before: None,
            rule_before: NO_TEXT,
            rule_names,
        }
    }

    /// The number of the first rule's id; `NO_TEXT` where no rule takes the line.
    pub(super) fn rule(&mut self, rules: &RuleMatcher, period: BillingPeriod, candidates: [u32; DIMENSIONS]) -> u32 {
        let line = Some((period, candidates));
        if line != self.line_before {
            let found = self.finder.first_match(rules, period, candidates);
            let name = found.and_then(|rule| self.rule_names.get(rule as usize)).copied();
            self.rule_before = name.unwrap_or(NO_TEXT);
            self.line_before = line;
        }
        self.rule_before
    }

    /// Makes room for other candidates; true where the numbers of all candidates so far are void.
    pub(super) fn forgets_candidates(&mut self, rules: &RuleMatcher) -> bool {
        let is_full = self.finder.is_full();
        if is_full {
            self.finder = RuleFinder::new(rules);
            self.line_before = None;
        }
        is_full
    }

    /// What was read, unless it is bad: then that is noted.
    pub(crate) fn noting<T>(&mut self, read: Result<T, ReadError>) -> Result<Option<T>, ReadError> {
        match read {
            Ok(read) => Ok(Some(read)),
            Err(ReadError::BadExport(problems)) => {
                self.problems.extend(problems.0);
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }

    /// Notes that a part was read to its end.
    pub(crate) fn has_read(&mut self, part: String) {
        self.parts.push(part);
    }

    pub(super) fn count(
        &mut self,
        period: BillingPeriod,
        currency: u32,
        (count, amount): (u64, Money),
    ) -> Result<(), MoneyError> {
        let (lines, sum) = self.totals.entry((period, currency)).or_insert((0, Money::ZERO));
        *lines += count;
        *sum = sum.checked_add(amount)?;
        Ok(())
    }

    /// Counts lines on an invoice.
    pub(super) fn invoiced(&mut self, period: BillingPeriod, currency: u32, (invoice, id): (u32, &str), lines: u64) {
        let key = (period, currency, invoice);
        match &mut self.invoiced_before {
            Some((before, count)) if *before == key => *count += lines,
            _ => {
                self.add_invoiced();
                self.invoiced_before = Some((key, lines));
                self.invoice_ids.entry(invoice).or_insert_with(|| id.to_owned());
            }
        }
    }

    fn add_invoiced(&mut self) {
        if let Some((key, lines)) = self.invoiced_before.take() {
            *self.invoices.entry(key).or_default() += lines;
        }
    }

    /// Notes that a line met an exclusion.
    pub(super) fn excluded(&mut self, period: BillingPeriod, setting: &'static str, value: &str) {
        let met = self.excluded.entry((period, setting)).or_default();
        if !met.contains(value) {
            met.insert(value.to_owned());
        }
    }

    /// Notes that a delivery has lines of a payer.
    pub(super) fn delivered(
        &mut self,
        period: BillingPeriod,
        (payer, id): (u32, &str),
        (file, delivery): (usize, &Delivery),
    ) {
        if self.met.insert((period, payer, file)) {
            self.deliveries.insert((period, id.to_owned(), delivery.clone()));
        }
    }

    /// What was counted beside the sums, and what is wrong.
    pub(crate) fn take_notes(&mut self) -> Result<Vec<Note>, serde_json::Error> {
        self.add_invoiced();
        let mut notes = Vec::new();
        let currency = |number: &u32| self.currencies.get(number).cloned();
        for ((period, number), (lines, amount)) in &self.totals {
            let of = Note { kind: kind::TOTAL, period: Some(*period), currency: currency(number), ..Note::default() };
            notes.push(Note { lines: *lines, amount: *amount, ..of });
        }
        for ((period, number, invoice), lines) in &self.invoices {
            let of = Note { kind: kind::INVOICE, period: Some(*period), currency: currency(number), ..Note::default() };
            notes.push(Note { detail: self.invoice_ids.get(invoice).cloned(), lines: *lines, ..of });
        }
        let of_period = |kind, period: &BillingPeriod| Note { kind, period: Some(*period), ..Note::default() };
        for (period, lines) in &self.blank_costs {
            notes.push(Note { lines: *lines, ..of_period(kind::NO_COST, period) });
        }
        for (period, types) in &self.unknown_line_types {
            let of_type = types.iter().map(|(name, lines)| (Some(name.clone()), *lines));
            notes.extend(of_type.map(|(detail, lines)| Note { detail, lines, ..of_period(kind::LINE_TYPE, period) }));
        }
        for (period, noted) in &self.notes {
            // The others are not of lines: deliveries say the payers, the listing what exports have.
            let PeriodNotes { exclusions_not_applied, missing_cost_columns, short_account_ids, .. } = noted;
            for (kind, details) in [
                (kind::EXCLUSION, exclusions_not_applied),
                (kind::MISSING_COST, missing_cost_columns),
                (kind::SHORT_ID, short_account_ids),
            ] {
                notes.extend(
                    details.iter().map(|detail| Note { detail: Some(detail.clone()), ..of_period(kind, period) }),
                );
            }
        }
        for ((period, setting), values) in &self.excluded {
            let details = values.iter().map(|value| Some(CreditSettings::exclusion(setting, value)));
            notes.extend(details.map(|detail| Note { detail, ..of_period(kind::EXCLUDED, period) }));
        }
        for (period, payer, delivery) in &self.deliveries {
            let (payer, detail) = (Some(payer.clone()), Some(serde_json::to_string(delivery)?));
            notes.push(Note { payer, detail, ..of_period(kind::DELIVERY, period) });
        }
        for problem in &self.problems {
            let detail = Some(serde_json::to_string(problem)?);
            notes.push(Note { kind: kind::PROBLEM, detail, ..Note::default() });
        }
        let parts = self.parts.drain(..).map(Some);
        notes.extend(parts.map(|detail| Note { kind: kind::PART, detail, lines: 1, ..Note::default() }));
        notes.sort();
        Ok(notes)
    }
}
