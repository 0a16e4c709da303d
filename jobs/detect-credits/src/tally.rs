//! What is counted and summed beside the lines of a billing period, straight from the files.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::RecordBatch;
use credit_ledger::Money;
use datafusion::common::{DataFusionError, Result, exec_err};
use schemas::PeriodNotes;
use schemas::reference::Problem;

use crate::deliveries::Delivery;
use crate::scan_rows::{RowColumns, kind, text_of};

/// What is counted and summed beside the lines of a billing period, straight from the files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Tally {
    /// By file: the first place that is wrong. Of no period.
    pub(crate) problems: BTreeMap<String, Problem>,
    /// By currency: lines, and the sum of the unblended cost.
    pub(crate) totals: BTreeMap<String, (u64, Money)>,
    /// Lines without a cost.
    pub(crate) blank_costs: u64,
    /// Lines of types that are not known.
    pub(crate) unknown_line_types: BTreeMap<String, u64>,
    /// By currency: lines by the invoice that they are on, where they say.
    pub(crate) invoices: BTreeMap<String, BTreeMap<String, u64>>,
    /// What people should know.
    pub(crate) notes: PeriodNotes,
    /// By payer: what delivered lines of it.
    pub(crate) deliveries: BTreeMap<String, BTreeSet<Delivery>>,
}

impl Tally {
    /// Lines that were read.
    pub(crate) fn lines(&self) -> u64 {
        self.totals.values().map(|(lines, _)| lines).sum()
    }

    /// Adds the notes of a period, or the problems.
    pub(crate) fn add(&mut self, rows: &RecordBatch) -> Result<()> {
        let columns = RowColumns::new(rows)?;
        for row in 0..rows.num_rows() {
            self.add_note(&columns, row)?;
        }
        Ok(())
    }

    fn add_note(&mut self, columns: &RowColumns<'_>, row: usize) -> Result<()> {
        let owned = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let (detail, currency) = (owned(text_of(columns.detail, row)), owned(text_of(columns.currency, row)));
        let lines = columns.lines(row);
        match columns.kind(row) {
            kind::PROBLEM => self.add_problem(from_json(&detail)?),
            kind::TOTAL => {
                let amount = Money::from_units(columns.unblended_charges.value(row));
                let amount = amount.map_err(|error| DataFusionError::External(error.into()))?;
                self.totals.insert(currency, (lines, amount));
            }
            kind::NO_COST => self.blank_costs = lines,
            kind::LINE_TYPE => {
                self.unknown_line_types.insert(detail, lines);
            }
            kind::INVOICE => {
                self.invoices.entry(currency).or_default().insert(detail, lines);
            }
            kind::DELIVERY => {
                let payer = owned(text_of(columns.payer, row));
                self.deliveries.entry(payer).or_default().insert(from_json(&detail)?);
            }
            kind::EXCLUSION => {
                self.notes.exclusions_not_applied.insert(detail);
            }
            kind::MISSING_COST => {
                self.notes.missing_cost_columns.insert(detail);
            }
            kind::SHORT_ID => self.notes.note_short_id(&detail),
            other => return exec_err!("the scan hands on rows of an unknown kind, {other}"),
        }
        Ok(())
    }

    /// Of several places of a file the first counts, so that it does not matter how the file is cut into parts.
    fn add_problem(&mut self, problem: Problem) {
        let known = self.problems.get(&problem.file);
        if known.is_none_or(|known| problem.row < known.row) {
            self.problems.insert(problem.file.clone(), problem);
        }
    }
}

fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| DataFusionError::External(error.into()))
}
