//! What must hold of every posting, checked from its results alone.
//!
//! 1. per lot: opening + issued + moved = used + expired + remaining, all but moved zero or more; per credit: moved is zero
//! 2. per cell: 0 <= drawn <= eligible
//! 3. nothing is drawn outside window, node or currency
//! 4. greedy witness: no lot draws from a cell while an earlier lot that may draw on that cell has something left at
//!    the end of that period's draws
//!
//! Draws come lot by lot, in any order; none is looked at twice, and none is kept.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use chrono::NaiveDate;

use crate::spend::{DAYS, day_number};
use crate::{BillingPeriod, Cell, Draw, Ledger, Lot, Money, MoneyError, Node, Posting, Spend};

/// One invariant that does not hold, with the rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    /// The billing period.
    pub period: BillingPeriod,
    /// Which one and where.
    pub what: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.period, self.what)
    }
}

/// So many breaches of one invariant are told; where there are more, something is wrong with all of it.
const TOLD: usize = 100;

/// Checks a posting.
#[derive(Debug)]
pub struct PostingCheck<'a, N> {
    ledger: &'a Ledger,
    spend: &'a Spend,
    posting: &'a Posting,
    /// What people call a cell.
    cell_name: N,
    /// Nodes of lots, with their currency.
    sites: HashMap<(&'a str, Node), usize>,
    /// By place: the sites whose lots may draw there.
    sites_above: Vec<Vec<usize>>,
    /// By cell: the first lot that could have drawn there and had something left after all draws.
    first_with_rest: Vec<Option<usize>>,
    drawn_by_lot: Vec<Money>,
    drawn_from_cell: Vec<Money>,
    reach: Vec<String>,
    greed: Vec<String>,
}

fn name(lot: &Lot) -> String {
    format!("credit {} lot {}", lot.credit_key, lot.lot)
}

fn add(sum: Option<&mut Money>, amount: Money) -> Result<(), MoneyError> {
    if let Some(sum) = sum {
        *sum = sum.checked_add(amount)?;
    }
    Ok(())
}

impl<'a, N: Fn(usize) -> String> PostingCheck<'a, N> {
    /// Begins to check a posting of `spend` through `ledger`. `cell_name` names a cell by its position.
    #[must_use]
    pub fn new(ledger: &'a Ledger, spend: &'a Spend, posting: &'a Posting, cell_name: N) -> Self {
        let mut sites = HashMap::new();
        for lot in ledger.lots() {
            let next = sites.len();
            sites.entry((lot.currency.as_str(), lot.node.clone())).or_insert(next);
        }
        let above = spend.places().iter().map(|(currency, node)| {
            node.lineage().filter_map(|above| sites.get(&(currency.as_str(), above)).copied()).collect()
        });
        let mut check = Self {
            sites_above: above.collect(),
            ledger,
            spend,
            posting,
            cell_name,
            sites,
            first_with_rest: Vec::new(),
            drawn_by_lot: vec![Money::ZERO; ledger.lots().len()],
            drawn_from_cell: vec![Money::ZERO; spend.cells().len()],
            reach: Vec::new(),
            greed: Vec::new(),
        };
        check.first_with_rest = check.first_with_rest();
        check
    }

    fn site(&self, lot: &'a Lot) -> Option<usize> {
        self.sites.get(&(lot.currency.as_str(), lot.node.clone())).copied()
    }

    fn window(&self, lot: &Lot) -> Option<(NaiveDate, NaiveDate)> {
        lot.window_in(self.ledger.policy(), self.posting.period)
    }

    fn sites_of(&self, cell: &Cell) -> &[usize] {
        self.sites_above.get(cell.place).map_or(&[], Vec::as_slice)
    }

    fn first_with_rest(&self) -> Vec<Option<usize>> {
        let mut by_site = vec![[None; DAYS]; self.sites.len()];
        for balance in &self.posting.balances {
            if !balance.remaining.is_positive() && !balance.expired.is_positive() {
                continue;
            }
            let Some(lot) = self.ledger.lot(balance.lot) else { continue };
            let (Some(site), Some((first, last))) = (self.site(lot), self.window(lot)) else { continue };
            let days = by_site.get_mut(site).and_then(|days| days.get_mut(day_number(first)..=day_number(last)));
            // Balances come in FIFO order: the first stays.
            for day in days.unwrap_or_default() {
                day.get_or_insert(balance.lot);
            }
        }
        let first = |cell: &Cell| {
            let sites = self.sites_of(cell).iter();
            sites.filter_map(|site| *by_site.get(*site)?.get(day_number(cell.day))?).min()
        };
        self.spend.cells().iter().map(first).collect()
    }

    /// Takes the draws of a lot, by its position in [`Ledger::lots`].
    ///
    /// # Errors
    /// [`MoneyError`] where a sum leaves the range of money.
    pub fn add(&mut self, position: usize, draws: &[Draw]) -> Result<(), MoneyError> {
        let Some(lot) = self.ledger.lot(position) else { return Ok(()) };
        let (site, window) = (self.site(lot), self.window(lot));
        for draw in draws {
            add(self.drawn_by_lot.get_mut(position), draw.used)?;
            add(self.drawn_from_cell.get_mut(draw.cell), draw.used)?;
            let Some(cell) = self.spend.cells().get(draw.cell) else { continue };
            let is_open = window.is_some_and(|(first, last)| first <= cell.day && cell.day <= last);
            let is_near = site.is_some_and(|site| self.sites_of(cell).contains(&site));
            if !(is_open && is_near && draw.used.is_positive()) && self.reach.len() < TOLD {
                let cell = (self.cell_name)(draw.cell);
                self.reach.push(format!("{}: may not draw {} on {cell}", name(lot), draw.used));
            }
            let earlier = self.first_with_rest.get(draw.cell).copied().flatten().filter(|first| *first < position);
            if let Some(earlier) = earlier.and_then(|first| self.ledger.lot(first))
                && self.greed.len() < TOLD
            {
                let cell = (self.cell_name)(draw.cell);
                self.greed.push(format!("{}: drew on {cell} before {}", name(lot), name(earlier)));
            }
        }
        Ok(())
    }

    /// What does not hold, now that all draws were taken; empty if all is well.
    ///
    /// # Errors
    /// [`MoneyError`] where a sum leaves the range of money.
    pub fn finish(self) -> Result<Vec<Breach>, MoneyError> {
        let found = [self.balances()?, self.cells(), self.reach, self.greed].concat();
        Ok(found.into_iter().map(|what| Breach { period: self.posting.period, what }).collect())
    }

    fn balances(&self) -> Result<Vec<String>, MoneyError> {
        let mut breaches = Vec::new();
        let mut moved: BTreeMap<&str, Money> = BTreeMap::new();
        for balance in &self.posting.balances {
            let Some(lot) = self.ledger.lot(balance.lot) else { continue };
            let before = Money::total([balance.opening, balance.issued, balance.moved])?;
            add(Some(moved.entry(lot.credit_key.as_str()).or_default()), balance.moved)?;
            let after = Money::total([balance.used, balance.expired, balance.remaining])?;
            let parts = [balance.opening, balance.issued, balance.used, balance.expired, balance.remaining];
            if before != after {
                breaches.push(format!("{}: balance does not add up: {before} is not {after}", name(lot)));
            }
            if let Some(part) = parts.into_iter().find(|part| part.is_negative()) {
                breaches.push(format!("{}: {part} of its balance is below zero", name(lot)));
            }
            if self.drawn_by_lot.get(balance.lot) != Some(&balance.used) {
                breaches.push(format!("{}: used is not the sum of its draws", name(lot)));
            }
        }
        let unequal = moved.into_iter().filter(|(_, moved)| !moved.is_zero());
        breaches.extend(unequal.map(|(key, moved)| format!("credit {key}: {moved} moved away or came from nowhere")));
        breaches.truncate(TOLD);
        Ok(breaches)
    }

    fn cells(&self) -> Vec<String> {
        let cells = self.spend.cells().iter().zip(&self.drawn_from_cell).enumerate();
        let overdrawn = cells.filter(|(_, (cell, drawn))| **drawn > cell.eligible).take(TOLD);
        let told = overdrawn.map(|(position, (cell, drawn))| {
            format!("{}: {drawn} drawn of {} eligible", (self.cell_name)(position), cell.eligible)
        });
        told.collect()
    }
}
