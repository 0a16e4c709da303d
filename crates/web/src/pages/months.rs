//! Month by month: whether it ties to the invoice, what it was read from, and what clearing is carried forward.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use application::Failure;
use axum::response::Response;
use credit_ledger::{BillingPeriod, Money, MoneyError, Text};
use lake::StagedPeriod;
use maud::html;
use schemas::tables::Reconciliation;

use crate::answer::answer;
use crate::asked::Asked;
use crate::page::Page;
use crate::sheet::{Sheet, column};

pub(crate) async fn show(asked: Asked) -> Response {
    let page = build(&asked).await;
    answer(&asked, page).await
}

async fn build(asked: &Asked) -> Result<Page, Failure> {
    let run = asked.run()?;
    let mut all: Vec<(BillingPeriod, Reconciliation)> = Vec::new();
    for month in run.periods::<Reconciliation>() {
        let rows: Vec<Reconciliation> = run.rows(Some(month)).await?;
        all.extend(rows.into_iter().filter(|row| asked.filter.takes_currency(&row.currency)).map(|row| (month, row)));
    }
    let is_shown = |month: BillingPeriod| asked.filter.periods.is_none_or(|periods| periods.contains(month));
    // Also what is carried into the first month that is shown counts.
    let mut carried = carried_forward(&all)?;
    carried.retain(|row| is_shown(row.month));
    let mut read: Vec<&StagedPeriod> =
        run.staged().periods.iter().filter(|period| is_shown(period.billing_period)).collect();
    read.sort_by_key(|period| Reverse(period.billing_period));
    let mut shown: Vec<(BillingPeriod, Reconciliation)> =
        all.into_iter().filter(|(month, _)| is_shown(*month)).collect();
    shown.sort_by_key(|(month, row)| (Reverse(*month), row.currency.clone()));
    Ok(Page::new("Months", &["period", "currency"])
        .text(html! {
            p.lead {
                "Whether each month ties to AWS's invoice, the clearing that is carried forward, and what the month was read from."
            }
        })
        .sheet(tie_out(asked, &shown))
        .sheet(clearing(&carried))
        .text(html! {
            p.small {
                "Clearing is what AWS invoiced less net cost: what the two books differ by. It is carried forward from the first \
                month of the run on."
            }
        })
        .sheet(sources(&read))
        .text(html! {
            p.small {
                "Where the export lacks a column that an exclusion needs, all charges of its month count as eligible for credits."
            }
        }))
}

/// The newest month first; each leads to its overview and its net cost.
fn tie_out(asked: &Asked, rows: &[(BillingPeriod, Reconciliation)]) -> Sheet {
    let to = |path: &str| {
        let address = |(month, row): &(BillingPeriod, Reconciliation)| {
            Some(asked.filter.elsewhere(path, &[("period", &month.to_string()), ("currency", &row.currency)]))
        };
        rows.iter().map(address).collect::<Vec<_>>()
    };
    let ties = |(_, row): &(BillingPeriod, Reconciliation)| {
        Text::new_static(if row.difference.is_zero() { "ties" } else { "does_not_tie" })
    };
    let sum = |amount: fn(&Reconciliation) -> Money| column(rows, |(_, row)| amount(row));
    Sheet::new("tie_out", "Tie-out", "The run has no such month.")
        .column("billing_period", "Month", column(rows, |(month, _)| Text::from(month.to_string())))
        .links(to("/"))
        .column("currency", "Currency", column(rows, |(_, row)| row.currency.clone()))
        .column("tie_out", "Tie-out", column(rows, ties))
        .status()
        .summed("export_total", "Total of the export", sum(|row| row.export_total))
        .summed("invoice_net", "Invoiced by AWS", sum(|row| row.invoice_net))
        .summed("difference", "Difference", sum(|row| row.difference))
        .summed("net_cost", "Net cost", sum(|row| row.net_cost))
        .links(to("/net-cost"))
        .summed("clearing", "Clearing", sum(|row| row.clearing))
        .summed("unallocated_aws_credits", "AWS credits that wait", sum(|row| row.unallocated_aws_credits))
        .column("rows_read", "Lines", column(rows, |(_, row)| row.rows_read))
        .column("invoice_ids", "Invoices", column(rows, |(_, row)| row.invoice_ids.clone()))
        .column("lines_without_invoice", "On no invoice", column(rows, |(_, row)| row.lines_without_invoice))
}

/// Clearing of a month, and its sum from the first month on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Carried {
    month: BillingPeriod,
    currency: Text,
    before: Money,
    clearing: Money,
    after: Money,
}

/// Each currency by itself, the oldest month first.
fn carried_forward(rows: &[(BillingPeriod, Reconciliation)]) -> Result<Vec<Carried>, MoneyError> {
    let mut by_currency: BTreeMap<&Text, Vec<Carried>> = BTreeMap::new();
    for (month, row) in rows {
        let carried = by_currency.entry(&row.currency).or_default();
        let before = carried.last().map(|last| last.after).unwrap_or_default();
        let after = before.checked_add(row.clearing)?;
        carried.push(Carried { month: *month, currency: row.currency.clone(), before, clearing: row.clearing, after });
    }
    Ok(by_currency.into_values().flatten().collect())
}

fn clearing(rows: &[Carried]) -> Sheet {
    Sheet::new("clearing", "Clearing carried forward", "The run has no such month.")
        .column("billing_period", "Month", column(rows, |row| Text::from(row.month.to_string())))
        .column("currency", "Currency", column(rows, |row| row.currency.clone()))
        .column("brought_forward", "Brought forward", column(rows, |row| row.before))
        .summed("clearing", "Clearing", column(rows, |row| row.clearing))
        .column("carried_forward", "Carried forward", column(rows, |row| row.after))
}

/// What each month was read from.
fn sources(rows: &[&StagedPeriod]) -> Sheet {
    let not_applied = |period: &&StagedPeriod| {
        let names: Vec<&str> = period.exclusions_not_applied.iter().map(String::as_str).collect();
        (!names.is_empty()).then(|| Text::from(names.join(", ")))
    };
    Sheet::new("sources", "Read from the export", "The run has no such month.")
        .column("billing_period", "Month", column(rows, |row| Text::from(row.billing_period.to_string())))
        .column("lines", "Lines", column(rows, |row| i64::try_from(row.lines).unwrap_or(i64::MAX)))
        .column("exclusions_not_applied", "Exclusions not applied", column(rows, not_applied))
        .in_files("fingerprint", column(rows, |row| Text::from(row.fingerprint.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(month: &str, currency: &str, clearing: &str) -> (BillingPeriod, Reconciliation) {
        let none = Money::ZERO;
        let row = Reconciliation {
            currency: currency.into(),
            export_total: none,
            invoice_net: none,
            net_cost: none,
            clearing: clearing.parse().unwrap(),
            unallocated_aws_credits: none,
            difference: none,
            rows_read: 1,
            invoice_ids: None,
            lines_without_invoice: 1,
        };
        (month.parse().unwrap(), row)
    }

    #[test]
    fn clearing_is_carried_forward_by_currency_across_months_without_it() {
        let rows = [
            row("2026-01", "USD", "-10.5"),
            row("2026-02", "EUR", "1"),
            row("2026-02", "USD", "0.0000000001"),
            row("2026-04", "USD", "20"),
        ];
        let carried = carried_forward(&rows).unwrap();
        let texts: Vec<String> = carried
            .iter()
            .map(|row| format!("{} {} {} {} {}", row.currency, row.month, row.before, row.clearing, row.after))
            .collect();
        let expected = [
            "EUR 2026-02 0.0000000000 1.0000000000 1.0000000000",
            "USD 2026-01 0.0000000000 -10.5000000000 -10.5000000000",
            "USD 2026-02 -10.5000000000 0.0000000001 -10.4999999999",
            "USD 2026-04 -10.4999999999 20.0000000000 9.5000000001",
        ];
        assert_eq!(texts, expected);
    }

    #[test]
    fn sum_beyond_the_range_of_money_is_an_error() {
        let rows = [row("2026-01", "USD", "9e27"), row("2026-02", "USD", "9e27")];
        assert_eq!(carried_forward(&rows), Err(MoneyError::Overflow));
    }
}
