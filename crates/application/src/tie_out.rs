//! The tie-out of a run in brief.

use std::collections::BTreeMap;

use credit_ledger::{Money, MoneyError};
use schemas::tables::Reconciliation;
use serde::Serialize;

/// Sums over all periods of one currency.
#[derive(Debug, Serialize)]
pub struct TieOut {
    /// ISO 4217 code.
    pub currency: String,
    /// The export's own total.
    pub export_total: Money,
    /// What AWS invoiced.
    pub invoice_net: Money,
    /// `export_total - invoice_net`: zero.
    pub difference: Money,
    /// What nodes pay net of their credits.
    pub net_cost: Money,
    /// `invoice_net - net_cost`.
    pub clearing: Money,
}

impl TieOut {
    /// Of each currency.
    ///
    /// # Errors
    /// [`MoneyError`] where a sum leaves the range of money.
    pub fn of(rows: &[Reconciliation]) -> Result<Vec<Self>, MoneyError> {
        let mut by_currency: BTreeMap<&str, Vec<&Reconciliation>> = BTreeMap::new();
        for row in rows {
            by_currency.entry(&row.currency).or_default().push(row);
        }
        by_currency
            .into_iter()
            .map(|(currency, rows)| {
                let sum = |amount: fn(&Reconciliation) -> Money| Money::total(rows.iter().map(|row| amount(row)));
                Ok(Self {
                    currency: currency.to_owned(),
                    export_total: sum(|row| row.export_total)?,
                    invoice_net: sum(|row| row.invoice_net)?,
                    difference: sum(|row| row.difference)?,
                    net_cost: sum(|row| row.net_cost)?,
                    clearing: sum(|row| row.clearing)?,
                })
            })
            .collect()
    }
}
