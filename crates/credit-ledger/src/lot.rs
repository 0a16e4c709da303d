//! What draws.

use chrono::NaiveDate;
use serde::Serialize;

use crate::{BillingPeriod, Money, Node, Policy, Text};

/// One placed part of an allocated credit: the unit that draws.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lot {
    /// The credit.
    pub credit_key: Text,
    /// Its number within the allocation, from 1 as recorded.
    pub lot: i32,
    /// The credit's name.
    pub promotion_code: Text,
    /// The credit's account.
    pub account_id: Text,
    /// Where it sits: it serves spend of this node and below.
    pub node: Node,
    /// ISO 4217 code.
    pub currency: Text,
    /// Allocated amount, above zero.
    pub amount: Money,
    /// When AWS issued the credit.
    pub issue_date: NaiveDate,
    /// The earliest usage date among the credit's lines.
    pub first_cur_date: NaiveDate,
    /// Last day on which it may draw; none: open-ended.
    pub end_date: Option<NaiveDate>,
}

impl Lot {
    /// The period the credit counts as issued in.
    #[must_use]
    pub fn issue_period(&self) -> BillingPeriod {
        BillingPeriod::of(self.issue_date)
    }

    /// The first period in which the lot counts for anything.
    #[must_use]
    pub fn first_period(&self, policy: Policy) -> BillingPeriod {
        self.issue_period().min(BillingPeriod::of(policy.window_begin(self.issue_date, self.first_cur_date)))
    }

    /// The days of `period` on which the lot may draw, both ends included; `None` where the window misses it.
    #[must_use]
    pub fn window_in(&self, policy: Policy, period: BillingPeriod) -> Option<(NaiveDate, NaiveDate)> {
        let first = policy.window_begin(self.issue_date, self.first_cur_date).max(period.first_day());
        let last = self.end_date.unwrap_or(NaiveDate::MAX).min(period.last_day());
        (first <= last).then_some((first, last))
    }

    /// The total order of consumption: what is issued first draws first.
    #[must_use]
    pub fn fifo_key(&self) -> impl Ord + '_ {
        let end = (self.end_date.is_none(), self.end_date);
        (self.issue_date, end, &self.promotion_code, &self.account_id, &self.credit_key, &self.node, self.lot)
    }
}
