//! First in, first out: lots draw on the spend of one billing period after the other.
//!
//! For each period, oldest first, the lots whose window meets it are taken in FIFO order, each once:
//!
//! 1. the lot draws `min(remaining, what is still undrawn of the cells it may draw on)`;
//! 2. if that does not cover those cells whole, it is spread over them in proportion to what is undrawn of each, in
//!    units of 1e-10 by largest remainder, ties by cell key;
//! 3. after all draws, a lot whose end lies in this period and before the as-of date books its rest as expired.
//!
//! | period | spend of Retail | A 100, issued 2026-01-31, no end | B 50, issued 2026-02-28, ends 2026-03-15 |
//! |---|---|---|---|
//! | 2026-01 | 60 | draws 60 | not issued |
//! | 2026-02 | 30 | draws 30 | open from 1 February, finds nothing undrawn |
//! | 2026-03 | 20 by the 15th, 20 after | draws its last 10: 5 and 5 | draws the 15 left by the 15th, 35 expire |

use std::collections::{BTreeMap, HashMap};

use chrono::NaiveDate;
use rayon::prelude::*;

use crate::spend::{self, Spend};
use crate::{BillingPeriod, Cell, Lot, Money, MoneyError, Node, Policy, spread};

/// The internal book: all lots in FIFO order and what each has used and lost so far.
#[derive(Debug, Clone)]
pub struct Ledger {
    policy: Policy,
    as_of: NaiveDate,
    accounts: Vec<LotAccount>,
    posted: Option<BillingPeriod>,
}

#[derive(Debug, Clone)]
struct LotAccount {
    lot: Lot,
    remaining: Money,
}

/// What one lot took of one cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draw {
    /// Position of the lot in [`Ledger::lots`].
    pub lot: usize,
    /// Position of the cell in the posted slice.
    pub cell: usize,
    /// Amount, above zero.
    pub used: Money,
    /// From 1: position, in FIFO order, among the lots that drew in this period.
    pub fifo_rank: u32,
}

/// One lot over one period: `opening + issued = used + expired + remaining`, all zero or more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Balance {
    /// Position of the lot in [`Ledger::lots`].
    pub lot: usize,
    /// Left at the end of the period before.
    pub opening: Money,
    /// The amount, in the issue period; else zero.
    pub issued: Money,
    /// Drawn in the period.
    pub used: Money,
    /// Lost in the period.
    pub expired: Money,
    /// Left at the end of the period.
    pub remaining: Money,
}

/// The result of one period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posting {
    /// The period.
    pub period: BillingPeriod,
    /// All draws, by lot in FIFO order, then by cell key.
    pub draws: Vec<Draw>,
    /// One entry per lot issued in or before the period, in FIFO order.
    pub balances: Vec<Balance>,
}

/// Why a period cannot be posted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// Periods come oldest first, each once and without gaps.
    #[error("billing period {period} cannot follow {posted}")]
    OutOfOrder {
        /// What was to be posted.
        period: BillingPeriod,
        /// What was posted last.
        posted: BillingPeriod,
    },
    /// A sum left the range of money.
    #[error("billing period {period}: {source}")]
    Money {
        /// The period.
        period: BillingPeriod,
        /// The reason.
        source: MoneyError,
    },
}

impl Ledger {
    /// Opens the book with lots in any order.
    #[must_use]
    pub fn open(policy: Policy, as_of: NaiveDate, mut lots: Vec<Lot>) -> Self {
        lots.sort_by(|left, right| left.fifo_key().cmp(&right.fifo_key()));
        let accounts = lots.into_iter().map(|lot| LotAccount { remaining: lot.amount, lot }).collect();
        Self { policy, as_of, accounts, posted: None }
    }

    /// The lots in FIFO order.
    pub fn lots(&self) -> impl ExactSizeIterator<Item = &Lot> {
        self.accounts.iter().map(|account| &account.lot)
    }

    /// The lot at a position that a [`Draw`] or [`Balance`] names.
    #[must_use]
    pub fn lot(&self, position: usize) -> Option<&Lot> {
        self.accounts.get(position).map(|account| &account.lot)
    }

    /// The policy in force.
    #[must_use]
    pub const fn policy(&self) -> Policy {
        self.policy
    }

    /// The lots that may draw in a period: by their nodes and currencies one knows which cells matter.
    pub fn open_lots(&self, period: BillingPeriod) -> impl Iterator<Item = (&str, &Node)> {
        let open = self.accounts.iter().filter(move |account| account.window(self.policy, period).is_some());
        open.map(|account| (account.lot.currency.as_str(), &account.lot.node))
    }

    /// The period of the earliest issue date: the first one that has balances.
    #[must_use]
    pub fn first_period(&self) -> Option<BillingPeriod> {
        self.accounts.iter().map(|account| account.lot.issue_period()).min()
    }

    /// Takes a book up where it stood after `posted`: `remaining` says what was left of the lots that had counted by
    /// then. False, and nothing changes, where it knows other lots than these.
    pub fn resume(&mut self, posted: BillingPeriod, remaining: &HashMap<(&str, i32), Money>) -> bool {
        let counted = |account: &LotAccount| account.lot.first_period(self.policy) <= posted;
        let left: Vec<Option<Money>> = self
            .accounts
            .iter()
            .map(|account| remaining.get(&(account.lot.credit_key.as_str(), account.lot.lot)).copied())
            .collect();
        let fits = self.accounts.iter().zip(&left).all(|(account, left)| counted(account) == left.is_some());
        if !fits || left.iter().flatten().count() != remaining.len() {
            return false;
        }
        for (account, left) in self.accounts.iter_mut().zip(left) {
            account.remaining = left.unwrap_or(account.remaining);
        }
        self.posted = Some(posted);
        true
    }

    /// Draws, expires and balances one period. `cells` is the whole spend of the period, in any order.
    ///
    /// # Errors
    /// [`LedgerError`]; the book is then of no further use.
    pub fn post(&mut self, period: BillingPeriod, cells: &[Cell]) -> Result<Posting, LedgerError> {
        if let Some(posted) = self.posted.filter(|posted| posted.next() != period) {
            return Err(LedgerError::OutOfOrder { period, posted });
        }
        self.posted = Some(period);
        self.post_period(period, cells).map_err(|source| LedgerError::Money { period, source })
    }

    fn post_period(&mut self, period: BillingPeriod, cells: &[Cell]) -> Result<Posting, MoneyError> {
        let mut posting = Posting { period, draws: Vec::new(), balances: Vec::new() };
        let mut fifo_rank: u32 = 0;
        let mut drawn = self.draw(period, cells)?;
        for (position, account) in self.accounts.iter_mut().enumerate() {
            let opening = account.remaining;
            let parts = drawn.remove(&position).unwrap_or_default();
            if !parts.is_empty() {
                fifo_rank = fifo_rank.saturating_add(1);
            }
            let used = Money::total(parts.iter().map(|(_, used)| *used))?;
            account.remaining = account.remaining.checked_sub(used)?;
            posting.draws.extend(parts.into_iter().map(|(cell, used)| Draw { lot: position, cell, used, fifo_rank }));
            let expired = account.expire(period, self.as_of);
            posting.balances.extend(account.balance(position, period, opening, used, expired));
        }
        Ok(posting)
    }

    /// What each lot draws on the period's spend. Lots of different business units or currencies never meet, so each
    /// pair of them is worked out on its own, side by side.
    fn draw(&self, period: BillingPeriod, cells: &[Cell]) -> Result<HashMap<usize, Drawn>, MoneyError> {
        let mut shares: BTreeMap<(&str, &str), (Spend<'_>, Vec<OpenLot<'_>>)> = BTreeMap::new();
        for (position, account) in self.accounts.iter().enumerate() {
            if let Some(window) = account.window(self.policy, period) {
                let share = (account.lot.currency.as_str(), account.lot.node.business_unit());
                let (_, lots) = shares.entry(share).or_default();
                lots.push(OpenLot { position, lot: &account.lot, remaining: account.remaining, window });
            }
        }
        for cell in spend::by_key(cells) {
            let Some(spent) = cells.get(cell).filter(|spent| spent.eligible.is_positive()) else { continue };
            if let Some((spend, _)) = shares.get_mut(&(spent.currency.as_str(), spent.key.node.business_unit())) {
                spend.add(cell, spent, period);
            }
        }
        let shares: Vec<_> = shares.into_values().collect();
        let drawn = shares.into_par_iter().map(|(mut spend, lots)| {
            let drawn = lots.into_iter().map(|lot| Ok((lot.position, lot.draw(&mut spend)?)));
            drawn.collect::<Result<Vec<_>, MoneyError>>()
        });
        let drawn: Vec<Vec<_>> = drawn.collect::<Result<_, _>>()?;
        Ok(drawn.into_iter().flatten().collect())
    }
}

/// Cells and what is drawn of each, by cell key.
type Drawn = Vec<(usize, Money)>;

/// A lot that may draw in a period.
struct OpenLot<'a> {
    position: usize,
    lot: &'a Lot,
    remaining: Money,
    window: (NaiveDate, NaiveDate),
}

impl<'a> OpenLot<'a> {
    fn draw(&self, spend: &mut Spend<'a>) -> Result<Drawn, MoneyError> {
        let open = spend.open_to(&self.lot.node, self.window);
        let undrawn = Money::total(open.iter().map(|cell| cell.undrawn))?;
        let draw = self.remaining.min(undrawn);
        if draw.is_zero() {
            return Ok(Vec::new());
        }
        if draw == undrawn {
            spend.close(&self.lot.node, self.window);
            return Ok(open.into_iter().map(|cell| (cell.cell, cell.undrawn)).collect());
        }
        let weights: Vec<u128> = open.iter().map(|cell| cell.undrawn.units().unsigned_abs()).collect();
        let parts = spread(draw.units().unsigned_abs(), &weights);
        let mut drawn = Vec::with_capacity(open.len());
        for (cell, part) in open.into_iter().zip(parts).filter(|(_, part)| *part > 0) {
            let part = i128::try_from(part).map_err(|_wide| MoneyError::Overflow).and_then(Money::from_units)?;
            spend.take(&cell, part)?;
            drawn.push((cell.cell, part));
        }
        Ok(drawn)
    }
}

impl LotAccount {
    /// The days of `period` on which the lot may draw; `None` where it may not, or nothing is left.
    fn window(&self, policy: Policy, period: BillingPeriod) -> Option<(NaiveDate, NaiveDate)> {
        self.lot.window_in(policy, period).filter(|_| self.remaining.is_positive())
    }

    /// Books what is left as lost if the end lies in `period` and before `as_of`.
    fn expire(&mut self, period: BillingPeriod, as_of: NaiveDate) -> Money {
        let ended = self.lot.end_date.is_some_and(|end| period.contains(end) && end < as_of);
        if ended { std::mem::take(&mut self.remaining) } else { Money::ZERO }
    }

    fn balance(
        &self,
        lot: usize,
        period: BillingPeriod,
        before: Money,
        used: Money,
        expired: Money,
    ) -> Option<Balance> {
        let issued_in = self.lot.issue_period();
        let (opening, issued) = if issued_in == period { (Money::ZERO, before) } else { (before, Money::ZERO) };
        let balance = Balance { lot, opening, issued, used, expired, remaining: self.remaining };
        (issued_in <= period).then_some(balance)
    }
}
