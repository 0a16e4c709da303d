//! What one partition of a scan carries from line to line.

use std::collections::{BTreeMap, BTreeSet};

use credit_ledger::{BillingPeriod, Money, MoneyError};
use hashbrown::{HashMap, HashSet};
use schemas::PeriodNotes;

use super::Tally;
use super::partial_sums::PartialSums;
use crate::interner::{NO_NAME, StringInterner};
use crate::rules::{DIMENSIONS, RuleFinder, RuleMatcher};

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
    /// Period, number of the payer, and place of the delivery, as they were met.
    met: HashSet<(BillingPeriod, u32, usize)>,
    deliveries: BTreeMap<(BillingPeriod, String), BTreeSet<usize>>,
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
            met: HashSet::new(),
            deliveries: BTreeMap::new(),
            finder: RuleFinder::new(rules),
            line_before: None,
            rule_before: NO_NAME,
            rule_names,
        }
    }

    /// The number of the first rule's id; `NO_NAME` where no rule takes the line.
    pub(super) fn rule(&mut self, rules: &RuleMatcher, period: BillingPeriod, candidates: [u32; DIMENSIONS]) -> u32 {
        let line = Some((period, candidates));
        if line != self.line_before {
            let found = self.finder.first_match(rules, period, candidates);
            let name = found.and_then(|rule| self.rule_names.get(rule as usize)).copied();
            self.rule_before = name.unwrap_or(NO_NAME);
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

    /// Notes that a delivery has lines of a payer.
    pub(super) fn delivered(&mut self, period: BillingPeriod, (payer, id): (u32, &str), delivery: usize) {
        if self.met.insert((period, payer, delivery)) {
            self.deliveries.entry((period, id.to_owned())).or_default().insert(delivery);
        }
    }

    /// What was counted beside the cells.
    pub(crate) fn take_tally(&mut self) -> Tally {
        self.add_invoiced();
        let totals = std::mem::take(&mut self.totals).into_iter().map(|((period, currency), counted)| {
            ((period, self.currencies.get(&currency).cloned().unwrap_or_default()), counted)
        });
        let mut invoices: BTreeMap<_, BTreeMap<String, u64>> = BTreeMap::new();
        for ((period, currency, invoice), lines) in std::mem::take(&mut self.invoices) {
            let text = |names: &BTreeMap<u32, String>, number| names.get(number).cloned().unwrap_or_default();
            let of_currency = invoices.entry((period, text(&self.currencies, &currency))).or_default();
            of_currency.insert(text(&self.invoice_ids, &invoice), lines);
        }
        Tally {
            totals: totals.collect(),
            blank_costs: std::mem::take(&mut self.blank_costs),
            unknown_line_types: std::mem::take(&mut self.unknown_line_types),
            invoices,
            notes: std::mem::take(&mut self.notes),
            deliveries: std::mem::take(&mut self.deliveries),
        }
    }
}
