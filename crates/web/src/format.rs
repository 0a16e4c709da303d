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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_told_by_their_distance_in_days() {
        let today: NaiveDate = "2026-10-31".parse().unwrap();
        for (date, expected) in [
            ("2026-10-31", "today"),
            ("2026-11-01", "in 1 day"),
            ("2027-01-01", "in 62 days"),
            ("2026-10-30", "1 day ago"),
            ("2026-09-01", "60 days ago"),
        ] {
            assert_eq!(relative(date.parse().unwrap(), today), expected, "{date}");
        }
        assert_eq!(days_ago(-1), "today", "a clock may be behind the as-of date");
    }

    #[test]
    fn amount_is_shown_in_cents_with_all_of_it_on_hover() {
        let shown = |text: &str| money_in(text.parse().unwrap(), &"USD".into()).into_string();
        let amount = r#"<span class="money negative" title="-1,234,567.8950000000">-1,234,567.90</span>"#;
        assert_eq!(shown("-1234567.895"), format!(r#"{amount} <span class="currency">USD</span>"#));
        let tiny = shown("-0.0000000001");
        assert!(tiny.contains(r#"class="money negative" title="-0.0000000001">0.00<"#), "{tiny}");
    }
}
