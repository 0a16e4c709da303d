//! What must hold of every posting, checked from its results alone.
//!
//! 1. per lot: opening + issued = used + expired + remaining, all zero or more
//! 2. per cell: 0 <= drawn <= eligible
//! 3. nothing is drawn outside window, node or currency
//! 4. greedy witness: no lot draws from a cell while an earlier lot that may draw on that cell has something left at
//!    the end of that period's draws

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use chrono::NaiveDate;

use crate::{Balance, BillingPeriod, Cell, Ledger, Lot, Money, MoneyError, Node, Posting};

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

/// Checks a posting of `cells` through `ledger`; empty if all is well.
///
/// # Errors
/// [`MoneyError`] where a sum leaves the range of money.
pub fn check_posting(ledger: &Ledger, cells: &[Cell], posting: &Posting) -> Result<Vec<Breach>, MoneyError> {
    let check = Check { ledger, cells, posting };
    let found = [check.balances()?, check.cells()?, check.reach(), check.greed()].concat();
    Ok(found.into_iter().map(|what| Breach { period: posting.period, what }).collect())
}

struct Check<'a> {
    ledger: &'a Ledger,
    cells: &'a [Cell],
    posting: &'a Posting,
}

fn name(lot: &Lot) -> String {
    format!("credit {} lot {}", lot.credit_key, lot.lot)
}

fn place(cell: &Cell) -> String {
    let key = &cell.key;
    let service = key.service.as_deref().unwrap_or("-");
    format!("{} {} {service} {} {}", key.usage_date, key.account_id, cell.currency, key.node)
}

impl Check<'_> {
    fn balances(&self) -> Result<Vec<String>, MoneyError> {
        let mut breaches = Vec::new();
        let mut drawn = vec![Money::ZERO; self.ledger.lots().len()];
        for draw in &self.posting.draws {
            if let Some(sum) = drawn.get_mut(draw.lot) {
                *sum = sum.checked_add(draw.used)?;
            }
        }
        for balance in &self.posting.balances {
            let Some(lot) = self.ledger.lot(balance.lot) else { continue };
            let before = balance.opening.checked_add(balance.issued)?;
            let after = Money::total([balance.used, balance.expired, balance.remaining])?;
            let parts = [balance.opening, balance.issued, balance.used, balance.expired, balance.remaining];
            if before != after || parts.into_iter().any(Money::is_negative) {
                breaches.push(format!("{}: balance does not add up: {before} is not {after}", name(lot)));
            }
            if drawn.get(balance.lot) != Some(&balance.used) {
                breaches.push(format!("{}: used is not the sum of its draws", name(lot)));
            }
        }
        Ok(breaches)
    }

    fn cells(&self) -> Result<Vec<String>, MoneyError> {
        let mut drawn = vec![Money::ZERO; self.cells.len()];
        for draw in &self.posting.draws {
            if let Some(sum) = drawn.get_mut(draw.cell) {
                *sum = sum.checked_add(draw.used)?;
            }
        }
        let overdrawn = self.cells.iter().zip(drawn).filter(|(cell, drawn)| *drawn > cell.eligible);
        Ok(overdrawn
            .map(|(cell, drawn)| format!("{}: {drawn} drawn of {} eligible", place(cell), cell.eligible))
            .collect())
    }

    fn reach(&self) -> Vec<String> {
        let mut breaches = Vec::new();
        for draw in &self.posting.draws {
            let (Some(lot), Some(cell)) = (self.ledger.lot(draw.lot), self.cells.get(draw.cell)) else { continue };
            let allowed = self.may_serve(lot, cell) && draw.used.is_positive();
            if !allowed {
                breaches.push(format!("{}: may not draw {} on {}", name(lot), draw.used, place(cell)));
            }
        }
        breaches
    }

    fn greed(&self) -> Vec<String> {
        let with_rest = self.first_with_rest();
        let mut breaches = Vec::new();
        for draw in &self.posting.draws {
            let (Some(later), Some(cell)) = (self.ledger.lot(draw.lot), self.cells.get(draw.cell)) else { continue };
            let day = self.posting.period.clamp(cell.key.usage_date);
            let first = cell.key.node.lineage().filter_map(|node| {
                let days = with_rest.get(&(cell.currency.as_str(), node))?;
                days.get(&day).copied()
            });
            let earlier = first.min().filter(|first| *first < draw.lot).and_then(|first| self.ledger.lot(first));
            if let Some(lot) = earlier {
                breaches.push(format!("{}: drew on {} before {}", name(later), place(cell), name(lot)));
            }
        }
        breaches
    }

    /// By currency, node and day, the first lot that could have drawn there and had something left after all draws.
    fn first_with_rest(&self) -> HashMap<(&str, Node), BTreeMap<NaiveDate, usize>> {
        let mut first: HashMap<(&str, Node), BTreeMap<NaiveDate, usize>> = HashMap::new();
        let has_rest = |balance: &&Balance| balance.remaining.is_positive() || balance.expired.is_positive();
        for balance in self.posting.balances.iter().filter(has_rest) {
            let Some(lot) = self.ledger.lot(balance.lot) else { continue };
            let Some((begin, end)) = lot.window_in(self.ledger.policy(), self.posting.period) else { continue };
            let days = first.entry((lot.currency.as_str(), lot.node.clone())).or_default();
            // Balances come in FIFO order: the first stays.
            for day in begin.iter_days().take_while(|day| *day <= end) {
                days.entry(day).or_insert(balance.lot);
            }
        }
        first
    }

    fn may_serve(&self, lot: &Lot, cell: &Cell) -> bool {
        let window = lot.window_in(self.ledger.policy(), self.posting.period);
        window.is_some_and(|window| cell.may_serve(lot, self.posting.period, window))
    }
}
