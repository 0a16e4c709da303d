//! Names, types and spellings.

use std::io::Write;

use arrow::datatypes::DataType;

use super::parquet_file::{Types, parquet};
use super::{
    AS_OF, Row, Workspace, assert_net_cost, expected, fixture, map_cells, organisation, query, with_header,
    without_column,
};

fn assert_same_rows(file: &str, content: impl AsRef<[u8]>, expected: &[Row]) {
    let workspace = organisation();
    workspace.write(&format!("cur/{file}"), content);
    assert_net_cost(&workspace, expected);
}

/// FOCUS without `x_ServiceCode` knows the names of services only.
fn with_service_names(rows: Vec<Row>) -> Vec<Row> {
    let name = |code: &str| match code {
        "AmazonEC2" => "Amazon Elastic Compute Cloud",
        "AmazonS3" => "Amazon Simple Storage Service",
        "AWSLambda" => "AWS Lambda",
        "ComputeSavingsPlans" => "Savings Plans for AWS Compute usage",
        "AWSSupportBusiness" => "AWS Support (Business)",
        "1a2b3c4d5e" => "Acme Shield",
        other => panic!("{other} has no name"),
    };
    let named = |mut row: Row| {
        let service = name(&row["service"]).to_owned();
        row.insert("service".to_owned(), service);
        row
    };
    rows.into_iter().map(named).collect()
}

/// Without cost categories the spend that only they map stays unassigned.
fn without_categories(rows: Vec<Row>) -> Vec<Row> {
    let unassigned = |mut row: Row| {
        if ["Platform", "Support"].contains(&row["business_unit"].as_str()) {
            row.insert("business_unit".to_owned(), "Unassigned".to_owned());
            row.insert("department".to_owned(), String::new());
        }
        row
    };
    rows.into_iter().map(unassigned).collect()
}

#[test]
fn cur_1_text_with_slash_names_gives_the_rows_and_the_last_of_two_folded_columns_wins() {
    assert_same_rows("acme-1.csv", fixture("cur-1.0.csv"), &expected());
}

#[test]
fn cur_1_parquet_with_athena_names_gives_the_rows() {
    let file = parquet(&fixture("cur-1.0-athena.csv"), &Types { maps: false, ..Types::of_aws() });
    assert_same_rows("acme-1.snappy.parquet", file, &expected());
}

#[test]
fn cur_2_text_with_maps_as_json_gives_the_rows() {
    assert_same_rows("acme-00001.csv", fixture("cur-2.0.csv"), &expected());
}

#[test]
fn cur_2_parquet_with_real_maps_gives_the_rows_in_every_type_of_text() {
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    for text in [DataType::Utf8, DataType::LargeUtf8, DataType::Utf8View, dictionary] {
        let file = parquet(&fixture("cur-2.0.csv"), &Types { text, ..Types::of_aws() });
        assert_same_rows("acme-00001.snappy.parquet", file, &expected());
    }
}

#[test]
fn cur_2_parquet_with_maps_as_text_and_costs_as_text_or_decimal_gives_the_rows() {
    for cost in [DataType::Utf8, DataType::Decimal128(38, 11)] {
        let types = Types { cost, zone: Some("+00:00"), maps: false, ..Types::of_aws() };
        assert_same_rows("acme.parquet", parquet(&fixture("cur-2.0.csv"), &types), &expected());
    }
}

#[test]
fn focus_1_0_text_with_literal_nulls_gives_the_rows_under_the_names_of_services() {
    assert_same_rows("focus.csv", fixture("focus-1.0.csv"), &with_service_names(expected()));
}

#[test]
fn focus_1_2_gives_the_rows_as_text_and_as_parquet_but_for_cost_categories() {
    let rows = without_categories(expected());
    assert_same_rows("focus.csv", fixture("focus-1.2.csv"), &rows);
    let types = Types { zone: Some("UTC"), ..Types::of_aws() };
    assert_same_rows("focus.snappy.parquet", parquet(&fixture("focus-1.2.csv"), &types), &rows);
}

#[test]
fn packed_text_gives_the_rows_also_in_several_gzip_members() {
    let text = fixture("cur-2.0.csv");
    let middle = text.len() / 2;
    let mut packed = Vec::new();
    for part in [&text[..middle], &text[middle..]] {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        writer.write_all(part.as_bytes()).expect("packed text");
        packed.extend(writer.finish().expect("a gzip member"));
    }
    assert_same_rows("acme-00001.csv.gz", packed, &expected());
}

#[test]
fn the_case_of_column_names_does_not_matter() {
    let upper = |name| with_header(&fixture(name), str::to_uppercase);
    let lower = |name| with_header(&fixture(name), str::to_lowercase);
    assert_same_rows("acme.csv", upper("cur-2.0.csv"), &expected());
    assert_same_rows("focus.csv", upper("focus-1.2.csv"), &without_categories(expected()));
    assert_same_rows("focus.csv", lower("focus-1.2.csv"), &without_categories(expected()));
}

#[test]
fn dates_of_every_spelling_in_one_file_are_the_same_days() {
    let respelled = map_cells(&fixture("cur-2.0.csv"), |column, cell| match (column, cell.get(8..10)) {
        ("line_item_usage_start_date", Some("01")) => format!("{} 00:00:00", &cell[..10]),
        ("line_item_usage_start_date", Some("03")) => format!("{} 10:00:00+00:00", &cell[..10]),
        ("line_item_usage_start_date", Some("04")) => cell[..10].to_owned(),
        ("line_item_usage_start_date", Some("15")) => "2026-05-16T01:00:00+07:00".to_owned(),
        ("line_item_usage_start_date", Some("20")) => format!("{}T04:00:00Z", &cell[..10]),
        ("bill_billing_period_start_date", _) => "2026-05-01 00:00:00".to_owned(),
        _ => cell.to_owned(),
    });
    assert_same_rows("acme.csv", respelled, &expected());
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_do_not_matter() {
    let text = format!("\u{feff}{}", fixture("cur-2.0.csv").replace('\n', "\r\n"));
    assert_same_rows("acme.csv", text, &expected());
}

#[test]
fn an_export_without_a_currency_column_takes_the_currency_of_the_settings() {
    let workspace = organisation();
    workspace.write("credits.toml", crate::support::SETTINGS.replacen('\n', "\ncurrency = \"USD\"\n", 1));
    workspace.write("cur/acme.csv", without_column(&fixture("cur-2.0.csv"), "line_item_currency_code"));
    assert_net_cost(&workspace, &expected());
}

#[test]
fn amortized_cost_is_the_same_from_every_format() {
    let charges = |name: &str| {
        let workspace = organisation();
        workspace.write("credits.toml", crate::support::SETTINGS.replacen('\n', "\ncost = \"amortized\"\n", 1));
        workspace.write(&format!("cur/{name}"), fixture(name));
        workspace.try_run(AS_OF, &["run"]).unwrap_or_else(|problem| panic!("{name}: {problem}"));
        let sql = "SELECT usage_date, account_id, charges FROM net_cost WHERE gross_cost <> 0 ORDER BY 1, 2, 3";
        query(&workspace, sql).iter().map(|row| format!("{} {}", row["usage_date"], row["charges"])).collect::<Vec<_>>()
    };
    let expected = [
        "2026-05-01 10.5000000000",
        "2026-05-01 0.0000000000",
        "2026-05-02 0.1234567891",
        "2026-05-03 2.5000000000",
        "2026-05-04 0.5000000000",
        "2026-05-06 5.0000000000",
        "2026-05-07 12.3400000000",
        "2026-05-15 7.0000000000",
        "2026-05-31 3.2500000000",
    ];
    for name in ["cur-1.0.csv", "cur-1.0-athena.csv", "cur-2.0.csv", "focus-1.0.csv", "focus-1.2.csv"] {
        assert_eq!(charges(name), expected, "{name}");
    }
}

/// One rule, by region, and no allocations.
fn mapped_by_region() -> Workspace {
    let workspace = Workspace::new();
    let rules = "rule_id,priority,payer_account_id,account_id,service,region,tag_key,tag_value,cost_category_key,\
                 cost_category_value,business_unit,department,portfolio,product,share\n\
                 near,1,,,,eu-west-1,,,,,Near,,,,\n";
    workspace.write("reference/hierarchy.csv", "business_unit,department,portfolio,product\nNear,,,\n");
    workspace.write("reference/cost_rules.csv", rules);
    workspace
}

/// Lines side by side that differ in the amount only: what a correction is depends on its sign.
#[test]
fn focus_corrections_of_both_signs_side_by_side_are_told_apart() {
    let workspace = mapped_by_region();
    let mut export = "BillingPeriodStart,BillingAccountId,SubAccountId,ChargePeriodStart,ChargeCategory,ChargeClass,\
                      ChargeDescription,ServiceName,BillingCurrency,BilledCost\n"
        .to_owned();
    for cost in ["7", "-5", "2", "-1"] {
        let line = "2026-05-01T00:00:00Z,999999999999,111111111111,2026-05-03T00:00:00Z,Usage,Correction,,Compute,USD";
        export += &format!("{line},{cost}\n");
    }
    workspace.write("cur/focus.csv", export);
    workspace.try_run(AS_OF, &["run"]).unwrap_or_else(|problem| panic!("{problem}"));
    let found = query(&workspace, "SELECT gross_cost, refunds FROM net_cost_summary WHERE level = 1");
    let found: Vec<(&str, &str)> =
        found.iter().map(|row| (row["gross_cost"].as_str(), row["refunds"].as_str())).collect();
    assert_eq!(found, [("9.0000000000", "-6.0000000000")]);
}

/// The product map is asked for the region only where the line has none of its own.
#[test]
fn a_product_text_that_is_no_object_matters_only_where_the_region_comes_from_it() {
    let run = |region: &str| {
        let workspace = mapped_by_region();
        let export = "bill_billing_period_start_date,bill_payer_account_id,line_item_usage_account_id,\
                      line_item_usage_start_date,line_item_line_item_type,line_item_product_code,\
                      line_item_currency_code,line_item_unblended_cost,line_item_line_item_description,\
                      product_region_code,product\n\
                      2026-05-01 00:00:00,999999999999,111111111111,2026-05-03 00:00:00,Usage,AmazonEC2,USD,1,,";
        workspace.write("cur/lines.csv", format!("{export}{region},none\n"));
        workspace.try_run(AS_OF, &["run"]).map(|_| query(&workspace, "SELECT business_unit FROM net_cost"))
    };
    let near = run("eu-west-1").unwrap_or_else(|problem| panic!("{problem}"));
    assert_eq!(near.iter().map(|row| row["business_unit"].as_str()).collect::<Vec<_>>(), ["Near"]);
    let problem = run("").expect_err("no region").to_string();
    assert!(problem.contains("lines.csv, row 2, column product: \"none\" is not a JSON object"), "{problem}");
}
