use schemas::tables::CreditLine;

use super::*;

/// Lines of a period: key, day, currency, amount.
fn add(history: &mut CreditHistory, period: &str, lines: &[(&str, &str, &str, &str)]) {
    let lines: Vec<CreditLine> = lines
        .iter()
        .map(|(key, day, currency, amount)| CreditLine {
            credit_key: (*key).into(),
            usage_date: format!("{period}-{day}").parse().unwrap(),
            payer_account_id: "1".into(),
            account_id: "1".into(),
            service: None,
            currency: (*currency).into(),
            description: None,
            promotion_code: format!("{key} seen on {day}").into(),
            credit_account_id: "1".into(),
            owner_account_id: None,
            credit_id: None,
            credit_class: "other".into(),
            amount: amount.parse().unwrap(),
        })
        .collect();
    history.add(period.parse().unwrap(), lines).unwrap();
}

fn shown(register: &Register) -> (Vec<String>, Vec<String>) {
    let credits = register.credits.iter().map(|credit| format!("{} {}", credit.promotion_code, credit.aws_applied));
    let applied = register.applied.iter();
    let applied = applied.map(|row| format!("{} {} {}", row.billing_period, row.credit_key, row.aws_applied));
    (credits.collect(), applied.collect())
}

#[test]
fn the_register_is_the_same_in_whatever_order_lines_are_added() {
    let january: [&[_]; 2] = [&[("b", "07", "USD", "-1")], &[("b", "08", "USD", "-2"), ("d", "01", "USD", "-4")]];
    let february =
        [("b", "02", "USD", "-6"), ("d", "09", "USD", "-32"), ("a", "03", "USD", "-8"), ("b", "04", "USD", "-10")];
    let registers = [[0, 1, 2], [2, 1, 0], [1, 2, 0], [0, 2, 1]].map(|order| {
        let mut history = CreditHistory::until("2026-02".parse().unwrap());
        for batch in order {
            match january.get(batch) {
                Some(lines) => add(&mut history, "2026-01", lines),
                None => add(&mut history, "2026-02", &february),
            }
        }
        add(&mut history, "2026-03", &[("c", "01", "USD", "-64"), ("b", "01", "USD", "-64")]);
        shown(&register(history, &[], &[]).unwrap())
    });
    for (credits, applied) in registers {
        let amounts = ["a seen on 03 8.0000000000", "b seen on 07 19.0000000000", "d seen on 01 36.0000000000"];
        assert_eq!(credits, amounts, "lines of later periods do not count");
        let by_period = [
            "2026-01 b 3.0000000000",
            "2026-01 d 4.0000000000",
            "2026-02 a 8.0000000000",
            "2026-02 b 16.0000000000",
            "2026-02 d 32.0000000000",
        ];
        assert_eq!(applied, by_period);
    }
}

#[test]
fn one_credit_in_two_currencies_is_an_error_that_names_both() {
    let mut history = CreditHistory::until("2026-02".parse().unwrap());
    add(&mut history, "2026-02", &[("a", "02", "USD", "-1"), ("b", "01", "EUR", "-1")]);
    add(&mut history, "2026-01", &[("b", "05", "USD", "-1"), ("c", "05", "USD", "-1"), ("c", "05", "GBP", "-1")]);
    let error = register(history, &[], &[]).unwrap_err().to_string();
    assert!(error.contains("credit b: has lines in EUR and USD, but a credit has one currency"), "{error}");
    assert!(error.contains("credit c: has lines in GBP and USD, but a credit has one currency"), "{error}");
    assert!(!error.contains("credit a"), "{error}");
}

#[test]
fn only_the_newest_revision_of_a_credit_counts_and_only_changes_are_recorded() {
    let mut history = CreditHistory::until("2026-01".parse().unwrap());
    add(&mut history, "2026-01", &[("b", "05", "USD", "-1"), ("c", "05", "USD", "-1")]);
    let made = |key: &str, revision, issue_date: &str, source: &str| CreditLogRow {
        revision,
        issue_date: issue_date.parse().unwrap(),
        issue_date_source: source.into(),
        ..row_of(key)
    };
    let log = [
        made("b", 2, "2026-01-03", MANUAL),
        made("a", 1, "2026-01-01", CUR_INFERRED),
        made("b", 1, "2026-01-02", MANUAL),
    ];
    let register = register(history, &log, &[]).unwrap();
    let dates = register.credits.iter().map(|credit| format!("{} {}", credit.credit_key, credit.issue_date));
    assert_eq!(dates.collect::<Vec<_>>(), ["b 2026-01-03", "c 2026-01-04"], "what is gone and not allocated goes");
    let new = journal(&register, &log, "r", NaiveDateTime::default());
    let new: Vec<_> = new.iter().map(|row| (row.credit_key.as_str(), row.revision)).collect();
    assert_eq!(new, [("c", 1)]);
}

#[test]
fn issue_date_set_by_hand_to_a_mistyped_year_is_an_error_that_names_the_credit() {
    let issued = |date: &str| {
        let mut history = CreditHistory::until("2026-12".parse().unwrap());
        add(&mut history, "2026-01", &[("a", "05", "USD", "-1")]);
        let by_hand =
            CreditLogRow { issue_date: date.parse().unwrap(), issue_date_source: MANUAL.into(), ..row_of("a") };
        register(history, &[by_hand], &[])
    };
    assert_eq!(
        issued("0026-01-04").unwrap_err().to_string(),
        "credit a: issue date 0026-01-04 is not in the years 2006 to 2100; append a revision with the right date to \
         credits_log"
    );
    assert!(issued("2025-12-04").is_ok());
}

fn until(last: &str) -> CreditHistory {
    CreditHistory::until(last.parse().unwrap())
}

/// A line of a credit `a` on 5 January, but for what `change` says.
fn line(change: impl FnOnce(&mut CreditLine)) -> CreditLine {
    let mut line = CreditLine {
        credit_key: "a".into(),
        usage_date: "2026-01-05".parse().unwrap(),
        payer_account_id: "1".into(),
        account_id: "1".into(),
        service: None,
        currency: "USD".into(),
        description: None,
        promotion_code: "a".into(),
        credit_account_id: "1".into(),
        owner_account_id: None,
        credit_id: None,
        credit_class: "promotion".into(),
        amount: "-1".parse().unwrap(),
    };
    change(&mut line);
    line
}

#[test]
fn a_credit_is_issued_on_the_day_before_its_first_line() {
    for (first, issued) in [
        ("2026-04-01", "2026-03-31"),
        ("2026-01-01", "2025-12-31"),
        ("2028-03-01", "2028-02-29"),
        ("2026-01-31", "2026-01-30"),
    ] {
        let mut history = until("2028-12");
        let lines = [first, "2028-11-30"].map(|day| line(|line| line.usage_date = day.parse().unwrap()));
        history.add("2028-11".parse().unwrap(), lines.to_vec()).unwrap();
        let credits = register(history, &[], &[]).unwrap().credits;
        let [credit] = &credits[..] else { panic!("one credit") };
        assert_eq!(
            (credit.first_cur_date.to_string(), credit.issue_date.to_string()),
            (first.to_owned(), issued.to_owned())
        );
        assert_eq!(
            (credit.issue_date_source.as_str(), credit.last_cur_date),
            (CUR_INFERRED, "2028-11-30".parse().ok())
        );
    }
}

#[test]
fn late_lines_are_applied_in_the_period_of_their_bill_and_reversals_take_back() {
    let mut history = until("2026-03");
    let on = |day: &str, amount: &str| {
        line(|line| (line.usage_date, line.amount) = (day.parse().unwrap(), amount.parse().unwrap()))
    };
    history.add("2026-02".parse().unwrap(), vec![on("2026-01-20", "-30"), on("2026-02-03", "-4.5")]).unwrap();
    history.add("2026-03".parse().unwrap(), vec![on("2026-03-01", "-10"), on("2026-03-02", "12.5")]).unwrap();
    let Register { credits, applied } = register(history, &[], &[]).unwrap();
    let applied: Vec<_> = applied.iter().map(|row| format!("{} {}", row.billing_period, row.aws_applied)).collect();
    assert_eq!(applied, ["2026-02 34.5000000000", "2026-03 -2.5000000000"]);
    assert_eq!(credits[0].aws_applied.to_string(), "32.0000000000");
    assert_eq!(credits[0].first_cur_date.to_string(), "2026-01-20", "not the first day of its bill");
}

#[test]
fn what_a_credit_is_called_says_its_earliest_line_by_day_period_payer_account_and_description() {
    let told = |name: &str, change: fn(&mut CreditLine)| {
        line(|line| {
            line.promotion_code = name.into();
            change(line);
        })
    };
    let by_day = [told("late", |line| line.usage_date = "2026-01-06".parse().unwrap()), told("early", |_| {})];
    let by_payer = [told("payer 2", |line| line.payer_account_id = "2".into()), told("payer 1", |_| {})];
    let by_account = [told("account 3", |line| line.account_id = "3".into()), told("account 1", |_| {})];
    let by_text =
        [told("described", |line| line.description = Some("AWS Activate".into())), told("no description", |_| {})];
    for (lines, expected) in
        [(by_day, "early"), (by_payer, "payer 1"), (by_account, "account 1"), (by_text, "no description")]
    {
        for turn in 0..2 {
            let mut history = until("2026-12");
            let mut lines = lines.to_vec();
            lines.rotate_left(turn);
            history.add("2026-01".parse().unwrap(), lines).unwrap();
            let credits = register(history, &[], &[]).unwrap().credits;
            assert_eq!(credits[0].promotion_code, expected);
        }
    }
    // Of two bills with lines of one day, the earlier one.
    let mut history = until("2026-12");
    history.add("2026-02".parse().unwrap(), vec![told("in February", |_| {})]).unwrap();
    history.add("2026-01".parse().unwrap(), vec![told("in January", |_| {})]).unwrap();
    assert_eq!(register(history, &[], &[]).unwrap().credits[0].promotion_code, "in January");
}

fn allocation(id: &str, action: &str, recorded_at: &str) -> AllocationLogRow {
    AllocationLogRow {
        allocation_id: id.into(),
        lot: 1,
        credit_key: "a".into(),
        action: action.into(),
        business_unit: Some("Retail".into()),
        department: None,
        portfolio: None,
        product: None,
        amount: Some("100".parse().unwrap()),
        currency: Some("USD".into()),
        end_date: None,
        reference: None,
        recorded_by: None,
        recorded_at: recorded_at.parse().unwrap(),
        note: None,
        from_period: None,
        continues_lot: None,
    }
}

#[test]
fn a_credit_whose_lines_have_gone_stays_as_last_known_while_it_is_allocated() {
    let (noon, one) = ("2026-02-01T12:00:00", "2026-02-01T13:00:00");
    let log = [row_of("a"), CreditLogRow { revision: 2, promotion_code: "renamed".into(), ..row_of("a") }];
    let kept = |allocations: &[AllocationLogRow]| register(until("2026-02"), &log, allocations).unwrap().credits;
    let credits = kept(&[allocation("1", "allocate", noon)]);
    let [credit] = &credits[..] else { panic!("it stays") };
    assert_eq!((credit.promotion_code.as_str(), credit.last_cur_date), ("renamed", None));
    assert_eq!((credit.aws_applied, credit.issue_date.to_string()), (Money::ZERO, "2026-01-04".to_owned()));
    assert!(kept(&[]).is_empty());
    // The newest revision says whether it is: by time, then by id.
    assert!(kept(&[allocation("1", "allocate", noon), allocation("2", "revoke", one)]).is_empty());
    assert_eq!(kept(&[allocation("2", "revoke", noon), allocation("1", "allocate", one)]).len(), 1);
    assert!(kept(&[allocation("2", "revoke", noon), allocation("1", "allocate", noon)]).is_empty());
    // Lines that come after the as-of date are lines: nothing stands in for them.
    let mut later = until("2026-02");
    later.add("2026-03".parse().unwrap(), vec![line(|_| {})]).unwrap();
    assert_eq!(register(later, &log, &[allocation("1", "allocate", noon)]).unwrap(), Register::default());
}

#[test]
fn a_changed_description_is_a_new_revision_and_the_same_one_none() {
    let register = |change: fn(&mut CreditLine)| {
        let mut history = until("2026-12");
        history.add("2026-01".parse().unwrap(), vec![line(change)]).unwrap();
        register(history, &[], &[]).unwrap()
    };
    let at = |text: &str| text.parse::<NaiveDateTime>().unwrap();
    let first = journal(&register(|_| {}), &[], "run-1", at("2026-02-01T00:00:00"));
    assert_eq!((first.len(), first[0].revision, first[0].run_id.as_str()), (1, 1, "run-1"));
    assert!(journal(&register(|_| {}), &first, "run-2", at("2026-02-02T00:00:00")).is_empty());
    let changed = register(|line| line.description = Some("Pilot (phase 2)".into()));
    let second = journal(&changed, &first, "run-3", at("2026-02-03T00:00:00"));
    assert_eq!((second.len(), second[0].revision, second[0].run_id.as_str()), (1, 2, "run-3"));
    assert_eq!(second[0].description.as_deref(), Some("Pilot (phase 2)"));
    // What it was called before is a change, too.
    let log = [first, second].concat();
    let third = journal(&register(|_| {}), &log, "run-4", at("2026-02-04T00:00:00"));
    assert_eq!((third[0].revision, &third[0].description), (3, &None));
    // How much AWS took off is no part of the journal.
    let other_amount = register(|line| line.amount = "-99".parse().unwrap());
    assert!(journal(&other_amount, &log[..1], "run-5", at("2026-02-05T00:00:00")).is_empty());
}

#[test]
fn sums_beyond_money_name_their_credit() {
    let huge = line(|line| line.amount = Money::from_units(-(10_i128.pow(38) - 1)).unwrap());
    let mut history = until("2026-12");
    let twice = history.add("2026-01".parse().unwrap(), vec![huge.clone(), huge.clone()]).unwrap_err();
    assert_eq!(twice.to_string(), "credit a: amount out of range: more than 38 digits at 10 decimals");
    let mut history = until("2026-12");
    for period in ["2026-01", "2026-02"] {
        history.add(period.parse().unwrap(), vec![huge.clone()]).unwrap();
    }
    let over_periods = register(history, &[], &[]).unwrap_err();
    assert_eq!(over_periods.to_string(), twice.to_string());
}

fn row_of(key: &str) -> CreditLogRow {
    CreditLogRow {
        credit_key: key.into(),
        revision: 1,
        promotion_code: format!("{key} seen on 05").into(),
        account_id: "1".into(),
        owner_account_id: None,
        credit_id: None,
        payer_account_id: "1".into(),
        currency: "USD".into(),
        description: None,
        credit_class: "other".into(),
        first_cur_date: "2026-01-05".parse().unwrap(),
        issue_date: "2026-01-04".parse().unwrap(),
        issue_date_source: CUR_INFERRED.into(),
        detected_at: NaiveDateTime::default(),
        run_id: "r".into(),
    }
}
