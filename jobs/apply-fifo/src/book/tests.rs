//! Months of lots and spend, and the tables that they leave. How scenarios are written: `fixtures.rs`.

use credit_ledger::MoneyError;
use schemas::tables::CreditConsumption;

use super::*;
use crate::fixtures::{cell, cells_of, lines, lot_row, money, short};

fn lots(text: &str) -> Vec<LotRow> {
    lines(text, "credit").iter().map(|words| lot_row(words)).collect()
}

fn opened(policy: Policy, as_of: &str, text: &str) -> CreditBook {
    CreditBook::open(policy, as_of.parse().unwrap(), &lots(text), &[]).unwrap()
}

fn month(text: &str) -> BillingPeriod {
    text.parse().unwrap()
}

fn posted(book: &mut CreditBook, period: BillingPeriod, text: &str) -> (Vec<CreditConsumption>, Vec<CreditBalance>) {
    let mut reader = book.spend_reader(period);
    reader.read(&schemas::to_batch(&cells_of(text, period)).unwrap()).unwrap();
    let applied = book.apply(reader.into_spend()).unwrap();
    let batches: Vec<_> = applied.consumption.map(Result::unwrap).collect();
    (schemas::from_batches(&batches).unwrap(), applied.balances)
}

fn path(levels: [&Option<Text>; 4]) -> String {
    levels.into_iter().flatten().map(Text::as_str).collect::<Vec<_>>().join("/")
}

/// `A/1 on Retail #1: 2026-01-10 EC2 Retail/Web 60`.
fn draw(row: &CreditConsumption) -> String {
    let CreditConsumption { credit_key, lot, fifo_rank, usage_date, account_id, .. } = row;
    let of = path([&row.credit_business_unit, &row.credit_department, &row.credit_portfolio, &row.credit_product]);
    let on = path([&row.business_unit, &row.department, &row.portfolio, &row.product]);
    let account = if account_id == "1" { String::new() } else { format!(" {account_id}") };
    let service = row.service.as_deref().unwrap_or("-");
    format!("{credit_key}/{lot} on {of} #{fifo_rank}: {usage_date}{account} {service} {on} {}", short(row.used))
}

/// `2026-01 A/1: opening + issued + moved = used + expired + remaining`.
fn balance(period: BillingPeriod, row: &CreditBalance) -> String {
    let [opening, issued, moved, used, expired, remaining] =
        [row.opening, row.issued, row.moved, row.used, row.expired, row.remaining].map(short);
    format!(
        "{period} {}/{}: {opening} + {issued} + {moved} = {used} + {expired} + {remaining}",
        row.credit_key, row.lot
    )
}

/// All draws and all balances of a scenario.
fn played(policy: Policy, as_of: &str, text: &str) -> (Vec<String>, Vec<String>) {
    let mut book = opened(policy, as_of, text);
    let (mut draws, mut balances) = (Vec::new(), Vec::new());
    for period in book.first_period().unwrap().through(BillingPeriod::of(as_of.parse().unwrap())) {
        let (drawn, left) = posted(&mut book, period, text);
        draws.extend(drawn.iter().map(draw));
        balances.extend(left.iter().map(|row| balance(period, row)));
    }
    (draws, balances)
}

#[test]
fn lots_draw_by_issue_end_name_account_key_node_and_number() {
    let text = "credit k9 1 issued 2026-01-04 ends - to Retail called Z
                credit k8 1 issued 2026-01-05 ends 2026-06-30 to Retail called Y
                credit k5 1 issued 2026-01-05 ends - to Retail called B account 2
                credit k7 1 issued 2026-01-05 ends - to Retail called B account 1
                credit k4 1 issued 2026-01-05 ends - to Retail called C
                credit k3 1 issued 2026-01-05 ends - to Retail called C
                credit k6 1 issued 2026-01-05 ends - to Retail/Web called D lot 1
                credit k6 1 issued 2026-01-05 ends - to Retail called D lot 2
                credit k6 1 issued 2026-01-05 ends 2026-12-31 to Retail/Web called D lot 3
                credit k6 1 issued 2026-01-05 ends - to Retail called D lot 4
                spend 2026-01-10 Retail/Web 9.5 EC2";
    let mut book = opened(Policy::IssueDate, "2026-01-31", text);
    let (mut drawn, _) = posted(&mut book, month("2026-01"), text);
    let in_table: Vec<String> = drawn.iter().map(|row| format!("{}/{}", row.credit_key, row.lot)).collect();
    assert_eq!(in_table, ["k3/1", "k4/1", "k5/1", "k6/1", "k6/2", "k6/3", "k6/4", "k7/1", "k8/1", "k9/1"]);
    drawn.sort_by_key(|row| row.fifo_rank);
    let by_rank: Vec<String> = drawn
        .iter()
        .map(|row| format!("{} {}/{} {}", row.fifo_rank, row.credit_key, row.lot, short(row.used)))
        .collect();
    let expected = [
        "1 k9/1 1",
        "2 k8/1 1",
        "3 k6/3 1",
        "4 k7/1 1",
        "5 k5/1 1",
        "6 k3/1 1",
        "7 k4/1 1",
        "8 k6/2 1",
        "9 k6/4 1",
        "10 k6/1 0.5",
    ];
    assert_eq!(by_rank, expected);
}

const ENDS: &str = "credit A 20 issued 2026-01-05 ends 2026-03-07 to Retail
                    credit B 45 issued 2026-01-06 ends 2026-03-12 to Retail
                    credit C 60 issued 2026-01-07 ends 2026-03-25 to Retail
                    credit D 9  issued 2026-01-08 ends - to Retail
                    spend 2026-03-05 Retail 30 EC2
                    spend 2026-03-07 Retail 10 EC2
                    spend 2026-03-10 Retail 30 EC2
                    spend 2026-03-20 Retail 40 EC2";

#[test]
fn lots_that_end_within_a_month_share_its_days_up_to_their_end_and_lose_the_rest() {
    let (draws, balances) = played(Policy::IssueDate, "2026-03-31", ENDS);
    let expected = [
        "A/1 on Retail #1: 2026-03-05 EC2 Retail 15",
        "A/1 on Retail #1: 2026-03-07 EC2 Retail 5",
        "B/1 on Retail #2: 2026-03-05 EC2 Retail 13.5",
        "B/1 on Retail #2: 2026-03-07 EC2 Retail 4.5",
        "B/1 on Retail #2: 2026-03-10 EC2 Retail 27",
        "C/1 on Retail #3: 2026-03-05 EC2 Retail 1.5",
        "C/1 on Retail #3: 2026-03-07 EC2 Retail 0.5",
        "C/1 on Retail #3: 2026-03-10 EC2 Retail 3",
        "C/1 on Retail #3: 2026-03-20 EC2 Retail 40",
    ];
    assert_eq!(draws, expected);
    let march = [
        "2026-03 A/1: 20 + 0 + 0 = 20 + 0 + 0",
        "2026-03 B/1: 45 + 0 + 0 = 45 + 0 + 0",
        "2026-03 C/1: 60 + 0 + 0 = 45 + 15 + 0",
        "2026-03 D/1: 9 + 0 + 0 = 0 + 0 + 9",
    ];
    assert_eq!(balances[8..], march);
    let (_, on_the_last_day) = played(Policy::IssueDate, "2026-03-25", ENDS);
    assert_eq!(on_the_last_day[10], "2026-03 C/1: 60 + 0 + 0 = 45 + 0 + 15", "it may still draw");
}

#[test]
fn every_lot_has_a_balance_in_each_month_from_its_issue_on_also_after_its_end() {
    let text = "credit A 5 issued 2026-01-20 ends 2026-01-31 to Retail
                credit B 7 issued 2026-03-31 ends 2026-12-31 to Retail";
    let (draws, balances) = played(Policy::IssueDate, "2026-04-30", text);
    assert_eq!(draws, Vec::<String>::new());
    let expected = [
        "2026-01 A/1: 0 + 5 + 0 = 0 + 5 + 0",
        "2026-02 A/1: 0 + 0 + 0 = 0 + 0 + 0",
        "2026-03 A/1: 0 + 0 + 0 = 0 + 0 + 0",
        "2026-03 B/1: 0 + 7 + 0 = 0 + 0 + 7",
        "2026-04 A/1: 0 + 0 + 0 = 0 + 0 + 0",
        "2026-04 B/1: 7 + 0 + 0 = 0 + 0 + 7",
    ];
    assert_eq!(balances, expected);
}

#[test]
fn part_of_a_cell_that_cannot_be_split_evenly_goes_to_the_first_account_and_to_no_service_first() {
    let text = "credit A 10 issued 2026-01-01 ends - to Retail
                credit B 100 issued 2026-01-02 ends - to Retail
                spend 2026-01-10 Retail 7 - account 2
                spend 2026-01-10 Retail 7 EC2
                spend 2026-01-10 Retail 7 -";
    let (draws, _) = played(Policy::IssueDate, "2026-01-31", text);
    let expected = [
        "A/1 on Retail #1: 2026-01-10 - Retail 3.3333333334",
        "A/1 on Retail #1: 2026-01-10 EC2 Retail 3.3333333333",
        "A/1 on Retail #1: 2026-01-10 2 - Retail 3.3333333333",
        "B/1 on Retail #2: 2026-01-10 - Retail 3.6666666666",
        "B/1 on Retail #2: 2026-01-10 EC2 Retail 3.6666666667",
        "B/1 on Retail #2: 2026-01-10 2 - Retail 3.6666666667",
    ];
    assert_eq!(draws, expected);
}

#[test]
fn currencies_and_business_units_draw_side_by_side_and_a_namesake_pays_for_itself() {
    let text = "credit A 10 issued 2026-01-01 ends - to Retail
                credit B 10 issued 2026-01-01 ends - to Retail in EUR
                credit C 10 issued 2026-01-01 ends - to Media
                credit D 10 issued 2026-01-02 ends - to Retail/Web
                spend 2026-01-05 Retail/Web 8 EC2
                spend 2026-01-05 Retail/Web 3 EC2 in EUR
                spend 2026-01-05 Media 4 EC2
                spend 2026-01-05 Retail/Web 5 S3
                spend 2026-01-05 Retail2/Web 50 EC2";
    let (draws, balances) = played(Policy::IssueDate, "2026-01-31", text);
    let expected = [
        "A/1 on Retail #1: 2026-01-05 EC2 Retail/Web 6.1538461538",
        "A/1 on Retail #1: 2026-01-05 S3 Retail/Web 3.8461538462",
        "B/1 on Retail #2: 2026-01-05 EC2 Retail/Web 3",
        "C/1 on Media #3: 2026-01-05 EC2 Media 4",
        "D/1 on Retail/Web #4: 2026-01-05 EC2 Retail/Web 1.8461538462",
        "D/1 on Retail/Web #4: 2026-01-05 S3 Retail/Web 1.1538461538",
    ];
    assert_eq!(draws, expected);
    let expected = [
        "2026-01 A/1: 0 + 10 + 0 = 10 + 0 + 0",
        "2026-01 B/1: 0 + 10 + 0 = 3 + 0 + 7",
        "2026-01 C/1: 0 + 10 + 0 = 4 + 0 + 6",
        "2026-01 D/1: 0 + 10 + 0 = 3 + 0 + 7",
    ];
    assert_eq!(balances, expected);
}

#[test]
fn policy_says_from_which_day_on_a_lot_draws() {
    let text = "credit A 100 issued 2026-01-20 seen 2026-02-01 ends - to Retail
                spend 2026-01-10 Retail 5 EC2
                spend 2026-01-20 Retail 7 EC2
                spend 2026-02-03 Retail 11 EC2";
    for (policy, january, february) in [
        (Policy::IssueDate, "2026-01 A/1: 0 + 100 + 0 = 12 + 0 + 88", "2026-02 A/1: 88 + 0 + 0 = 11 + 0 + 77"),
        (Policy::IssueDay, "2026-01 A/1: 0 + 100 + 0 = 7 + 0 + 93", "2026-02 A/1: 93 + 0 + 0 = 11 + 0 + 82"),
        (Policy::AppliedMonth, "2026-01 A/1: 0 + 100 + 0 = 0 + 0 + 100", "2026-02 A/1: 100 + 0 + 0 = 11 + 0 + 89"),
    ] {
        assert_eq!(played(policy, "2026-02-28", text).1, [january, february], "{policy}");
        let mut book = opened(policy, "2026-02-28", text);
        posted(&mut book, month("2026-01"), text);
        let (drawn, _) = posted(&mut book, month("2026-02"), text);
        assert_eq!(drawn.iter().map(|row| row.policy.as_str()).collect::<Vec<_>>(), [policy.name()]);
    }
}

#[test]
fn usage_outside_its_bill_counts_on_the_first_or_last_day_of_the_bill_and_keeps_its_date() {
    let text = "credit A 10 issued 2026-01-05 ends 2026-01-31 to Retail
                credit B 50 issued 2026-01-06 ends 2026-02-28 to Retail
                credit C 50 issued 2026-01-07 ends - to Retail
                spend 2026-01-31 Retail 20 EC2 billed 2026-02
                spend 2026-03-02 Retail 15 EC2 billed 2026-02";
    let (draws, balances) = played(Policy::IssueDate, "2026-03-31", text);
    let expected = ["B/1 on Retail #1: 2026-01-31 EC2 Retail 20", "B/1 on Retail #1: 2026-03-02 EC2 Retail 15"];
    assert_eq!(draws, expected);
    assert_eq!(balances[0], "2026-01 A/1: 0 + 10 + 0 = 0 + 10 + 0");
    assert_eq!(balances[4], "2026-02 B/1: 50 + 0 + 0 = 35 + 15 + 0");
}

#[test]
fn what_is_negative_zero_or_not_eligible_is_not_drawn_on_and_takes_nothing_off_other_cells() {
    let text = "credit A 100 issued 2026-01-01 ends - to Retail
                spend 2026-01-05 Retail 10 EC2 refund -3
                spend 2026-01-05 Retail -4 S3
                spend 2026-01-06 Retail 0 EC2
                spend 2026-01-07 Retail 6 Market of 0 tax 2
                spend 2026-01-08 Retail 0.0000000001 EC2";
    let (draws, balances) = played(Policy::IssueDate, "2026-01-31", text);
    let expected =
        ["A/1 on Retail #1: 2026-01-05 EC2 Retail 10", "A/1 on Retail #1: 2026-01-08 EC2 Retail 0.0000000001"];
    assert_eq!(draws, expected);
    assert_eq!(balances, ["2026-01 A/1: 0 + 100 + 0 = 10.0000000001 + 0 + 89.9999999999"]);
}

const CARRIED: &str = "credit A 100 issued 2026-01-05 ends - to Retail
                       credit B 30 issued 2026-02-10 ends 2026-03-15 to Retail
                       spend 2026-01-10 Retail 60 EC2
                       spend 2026-02-10 Retail 30 EC2
                       spend 2026-03-10 Retail 15 EC2
                       spend 2026-03-20 Retail 20 EC2";

#[test]
fn month_that_is_restated_changes_what_the_later_ones_have_left() {
    let expected = [
        "2026-01 A/1: 0 + 100 + 0 = 60 + 0 + 40",
        "2026-02 A/1: 40 + 0 + 0 = 30 + 0 + 10",
        "2026-02 B/1: 0 + 30 + 0 = 0 + 0 + 30",
        "2026-03 A/1: 10 + 0 + 0 = 10 + 0 + 0",
        "2026-03 B/1: 30 + 0 + 0 = 10.7142857143 + 19.2857142857 + 0",
    ];
    assert_eq!(played(Policy::IssueDate, "2026-03-31", CARRIED).1, expected);
    let restated = CARRIED.replace("2026-01-10 Retail 60", "2026-01-10 Retail 80");
    let expected = [
        "2026-01 A/1: 0 + 100 + 0 = 80 + 0 + 20",
        "2026-02 A/1: 20 + 0 + 0 = 20 + 0 + 0",
        "2026-02 B/1: 0 + 30 + 0 = 10 + 0 + 20",
        "2026-03 A/1: 0 + 0 + 0 = 0 + 0 + 0",
        "2026-03 B/1: 20 + 0 + 0 = 15 + 5 + 0",
    ];
    assert_eq!(played(Policy::IssueDate, "2026-03-31", &restated).1, expected);
}

#[test]
fn book_that_is_taken_up_after_a_month_goes_on_as_if_it_had_never_been_closed() {
    let mut whole = opened(Policy::IssueDate, "2026-03-31", CARRIED);
    let [_, february, march] = ["2026-01", "2026-02", "2026-03"].map(|of| posted(&mut whole, month(of), CARRIED));
    let mut again = opened(Policy::IssueDate, "2026-03-31", CARRIED);
    assert!(again.resume(month("2026-02"), &february.1));
    assert_eq!(posted(&mut again, month("2026-03"), CARRIED), march);
}

#[test]
fn book_is_not_taken_up_by_balances_of_other_lots() {
    let mut book = opened(Policy::IssueDate, "2026-03-31", CARRIED);
    let (_, january) = posted(&mut book, month("2026-01"), CARRIED);
    let mut fresh = opened(Policy::IssueDate, "2026-03-31", CARRIED);
    let stranger = CreditBalance { lot: 2, ..january[0].clone() };
    for (what, balances) in [
        ("a lot is missing", vec![]),
        ("a lot too many", vec![january[0].clone(), stranger.clone()]),
        ("another lot", vec![stranger]),
    ] {
        assert!(!fresh.resume(month("2026-01"), &balances), "{what}");
    }
    assert!(!fresh.resume(month("2026-02"), &january), "B counts from February on, and has no balance there");
    assert_eq!(posted(&mut fresh, month("2026-01"), CARRIED).1, january, "nothing has changed");
}

#[test]
fn what_aws_applied_stands_at_the_first_lot_in_its_month() {
    let text = "credit A 10 issued 2026-01-05 ends - to Retail
                credit A 20 issued 2026-01-05 ends - to Media lot 2
                credit B 5 issued 2026-01-06 ends - to Media";
    let applied = |period: &str, credit_key: &str, amount: &str| AppliedByAws {
        billing_period: month(period),
        credit_key: credit_key.into(),
        aws_applied: money(amount),
    };
    let rows = [applied("2026-01", "A", "5"), applied("2026-01", "waits", "9"), applied("2026-02", "A", "7")];
    let mut book = CreditBook::open(Policy::IssueDate, "2026-03-31".parse().unwrap(), &lots(text), &rows).unwrap();
    let of_month = |book: &CreditBook, period: &str| {
        book.aws_applied(month(period)).map(|(key, amount)| format!("{key} {}", short(amount))).collect::<Vec<_>>()
    };
    assert_eq!(of_month(&book, "2026-01"), ["A 5"], "who waits has no lots, and is not in the book");
    assert_eq!(of_month(&book, "2026-03"), Vec::<String>::new());
    for (period, expected) in [("2026-01", ["5", "0", "0"]), ("2026-02", ["7", "0", "0"]), ("2026-03", ["0"; 3])] {
        let (_, balances) = posted(&mut book, month(period), text);
        let found: Vec<String> = balances.iter().map(|row| short(row.aws_applied)).collect();
        assert_eq!(found, expected, "{period}");
    }
}

#[test]
fn draws_of_a_lot_that_moved_name_the_node_where_it_is_now() {
    let text = "credit A 100 issued 2026-01-05 ends - to Retail
                credit A 0 issued 2026-01-05 ends - to Media/TV lot 2 after 1 from 2026-02
                spend 2026-01-10 Retail 30 EC2
                spend 2026-02-10 Retail 30 EC2
                spend 2026-02-10 Media/TV/Ads 50 EC2";
    let (draws, balances) = played(Policy::IssueDate, "2026-02-28", text);
    let expected = ["A/1 on Retail #1: 2026-01-10 EC2 Retail 30", "A/2 on Media/TV #1: 2026-02-10 EC2 Media/TV/Ads 50"];
    assert_eq!(draws, expected);
    let expected = [
        "2026-01 A/1: 0 + 100 + 0 = 30 + 0 + 70",
        "2026-02 A/1: 70 + 0 + -70 = 0 + 0 + 0",
        "2026-02 A/2: 0 + 0 + 70 = 50 + 0 + 20",
    ];
    assert_eq!(balances, expected);
}

#[test]
fn spend_that_no_lot_reaches_is_not_read() {
    let text = "credit A 10 issued 2026-01-05 ends 2026-02-10 to Retail/Web
                spend 2026-01-10 Retail 30 EC2
                spend 2026-01-10 Retail/Webshop 30 EC2
                spend 2026-01-10 Retail/Web 30 EC2 in EUR
                spend 2026-01-10 Retail/Web 0 EC2
                spend 2026-02-10 Retail/Web/Shop 4 EC2";
    let mut book = opened(Policy::IssueDate, "2026-03-31", text);
    let mut reader = book.spend_reader(month("2026-01"));
    assert!(reader.wants_cells());
    reader.read(&schemas::to_batch(&cells_of(text, month("2026-01"))).unwrap()).unwrap();
    assert_eq!(reader.memory(), 0);
    book.apply(reader.into_spend()).unwrap();
    let (drawn, _) = posted(&mut book, month("2026-02"), text);
    assert_eq!(drawn.len(), 1);
    assert!(!book.spend_reader(month("2026-03")).wants_cells(), "it has ended");
}

#[test]
fn rows_that_are_no_cells_or_lots_are_named() {
    let spend = ["spend", "2026-01-10", "Retail", "30", "EC2"];
    let batch = schemas::to_batch(&[cell(&spend)]).unwrap();
    let book = opened(Policy::IssueDate, "2026-01-31", "credit A 10 issued 2026-01-05 ends - to Retail");
    let read = |batch| book.spend_reader(month("2026-01")).read(&batch).unwrap_err().to_string();
    let without = |column: usize| {
        let others: Vec<usize> = (0..batch.num_columns()).filter(|place| *place != column).collect();
        batch.project(&others).unwrap()
    };
    for name in ["usage_date", "payer_account_id", "currency", "department", "eligible_charges"] {
        let column = batch.schema().index_of(name).unwrap();
        assert_eq!(read(without(column)), format!("cells without a proper column {name}"));
    }
    let mut gap = cell(&spend);
    (gap.business_unit, gap.department) = (None, gap.business_unit);
    let gap = read(schemas::to_batch(&[gap]).unwrap());
    assert_eq!(gap, "a cell on /Retail//: department is set but business_unit is empty");
    let nowhere =
        LotRow { business_unit: None, ..lots("credit A 10 issued 2026-01-05 ends - to Retail lot 3")[0].clone() };
    let as_of = "2026-01-31".parse().unwrap();
    let refused = CreditBook::open(Policy::IssueDate, as_of, &[nowhere], &[]).unwrap_err();
    assert_eq!(refused.to_string(), "credit A lot 3: no business unit is named");
}

#[test]
fn spend_beyond_the_range_of_money_is_an_error_that_names_the_month() {
    let text = "credit A 9e27 issued 2026-01-05 ends - to Retail
                spend 2026-01-10 Retail 9e27 EC2
                spend 2026-01-11 Retail 9e27 EC2";
    let mut book = opened(Policy::IssueDate, "2026-01-31", text);
    let mut reader = book.spend_reader(month("2026-01"));
    reader.read(&schemas::to_batch(&cells_of(text, month("2026-01"))).unwrap()).unwrap();
    let refused = book.apply(reader.into_spend()).unwrap_err().to_string();
    assert_eq!(refused, format!("billing period 2026-01: {}", MoneyError::Overflow));
}
