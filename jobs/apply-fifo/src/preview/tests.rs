//! Two lists of lots over the spend of one run. How scenarios are written: `fixtures.rs`.

use std::sync::Arc;

use lake::{Lake, Settings, stream_of};

use super::*;
use crate::fixtures::{cells_of, lines, lot_row, short};

/// 60 and 30 of Retail, 50 and 40 of Media, and euros.
const SPEND: &str = "spend 2026-01-10 Retail/Web 60 EC2
                     spend 2026-01-10 Retail/Web 7 EC2 in EUR
                     spend 2026-01-10 Media 50 EC2 refund -5
                     spend 2026-02-10 Retail/Web 30 EC2 tax 3
                     spend 2026-02-10 Media 40 EC2";
const MONTHS: [&str; 2] = ["2026-01", "2026-02"];

fn lots(text: &str) -> Vec<LotRow> {
    lines(text, "credit").iter().map(|words| lot_row(words)).collect()
}

/// The rows of business units that a run publishes of these cells.
fn summary(cells: &[Cell]) -> Vec<NetCostSummary> {
    let mut units: BTreeMap<(Text, Option<Text>), [Money; 2]> = BTreeMap::new();
    for cell in cells {
        let [gross, refunds] = units.entry((cell.currency.clone(), cell.business_unit.clone())).or_default();
        *gross = Money::total([*gross, cell.charges, cell.tax]).unwrap();
        *refunds = refunds.checked_add(cell.refunds).unwrap();
    }
    let none = Money::ZERO;
    let row = |currency, business_unit, gross_cost, refunds| NetCostSummary {
        level: 1,
        business_unit,
        department: None,
        portfolio: None,
        product: None,
        currency,
        gross_cost,
        refunds,
        aws_credits: none,
        invoice_net: none,
        credits_applied: none,
        net_cost: none,
        clearing: none,
        budget_amount: None,
        budget_remaining: None,
    };
    units.into_iter().map(|((currency, unit), [gross, refunds])| row(currency, unit, gross, refunds)).collect()
}

async fn previewed(before: &[LotRow], after: &[LotRow]) -> Preview {
    let folder = tempfile::tempdir().unwrap();
    let location = folder.path().display();
    let text = format!("source.location = \"cur\"\nreference.location = \"reference\"\nlake.location = \"{location}\"");
    let lake = Lake::open_local(&Settings::parse(&text, "settings", ".").unwrap()).await.unwrap();
    let run = Run::new(Arc::new(lake), "night");
    let periods: BTreeSet<BillingPeriod> = MONTHS.iter().map(|month| month.parse().unwrap()).collect();
    for period in &periods {
        let cells = cells_of(SPEND, *period);
        run.write_reusable::<Cell>(Some(*period), "cells", stream_of(&cells).unwrap()).await.unwrap();
        run.write(Some(*period), &summary(&cells)).await.unwrap();
    }
    let (policy, as_of) = (Policy::IssueDate, "2026-02-28".parse().unwrap());
    preview(PreviewSpend { run: &run, periods: &periods, policy, as_of }, before, after).await.unwrap()
}

/// `2026-01 USD Media: credits -40 > -50, net 5 > -5, change -10`.
fn months(preview: &Preview) -> Vec<String> {
    let month = |of: &MonthChange| {
        let MonthChange { billing_period, currency, business_unit, .. } = of;
        let [credits_before, credits] = [of.credits_applied_before, of.credits_applied].map(short);
        let [net_before, net, change] = [of.net_cost_before, of.net_cost, of.change].map(short);
        format!(
            "{billing_period} {currency} {business_unit}: credits {credits_before} > {credits}, net {net_before} > {net}, \
             change {change}"
        )
    };
    preview.months.iter().map(month).collect()
}

/// `A/1 on Retail: 100 + 0 = 60 + 0 + 40 of 90 eligible`.
fn outcomes(preview: &Preview) -> Vec<String> {
    let lot = |of: &LotOutcome| {
        let [amount, moved, used, expired, remaining, eligible] =
            [of.amount, of.moved, of.used, of.expired, of.remaining, of.eligible].map(short);
        let (credit, lot, node) = (&of.credit_key, of.lot, &of.node);
        format!(
            "{credit}/{lot} on {node}: {amount} + {moved} = {used} + {expired} + {remaining} of {eligible} eligible"
        )
    };
    preview.lots.iter().map(lot).collect()
}

/// `B: used 40 > 0, lost 0 > 10`.
fn others(preview: &Preview) -> Vec<String> {
    let credit = |of: &CreditChange| {
        let [used_before, used, lost_before, lost] =
            [of.used_before, of.used, of.expired_before, of.expired].map(short);
        format!("{}: used {used_before} > {used}, lost {lost_before} > {lost}", of.credit_key)
    };
    preview.other_credits.iter().map(credit).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn credit_that_is_allocated_elsewhere_restates_both_business_units_and_pushes_later_credits_back() {
    let before = "credit A 100 issued 2026-01-05 ends - to Retail
                  credit B 40 issued 2026-01-06 ends - to Media
                  credit E 5 issued 2026-01-01 ends - to Retail in EUR";
    let found = previewed(&lots(before), &lots(&before.replace("- to Retail\n", "- to Media\n"))).await;
    let expected = [
        "2026-01 USD Media: credits -40 > -50, net 5 > -5, change -10",
        "2026-01 USD Retail: credits -60 > 0, net 0 > 60, change 60",
        "2026-02 USD Media: credits 0 > -40, net 40 > 0, change -40",
        "2026-02 USD Retail: credits -30 > 0, net 3 > 33, change 30",
    ];
    assert_eq!(months(&found), expected);
    assert_eq!(outcomes(&found), ["A/1 on Media: 100 + 0 = 90 + 0 + 10 of 90 eligible"]);
    assert_eq!(others(&found), ["B: used 40 > 0, lost 0 > 0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn new_allocation_that_comes_first_says_what_another_credit_loses_by_it() {
    let before = "credit B 40 issued 2026-01-06 ends 2026-02-15 to Media";
    let after = format!("{before}\ncredit A 60 issued 2026-01-05 ends - to Media");
    let found = previewed(&lots(before), &lots(&after)).await;
    let expected = [
        "2026-01 USD Media: credits -40 > -50, net 5 > -5, change -10",
        "2026-02 USD Media: credits 0 > -40, net 40 > 0, change -40",
    ];
    assert_eq!(months(&found), expected);
    assert_eq!(outcomes(&found), ["A/1 on Media: 60 + 0 = 60 + 0 + 0 of 90 eligible"]);
    assert_eq!(others(&found), ["B: used 40 > 30, lost 0 > 10"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn move_changes_only_the_months_from_which_it_counts() {
    let before = "credit A 100 issued 2026-01-05 ends - to Retail
                  credit B 40 issued 2026-01-06 ends - to Media";
    let after = format!("{before}\ncredit A 0 issued 2026-01-05 ends - to Media lot 2 after 1 from 2026-02");
    let found = previewed(&lots(before), &lots(&after)).await;
    let expected = [
        "2026-02 USD Media: credits 0 > -40, net 40 > 0, change -40",
        "2026-02 USD Retail: credits -30 > 0, net 3 > 33, change 30",
    ];
    assert_eq!(months(&found), expected);
    let expected =
        ["A/1 on Retail: 100 + -40 = 60 + 0 + 0 of 90 eligible", "A/2 on Media: 0 + 40 = 40 + 0 + 0 of 40 eligible"];
    assert_eq!(outcomes(&found), expected);
    assert_eq!(others(&found), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn lots_of_other_credits_that_moved_are_followed_to_where_they_went() {
    let before = "credit M 50 issued 2026-01-02 ends - to Media
                  credit M 0 issued 2026-01-02 ends - to Retail lot 2 after 1 from 2026-02";
    let after = format!("{before}\ncredit A 30 issued 2026-01-01 ends - to Media");
    let found = previewed(&lots(before), &lots(&after)).await;
    assert_eq!(months(&found), ["2026-02 USD Retail: credits 0 > -30, net 33 > 3, change -30"]);
    assert_eq!(outcomes(&found), ["A/1 on Media: 30 + 0 = 30 + 0 + 0 of 90 eligible"]);
    assert_eq!(others(&found), Vec::<String>::new(), "50 in January, or 20 there and 30 in Retail");
}

#[tokio::test(flavor = "multi_thread")]
async fn earlier_end_loses_what_is_left_by_then_and_a_revocation_gives_all_back() {
    let before = lots("credit A 100 issued 2026-01-05 ends - to Retail");
    let found = previewed(&before, &lots("credit A 100 issued 2026-01-05 ends 2026-01-31 to Retail")).await;
    assert_eq!(months(&found), ["2026-02 USD Retail: credits -30 > 0, net 3 > 33, change 30"]);
    assert_eq!(outcomes(&found), ["A/1 on Retail: 100 + 0 = 60 + 40 + 0 of 60 eligible"]);
    let revoked = previewed(&before, &[]).await;
    let expected = [
        "2026-01 USD Retail: credits -60 > 0, net 0 > 60, change 60",
        "2026-02 USD Retail: credits -30 > 0, net 3 > 33, change 30",
    ];
    assert_eq!(months(&revoked), expected);
    assert_eq!((outcomes(&revoked), others(&revoked)), (vec![], vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_draws_the_same_changes_no_month() {
    let before = lots("credit A 100 issued 2026-01-05 ends - to Retail");
    assert_eq!(previewed(&before, &before).await, Preview { months: vec![], lots: vec![], other_credits: vec![] });
    let mut after = before.clone();
    after[0].reference = Some("PO-1".into());
    let found = previewed(&before, &after).await;
    assert_eq!(months(&found), Vec::<String>::new());
    assert_eq!(outcomes(&found), ["A/1 on Retail: 100 + 0 = 90 + 0 + 10 of 90 eligible"]);
    assert_eq!(previewed(&[], &[]).await.months, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn lot_may_be_eligible_for_more_than_earlier_ones_leave_it() {
    let before = "credit A 1000 issued 2026-01-05 ends - to Retail";
    let after = format!("{before}\ncredit B 20 issued 2026-01-06 ends 2026-02-09 to Retail/Web");
    let found = previewed(&lots(before), &lots(&after)).await;
    assert_eq!(months(&found), Vec::<String>::new());
    assert_eq!(outcomes(&found), ["B/1 on Retail/Web: 20 + 0 = 0 + 20 + 0 of 60 eligible"]);
}
