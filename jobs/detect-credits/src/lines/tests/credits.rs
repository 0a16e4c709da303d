//! Credit lines.

use schemas::settings::{ClassPattern, CreditSettings};

use super::*;

fn credit<'a>(description: &'a str, cost: &'a str) -> [(&'a str, &'a str); 3] {
    [("type", "Credit"), ("description", description), ("cost", cost)]
}

#[tokio::test]
async fn a_credit_line_counts_in_its_cell_and_by_its_description_in_its_credit() {
    let activate = "AWS Activate, credit from account: 222222222222";
    let found = found(
        CUR,
        &[
            &[("cost", "100")],
            &credit(activate, "-30"),
            &credit("Goodwill Credits, credit id: 10063543426", "-5"),
            &credit("", "-2"),
            // AWS takes a part of it back.
            &credit(activate, "4"),
        ],
    )
    .await;
    assert_eq!(found.costs, ["2026-05-02 111111111111 AmazonEC2: charges=100 credits=-33 eligible=100 (5)"]);
    assert_eq!(
        found.credits,
        [
            "2026-05-02 111111111111 AmazonEC2 \"AWS Activate, credit from account: 222222222222\": credits=-26 (2)",
            "2026-05-02 111111111111 AmazonEC2 \"Goodwill Credits, credit id: 10063543426\": credits=-5 (1)",
            "2026-05-02 111111111111 AmazonEC2: credits=-2 (1)",
        ]
    );
}

#[tokio::test]
async fn credits_of_nothing_are_credits_all_the_same() {
    let found = found(CUR, &[&credit("AWS Free Tier", "0"), &credit("AWS Free Tier", "-0.00000000004")]).await;
    assert_eq!(found.credits, ["2026-05-02 111111111111 AmazonEC2 \"AWS Free Tier\": (2)"]);
    assert_eq!(found.costs, ["2026-05-02 111111111111 AmazonEC2: (2)"]);
}

#[tokio::test]
async fn a_credit_of_a_class_that_is_a_refund_is_no_credit() {
    let lines = || {
        export(
            CUR,
            &[
                &credit("MB - Pricing Adjustment", "-7"),
                &credit("Goodwill Credits, credit id: 10063543426", "-5"),
                &credit("PO 4711 (contractual)", "-3"),
            ],
        )
    };
    let of = async |credits: CreditSettings| {
        let Found { costs, credits, .. } = read(LineSettings { credits, ..settings() }, &lines()).await.unwrap();
        let names = credits.iter().map(|credit| credit.split('"').nth(1).unwrap().to_owned()).collect::<Vec<_>>();
        (costs.join("; ").replace("2026-05-02 111111111111 AmazonEC2: ", ""), names)
    };
    let goodwill = "Goodwill Credits, credit id: 10063543426".to_owned();
    let (adjustment, purchase) = ("MB - Pricing Adjustment".to_owned(), "PO 4711 (contractual)".to_owned());
    let usual = of(CreditSettings::default()).await;
    assert_eq!(usual, ("refunds=-7 credits=-8 (3)".to_owned(), vec![goodwill.clone(), purchase.clone()]));
    let treat_as_refund = vec!["goodwill".to_owned(), "contractual".to_owned()];
    let other = of(CreditSettings { treat_as_refund, ..CreditSettings::default() }).await;
    assert_eq!(other, ("refunds=-8 credits=-7 (3)".to_owned(), vec![adjustment.clone()]));
    // The first pattern that fits names the class; without one it is a promotion.
    let class = |pattern: &str, class: &str| ClassPattern { pattern: pattern.to_owned(), class: class.to_owned() };
    let class_patterns = vec![class("^PO ", "purchase"), class("contractual", "pricing_adjustment")];
    let own = of(CreditSettings { class_patterns, ..CreditSettings::default() }).await;
    assert_eq!(own, ("credits=-15 (3)".to_owned(), vec![goodwill, adjustment, purchase]));
    let none = of(CreditSettings { treat_as_refund: Vec::new(), ..CreditSettings::default() }).await;
    assert_eq!(none.0, "credits=-15 (3)");
}

#[tokio::test]
async fn a_credit_on_other_accounts_services_and_days_is_told_apart_by_them() {
    let pilot = |account: &'static str, service: &'static str, start: &'static str| {
        [
            ("type", "Credit"),
            ("description", "Pilot"),
            ("cost", "-1"),
            ("account", account),
            ("service", service),
            ("start", start),
        ]
    };
    let found = found(
        CUR,
        &[
            &pilot("111111111111", "AmazonEC2", "2026-05-02T00:00:00Z"),
            &pilot("111111111111", "AmazonEC2", "2026-05-02T23:00:00Z"),
            &pilot("111111111111", "", "2026-05-02"),
            &pilot("", "AmazonS3", "2026-05-03"),
        ],
    )
    .await;
    assert_eq!(
        found.credits,
        [
            "2026-05-02 111111111111 - \"Pilot\": credits=-1 (1)",
            "2026-05-02 111111111111 AmazonEC2 \"Pilot\": credits=-2 (2)",
            "2026-05-03 999999999999 AmazonS3 \"Pilot\": credits=-1 (1)",
        ]
    );
}
