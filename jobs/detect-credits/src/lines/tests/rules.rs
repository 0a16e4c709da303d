//! Which cost rule takes a line, by what stands in its columns.

use schemas::reference::{parse_cost_rules, parse_hierarchy};

use super::*;

/// Rules `id,payer,account,service,region,tag key,tag value,category key,category value`, in this order.
fn ruled(rules: &[&str]) -> LineSettings {
    let header = "rule_id,payer_account_id,account_id,service,region,tag_key,tag_value,cost_category_key,\
                  cost_category_value,priority,business_unit,department,portfolio,product,share";
    let rows = rules.iter().enumerate().map(|(priority, rule)| format!("\n{rule},{priority},Retail,,,,"));
    let text = format!("{header}{}\n", rows.collect::<String>());
    let hierarchy = b"business_unit,department,portfolio,product\nRetail,,,\n";
    let hierarchy = parse_hierarchy("hierarchy.csv", hierarchy).unwrap();
    let rules = parse_cost_rules("cost_rules.csv", text.as_bytes(), &hierarchy).unwrap();
    LineSettings { rules: rules.conditions(), ..settings() }
}

/// By cost, which rule takes each of some lines; `-` where none does.
async fn rules_of(settings: LineSettings, text: &str) -> Result<Vec<String>, String> {
    let costs = read(settings, text).await?.costs;
    let mut rules: Vec<(u32, String)> = Vec::new();
    for row in costs {
        let (keys, measures) = row.split_once(": charges=").unwrap();
        let cost = measures.split(' ').next().unwrap();
        rules.push((cost.parse().unwrap(), keys.split(' ').nth(3).unwrap_or("-").to_owned()));
    }
    rules.sort();
    Ok(rules.into_iter().map(|(cost, rule)| format!("{cost} {rule}")).collect())
}

#[tokio::test]
async fn tags_are_found_in_maps_and_in_columns_of_every_spelling() {
    let settings = || ruled(&["retail,,,,,user:CostCenter,retail-*,,", "any,,,,,team,*,,"]);
    let cur_2 = export(
        CUR,
        &[
            &[("cost", "1"), ("resource_tags", r#"{"user_cost_center":"retail-17"}"#)],
            &[("cost", "2"), ("resource_tags", r#"{"user:CostCenter":"retail-18","user_team":"x"}"#)],
            &[("cost", "4"), ("resource_tags", r#"{"user_cost_center":"other","user_team":"x"}"#)],
            &[("cost", "8"), ("resource_tags", r#"{"user_cost_center":"","aws_created_by":"retail-1"}"#)],
            &[("cost", "16"), ("resource_tags", "")],
        ],
    );
    let expected = ["3 retail", "4 any", "24 -"];
    assert_eq!(rules_of(settings(), &cur_2).await.unwrap(), expected);
    let column = "resource_tags_user_cost_center";
    let cur_1 = export(
        CUR,
        &[
            &[("cost", "1"), (column, "retail-17")],
            &[("cost", "2"), (column, "retail-18"), ("resource_tags_user_team", "x")],
            &[("cost", "4"), (column, "other"), ("resource_tags_user_team", "x")],
            &[("cost", "24"), (column, " ")],
        ],
    );
    assert_eq!(rules_of(settings(), &cur_1).await.unwrap(), expected);
    let focus = export(
        FOCUS,
        &[
            &[("cost", "1"), ("Tags", r#"{"CostCenter":"retail-17"}"#)],
            &[("cost", "2"), ("Tags", r#"{"CostCenter":"retail-18"}"#)],
            &[("cost", "4"), ("Tags", r#"{"CostCenter":"other","team":"x"}"#)],
            &[("cost", "24"), ("Tags", "NULL")],
        ],
    );
    assert_eq!(rules_of(settings(), &focus).await.unwrap(), expected);
}

#[tokio::test]
async fn of_two_tags_of_one_key_the_last_that_is_not_blank_counts() {
    let settings = || ruled(&["first,,,,,team,first,,", "last,,,,,team,last,,"]);
    let (one, other) = ("resource_tags_user_Team", "resource_tags_user_team");
    let text = export(
        CUR,
        &[
            &[("cost", "1"), (one, "first"), (other, "last")],
            &[("cost", "2"), (one, "first"), (other, "")],
            &[("cost", "4"), (one, "last"), (other, "nobody")],
        ],
    );
    assert_eq!(rules_of(settings(), &text).await.unwrap(), ["1 last", "2 first", "4 -"]);
}

#[tokio::test]
async fn cost_categories_are_columns_or_a_map_too() {
    let settings = || ruled(&["lake,,,,,,,Team,Data Lake"]);
    for (plain, column, value) in [
        (CUR, "cost_category", r#"{"team":"Data Lake"}"#),
        (CUR, "cost_category_team", "Data Lake"),
        (FOCUS, "x_CostCategories", r#"{"Team":"Data Lake"}"#),
    ] {
        let text = export(plain, &[&[("cost", "1"), (column, value)], &[("cost", "2"), (column, "")]]);
        assert_eq!(rules_of(settings(), &text).await.unwrap(), ["1 lake", "2 -"], "{column}");
    }
    // FOCUS 1.2 has none: nothing is a line of the rule.
    assert_eq!(rules_of(settings(), &export(FOCUS, &[&[("cost", "1")]])).await.unwrap(), ["1 -"]);
}

#[tokio::test]
async fn the_region_is_its_code_or_its_column_or_in_the_map_of_the_product() {
    let settings = || ruled(&["code,,,,eu-central-1,,,,", "column,,,,eu-west-1,,,,", "map,,,,us-east-1,,,,"]);
    let (code, column, map) = ("product_region_code", "product_region", "product");
    let region = r#"{"region":"us-east-1","product_name":"x"}"#;
    let text = export(
        CUR,
        &[
            &[("cost", "1"), (code, "eu-central-1"), (column, "eu-west-1"), (map, region)],
            &[("cost", "2"), (column, "eu-west-1"), (map, region)],
            &[("cost", "4"), (map, region)],
            &[("cost", "8"), (map, "{}")],
            // Nobody looks into the map where the region is known.
            &[("cost", "16"), (code, "eu-central-1"), (map, "no JSON")],
        ],
    );
    assert_eq!(rules_of(settings(), &text).await.unwrap(), ["2 column", "4 map", "8 -", "17 code"]);
    let text = export(FOCUS, &[&[("cost", "1"), ("RegionId", "us-east-1")], &[("cost", "2"), ("RegionId", "")]]);
    assert_eq!(rules_of(settings(), &text).await.unwrap(), ["1 map", "2 -"]);
}

#[tokio::test]
async fn a_text_that_should_be_a_map_and_is_none_is_named_where_a_rule_looks_at_it() {
    for (rule, column) in
        [("r,,,,,team,*,,", "resource_tags"), ("r,,,,,,,team,*", "cost_category"), ("r,,,,eu-west-1,,,,", "product")]
    {
        let text = export(CUR, &[&[(column, "{}")], &[(column, "team=shop")]]);
        assert_eq!(
            rules_of(ruled(&[rule]), &text).await.unwrap_err(),
            format!("may.csv, row 3, column {column}: \"team=shop\" is not a JSON object")
        );
        assert!(read(ruled(&["r,,,AmazonEC2,,,,,"]), &text).await.is_ok(), "nobody looks at {column}");
    }
}

#[tokio::test]
async fn accounts_payers_and_services_decide_in_the_order_of_priority() {
    let settings = || {
        ruled(&[
            "shop,999999999999,111111111111,,,,,,",
            "payer,999999999999,999999999999,,,,,,",
            "storage,,,AmazonS3*,,,,,",
            "rest,9*,,,,,,,",
        ])
    };
    let text = export(
        CUR,
        &[
            &[("cost", "1")],
            // A line without an account is on the payer's.
            &[("cost", "2"), ("account", "")],
            &[("cost", "4"), ("account", "222222222222"), ("service", "AmazonS3GlacierDeepArchive")],
            &[("cost", "8"), ("account", "222222222222"), ("service", "")],
            &[("cost", "16"), ("account", "222222222222"), ("service", ""), ("payer", "888888888888")],
        ],
    );
    let found = read(settings(), &text).await.unwrap();
    assert_eq!(
        found.costs,
        [
            "2026-05-02 111111111111 AmazonEC2 shop: charges=1 eligible=1 (1)",
            "2026-05-02 222222222222 - rest: charges=8 eligible=8 (1)",
            "2026-05-02 222222222222 AmazonS3GlacierDeepArchive storage: charges=4 eligible=4 (1)",
            "2026-05-02 888888888888 222222222222 -: charges=16 eligible=16 (1)",
            "2026-05-02 999999999999 AmazonEC2 payer: charges=2 eligible=2 (1)",
        ]
    );
}

#[tokio::test]
async fn a_credit_has_the_rule_of_its_line_in_the_costs_and_none_as_a_credit() {
    let credit = [("type", "Credit"), ("description", "Pilot"), ("cost", "-3")];
    let found = read(ruled(&["all,,1*,,,,,,"]), &export(CUR, &[&credit, &[("cost", "5")]])).await.unwrap();
    assert_eq!(found.costs, ["2026-05-02 111111111111 AmazonEC2 all: charges=5 credits=-3 eligible=5 (2)"]);
    assert_eq!(found.credits, ["2026-05-02 111111111111 AmazonEC2 \"Pilot\": credits=-3 (1)"]);
}
