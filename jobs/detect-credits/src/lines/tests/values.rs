//! Values of lines, and what is said of those that are none.

use super::*;
use crate::stated::StatedOfExport;

/// Why a file of a good line and this one is refused.
async fn refused(line: Line<'_>) -> String {
    let refused = read(settings(), &export(CUR, &[&[], line])).await.unwrap_err();
    refused.strip_prefix("may.csv, row 3, column ").unwrap().to_owned()
}

#[tokio::test]
async fn an_amount_that_is_none_or_too_large_is_named_with_its_row() {
    let column = "line_item_unblended_cost";
    for (cost, message) in [
        ("ten", "\"ten\" is not an amount (1234.56)"),
        ("1,234.56", "\"1,234.56\" is not an amount (1234.56)"),
        ("1e30", "\"1e30\" is too large: more than 38 digits"),
        ("1000000000000000000.1", "1000000000000000000.1000000000 is too large for a line: more than 10^18"),
        ("-1000000000000000000.1", "-1000000000000000000.1000000000 is too large for a line: more than 10^18"),
    ] {
        assert_eq!(refused(&[("cost", cost)]).await, format!("{column}: {message}"));
    }
    let largest: Line<'_> = &[("cost", "1e18")];
    let found = found(CUR, &[largest; 9]).await;
    assert_eq!(found.notes, ["total USD 9000000000000000000 (9)"]);
}

#[tokio::test]
async fn lines_without_a_cost_count_as_nothing_and_are_counted() {
    let found = found(CUR, &[&[("cost", "")], &[("cost", "NULL")], &[("cost", "  ")], &[]]).await;
    assert_eq!(found.costs, ["2026-05-02 111111111111 AmazonEC2: charges=10 eligible=10 (4)"]);
    assert_eq!(found.notes, ["no_cost (3)", "total USD 10 (4)"]);
}

#[tokio::test]
async fn a_blank_account_is_the_payers_and_a_blank_payer_is_an_error() {
    let found = found(CUR, &[&[("account", "")], &[("account", " 222222222222 ")], &[("payer", "888888888888")]]).await;
    assert_eq!(
        found.costs,
        [
            "2026-05-02 222222222222 AmazonEC2: charges=10 eligible=10 (1)",
            "2026-05-02 888888888888 111111111111 AmazonEC2: charges=10 eligible=10 (1)",
            "2026-05-02 999999999999 AmazonEC2: charges=10 eligible=10 (1)",
        ]
    );
    let blank = "is blank; every line needs a value here";
    assert_eq!(refused(&[("payer", "")]).await, format!("bill_payer_account_id: {blank}"));
}

#[tokio::test]
async fn account_ids_that_lost_their_zeros_are_noted_and_those_that_became_numbers_are_refused() {
    let short = found(CUR, &[&[("account", "11111111111")], &[("payer", "77"), ("account", "")], &[]]).await;
    assert_eq!(short.notes, ["short_id 11111111111", "short_id 77", "total USD 30 (3)"]);
    let message = "is a number with a fraction, not an account id of 12 digits; deliver ids as text";
    for (column, name) in [("payer", "bill_payer_account_id"), ("account", "line_item_usage_account_id")] {
        assert_eq!(refused(&[(column, "1.11111E+11")]).await, format!("{name}: \"1.11111E+11\" {message}"));
    }
}

#[tokio::test]
async fn a_blank_currency_is_that_of_the_settings_and_without_one_an_error() {
    assert_eq!(
        refused(&[("currency", "")]).await,
        "line_item_currency_code: is blank; set [source] currency if the export leaves it out"
    );
    let euros = || LineSettings { exports: StatedOfExport::of_currency("EUR"), ..settings() };
    let found = read(euros(), &export(CUR, &[&[], &[("currency", "NULL")], &[("currency", "EUR")]])).await.unwrap();
    assert_eq!(
        found.costs,
        [
            "2026-05-02 111111111111 AmazonEC2 EUR: charges=20 eligible=20 (2)",
            "2026-05-02 111111111111 AmazonEC2: charges=10 eligible=10 (1)",
        ]
    );
    assert_eq!(found.notes, ["total EUR 20 (2)", "total USD 10 (1)"]);
    let found = read(euros(), &export_without(&["currency"], CUR, &[&[], &[]])).await.unwrap();
    assert_eq!(found.notes, ["total EUR 20 (2)"]);
}

#[tokio::test]
async fn a_day_that_is_none_or_years_away_is_named_with_its_row() {
    let column = "line_item_usage_start_date";
    for (start, message) in [
        ("", "is blank; every line needs a value here"),
        ("02.05.2026", "\"02.05.2026\" is not a date (2026-01-31, with or without a time)"),
        (
            "2016-05-02",
            "2016-05-02 is more than 3 years before billing period 2026-05; correct the date or deliver the file again",
        ),
        (
            "2027-06-01",
            "2027-06-01 is more than a year after billing period 2026-05; correct the date or deliver the file again",
        ),
    ] {
        assert_eq!(refused(&[("start", start)]).await, format!("{column}: {message}"));
    }
    let found = found(CUR, &[&[("start", "2023-05-01")], &[("start", "2027-05-31")]]).await;
    assert_eq!(found.costs.len(), 2, "to the day");
}

#[tokio::test]
async fn of_a_run_of_like_lines_the_wrong_one_is_named() {
    let mut lines: Vec<Line<'_>> = vec![&[]; 9_000];
    lines[8_500] = &[("cost", "ten")];
    let refused = read(settings(), &export(CUR, &lines)).await.unwrap_err();
    assert_eq!(refused, "may.csv, row 8502, column line_item_unblended_cost: \"ten\" is not an amount (1234.56)");
}
