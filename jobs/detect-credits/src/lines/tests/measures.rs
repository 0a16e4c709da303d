//! Which measure a line counts in.

use super::*;

#[tokio::test]
async fn every_line_type_counts_in_one_measure_and_all_of_them_in_the_total() {
    let lines = [
        ("BundledDiscount", "-1", "charges=-1 eligible=-1"),
        ("Credit", "-35.576771", "credits=-35.576771"),
        ("Discount", "-2", "charges=-2 eligible=-2"),
        ("DiscountedUsage", "2.5", "charges=2.5 eligible=2.5"),
        ("DistributorDiscount", "-7", "charges=-7 eligible=-7"),
        ("EdpDiscount", "-3", "charges=-3 eligible=-3"),
        ("Fee", "12", "charges=12 eligible=12"),
        ("FlatRateSubscription", "19", "charges=19 eligible=19"),
        ("Mystery", "8", "charges=8 eligible=8"),
        ("PrivateRateDiscount", "-4", "charges=-4 eligible=-4"),
        ("RIFee", "7", "charges=7 eligible=7"),
        ("Refund", "-645", "refunds=-645"),
        ("RiVolumeDiscount", "-5", "charges=-5 eligible=-5"),
        ("SavingsPlanCoveredUsage", "30", "charges=30 eligible=30"),
        ("SavingsPlanNegation", "-30", "charges=-30 eligible=-30"),
        ("SavingsPlanRecurringFee", "20", "charges=20 eligible=20"),
        ("SavingsPlanUpfrontFee", "500", "charges=500"),
        ("SppDiscount", "-6", "charges=-6 eligible=-6"),
        ("Tax", "9", "tax=9"),
        ("Usage", "100", "charges=100 eligible=100"),
    ];
    let mut rows: Vec<Vec<(&str, &str)>> =
        lines.iter().map(|(name, cost, _)| vec![("type", *name), ("service", *name), ("cost", *cost)]).collect();
    rows.push(vec![("type", ""), ("service", "blank"), ("cost", "4")]);
    let rows: Vec<Line<'_>> = rows.iter().map(Vec::as_slice).collect();
    let Found { costs, credits, notes } = found(CUR, &rows).await;
    let expected =
        lines.iter().map(|(name, _, measures)| (*name, *measures)).chain([("blank", "charges=4 eligible=4")]);
    let expected: Vec<String> =
        expected.map(|(name, measures)| format!("2026-05-02 111111111111 {name}: {measures} (1)")).collect();
    assert_eq!(costs, expected);
    assert_eq!(credits.len(), 1);
    assert_eq!(notes, ["line_type (blank) (1)", "line_type Mystery (1)", "total USD -27.076771 (21)"]);
}

#[tokio::test]
async fn covered_usage_of_a_savings_plan_and_its_negation_cancel_out() {
    let covered = [("type", "SavingsPlanCoveredUsage"), ("cost", "0.0416000000")];
    let negation = [("type", "SavingsPlanNegation"), ("cost", "-0.0416000000")];
    let found = found(CUR, &[&covered, &negation, &covered, &negation]).await;
    assert_eq!(found.costs, ["2026-05-02 111111111111 AmazonEC2: (4)"]);
}

#[tokio::test]
async fn amounts_are_rounded_line_by_line_before_they_are_summed() {
    // Three halves of a unit are three units: rounded after the sum they would be two.
    let half: Line<'_> = &[("cost", "0.00000000005")];
    let found = found(CUR, &[half; 3]).await;
    assert_eq!(found.costs, ["2026-05-02 111111111111 AmazonEC2: charges=0.0000000003 eligible=0.0000000003 (3)"]);
}

#[tokio::test]
async fn lines_come_to_the_same_in_whatever_order_and_however_many_batches() {
    let shapes: [Line<'_>; 6] = [
        &[("cost", "0.1")],
        &[("cost", "0.2"), ("service", "AmazonS3")],
        &[("cost", "0.7"), ("account", "222222222222")],
        &[("cost", "-0.3"), ("type", "Credit"), ("description", "Pilot")],
        &[("cost", "-0.3"), ("type", "Credit"), ("description", "AWS Activate")],
        &[("cost", "0.05"), ("start", "2026-05-03"), ("type", "Tax")],
    ];
    let sorted: Vec<Line<'_>> = shapes.iter().flat_map(|line| vec![*line; 3_000]).collect();
    let mixed: Vec<Line<'_>> = (0..sorted.len()).map(|at| shapes[at % shapes.len()]).collect();
    let found = found(CUR, &sorted).await;
    assert_eq!(
        found.costs,
        [
            "2026-05-02 111111111111 AmazonEC2: charges=300 credits=-1800 eligible=300 (9000)",
            "2026-05-02 111111111111 AmazonS3: charges=600 eligible=600 (3000)",
            "2026-05-02 222222222222 AmazonEC2: charges=2100 eligible=2100 (3000)",
            "2026-05-03 111111111111 AmazonEC2: tax=150 (3000)",
        ]
    );
    assert_eq!(
        found.credits,
        [
            "2026-05-02 111111111111 AmazonEC2 \"AWS Activate\": credits=-900 (3000)",
            "2026-05-02 111111111111 AmazonEC2 \"Pilot\": credits=-900 (3000)",
        ]
    );
    assert_eq!(read(settings(), &export(CUR, &mixed)).await.unwrap(), found);
}

#[tokio::test]
async fn lines_of_other_periods_are_left_alone_and_late_ones_keep_their_day() {
    let found = found(
        CUR,
        &[
            &[("cost", "1"), ("period", "2026-04-01"), ("start", "2026-04-30")],
            &[("cost", "2"), ("start", "2026-04-28T23:59:59Z")],
            &[("cost", "4"), ("start", "2026-06-01T00:00:00Z")],
            &[("cost", "8"), ("period", "2026-06-01"), ("start", "2026-06-01")],
            &[("cost", "16"), ("period", "2026-05"), ("start", "2026-05-31T23:30:00-02:00")],
        ],
    )
    .await;
    assert_eq!(
        found.costs,
        [
            "2026-04-28 111111111111 AmazonEC2: charges=2 eligible=2 (1)",
            "2026-06-01 111111111111 AmazonEC2: charges=20 eligible=20 (2)",
        ]
    );
    assert_eq!(found.notes, ["total USD 22 (3)"]);
}

#[tokio::test]
async fn lines_of_an_invoice_are_counted_by_currency_and_those_without_one_are_not() {
    let line = |invoice: &'static str, currency: &'static str| [("bill_invoice_id", invoice), ("currency", currency)];
    let lines =
        [line("INV-1", "USD"), line("", "USD"), line("INV-2", "USD"), line("INV-1", "USD"), line("INV-1", "EUR")];
    let lines: Vec<Line<'_>> = lines.iter().map(|line| &line[..]).collect();
    assert_eq!(
        found(CUR, &lines).await.notes,
        [
            "invoice EUR INV-1 (1)",
            "invoice USD INV-1 (2)",
            "invoice USD INV-2 (1)",
            "total EUR 10 (1)",
            "total USD 40 (4)",
        ]
    );
}
