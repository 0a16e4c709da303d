//! The statement of a credit, as data.

use chrono::{NaiveDate, NaiveDateTime};
use credit_ledger::{BillingPeriod, Money, Node, Text};
use schemas::tables::Credit;
use serde::Serialize;

use crate::unused::Unused;

/// All that a run and the logs say of one credit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CreditStatement {
    /// The run whose figures these are.
    pub run_id: String,
    /// Its as-of date.
    pub as_of: NaiveDate,
    /// Its FIFO policy.
    pub policy: String,
    /// Its row of `credits`.
    pub credit: Credit,
    /// Its lots by number; none where it waits.
    pub lots: Vec<StatementLot>,
    /// Every month from its issue, or the first line, to the as-of date, oldest first: both books.
    pub months: Vec<StatementMonth>,
    /// Who used it, the most first.
    pub used_by: Vec<UsedBy>,
    /// Of each month in which something was left or lost: why. By lot, oldest month first.
    pub unused: Vec<Unused>,
    /// What people recorded, oldest first.
    pub history: Vec<Revision>,
    /// What somebody should look at.
    pub findings: Vec<Finding>,
}

/// A lot and how it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatementLot {
    /// Its number.
    pub lot: i32,
    /// Whose it is.
    pub node: Node,
    /// Whom to ask, by `hierarchy.csv`: of the node, or the nearest above.
    pub owner_email: Option<Text>,
    /// Its amount.
    pub amount: Money,
    /// Drawn to date.
    pub used: Money,
    /// Lost to date.
    pub expired: Money,
    /// Left.
    pub remaining: Money,
    /// Its last day; none: open-ended.
    pub end_date: Option<NaiveDate>,
    /// As recorded.
    pub reference: Option<Text>,
    /// From 1: its place in FIFO order among all lots of its business unit and currency.
    pub fifo_position: usize,
    /// How many lots those are.
    pub fifo_lots: usize,
}

/// A month in both books.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatementMonth {
    /// The month.
    pub billing_period: BillingPeriod,
    /// Left at the end of the month before.
    pub opening: Money,
    /// The amount, in the issue period.
    pub issued: Money,
    /// Drawn: the internal book.
    pub used: Money,
    /// Lost.
    pub expired: Money,
    /// Left at its end.
    pub remaining: Money,
    /// Taken off the invoice: the AWS book.
    pub aws_applied: Money,
}

/// What spend used of a credit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UsedBy {
    /// Node of the spend.
    pub node: Node,
    /// Usage account.
    pub account_id: Text,
    /// Service.
    pub service: Option<Text>,
    /// How much, to date.
    pub used: Money,
    /// First day of it.
    pub first_day: NaiveDate,
    /// Last day of it.
    pub last_day: NaiveDate,
}

/// One revision of the allocations log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Revision {
    /// Its id.
    pub allocation_id: Text,
    /// `allocate` or `revoke`.
    pub action: Text,
    /// Who.
    pub recorded_by: Option<Text>,
    /// When, UTC.
    pub recorded_at: NaiveDateTime,
    /// Free text.
    pub note: Option<Text>,
    /// What was recorded; none of a revocation.
    pub lots: Vec<RecordedLot>,
    /// True of the newest one: it counts, now or from the next run.
    pub is_newest: bool,
}

/// One lot as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecordedLot {
    /// Its number.
    pub lot: i32,
    /// Whose; none where the row names none.
    pub node: Option<Node>,
    /// How much; none where it continues another lot.
    pub amount: Option<Money>,
    /// Its last day.
    pub end_date: Option<NaiveDate>,
    /// Contract, ticket or programme.
    pub reference: Option<Text>,
    /// `YYYY-MM` from which on it holds what is left of the lot that it continues.
    pub from_period: Option<Text>,
    /// That lot.
    pub continues_lot: Option<i32>,
}

/// What somebody should look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "finding", rename_all = "snake_case")]
pub enum Finding {
    /// It waits for allocation.
    Waiting {
        /// `never_allocated`, `revoked` or `allocation_invalid`.
        reason: Text,
        /// Since its first line.
        days: i32,
        /// Taken off the invoice to date.
        aws_applied: Money,
    },
    /// What was recorded last cannot be used.
    AllocationIssue {
        /// The revision.
        allocation_id: Text,
        /// The lot.
        lot: i32,
        /// What is wrong.
        problem: Text,
    },
    /// A revision is newer than these figures: it counts from the next run.
    RecordedLater {
        /// When, UTC.
        recorded_at: NaiveDateTime,
        /// Who.
        recorded_by: Option<Text>,
    },
    /// A lot with something left ends soon.
    ExpiresSoon {
        /// The lot.
        lot: i32,
        /// Its last day.
        end_date: NaiveDate,
        /// What is left.
        left: Money,
    },
    /// A lot ended with something left.
    Lapsed {
        /// The lot.
        lot: i32,
        /// Its last day.
        end_date: NaiveDate,
        /// What was lost.
        lost: Money,
    },
    /// AWS took more off the invoice than was allocated: the amount is too low.
    AppliedMoreThanAllocated {
        /// By AWS.
        aws_applied: Money,
        /// By people.
        allocated_amount: Money,
    },
    /// AWS still applied it after the last end that is recorded: that end is too early.
    AppliedAfterEnd {
        /// Day of its latest line.
        last_cur_date: NaiveDate,
        /// The last end of its lots.
        end_date: NaiveDate,
    },
}
