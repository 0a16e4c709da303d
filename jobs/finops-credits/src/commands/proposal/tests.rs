//! A proposal as a person at a terminal reads it.

use application::CreditSnapshot;
use application::revision::{current, found, row};
use join_allocations::record::move_lot;
use schemas::reference::{Action, AllocationRow, CreditName};

use super::*;
use crate::output::csv_text;
use crate::testing::{AS_OF, Shop, date, money, node};

fn entered(credit_key: &str, amount: &str, to: &str, end: Option<&str>) -> AllocationRow {
    AllocationRow {
        amount: Some(money(amount)),
        currency: Some("USD".into()),
        end_date: end.map(date),
        node: Some(node(to)),
        ..row("allocate", CreditName::Key(credit_key.into()), Action::Allocate)
    }
}

/// Lines and months of a proposal; recorded, where that is wanted.
async fn proposed(app: &App, rows: &[AllocationRow], now: &str, is_recorded: bool) -> (Vec<String>, String) {
    let snapshot = CreditSnapshot::of(&app.context).await.unwrap();
    let credit = found(&rows[0].credit, &snapshot).unwrap();
    let recording = snapshot.recording(&app.context, (None, Some("jane")), None);
    let proposal = Proposal::of(&app.context, &snapshot, credit, rows, &recording).await.unwrap();
    if is_recorded {
        proposal.record(&app.context).await.unwrap();
    }
    let months = months(&proposal.preview.as_ref().unwrap().months, Format::Table).unwrap();
    (lines(&proposal, now), csv_text(&[months], true).unwrap())
}

/// Of 130 for Retail/Online, 100 were used in January; a later credit waits behind it.
#[tokio::test(flavor = "multi_thread")]
async fn revision_says_what_it_replaces_what_becomes_of_it_and_who_uses_more() {
    let shop = Shop::new();
    shop.night("night-1", AS_OF).await;
    let app = shop.app("asking", AS_OF).await;
    let behind = entered("code:Activate@222222222222", "50", "Retail", None);
    let (lines, months) = proposed(&app, &[behind], "Replaces", true).await;
    let expected = [
        "code:Activate@222222222222: issued 2026-01-12, 7.00 USD applied by AWS so far",
        "Replaces  nothing: it is not allocated",
        "Then      lot 1: 50.00 USD on Retail: by 2026-01-31 0.00 used, 50.00 left",
        "",
    ];
    assert_eq!(lines, expected);
    assert_eq!(months.lines().count(), 1, "no month changes: {months}");
    shop.night("night-2", AS_OF).await;
    let app = shop.app("asking", AS_OF).await;
    let less = entered("id:42", "60", "Retail/Online", Some("2026-06-30"));
    let (lines, months) = proposed(&app, &[less], "Replaces", false).await;
    let expected = [
        "id:42: issued 2026-01-09, 30.00 USD applied by AWS so far",
        "Replaces  lot 1: 130.00 USD on Retail/Online, until 2026-02-28 (INV-1), recorded by ann on 2026-01-20",
        "Then      lot 1: 60.00 USD on Retail/Online, until 2026-06-30: by 2026-01-31 60.00 used, 0.00 left",
        "Also      code:Activate@222222222222 uses 40.00 USD instead of 0.00",
        "",
    ];
    assert_eq!(lines, expected);
    assert_eq!(months.lines().count(), 1, "the later credit takes its place: {months}");
    let elsewhere = entered("id:42", "130", "Media", Some("2026-02-28"));
    let (_, months) = proposed(&app, &[elsewhere], "Replaces", false).await;
    let expected = "billing_period,business_unit,currency,net_cost_before,net_cost,change\n\
                    2026-01,Media,USD,40.0000000000,0.0000000000,-40.0000000000\n\
                    2026-01,Retail,USD,0.0000000000,50.0000000000,50.0000000000\n";
    assert_eq!(months, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn move_says_what_goes_on_elsewhere_and_what_lapses_there() {
    let shop = Shop::new();
    shop.night("night-1", AS_OF).await;
    let moved = async |app: &App| {
        let snapshot = CreditSnapshot::of(&app.context).await.unwrap();
        let credit = found(&CreditName::Key("id:42".into()), &snapshot).unwrap();
        let rows = current(&snapshot, credit).unwrap();
        let rows = move_lot(&rows, None, "2026-02".parse().unwrap(), &node("Media")).unwrap();
        proposed(app, &rows, "Now", false).await.0
    };
    let now = "Now       lot 1: 130.00 USD on Retail/Online, until 2026-02-28 (INV-1), recorded by ann on 2026-01-20";
    let before = moved(&shop.app("asking", AS_OF).await).await;
    let expected = [
        now,
        "Then      lot 1: 130.00 USD on Retail/Online, until 2026-02-28: by 2026-01-31 100.00 used, 30.00 left",
        "Then      lot 2: what is then left of lot 1, on Media from 2026-02, until 2026-02-28",
    ];
    assert_eq!(before[1..4], expected);
    shop.night("night-2", "2026-03-31").await;
    let after = moved(&shop.app("asking", "2026-03-31").await).await;
    let expected = [
        now,
        "Then      lot 1: 130.00 USD on Retail/Online, until 2026-02-28: by 2026-03-31 100.00 used, 30.00 moved on, 0.00 left",
        "Then      lot 2: 30.00 USD moved to Media, until 2026-02-28: by 2026-03-31 0.00 used, 30.00 lost, 0.00 left",
    ];
    assert_eq!(after[1..4], expected);
}
