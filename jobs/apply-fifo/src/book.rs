//! The internal book: lots draw on spend, month by month.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use chrono::NaiveDate;
use credit_ledger::{BillingPeriod, Continues, Ledger, Lot, Money, Policy, Posting, PostingCheck, Text};
use schemas::NodeColumns;
use schemas::tables::{AppliedByAws, CreditBalance, LotRow};

use crate::consumption::{Consumption, drew};
use crate::draws::{DRAWS_IN_MEMORY, DrawFile};
use crate::error::FifoError;
use crate::spend::{PeriodSpend, SpendReader};

/// The internal book over the periods of one run.
#[derive(Debug)]
pub struct CreditBook {
    ledger: Ledger,
    /// Of credits that have lots.
    aws_applied: BTreeMap<(BillingPeriod, Text), Money>,
}

/// The tables of one period.
#[derive(Debug)]
pub struct AppliedPeriod {
    /// In order of the table's grain.
    pub consumption: Consumption,
    /// In order of the table's grain.
    pub balances: Vec<CreditBalance>,
}

impl CreditBook {
    /// Opens the book. What AWS applied of credits without lots is not in it.
    ///
    /// # Errors
    /// [`FifoError::Node`] for a lot without a node.
    pub fn open(
        policy: Policy,
        as_of: NaiveDate,
        lots: &[LotRow],
        applied: &[AppliedByAws],
    ) -> Result<Self, FifoError> {
        let allocated: HashSet<&str> = lots.iter().map(|lot| lot.credit_key.as_str()).collect();
        let applied = applied.iter().filter(|row| allocated.contains(row.credit_key.as_str()));
        let aws_applied = applied.map(|row| ((row.billing_period, row.credit_key.clone()), row.aws_applied)).collect();
        let lots = lots.iter().map(ledger_lot).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { ledger: Ledger::open(policy, as_of, lots), aws_applied })
    }

    /// The first period that has balances.
    #[must_use]
    pub fn first_period(&self) -> Option<BillingPeriod> {
        self.ledger.first_period()
    }

    /// The lots in FIFO order.
    pub fn lots(&self) -> impl ExactSizeIterator<Item = &Lot> {
        self.ledger.lots()
    }

    /// What AWS applied in `period` of credits that have lots, by credit.
    pub fn aws_applied(&self, period: BillingPeriod) -> impl Iterator<Item = (&str, Money)> {
        let of_period =
            self.aws_applied.range((period, Text::default())..).take_while(move |((of, _), _)| *of == period);
        of_period.map(|((_, credit_key), amount)| (credit_key.as_str(), *amount))
    }

    /// Takes the book up where it stood after `posted`, by the balances of that period. False, and nothing changes,
    /// where they are of other lots.
    pub fn resume(&mut self, posted: BillingPeriod, balances: &[CreditBalance]) -> bool {
        let remaining: HashMap<(&str, i32), Money> =
            balances.iter().map(|row| ((row.credit_key.as_str(), row.lot), row.remaining)).collect();
        self.ledger.resume(posted, &remaining)
    }

    /// A reader of the cells that the lots may draw on in `period`.
    #[must_use]
    pub fn spend_reader(&self, period: BillingPeriod) -> SpendReader {
        let lots = self.ledger.open_lots(period).map(|(currency, node)| (currency.into(), node.clone()));
        SpendReader::new(period, lots.collect())
    }

    /// Applies the credits to one period's spend. Periods come oldest first, without gaps.
    ///
    /// # Errors
    /// [`FifoError`]
    pub fn apply(&mut self, spend: PeriodSpend) -> Result<AppliedPeriod, FifoError> {
        let draws = Mutex::new(DrawFile::new(self.ledger.lots().len(), DRAWS_IN_MEMORY));
        let posting = self.ledger.post(&spend.spend, |lot, of_lot| {
            let mut draws = draws.lock().unwrap_or_else(PoisonError::into_inner);
            draws.write(lot, of_lot).map_err(FifoError::TemporaryFile)
        })?;
        let mut draws = draws.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.check(&spend, &posting, &mut draws)?;
        let balances = self.balances(&posting);
        Ok(AppliedPeriod { consumption: Consumption::new(&self.ledger, &posting, spend, draws), balances })
    }

    /// Checks what was drawn as the table will have it.
    fn check(&self, spend: &PeriodSpend, posting: &Posting, draws: &mut DrawFile) -> Result<(), FifoError> {
        let mut check = PostingCheck::new(&self.ledger, &spend.spend, posting, |cell| spend.cell_name(cell));
        for lot in (0..posting.fifo_ranks.len()).filter(|lot| drew(posting, *lot)) {
            check.add(lot, &draws.read(lot).map_err(FifoError::TemporaryFile)?)?;
        }
        let breaches = check.finish()?;
        if breaches.is_empty() { Ok(()) } else { Err(FifoError::Breach(breaches)) }
    }

    fn balances(&self, posting: &Posting) -> Vec<CreditBalance> {
        let rows = posting.balances.iter().filter_map(|balance| {
            let lot = self.ledger.lot(balance.lot)?;
            let [business_unit, department, portfolio, product] = lot.node.levels();
            let applied = self.aws_applied.get(&(posting.period, lot.credit_key.clone())).filter(|_| lot.lot == 1);
            Some(CreditBalance {
                credit_key: lot.credit_key.clone(),
                lot: lot.lot,
                promotion_code: lot.promotion_code.clone(),
                account_id: lot.account_id.clone(),
                currency: lot.currency.clone(),
                business_unit,
                department,
                portfolio,
                product,
                issue_date: lot.issue_date,
                end_date: lot.end_date,
                opening: balance.opening,
                issued: balance.issued,
                moved: balance.moved,
                used: balance.used,
                expired: balance.expired,
                remaining: balance.remaining,
                aws_applied: applied.copied().unwrap_or_default(),
            })
        });
        let mut rows: Vec<CreditBalance> = rows.collect();
        rows.sort_by(|left, right| (&left.credit_key, left.lot).cmp(&(&right.credit_key, right.lot)));
        rows
    }
}

/// A lot as the ledger takes it.
pub(crate) fn ledger_lot(row: &LotRow) -> Result<Lot, FifoError> {
    let named = |source| FifoError::Node { row: format!("credit {} lot {}", row.credit_key, row.lot), source };
    Ok(Lot {
        node: row.node().map_err(named)?,
        credit_key: row.credit_key.clone(),
        lot: row.lot,
        promotion_code: row.promotion_code.clone(),
        account_id: row.account_id.clone(),
        currency: row.currency.clone(),
        amount: row.amount,
        issue_date: row.issue_date,
        first_cur_date: row.first_cur_date,
        end_date: row.end_date,
        continues: row.continues_lot.zip(row.from_period).map(|(lot, from_period)| Continues { lot, from_period }),
    })
}

#[cfg(test)]
mod tests;
