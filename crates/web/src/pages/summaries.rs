//! Months and levels that pages show.

use std::collections::BTreeSet;

use application::Failure;
use credit_ledger::{BillingPeriod, Node};
use schemas::TableRow;

use crate::asked::Asked;

/// Months that are shown where the address names none.
const MONTHS: usize = 12;

/// The months of a table of the published run that the address asks for; the last twelve where it names none.
pub(crate) fn months<R: TableRow>(asked: &Asked) -> Result<Vec<BillingPeriod>, Failure> {
    let of_run: BTreeSet<BillingPeriod> = asked.run()?.periods::<R>();
    let is_shown = |period: &BillingPeriod| asked.filter.periods.is_none_or(|periods| periods.contains(*period));
    let shown: Vec<BillingPeriod> = of_run.into_iter().filter(is_shown).collect();
    let left_out = if asked.filter.periods.is_none() { shown.len().saturating_sub(MONTHS) } else { 0 };
    Ok(shown.into_iter().skip(left_out).collect())
}

/// `2026-05 to 2026-10`, or the one month.
pub(crate) fn span(months: &[BillingPeriod]) -> String {
    match (months.first(), months.last()) {
        (Some(first), Some(last)) if first != last => format!("{first} to {last}"),
        (Some(only), _) => only.to_string(),
        _ => "no month".to_owned(),
    }
}

/// What lies right below a node.
pub(crate) fn level_name(node: Option<&Node>) -> &'static str {
    match node.map_or(0, Node::level) {
        0 => "business unit",
        1 => "department",
        2 => "portfolio",
        _ => "product",
    }
}
