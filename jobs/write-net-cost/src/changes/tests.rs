//! Months and credits in two runs, and what is said of them.

use schemas::tables::{Credit, CreditBalance, NetCostSummary, Reconciliation};

use super::*;
use credit_ledger::{BillingPeriod, Money, Text};

fn money(text: &str) -> Money {
    text.parse().unwrap()
}

fn period() -> BillingPeriod {
    "2026-03".parse().unwrap()
}

fn levels(path: &str) -> [Option<Text>; 4] {
    let mut names = path.split('/').filter(|name| !name.is_empty()).map(Text::new);
    std::array::from_fn(|_| names.next())
}

/// `Retail/Web 100 -20`: node, gross cost, credits applied; `-` is the whole.
fn summary(text: &str) -> NetCostSummary {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [business_unit, department, portfolio, product] = levels(words[0].trim_start_matches('-'));
    let level = [&business_unit, &department, &portfolio, &product].into_iter().flatten().count();
    let (gross_cost, credits_applied) = (money(words[1]), money(words[2]));
    NetCostSummary {
        level: i32::try_from(level).unwrap(),
        business_unit,
        department,
        portfolio,
        product,
        currency: "USD".into(),
        gross_cost,
        refunds: Money::ZERO,
        aws_credits: Money::ZERO,
        invoice_net: gross_cost,
        credits_applied,
        net_cost: gross_cost.checked_add(credits_applied).unwrap(),
        clearing: credits_applied.negated(),
        budget_amount: words.get(3).map(|amount| money(amount)),
        budget_remaining: None,
    }
}

/// A month of these nodes whose export has this total in so many lines.
fn month(nodes: &[&str], (total, rows_read): (&str, i64), balances: Vec<CreditBalance>) -> MonthTables {
    let reconciliation = Reconciliation {
        currency: "USD".into(),
        export_total: money(total),
        invoice_net: money(total),
        net_cost: Money::ZERO,
        clearing: Money::ZERO,
        unallocated_aws_credits: Money::ZERO,
        difference: Money::ZERO,
        rows_read,
        invoice_ids: None,
        lines_without_invoice: 0,
    };
    MonthTables {
        is_there: true,
        summary: nodes.iter().map(|text| summary(text)).collect(),
        reconciliation: vec![reconciliation],
        balances,
    }
}

/// `A 1 Retail 60 of 100`: credit, lot, node, used in the month, and what was left when it began.
fn balance(text: &str, issue_date: &str) -> CreditBalance {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [business_unit, department, portfolio, product] = levels(words[2]);
    let (used, before) = (money(words[3]), money(words[5]));
    let is_issued = issue_date.starts_with("2026-03");
    CreditBalance {
        credit_key: words[0].into(),
        lot: words[1].parse().unwrap(),
        promotion_code: words[0].into(),
        account_id: "1".into(),
        currency: "USD".into(),
        business_unit,
        department,
        portfolio,
        product,
        issue_date: issue_date.parse().unwrap(),
        end_date: None,
        opening: if is_issued { Money::ZERO } else { before },
        issued: if is_issued { before } else { Money::ZERO },
        moved: Money::ZERO,
        used,
        expired: Money::ZERO,
        remaining: before.checked_sub(used).unwrap(),
        aws_applied: Money::ZERO,
    }
}

/// As [`balance`], of a lot that was moved to its node in the month.
fn moved(text: &str) -> CreditBalance {
    let row = balance(text, "2026-01-01");
    CreditBalance { opening: Money::ZERO, moved: row.opening, ..row }
}

/// A credit of this status, allocated amount (none where it waits) and used amount, recorded on a day of April.
fn credit(key: &str, status: &str, amounts: Option<(&str, &str)>, day: u32) -> Credit {
    let amount = |text: Option<&str>| text.map(money);
    let recorded = format!("2026-04-{day:02}T09:00:00");
    Credit {
        credit_key: key.into(),
        promotion_code: key.into(),
        account_id: "1".into(),
        owner_account_id: None,
        credit_id: None,
        payer_account_id: "9".into(),
        currency: "USD".into(),
        description: None,
        credit_class: "promotion".into(),
        first_cur_date: "2026-01-02".parse().unwrap(),
        issue_date: "2026-01-01".parse().unwrap(),
        issue_date_source: "cur_inferred".into(),
        issue_period: "2026-01".into(),
        status: status.into(),
        allocated_amount: amount(amounts.map(|(amount, _)| amount)),
        used: amount(amounts.map(|(_, used)| used)),
        expired: amount(amounts.map(|_| "0")),
        remaining: amounts.map(|(amount, used)| money(amount).checked_sub(money(used)).unwrap()),
        end_date: None,
        reference: None,
        recorded_by: amounts.map(|_| "ann".into()),
        recorded_at: amounts.and_then(|_| recorded.parse().ok()),
        aws_applied: Money::ZERO,
        last_cur_date: None,
        days_left: None,
        as_of: "2026-04-30".parse().unwrap(),
        expiring_soon_days: 60,
    }
}

/// The one change of a month in US dollars, and why.
fn changed(from: &MonthTables, to: &MonthTables, spend_changed: bool, credits: &Credits<'_>) -> MonthChange {
    let evidence = Evidence { spend_changed: Some(spend_changed), policies: None };
    let mut changes = month_changes(period(), from, to, &evidence, credits).unwrap();
    assert_eq!(changes.len(), 1, "{changes:?}");
    changes.remove(0)
}

fn amounts(from: &str, to: &str) -> AmountChange {
    AmountChange::of(money(from), money(to)).unwrap()
}

#[test]
fn lines_that_came_are_told_with_total_and_count_and_only_units_that_changed_are_listed() {
    let from = month(&["- 150 0", "Media 50 0", "Retail 100 0"], ("150", 3), Vec::new());
    let to = month(&["- 175 0", "Media 50 0", "Retail 125 0"], ("175", 4), Vec::new());
    let change = changed(&from, &to, true, &Credits::default());
    let units: Vec<_> = change.business_units.iter().map(|unit| (unit.business_unit.as_str(), unit.net_cost)).collect();
    assert_eq!(units, [("Retail", amounts("100", "125"))]);
    let export = Reason::Export { export_total: amounts("150", "175"), lines: CountChange { from: 3, to: 4 } };
    assert_eq!(change.why, [export]);
}

#[test]
fn cost_that_lies_on_other_nodes_is_told_with_its_amount_also_where_no_unit_changed() {
    let from = month(&["- 150 0", "Media 50 0", "Retail 100 0", "Retail/Web 60 0"], ("150", 3), Vec::new());
    let to = month(&["- 150 0", "Media 80 0", "Retail 70 0", "Retail/Web 60 0"], ("150", 3), Vec::new());
    assert_eq!(changed(&from, &to, true, &Credits::default()).why, [Reason::Shifted { amount: money("30") }]);
    let within =
        month(&["- 150 0", "Media 50 0", "Retail 100 0", "Retail/App 15 0", "Retail/Web 45 0"], ("150", 3), Vec::new());
    let change = changed(&from, &within, true, &Credits::default());
    assert_eq!((change.business_units.len(), change.nodes_changed), (0, 2));
    assert_eq!(change.why, [Reason::Shifted { amount: money("15") }]);
}

#[test]
fn same_lines_that_make_another_sum_are_a_matter_of_settings() {
    let from = month(&["- 150 0", "Retail 150 0"], ("150", 3), Vec::new());
    let to = month(&["- 140 0", "Retail 140 0"], ("150", 3), Vec::new());
    let why = changed(&from, &to, true, &Credits::default()).why;
    assert_eq!(why, [Reason::Measures { cost: amounts("150", "140") }]);
}

/// Retail draws other amounts of these lots.
fn drawn(from: &[(&str, &str)], to: &[(&str, &str)], spend_changed: bool, credits: [&[Credit]; 2]) -> Vec<Reason> {
    let lots = |rows: &[(&str, &str)]| rows.iter().map(|(text, issued)| balance(text, issued)).collect();
    let from = month(&["- 100 -10", "Retail 100 -10"], ("100", 3), lots(from));
    let to = month(&["- 100 -60", "Retail 100 -60"], ("100", 3), lots(to));
    changed(&from, &to, spend_changed, &Credits::of(credits[0], credits[1])).why
}

#[test]
fn allocation_that_was_recorded_meanwhile_is_told_with_who_and_when() {
    let before = [credit("A", "active", Some(("100", "10")), 1), credit("B", "unallocated", None, 1)];
    let after = [credit("A", "active", Some(("100", "10")), 1), credit("B", "active", Some(("80", "50")), 2)];
    let a = ("A 1 Retail 10 of 100", "2026-01-01");
    let why = drawn(&[a], &[a, ("B 1 Retail 50 of 80", "2026-01-01")], false, [&before, &after]);
    let recorded = Recorded {
        credit_key: "B".into(),
        status: Some("active".into()),
        recorded_by: Some("ann".into()),
        recorded_at: "2026-04-02T09:00:00".parse().ok(),
    };
    assert_eq!(why, [Reason::Allocations { credits: vec![recorded] }]);
}

#[test]
fn what_earlier_months_left_issue_dates_and_spend_of_the_same_cost_are_told_apart() {
    let credits = [credit("A", "active", Some(("100", "10")), 1)];
    let (before, after) = (("A 1 Retail 10 of 10", "2026-01-01"), ("A 1 Retail 60 of 90", "2026-01-01"));
    let left = Reason::EarlierMonths { credits: vec!["A".into()] };
    let left = [left];
    assert_eq!(drawn(&[before], &[after], false, [&credits, &credits]), left);
    let of = |row: CreditBalance, sum: &str| month(&[sum, &sum.replace('-', "Retail")], ("100", 3), vec![row]);
    let (from, to) = (of(moved("A 2 Retail 10 of 10"), "- 100 10"), of(moved("A 2 Retail 60 of 90"), "- 100 60"));
    assert_eq!(changed(&from, &to, false, &Credits::of(&credits, &credits)).why, left);
    let dated = [Credit { issue_date: "2026-03-01".parse().unwrap(), ..credits[0].clone() }];
    let why = drawn(&[before], &[("A 1 Retail 60 of 90", "2026-03-01")], false, [&credits, &dated]);
    assert_eq!(why, [Reason::IssueDates { credits: vec!["A".into()] }]);
    let same = [("A 1 Retail 10 of 90", "2026-01-01")];
    let why = drawn(&same, &[("A 1 Retail 60 of 90", "2026-01-01")], true, [&credits, &credits]);
    assert_eq!(why, [Reason::Spend]);
    assert_eq!(drawn(&same, &same, false, [&credits, &credits]), [Reason::Version], "nothing explains it");
}

#[test]
fn budget_alone_changes_no_figure() {
    let from = month(&["- 100 0", "Retail 100 0 50"], ("100", 3), Vec::new());
    let to = month(&["- 100 0 7", "Retail 100 0"], ("100", 3), Vec::new());
    let change = changed(&from, &to, false, &Credits::default());
    assert_eq!((change.business_units.len(), &change.why), (0, &vec![Reason::Budgets]));
    let budgets =
        change.budgets.iter().map(|budget| (budget.node.as_ref().map(ToString::to_string), budget.from, budget.to));
    let retail = Some("Retail".to_owned());
    assert_eq!(budgets.collect::<Vec<_>>(), [(None, None, Some(money("7"))), (retail, Some(money("50")), None)]);
}

#[test]
fn month_that_the_run_before_did_not_reach_is_new_and_one_that_did_not_change_is_not_told() {
    let to = month(&["- 100 0", "Retail 100 0"], ("100", 3), Vec::new());
    assert_eq!(changed(&MonthTables::default(), &to, true, &Credits::default()).why, [Reason::NewMonth]);
    assert_eq!(changed(&to, &MonthTables::default(), true, &Credits::default()).why, [Reason::GoneMonth]);
    let same = month_changes(period(), &to, &to, &Evidence::default(), &Credits::default()).unwrap();
    assert_eq!(same, []);
}

/// What happened to credits whose lots, issued in March, were these in both runs.
fn happened(from: (&[Credit], &[&str]), to: (&[Credit], &[&str])) -> Vec<CreditChange> {
    let lots = |rows: &[&str]| rows.iter().map(|text| balance(text, "2026-03-01")).collect::<Vec<_>>();
    happened_to((from.0, &lots(from.1)), (to.0, &lots(to.1)))
}

fn happened_to(from: (&[Credit], &[CreditBalance]), to: (&[Credit], &[CreditBalance])) -> Vec<CreditChange> {
    let mut fold = CreditFold::default();
    fold.add_month(period(), from.1, to.1).unwrap();
    fold.finish(&Credits::of(from.0, to.0))
}

#[test]
fn lot_that_was_moved_is_told_with_what_was_left_and_another_rest_is_no_other_lot() {
    let (before, after) =
        ([credit("a", "active", Some(("10", "4")), 1)], [credit("a", "active", Some(("10", "5")), 2)]);
    let changes = happened_to((&before, &[]), (&after, &[moved("a 2 Media 1 of 6")]));
    let [lot] = changes[0].lots.as_slice() else { panic!("{changes:?}") };
    let to = lot.to.as_ref().unwrap();
    assert_eq!((lot.lot, to.node.to_string(), to.amount, to.is_moved), (2, "Media".to_owned(), money("6"), true));
    let changes = happened_to((&before, &[moved("a 2 Media 0 of 6")]), (&after, &[moved("a 2 Media 1 of 5")]));
    assert_eq!(changes[0].lots, []);
    assert_eq!(changes[0].months.len(), 1, "it used more");
}

#[test]
fn credits_that_people_decided_about_or_that_ended_come_before_those_that_were_used() {
    use CreditEvent::{Allocated, Exhausted, Gone, Lots, New, Recorded, Revoked, Used};
    let before = [
        credit("a", "active", Some(("10", "4")), 1),
        credit("b", "active", Some(("10", "0")), 1),
        credit("c", "unallocated", None, 1),
        credit("d", "active", Some(("10", "0")), 1),
        credit("e", "active", Some(("10", "5")), 1),
        credit("f", "active", Some(("10", "5")), 1),
        credit("z", "unallocated", None, 1),
    ];
    let after = [
        credit("a", "active", Some(("10", "5")), 1),
        credit("b", "active", Some(("10", "0")), 2),
        credit("c", "active", Some(("10", "0")), 2),
        credit("d", "unallocated", None, 1),
        credit("e", "exhausted", Some(("10", "10")), 1),
        credit("f", "active", Some(("10", "5")), 1),
        credit("g", "unallocated", None, 1),
    ];
    let was = ["a 1 Retail 4 of 10", "b 1 Retail 0 of 10", "d 1 Retail 0 of 10", "e 1 Retail 5 of 10"];
    let is = ["a 1 Retail 5 of 10", "b 1 Media 0 of 10", "c 1 Retail 0 of 10", "e 1 Retail 10 of 10"];
    let changes = happened((&before, &was), (&after, &is));
    let told: Vec<_> = changes.iter().map(|change| (change.credit_key.as_str(), change.events.clone())).collect();
    let expected = [
        ("z", vec![Gone]),
        ("e", vec![Exhausted, Used]),
        ("g", vec![New]),
        ("c", vec![Allocated]),
        ("d", vec![Revoked]),
        ("b", vec![Lots, Recorded]),
        ("a", vec![Used]),
    ];
    assert_eq!(told, expected);
    let moved = &changes.iter().find(|change| change.credit_key == "b").unwrap().lots[0];
    let node = |terms: &Option<LotTerms>| terms.as_ref().unwrap().node.to_string();
    assert_eq!((node(&moved.from), node(&moved.to)), ("Retail".to_owned(), "Media".to_owned()));
    let used = &changes.iter().find(|change| change.credit_key == "a").unwrap().months;
    let expected = CreditMonth { billing_period: period(), used: amounts("4", "5"), expired: amounts("0", "0") };
    assert_eq!(*used, [expected]);
}

#[test]
fn order_of_events_is_that_of_their_gravity() {
    let lost = Credit { expired: Some(money("3")), status: "expired".into(), ..credit("a", "", Some(("10", "7")), 1) };
    let changes = happened((&[credit("a", "active", Some(("10", "4")), 1)], &[]), (&[lost], &[]));
    let events = &changes[0].events;
    assert_eq!(*events, [CreditEvent::Expired, CreditEvent::Used]);
    assert!(events.is_sorted());
}
