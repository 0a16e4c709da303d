//! **apply-fifo**: lots + cells -> consumption and balances, period by period.
//!
//! * reads, from this run: `lots`, `cells`, `applied_by_aws`
//! * writes, for this run: `credit_consumption` (grain lot, cell) and `credit_balances` (grain lot, month)
//! * invariants, checked on every posting: lots balance, no cell is overdrawn, nothing is drawn outside window, node
//!   or currency, and no lot draws while an earlier one that may draw on the cell has something left
//! * a re-run finds the same: lots and cells are sorted by total orders
//!
//! The fold itself is [`credit_ledger::Ledger`]; this crate turns tables into lots and cells and postings into tables.

mod spend;

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::NaiveDate;
use credit_ledger::{
    BillingPeriod, Breach, Cell, Ledger, LedgerError, Lot, Money, MoneyError, NodeError, Policy, Posting, Text,
    check_posting,
};
use schemas::NodeColumns;
use schemas::tables::{AppliedByAws, CreditBalance, CreditConsumption, LotRow};

pub use spend::SpendReader;

/// Why credits cannot be applied.
#[derive(Debug, thiserror::Error)]
pub enum FifoError {
    /// The ledger refused.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A batch of cells lacks a column, or has it in another type.
    #[error("cells without a proper column {0}")]
    Column(&'static str),
    /// A sum left the range of money.
    #[error(transparent)]
    Money(#[from] MoneyError),
    /// A row's columns are no node.
    #[error("{row}: {source}")]
    Node {
        /// Which row.
        row: String,
        /// Why.
        source: NodeError,
    },
    /// Invariants do not hold: a fault of the program.
    #[error("an invariant does not hold:\n{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Breach(Vec<Breach>),
}

/// The internal book over the periods of one run.
#[derive(Debug)]
pub struct CreditBook {
    ledger: Ledger,
    /// Of credits that have lots.
    aws_applied: BTreeMap<(BillingPeriod, Text), Money>,
}

/// The tables of one period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppliedPeriod {
    /// In order of the table's grain.
    pub consumption: Vec<CreditConsumption>,
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

    /// Applies the credits to one period's spend, as [`SpendReader`] collects it. Periods come oldest first, without gaps.
    ///
    /// # Errors
    /// [`FifoError`]
    pub fn apply(&mut self, period: BillingPeriod, cells: &[Cell]) -> Result<AppliedPeriod, FifoError> {
        let posting = self.ledger.post(period, cells)?;
        let breaches = check_posting(&self.ledger, cells, &posting)?;
        if !breaches.is_empty() {
            return Err(FifoError::Breach(breaches));
        }
        Ok(AppliedPeriod { consumption: self.consumption(cells, &posting), balances: self.balances(&posting) })
    }

    fn consumption(&self, cells: &[Cell], posting: &Posting) -> Vec<CreditConsumption> {
        let rows = posting.draws.iter().filter_map(|draw| {
            let (lot, cell) = (self.ledger.lot(draw.lot)?, cells.get(draw.cell)?);
            let [business_unit, department, portfolio, product] = cell.key.node.levels();
            let [credit_business_unit, credit_department, credit_portfolio, credit_product] = lot.node.levels();
            Some(CreditConsumption {
                credit_key: lot.credit_key.clone(),
                lot: lot.lot,
                credit_business_unit,
                credit_department,
                credit_portfolio,
                credit_product,
                usage_date: cell.key.usage_date,
                payer_account_id: cell.key.payer_account_id.clone(),
                account_id: cell.key.account_id.clone(),
                service: cell.key.service.clone(),
                currency: cell.currency.clone(),
                business_unit,
                department,
                portfolio,
                product,
                used: draw.used,
                fifo_rank: i32::try_from(draw.fifo_rank).unwrap_or(i32::MAX),
                policy: Text::new_static(self.ledger.policy().name()),
            })
        });
        let mut rows: Vec<CreditConsumption> = rows.collect();
        rows.sort_by(|left, right| consumption_grain(left).cmp(&consumption_grain(right)));
        rows
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

fn consumption_grain(row: &CreditConsumption) -> impl Ord + '_ {
    let place = (&row.payer_account_id, &row.account_id, &row.service, &row.currency);
    let node = (&row.business_unit, &row.department, &row.portfolio, &row.product);
    (&row.credit_key, row.lot, row.usage_date, place, node)
}

fn ledger_lot(row: &LotRow) -> Result<Lot, FifoError> {
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
    })
}
