//! Scenarios: lots and spend go through the book, and what it left is explained. How they are written: `fixtures.rs`.

use std::collections::BTreeMap;

use credit_ledger::{BillingPeriod, Ledger, Node};
use schemas::tables::{Cell, CreditBalance, LotRow};

use super::*;
use crate::book::CreditBook;
use crate::fixtures::{cell, lot_row, money};

fn cost(cell: &Cell) -> NetCost {
    NetCost {
        usage_date: cell.usage_date,
        payer_account_id: cell.payer_account_id.clone(),
        account_id: cell.account_id.clone(),
        service: cell.service.clone(),
        currency: cell.currency.clone(),
        business_unit: cell.business_unit.clone(),
        department: cell.department.clone(),
        portfolio: cell.portfolio.clone(),
        product: cell.product.clone(),
        charges: cell.charges,
        tax: cell.tax,
        gross_cost: cell.charges.checked_add(cell.tax).unwrap(),
        refunds: Money::ZERO,
        aws_credits: Money::ZERO,
        invoice_net: Money::ZERO,
        credits_applied: Money::ZERO,
        net_cost: Money::ZERO,
        clearing: Money::ZERO,
        eligible_charges: cell.eligible_charges,
    }
}

/// By credit and month: what is said where something was left.
fn explained(as_of: &str, text: &str) -> BTreeMap<(String, String), Unused> {
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    let of = |kind: &str| lines.iter().filter(|words| words.first() == Some(&kind)).cloned().collect::<Vec<_>>();
    let rows: Vec<LotRow> = of("credit").iter().map(|words| lot_row(words)).collect();
    let mut cells: Vec<Cell> = of("spend").iter().map(|words| cell(words)).collect();
    cells.sort_by_key(|cell| (cell.usage_date, cell.service.clone(), cell.business_unit.clone()));
    let (policy, as_of): (_, NaiveDate) = (Policy::IssueDate, as_of.parse().unwrap());
    let mut book = CreditBook::open(policy, as_of, &rows, &[]).unwrap();
    let lots: Vec<Lot> = book.lots().cloned().collect();
    let order = FifoOrder::of(&lots);
    assert_eq!(Ledger::open(policy, as_of, lots.clone()).lots().cloned().collect::<Vec<_>>(), lots, "FIFO order");
    let mut explained = BTreeMap::new();
    for period in book.first_period().unwrap().through(BillingPeriod::of(as_of)) {
        let of_month: Vec<Cell> = cells.iter().filter(|cell| period.contains(cell.usage_date)).cloned().collect();
        let mut reader = book.spend_reader(period);
        reader.read(&schemas::to_batch(&of_month).unwrap()).unwrap();
        let applied = book.apply(reader.into_spend()).unwrap();
        let batches: Vec<_> = applied.consumption.map(Result::unwrap).collect();
        let draws: Vec<CreditConsumption> = schemas::from_batches(&batches).unwrap();
        let costs: Vec<NetCost> = of_month.iter().map(cost).collect();
        let is_left = |row: &&CreditBalance| row.remaining.is_positive() || row.expired.is_positive();
        for row in applied.balances.iter().filter(is_left) {
            let lot = lots.iter().find(|lot| lot.credit_key == row.credit_key).unwrap();
            let rest = (row.remaining, row.expired);
            let found = unused(lot, (policy, period), rest, &costs, &draws, &order).unwrap();
            let parts = [found.eligible, found.outside_window, found.not_eligible, found.tax];
            assert_eq!(Money::total(parts).unwrap(), found.gross_cost, "{found:?}");
            assert_eq!((found.undrawn, found.later.len(), found.drawn), (Money::ZERO, 0, row.used), "{found:?}");
            explained.insert((row.credit_key.to_string(), period.to_string()), found);
        }
    }
    explained
}

/// Reason, eligible, drawn, taken by earlier lots, outside of the window, not eligible, tax.
fn brief(unused: &Unused) -> String {
    let whole = |money: Money| money.to_string().split('.').next().unwrap().to_owned();
    let earlier: Vec<String> =
        unused.earlier.iter().map(|taken| format!("{} {}", taken.credit_key, whole(taken.used))).collect();
    let [eligible, drawn, outside, not, tax] =
        [unused.eligible, unused.drawn, unused.outside_window, unused.not_eligible, unused.tax].map(whole);
    let earlier = earlier.join(" ");
    format!("{:?}: {eligible} = {drawn} + [{earlier}], outside {outside}, not {not}, tax {tax}", unused.reason)
}

fn told(explained: &BTreeMap<(String, String), Unused>, credit: &str, period: &str) -> String {
    brief(&explained[&(credit.to_owned(), period.to_owned())])
}

#[test]
fn credit_whose_node_has_no_cost_has_no_spend() {
    let found = explained(
        "2026-02-28",
        "credit A 100 issued 2026-01-31 ends - to Retail/Shop
         spend 2026-01-31 Retail/Web 10 EC2
         spend 2026-02-01 Retail 10 EC2
         spend 2026-02-02 Media/Shop 10 EC2",
    );
    assert_eq!(told(&found, "A", "2026-01"), "NoSpend: 0 = 0 + [], outside 0, not 0, tax 0");
    assert_eq!(told(&found, "A", "2026-02"), "NoSpend: 0 = 0 + [], outside 0, not 0, tax 0");
}

#[test]
fn cost_that_no_credit_may_offset_is_told_by_service_and_tax() {
    let found = explained(
        "2026-01-31",
        "credit A 100 issued 2026-01-01 ends - to Retail
         spend 2026-01-05 Retail/Web 30 Market of 0 tax 5
         spend 2026-01-06 Retail 7 Domains of 0
         spend 2026-01-07 Retail -9 Discount",
    );
    assert_eq!(told(&found, "A", "2026-01"), "NothingEligible: 0 = 0 + [], outside 0, not 28, tax 5");
    let services = &found[&("A".to_owned(), "2026-01".to_owned())].not_eligible_services;
    let services: Vec<_> = services.iter().map(|of| of.service.clone().unwrap().to_string()).collect();
    assert_eq!(services, ["Market", "Domains", "Discount"]);
}

#[test]
fn spend_after_the_end_lies_outside_of_the_window() {
    let found = explained(
        "2026-03-31",
        "credit A 100 issued 2026-01-31 ends 2026-03-15 to Retail
         spend 2026-02-03 Retail 10 EC2
         spend 2026-03-16 Retail/Web 40 EC2",
    );
    assert_eq!(told(&found, "A", "2026-02"), "LessSpend: 10 = 10 + [], outside 0, not 0, tax 0");
    assert_eq!(told(&found, "A", "2026-03"), "OutsideWindow: 0 = 0 + [], outside 40, not 0, tax 0");
    let march = &found[&("A".to_owned(), "2026-03".to_owned())];
    assert_eq!((march.remaining, march.expired), (Money::ZERO, money("90")));
    assert_eq!(march.window.map(|(first, last)| format!("{first} {last}")).unwrap(), "2026-03-01 2026-03-15");
}

#[test]
fn earlier_lots_that_took_all_are_named_in_their_order() {
    let found = explained(
        "2026-02-28",
        "credit C 100 issued 2026-01-20 ends - to Retail
         credit B 15 issued 2026-01-10 ends - to Retail
         credit A 10 issued 2026-01-15 ends - to Retail/Web
         spend 2026-01-31 Retail/Web 20 EC2
         spend 2026-02-05 Retail 7 EC2",
    );
    assert_eq!(told(&found, "C", "2026-01"), "EarlierLots: 20 = 0 + [B 15 A 5], outside 0, not 0, tax 0");
    assert_eq!(told(&found, "A", "2026-01"), "LessSpend: 20 = 5 + [B 15], outside 0, not 0, tax 0");
    assert_eq!(told(&found, "A", "2026-02"), "NoSpend: 0 = 0 + [], outside 0, not 0, tax 0");
    assert_eq!(told(&found, "C", "2026-02"), "LessSpend: 7 = 7 + [], outside 0, not 0, tax 0");
}

#[test]
fn lot_that_is_used_up_may_have_left_spend_to_later_ones() {
    let lots =
        [Lot { amount: money("5"), ..lot("A", "2026-01-01") }, Lot { amount: money("50"), ..lot("B", "2026-01-02") }];
    let spend = cost(&cell(&["spend", "2026-01-05", "Retail", "30", "EC2"]));
    let draw = |key: &str, used: &str| CreditConsumption {
        credit_key: key.into(),
        lot: 1,
        credit_business_unit: Some("Retail".into()),
        credit_department: None,
        credit_portfolio: None,
        credit_product: None,
        usage_date: spend.usage_date,
        payer_account_id: "9".into(),
        account_id: "1".into(),
        service: Some("EC2".into()),
        currency: "USD".into(),
        business_unit: Some("Retail".into()),
        department: None,
        portfolio: None,
        product: None,
        used: money(used),
        fifo_rank: 1,
        policy: "fifo_issue_date/v1".into(),
    };
    let draws = [draw("A", "5"), draw("B", "20")];
    let month = (Policy::IssueDate, "2026-01".parse().unwrap());
    let rest = (Money::ZERO, Money::ZERO);
    let found = unused(&lots[0], month, rest, std::slice::from_ref(&spend), &draws, &FifoOrder::of(&lots)).unwrap();
    assert_eq!((found.later[0].used, found.undrawn), (money("20"), money("5")), "later lots, and nobody");
}

fn lot(key: &str, issued: &str) -> Lot {
    Lot {
        credit_key: key.into(),
        lot: 1,
        promotion_code: key.into(),
        account_id: "1".into(),
        node: Node::from_levels([Some("Retail"), None, None, None]).unwrap(),
        currency: "USD".into(),
        amount: Money::ZERO,
        issue_date: issued.parse().unwrap(),
        first_cur_date: issued.parse().unwrap(),
        end_date: None,
        continues: None,
    }
}
