//! FIFO policies: order and window, by name and version.

use std::fmt;
use std::str::FromStr;

use chrono::NaiveDate;

use crate::{BillingPeriod, Quoted};

/// From when on a lot may draw: the first day of its window. The order of lots is the same for all, [`Lot::fifo_key`].
///
/// [`Lot::fifo_key`]: crate::Lot::fifo_key
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Policy {
    /// `fifo_issue_date/v1`: from the first day of the issue month. AWS applies a credit to the usage of the
    /// calendar month of its start date (AWS Billing user guide, "Applying AWS credits").
    #[default]
    IssueDate,
    /// `fifo_issue_day/v1`: from the issue date itself.
    IssueDay,
    /// `fifo_applied_month/v1`: from the first day of the month of the credit's first line, for exports whose
    /// credit lines all start on the 1st.
    AppliedMonth,
}

/// A name that is no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is not a policy; one of fifo_issue_date/v1, fifo_issue_day/v1, fifo_applied_month/v1", Quoted(.0))]
pub struct PolicyError(pub String);

impl Policy {
    /// All policies.
    pub const ALL: [Self; 3] = [Self::IssueDate, Self::IssueDay, Self::AppliedMonth];

    /// The name that settings and results carry.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::IssueDate => "fifo_issue_date/v1",
            Self::IssueDay => "fifo_issue_day/v1",
            Self::AppliedMonth => "fifo_applied_month/v1",
        }
    }

    /// The first day on which a lot may draw, by when AWS issued the credit and the usage date of its first line.
    #[must_use]
    pub fn window_begin(self, issue_date: NaiveDate, first_cur_date: NaiveDate) -> NaiveDate {
        match self {
            Self::IssueDate => BillingPeriod::of(issue_date).first_day(),
            Self::IssueDay => issue_date,
            Self::AppliedMonth => BillingPeriod::of(first_cur_date).first_day(),
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Policy {
    type Err = PolicyError;

    fn from_str(name: &str) -> Result<Self, PolicyError> {
        Self::ALL.into_iter().find(|policy| policy.name() == name).ok_or_else(|| PolicyError(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_named_with_their_version_and_nothing_else_is_one() {
        for policy in Policy::ALL {
            assert_eq!(policy.to_string().parse(), Ok(policy));
        }
        assert_eq!(Policy::default().name(), "fifo_issue_date/v1");
        for name in ["", "fifo_issue_date", "fifo_issue_date/v2", "FIFO_ISSUE_DATE/v1", " fifo_issue_day/v1"] {
            let told = name.parse::<Policy>().unwrap_err().to_string();
            let known = "one of fifo_issue_date/v1, fifo_issue_day/v1, fifo_applied_month/v1";
            assert_eq!(told, format!("{name:?} is not a policy; {known}"));
        }
    }
}
