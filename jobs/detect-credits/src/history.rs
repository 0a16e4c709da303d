//! What the credit lines of all billing periods say, credit by credit.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use credit_ledger::{BillingPeriod, Money, MoneyError, Text};
use hashbrown::HashMap;
use schemas::tables::CreditLine;

use crate::error::DetectError;

/// What the credit lines of all billing periods say. Lines of periods after the last one count as seen only.
#[derive(Debug)]
pub struct CreditHistory {
    last: BillingPeriod,
    /// By key. Keys have long beginnings in common, so they are hashed, not compared.
    credits: HashMap<Text, History>,
}

/// What all lines of one credit say.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// None where all lines come after the last period.
    pub(crate) first: Option<FirstLine>,
    pub(crate) last_cur_date: Option<NaiveDate>,
    /// More than one is an error.
    pub(crate) currencies: BTreeSet<Text>,
    pub(crate) applied: BTreeMap<BillingPeriod, Money>,
}

/// The earliest line of a credit: by usage date, billing period, payer, account and description.
#[derive(Debug)]
pub(crate) struct FirstLine {
    period: BillingPeriod,
    pub(crate) line: CreditLine,
}

impl CreditHistory {
    /// No lines yet; those of periods after `last` will count as seen only.
    #[must_use]
    pub fn until(last: BillingPeriod) -> Self {
        Self { last, credits: HashMap::new() }
    }

    /// Adds lines of a period, in any order of periods. Of lines that are equally early, the one added before counts.
    ///
    /// # Errors
    /// [`DetectError::Money`] where a sum leaves the range of money.
    pub fn add(&mut self, period: BillingPeriod, lines: Vec<CreditLine>) -> Result<(), DetectError> {
        let counts = period <= self.last;
        for line in lines {
            let credit = self.credits.entry_ref(line.credit_key.as_str()).or_default();
            if counts {
                credit.add(period, line)?;
            }
        }
        Ok(())
    }

    /// All credits, in order of the key.
    pub(crate) fn into_credits(self) -> Vec<(Text, History)> {
        let mut credits: Vec<_> = self.credits.into_iter().collect();
        credits.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
        credits
    }
}

impl History {
    fn add(&mut self, period: BillingPeriod, line: CreditLine) -> Result<(), DetectError> {
        let applied = self.applied.entry(period).or_default();
        let sum = applied.checked_sub(line.amount);
        *applied = sum.map_err(|source| money_error(&line.credit_key, source))?;
        self.last_cur_date = self.last_cur_date.max(Some(line.usage_date));
        if !self.currencies.contains(&line.currency) {
            self.currencies.insert(line.currency.clone());
        }
        let line = FirstLine { period, line };
        if self.first.as_ref().is_none_or(|first| line.place() < first.place()) {
            self.first = Some(line);
        }
        Ok(())
    }
}

impl FirstLine {
    fn place(&self) -> impl Ord + '_ {
        let Self { period, line } = self;
        (line.usage_date, *period, &line.payer_account_id, &line.account_id, &line.description)
    }
}

pub(crate) fn money_error(key: &str, source: MoneyError) -> DetectError {
    DetectError::Money { credit_key: key.to_owned(), source }
}
