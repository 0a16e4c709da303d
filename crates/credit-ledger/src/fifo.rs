//! First in, first out: lots draw on the spend of one billing period after the other.
//!
//! For each period, oldest first, the lots whose window meets it are taken in FIFO order, each once:
//!
//! 1. the lot draws `min(remaining, what is still undrawn of the cells it may draw on)`;
//! 2. if that does not cover those cells whole, it is spread over them in proportion to what is undrawn of each, in
//!    units of 1e-10 by largest remainder, ties by cell key;
//! 3. after all draws, a lot whose end lies in this period and before the as-of date books its rest as expired.
//!
//! Before the first draw of a period, what is left of a lot that goes on elsewhere from this period moves to the lot that
//! continues it; that one keeps its place in the order.
//!
//! | period | spend of Retail | A 100, issued 2026-01-31, no end | B 50, issued 2026-02-28, ends 2026-03-15 |
//! |---|---|---|---|
//! | 2026-01 | 60 | draws 60 | not issued |
//! | 2026-02 | 30 | draws 30 | open from 1 February, finds nothing undrawn |
//! | 2026-03 | 20 by the 15th, 20 after | draws its last 10: 5 and 5 | draws the 15 left by the 15th, 35 expire |

use std::collections::{BTreeMap, HashMap};

use chrono::NaiveDate;
use rayon::prelude::*;

use crate::spend::{Draw, Undrawn};
use crate::{BillingPeriod, Lot, Money, MoneyError, Node, Policy, Spend};

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
    /// Position of the lot it continues.
    continues: Option<usize>,
}

/// One lot over one period: `opening + issued + moved = used + expired + remaining`, all but `moved` zero or more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Balance {
    /// Position of the lot in [`Ledger::lots`].
    pub lot: usize,
    /// Left at the end of the period before.
    pub opening: Money,
    /// The amount, in the issue period; else zero.
    pub issued: Money,
    /// What came from the lot that it continues; negative: what went to the lot that continues it. Zero over a credit.
    pub moved: Money,
    /// Drawn in the period.
    pub used: Money,
    /// Lost in the period.
    pub expired: Money,
    /// Left at the end of the period.
    pub remaining: Money,
}

/// The result of one period, beside the draws.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posting {
    /// The period.
    pub period: BillingPeriod,
    /// One entry per lot that was placed in or before the period, in FIFO order.
    pub balances: Vec<Balance>,
    /// By lot: from 1, its position, in FIFO order, among the lots that drew in this period; 0 where it did not draw.
    pub fifo_ranks: Vec<u32>,
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
    /// Opens the book with lots in any order. A lot that continues one that is not there gets nothing.
    #[must_use]
    pub fn open(policy: Policy, as_of: NaiveDate, lots: Vec<Lot>) -> Self {
        let (lots, continued) = in_order(lots);
        let accounts = lots.into_iter().zip(continued);
        let accounts = accounts.map(|(lot, continues)| LotAccount { remaining: lot.amount, lot, continues });
        Self { policy, as_of, accounts: accounts.collect(), posted: None }
    }

    /// The lots in FIFO order. One that continues another comes right after it.
    pub fn lots(&self) -> impl ExactSizeIterator<Item = &Lot> {
        self.accounts.iter().map(|account| &account.lot)
    }

    /// The lot at a position that a [`Balance`] or a sink of draws is told.
    #[must_use]
    pub fn lot(&self, position: usize) -> Option<&Lot> {
        self.accounts.get(position).map(|account| &account.lot)
    }

    /// The policy in force.
    #[must_use]
    pub const fn policy(&self) -> Policy {
        self.policy
    }

    /// The lots that may draw in a period, those that come in it too: by their nodes and currencies one knows which cells
    /// matter.
    pub fn open_lots(&self, period: BillingPeriod) -> impl Iterator<Item = (&str, &Node)> {
        let comes = move |account: &LotAccount| {
            let is_due = account.lot.continues.is_some_and(|continues| continues.from_period == period);
            is_due && account.lot.window_in(self.policy, period).is_some()
        };
        let is_open = move |account: &&LotAccount| account.window(self.policy, period).is_some() || comes(account);
        let open = self.accounts.iter().filter(is_open);
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
        let counted = |account: &LotAccount| account.lot.first_balance() <= posted;
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

    /// Draws, expires and balances the period of `spend`. Each lot that draws goes to `sink` once, by its position in
    /// [`Ledger::lots`], with its draws by cell key; lots that never meet come side by side, from several threads.
    ///
    /// # Errors
    /// [`LedgerError`], or that of `sink`; the book is then of no further use.
    pub fn post<E: From<LedgerError> + Send>(
        &mut self,
        spend: &Spend,
        sink: impl Fn(usize, &[Draw]) -> Result<(), E> + Sync,
    ) -> Result<Posting, E> {
        let period = spend.period();
        if let Some(posted) = self.posted.filter(|posted| posted.next() != period) {
            return Err(LedgerError::OutOfOrder { period, posted }.into());
        }
        self.posted = Some(period);
        let of_money = |source| LedgerError::Money { period, source };
        let moved = self.move_lots(period).map_err(of_money)?;
        let shares = self.shares(spend);
        let drawn = shares.into_par_iter().map(|share| share.draw(period, &sink));
        let drawn: Vec<Vec<(usize, Money)>> = drawn.collect::<Result<_, E>>()?;
        Ok(self.balance(period, &moved, &drawn.into_iter().flatten().collect()).map_err(of_money)?)
    }

    /// Moves what is left of lots that go on elsewhere from this period. Says what came to or left each lot that moved.
    fn move_lots(&mut self, period: BillingPeriod) -> Result<HashMap<usize, Money>, MoneyError> {
        let mut moved = HashMap::new();
        for position in 0..self.accounts.len() {
            let Some(account) = self.accounts.get(position) else { continue };
            let is_due = account.lot.continues.is_some_and(|continues| continues.from_period == period);
            let Some(from) = account.continues.filter(|_| is_due) else { continue };
            let left = self.accounts.get_mut(from).map(|from| std::mem::take(&mut from.remaining)).unwrap_or_default();
            if let Some(account) = self.accounts.get_mut(position) {
                account.remaining = account.remaining.checked_add(left)?;
            }
            for (position, change) in [(from, Money::ZERO.checked_sub(left)?), (position, left)] {
                let sum: &mut Money = moved.entry(position).or_default();
                *sum = sum.checked_add(change)?;
            }
        }
        Ok(moved)
    }

    /// The lots that may draw and what they may draw on. Lots of different business units or currencies never meet, so
    /// each pair of them is worked out on its own.
    fn shares(&self, spend: &Spend) -> Vec<Share<'_>> {
        let period = spend.period();
        let mut shares: BTreeMap<(&str, &str), Share<'_>> = BTreeMap::new();
        for (position, account) in self.accounts.iter().enumerate() {
            if let Some(window) = account.window(self.policy, period) {
                let LotAccount { lot, remaining, .. } = account;
                let share = shares.entry((lot.currency.as_str(), lot.node.business_unit())).or_default();
                let node = share.undrawn.node(&lot.node);
                share.lots.push(OpenLot { position, node, remaining: *remaining, window });
            }
        }
        let places = spend.places().iter().map(|(currency, node)| {
            let share = shares.get(&(currency.as_str(), node.business_unit()));
            share.map_or_else(Vec::new, |share| share.undrawn.reached_by(node))
        });
        let reached: Vec<Vec<usize>> = places.collect();
        for (position, cell) in spend.cells().iter().enumerate().filter(|(_, cell)| cell.eligible.is_positive()) {
            let Some(nodes) = reached.get(cell.place).filter(|nodes| !nodes.is_empty()) else { continue };
            let Some((currency, node)) = spend.places().get(cell.place) else { continue };
            if let Some(share) = shares.get_mut(&(currency.as_str(), node.business_unit())) {
                share.undrawn.add(nodes, position, cell);
            }
        }
        shares.into_values().collect()
    }

    /// Books what was drawn and what expires.
    fn balance(
        &mut self,
        period: BillingPeriod,
        moved: &HashMap<usize, Money>,
        drawn: &HashMap<usize, Money>,
    ) -> Result<Posting, MoneyError> {
        let mut posting = Posting { period, balances: Vec::new(), fifo_ranks: Vec::with_capacity(self.accounts.len()) };
        let mut rank: u32 = 0;
        for (position, account) in self.accounts.iter_mut().enumerate() {
            let moved = moved.get(&position).copied().unwrap_or_default();
            let before = account.remaining.checked_sub(moved)?;
            let used = drawn.get(&position).copied().unwrap_or_default();
            account.remaining = account.remaining.checked_sub(used)?;
            rank = rank.saturating_add(u32::from(used.is_positive()));
            posting.fifo_ranks.push(if used.is_positive() { rank } else { 0 });
            let expired = account.expire(period, self.as_of);
            if account.lot.first_balance() > period {
                continue;
            }
            let is_issued = account.lot.continues.is_none() && account.lot.issue_period() == period;
            let (opening, issued) = if is_issued { (Money::ZERO, before) } else { (before, Money::ZERO) };
            let remaining = account.remaining;
            posting.balances.push(Balance { lot: position, opening, issued, moved, used, expired, remaining });
        }
        Ok(posting)
    }
}

/// The lots in FIFO order. One that continues another has the place of the first of its chain.
#[must_use]
pub fn in_fifo_order(lots: Vec<Lot>) -> Vec<Lot> {
    in_order(lots).0
}

/// The lots in FIFO order, and for each the position of the lot it continues. Such a lot has the place of the first one of
/// its chain, whatever its own node and number.
fn in_order(lots: Vec<Lot>) -> (Vec<Lot>, Vec<Option<usize>>) {
    let by_name: HashMap<(&str, i32), &Lot> =
        lots.iter().map(|lot| ((lot.credit_key.as_str(), lot.lot), lot)).collect();
    let continued = |lot: &Lot| {
        let continues = lot.continues?;
        by_name.get(&(lot.credit_key.as_str(), continues.lot)).copied()
    };
    let first_of_chain = |lot: &Lot| {
        // No chain is longer than there are lots.
        let chain = std::iter::successors(continued(lot), |from| continued(from)).take(lots.len());
        let first = chain.last().unwrap_or(lot);
        (first.node.clone(), first.lot)
    };
    let mut placed: Vec<_> = lots.iter().map(|lot| (first_of_chain(lot), lot)).collect();
    placed.sort_by(|((left_node, left_first), left), ((right_node, right_first), right)| {
        let left = (left.fifo_key(), left_node, left_first, left.lot);
        left.cmp(&(right.fifo_key(), right_node, right_first, right.lot))
    });
    let lots: Vec<Lot> = placed.into_iter().map(|(_, lot)| lot.clone()).collect();
    let positions: HashMap<(&str, i32), usize> =
        lots.iter().enumerate().map(|(position, lot)| ((lot.credit_key.as_str(), lot.lot), position)).collect();
    let from = |lot: &Lot| positions.get(&(lot.credit_key.as_str(), lot.continues?.lot)).copied();
    let continued = lots.iter().map(from).collect();
    (lots, continued)
}

/// The lots of one currency and business unit that may draw in a period, in FIFO order, and what they may draw on.
#[derive(Debug, Default)]
struct Share<'a> {
    undrawn: Undrawn<'a>,
    lots: Vec<OpenLot>,
}

/// A lot that may draw in a period.
#[derive(Debug)]
struct OpenLot {
    position: usize,
    /// Position of its node in the share.
    node: usize,
    remaining: Money,
    window: (NaiveDate, NaiveDate),
}

impl Share<'_> {
    /// What each lot draws in all.
    fn draw<E: From<LedgerError>>(
        mut self,
        period: BillingPeriod,
        sink: impl Fn(usize, &[Draw]) -> Result<(), E>,
    ) -> Result<Vec<(usize, Money)>, E> {
        let mut drawn = Vec::new();
        for lot in self.lots {
            let drew = self.undrawn.draw(lot.node, lot.window, lot.remaining);
            let (used, draws) = drew.map_err(|source| LedgerError::Money { period, source })?;
            if used.is_positive() {
                sink(lot.position, draws)?;
                drawn.push((lot.position, used));
            }
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
}

#[cfg(test)]
mod tests;
