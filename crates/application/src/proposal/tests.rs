//! A revision before and after it is recorded.

use schemas::reference::CreditName;
use serde_json::{Value, json};

use super::*;
use crate::revision::found;
use crate::testing::{AS_OF, Shop, date, entered, money};

fn credit(aws_applied: &str) -> RegisteredCredit {
    RegisteredCredit {
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
        last_cur_date: None,
        aws_applied: money(aws_applied),
    }
}

fn recorded(lot: i32, amount: Option<&str>, continues_lot: Option<i32>) -> AllocationLogRow {
    AllocationLogRow {
        allocation_id: "a-2".into(),
        lot,
        credit_key: "id:42".into(),
        action: "allocate".into(),
        business_unit: Some("Retail".into()),
        department: None,
        portfolio: None,
        product: None,
        amount: amount.map(money),
        currency: Some("USD".into()),
        end_date: None,
        reference: None,
        recorded_by: Some("jane".into()),
        recorded_at: crate::testing::instant("2026-03-31T09:00:00"),
        note: None,
        from_period: continues_lot.map(|_| "2026-03".into()),
        continues_lot,
    }
}

/// A lot on Retail that has eligible spend and does not end.
fn outcome(lot: i32) -> LotOutcome {
    LotOutcome {
        credit_key: "id:42".into(),
        lot,
        node: "Retail".to_owned(),
        currency: "USD".into(),
        amount: money("100"),
        continues: None,
        moved: Money::ZERO,
        used: Money::ZERO,
        expired: Money::ZERO,
        remaining: money("100"),
        end_date: None,
        eligible: money("1"),
    }
}

fn warnings(aws_applied: &str, rows: Vec<AllocationLogRow>, lots: Vec<LotOutcome>) -> Vec<String> {
    let proposal = Proposal {
        unusable: Vec::new(),
        credit: &credit(aws_applied),
        replaced: Vec::new(),
        recorded: None,
        preview: Some(Preview { months: Vec::new(), lots, other_credits: Vec::new() }),
        unknown: None,
        as_of: date("2026-03-31"),
        new: Revisions { rows, ..Revisions::default() },
    };
    proposal.warnings()
}

#[test]
fn amount_that_may_have_a_digit_too_many_is_warned_of() {
    let of = |aws_applied: &str, amounts: &[&str]| {
        let rows = (1..).zip(amounts).map(|(lot, amount)| recorded(lot, Some(*amount), None));
        warnings(aws_applied, rows.collect(), Vec::new())
    };
    let expected = ["3,000.00 USD is 10 times what AWS has applied so far, 300.00, or more"];
    assert_eq!(of("300", &["1000", "2000"]), expected, "the sum of its lots counts");
    assert!(of("300", &["2999.99"]).is_empty());
    assert!(of("0", &["3000"]).is_empty(), "AWS has not applied any of it yet");
    let move_of_all = vec![recorded(1, Some("3000"), None), recorded(2, None, Some(1))];
    assert!(warnings("300", move_of_all, Vec::new()).is_empty(), "it was so before the move");
}

#[test]
fn lot_that_cannot_be_used_as_it_is_meant_is_warned_of() {
    let rows = || vec![recorded(1, Some("100"), None)];
    let over = LotOutcome { end_date: Some(date("2026-02-28")), eligible: Money::ZERO, ..outcome(1) };
    let expected = [
        "lot 1 on Retail ended on 2026-02-28: what it had not used by then is lost",
        "lot 1: there is no eligible spend at Retail within its window so far",
    ];
    assert_eq!(warnings("50", rows(), vec![over.clone()]), expected);
    let last_day = LotOutcome { end_date: Some(date("2026-03-31")), ..outcome(1) };
    assert!(warnings("50", rows(), vec![last_day]).is_empty(), "its last day is not over");
    let goes_on = |from: &str| Some(Continues { lot: 1, from_period: from.parse().unwrap() });
    let later = LotOutcome { lot: 2, continues: goes_on("2026-04"), eligible: Money::ZERO, ..outcome(2) };
    assert!(warnings("50", rows(), vec![over.clone(), later]).is_empty(), "one went on, the other is still to begin");
    let begun = LotOutcome { lot: 2, continues: goes_on("2026-03"), eligible: Money::ZERO, ..outcome(2) };
    let expected = ["lot 2: there is no eligible spend at Retail within its window so far"];
    assert_eq!(warnings("50", rows(), vec![over, begun]), expected);
}

fn as_json(proposal: &Proposal<'_>, is_recorded: bool) -> Value {
    serde_json::to_value(proposal.for_programs(is_recorded)).unwrap()
}

/// 130 on Retail/Online, of which January used 100, become 60.
#[tokio::test(flavor = "multi_thread")]
async fn lower_amount_raises_net_cost_and_is_in_the_log_only_once_it_is_recorded() {
    let shop = Shop::new();
    let context = shop.night("night-1", AS_OF).await;
    let snapshot = CreditSnapshot::of(&context).await.unwrap();
    let credit = found(&CreditName::Key("id:42".into()), &snapshot).unwrap();
    let caller = "arn:aws:sts::999999999999:assumed-role/finops/jane";
    let recording = snapshot.recording(&context, (Some(caller), Some("jane")), None);
    let rows = [entered("id:42", "60", "Retail/Online", Some("2026-06-30"))];
    let proposal = Proposal::of(&context, &snapshot, credit, &rows, &recording).await.unwrap();
    let (by, at) = proposal.recorded.clone().unwrap();
    assert_eq!((by.as_deref(), at.to_string()), (Some("ann"), "2026-01-20 09:30:00".to_owned()));
    let replaced: Vec<String> = proposal.replaced.iter().map(|lot| format!("{} {}", lot.lot, lot.amount)).collect();
    assert_eq!(replaced, ["1 130.0000000000"]);
    let dry = as_json(&proposal, false);
    assert_eq!(dry["recorded"], json!([]));
    let month = &dry["months"][0];
    assert_eq!((&month["billing_period"], &month["business_unit"]), (&json!("2026-01"), &json!("Retail")));
    assert_eq!((&month["credits_applied"], &month["change"]), (&json!("-60.0000000000"), &json!("40.0000000000")));
    assert_eq!(dry["lots"][0]["remaining"], json!("0.0000000000"));
    assert_eq!((&dry["changes_unknown"], &dry["warnings"]), (&Value::Null, &json!([])));
    let log = async || context.lake.logs().read::<AllocationLogRow>().await.unwrap();
    assert_eq!(log().await.len(), 1, "nothing is recorded yet");
    proposal.record(&context).await.unwrap();
    let newest = log().await.into_iter().max_by_key(|row| row.recorded_at).unwrap();
    assert_eq!(newest.recorded_by.as_deref(), Some(format!("{caller} (jane)").as_str()));
    assert_eq!(as_json(&proposal, true)["recorded"][0]["allocation_id"], json!(newest.allocation_id));
    assert_eq!(as_json(&proposal, true)["allocation_id"], json!(newest.allocation_id));
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_is_wrong_with_a_revision_is_told_at_once_and_nothing_is_recorded() {
    let shop = Shop::new();
    let context = shop.night("night-1", AS_OF).await;
    let snapshot = CreditSnapshot::of(&context).await.unwrap();
    let credit = found(&CreditName::Key("id:42".into()), &snapshot).unwrap();
    let recording = snapshot.recording(&context, (None, Some("jane")), None);
    let rows = [
        entered("id:42", "60", "Retail/Onlin", Some("2026-06-30")),
        AllocationRow { currency: Some("EUR".into()), ..entered("id:42", "-1", "Media", Some("2025-12-31")) },
    ];
    let failure = Proposal::of(&context, &snapshot, credit, &rows, &recording).await.err().unwrap();
    assert_eq!(failure.kind, Kind::BadInput);
    let lines = failure.into_lines();
    assert!(lines[0].contains("did you mean Retail/Online?"), "{lines:?}");
    for wrong in ["-1.0000000000", "EUR", "2025-12-31"] {
        assert!(lines.iter().any(|line| line.starts_with("allocate: ") && line.contains(wrong)), "{wrong}: {lines:?}");
    }
    assert_eq!(Proposal::check(&snapshot, &rows, &recording).unwrap_err().0.len(), lines.len());
    assert_eq!(context.lake.logs().read::<AllocationLogRow>().await.unwrap().len(), 1);
}
