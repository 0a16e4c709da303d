//! Where an allocated credit stands as of a date.

use std::fmt;

use chrono::NaiveDate;

use crate::Money;

/// The state of a credit, as tables and dashboards show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// Nobody has allocated it, or its allocation was revoked.
    Unallocated,
    /// What was recorded last cannot be used.
    Invalid,
    /// Something is left.
    Active,
    /// Something is left and the end is near.
    ExpiringSoon,
    /// Nothing is left and nothing was lost.
    Exhausted,
    /// Past its end with something lost.
    Expired,
}

/// The sums of a credit's lots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CreditPosition {
    /// Last day of the lot that ends next, or of the last one where nothing is left; none: open-ended.
    pub end_date: Option<NaiveDate>,
    /// Lost at the end, zero or more.
    pub expired: Money,
    /// Left, zero or more.
    pub remaining: Money,
}

impl CreditPosition {
    /// The status as of `as_of`; `soon` is the number of days that counts as near.
    #[must_use]
    pub fn status(&self, as_of: NaiveDate, soon: u32) -> Status {
        let days_left = self.end_date.map(|end| end.signed_duration_since(as_of).num_days());
        if self.expired.is_positive() && days_left.is_some_and(|days| days < 0) {
            Status::Expired
        } else if self.remaining.is_zero() {
            Status::Exhausted
        } else if days_left.is_some_and(|days| days <= i64::from(soon)) {
            Status::ExpiringSoon
        } else {
            Status::Active
        }
    }
}

impl Status {
    /// As tables spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unallocated => "unallocated",
            Self::Invalid => "invalid",
            Self::Active => "active",
            Self::ExpiringSoon => "expiring_soon",
            Self::Exhausted => "exhausted",
            Self::Expired => "expired",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(end: &str, expired: i128, remaining: i128) -> CreditPosition {
        CreditPosition {
            end_date: end.parse().ok(),
            expired: Money::from_units(expired).unwrap(),
            remaining: Money::from_units(remaining).unwrap(),
        }
    }

    #[test]
    fn status_follows_loss_then_rest_then_days_left() {
        let as_of = "2026-05-02".parse().unwrap();
        let cases = [
            (position("2026-05-01", 1, 0), Status::Expired),
            (position("2026-05-01", 0, 0), Status::Exhausted),
            (position("2026-05-02", 0, 5), Status::ExpiringSoon),
            (position("2026-07-01", 0, 5), Status::ExpiringSoon),
            (position("2026-07-02", 0, 5), Status::Active),
            (position("none", 0, 5), Status::Active),
            (position("none", 0, 0), Status::Exhausted),
        ];
        for (position, expected) in cases {
            assert_eq!(position.status(as_of, 60), expected, "{position:?}");
        }
    }
}
