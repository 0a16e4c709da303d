//! Credits as of a date: of which amounts, until when, and what they did to a month.

use super::*;

fn credit(key: &str, currency: &str) -> RegisteredCredit {
    RegisteredCredit {
        credit_key: key.into(),
        promotion_code: Text::default(),
        account_id: Text::default(),
        owner_account_id: None,
        credit_id: None,
        payer_account_id: Text::default(),
        currency: currency.into(),
        description: None,
        credit_class: Text::default(),
        first_cur_date: NaiveDate::MIN,
        issue_date: NaiveDate::MIN,
        issue_date_source: Text::default(),
        last_cur_date: None,
        aws_applied: Money::ZERO,
    }
}

fn allocated(key: &str, waiting: Option<&str>) -> AllocatedCredit {
    AllocatedCredit {
        credit_key: key.into(),
        waiting: waiting.map(Text::new),
        allocated_amount: None,
        recorded_by: None,
        recorded_at: None,
    }
}

#[test]
fn what_aws_applied_of_waiting_credits_is_summed_by_period_and_currency() {
    let register = [credit("a", "EUR"), credit("b", "USD"), credit("c", "USD"), credit("d", "USD")];
    let recorded = [allocated("a", Some("revoked")), allocated("b", None), allocated("d", Some("never_allocated"))];
    let applied = [("2026-01", "a", "1"), ("2026-01", "b", "2"), ("2026-01", "d", "3"), ("2026-02", "d", "-4")];
    let applied = applied.map(|(period, key, amount)| AppliedByAws {
        billing_period: period.parse().unwrap(),
        credit_key: key.into(),
        aws_applied: amount.parse().unwrap(),
    });
    let found = applied_credits(&register, &recorded, &applied).unwrap();
    let found = found.iter().map(|(period, credits)| {
        let waiting: Vec<String> = credits.waiting.iter().map(|(code, sum)| format!("{sum} {code}")).collect();
        let issued: usize = credits.issued.values().map(Vec::len).sum();
        format!("{period} {issued} applied, waiting {}", waiting.join(" and "))
    });
    let expected = [
        "2026-01 3 applied, waiting -1.0000000000 EUR and -3.0000000000 USD",
        "2026-02 1 applied, waiting 4.0000000000 USD",
    ];
    assert_eq!(found.collect::<Vec<_>>(), expected);
}

#[test]
fn only_credits_that_wait_are_in_the_queue() {
    let register = [credit("a", "USD"), credit("b", "USD"), credit("c", "USD")];
    let recorded = [allocated("a", None), allocated("b", Some("revoked")), allocated("c", Some("never_allocated"))];
    let queue = queue(&register, &recorded, NaiveDate::MAX);
    let queue: Vec<_> = queue.iter().map(|row| (row.credit_key.as_str(), row.reason.as_str())).collect();
    assert_eq!(queue, [("b", "revoked"), ("c", "never_allocated")]);
}

fn lot(number: i32, amount: &str, end: &str) -> LotRow {
    LotRow {
        credit_key: "a".into(),
        lot: number,
        promotion_code: Text::default(),
        account_id: Text::default(),
        business_unit: Some("Retail".into()),
        department: None,
        portfolio: None,
        product: None,
        currency: "USD".into(),
        amount: amount.parse().unwrap(),
        issue_date: NaiveDate::MIN,
        first_cur_date: NaiveDate::MIN,
        end_date: end.parse().ok(),
        reference: Some(format!("R{number}").into()),
        from_period: None,
        continues_lot: None,
    }
}

/// The credit of lots with amount, end, used and lost: its status, end, reference, what is left of it and lost.
fn stands(lots: &[(&str, &str, &str, &str)]) -> String {
    let rows: Vec<LotRow> = (1..).zip(lots).map(|(number, (amount, end, ..))| lot(number, amount, end)).collect();
    let to_date = |used: &str, expired: &str| ToDate {
        used: used.parse().unwrap(),
        expired: expired.parse().unwrap(),
        moved: Money::ZERO,
    };
    let positions =
        (1..).zip(lots).map(|(number, (.., used, expired))| ((Text::new("a"), number), to_date(used, expired)));
    let amount = Money::total(rows.iter().map(|row| row.amount)).ok();
    let recorded = AllocatedCredit { allocated_amount: amount, ..allocated("a", None) };
    let as_of = AsOf { date: "2026-10-31".parse().unwrap(), expiring_soon_days: 60 };
    let found = credits(&[credit("a", "USD")], &[recorded], &rows, &positions.collect(), as_of).unwrap();
    let Credit { status, end_date, reference, remaining, expired, days_left, .. } = found[0].clone();
    let whole = |money: Option<Money>| money.unwrap().to_string().split('.').next().unwrap().to_owned();
    let end = end_date.map_or("open".to_owned(), |end| format!("{end} ({} days)", days_left.unwrap()));
    format!("{status}, {end}, {}, left {}, lost {}", reference.unwrap(), whole(remaining), whole(expired))
}

#[test]
fn credit_shows_the_next_end_among_its_lots_with_something_left() {
    let lapsed = ("3000", "2026-08-31", "1000", "2000");
    assert_eq!(
        stands(&[lapsed, ("1000", "2027-08-31", "0", "0")]),
        "active, 2027-08-31 (304 days), R2, left 1000, lost 2000"
    );
    let soon = [("5", "none", "0", "0"), ("5", "2027-12-31", "0", "0"), ("5", "2026-11-30", "0", "0")];
    assert_eq!(stands(&soon), "expiring_soon, 2026-11-30 (30 days), R3, left 15, lost 0");
    let tied = [("5", "2027-12-31", "5", "0"), ("5", "2027-12-31", "0", "0"), ("5", "2027-12-31", "0", "0")];
    assert_eq!(stands(&tied), "active, 2027-12-31 (426 days), R2, left 10, lost 0");
    assert_eq!(stands(&[lapsed, ("5", "none", "0", "0")]), "active, open, R2, left 5, lost 2000");
}

#[test]
fn what_moved_is_left_where_it_went() {
    let lots = [lot(1, "100", "none"), LotRow { continues_lot: Some(1), ..lot(2, "0", "none") }];
    let to_date = |used: &str, moved: &str| ToDate {
        used: used.parse().unwrap(),
        expired: Money::ZERO,
        moved: moved.parse().unwrap(),
    };
    let positions = Positions::from([(("a".into(), 1), to_date("30", "-70")), (("a".into(), 2), to_date("20", "70"))]);
    let recorded = AllocatedCredit { allocated_amount: "100".parse().ok(), ..allocated("a", None) };
    let as_of = AsOf { date: "2026-10-31".parse().unwrap(), expiring_soon_days: 60 };
    let found = credits(&[credit("a", "USD")], &[recorded], &lots, &positions, as_of).unwrap();
    assert_eq!((found[0].used, found[0].remaining), ("50".parse().ok(), "50".parse().ok()));
    assert_eq!(found[0].reference.as_deref(), Some("R2"), "the lot with something left");
}

#[test]
fn credit_with_nothing_left_shows_its_last_end() {
    let lapsed = ("3000", "2026-08-31", "1000", "2000");
    let used = ("10", "2026-09-30", "10", "0");
    assert_eq!(stands(&[lapsed, used]), "expired, 2026-09-30 (-31 days), R2, left 0, lost 2000");
    assert_eq!(stands(&[lapsed, ("10", "none", "10", "0"), used]), "exhausted, open, R2, left 0, lost 2000");
    assert_eq!(stands(&[used, used]), "exhausted, 2026-09-30 (-31 days), R1, left 0, lost 0");
}

#[test]
fn credit_whose_newest_revision_cannot_be_used_is_invalid_and_waits() {
    let recorded = [allocated("a", Some("allocation_invalid")), allocated("b", Some("revoked"))];
    let register = [credit("a", "USD"), credit("b", "USD")];
    let as_of = AsOf { date: "2026-10-31".parse().unwrap(), expiring_soon_days: 60 };
    let credits = credits(&register, &recorded, &[], &Positions::new(), as_of).unwrap();
    let found: Vec<_> = credits.iter().map(|row| (row.status.as_str(), row.remaining, row.end_date)).collect();
    assert_eq!(found, [("invalid", None, None), ("unallocated", None, None)]);
    let queue = queue(&register, &recorded, as_of.date);
    assert_eq!(queue.iter().map(|row| row.reason.as_str()).collect::<Vec<_>>(), ["allocation_invalid", "revoked"]);
}

#[test]
fn lots_that_expire_soon_or_lost_something_are_told_each_with_its_end() {
    let as_of = AsOf { date: "2026-10-31".parse().unwrap(), expiring_soon_days: 60 };
    let money = |text: &str| text.parse::<Money>().unwrap();
    // End, used and lost of 10.
    let known = [
        ("2026-08-31", "4", "6"),
        ("2026-10-30", "10", "0"),
        ("2026-10-31", "9", "0"),
        ("2026-12-30", "5", "0"),
        ("2026-12-31", "3", "0"),
        ("2026-11-30", "10", "0"),
        ("none", "1", "0"),
    ];
    let lots: Vec<LotRow> = (1..).zip(known).map(|(number, (end, ..))| lot(number, "10", end)).collect();
    let positions = (1..).zip(known).map(|(number, (_, used, expired))| {
        let to_date = ToDate { used: money(used), expired: money(expired), moved: Money::ZERO };
        ((Text::new("a"), number), to_date)
    });
    let found = ending_lots(&lots, &positions.collect(), as_of).unwrap();
    let shown = |lot: &EndingLot| format!("{} {} left {} lost {}", lot.lot, lot.end_date, lot.left, lot.lost);
    let found: Vec<String> = found["a"].iter().map(shown).collect();
    let expected = [
        "1 2026-08-31 left 0.0000000000 lost 6.0000000000",
        "3 2026-10-31 left 1.0000000000 lost 0.0000000000",
        "4 2026-12-30 left 5.0000000000 lost 0.0000000000",
    ];
    assert_eq!(found, expected);
}

/// A credit whose lines begin on a day: it was issued on the day before.
fn first_seen(key: &str, day: &str, aws_applied: &str) -> RegisteredCredit {
    let first_cur_date: NaiveDate = day.parse().unwrap();
    RegisteredCredit {
        promotion_code: format!("Name of {key}").into(),
        first_cur_date,
        issue_date: first_cur_date.pred_opt().unwrap(),
        last_cur_date: Some(first_cur_date),
        aws_applied: aws_applied.parse().unwrap(),
        ..credit(key, "USD")
    }
}

fn balance(key: &str, lot: i32, (used, expired, moved): (&str, &str, &str)) -> CreditBalance {
    CreditBalance {
        credit_key: key.into(),
        lot,
        promotion_code: Text::default(),
        account_id: Text::default(),
        currency: "USD".into(),
        business_unit: Some("Retail".into()),
        department: None,
        portfolio: None,
        product: None,
        issue_date: NaiveDate::MIN,
        end_date: None,
        opening: Money::ZERO,
        issued: Money::ZERO,
        moved: moved.parse().unwrap(),
        used: used.parse().unwrap(),
        expired: expired.parse().unwrap(),
        remaining: Money::ZERO,
        aws_applied: Money::ZERO,
    }
}

#[test]
fn a_credit_first_seen_on_the_first_waits_from_that_day_and_belongs_to_the_month_before() {
    let register = [
        first_seen("id:1", "2026-04-01", "12.5"),
        first_seen("id:2", "2026-04-30", "-1"),
        first_seen("id:3", "2026-04-30", "0"),
    ];
    let recorded = [allocated("id:1", Some("never_allocated")), allocated("id:2", Some("revoked"))];
    let rows = queue(&register, &recorded, "2026-04-30".parse().unwrap());
    let told = rows.iter().map(|row| {
        let CreditQueue { credit_key, promotion_code, issue_date, issue_period, aws_applied, days_waiting, reason, .. } = row;
        format!("{credit_key} {promotion_code}: issued {issue_date} in {issue_period}, applied {aws_applied}, {days_waiting} days, {reason}")
    });
    let expected = [
        "id:1 Name of id:1: issued 2026-03-31 in 2026-03, applied 12.5000000000, 29 days, never_allocated",
        "id:2 Name of id:2: issued 2026-04-29 in 2026-04, applied -1.0000000000, 0 days, revoked",
    ];
    assert_eq!(told.collect::<Vec<_>>(), expected, "of the third nothing is recorded as waiting");
}

#[test]
fn a_credit_that_waits_has_no_amounts_and_nobody_recorded_it() {
    let register = [first_seen("id:1", "2026-04-01", "12.5")];
    let amount: Option<Money> = "100".parse().ok();
    let by = |waiting: Option<&str>| AllocatedCredit {
        allocated_amount: amount.filter(|_| waiting.is_none()),
        recorded_by: Some("ann".into()),
        recorded_at: "2026-04-05T09:00:00".parse().ok(),
        ..allocated("id:1", waiting)
    };
    let as_of = AsOf { date: "2026-04-30".parse().unwrap(), expiring_soon_days: 60 };
    let of = |waiting, lots: &[LotRow]| {
        credits(&register, &[by(waiting)], lots, &Positions::new(), as_of).unwrap().remove(0)
    };
    let waits = of(Some("revoked"), &[]);
    let amounts = [waits.allocated_amount, waits.used, waits.expired, waits.remaining];
    assert_eq!((waits.status.as_str(), amounts), ("unallocated", [None; 4]));
    assert_eq!((waits.recorded_by, waits.recorded_at, waits.end_date, waits.days_left), (None, None, None, None));
    assert_eq!((waits.aws_applied, waits.issue_period.as_str()), ("12.5".parse().unwrap(), "2026-03"));
    let unused = of(None, &[LotRow { credit_key: "id:1".into(), ..lot(1, "100", "none") }]);
    let amounts = [unused.allocated_amount, unused.used, unused.expired, unused.remaining];
    assert_eq!((unused.status.as_str(), amounts), ("active", [amount, Some(Money::ZERO), Some(Money::ZERO), amount]));
    assert_eq!(unused.recorded_by.as_deref(), Some("ann"));
}

#[test]
fn the_day_of_its_end_is_still_a_credits_and_the_next_one_is_not() {
    assert_eq!(stands(&[("5", "2026-10-31", "0", "0")]), "expiring_soon, 2026-10-31 (0 days), R1, left 5, lost 0");
    assert_eq!(stands(&[("5", "2026-10-30", "2", "3")]), "expired, 2026-10-30 (-1 days), R1, left 0, lost 3");
    assert_eq!(stands(&[("5", "2026-10-30", "5", "0")]), "exhausted, 2026-10-30 (-1 days), R1, left 0, lost 0");
    assert_eq!(stands(&[("5", "2026-12-30", "0", "0")]), "expiring_soon, 2026-12-30 (60 days), R1, left 5, lost 0");
    assert_eq!(stands(&[("5", "2026-12-31", "0", "0")]), "active, 2026-12-31 (61 days), R1, left 5, lost 0");
}

#[test]
fn what_lots_used_lost_and_moved_in_every_month_counts_to_date() {
    let mut positions = Positions::new();
    let months = [
        vec![balance("a", 1, ("10", "0", "0"))],
        vec![balance("a", 1, ("20.5", "0", "-40")), balance("a", 2, ("5", "0", "40"))],
        vec![balance("a", 1, ("0", "29.5", "0")), balance("a", 2, ("0.0000000001", "0", "0"))],
    ];
    for month in &months {
        add_month(&mut positions, month).unwrap();
    }
    let lots = [lot(1, "100", "2026-08-31"), LotRow { continues_lot: Some(1), ..lot(2, "0", "2026-12-31") }];
    let recorded = [AllocatedCredit { allocated_amount: "100".parse().ok(), ..allocated("a", None) }];
    let as_of = AsOf { date: "2026-10-31".parse().unwrap(), expiring_soon_days: 60 };
    let found = credits(&[credit("a", "USD")], &recorded, &lots, &positions, as_of).unwrap().remove(0);
    let amounts = [found.used, found.expired, found.remaining].map(|amount| amount.unwrap().to_string());
    assert_eq!(amounts, ["35.5000000001", "29.5000000000", "34.9999999999"]);
    let shown = (found.end_date, found.reference.as_deref());
    assert_eq!(shown, ("2026-12-31".parse().ok(), Some("R2")), "the lot with something left");
    let most = balance("a", 1, ("9999999999999999999999999999.9999999999", "0", "0"));
    assert_eq!(add_month(&mut positions, &[most]), Err(MoneyError::Overflow));
}

#[test]
fn credits_stand_beside_their_own_lots_and_those_of_nobody_are_passed_over() {
    let of = |key: &str, number: i32, amount: &str| LotRow { credit_key: key.into(), ..lot(number, amount, "none") };
    let lots = [of("a", 1, "1"), of("b", 1, "2"), of("b", 2, "3"), of("c", 1, "4"), of("d", 1, "5")];
    let register = [credit("a", "USD"), credit("c", "EUR"), credit("cc", "USD"), credit("d", "USD")];
    let recorded =
        |key: &str, amount: &str| AllocatedCredit { allocated_amount: amount.parse().ok(), ..allocated(key, None) };
    let recorded = [recorded("a", "1"), recorded("b", "5"), recorded("c", "4"), recorded("d", "5")];
    let positions = lots.iter().map(|lot| {
        let used = ToDate { used: lot.amount, ..ToDate::default() };
        ((lot.credit_key.clone(), lot.lot), used)
    });
    let as_of = AsOf { date: "2026-10-31".parse().unwrap(), expiring_soon_days: 60 };
    let found = credits(&register, &recorded, &lots, &positions.collect(), as_of).unwrap();
    let told: Vec<String> =
        found.iter().map(|row| format!("{} {} {:?}", row.credit_key, row.status, row.used.map(Money::units))).collect();
    let expected = [
        "a exhausted Some(10000000000)",
        "c exhausted Some(40000000000)",
        "cc unallocated None",
        "d exhausted Some(50000000000)",
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_month_shows_the_credits_that_aws_applied_or_nodes_drew_in_it_in_both_books() {
    let register = ["a", "b", "c", "d", "e"].map(|key| first_seen(key, "2026-02-01", "0"));
    let applied = [
        ("2026-01", "c", "9"),
        ("2026-02", "a", "5"),
        ("2026-02", "b", "6"),
        ("2026-02", "d", "-1"),
        ("2026-03", "c", "9"),
    ];
    let applied = applied.map(|(period, key, amount)| AppliedByAws {
        billing_period: period.parse().unwrap(),
        credit_key: key.into(),
        aws_applied: amount.parse().unwrap(),
    });
    let balances = [
        balance("b", 1, ("3", "0", "0")),
        balance("b", 2, ("4.5", "0", "0")),
        balance("c", 1, ("0", "7", "0")),
        balance("e", 1, ("0.0000000001", "0", "0")),
    ];
    let rows = impact(&register, &applied, &balances, "2026-02".parse().unwrap()).unwrap();
    let told =
        rows.iter().map(|row| format!("{} of {}: {} {}", row.credit_key, row.issue_period, row.aws_applied, row.used));
    let expected = [
        "a of 2026-01: 5.0000000000 0.0000000000",
        "b of 2026-01: 6.0000000000 7.5000000000",
        "d of 2026-01: -1.0000000000 0.0000000000",
        "e of 2026-01: 0.0000000000 0.0000000001",
    ];
    assert_eq!(told.collect::<Vec<_>>(), expected, "what c lost is no effect on cost");
}
