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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::money;

    fn month(currency: &str, export_total: &str, invoice_net: &str, net_cost: &str) -> Reconciliation {
        let (export_total, invoice_net, net_cost) = (money(export_total), money(invoice_net), money(net_cost));
        Reconciliation {
            currency: currency.into(),
            export_total,
            invoice_net,
            net_cost,
            clearing: invoice_net.checked_sub(net_cost).unwrap(),
            unallocated_aws_credits: Money::ZERO,
            difference: export_total.checked_sub(invoice_net).unwrap(),
            rows_read: 1,
            invoice_ids: None,
            lines_without_invoice: 1,
        }
    }

    /// What AWS takes off in one month and nodes use in the next clears over both.
    #[test]
    fn months_are_summed_by_currency_and_currencies_never_meet() {
        let rows = [
            month("USD", "70.0000000001", "70.0000000001", "100"),
            month("EUR", "5", "5", "5"),
            month("USD", "100", "100", "70.0000000001"),
        ];
        let sums = TieOut::of(&rows).unwrap();
        let shown: Vec<String> = sums
            .iter()
            .map(|sum| format!("{} {} {} {}", sum.currency, sum.export_total, sum.net_cost, sum.clearing))
            .collect();
        let expected = ["EUR 5.0000000000 5.0000000000 0.0000000000", "USD 170.0000000001 170.0000000001 0.0000000000"];
        assert_eq!(shown, expected);
        assert!(sums.iter().all(|sum| sum.difference.is_zero()));
        assert!(TieOut::of(&[]).unwrap().is_empty());
    }

    #[test]
    fn differences_of_months_are_summed_with_their_sign() {
        let off = TieOut::of(&[month("USD", "10", "9", "9"), month("USD", "10", "10.5", "10.5")]).unwrap();
        assert_eq!((off[0].difference, off[0].invoice_net), (money("0.5"), money("19.5")));
    }

    #[test]
    fn sum_that_leaves_the_range_of_money_is_an_error() {
        let huge = "9999999999999999999999999999.9999999999";
        let rows = [month("USD", huge, huge, huge), month("USD", "0.0000000001", "0", "0")];
        assert_eq!(TieOut::of(&rows).unwrap_err(), MoneyError::Overflow);
    }
}
