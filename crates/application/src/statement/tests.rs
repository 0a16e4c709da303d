//! The words of a statement: why something was left, what was recorded, what should be looked at.

use apply_fifo::statement::{RecordedLot, StatementLot};
use apply_fifo::unused::ServiceCost;
use credit_ledger::Money;

use super::*;
use crate::testing::{date, instant, money, node};

/// A credit with two lots of which nothing was used.
fn statement_of_two_lots() -> CreditStatement {
    let lot = |lot: i32, place: &str| StatementLot {
        lot,
        node: node(place),
        owner_email: None,
        amount: money("100"),
        used: Money::ZERO,
        expired: Money::ZERO,
        remaining: money("100"),
        end_date: None,
        reference: None,
        fifo_position: 1,
        fifo_lots: 2,
    };
    CreditStatement {
        run_id: "night".to_owned(),
        as_of: date("2026-03-31"),
        policy: "fifo_issue_date/v1".to_owned(),
        credit: credit(),
        lots: vec![lot(1, "Retail/Online"), lot(2, "Media")],
        months: Vec::new(),
        used_by: Vec::new(),
        unused: Vec::new(),
        history: Vec::new(),
        findings: Vec::new(),
    }
}

fn credit() -> Credit {
    Credit {
        credit_key: "id:42".into(),
        promotion_code: "Spring Credits".into(),
        account_id: "111111111111".into(),
        owner_account_id: None,
        credit_id: Some("42".into()),
        payer_account_id: "999999999999".into(),
        currency: "USD".into(),
        description: None,
        credit_class: "promotion".into(),
        first_cur_date: date("2026-01-10"),
        issue_date: date("2026-01-09"),
        issue_date_source: "cur_inferred".into(),
        issue_period: "2026-01".into(),
        status: "active".into(),
        allocated_amount: Some(money("200")),
        used: Some(Money::ZERO),
        expired: Some(Money::ZERO),
        remaining: Some(money("200")),
        end_date: None,
        reference: None,
        recorded_by: Some("ann".into()),
        recorded_at: Some(instant("2026-01-20T09:30:00")),
        aws_applied: money("30"),
        last_cur_date: Some(date("2026-01-10")),
        days_left: None,
        as_of: date("2026-03-31"),
        expiring_soon_days: 60,
    }
}

/// March of a lot that drew nothing.
fn nothing_drawn(lot: i32, reason: UnusedReason) -> Unused {
    Unused {
        billing_period: "2026-03".parse().unwrap(),
        lot,
        remaining: money("100"),
        expired: Money::ZERO,
        window: Some((date("2026-03-01"), date("2026-03-31"))),
        gross_cost: Money::ZERO,
        eligible: Money::ZERO,
        drawn: Money::ZERO,
        earlier: Vec::new(),
        later: Vec::new(),
        undrawn: Money::ZERO,
        outside_window: Money::ZERO,
        not_eligible: Money::ZERO,
        not_eligible_services: Vec::new(),
        tax: Money::ZERO,
        reason,
    }
}

fn taken(credit_key: &str, used: &str) -> Taken {
    Taken { credit_key: credit_key.into(), lot: 1, used: money(used) }
}

fn why(unused: &Unused) -> String {
    why_unused(unused, &statement_of_two_lots())
}

#[test]
fn a_lot_without_spend_names_its_node() {
    assert_eq!(why(&nothing_drawn(2, UnusedReason::NoSpend)), "no cost at Media");
    assert_eq!(why(&nothing_drawn(1, UnusedReason::NoSpend)), "no cost at Retail/Online");
}

#[test]
fn what_no_credit_may_offset_is_told_with_its_services_and_tax() {
    let service = |name: Option<&str>, cost: &str| ServiceCost { service: name.map(Into::into), cost: money(cost) };
    let unused = Unused {
        not_eligible: money("1234.5"),
        not_eligible_services: vec![
            service(Some("AWSMarketplace"), "1200"),
            service(None, "30"),
            service(Some("AmazonRegistrar"), "4"),
            service(Some("AWSSupport"), "0.5"),
        ],
        tax: money("12.345"),
        ..nothing_drawn(1, UnusedReason::NothingEligible)
    };
    let expected = "no credit may offset any of it; not eligible 1,234.50 (AWSMarketplace, no service, AmazonRegistrar); \
                    tax 12.35";
    assert_eq!(why(&unused), expected);
}

#[test]
fn spend_outside_of_the_window_is_told_with_the_days_of_the_window() {
    let outside = Unused { outside_window: money("40"), ..nothing_drawn(1, UnusedReason::OutsideWindow) };
    let until = Unused { window: Some((date("2026-03-01"), date("2026-03-15"))), ..outside.clone() };
    let told = "eligible spend only outside of its window; outside of its window (2026-03-01 to 2026-03-15) 40.00";
    assert_eq!(why(&until), told);
    let closed = Unused { window: None, ..outside };
    assert!(why(&closed).ends_with("; outside of its window (none) 40.00"), "{}", why(&closed));
}

#[test]
fn earlier_lots_are_named_with_what_they_took() {
    let earlier = ["a", "b", "c", "d", "e"].map(|key| taken(&format!("id:{key}"), "2500")).into();
    let all = Unused { earlier, ..nothing_drawn(1, UnusedReason::EarlierLots) };
    let expected = "earlier lots took all: id:a lot 1 2,500.00, id:b lot 1 2,500.00, id:c lot 1 2,500.00, 2 more";
    assert_eq!(why(&all), expected);
    let alone = nothing_drawn(1, UnusedReason::LessSpend);
    assert_eq!(why(&alone), "it drew all there was");
    let after = Unused { earlier: vec![taken("id:7", "60")], ..alone };
    assert_eq!(why(&after), "it drew all there was after id:7 lot 1 60.00");
}

fn revision() -> Revision {
    let lot = |lot: i32, place: &str| RecordedLot {
        lot,
        node: Some(node(place)),
        amount: Some(money("3000.24")),
        end_date: None,
        reference: None,
        from_period: None,
        continues_lot: None,
    };
    Revision {
        allocation_id: "a-1".into(),
        action: "allocate".into(),
        recorded_by: Some("ann".into()),
        recorded_at: instant("2026-01-20T09:30:59"),
        note: Some("as agreed".into()),
        lots: vec![
            RecordedLot { end_date: Some(date("2026-08-31")), reference: Some("INV-1".into()), ..lot(1, "Retail") },
            RecordedLot {
                amount: None,
                from_period: Some("2026-03".into()),
                continues_lot: Some(1),
                ..lot(2, "Media")
            },
            RecordedLot { node: None, amount: None, ..lot(3, "Media") },
        ],
        is_newest: true,
    }
}

#[test]
fn revision_says_who_and_when_and_each_lot_with_its_end() {
    let expected = [
        "2026-01-20 09:30  allocate  by ann, as agreed",
        "  lot 1: 3,000.24 USD to Retail, until 2026-08-31, INV-1",
        "  lot 2: what was left of lot 1 to Media from 2026-03, open-ended",
        "  lot 3: no amount to no node, open-ended",
    ];
    assert_eq!(revision_lines(&revision(), "USD"), expected);
}

#[test]
fn revision_that_counts_no_more_and_revocation_of_nobody_say_so() {
    let replaced = Revision { is_newest: false, note: None, lots: Vec::new(), ..revision() };
    assert_eq!(revision_lines(&replaced, "USD"), ["2026-01-20 09:30  allocate  by ann, replaced"]);
    let revoked = Revision { action: "revoke".into(), recorded_by: None, is_newest: true, ..replaced };
    assert_eq!(revision_lines(&revoked, "USD"), ["2026-01-20 09:30  revoke  by unknown"]);
}

#[test]
fn findings_are_told_in_the_currency_of_the_credit() {
    let euros = || {
        let mut statement = statement_of_two_lots();
        statement.credit.currency = "EUR".into();
        statement
    };
    let recorded_at = instant("2026-03-30T17:05:00");
    for (finding, text) in [
        (
            Finding::Waiting { reason: "revoked".into(), days: 80, aws_applied: money("1234.5") },
            "waits for allocation for 80 days (revoked); AWS applied 1,234.50 EUR so far",
        ),
        (
            Finding::AllocationIssue { allocation_id: "a-1".into(), lot: 2, problem: "node Gone is unknown".into() },
            "allocation a-1 lot 2 cannot be used: node Gone is unknown",
        ),
        (
            Finding::RecordedLater { recorded_at, recorded_by: Some("jane".into()) },
            "the revision of 2026-03-30 17:05 by jane is not in these figures; it counts from the next run",
        ),
        (
            Finding::RecordedLater { recorded_at, recorded_by: None },
            "the revision of 2026-03-30 17:05 by unknown is not in these figures; it counts from the next run",
        ),
        (
            Finding::ExpiresSoon { lot: 1, end_date: date("2026-04-30"), left: money("30") },
            "lot 1 ends on 2026-04-30 with 30.00 EUR left",
        ),
        (
            Finding::Lapsed { lot: 1, end_date: date("2026-02-28"), lost: money("0.005") },
            "lot 1 ended on 2026-02-28: 0.01 EUR lost",
        ),
        (
            Finding::AppliedMoreThanAllocated { aws_applied: money("250"), allocated_amount: money("200") },
            "AWS applied 250.00 EUR, more than the 200.00 allocated: the amount is too low",
        ),
        (
            Finding::AppliedAfterEnd { last_cur_date: date("2026-03-05"), end_date: date("2026-02-28") },
            "AWS applied it on 2026-03-05, after its end on 2026-02-28: that end is too early",
        ),
    ] {
        assert_eq!(finding_text(&finding, &euros()), text);
    }
}

#[test]
fn credit_that_is_not_found_is_told_with_those_that_may_be_meant() {
    let said = |unfound: Unfound| {
        let failure = not_found("MAP", &unfound);
        assert_eq!(failure.kind, Kind::BadInput);
        failure.to_string()
    };
    let keys = |count: usize| (1..=count).map(|number| format!("id:{number}").into()).collect::<Vec<Text>>();
    assert_eq!(said(Unfound::Ambiguous(keys(2))), "2 credits fit MAP: id:1, id:2; give the key of one");
    let many = said(Unfound::Ambiguous(keys(12)));
    assert!(many.starts_with("12 credits fit MAP: id:1, ") && many.contains("id:10, and 2 more; give"), "{many}");
    assert_eq!(said(Unfound::Unknown(keys(1))), "no credit fits MAP; did you mean id:1?");
    let none = "no credit fits MAP; `queue` and `credits` list those that are registered";
    assert_eq!(said(Unfound::Unknown(Vec::new())), none);
}
