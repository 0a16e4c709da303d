//! The tie-out and the roll-up, checked before a run counts as staged.

use std::collections::{BTreeMap, BTreeSet};

use credit_ledger::{BillingPeriod, Money, MoneyError};
use schemas::tables::{AllocatedCredit, AppliedByAws, ExportTotal, NetCostSummary, Reconciliation, RegisteredCredit};

/// Sums over `net_cost` of one period and currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PeriodTotals {
    /// AWS book.
    pub invoice_net: Money,
    /// Internal book.
    pub net_cost: Money,
    /// Their difference.
    pub clearing: Money,
}

/// `reconciliation` of one period, by currency.
///
/// # Errors
/// [`MoneyError`] where a sum leaves the range of money.
pub fn reconcile(
    period: BillingPeriod,
    export: &[ExportTotal],
    totals: &BTreeMap<String, PeriodTotals>,
    waiting: &BTreeMap<String, Money>,
) -> Result<Vec<Reconciliation>, MoneyError> {
    let export: BTreeMap<&str, &ExportTotal> =
        export.iter().filter(|row| row.billing_period == period).map(|row| (row.currency.as_str(), row)).collect();
    let currencies: BTreeSet<&str> = export.keys().copied().chain(totals.keys().map(String::as_str)).collect();
    currencies
        .into_iter()
        .map(|currency| {
            let sums = totals.get(currency).copied().unwrap_or_default();
            let export_total = export.get(currency).map_or(Money::ZERO, |row| row.export_total);
            Ok(Reconciliation {
                currency: currency.to_owned(),
                export_total,
                invoice_net: sums.invoice_net,
                net_cost: sums.net_cost,
                clearing: sums.clearing,
                unallocated_aws_credits: waiting.get(currency).copied().unwrap_or_default(),
                difference: export_total.checked_sub(sums.invoice_net)?,
                rows_read: export.get(currency).map_or(0, |row| row.rows_read),
            })
        })
        .collect()
}

/// What AWS applied in a period of credits that wait, negative, by currency.
///
/// # Errors
/// [`MoneyError`] where a sum leaves the range of money.
pub fn waiting_credits(
    period: BillingPeriod,
    register: &[RegisteredCredit],
    allocated: &[AllocatedCredit],
    applied: &[AppliedByAws],
) -> Result<BTreeMap<String, Money>, MoneyError> {
    let waits: BTreeSet<&str> =
        allocated.iter().filter(|row| row.waiting.is_some()).map(|row| row.credit_key.as_str()).collect();
    let currency: BTreeMap<&str, &str> =
        register.iter().map(|credit| (credit.credit_key.as_str(), credit.currency.as_str())).collect();
    let mut sums: BTreeMap<String, Money> = BTreeMap::new();
    for row in applied.iter().filter(|row| row.billing_period == period && waits.contains(row.credit_key.as_str())) {
        let sum =
            sums.entry(currency.get(row.credit_key.as_str()).copied().unwrap_or_default().to_owned()).or_default();
        *sum = sum.checked_sub(row.aws_applied)?;
    }
    Ok(sums)
}

/// Where the run does not tie to the export, one line each; none if all is well.
#[must_use]
pub fn tie_out(period: BillingPeriod, rows: &[Reconciliation]) -> Vec<String> {
    let off = rows.iter().filter(|row| !row.difference.is_zero());
    off.map(|row| {
        format!(
            "{period}: the export sums to {} {currency} but net_cost to {}: {} apart",
            row.export_total,
            row.invoice_net,
            row.difference,
            currency = row.currency,
        )
    })
    .collect()
}

/// The amounts of one node that roll up.
pub type Amounts = [Money; 7];
/// A currency and a node's path from the top, empty for everything.
type Place = (String, Vec<String>);

/// The amounts of a summary row in the order of the plan's roll-up.
#[must_use]
pub const fn amounts(row: &NetCostSummary) -> Amounts {
    [row.gross_cost, row.refunds, row.aws_credits, row.invoice_net, row.credits_applied, row.net_cost, row.clearing]
}

fn path(row: &NetCostSummary) -> Vec<String> {
    [&row.business_unit, &row.department, &row.portfolio, &row.product].into_iter().flatten().cloned().collect()
}

/// Where a parent is not its own cost plus its children, one line each; none if all is well.
///
/// `own` holds what each node itself costs, by currency and path.
///
/// # Errors
/// [`MoneyError`] where a sum leaves the range of money.
pub fn roll_up(
    period: BillingPeriod,
    summary: &[NetCostSummary],
    own: &BTreeMap<Place, Amounts>,
) -> Result<Vec<String>, MoneyError> {
    let mut expected: BTreeMap<Place, Amounts> = own.clone();
    for row in summary.iter().filter(|row| row.level > 0) {
        let mut parent = path(row);
        parent.pop();
        let sum = expected.entry((row.currency.clone(), parent)).or_default();
        for (sum, amount) in sum.iter_mut().zip(amounts(row)) {
            *sum = sum.checked_add(amount)?;
        }
    }
    let mut breaches = Vec::new();
    for row in summary {
        let place = (row.currency.clone(), path(row));
        let sum = expected.remove(&place).unwrap_or_default();
        if sum != amounts(row) {
            let node = if place.1.is_empty() { "everything".to_owned() } else { place.1.join("/") };
            breaches.push(format!("{period}: {node} in {} is not its own cost plus its children", row.currency));
        }
    }
    breaches.extend(expected.into_keys().map(|(currency, path)| {
        format!("{period}: {} has cost in {currency} but no row in the summary", path.join("/"))
    }));
    Ok(breaches)
}
