//! The book by its calls: what it is opened and taken up with, and what it tells of a month.

use std::sync::Mutex;

use super::*;
use crate::{Breach, Continues, PostingCheck, Text};

fn money(text: &str) -> Money {
    text.parse().unwrap()
}

fn month(text: &str) -> BillingPeriod {
    text.parse().unwrap()
}

fn node(path: &str) -> Node {
    let mut names = path.split('/');
    Node::from_levels(std::array::from_fn(|_| names.next())).unwrap()
}

/// A lot at `Retail` without an end, whose first line came on the day after its issue.
fn lot(key: &str, amount: &str, issued: &str) -> Lot {
    let issue_date: NaiveDate = issued.parse().unwrap();
    Lot {
        credit_key: key.into(),
        lot: 1,
        promotion_code: key.into(),
        account_id: "1".into(),
        node: node("Retail"),
        currency: "USD".into(),
        amount: money(amount),
        issue_date,
        first_cur_date: issue_date.succ_opt().unwrap(),
        end_date: None,
        continues: None,
    }
}

fn ends(lot: Lot, day: &str) -> Lot {
    Lot { end_date: day.parse().ok(), ..lot }
}

fn at(lot: Lot, path: &str) -> Lot {
    Lot { node: node(path), ..lot }
}

fn open(policy: Policy, as_of: &str, lots: &[Lot]) -> Ledger {
    Ledger::open(policy, as_of.parse().unwrap(), lots.to_vec())
}

/// Cells in US dollars by key: day, node, what is eligible.
fn spend(period: &str, cells: &[(&str, &str, &str)]) -> Spend {
    let (mut spend, mut places) = (Spend::new(month(period)), BTreeMap::new());
    for (day, path, eligible) in cells {
        let place = *places.entry(*path).or_insert_with(|| spend.add_place("USD".into(), node(path)));
        spend.add(place, day.parse().unwrap(), money(eligible));
    }
    spend
}

type Draws = BTreeMap<usize, Vec<Draw>>;

fn post(ledger: &mut Ledger, spend: &Spend) -> (Posting, Draws) {
    let draws: Mutex<Draws> = Mutex::default();
    let sink = |lot: usize, drawn: &[Draw]| {
        draws.lock().unwrap().insert(lot, drawn.to_vec());
        Ok::<(), LedgerError>(())
    };
    let posting = ledger.post(spend, sink).unwrap();
    let draws = draws.into_inner().unwrap();
    assert_eq!(breaches(ledger, spend, &posting, &draws), [], "invariants");
    (posting, draws)
}

fn breaches(ledger: &Ledger, spend: &Spend, posting: &Posting, draws: &Draws) -> Vec<Breach> {
    let mut check = PostingCheck::new(ledger, spend, posting, |cell| format!("cell {cell}"));
    for (lot, drawn) in draws {
        check.add(*lot, drawn).unwrap();
    }
    check.finish().unwrap()
}

fn short(money: Money) -> String {
    money.to_string().trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// `A 0:5 + 2:1 leaves 4`: what each lot draws of which cells, and what is left of it.
fn told(ledger: &mut Ledger, spend: &Spend) -> Vec<String> {
    let (posting, draws) = post(ledger, spend);
    let line = |balance: &Balance| {
        let drawn = draws.get(&balance.lot).into_iter().flatten();
        let drawn: Vec<String> = drawn.map(|draw| format!("{}:{}", draw.cell, short(draw.used))).collect();
        let lost = if balance.expired.is_zero() { String::new() } else { format!(" loses {}", short(balance.expired)) };
        let key = &ledger.lot(balance.lot).unwrap().credit_key;
        format!("{key} {}{lost} leaves {}", drawn.join(" + "), short(balance.remaining))
    };
    posting.balances.iter().map(line).collect()
}

#[test]
fn each_policy_draws_on_the_days_of_its_window_and_no_others() {
    let january = || spend("2026-01", &[("2026-01-10", "Retail", "60"), ("2026-01-31", "Retail", "20")]);
    let february = || spend("2026-02", &[("2026-02-01", "Retail", "30")]);
    for (policy, expected) in [
        (Policy::IssueDate, ["A 0:60 + 1:20 leaves 20", "A 0:20 leaves 0"]),
        (Policy::IssueDay, ["A 1:20 leaves 80", "A 0:30 leaves 50"]),
        (Policy::AppliedMonth, ["A  leaves 100", "A 0:30 leaves 70"]),
    ] {
        let mut ledger = open(policy, "2026-02-28", &[lot("A", "100", "2026-01-31")]);
        let found = [told(&mut ledger, &january()), told(&mut ledger, &february())].concat();
        assert_eq!(found, expected, "{policy}");
    }
}

#[test]
fn a_credit_that_was_dated_later_by_hand_has_all_of_its_amount_in_the_month_of_its_issue() {
    let dated = Lot { first_cur_date: "2026-01-10".parse().unwrap(), ..lot("A", "100", "2026-03-20") };
    for policy in Policy::ALL {
        let mut ledger = open(policy, "2026-03-31", std::slice::from_ref(&dated));
        for period in ["2026-01", "2026-02"] {
            let day = format!("{period}-25");
            assert_eq!(told(&mut ledger, &spend(period, &[(day.as_str(), "Retail", "60")])), [""; 0], "{policy}");
        }
        let (posting, _) = post(&mut ledger, &spend("2026-03", &[("2026-03-25", "Retail", "60")]));
        let balance = posting.balances[0];
        assert_eq!(
            (balance.issued, balance.used, balance.remaining),
            (money("100"), money("60"), money("40")),
            "{policy}"
        );
    }
}

#[test]
fn a_department_serves_its_products_in_proportion_and_the_last_unit_goes_to_the_first_cell() {
    let cells = [
        ("2026-01-05", "Retail/Online/A", "1"),
        ("2026-01-05", "Retail/Online/B", "1"),
        ("2026-01-06", "Retail/Online", "1"),
    ];
    let mut ledger = open(Policy::IssueDate, "2026-01-31", &[at(lot("A", "1", "2026-01-01"), "Retail/Online")]);
    assert_eq!(
        told(&mut ledger, &spend("2026-01", &cells)),
        ["A 0:0.3333333334 + 1:0.3333333333 + 2:0.3333333333 leaves 0"]
    );
    let mut ledger =
        open(Policy::IssueDate, "2026-01-31", &[at(lot("A", "0.0000000002", "2026-01-01"), "Retail/Online")]);
    let told = told(&mut ledger, &spend("2026-01", &cells));
    assert_eq!(told, ["A 0:0.0000000001 + 1:0.0000000001 leaves 0"], "nothing is no draw");
}

#[test]
fn the_second_lot_spreads_over_what_the_first_has_left_of_each_cell() {
    let lots = [at(lot("A", "30", "2026-01-01"), "Retail/Online"), lot("B", "40", "2026-01-02")];
    let cells = [("2026-01-05", "Retail/Online", "60"), ("2026-01-06", "Retail/Shops", "50")];
    let mut ledger = open(Policy::IssueDate, "2026-01-31", &lots);
    assert_eq!(told(&mut ledger, &spend("2026-01", &cells)), ["A 0:30 leaves 0", "B 0:15 + 1:25 leaves 0"]);
}

#[test]
fn spend_below_zero_and_of_other_units_or_currencies_is_never_drawn_on() {
    let mut month = spend(
        "2026-01",
        &[("2026-01-05", "Retail", "-5"), ("2026-01-05", "Media", "7"), ("2026-01-06", "Retail", "0")],
    );
    let euros = month.add_place("EUR".into(), node("Retail"));
    month.add(euros, "2026-01-07".parse().unwrap(), money("9"));
    let lots = [lot("A", "10", "2026-01-01"), Lot { currency: "EUR".into(), ..lot("B", "4", "2026-01-01") }];
    let mut ledger = open(Policy::IssueDate, "2026-01-31", &lots);
    assert_eq!(told(&mut ledger, &month), ["A  leaves 10", "B 3:4 leaves 0"]);
}

#[test]
fn a_day_outside_of_the_month_is_drawn_on_as_its_first_or_last_day() {
    let cells = [("2025-11-30", "Retail", "1"), ("2026-01-15", "Retail", "2"), ("2026-02-03", "Retail", "4")];
    let lots = [ends(lot("A", "9", "2026-01-01"), "2026-01-01"), ends(lot("B", "9", "2026-01-31"), "2026-12-31")];
    let mut ledger = open(Policy::IssueDay, "2026-01-31", &lots);
    assert_eq!(told(&mut ledger, &spend("2026-01", &cells)), ["A 0:1 loses 8 leaves 0", "B 2:4 leaves 5"]);
}

#[test]
fn amounts_of_10_to_the_15th_are_spread_to_the_last_unit() {
    let cells =
        [("2026-01-05", "Retail/A", "1000000000000000"), ("2026-01-05", "Retail/B", "999999999999999.9999999999")];
    let mut ledger = open(Policy::IssueDate, "2026-01-31", &[lot("A", "1000000000000000", "2026-01-01")]);
    let expected = ["A 0:500000000000000 + 1:500000000000000 leaves 0"];
    assert_eq!(told(&mut ledger, &spend("2026-01", &cells)), expected);
    let most = "9999999999999999999999999999.9999999999";
    let mut ledger = open(Policy::IssueDate, "2026-01-31", &[lot("A", most, "2026-01-01")]);
    let cells = [("2026-01-05", "Retail", most), ("2026-01-06", "Retail", most)];
    let refused = ledger.post(&spend("2026-01", &cells), |_, _| Ok::<(), LedgerError>(())).unwrap_err();
    let expected = "billing period 2026-01: amount out of range: more than 38 digits at 10 decimals";
    assert_eq!(refused.to_string(), expected, "what is spent in all is no amount");
}

#[test]
fn a_sink_that_fails_ends_the_posting_with_its_error() {
    #[derive(Debug, PartialEq)]
    enum Failed {
        Ledger(LedgerError),
        DiskFull,
    }
    impl From<LedgerError> for Failed {
        fn from(error: LedgerError) -> Self {
            Self::Ledger(error)
        }
    }
    let mut ledger = open(Policy::IssueDate, "2026-01-31", &[lot("A", "1", "2026-01-01")]);
    let drawn = spend("2026-01", &[("2026-01-05", "Retail", "1")]);
    assert_eq!(ledger.clone().post(&drawn, |_, _| Err(Failed::DiskFull)), Err(Failed::DiskFull));
    let idle = spend("2026-01", &[("2026-01-05", "Media", "1")]);
    assert!(ledger.post(&idle, |_, _| Err(Failed::DiskFull)).is_ok(), "nobody drew");
    let (period, posted) = (month("2026-01"), month("2026-01"));
    let again = ledger.post(&idle, |_, _| Err(Failed::DiskFull));
    assert_eq!(again, Err(Failed::Ledger(LedgerError::OutOfOrder { period, posted })));
}

/// What is left after a month, as balances say it.
fn left(ledger: &Ledger, posting: &Posting) -> Vec<(Text, i32, Money)> {
    let of = |balance: &Balance| {
        let lot = ledger.lot(balance.lot)?;
        Some((lot.credit_key.clone(), lot.lot, balance.remaining))
    };
    posting.balances.iter().filter_map(of).collect()
}

fn by_name(left: &[(Text, i32, Money)]) -> HashMap<(&str, i32), Money> {
    left.iter().map(|(key, lot, remaining)| ((key.as_str(), *lot), *remaining)).collect()
}

#[test]
fn a_book_that_is_taken_up_after_a_month_goes_on_as_the_one_that_was_not_put_down() {
    let moved = Lot {
        lot: 2,
        amount: Money::ZERO,
        continues: Some(Continues { lot: 1, from_period: month("2026-02") }),
        ..at(lot("A", "0", "2026-01-01"), "Media")
    };
    let lots = [
        lot("A", "100", "2026-01-01"),
        moved,
        ends(lot("B", "50", "2026-01-02"), "2026-02-15"),
        lot("C", "9", "2026-03-01"),
    ];
    let january = spend("2026-01", &[("2026-01-05", "Retail", "30")]);
    let february = spend("2026-02", &[("2026-02-05", "Media", "20"), ("2026-02-05", "Retail", "10")]);
    let march = spend("2026-03", &[("2026-03-05", "Media", "60"), ("2026-03-05", "Retail", "5")]);
    let mut whole = open(Policy::IssueDate, "2026-03-31", &lots);
    let after_january = post(&mut whole, &january).0;
    let after_january = left(&whole, &after_january);
    let expected = ["A  leaves 0", "A 0:20 leaves 50", "B 1:10 loses 40 leaves 0"];
    let mut taken_up = open(Policy::IssueDate, "2026-03-31", &lots);
    assert!(taken_up.resume(month("2026-01"), &by_name(&after_january)));
    assert_eq!(told(&mut whole, &february), expected);
    assert_eq!(told(&mut taken_up, &february), expected);
    let expected = ["A  leaves 0", "A 0:50 leaves 0", "B  leaves 0", "C 1:5 leaves 4"];
    assert_eq!(told(&mut whole, &march), expected);
    assert_eq!(told(&mut taken_up, &march), expected);
}

#[test]
fn a_book_of_other_lots_is_not_taken_up_and_stays_as_it_was() {
    let lots = [lot("A", "100", "2026-01-01"), lot("B", "50", "2026-02-01")];
    let january = month("2026-01");
    let mut ledger = open(Policy::IssueDate, "2026-02-28", &lots);
    for (case, left) in [
        ("a lot is gone", vec![]),
        ("one more", vec![(("A", 1), money("70")), (("Z", 1), money("1"))]),
        ("another number", vec![(("A", 2), money("70"))]),
        ("one that did not count yet", vec![(("A", 1), money("70")), (("B", 1), money("50"))]),
    ] {
        assert!(!ledger.resume(january, &left.into_iter().collect()), "{case}");
    }
    let spent = spend("2026-01", &[("2026-01-05", "Retail", "30")]);
    assert_eq!(told(&mut ledger.clone(), &spent), ["A 0:30 leaves 70"], "from the beginning");
    assert!(ledger.resume(january, &HashMap::from([(("A", 1), money("70"))])));
    let refused = ledger.clone().post(&spent, |_, _| Ok::<(), LedgerError>(())).unwrap_err();
    assert_eq!(refused.to_string(), "billing period 2026-01 cannot follow 2026-01");
}

#[test]
fn cells_matter_where_an_open_lot_or_one_that_comes_in_the_month_may_draw() {
    let moved = Lot {
        lot: 2,
        amount: Money::ZERO,
        continues: Some(Continues { lot: 1, from_period: month("2026-02") }),
        ..at(lot("A", "0", "2026-01-01"), "Media")
    };
    let lots = [
        lot("A", "10", "2026-01-01"),
        moved,
        ends(at(lot("B", "1", "2026-01-02"), "Finance"), "2026-01-31"),
        at(lot("C", "1", "2026-03-02"), "Logistics"),
    ];
    let mut ledger = open(Policy::IssueDate, "2026-03-31", &lots);
    let places = |ledger: &Ledger, period: &str| -> Vec<String> {
        ledger.open_lots(month(period)).map(|(currency, node)| format!("{node} {currency}")).collect()
    };
    assert_eq!(ledger.first_period(), Some(month("2026-01")));
    assert_eq!(open(Policy::IssueDate, "2026-03-31", &[]).first_period(), None);
    assert_eq!(places(&ledger, "2026-01"), ["Retail USD", "Finance USD"]);
    post(&mut ledger, &spend("2026-01", &[]));
    assert_eq!(places(&ledger, "2026-02"), ["Retail USD", "Media USD"], "what moves has not moved yet");
    post(&mut ledger, &spend("2026-02", &[]));
    assert_eq!(places(&ledger, "2026-03"), ["Media USD", "Logistics USD"]);
}

#[test]
fn lots_of_one_credit_come_by_node_then_number_and_a_moved_one_keeps_its_place() {
    let numbered = |number: i32, path: &str| Lot { lot: number, ..at(lot("A", "1", "2026-01-01"), path) };
    let moved = Lot {
        continues: Some(Continues { lot: 3, from_period: month("2026-02") }),
        amount: Money::ZERO,
        ..numbered(4, "Zebra")
    };
    let lots =
        [moved, numbered(1, "Retail/Shops"), numbered(2, "Retail"), numbered(3, "Media"), lot("0", "1", "2026-01-02")];
    let ledger = open(Policy::IssueDate, "2026-02-28", &lots);
    let order: Vec<String> = ledger.lots().map(|lot| format!("{} {} {}", lot.credit_key, lot.lot, lot.node)).collect();
    assert_eq!(order, ["A 3 Media", "A 4 Zebra", "A 2 Retail", "A 1 Retail/Shops", "0 1 Retail"]);
}

#[test]
fn balances_that_do_not_add_up_are_named_with_their_lot() {
    let mut ledger = open(Policy::IssueDate, "2026-01-31", &[lot("A", "10", "2026-01-01")]);
    let month = spend("2026-01", &[("2026-01-05", "Retail", "4")]);
    let (posting, draws) = post(&mut ledger, &month);
    let found = |change: fn(&mut Balance)| {
        let mut changed = posting.clone();
        change(&mut changed.balances[0]);
        let found = breaches(&ledger, &month, &changed, &draws);
        found.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let of_lot = |what: &str| format!("2026-01: credit A lot 1: {what}");
    let off = "balance does not add up: 10.0000000000 is not 10.0000000001";
    assert_eq!(found(|balance| balance.remaining = money("6.0000000001")), [of_lot(off)]);
    let negative = |balance: &mut Balance| {
        (balance.expired, balance.remaining) = (money("7"), money("-1"));
    };
    assert_eq!(found(negative), [of_lot("-1.0000000000 of its balance is below zero")], "though it adds up");
    let unpaid = |balance: &mut Balance| {
        (balance.used, balance.remaining) = (money("5"), money("5"));
    };
    assert_eq!(found(unpaid), [of_lot("used is not the sum of its draws")]);
}

#[test]
fn where_all_is_wrong_a_hundred_breaches_of_a_kind_are_told() {
    let cells =
        (1..=28).cycle().zip(1..=150).map(|(day, number)| (format!("2026-01-{day:02}"), format!("Retail/{number:03}")));
    let cells: Vec<(String, String)> = cells.collect();
    let mut cells: Vec<(&str, &str, &str)> =
        cells.iter().map(|(day, path)| (day.as_str(), path.as_str(), "1")).collect();
    cells.sort();
    let month = spend("2026-01", &cells);
    let mut ledger = open(Policy::IssueDate, "2026-01-31", &[lot("A", "150", "2026-01-01")]);
    let (posting, mut draws) = post(&mut ledger, &month);
    for draw in draws.values_mut().flatten() {
        draw.used = money("2");
    }
    let found = breaches(&ledger, &month, &posting, &draws);
    let overdrawn = found.iter().filter(|breach| breach.what.ends_with("2.0000000000 drawn of 1.0000000000 eligible"));
    assert_eq!((overdrawn.count(), found.len()), (100, 101), "and that used is not the sum of the draws");
}
