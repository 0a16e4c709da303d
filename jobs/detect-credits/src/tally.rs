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
    /// How often each part was read to its end. Of no period.
    pub(crate) parts: BTreeMap<String, u64>,
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
    /// Exclusions that somebody set and lines met.
    pub(crate) excluded: BTreeSet<String>,
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
            kind::PART => {
                *self.parts.entry(detail).or_default() += lines;
            }
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
            kind::EXCLUDED => {
                self.excluded.insert(detail);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan_rows::{Note, notes_batch};

    fn problem(file: &str, row: Option<u64>, message: &str) -> Note {
        let problem = Problem { file: file.to_owned(), row, column: None, message: message.to_owned() };
        Note { kind: kind::PROBLEM, detail: Some(serde_json::to_string(&problem).unwrap()), ..Note::default() }
    }

    fn tally(notes: &[Note]) -> Tally {
        let mut tally = Tally::default();
        // Whatever batches they come in.
        for batch in notes.chunks(2) {
            tally.add(&notes_batch(batch).unwrap()).unwrap();
        }
        tally
    }

    #[test]
    fn of_several_problems_of_a_file_the_first_place_counts_in_whatever_order_they_come() {
        let mut notes = [
            problem("a.csv", Some(9), "nine"),
            problem("a.csv", Some(4), "four"),
            problem("b.parquet", None, "the whole file"),
            problem("b.parquet", Some(1), "one"),
        ];
        for _ in 0..2 {
            let told: Vec<String> = tally(&notes).problems.values().map(ToString::to_string).collect();
            assert_eq!(told, ["a.csv, row 4: four", "b.parquet: the whole file"]);
            notes.reverse();
        }
    }

    #[test]
    fn notes_of_a_period_come_to_what_people_are_told_of_it() {
        let note = |kind, currency: &str, detail: &str, lines| {
            let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            Note { kind, currency: some(currency), detail: some(detail), lines, ..Note::default() }
        };
        let tally = tally(&[
            Note { amount: "12.5".parse().unwrap(), ..note(kind::TOTAL, "USD", "", 4) },
            Note { amount: "-1".parse().unwrap(), ..note(kind::TOTAL, "EUR", "", 2) },
            note(kind::NO_COST, "", "", 3),
            note(kind::LINE_TYPE, "", "Mystery", 2),
            note(kind::INVOICE, "USD", "INV-1", 3),
            note(kind::INVOICE, "USD", "INV-2", 1),
            note(kind::EXCLUSION, "", "ineligible_services (no column ServiceName)", 0),
            note(kind::MISSING_COST, "", "reservation_effective_cost", 0),
            note(kind::SHORT_ID, "", "77", 0),
        ]);
        assert_eq!(tally.lines(), 6);
        let totals: Vec<_> =
            tally.totals.iter().map(|(currency, (lines, sum))| format!("{currency} {lines} {sum}")).collect();
        assert_eq!(totals, ["EUR 2 -1.0000000000", "USD 4 12.5000000000"]);
        assert_eq!((tally.blank_costs, tally.unknown_line_types["Mystery"]), (3, 2));
        assert_eq!(tally.invoices["USD"], BTreeMap::from([("INV-1".to_owned(), 3), ("INV-2".to_owned(), 1)]));
        let notes = tally.notes;
        assert!(notes.exclusions_not_applied.contains("ineligible_services (no column ServiceName)"));
        assert!(notes.missing_cost_columns.contains("reservation_effective_cost"));
        assert!(notes.short_account_ids.contains("77"));
    }

    #[test]
    fn sums_among_the_notes_are_an_error() {
        let rows = notes_batch(&[Note { kind: kind::COST, ..Note::default() }]).unwrap();
        let failure = Tally::default().add(&rows).unwrap_err().strip_backtrace();
        assert_eq!(failure, "Execution error: the scan hands on rows of an unknown kind, cost");
    }
}
