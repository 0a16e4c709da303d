//! What one partition of a scan carries from line to line.

use std::collections::BTreeMap;

use credit_ledger::{BillingPeriod, Money, MoneyError};

use super::Tally;
use super::cells::Cells;
use super::read::LineReader;
use crate::names::{NO_NAME, Names};
use crate::rules::RuleFinder;

/// Sums, counts, and what was worked out for earlier lines.
pub(crate) struct LineState {
    pub(crate) cells: Cells,
    /// Lines and unblended cost, by period and number of the currency.
    pub(super) totals: Vec<((BillingPeriod, u32), (u64, Money))>,
    pub(super) currencies: BTreeMap<u32, String>,
    pub(super) blank_costs: BTreeMap<BillingPeriod, u64>,
    pub(super) unknown_line_types: BTreeMap<BillingPeriod, BTreeMap<String, u64>>,
    pub(super) finder: RuleFinder,
    /// Period and claims of the line before, and its rule.
    pub(super) line: Vec<u32>,
    pub(super) line_before: Vec<u32>,
    pub(super) rule_before: u32,
    /// Numbers of the rules' ids, by position.
    pub(super) rule_names: Vec<u32>,
}

impl LineState {
    pub(crate) fn new(reader: &LineReader, names: &Names) -> Self {
        let rule_names = (0..).map_while(|rule| reader.rules.rule_id(rule)).map(|id| names.number(id)).collect();
        Self {
            cells: Cells::default(),
            totals: Vec::new(),
            currencies: BTreeMap::new(),
            blank_costs: BTreeMap::new(),
            unknown_line_types: BTreeMap::new(),
            finder: RuleFinder::default(),
            line: Vec::new(),
            line_before: Vec::new(),
            rule_before: NO_NAME,
            rule_names,
        }
    }

    pub(super) fn count(
        &mut self,
        period: BillingPeriod,
        currency: u32,
        (count, amount): (u64, Money),
    ) -> Result<(), MoneyError> {
        let key = (period, currency);
        let known = self.totals.iter().position(|(known, _)| *known == key);
        let at = known.unwrap_or_else(|| {
            self.totals.push((key, (0, Money::ZERO)));
            self.totals.len() - 1
        });
        if let Some((_, (lines, sum))) = self.totals.get_mut(at) {
            *lines += count;
            *sum = sum.checked_add(amount)?;
        }
        Ok(())
    }

    /// What was counted beside the cells.
    pub(crate) fn take_tally(&mut self) -> Tally {
        let totals = std::mem::take(&mut self.totals).into_iter().map(|((period, currency), counted)| {
            ((period, self.currencies.get(&currency).cloned().unwrap_or_default()), counted)
        });
        Tally {
            totals: totals.collect(),
            blank_costs: std::mem::take(&mut self.blank_costs),
            unknown_line_types: std::mem::take(&mut self.unknown_line_types),
        }
    }
}
