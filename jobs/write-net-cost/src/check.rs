//! The tie-out and the roll-up, checked before a run counts as staged.

use std::collections::{BTreeMap, BTreeSet};

use credit_ledger::{BillingPeriod, Money, MoneyError, Text};
use schemas::tables::{ExportTotal, NetCost, NetCostSummary, NodeCost, Reconciliation};

use crate::roll_up::{Amounts, add, amounts, own_amounts, path};

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

/// Sums over a period by currency.
///
/// # Errors
/// [`MoneyError`] where a sum leaves the range of money.
pub fn period_totals(costs: &[NodeCost]) -> Result<BTreeMap<Text, PeriodTotals>, MoneyError> {
    let mut totals: BTreeMap<Text, PeriodTotals> = BTreeMap::new();
    for row in costs {
        let sums = totals.entry(row.currency.clone()).or_default();
        sums.invoice_net = sums.invoice_net.checked_add(row.invoice_net)?;
        sums.net_cost = sums.net_cost.checked_add(row.net_cost)?;
        sums.clearing = sums.clearing.checked_add(row.clearing)?;
    }
    Ok(totals)
}

/// `reconciliation` of one period, by currency.
///
/// # Errors
/// [`MoneyError`] where a sum leaves the range of money.
pub fn reconcile(
    period: BillingPeriod,
    export: &[ExportTotal],
    totals: &BTreeMap<Text, PeriodTotals>,
    waiting: Option<&BTreeMap<Text, Money>>,
) -> Result<Vec<Reconciliation>, MoneyError> {
    let export: BTreeMap<&str, &ExportTotal> =
        export.iter().filter(|row| row.billing_period == period).map(|row| (row.currency.as_str(), row)).collect();
    let currencies: BTreeSet<&str> = export.keys().copied().chain(totals.keys().map(Text::as_str)).collect();
    currencies
        .into_iter()
        .map(|currency| {
            let sums = totals.get(currency).copied().unwrap_or_default();
            let export_total = export.get(currency).map_or(Money::ZERO, |row| row.export_total);
            Ok(Reconciliation {
                currency: currency.into(),
                export_total,
                invoice_net: sums.invoice_net,
                net_cost: sums.net_cost,
                clearing: sums.clearing,
                unallocated_aws_credits: waiting.and_then(|waiting| waiting.get(currency)).copied().unwrap_or_default(),
                difference: export_total.checked_sub(sums.invoice_net)?,
                rows_read: export.get(currency).map_or(0, |row| row.rows_read),
                invoice_ids: export.get(currency).and_then(|row| row.invoice_ids.clone()),
                lines_without_invoice: export.get(currency).map_or(0, |row| row.lines_without_invoice),
            })
        })
        .collect()
}

/// Where the run does not tie to the export, one line each; none if all is well.
#[must_use]
pub fn tie_out(period: BillingPeriod, rows: &[Reconciliation]) -> Vec<String> {
    let off = rows.iter().filter(|row| !row.difference.is_zero());
    off.map(|row| {
        format!(
            "{period}: the export sums to {} {currency} but invoice_net to {}: {} apart",
            row.export_total,
            row.invoice_net,
            row.difference,
            currency = row.currency,
        )
    })
    .collect()
}

/// Where a parent is not its own cost plus its children, one line each; none if all is well.
///
/// # Errors
/// [`MoneyError`] where a sum leaves the range of money.
pub fn parents(
    period: BillingPeriod,
    summary: &[NetCostSummary],
    costs: &[NodeCost],
) -> Result<Vec<String>, MoneyError> {
    let mut expected: BTreeMap<(Text, Vec<Text>), Amounts> = BTreeMap::new();
    for row in costs {
        let path = path([&row.business_unit, &row.department, &row.portfolio, &row.product]);
        add(expected.entry((row.currency.clone(), path)).or_default(), own_amounts(row))?;
    }
    for row in summary.iter().filter(|row| row.level > 0) {
        let mut parent = path([&row.business_unit, &row.department, &row.portfolio, &row.product]);
        parent.pop();
        add(expected.entry((row.currency.clone(), parent)).or_default(), amounts(row))?;
    }
    let mut breaches = Vec::new();
    for row in summary {
        let path = path([&row.business_unit, &row.department, &row.portfolio, &row.product]);
        let name = if path.is_empty() { "the whole".to_owned() } else { path.join("/") };
        if expected.remove(&(row.currency.clone(), path)).unwrap_or_default() != amounts(row) {
            breaches.push(format!("{period}: {name} in {} is not its own cost plus its children", row.currency));
        }
    }
    // A budget alone makes a row of its node, not of the nodes above it.
    expected.retain(|_place, sum| *sum != Amounts::default());
    breaches.extend(expected.into_keys().map(|(currency, path)| {
        format!("{period}: {} has cost in {currency} but no row in the summary", path.join("/"))
    }));
    Ok(breaches)
}

/// Where not all that was drawn was applied to cells, and once, one line per currency; none if all is well.
///
/// # Errors
/// [`MoneyError`] where a sum leaves the range of money.
pub fn drawn(
    period: BillingPeriod,
    drawn: &BTreeMap<Text, Money>,
    costs: &[NodeCost],
) -> Result<Vec<String>, MoneyError> {
    let mut missing = drawn.clone();
    for row in costs {
        let left = missing.entry(row.currency.clone()).or_default();
        *left = left.checked_add(row.credits_applied)?;
    }
    missing.retain(|_, left| !left.is_zero());
    let lines = missing.into_iter().map(|(currency, left)| {
        format!("{period}: what was drawn and what was applied to cells are {left} {currency} apart")
    });
    Ok(lines.collect())
}

/// Cells that are drawn beyond their bounds, one line each; none if all is well.
#[must_use]
pub fn bounds(period: BillingPeriod, overdrawn: &[NetCost]) -> Vec<String> {
    let lines = overdrawn.iter().map(|row| {
        let service = row.service.as_deref().unwrap_or("-");
        format!(
            "{period}: cell {} {} {service} {}: credits_applied {} of eligible_charges {}",
            row.usage_date, row.account_id, row.currency, row.credits_applied, row.eligible_charges
        )
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roll_up::summary;

    fn money(text: &str) -> Money {
        text.parse().unwrap()
    }

    fn cost(path: &str, net: &str) -> NodeCost {
        let mut names = path.split('/').map(Text::new);
        NodeCost {
            currency: "USD".into(),
            business_unit: names.next(),
            department: names.next(),
            portfolio: names.next(),
            product: names.next(),
            gross_cost: money(net),
            refunds: Money::ZERO,
            aws_credits: Money::ZERO,
            invoice_net: money(net),
            credits_applied: Money::ZERO,
            net_cost: money(net),
            clearing: Money::ZERO,
            overdrawn_cells: 0,
        }
    }

    #[test]
    fn a_parent_that_is_not_its_own_cost_plus_its_children_is_named() {
        let period: BillingPeriod = "2026-01".parse().unwrap();
        let costs = [cost("A", "1"), cost("A/x", "2"), cost("A/x/y", "4"), cost("B/z", "8")];
        let mut rows = summary(&costs, &[]).unwrap();
        let found: Vec<_> = rows.iter().map(|row| (row.level, row.net_cost)).collect();
        let expected = [(0, "15"), (1, "7"), (1, "8"), (2, "6"), (2, "8"), (3, "4")];
        assert_eq!(found, expected.map(|(level, net)| (level, money(net))));
        assert_eq!(parents(period, &rows, &costs).unwrap(), Vec::<String>::new());
        rows[3].net_cost = money("6.0000000001");
        let found = parents(period, &rows, &costs).unwrap();
        assert_eq!(
            found,
            [
                "2026-01: A in USD is not its own cost plus its children",
                "2026-01: A/x in USD is not its own cost plus its children"
            ]
        );
    }

    #[test]
    fn what_is_drawn_but_not_applied_is_told_by_currency() {
        let period: BillingPeriod = "2026-01".parse().unwrap();
        let costs = [NodeCost { credits_applied: money("-3"), ..cost("A", "1") }, cost("B", "1")];
        let of = |usd: &str, eur: &str| BTreeMap::from([("USD".into(), money(usd)), ("EUR".into(), money(eur))]);
        assert_eq!(drawn(period, &of("3", "0"), &costs).unwrap(), Vec::<String>::new());
        assert_eq!(
            drawn(period, &of("3.0000000001", "2"), &costs).unwrap(),
            [
                "2026-01: what was drawn and what was applied to cells are 2.0000000000 EUR apart",
                "2026-01: what was drawn and what was applied to cells are 0.0000000001 USD apart"
            ]
        );
    }

    #[test]
    fn a_total_that_is_off_by_the_last_decimal_does_not_tie_out() {
        let period: BillingPeriod = "2026-01".parse().unwrap();
        let export = ExportTotal {
            billing_period: period,
            currency: "USD".into(),
            export_total: money("5.0000000001"),
            rows_read: 3,
            invoice_ids: None,
            lines_without_invoice: 3,
        };
        let totals =
            BTreeMap::from([(Text::new("USD"), PeriodTotals { invoice_net: money("5"), ..PeriodTotals::default() })]);
        let rows = reconcile(period, &[export], &totals, None).unwrap();
        assert_eq!(
            tie_out(period, &rows),
            ["2026-01: the export sums to 5.0000000001 USD but invoice_net to 5.0000000000: 0.0000000001 apart"]
        );
    }

    fn period() -> BillingPeriod {
        "2026-01".parse().unwrap()
    }

    #[test]
    fn each_figure_of_each_row_that_is_off_by_the_last_decimal_is_found() {
        let costs = [cost("A", "1"), cost("A/x", "2"), cost("B", "8")];
        let figures: [fn(&mut NetCostSummary) -> &mut Money; 7] = [
            |row| &mut row.gross_cost,
            |row| &mut row.refunds,
            |row| &mut row.aws_credits,
            |row| &mut row.invoice_net,
            |row| &mut row.credits_applied,
            |row| &mut row.net_cost,
            |row| &mut row.clearing,
        ];
        let rows = summary(&costs, &[]).unwrap();
        let off = |name: &str| format!("2026-01: {name} in USD is not its own cost plus its children");
        let names = [&["the whole"][..], &["the whole", "A"], &["the whole", "B"], &["A", "A/x"]];
        for figure in figures {
            for (index, names) in names.iter().enumerate() {
                let mut changed = rows.clone();
                let amount = figure(&mut changed[index]);
                *amount = amount.checked_add(money("0.0000000001")).unwrap();
                let expected: Vec<String> = names.iter().map(|name| off(name)).collect();
                assert_eq!(parents(period(), &changed, &costs).unwrap(), expected, "row {index}");
            }
        }
    }

    #[test]
    fn a_node_whose_row_is_missing_or_stands_for_nothing_is_named() {
        let costs = [cost("A", "1"), cost("A/x", "2")];
        let rows = summary(&costs, &[]).unwrap();
        let without_x: Vec<NetCostSummary> = rows.iter().filter(|row| row.level < 2).cloned().collect();
        let expected = [
            "2026-01: A in USD is not its own cost plus its children",
            "2026-01: A/x has cost in USD but no row in the summary",
        ];
        assert_eq!(parents(period(), &without_x, &costs).unwrap(), expected);
        let invented = summary(&[cost("A", "1"), cost("A/x", "2"), cost("Gone/y", "4")], &[]).unwrap();
        let found = parents(period(), &invented, &costs).unwrap();
        let expected = "2026-01: Gone/y in USD is not its own cost plus its children";
        assert_eq!(found, [expected], "all above it add up, it does not");
        let of_euros = [NodeCost { currency: "EUR".into(), ..cost("A", "1") }];
        let found = parents(period(), &summary(&of_euros, &[]).unwrap(), &costs[..1]).unwrap();
        let expected = [
            "2026-01: A in EUR is not its own cost plus its children",
            "2026-01: A has cost in USD but no row in the summary",
        ];
        assert_eq!(found, expected, "currencies never stand for each other");
    }

    #[test]
    fn an_export_of_several_currencies_ties_out_in_each_with_what_waits_and_what_was_read() {
        let total = |period: &str, currency: &str, total: &str, invoices: Option<&str>| ExportTotal {
            billing_period: period.parse().unwrap(),
            currency: currency.into(),
            export_total: money(total),
            rows_read: 3,
            invoice_ids: invoices.map(Text::new),
            lines_without_invoice: 1,
        };
        let export = [
            total("2025-12", "USD", "99", None),
            total("2026-01", "EUR", "7", None),
            total("2026-01", "USD", "5", Some("INV-1,INV-2")),
        ];
        let costs = [
            NodeCost { currency: "EUR".into(), ..cost("A", "7") },
            NodeCost { net_cost: money("2"), clearing: money("3"), ..cost("A", "5") },
            NodeCost { currency: "CHF".into(), ..cost("A", "0.0000000001") },
        ];
        let waiting = BTreeMap::from([("USD".into(), money("-4"))]);
        let rows = reconcile(period(), &export, &period_totals(&costs).unwrap(), Some(&waiting)).unwrap();
        let told = rows.iter().map(|row| {
            let Reconciliation { currency, export_total, invoice_net, net_cost, clearing, .. } = row;
            format!(
                "{currency} {export_total} {invoice_net} {net_cost} {clearing} {} {} {}",
                row.unallocated_aws_credits,
                row.rows_read,
                row.invoice_ids.as_deref().unwrap_or("-")
            )
        });
        let expected = [
            "CHF 0.0000000000 0.0000000001 0.0000000001 0.0000000000 0.0000000000 0 -",
            "EUR 7.0000000000 7.0000000000 7.0000000000 0.0000000000 0.0000000000 3 -",
            "USD 5.0000000000 5.0000000000 2.0000000000 3.0000000000 -4.0000000000 3 INV-1,INV-2",
        ];
        assert_eq!(told.collect::<Vec<_>>(), expected);
        let expected =
            "2026-01: the export sums to 0.0000000000 CHF but invoice_net to 0.0000000001: -0.0000000001 apart";
        assert_eq!(tie_out(period(), &rows), [expected], "cost in a currency that the export does not have");
    }

    #[test]
    fn a_month_that_the_export_has_and_no_cell_does_not_tie_out() {
        let export = ExportTotal {
            billing_period: period(),
            currency: "USD".into(),
            export_total: money("-0.0000000001"),
            rows_read: 1,
            invoice_ids: None,
            lines_without_invoice: 1,
        };
        let rows = reconcile(period(), std::slice::from_ref(&export), &BTreeMap::new(), None).unwrap();
        let expected =
            "2026-01: the export sums to -0.0000000001 USD but invoice_net to 0.0000000000: -0.0000000001 apart";
        assert_eq!(tie_out(period(), &rows), [expected]);
        let cancelled = ExportTotal { export_total: Money::ZERO, ..export };
        let rows = reconcile(period(), &[cancelled], &BTreeMap::new(), None).unwrap();
        assert_eq!((rows[0].rows_read, tie_out(period(), &rows)), (1, Vec::new()), "lines that cancel");
    }
}
