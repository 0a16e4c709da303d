//! What a night finds beside the one before.

use schemas::tables::CreditQueue;
use write_net_cost::standing::EndingLots;

use super::*;
use crate::jobs::detect;
use crate::testing::{AS_OF, Shop, date, money};

/// A credit that waits.
fn credit(key: &str) -> Credit {
    Credit {
        credit_key: key.into(),
        promotion_code: "MAP".into(),
        account_id: "111111111111".into(),
        owner_account_id: None,
        credit_id: None,
        payer_account_id: "999999999999".into(),
        currency: "USD".into(),
        description: None,
        credit_class: "promotion".into(),
        first_cur_date: date("2026-01-10"),
        issue_date: date("2026-01-09"),
        issue_date_source: "cur_inferred".into(),
        issue_period: "2026-01".into(),
        status: "unallocated".into(),
        allocated_amount: None,
        used: None,
        expired: None,
        remaining: None,
        end_date: None,
        reference: None,
        recorded_by: None,
        recorded_at: None,
        aws_applied: money("30"),
        last_cur_date: None,
        days_left: None,
        as_of: date("2026-03-31"),
        expiring_soon_days: 60,
    }
}

fn allocated(key: &str, status: &str, expired: &str, remaining: &str, end: Option<&str>) -> Credit {
    Credit {
        status: status.into(),
        expired: Some(money(expired)),
        remaining: Some(money(remaining)),
        end_date: end.map(date),
        ..credit(key)
    }
}

fn told(credits: &[CreditAmount]) -> Vec<String> {
    let end = |credit: &CreditAmount| credit.end_date.map_or_else(|| "-".to_owned(), |end| end.to_string());
    credits.iter().map(|credit| format!("{} {} {}", credit.credit_key, credit.amount, end(credit))).collect()
}

fn part(credits: &[Credit], queue: &[CreditQueue], ending: EndingLots, known: &[&str]) -> CreditsPart {
    let known: Vec<Text> = known.iter().map(|key| (*key).into()).collect();
    CreditsPart::of(&WrittenCredits { credits: credits.to_vec(), queue: queue.to_vec(), ending }, &known).unwrap()
}

#[test]
fn credits_are_new_that_the_published_run_did_not_have() {
    let credits = ["id:1", "id:2", "id:4"].map(credit);
    let new = |known: &[&str]| told(&part(&credits, &[], EndingLots::new(), known).new);
    let all = ["id:1 30.0000000000 -", "id:2 30.0000000000 -", "id:4 30.0000000000 -"];
    assert_eq!(new(&[]), all);
    assert_eq!(new(&["id:1", "id:3", "id:4"]), all[1..2], "one that is gone by now hides none");
    assert_eq!(new(&["id:0", "id:1", "id:2", "id:4", "id:5"]), [""; 0]);
}

fn ending(lot: i32, end: &str, left: &str, lost: &str) -> EndingLot {
    EndingLot { lot, end_date: date(end), left: money(left), lost: money(lost) }
}

/// Of four lots one has lapsed and three end soon, two of them on one day.
#[test]
fn credit_of_which_lots_lapsed_and_lots_end_soon_is_told_by_end() {
    let credits = [
        allocated("id:1", "expiring_soon", "10", "500", Some("2026-04-30")),
        allocated("id:2", "expired", "7", "0", Some("2026-02-28")),
        allocated("id:3", "active", "0", "5", Some("2027-01-31")),
    ];
    let lots = [
        ending(1, "2026-05-31", "200", "0"),
        ending(2, "2026-01-31", "0", "10"),
        ending(3, "2026-04-30", "20", "0"),
        ending(4, "2026-05-31", "1", "0"),
    ];
    let all =
        EndingLots::from([("id:1".into(), lots.to_vec()), ("id:2".into(), vec![ending(1, "2026-02-28", "0", "7")])]);
    let part = part(&credits, &[], all, &[]);
    assert_eq!(told(&part.expiring_soon), ["id:1 20.0000000000 2026-04-30", "id:1 201.0000000000 2026-05-31"]);
    assert_eq!(told(&part.expired), ["id:1 10.0000000000 2026-01-31", "id:2 7.0000000000 2026-02-28"]);
    assert_eq!((part.registered, part.newly_expiring, part.newly_expired), (3, 0, 0));
}

#[test]
fn lot_is_news_once_its_end_is_near_or_past_or_when_somebody_recorded_it() {
    let key = Text::new("id:1");
    let then = Some(AsOf { date: date("2026-03-01"), expiring_soon_days: 30 });
    let news = EndingNews { then, recorded: HashSet::from([(&key, 9)]) };
    let is_news = |lot: EndingLot| (news.is_newly_soon(&key, &lot), news.is_newly_lost(&key, &lot));
    assert_eq!(is_news(ending(1, "2026-03-31", "5", "0")), (false, false), "near already");
    assert_eq!(is_news(ending(1, "2026-04-01", "5", "0")), (true, false));
    assert_eq!(is_news(ending(9, "2026-03-31", "5", "0")), (true, false), "recorded since");
    assert_eq!(is_news(ending(1, "2026-02-28", "0", "5")), (false, false), "past already");
    assert_eq!(is_news(ending(1, "2026-03-01", "0", "5")), (false, true), "its last day");
    assert_eq!(is_news(ending(9, "2026-01-31", "0", "5")), (false, true), "recorded since");
    assert_eq!(is_news(ending(9, "2026-03-31", "0", "0")), (false, false), "used up");
}

#[test]
fn credit_that_waits_longest_gives_the_days() {
    let row = |key: &str, days_waiting: i32| CreditQueue {
        credit_key: key.into(),
        promotion_code: "MAP".into(),
        account_id: "111111111111".into(),
        credit_class: "promotion".into(),
        currency: "USD".into(),
        first_cur_date: date("2026-01-10"),
        issue_date: date("2026-01-09"),
        issue_period: "2026-01".into(),
        aws_applied: money("5"),
        days_waiting,
        reason: "never_allocated".into(),
    };
    let found = part(&[], &[row("id:1", 12), row("id:2", 78)], EndingLots::new(), &[]);
    assert_eq!((found.oldest_waiting_days, told(&found.waiting).len()), (78, 2));
    assert_eq!(part(&[], &[], EndingLots::new(), &[]).oldest_waiting_days, 0);
}

/// The end of what is left comes near, and passes.
#[tokio::test(flavor = "multi_thread")]
async fn credit_is_newly_expiring_and_newly_expired_in_one_night_each() {
    let shop = Shop::new();
    let allocations = shop.read("reference/allocations.csv").replace("2026-02-28", "2026-04-15");
    shop.write("reference/allocations.csv", &allocations);
    let mut nights = Vec::new();
    for (id, as_of) in [
        ("1", AS_OF),
        ("2", "2026-02-13"),
        ("3", "2026-02-14"),
        ("4", "2026-04-15"),
        ("5", "2026-04-16"),
        ("6", "2026-04-17"),
    ] {
        let report = shop.night(id, as_of).await;
        let credits = &report.credits;
        let ends = [&credits.expiring_soon, &credits.expired].map(|credits| told(credits).join(", "));
        nights.push((as_of, credits.newly_expiring, credits.newly_expired, ends));
    }
    let (left, lost) = ("id:42 30.0000000000 2026-04-15", "id:42 30.0000000000 2026-04-15");
    let ends = |soon: &str, past: &str| [soon.to_owned(), past.to_owned()];
    let expected = [
        (AS_OF, 0, 0, ends("", "")),
        ("2026-02-13", 0, 0, ends("", "")),
        ("2026-02-14", 1, 0, ends(left, "")),
        ("2026-04-15", 0, 0, ends(left, "")),
        ("2026-04-16", 0, 1, ends("", lost)),
        ("2026-04-17", 0, 0, ends("", lost)),
    ];
    assert_eq!(nights, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn first_night_and_the_one_after_a_revision_are_told_as_they_were() {
    let shop = Shop::new();
    let first = shop.night("night-1", AS_OF).await;
    assert_eq!(
        told(&first.credits.new),
        ["code:Activate@222222222222 7.0000000000 -", "id:42 30.0000000000 2026-02-28"]
    );
    assert_eq!(told(&first.credits.waiting), ["code:Activate@222222222222 7.0000000000 -"]);
    assert_eq!((first.credits.oldest_waiting_days, first.published, first.changes.is_none()), (18, true, true));
    let [tie_out] = first.tie_out.as_slice() else { panic!("{:?}", first.tie_out) };
    assert_eq!((tie_out.export_total, tie_out.net_cost), (money("103"), money("40")));
    assert_eq!((tie_out.difference, tie_out.clearing), (Money::ZERO, money("63")));
    let units: Vec<String> = first
        .net_cost_by_business_unit
        .iter()
        .map(|row| format!("{} {}", row.business_unit.as_deref().unwrap_or_default(), row.net_cost))
        .collect();
    assert_eq!(units, ["Media 40.0000000000", "Retail 0.0000000000"]);
    let edited = shop.read("reference/allocations.csv").replace("130,USD", "90,USD");
    shop.write("reference/allocations.csv", &edited);
    let second = shop.night("night-2", AS_OF).await;
    assert_eq!((second.credits.new.len(), second.edited_allocations.as_slice()), (0, &[2][..]));
    assert!(second.changes.is_some_and(|changes| changes.is_empty()), "what is edited is not recorded");
}

#[tokio::test(flavor = "multi_thread")]
async fn run_as_of_an_earlier_date_is_held_back_and_says_why() {
    let shop = Shop::new();
    shop.night("night-1", "2026-02-28").await;
    let earlier = shop.night("night-2", AS_OF).await;
    assert!(!earlier.published);
    let why = earlier.not_published.unwrap();
    assert!(why.contains("2026-01-31") && why.contains("2026-02-28"), "{why}");
    let app = shop.app("asking", AS_OF).await;
    assert_eq!(app.context.lake.published().await.unwrap().as_deref(), Some("night-1"));
    let digest: serde_json::Value = serde_json::from_str(&shop.read("lake/summaries/night-2.json")).unwrap();
    assert_eq!((&digest["as_of"], &digest["run_id"]), (&"2026-01-31".into(), &"night-2".into()));
}

/// The jobs of one run are given one date.
#[tokio::test(flavor = "multi_thread")]
async fn job_with_another_date_than_the_one_before_it_is_refused() {
    let shop = Shop::new();
    let app = shop.app("night-1", AS_OF).await;
    let early = app.detected().await.unwrap_err();
    let undone = "run night-1: detect-credits has not been done; give all jobs of a run one --run-id";
    assert_eq!((early.kind, early.to_string().as_str()), (crate::Kind::NotYet, undone));
    app.locked(async |lock| detect::detect_credits(&app, lock).await).await.unwrap();
    assert_eq!(app.detected().await.unwrap().periods.len(), 1);
    let other = shop.app("night-1", "2026-02-28").await.detected().await.unwrap_err();
    let expected = "run night-1 was started with --as-of 2026-01-31, not 2026-02-28; give all jobs of a run the same";
    assert_eq!((other.kind, other.to_string().as_str()), (crate::Kind::Usage, expected));
}
