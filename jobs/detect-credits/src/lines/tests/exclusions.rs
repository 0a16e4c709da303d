//! What credits do not offset. An exclusion that cannot be applied is told, or refused where somebody set it.

use schemas::settings::CreditSettings;

use super::*;

fn set(settings_file: &str) -> LineSettings {
    let credits: CreditSettings = toml::from_str(settings_file).unwrap();
    LineSettings { credits, ..settings() }
}

/// Services whose charges credits may offset.
async fn eligible(settings: LineSettings, text: &str) -> Vec<String> {
    let Found { costs, .. } = read(settings, text).await.unwrap();
    let eligible = costs.iter().filter(|row| row.contains(" eligible="));
    eligible.map(|row| row.split([' ', ':']).nth(2).unwrap().to_owned()).collect()
}

/// Usage, what others sell, a domain, and fees of several kinds.
fn charges() -> String {
    export(
        CUR,
        &[
            &[("service", "box")],
            &[("service", "seller"), ("entity", "AWS Marketplace")],
            &[("service", "AmazonRegistrar")],
            &[("service", "plan"), ("type", "SavingsPlanUpfrontFee")],
            &[("service", "plan-fee"), ("type", "Fee"), ("plan", "arn:aws:savingsplans::1:savingsplan/1")],
            &[("service", "reserved"), ("type", "Fee"), ("reservation", "arn:aws:ec2:x:1:reserved-instances/1")],
            &[("service", "support"), ("type", "Fee")],
            // A commitment that is used is a charge like others.
            &[("service", "used"), ("type", "RIFee"), ("reservation", "arn:aws:ec2:x:1:reserved-instances/1")],
        ],
    )
}

#[tokio::test]
async fn credits_offset_neither_what_others_sell_nor_domains_nor_fees_paid_up_front() {
    assert_eq!(eligible(settings(), &charges()).await, ["box", "support", "used"]);
    let found = read(settings(), &charges()).await.unwrap();
    assert_eq!(found.notes, ["total USD 80 (8)"], "all of it is charged, and every exclusion was applied");
}

#[tokio::test]
async fn what_credits_do_not_offset_is_what_the_settings_list_and_nothing_else() {
    let none = "ineligible_billing_entities = []\nineligible_services = []\nineligible_line_types = []\n\
                ineligible_upfront_fees = []\n";
    let all = ["AmazonRegistrar", "box", "plan-fee", "plan", "reserved", "seller", "support", "used"];
    assert_eq!(eligible(set(none), &charges()).await, all);
    for (list, excluded) in [
        (
            "ineligible_billing_entities = [\"AWS\"]",
            &["AmazonRegistrar", "box", "plan", "plan-fee", "reserved", "support", "used"][..],
        ),
        ("ineligible_services = [\"box\", \"support\"]", &["box", "support"]),
        ("ineligible_line_types = [\"Fee\", \"RIFee\"]", &["plan-fee", "reserved", "support", "used"]),
        ("ineligible_upfront_fees = [\"reservation\"]", &["reserved"]),
        ("ineligible_upfront_fees = [\"savings_plan\"]", &["plan-fee"]),
        // Whole values, as they are written.
        ("ineligible_services = [\"BOX\", \"bo\"]", &[]),
    ] {
        let key = list.split(' ').next().unwrap();
        let others: String = none.lines().filter(|line| !line.starts_with(key)).flat_map(|line| [line, "\n"]).collect();
        let expected: Vec<&str> = all.into_iter().filter(|name| !excluded.contains(name)).collect();
        assert_eq!(eligible(set(&format!("{list}\n{others}")), &charges()).await, expected, "{list}");
    }
}

#[tokio::test]
async fn an_exclusion_without_its_column_is_told_of_the_period_and_everything_counts_as_eligible() {
    let lines: [Line<'_>; 2] = [&[("service", "box")], &[("service", "AmazonRegistrar")]];
    let text = export_without(&["entity"], CUR, &lines);
    let found = read(settings(), &text).await.unwrap();
    assert_eq!(found.notes[0], "exclusion ineligible_billing_entities (no column bill_billing_entity)");
    assert_eq!(eligible(settings(), &text).await, ["box"]);
    let text = export_without(&["service"], CUR, &[&[], &[]]);
    let found = read(settings(), &text).await.unwrap();
    assert_eq!(found.costs, ["2026-05-02 111111111111 -: charges=20 eligible=20 (2)"]);
    assert_eq!(found.notes, ["exclusion ineligible_services (no column line_item_product_code)", "total USD 20 (2)"]);
    // A period of the file without lines that are wanted has nothing to tell.
    let april = export_without(&["entity"], CUR, &[&[("period", "2026-04-01"), ("start", "2026-04-02")]]);
    assert_eq!(read(settings(), &april).await.unwrap().notes, [""; 0]);
}

#[tokio::test]
async fn fees_that_may_be_paid_up_front_are_told_only_where_there_are_fees() {
    // CUR 2.0, of which people choose the columns.
    let without = |kind: &str| {
        let line = [("type", kind), ("resource_tags", "{}")];
        export_without(&["reservation", "plan"], CUR, &[&[("resource_tags", "{}")], &line])
    };
    assert_eq!(read(settings(), &without("RIFee")).await.unwrap().notes, ["total USD 20 (2)"]);
    assert_eq!(
        read(settings(), &without("Fee")).await.unwrap().notes,
        [
            "exclusion ineligible_upfront_fees (no column reservation_reservation_a_r_n)",
            "exclusion ineligible_upfront_fees (no column savings_plan_savings_plan_a_r_n)",
            "total USD 20 (2)",
        ]
    );
}

#[tokio::test]
async fn an_exclusion_that_somebody_set_must_be_applied() {
    let needs = |column: &str, setting: &str| {
        format!(
            "has no column {column}, which [credits] {setting} needs; add it to the export, or take the setting out"
        )
    };
    let entities = set("ineligible_billing_entities = [\"AWS Marketplace\"]");
    let refused = read(entities, &export_without(&["entity"], CUR, &[&[]])).await.unwrap_err();
    assert_eq!(refused, format!("may.csv: {}", needs("bill_billing_entity", "ineligible_billing_entities")));
    // A list without entries needs nothing.
    let text = export_without(&["entity"], CUR, &[&[]]);
    assert!(read(set("ineligible_billing_entities = []"), &text).await.is_ok());
    // Of fees only where there is one.
    let fees = || set("ineligible_upfront_fees = [\"savings_plan\"]");
    let tags = ("resource_tags", "{}");
    let text = export_without(&["plan"], CUR, &[&[tags]]);
    assert!(read(fees(), &text).await.is_ok());
    let text = export_without(&["plan"], CUR, &[&[tags], &[tags, ("type", "Fee")]]);
    assert_eq!(
        read(fees(), &text).await.unwrap_err(),
        format!("may.csv, row 3: {}", needs("savings_plan_savings_plan_a_r_n", "ineligible_upfront_fees"))
    );
}

#[tokio::test]
async fn exclusions_that_somebody_set_are_noted_once_a_line_meets_them() {
    let lists = "ineligible_billing_entities = [\"AWS Marketplace\", \"AWS Markeplace\"]\n\
                 ineligible_services = [\"box\", \"bo\"]\nineligible_line_types = [\"RIFee\", \"RiFee\"]\n";
    let found = read(set(lists), &charges()).await.unwrap();
    let noted: Vec<&str> = found.notes.iter().filter_map(|note| note.strip_prefix("excluded ")).collect();
    let expected = [
        "ineligible_billing_entities \"AWS Marketplace\"",
        "ineligible_line_types \"RIFee\"",
        "ineligible_services \"box\"",
    ];
    assert_eq!(noted, expected);
}
