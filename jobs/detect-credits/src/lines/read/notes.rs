//! What is noted beside the sums, for the summary; and lines that cannot be read for want of a column.

use credit_ledger::{BillingPeriod, Quoted};
use cur_reader::{ReadError, TextColumn, account_id};
use schemas::excerpt;

use super::super::classify::{Kind, LineFlags};
use super::super::columns::{Named, Payer};
use super::super::state::LineState;
use super::{Batch, PartReader};
use crate::columns::Unapplied;

impl PartReader<'_> {
    /// Notes what a line says about the delivery, and, of the first line of a period, what all of the file share.
    pub(super) fn note_delivery(
        &mut self,
        batch: &Batch,
        index: usize,
        (period, wanted): (BillingPeriod, usize),
        (payer, account): (Payer, Named),
        state: &mut LineState,
    ) {
        let columns = &batch.columns;
        if let Some(noted) = self.noted.get_mut(wanted).filter(|noted| !**noted) {
            *noted = true;
            let notes = state.notes.entry(period).or_default();
            notes.exclusions_not_applied.extend(self.layout.exclusions.lines.iter().map(Unapplied::named));
            notes.missing_cost_columns.extend(self.layout.costs.absent.iter().map(|column| (*column).to_owned()));
        }
        if self.delivered != Some((wanted, payer.name)) {
            self.delivered = Some((wanted, payer.name));
            let id = columns.payer.get(index).and_then(account_id).unwrap_or_default();
            state.delivered(period, (payer.name, id), self.delivery);
        }
        for (account, column) in [(payer.as_account, &columns.payer), (account, &columns.account)] {
            if let Some(id) = column.get(index).filter(|_| account.is_short) {
                state.notes.entry(period).or_default().note_short_id(id.trim());
            }
        }
    }

    /// Notes the exclusions that cannot be applied to a fee; one that somebody set is an error.
    pub(super) fn note_fees(
        &self,
        batch: &Batch,
        index: usize,
        (period, kind): (BillingPeriod, Kind),
        state: &mut LineState,
    ) -> Result<(), ReadError> {
        if !matches!(kind, Kind::Fee | Kind::Purchase) {
            return Ok(());
        }
        for unapplied in &self.layout.exclusions.fees {
            if unapplied.is_set {
                return Err(self.problem(batch.row(index), usize::MAX, unapplied.refusal()));
            }
            state.notes.entry(period).or_default().exclusions_not_applied.insert(unapplied.named());
        }
        Ok(())
    }

    /// Refuses a line whose kind needs a column that the file does not have. A fee or a refund of a known commitment needs no
    /// other column to say whose it is.
    pub(super) fn check_columns(
        &self,
        batch: &Batch,
        index: usize,
        kind: Kind,
        flags: LineFlags,
    ) -> Result<(), ReadError> {
        let is_known = flags.reservation || flags.savings_plan || flags.commitment;
        if is_known && matches!(kind, Kind::Fee | Kind::Refund) {
            return Ok(());
        }
        let Some(column) = self.layout.costs.missing_of(kind.needs()) else { return Ok(()) };
        let line_type = batch.columns.line_type.get(index).unwrap_or_default();
        let message = format!(
            "{line_type}: the amortized cost of such a line depends on the column {column}, which is not there; add it to the \
             export, or set another [source] cost"
        );
        Err(self.problem(batch.row(index), self.layout.line_type, message))
    }

    pub(super) fn no_account(&self, batch: &Batch, index: usize, at: usize, column: &TextColumn) -> ReadError {
        let text = excerpt(column.get(index).unwrap_or_default());
        let message = "is a number with a fraction, not an account id of 12 digits; deliver ids as text";
        self.problem(batch.row(index), at, format!("{} {message}", Quoted(&text)))
    }
}
