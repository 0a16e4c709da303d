//! Values for people.

use application::money_text::{cents, exact};
use chrono::NaiveDate;
use credit_ledger::{Money, Text};
use maud::{Markup, html};

/// An amount in cents, all of it on hover.
pub(crate) fn money(amount: Money) -> Markup {
    let class = if amount.is_negative() { "money negative" } else { "money" };
    html! { span class=(class) title=(exact(amount)) { (cents(amount)) } }
}

/// An amount with its currency.
pub(crate) fn money_in(amount: Money, currency: &Text) -> Markup {
    html! { (money(amount)) " " span.currency { (currency) } }
}

/// `today`, `1 day ago`, `30 days ago`.
pub(crate) fn days_ago(days: i64) -> String {
    match days {
        ..=0 => "today".to_owned(),
        1 => "1 day ago".to_owned(),
        days => format!("{days} days ago"),
    }
}

/// `in 3 days`, `today`, `4 days ago`.
pub(crate) fn relative(date: NaiveDate, today: NaiveDate) -> String {
    match date.signed_duration_since(today).num_days() {
        0 => "today".to_owned(),
        1 => "in 1 day".to_owned(),
        days @ 2.. => format!("in {days} days"),
        days => days_ago(-days),
    }
}

/// A status as a badge: its word says it, its colour helps.
pub(crate) fn status(status: &str) -> Markup {
    let words = status.replace('_', " ");
    html! { span class={ "badge " (status) } { (words) } }
}
