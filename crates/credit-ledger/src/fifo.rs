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

/// The result of one period, beside the draws.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posting {
    /// The period.
    pub period: BillingPeriod,
    /// One entry per lot issued in or before the period, in FIFO order.
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
        let shares = self.shares(spend);
        let drawn = shares.into_par_iter().map(|share| share.draw(period, &sink));
        let drawn: Vec<Vec<(usize, Money)>> = drawn.collect::<Result<_, E>>()?;
        let of_money = |source| LedgerError::Money { period, source }.into();
        self.balance(period, &drawn.into_iter().flatten().collect()).map_err(of_money)
    }

    /// The lots that may draw and what they may draw on. Lots of different business units or currencies never meet, so
    /// each pair of them is worked out on its own.
    fn shares(&self, spend: &Spend) -> Vec<Share<'_>> {
        let period = spend.period();
        let mut shares: BTreeMap<(&str, &str), Share<'_>> = BTreeMap::new();
        for (position, account) in self.accounts.iter().enumerate() {
            if let Some(window) = account.window(self.policy, period) {
                let LotAccount { lot, remaining } = account;
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
    fn balance(&mut self, period: BillingPeriod, drawn: &HashMap<usize, Money>) -> Result<Posting, MoneyError> {
        let mut posting = Posting { period, balances: Vec::new(), fifo_ranks: Vec::with_capacity(self.accounts.len()) };
        let mut rank: u32 = 0;
        for (position, account) in self.accounts.iter_mut().enumerate() {
            let opening = account.remaining;
            let used = drawn.get(&position).copied().unwrap_or_default();
            account.remaining = account.remaining.checked_sub(used)?;
            rank = rank.saturating_add(u32::from(used.is_positive()));
            posting.fifo_ranks.push(if used.is_positive() { rank } else { 0 });
            let expired = account.expire(period, self.as_of);
            posting.balances.extend(account.balance(position, period, opening, used, expired));
        }
        Ok(posting)
    }
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
