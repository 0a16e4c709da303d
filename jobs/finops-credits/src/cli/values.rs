//! How values on the command line are read.

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use credit_ledger::{BillingPeriod, Money, Node, within_years};

/// A node, and for one of several lots its amount and its own end: `Retail=1000,2027-08-31`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Where the lot sits.
    pub node: Node,
    /// Its amount.
    pub amount: Option<Money>,
    /// Its last day.
    pub end_date: Option<NaiveDate>,
}

pub(crate) fn date(text: &str) -> Result<NaiveDate, String> {
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").map_err(|_error| "not a date (YYYY-MM-DD)".to_owned())?;
    within_years(date).map_err(|wrong| wrong.to_string())
}

pub(crate) fn period(text: &str) -> Result<BillingPeriod, String> {
    text.parse().map_err(|_error| "not a billing period (YYYY-MM)".to_owned())
}

pub(crate) fn instant(text: &str) -> Result<NaiveDateTime, String> {
    let instant = DateTime::parse_from_rfc3339(text).map(|instant| instant.naive_utc());
    let instant = instant.map_err(|_error| "not an instant (2026-03-05T09:00:00Z)".to_owned())?;
    within_years(instant.date()).map_err(|wrong| wrong.to_string())?;
    Ok(instant)
}

/// An amount as it is written or as tables show it: `2500`, `2500.5`, `2,500.00`.
pub(crate) fn amount(text: &str) -> Result<Money, String> {
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

/// A run id names folders.
pub(crate) fn run_id(text: &str) -> Result<String, String> {
    let allowed = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
    let shaped = !text.is_empty() && text.len() <= 100 && text.chars().all(allowed) && !text.starts_with('.');
    shaped.then(|| text.to_owned()).ok_or_else(|| "only letters, digits, - _ and . may be used".to_owned())
}

/// `Retail/Online`, `Retail/Online=100` or `Retail/Online=100,2027-08-31`: what follows the last `=` outside of quotes.
pub(crate) fn placed(text: &str) -> Result<Placed, String> {
    let mut quoted = false;
    let mut equals = text.char_indices().filter(|(_, character)| {
        quoted ^= *character == '"';
        *character == '=' && !quoted
    });
    let Some((name, terms)) = equals.next_back().and_then(|(at, _)| Some((text.get(..at)?, text.get(at + 1..)?)))
    else {
        return Ok(Placed { node: node(text)?, amount: None, end_date: None });
    };
    // What follows the last comma is an end, unless it is three more digits of the amount.
    let is_group = |text: &str| amount(&format!("1,{text}")).is_ok();
    let (terms, end) = match terms.rsplit_once(',') {
        Some((amount, end)) if !is_group(end.trim()) => (amount, Some(end)),
        _ => (terms, None),
    };
    let amount = amount(terms.trim());
    let amount = amount.map_err(|error| format!("{error}; a name that holds = needs quotes, as in '\"a=b\"'"))?;
    Ok(Placed { node: node(name)?, amount: Some(amount), end_date: end.map(|end| date(end.trim())).transpose()? })
}

/// `Retail/Online`; a name that holds a `/` is quoted: `Retail/"A/B Testing"`.
pub(crate) fn node(text: &str) -> Result<Node, String> {
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
