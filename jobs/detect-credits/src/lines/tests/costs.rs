//! The configured cost column.

use schemas::settings::CostColumn::{self, Amortized, NetAmortized, NetUnblended};

use super::*;

const PLAN: &str = "arn:aws:savingsplans::999999999999:savingsplan/1";
const RESERVATION: &str = "arn:aws:ec2:us-east-1:999999999999:reserved-instances/1";

async fn costs(cost: CostColumn, text: &str) -> Result<Vec<String>, String> {
    let Found { costs, .. } = read(LineSettings { cost, ..settings() }, text).await?;
    Ok(costs.iter().map(|row| row.trim_start_matches("2026-05-02 111111111111 ").to_owned()).collect())
}

/// A month with a Savings Plan, a reservation and a returned one.
fn commitments() -> String {
    export(
        CUR,
        &[
            &[("service", "box"), ("cost", "100")],
            &[
                ("service", "covered"),
                ("type", "SavingsPlanCoveredUsage"),
                ("cost", "30"),
                ("savings_plan_savings_plan_effective_cost", "18"),
            ],
            &[("service", "negation"), ("type", "SavingsPlanNegation"), ("cost", "-30")],
            &[
                ("service", "recurring"),
                ("type", "SavingsPlanRecurringFee"),
                ("cost", "24"),
                ("savings_plan_total_commitment_to_date", "24"),
                ("savings_plan_used_commitment", "18"),
            ],
            &[("service", "upfront"), ("type", "SavingsPlanUpfrontFee"), ("cost", "500"), ("plan", PLAN)],
            &[("service", "reserved"), ("type", "DiscountedUsage"), ("cost", "0"), ("reservation_effective_cost", "3")],
            &[
                ("service", "unused"),
                ("type", "RIFee"),
                ("cost", "7.5"),
                ("reservation_unused_amortized_upfront_fee_for_billing_period", "1"),
                ("reservation_unused_recurring_fee", "0.5"),
            ],
            &[("service", "purchase"), ("type", "Fee"), ("cost", "90"), ("reservation", RESERVATION)],
            &[("service", "support"), ("type", "Fee"), ("cost", "12")],
            &[("service", "returned"), ("type", "Refund"), ("cost", "-90"), ("reservation", RESERVATION)],
            &[("service", "refund"), ("type", "Refund"), ("cost", "-5")],
            &[("service", "credit"), ("type", "Credit"), ("cost", "-10")],
            &[("service", "tax"), ("type", "Tax"), ("cost", "9")],
        ],
    )
}

#[tokio::test]
async fn amortized_cost_spreads_commitments_and_leaves_the_aws_book_as_it_is() {
    let expected = [
        "box: charges=100 eligible=100 (1)",
        "covered: charges=18 eligible=18 unblended=30 (1)",
        "credit: credits=-10 (1)",
        "negation: unblended=-30 (1)",
        "purchase: unblended=90 (1)",
        "recurring: charges=6 eligible=6 unblended=24 (1)",
        "refund: refunds=-5 (1)",
        "reserved: charges=3 eligible=3 unblended=0 (1)",
        "returned: unblended=-90 (1)",
        "support: charges=12 eligible=12 (1)",
        "tax: tax=9 (1)",
        "unused: charges=1.5 eligible=1.5 unblended=7.5 (1)",
        "upfront: unblended=500 (1)",
    ];
    assert_eq!(costs(Amortized, &commitments()).await.unwrap(), expected);
}

#[tokio::test]
async fn a_net_cost_that_is_blank_or_not_there_is_that_without_discounts() {
    let net = "line_item_net_unblended_cost";
    let text = export(
        CUR,
        &[
            &[("cost", "10"), (net, "8")],
            &[("cost", "10"), (net, "")],
            &[("cost", "10"), (net, "0")],
            &[("service", "tax"), ("type", "Tax"), ("cost", "5"), (net, "4")],
        ],
    );
    let expected = ["AmazonEC2: charges=18 eligible=18 unblended=30 (3)", "tax: tax=5 (1)"];
    assert_eq!(costs(NetUnblended, &text).await.unwrap(), expected);
    assert_eq!(costs(NetAmortized, &text).await.unwrap(), expected);
    let without = export(CUR, &[&[("cost", "10")]]);
    assert_eq!(costs(NetUnblended, &without).await.unwrap(), ["AmazonEC2: charges=10 eligible=10 (1)"]);
}

#[tokio::test]
async fn net_columns_of_commitments_count_where_they_are_and_others_stand_in() {
    let text = export(
        CUR,
        &[
            &[
                ("service", "covered"),
                ("type", "SavingsPlanCoveredUsage"),
                ("cost", "30"),
                ("savings_plan_savings_plan_effective_cost", "18"),
                ("savings_plan_net_savings_plan_effective_cost", "17"),
            ],
            &[
                ("service", "covered"),
                ("type", "SavingsPlanCoveredUsage"),
                ("cost", "30"),
                ("savings_plan_savings_plan_effective_cost", "18"),
            ],
            &[("service", "reserved"), ("type", "DiscountedUsage"), ("cost", "0"), ("reservation_effective_cost", "3")],
        ],
    );
    let expected =
        ["covered: charges=35 eligible=35 unblended=60 (2)", "reserved: charges=3 eligible=3 unblended=0 (1)"];
    assert_eq!(costs(NetAmortized, &text).await.unwrap(), expected);
}

#[tokio::test]
async fn a_line_that_needs_a_column_which_is_not_there_is_refused_and_others_are_not() {
    let usage = export(CUR, &[&[], &[("type", "SavingsPlanNegation"), ("cost", "-3")]]);
    let settings = || LineSettings { cost: Amortized, ..settings() };
    let found = read(settings(), &usage).await.unwrap();
    let missing: Vec<&str> = found.notes.iter().filter_map(|note| note.strip_prefix("missing_cost ")).collect();
    assert_eq!(
        missing,
        [
            "reservation_effective_cost",
            "reservation_unused_amortized_upfront_fee_for_billing_period",
            "reservation_unused_recurring_fee",
            "savings_plan_savings_plan_effective_cost",
            "savings_plan_total_commitment_to_date",
            "savings_plan_used_commitment",
        ]
    );
    let said = |kind: &str, column: &str| {
        format!(
            "may.csv, row 3, column line_item_line_item_type: {kind}: the amortized cost of such a line depends on the column \
             {column}, which is not there; add it to the export, or set another [source] cost"
        )
    };
    for (kind, other, column) in [
        ("SavingsPlanCoveredUsage", "reservation_effective_cost", "savings_plan_savings_plan_effective_cost"),
        ("SavingsPlanRecurringFee", "savings_plan_total_commitment_to_date", "savings_plan_used_commitment"),
        ("DiscountedUsage", "savings_plan_used_commitment", "reservation_effective_cost"),
        ("RIFee", "reservation_unused_recurring_fee", "reservation_unused_amortized_upfront_fee_for_billing_period"),
    ] {
        let refused = read(settings(), &export(CUR, &[&[(other, "1")], &[("type", kind)]])).await.unwrap_err();
        assert_eq!(refused, said(kind, column));
    }
    // Whether a fee or a refund is of a commitment.
    for (kind, absent, column) in [
        ("Fee", "reservation", "reservation_reservation_a_r_n"),
        ("Refund", "reservation", "reservation_reservation_a_r_n"),
        ("Refund", "plan", "savings_plan_savings_plan_a_r_n"),
    ] {
        let text = export_without(&[absent], CUR, &[&[("reservation_effective_cost", "1")], &[("type", kind)]]);
        assert_eq!(read(settings(), &text).await.unwrap_err(), said(kind, column));
        let credits = toml::from_str("ineligible_upfront_fees = []").unwrap();
        let unblended = LineSettings { credits, ..crate::cost_scan::tests::settings() };
        assert!(read(unblended, &text).await.is_ok(), "it is invoiced like any other");
    }
    let whole =
        export_without(&["reservation", "plan"], CUR, &[&[("identity_line_item_id", "1")], &[("type", "Refund")]]);
    assert!(read(settings(), &whole).await.is_ok(), "AWS has no such columns in a month without commitments");
}

#[tokio::test]
async fn an_amount_of_the_configured_column_that_is_none_is_named_by_it() {
    let net = "line_item_net_unblended_cost";
    let text = export(CUR, &[&[(net, "8")], &[(net, "eight")]]);
    assert_eq!(
        costs(NetUnblended, &text).await.unwrap_err(),
        "may.csv, row 3, column line_item_net_unblended_cost: \"eight\" is not an amount (1234.56)"
    );
    // Whoever does not count by it does not mind.
    assert!(costs(CostColumn::Unblended, &text).await.is_ok());
}

#[tokio::test]
async fn focus_has_an_effective_cost_for_all_of_that() {
    let effective = "EffectiveCost";
    let text = export(
        FOCUS,
        &[
            &[("service", "covered"), ("cost", "0"), (effective, "18"), ("commitment", PLAN)],
            &[
                ("service", "purchase"),
                ("type", "Purchase"),
                ("frequency", "One-Time"),
                ("commitment", PLAN),
                ("cost", "500"),
                (effective, "0"),
            ],
            &[("service", "returned"), ("type", "Adjustment"), ("commitment", PLAN), ("cost", "-90"), (effective, "0")],
            &[("service", "refund"), ("type", "Adjustment"), ("cost", "-5"), (effective, "-5")],
            &[("service", "credit"), ("type", "Credit"), ("cost", "-2.6137"), (effective, "-3.00")],
        ],
    );
    let expected = [
        "covered: charges=18 eligible=18 unblended=0 (1)",
        "credit: credits=-2.6137 (1)",
        "purchase: unblended=500 (1)",
        "refund: refunds=-5 (1)",
        "returned: unblended=-90 (1)",
    ];
    assert_eq!(costs(Amortized, &text).await.unwrap(), expected);
    assert_eq!(costs(NetAmortized, &text).await.unwrap(), expected);
    assert_eq!(
        costs(NetUnblended, &text).await.unwrap_err(),
        "may.csv: FOCUS has no net_unblended cost; set [source] cost to unblended or amortized"
    );
    assert_eq!(
        costs(Amortized, &export(FOCUS, &[&[]])).await.unwrap_err(),
        "may.csv: FOCUS export without the required column EffectiveCost; add it to the export"
    );
}
