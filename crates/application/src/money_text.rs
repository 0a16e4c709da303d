//! Money for people: thousands separators.

use credit_ledger::Money;
use num_format::{Locale, ToFormattedString};

/// Exact, ten decimals: `1,234,567.8900000000`.
pub fn exact(amount: Money) -> String {
    let text = amount.to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let sign = if amount.is_negative() { "-" } else { "" };
    let whole: i128 = whole.trim_start_matches('-').parse().unwrap_or(0);
    format!("{sign}{}.{fraction}", whole.to_formatted_string(&Locale::en))
}

/// Rounded half away from zero to cents: `1,234,567.89`.
pub fn cents(amount: Money) -> String {
    const CENT: u128 = 100_000_000;
    let units = amount.units().unsigned_abs();
    let cents = units / CENT + u128::from(units % CENT >= CENT / 2);
    let sign = if amount.is_negative() && cents > 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", (cents / 100).to_formatted_string(&Locale::en), cents % 100)
}

/// A change, rounded as [`cents`]: `+1,234.57`.
pub fn signed(amount: Money) -> String {
    let text = cents(amount);
    if amount.is_positive() { format!("+{text}") } else { text }
}

/// A count: `38,186`.
pub fn count(number: u64) -> String {
    number.to_formatted_string(&Locale::en)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_for_people_has_separators_and_rounds_half_away_from_zero() {
        for (text, expected_exact, expected_cents) in [
            ("1234567.895", "1,234,567.8950000000", "1,234,567.90"),
            ("-1234.5649999999", "-1,234.5649999999", "-1,234.56"),
            ("-0.004", "-0.0040000000", "0.00"),
            ("-0.005", "-0.0050000000", "-0.01"),
            ("0", "0.0000000000", "0.00"),
            ("999.999", "999.9990000000", "1,000.00"),
        ] {
            let money = text.parse().unwrap();
            assert_eq!((exact(money).as_str(), cents(money).as_str()), (expected_exact, expected_cents));
        }
    }
}
