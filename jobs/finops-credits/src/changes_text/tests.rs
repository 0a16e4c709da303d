//! What changed between two nights, in words and as a flat table.

use write_net_cost::changes::{CountChange, RunInBrief};

use super::*;
use crate::changes_csv::flat;
use crate::output::csv_text;
use crate::testing::{date, instant, money, node};

fn change(from: &str, to: &str) -> AmountChange {
    AmountChange::of(money(from), money(to)).unwrap()
}

/// A business unit of which only credits applied, and so net cost, changed.
fn unit(name: &str, from: &str, to: &str) -> UnitChange {
    let gross = change("5000", "5000");
    let net = AmountChange::of(gross.from.checked_add(money(from)).unwrap(), gross.to.checked_add(money(to)).unwrap());
    UnitChange {
        business_unit: name.into(),
        gross_cost: gross,
        refunds: change("0", "0"),
        aws_credits: change("-10", "-10"),
        credits_applied: change(from, to),
        net_cost: net.unwrap(),
        clearing: change("0", "0"),
    }
}

fn month(period: &str, business_units: Vec<UnitChange>, why: Vec<Reason>) -> MonthChange {
    let nodes_changed = business_units.len();
    let billing_period = period.parse().unwrap();
    MonthChange { billing_period, currency: "USD".into(), business_units, nodes_changed, budgets: Vec::new(), why }
}

fn figures(status: &str, used: &str) -> CreditFigures {
    CreditFigures {
        status: status.into(),
        issue_date: date("2026-07-31"),
        allocated_amount: Some(money("2500")),
        used: Some(money(used)),
        expired: Some(Money::ZERO),
        remaining: money("2500").checked_sub(money(used)).ok(),
        end_date: Some(date("2026-12-31")),
        reference: None,
        recorded_by: Some("ann".into()),
        recorded_at: Some(instant("2026-09-01T09:30:00")),
        aws_applied: money("100"),
    }
}

fn credit(events: &[CreditEvent], from: Option<CreditFigures>, to: Option<CreditFigures>) -> CreditChange {
    CreditChange {
        credit_key: "id:8".into(),
        promotion_code: "MAP".into(),
        account_id: "111111111111".into(),
        currency: "USD".into(),
        events: events.to_vec(),
        from,
        to,
        lots: Vec::new(),
        months: Vec::new(),
    }
}

fn terms(place: &str, amount: &str, end: Option<&str>) -> LotTerms {
    LotTerms { node: node(place), amount: money(amount), is_moved: false, end_date: end.map(date) }
}

fn changes(past_months: Vec<MonthChange>, credits: Vec<CreditChange>) -> Changes {
    let run = |run_id: &str, as_of: &str| RunInBrief {
        run_id: run_id.to_owned(),
        as_of: date(as_of),
        started_at: instant("2026-10-31T02:00:00"),
        policy: "fifo_issue_date/v1".to_owned(),
    };
    let (from, to) = (run("night-1", "2026-10-30"), run("night-2", "2026-10-31"));
    Changes { from, to, past_months, current_months: Vec::new(), credits }
}

fn recorded(credit_key: &str) -> Recorded {
    Recorded {
        credit_key: credit_key.into(),
        status: Some("exhausted".into()),
        recorded_by: Some("jane@example.com".into()),
        recorded_at: Some(instant("2026-10-31T09:30:15")),
    }
}

/// A credit of 2,500 that somebody gave to Logistics, where August and September had used others before.
fn allocated_late() -> Changes {
    let why = || vec![Reason::Allocations { credits: vec![recorded("id:8")] }];
    let budget = BudgetChange { node: Some(node("Retail")), from: None, to: Some(money("12500")) };
    let mut september = month("2026-09", vec![unit("Logistics", "0", "-500")], why());
    september.why.push(Reason::Budgets);
    september.budgets.push(budget);
    let lot = LotChange { lot: 1, from: None, to: Some(terms("Logistics", "2500", Some("2027-03-31"))) };
    let used = |period: &str, to: &str| CreditMonth {
        billing_period: period.parse().unwrap(),
        used: change("0", to),
        expired: change("0", "0"),
    };
    let waiting = CreditFigures {
        allocated_amount: None,
        used: None,
        expired: None,
        remaining: None,
        end_date: None,
        recorded_by: None,
        recorded_at: None,
        ..figures("unallocated", "0")
    };
    let events = [CreditEvent::Exhausted, CreditEvent::Allocated, CreditEvent::Used];
    let credit = CreditChange {
        lots: vec![lot],
        months: vec![used("2026-08", "2000"), used("2026-09", "500")],
        ..credit(&events, Some(waiting), Some(figures("exhausted", "2500")))
    };
    changes(vec![month("2026-08", vec![unit("Logistics", "-40", "-2040")], why()), september], vec![credit])
}

fn told(changes: &Changes, most: usize) -> String {
    let sections = sections(changes, most).unwrap();
    let text = |section: &Section| {
        let table = section.table.as_ref().map(|table| csv_text(std::slice::from_ref(table), true).unwrap());
        format!("{}\n{}{}\n", section.heading, table.unwrap_or_default(), section.lines.join("\n"))
    };
    sections.iter().map(text).collect()
}

#[test]
fn past_months_come_first_with_their_reasons_and_then_credits() {
    insta::assert_snapshot!(told(&allocated_late(), usize::MAX), @r"
    Past months, before 2026-10: net cost -2,500.00 USD; changes by business unit
    month,business_unit,currency,gross_cost,refunds,aws_credits,credits_applied,net_cost
    2026-08,Logistics,USD,0.0000000000,0.0000000000,0.0000000000,-2000.0000000000,-2000.0000000000
    2026-09,Logistics,USD,0.0000000000,0.0000000000,0.0000000000,-500.0000000000,-500.0000000000
      2026-08, 2026-09  allocations: id:8 (jane@example.com, 2026-10-31 09:30)
      2026-09  budgets: Retail none -> 12,500.00 USD
    Credits, 1 changed
      id:8  exhausted; allocated, lot 1: 2,500.00 USD to Logistics, until 2027-03-31; used 0.00 -> 2,500.00 USD (+2,500.00): 2026-08 +2,000.00, 2026-09 +500.00
    ");
}

#[test]
fn of_many_changes_the_first_are_told_and_where_all_are() {
    let units = (1..=12).map(|number| unit(&format!("Unit {number:02}"), "0", "-1")).collect();
    let credits = vec![credit(&[CreditEvent::Revoked], None, Some(figures("unallocated", "0"))); 12];
    let why = (1..=12).map(|number| Reason::Shifted { amount: money(&number.to_string()) }).collect();
    let told = told(&changes(vec![month("2026-08", units, why)], credits), 10);
    assert_eq!(told.matches("  and 2 more; `finops-credits diff` shows all").count(), 3, "{told}");
    assert!(told.contains("Unit 10") && !told.contains("Unit 11"), "{told}");
    assert!(told.starts_with("Past months, before 2026-10: net cost -12.00 USD; changes by business unit\n"), "{told}");
    assert!(told.contains("Credits, 12 changed\n"), "{told}");
}

#[test]
fn every_reason_is_a_sentence_with_its_figures() {
    let months = |credits: &[&str]| credits.iter().map(|key| (*key).into()).collect();
    let gone = Recorded { recorded_at: None, recorded_by: None, status: None, ..recorded("id:9") };
    let unused = Recorded { recorded_at: None, recorded_by: None, status: Some("invalid".into()), ..recorded("id:7") };
    for (reason, text) in [
        (Reason::NewMonth, "new: the run before did not reach this month"),
        (Reason::GoneMonth, "gone: the run after does not reach this month"),
        (
            Reason::Export {
                export_total: change("40100", "40250.005"),
                lines: CountChange { from: 6_100, to: 6_130 },
            },
            "export: 40,100.00 -> 40,250.01 USD (+150.01), 6,100 -> 6,130 lines",
        ),
        (
            Reason::Measures { cost: change("100", "80") },
            "the same lines make other sums, 100.00 -> 80.00 USD (-20.00): the cost column, or what counts as a refund or a \
             credit, is set otherwise",
        ),
        (
            Reason::Shifted { amount: money("1234.5") },
            "1,234.50 USD lie on other nodes: rules or the hierarchy changed, or accounts and tags of lines",
        ),
        (
            Reason::Allocations { credits: vec![recorded("id:8"), gone, unused] },
            "allocations: id:8 (jane@example.com, 2026-10-31 09:30), id:9 (gone), id:7 (now invalid)",
        ),
        (
            Reason::IssueDates { credits: months(&["a", "b", "c", "d", "e", "f", "g"]) },
            "issue dates: a, b, c, d, e, 2 more",
        ),
        (Reason::EarlierMonths { credits: months(&["id:8"]) }, "earlier months left other amounts of id:8"),
        (
            Reason::Policy { from: "fifo_issue_date/v1".to_owned(), to: "fifo_issue_day/v1".to_owned() },
            "FIFO policy: fifo_issue_date/v1 -> fifo_issue_day/v1",
        ),
        (Reason::Version, "another version of the program made it"),
    ] {
        assert_eq!(reason_text(&reason, &month("2026-08", Vec::new(), Vec::new())), text);
    }
}

#[test]
fn months_below_business_units_and_budgets_of_the_whole_are_told_too() {
    let mut below = month("2026-08", Vec::new(), vec![Reason::Budgets]);
    below.nodes_changed = 3;
    below.budgets = vec![BudgetChange { node: None, from: Some(money("5")), to: None }];
    let expected =
        ["  2026-08  3 nodes below business units changed", "  2026-08  budgets: the whole 5.00 -> none USD"];
    assert_eq!(why_lines(&[below]), expected);
}

#[test]
fn what_happened_to_a_credit_is_told_gravest_first_in_one_line() {
    let lost = CreditFigures { expired: Some(money("30")), ..figures("expired", "100") };
    let less = || Some(figures("active", "100"));
    let dated = CreditFigures { issue_date: date("2026-06-30"), ..figures("active", "100") };
    let moved = LotTerms { is_moved: true, ..terms("Media", "40", None) };
    let lots = |lots: Vec<LotChange>| CreditChange { lots, ..credit(&[CreditEvent::Lots], less(), less()) };
    for (credit, text) in [
        (credit(&[CreditEvent::Gone], less(), None), "is in the export no more"),
        (credit(&[CreditEvent::Invalid], less(), Some(figures("invalid", "0"))), "its allocation cannot be used"),
        (credit(&[CreditEvent::Expired], less(), Some(lost)), "expired, 30.00 USD lost"),
        (credit(&[CreditEvent::New], None, less()), "new, 100.00 USD applied by AWS so far"),
        (credit(&[CreditEvent::Allocated], None, less()), "allocated, 2,500.00 USD"),
        (
            credit(&[CreditEvent::ExpiringSoon], less(), Some(figures("expiring_soon", "100"))),
            "expires soon, 2,400.00 USD left, ends 2026-12-31",
        ),
        (credit(&[CreditEvent::IssueDate], less(), Some(dated)), "issue date 2026-07-31 -> 2026-06-30"),
        (credit(&[CreditEvent::Status], less(), Some(figures("exhausted", "2500"))), "active -> exhausted"),
        (credit(&[CreditEvent::Status], less(), less()), "active as before, other figures"),
        (
            credit(&[CreditEvent::Used, CreditEvent::Recorded], less(), Some(figures("active", "150"))),
            "used 100.00 -> 150.00 USD (+50.00); recorded anew by ann",
        ),
        (
            lots(vec![
                LotChange {
                    lot: 1,
                    from: Some(terms("Retail", "100", None)),
                    to: Some(terms("Media", "80", Some("2026-12-31"))),
                },
                LotChange { lot: 2, from: None, to: Some(moved) },
                LotChange { lot: 3, from: Some(terms("Retail", "5", None)), to: None },
            ]),
            "lot 1: moved from Retail to Media, 100.00 -> 80.00 USD, open-ended -> until 2026-12-31, lot 2: 40.00 USD moved to \
             Media, open-ended, lot 3 is gone: 5.00 USD to Retail, open-ended",
        ),
    ] {
        assert_eq!(credit_line(&credit), format!("id:8  {text}"));
    }
}

#[test]
fn flat_table_has_a_row_for_every_figure_that_is_another_and_none_for_the_others() {
    let text = csv_text(&[flat(&allocated_late()).unwrap()], false).unwrap();
    insta::assert_snapshot!(text, @r#"
    section,billing_period,currency,node,credit_key,lot,figure,from_amount,to_amount,change,from_text,to_text,why
    past_months,2026-08,USD,Logistics,,,credits_applied,-40.0000000000,-2040.0000000000,-2000.0000000000,,,"allocations: id:8 (jane@example.com, 2026-10-31 09:30)"
    past_months,2026-08,USD,Logistics,,,net_cost,4960.0000000000,2960.0000000000,-2000.0000000000,,,"allocations: id:8 (jane@example.com, 2026-10-31 09:30)"
    past_months,2026-09,USD,Logistics,,,credits_applied,0.0000000000,-500.0000000000,-500.0000000000,,,"allocations: id:8 (jane@example.com, 2026-10-31 09:30); budgets: Retail none -> 12,500.00 USD"
    past_months,2026-09,USD,Logistics,,,net_cost,5000.0000000000,4500.0000000000,-500.0000000000,,,"allocations: id:8 (jane@example.com, 2026-10-31 09:30); budgets: Retail none -> 12,500.00 USD"
    past_months,2026-09,USD,Retail,,,budget_amount,,12500.0000000000,12500.0000000000,,,"allocations: id:8 (jane@example.com, 2026-10-31 09:30); budgets: Retail none -> 12,500.00 USD"
    credits,,USD,,id:8,,status,,,,unallocated,exhausted,
    credits,,USD,,id:8,,end_date,,,,,2026-12-31,
    credits,,USD,,id:8,,recorded_by,,,,,ann,
    credits,,USD,,id:8,,recorded_at,,,,,2026-09-01 09:30:00,
    credits,,USD,,id:8,,allocated_amount,,2500.0000000000,2500.0000000000,,,
    credits,,USD,,id:8,,used,,2500.0000000000,2500.0000000000,,,
    credits,,USD,,id:8,,expired,,0.0000000000,0.0000000000,,,
    credits,,USD,,id:8,,remaining,,0.0000000000,0.0000000000,,,
    credits,,USD,,id:8,1,node,,,,,Logistics,
    credits,,USD,,id:8,1,amount,,2500.0000000000,2500.0000000000,,,
    credits,,USD,,id:8,1,end_date,,,,,2027-03-31,
    credits,2026-08,USD,,id:8,,used,0.0000000000,2000.0000000000,2000.0000000000,,,
    credits,2026-09,USD,,id:8,,used,0.0000000000,500.0000000000,500.0000000000,,,
    "#);
    let nothing = csv_text(&[flat(&changes(Vec::new(), Vec::new())).unwrap()], false).unwrap();
    assert_eq!(nothing.lines().count(), 1, "{nothing}");
}
