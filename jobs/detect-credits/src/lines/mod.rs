//! Lines: every format in one shape, each line in exactly one measure, summed as they are read.

mod candidates;
mod classify;
mod columns;
mod partial_sums;
mod read;
mod runs;
mod state;

use credit_ledger::{Money, MoneyError};

pub(crate) use read::PartReader;
pub(crate) use read::{LineReader, LineSettings};
pub(crate) use state::LineState;

use crate::scan_rows::MEASURES;

/// The measures of lines; of one line exactly one of `charges`, `tax`, `refunds`, `aws_credits` is its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Measures {
    pub(crate) charges: Money,
    pub(crate) tax: Money,
    pub(crate) refunds: Money,
    pub(crate) aws_credits: Money,
    pub(crate) eligible_charges: Money,
    pub(crate) unblended_charges: Money,
}

impl Measures {
    /// In order of [`MEASURES`].
    pub(crate) const fn in_order(&self) -> [Money; MEASURES.len()] {
        [self.charges, self.tax, self.refunds, self.aws_credits, self.eligible_charges, self.unblended_charges]
    }

    /// Adds measure by measure.
    #[inline]
    pub(crate) fn add(&mut self, line: &Self) -> Result<(), MoneyError> {
        for (sum, amount) in [
            (&mut self.charges, line.charges),
            (&mut self.tax, line.tax),
            (&mut self.refunds, line.refunds),
            (&mut self.aws_credits, line.aws_credits),
            (&mut self.eligible_charges, line.eligible_charges),
            (&mut self.unblended_charges, line.unblended_charges),
        ] {
            if !amount.is_zero() {
                *sum = sum.checked_add(amount)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
