//! How values on the command line are read.

pub(crate) use application::typed::{amount, date, node};
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

pub(crate) fn period(text: &str) -> Result<BillingPeriod, String> {
    text.parse().map_err(|_error| "not a billing period (YYYY-MM)".to_owned())
}

pub(crate) fn instant(text: &str) -> Result<NaiveDateTime, String> {
    let instant = DateTime::parse_from_rfc3339(text).map(|instant| instant.naive_utc());
    let instant = instant.map_err(|_error| "not an instant (2026-03-05T09:00:00Z)".to_owned())?;
    within_years(instant.date()).map_err(|wrong| wrong.to_string())?;
    Ok(instant)
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
