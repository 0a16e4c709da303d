//! FOCUS, as AWS and others deliver it.

use super::*;

/// The measures by service.
fn by_service(found: &Found) -> Vec<&str> {
    found.costs.iter().map(|row| row.trim_start_matches("2026-05-02 111111111111 ")).collect()
}

#[tokio::test]
async fn categories_and_classes_decide_what_a_row_counts_as() {
    let commitment = "arn:aws:savingsplans::1:savingsplan/1";
    let found = found(
        FOCUS,
        &[
            &[("service", "a-usage"), ("cost", "10")],
            // The credit of AWS's own sample: it is one-time, and lasts an hour.
            &[
                ("service", "b-credit"),
                ("type", "Credit"),
                ("description", "AWS Open Source Promotional Credits, credit from account: 391835788720"),
                ("cost", "-2.6137"),
                ("frequency", "One-Time"),
            ],
            &[("service", "c-tax"), ("type", "Tax"), ("cost", "3")],
            &[("service", "d-adjustment"), ("type", "Adjustment"), ("cost", "-4")],
            &[("service", "e-correction"), ("class", "Correction"), ("cost", "-3")],
            &[("service", "f-correction-up"), ("class", "Correction"), ("cost", "3")],
            &[("service", "g-credit-corrected"), ("type", "Credit"), ("class", "Correction"), ("cost", "1")],
            &[
                ("service", "h-plan"),
                ("type", "Purchase"),
                ("frequency", "One-Time"),
                ("commitment", commitment),
                ("cost", "500"),
            ],
            &[
                ("service", "i-plan-by-month"),
                ("type", "Purchase"),
                ("frequency", "Recurring"),
                ("commitment", commitment),
            ],
            &[("service", "j-purchase"), ("type", "Purchase"), ("frequency", "One-Time")],
            &[("service", "k-refund"), ("type", "Refund"), ("cost", "-1")],
        ],
    )
    .await;
    assert_eq!(
        by_service(&found),
        [
            "a-usage: charges=10 eligible=10 (1)",
            "b-credit: credits=-2.6137 (1)",
            "c-tax: tax=3 (1)",
            "d-adjustment: refunds=-4 (1)",
            "e-correction: refunds=-3 (1)",
            "f-correction-up: charges=3 eligible=3 (1)",
            "g-credit-corrected: credits=1 (1)",
            "h-plan: charges=500 (1)",
            "i-plan-by-month: charges=10 eligible=10 (1)",
            "j-purchase: charges=10 eligible=10 (1)",
            "k-refund: charges=-1 eligible=-1 (1)",
        ]
    );
    // FOCUS has no such category: it counts, and is told.
    assert_eq!(found.notes[0], "line_type Refund (1)");
    assert_eq!(found.credits.len(), 2);
}

#[tokio::test]
async fn corrections_of_one_cell_count_each_by_its_own_sign() {
    let correction = |cost: &'static str| [("class", "Correction"), ("cost", cost)];
    let found = found(FOCUS, &[&correction("-3"), &correction("5"), &correction("-1"), &correction("0")]).await;
    assert_eq!(by_service(&found), ["AmazonEC2: charges=5 refunds=-4 eligible=5 (4)"]);
}

#[tokio::test]
async fn what_others_sell_is_known_by_its_provider_or_by_who_published_it() {
    let of = |service: &'static str, provider: &'static str, publisher: &'static str, issuer: &'static str| {
        [("service", service), ("entity", provider), ("publisher", publisher), ("issuer", issuer)]
    };
    let aws = "Amazon Web Services, Inc.";
    let lines = [
        of("a", "AWS", aws, aws),
        of("b", "AWS", "Red Hat Inc.", aws),
        of("c", "AWS Marketplace", aws, aws),
        of("d", "AWS", "Amazon Web Services EMEA SARL", aws),
        // A reseller bills for what AWS sells under its own name.
        of("e", "AWS", "Reseller GmbH", "Reseller GmbH"),
        of("f", "AWS", "Red Hat Inc.", "Reseller GmbH"),
        of("g", "AWS", "", aws),
        of("h", "AWS", "Red Hat Inc.", ""),
    ];
    let lines: Vec<Line<'_>> = lines.iter().map(|line| &line[..]).collect();
    let found = found(FOCUS, &lines).await;
    let eligible: Vec<&str> = by_service(&found).into_iter().filter(|row| row.contains("eligible")).collect();
    let expected = ["a", "d", "e", "g"].map(|name| format!("{name}: charges=10 eligible=10 (1)"));
    assert_eq!(eligible, expected);
}

#[tokio::test]
async fn the_service_is_its_code_or_else_its_name_and_a_domain_is_known_by_either() {
    let lines: [Line<'_>; 4] = [
        &[],
        &[("service", ""), ("name", "Amazon Simple Storage Service")],
        &[("service", "AmazonRegistrar"), ("name", "Amazon Registrar")],
        &[("service", ""), ("name", "Amazon Registrar")],
    ];
    let found = found(FOCUS, &lines).await;
    assert_eq!(
        by_service(&found),
        [
            "Amazon Registrar: charges=10 (1)",
            "Amazon Simple Storage Service: charges=10 eligible=10 (1)",
            "AmazonEC2: charges=10 eligible=10 (1)",
            "AmazonRegistrar: charges=10 (1)",
        ]
    );
    // FOCUS 1.0 has no codes.
    let text = export_without(&["service"], FOCUS, &[&[], &[("name", "Amazon Registrar")]]);
    let found = read(settings(), &text).await.unwrap();
    assert_eq!(
        by_service(&found),
        ["Amazon Elastic Compute Cloud: charges=10 eligible=10 (1)", "Amazon Registrar: charges=10 (1)"]
    );
    assert_eq!(found.notes, ["total USD 20 (2)"]);
}

#[tokio::test]
async fn tax_of_a_payer_without_a_sub_account_is_the_payers() {
    let found = found(FOCUS, &[&[("type", "Tax"), ("account", "NULL"), ("service", ""), ("name", "NULL")]]).await;
    assert_eq!(found.costs, ["2026-05-02 999999999999 -: tax=10 (1)"]);
}
