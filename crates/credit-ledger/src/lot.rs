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
    /// Allocated amount, above zero; zero for a lot that continues another.
    pub amount: Money,
    /// When AWS issued the credit.
    pub issue_date: NaiveDate,
    /// The earliest usage date among the credit's lines.
    pub first_cur_date: NaiveDate,
    /// Last day on which it may draw; none: open-ended.
    pub end_date: Option<NaiveDate>,
    /// The lot it continues elsewhere; none: it was placed where it is.
    pub continues: Option<Continues>,
}

/// What is left of a lot at the end of a period moves to another node: it goes on as a lot of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Continues {
    /// The number of the lot of the same credit that ends here.
    pub lot: i32,
    /// The first period of the new one.
    pub from_period: BillingPeriod,
}

impl Lot {
    /// The period the credit counts as issued in.
    #[must_use]
    pub fn issue_period(&self) -> BillingPeriod {
        BillingPeriod::of(self.issue_date)
    }

    /// The first period with a balance of the lot.
    #[must_use]
    pub fn first_balance(&self) -> BillingPeriod {
        self.continues.map_or_else(|| self.issue_period(), |continues| continues.from_period)
    }

    /// The first period in which the lot counts for anything.
    #[must_use]
    pub fn first_period(&self, policy: Policy) -> BillingPeriod {
        self.first_balance().min(BillingPeriod::of(self.window_begin(policy)))
    }

    fn window_begin(&self, policy: Policy) -> NaiveDate {
        let begin = policy.window_begin(self.issue_date, self.first_cur_date);
        self.continues.map_or(begin, |continues| begin.max(continues.from_period.first_day()))
    }

    /// The days of `period` on which the lot may draw, both ends included; `None` where the window misses it.
    #[must_use]
    pub fn window_in(&self, policy: Policy, period: BillingPeriod) -> Option<(NaiveDate, NaiveDate)> {
        let first = self.window_begin(policy).max(period.first_day());
        let last = self.end_date.unwrap_or(NaiveDate::MAX).min(period.last_day());
        (first <= last).then_some((first, last))
    }

    /// The order of consumption between credits: what is issued first draws first. Between the lots of one credit that
    /// end together, node and number decide ([`Ledger::lots`](crate::Ledger::lots)).
    #[must_use]
    pub fn fifo_key(&self) -> impl Ord + '_ {
        let end = (self.end_date.is_none(), self.end_date);
        (self.issue_date, end, &self.promotion_code, &self.account_id, &self.credit_key)
    }
}
