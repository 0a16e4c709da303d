//! The lots of a credit among all others.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use credit_ledger::{Lot, Money, MoneyError, Text};
use schemas::tables::{AllocationLogRow, Credit, CreditBalance};
use schemas::{NodeColumns, Owners};

use super::model::{StatementLot, StatementMonth};
use crate::error::FifoError;
use crate::unused::FifoOrder;

/// Months of one credit: the rows of its lots.
pub(super) type Balances = BTreeMap<credit_ledger::BillingPeriod, Vec<CreditBalance>>;

/// The lots of a run, by the balances of its last month. Amounts are what is left: the order does not depend on them.
pub(super) fn lots_of(balances: &[CreditBalance], credits: &[Credit]) -> Result<Vec<Lot>, FifoError> {
    let first_days: BTreeMap<&str, NaiveDate> =
        credits.iter().map(|credit| (credit.credit_key.as_str(), credit.first_cur_date)).collect();
    let lot = |row: &CreditBalance| {
        let named = |source| FifoError::Node { row: format!("credit {} lot {}", row.credit_key, row.lot), source };
        Ok(Lot {
            credit_key: row.credit_key.clone(),
            lot: row.lot,
            promotion_code: row.promotion_code.clone(),
            account_id: row.account_id.clone(),
            node: row.node().map_err(named)?,
            currency: row.currency.clone(),
            amount: row.remaining,
            issue_date: row.issue_date,
            first_cur_date: first_days.get(row.credit_key.as_str()).copied().unwrap_or(row.issue_date),
            end_date: row.end_date,
            // Its rows begin in the month in which it came: where from does not matter here.
            continues: None,
        })
    };
    balances.iter().map(lot).collect()
}

/// The lots of one credit as they stand.
pub(super) struct Standing<'a> {
    /// All lots of the run.
    pub(super) lots: &'a [Lot],
    pub(super) order: &'a FifoOrder,
    pub(super) owners: &'a Owners,
    pub(super) log: &'a [AllocationLogRow],
}

impl Standing<'_> {
    /// Those of `credit`, by number.
    pub(super) fn of(&self, credit: &Credit, balances: &Balances) -> Result<Vec<StatementLot>, MoneyError> {
        let of_credit = self.lots.iter().filter(|lot| lot.credit_key == credit.credit_key);
        let mut found = Vec::new();
        for lot in of_credit {
            let rows = || balances.values().flatten().filter(|row| row.lot == lot.lot);
            let (used, expired) =
                (Money::total(rows().map(|row| row.used))?, Money::total(rows().map(|row| row.expired))?);
            let (fifo_position, fifo_lots) = self.place(lot);
            found.push(StatementLot {
                lot: lot.lot,
                node: lot.node.clone(),
                owner_email: self.owners.nearest(&lot.node).cloned(),
                amount: Money::total([used, expired, lot.amount])?,
                used,
                expired,
                remaining: lot.amount,
                end_date: lot.end_date,
                reference: self.reference(credit, lot),
                fifo_position,
                fifo_lots,
            });
        }
        found.sort_by_key(|lot| lot.lot);
        Ok(found)
    }

    /// Its place among the lots that it can meet, and how many those are.
    fn place(&self, lot: &Lot) -> (usize, usize) {
        let position = |lot: &Lot| self.order.position(&lot.credit_key, lot.lot);
        let meets =
            |other: &&Lot| other.currency == lot.currency && other.node.business_unit() == lot.node.business_unit();
        let all: Vec<&Lot> = self.lots.iter().filter(meets).collect();
        let before = all.iter().filter(|other| position(other) < position(lot)).count();
        (before.saturating_add(1), all.len())
    }

    /// What the revision that counts says.
    fn reference(&self, credit: &Credit, lot: &Lot) -> Option<Text> {
        let counts = |row: &&AllocationLogRow| {
            row.credit_key == credit.credit_key && row.lot == lot.lot && Some(row.recorded_at) == credit.recorded_at
        };
        let newest = self.log.iter().filter(counts).max_by_key(|row| &row.allocation_id)?;
        newest.reference.clone()
    }
}

/// A month of all lots, beside what AWS applied.
pub(super) fn month_of(
    billing_period: credit_ledger::BillingPeriod,
    rows: &[CreditBalance],
    aws_applied: Money,
) -> Result<StatementMonth, MoneyError> {
    let sum = |amount: fn(&CreditBalance) -> Money| Money::total(rows.iter().map(amount));
    Ok(StatementMonth {
        billing_period,
        opening: sum(|row| row.opening)?,
        issued: sum(|row| row.issued)?,
        used: sum(|row| row.used)?,
        expired: sum(|row| row.expired)?,
        remaining: sum(|row| row.remaining)?,
        aws_applied,
    })
}
