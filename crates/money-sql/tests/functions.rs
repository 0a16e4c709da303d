//! Money functions through SQL, as plans and analysts use them.

#![cfg(test)]

use std::sync::Arc;

use arrow::util::display::array_value_to_string;
use datafusion::execution::runtime_env::RuntimeEnv;

async fn first(sql: &str) -> Result<String, String> {
    let context = money_sql::session(2, Arc::new(RuntimeEnv::default()));
    let frame = context.sql(sql).await.map_err(|error| error.to_string())?;
    let batches = frame.collect().await.map_err(|error| error.to_string())?;
    let rows = batches
        .iter()
        .flat_map(|batch| (0..batch.num_rows()).map(|row| array_value_to_string(batch.column(0), row).unwrap()));
    Ok(rows.collect::<Vec<_>>().join(","))
}

const MOST: &str = "9999999999999999999999999999.9999999999";

#[tokio::test]
async fn sums_of_money_past_38_digits_fail_instead_of_wrapping() {
    let from = format!("FROM (VALUES (1, {MOST}), (1, {MOST}), (2, 1.0000000000)) AS t(k, v)");
    for sql in [
        format!("SELECT sum(v) {from}"),
        format!("SELECT sum(v) {from} GROUP BY k ORDER BY k"),
        format!("SELECT sum(v) OVER (ORDER BY k ROWS 1 PRECEDING) {from}"),
    ] {
        let error = first(&sql).await.unwrap_err();
        assert!(error.contains("SUM of money overflows 38 digits"), "{sql}: {error}");
    }
}

#[tokio::test]
async fn sums_below_that_are_exact_and_null_only_without_values() {
    let from = "FROM (VALUES (1, 0.0000000001), (1, 5.0000000000), (2, NULL)) AS t(k, v)";
    let sql = format!("SELECT sum(v) {from} GROUP BY k ORDER BY k");
    assert_eq!(first(&sql).await.unwrap(), "5.0000000001,");
    assert_eq!(first("SELECT sum(v) FROM (VALUES (1), (2)) AS t(v)").await.unwrap(), "3");
    let sql = format!("SELECT sum(v) FILTER (WHERE k = 1 AND v > 1) {from} GROUP BY k ORDER BY k");
    assert_eq!(first(&sql).await.unwrap(), "5.0000000000,");
}

#[tokio::test]
async fn many_groups_of_one_row_have_sums_of_the_same_type_and_nulls_as_few_groups() {
    let rows = "SELECT value * 7919 % 50021 AS k, CAST(value AS DECIMAL(20, 2)) AS v FROM generate_series(1, 50000)";
    let sums = format!("SELECT k, sum(v) FILTER (WHERE v % 2 = 0) AS s, sum(v) AS whole FROM ({rows}) GROUP BY k");
    assert_eq!(first(&format!("SELECT count(*) FROM ({sums}) WHERE s IS NULL")).await.unwrap(), "25000");
    assert_eq!(first(&format!("SELECT sum(s) FROM ({sums})")).await.unwrap(), "625025000.00");
    assert_eq!(first(&format!("SELECT sum(whole) FROM ({sums})")).await.unwrap(), "1250025000.00");
    assert_eq!(
        first(&format!("SELECT DISTINCT arrow_typeof(whole) FROM ({sums})")).await.unwrap(),
        "Decimal128(30, 2)"
    );
}

#[tokio::test]
async fn nulls_among_the_values_of_a_group_do_not_count() {
    let values = "(1, NULL), (2, NULL), (1, 3.00), (1, NULL), (2, NULL), (1, -1.00)";
    let sql = format!("SELECT sum(v) FROM (VALUES {values}) AS t(k, v) GROUP BY k ORDER BY k");
    assert_eq!(first(&sql).await.unwrap(), "2.00,");
}

#[tokio::test]
async fn a_window_that_holds_no_value_any_more_sums_to_null() {
    let from = "FROM (VALUES (1, 5.00), (2, NULL), (3, NULL), (4, -1.50), (5, 1.50)) AS t(k, v)";
    let sql = format!("SELECT sum(v) OVER (ORDER BY k ROWS 1 PRECEDING) {from} ORDER BY k");
    assert_eq!(first(&sql).await.unwrap(), "5.00,5.00,,-1.50,0.00");
    let sql = format!("SELECT sum(v) OVER (ORDER BY k) {from} ORDER BY k");
    assert_eq!(first(&sql).await.unwrap(), "5.00,5.00,5.00,3.50,5.00");
}

#[tokio::test]
async fn sums_of_nothing_are_null_and_of_distinct_amounts_count_each_once() {
    let from = "FROM (VALUES (1, 0.10), (1, 0.10), (2, 0.20)) AS t(k, v)";
    assert_eq!(first(&format!("SELECT sum(v) {from} WHERE k > 2")).await.unwrap(), "");
    assert_eq!(first(&format!("SELECT sum(v) {from} WHERE k > 2 GROUP BY k")).await.unwrap(), "");
    assert_eq!(first(&format!("SELECT sum(DISTINCT v) {from}")).await.unwrap(), "0.30");
    assert_eq!(first(&format!("SELECT sum(v) {from}")).await.unwrap(), "0.40");
}

#[tokio::test]
async fn figures_that_people_write_in_sql_are_exact() {
    assert_eq!(first("SELECT 0.1 + 0.2").await.unwrap(), "0.3");
    assert_eq!(first("SELECT 0.1 + 0.2 = 0.3").await.unwrap(), "true");
    let money = |text: &str| format!("SELECT CAST('{text}' AS DECIMAL(38, 10))");
    assert_eq!(first(&money("-1234567.8900000001")).await.unwrap(), "-1234567.8900000001");
    assert_eq!(first(&money("9999999999999999999999999999.9999999999")).await.unwrap(), MOST);
    for text in ["10000000000000000000000000000", "1,234.50", "abc"] {
        assert!(first(&money(text)).await.is_err(), "{text} is no amount");
    }
}

#[tokio::test]
async fn sums_of_narrow_amounts_have_ten_digits_more_and_those_of_counts_are_counts() {
    let rows = "SELECT CAST(99.99 AS DECIMAL(4, 2)) AS v, value AS n FROM generate_series(1, 1000)";
    assert_eq!(first(&format!("SELECT sum(v) FROM ({rows})")).await.unwrap(), "99990.00");
    let of = |sum: &str| format!("SELECT arrow_typeof({sum}) FROM ({rows})");
    assert_eq!(first(&of("sum(v)")).await.unwrap(), "Decimal128(14, 2)");
    assert_eq!(first(&of("sum(n)")).await.unwrap(), "Int64");
}
