//! Tables of cost by account, service and day, of cost lines, and of the draws that credits applied are made of.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use application::Failure;
use chrono::NaiveDate;
use credit_ledger::{Money, MoneyError, Node, Text};
use maud::{Markup, html};
use schemas::NodeColumns;
use schemas::tables::{CreditConsumption, NetCost};

use super::address::{NO_SERVICE, link};
use super::books::{self, Amounts};
use crate::asked::Asked;
use crate::format::money_in;
use crate::pages::credit_address;
use crate::sheet::{Sheet, column};

/// Cost of an account and a service.
pub(super) struct Spent {
    pub(super) account_id: Text,
    pub(super) service: Option<Text>,
    pub(super) currency: Text,
    pub(super) amounts: Amounts,
}

/// Cost of a day.
pub(super) struct Day {
    pub(super) usage_date: NaiveDate,
    pub(super) currency: Text,
    pub(super) amounts: Amounts,
}

/// What a lot took off.
pub(super) struct ByCredit {
    pub(super) credit_key: Text,
    pub(super) lot: i32,
    /// Of the lot.
    pub(super) node: Option<Node>,
    pub(super) currency: Text,
    pub(super) used: Money,
}

fn path<E>(node: Result<Node, E>) -> Option<Text> {
    node.ok().map(|node| node.to_string().into())
}

/// The largest first; account and service lead further down.
pub(super) fn by_account_and_service(asked: &Asked, months: &str, mut rows: Vec<Spent>) -> Sheet {
    rows.sort_by_cached_key(|row| {
        let [gross_cost, ..] = row.amounts;
        (row.currency.clone(), Reverse(gross_cost), row.account_id.clone(), row.service.clone())
    });
    let of_service = asked.filter.stated("service").unwrap_or_default();
    let account = |row: &Spent| link(asked, &[("account", row.account_id.as_str()), ("service", of_service)]);
    let both = |row: &Spent| {
        let service = row.service.as_deref().unwrap_or(NO_SERVICE);
        link(asked, &[("account", row.account_id.as_str()), ("service", service)])
    };
    let title = format!("By account and service, {months}");
    let sheet = Sheet::new("by_account_and_service", title, "No cost in these months.")
        .column("account_id", "Account", column(&rows, |row| row.account_id.clone()))
        .links(rows.iter().map(|row| Some(account(row))))
        .column("service", "Service", column(&rows, |row| row.service.clone()))
        .links(rows.iter().map(|row| Some(both(row))))
        .column("currency", "Currency", column(&rows, |row| row.currency.clone()));
    books::add_to(sheet, &rows, |row| row.amounts)
}

/// The credits that were applied, the largest first.
pub(super) fn by_credit(months: &str, mut rows: Vec<ByCredit>) -> Sheet {
    rows.sort_by_cached_key(|row| (row.currency.clone(), Reverse(row.used), row.credit_key.clone(), row.lot));
    let node = |row: &ByCredit| row.node.as_ref().map(|node| Text::from(node.to_string()));
    let title = format!("Credits that were applied, {months}");
    Sheet::new("by_credit", title, "No credit was applied in these months.")
        .column("credit_key", "Credit", column(&rows, |row| row.credit_key.clone()))
        .links(rows.iter().map(|row| Some(credit_address(&row.credit_key))))
        .column("lot", "Lot", column(&rows, |row| row.lot))
        .column("credit_node", "Allocated to", column(&rows, node))
        .column("currency", "Currency", column(&rows, |row| row.currency.clone()))
        .summed("used", "Used", column(&rows, |row| row.used))
}

pub(super) fn by_day(months: &str, days: &[Day]) -> Sheet {
    let sheet = Sheet::new("by_day", format!("By day, {months}"), "No cost in these months.")
        .column("usage_date", "Day", column(days, |row| row.usage_date))
        .column("currency", "Currency", column(days, |row| row.currency.clone()));
    books::add_to(sheet, days, |row| row.amounts)
}

/// Rows of `net_cost` as they are published.
pub(super) fn cost_lines(rows: &[NetCost]) -> Sheet {
    let sheet = Sheet::new("cost_lines", "Cost lines", "No cost in these months.")
        .column("usage_date", "Day", column(rows, |row| row.usage_date))
        .in_files("payer_account_id", column(rows, |row| row.payer_account_id.clone()))
        .in_files("account_id", column(rows, |row| row.account_id.clone()))
        .column("service", "Service", column(rows, |row| row.service.clone()))
        .column("node", "Node", column(rows, |row| path(row.node())))
        .column("currency", "Currency", column(rows, |row| row.currency.clone()))
        .in_files("charges", column(rows, |row| row.charges))
        .in_files("tax", column(rows, |row| row.tax));
    books::add_to(sheet, rows, books::of_cell).in_files("eligible_charges", column(rows, |row| row.eligible_charges))
}

/// Rows of `credit_consumption`, each a link to its credit.
pub(super) fn draws(rows: &[CreditConsumption]) -> Sheet {
    let lot_node = |row: &CreditConsumption| {
        let levels = [&row.credit_business_unit, &row.credit_department, &row.credit_portfolio, &row.credit_product];
        path(Node::from_levels(levels.map(Option::as_deref)))
    };
    Sheet::new("draws", "Draws of credits", "No credit was applied to this cost.")
        .column("usage_date", "Day", column(rows, |row| row.usage_date))
        .column("credit_key", "Credit", column(rows, |row| row.credit_key.clone()))
        .links(rows.iter().map(|row| Some(credit_address(&row.credit_key))))
        .column("lot", "Lot", column(rows, |row| row.lot))
        .column("credit_node", "Allocated to", column(rows, lot_node))
        .in_files("payer_account_id", column(rows, |row| row.payer_account_id.clone()))
        .in_files("account_id", column(rows, |row| row.account_id.clone()))
        .column("service", "Service", column(rows, |row| row.service.clone()))
        .column("node", "Node", column(rows, |row| path(row.node())))
        .column("currency", "Currency", column(rows, |row| row.currency.clone()))
        .summed("used", "Used", column(rows, |row| row.used))
        .column("fifo_rank", "FIFO order", column(rows, |row| row.fifo_rank))
        .in_files("policy", column(rows, |row| row.policy.clone()))
}

/// That the draws are the credits applied, or where they are not.
pub(super) fn tie_out(days: &[Day], draws: &[CreditConsumption]) -> Result<Markup, Failure> {
    let off = unexplained(days, draws)?;
    Ok(html! {
        @if off.is_empty() {
            p.small { "The draws add up to credits applied by day, to the last decimal." }
        } @else {
            p.problem role="alert" {
                "The draws do not add up to credits applied by day: "
                @for (currency, amount) in &off { (money_in(*amount, currency)) " " }
            }
        }
    })
}

/// Credits applied and draws together, which is nothing, by currency.
fn unexplained(days: &[Day], draws: &[CreditConsumption]) -> Result<BTreeMap<Text, Money>, MoneyError> {
    let applied =
        days.iter().map(|Day { currency, amounts: [_, _, credits_applied, ..], .. }| (currency, *credits_applied));
    let mut sums: BTreeMap<Text, Money> = BTreeMap::new();
    for (currency, amount) in applied.chain(draws.iter().map(|draw| (&draw.currency, draw.used))) {
        let sum = sums.entry(currency.clone()).or_default();
        *sum = sum.checked_add(amount)?;
    }
    sums.retain(|_, sum| !sum.is_zero());
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(text: &str) -> Money {
        text.parse().unwrap()
    }

    fn day(text: &str, currency: &str, applied: &str) -> Day {
        let mut amounts = Amounts::default();
        (amounts[0], amounts[2]) = (money("100"), money(applied));
        Day { usage_date: text.parse().unwrap(), currency: currency.into(), amounts }
    }

    fn draw(currency: &str, used: &str) -> CreditConsumption {
        CreditConsumption {
            credit_key: "id:1".into(),
            lot: 1,
            credit_business_unit: Some("Retail".into()),
            credit_department: None,
            credit_portfolio: None,
            credit_product: None,
            usage_date: "2026-09-01".parse().unwrap(),
            payer_account_id: "1".into(),
            account_id: "2".into(),
            service: None,
            currency: currency.into(),
            business_unit: Some("Retail".into()),
            department: None,
            portfolio: None,
            product: None,
            used: money(used),
            fifo_rank: 1,
            policy: "fifo_issue_date/v1".into(),
        }
    }

    #[test]
    fn draws_are_credits_applied_by_currency_to_the_last_decimal() {
        let days =
            [day("2026-09-01", "USD", "-7.0000000001"), day("2026-09-02", "USD", "-3"), day("2026-09-02", "EUR", "0")];
        let draws = [draw("USD", "4"), draw("USD", "6.0000000001")];
        assert!(unexplained(&days, &draws).unwrap().is_empty());
        let off = unexplained(&days, &[draw("USD", "10"), draw("EUR", "2")]).unwrap();
        assert_eq!(off, BTreeMap::from([("EUR".into(), money("2")), ("USD".into(), money("-0.0000000001"))]));
    }

    #[test]
    fn columns_of_the_books_stand_in_one_order() {
        let names = books::BOOKS.map(|(name, _)| name);
        assert_eq!((names[0], names[2]), ("gross_cost", "credits_applied"));
        let [business_unit, department, portfolio, product] = Node::unassigned().levels();
        let row = NetCost {
            usage_date: "2026-09-01".parse().unwrap(),
            payer_account_id: "1".into(),
            account_id: "2".into(),
            service: None,
            currency: "USD".into(),
            business_unit,
            department,
            portfolio,
            product,
            charges: money("1"),
            tax: money("2"),
            gross_cost: money("3"),
            refunds: money("4"),
            aws_credits: money("5"),
            invoice_net: money("6"),
            credits_applied: money("7"),
            net_cost: money("8"),
            clearing: money("9"),
            eligible_charges: money("10"),
        };
        let batch = schemas::to_batch(std::slice::from_ref(&row)).unwrap();
        for (name, amount) in names.into_iter().zip(books::of_cell(&row)) {
            let of_table = batch.column_by_name(name).unwrap();
            assert_eq!(column(&[amount], |amount| *amount).as_ref(), of_table.as_ref(), "{name}");
        }
    }
}
