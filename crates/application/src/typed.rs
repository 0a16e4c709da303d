//! How values that people type are read: on a command line, in a form.

use chrono::NaiveDate;
use credit_ledger::{Money, Node, within_years};

/// A day: `2026-10-31`.
///
/// # Errors
/// What is wrong with it.
pub fn date(text: &str) -> Result<NaiveDate, String> {
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").map_err(|_error| "not a date (YYYY-MM-DD)".to_owned())?;
    within_years(date).map_err(|wrong| wrong.to_string())
}

/// An amount as it is written or as tables show it: `2500`, `2500.5`, `2,500.00`.
///
/// # Errors
/// What is wrong with it.
pub fn amount(text: &str) -> Result<Money, String> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let mut groups = whole.trim_start_matches('-').split(',');
    let is_digits = |group: &str| group.bytes().all(|byte| byte.is_ascii_digit());
    let first = groups.next().is_some_and(|first| (1..=3).contains(&first.len()) && is_digits(first));
    let grouped = first && groups.all(|group| group.len() == 3 && is_digits(group));
    if decimals.contains(',') || (whole.contains(',') && !grouped) {
        return Err("not an amount; thousands may be set apart as in 2,500.00".to_owned());
    }
    text.replace(',', "").parse::<Money>().map_err(|error| error.to_string())
}

/// `Retail/Online`; a name that holds a `/` is quoted: `Retail/"A/B Testing"`.
///
/// # Errors
/// What is wrong with it.
pub fn node(text: &str) -> Result<Node, String> {
    let mut reader = csv::ReaderBuilder::new().delimiter(b'/').has_headers(false).from_reader(text.as_bytes());
    let record = reader.records().next().and_then(Result::ok).unwrap_or_default();
    let names: Vec<&str> = record.iter().map(str::trim).collect();
    if names.len() > Node::LEVELS.len() {
        return Err(format!("has {} levels; at most {}", names.len(), Node::LEVELS.len()));
    }
    if names.iter().any(|name| name.is_empty()) {
        return Err("has an empty level".to_owned());
    }
    Node::from_levels(std::array::from_fn(|level| names.get(level))).map_err(|error| error.to_string())
}
