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

    /// The first period with a balance of the lot: before, it counts for nothing.
    #[must_use]
    pub fn first_balance(&self) -> BillingPeriod {
        self.continues.map_or_else(|| self.issue_period(), |continues| continues.from_period)
    }

    /// Never before its first balance: an issue date that was set by hand may lie after the first line.
    fn window_begin(&self, policy: Policy) -> NaiveDate {
        policy.window_begin(self.issue_date, self.first_cur_date).max(self.first_balance().first_day())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn lot(issued: &str, first_line: &str, ends: Option<&str>) -> Lot {
        Lot {
            credit_key: "id:1".into(),
            lot: 1,
            promotion_code: "Spring".into(),
            account_id: "410000000001".into(),
            node: Node::from_levels([Some("Retail"), None, None, None]).unwrap(),
            currency: "USD".into(),
            amount: "100".parse().unwrap(),
            issue_date: date(issued),
            first_cur_date: date(first_line),
            end_date: ends.map(date),
            continues: None,
        }
    }

    /// `05 to 31`: the days of a month on which a lot may draw.
    fn days(lot: &Lot, policy: Policy, period: &str) -> String {
        let window = lot.window_in(policy, period.parse().unwrap());
        window.map_or_else(
            || "none".to_owned(),
            |(first, last)| format!("{} to {}", first.format("%d"), last.format("%d")),
        )
    }

    #[test]
    fn a_credit_first_seen_on_the_first_was_issued_the_month_before_and_each_policy_begins_on_its_day() {
        let lot = lot("2026-01-31", "2026-02-01", Some("2026-03-15"));
        assert_eq!(lot.issue_period().to_string(), "2026-01");
        let of =
            |policy| ["2025-12", "2026-01", "2026-02", "2026-03", "2026-04"].map(|period| days(&lot, policy, period));
        assert_eq!(of(Policy::IssueDate), ["none", "01 to 31", "01 to 28", "01 to 15", "none"]);
        assert_eq!(of(Policy::IssueDay), ["none", "31 to 31", "01 to 28", "01 to 15", "none"]);
        assert_eq!(of(Policy::AppliedMonth), ["none", "none", "01 to 28", "01 to 15", "none"]);
    }

    #[test]
    fn a_window_has_both_its_ends_and_one_without_an_end_goes_on_for_ever() {
        let one_day = lot("2026-01-20", "2026-01-21", Some("2026-01-20"));
        assert_eq!(days(&one_day, Policy::IssueDay, "2026-01"), "20 to 20");
        assert_eq!(days(&one_day, Policy::IssueDate, "2026-01"), "01 to 20");
        assert_eq!(days(&one_day, Policy::AppliedMonth, "2026-02"), "none");
        let open = lot("2026-01-20", "2026-01-21", None);
        assert_eq!(days(&open, Policy::IssueDate, "2099-12"), "01 to 31");
        let lapsed = lot("2026-01-20", "2026-02-01", Some("2026-01-31"));
        assert_eq!(days(&lapsed, Policy::AppliedMonth, "2026-01"), "none", "it ended before AWS applied it");
    }

    #[test]
    fn a_lot_that_was_moved_draws_and_has_balances_from_that_month_on_with_the_dates_of_its_credit() {
        let from_period: BillingPeriod = "2026-03".parse().unwrap();
        let moved = |from_period| {
            let continues = Some(Continues { lot: 1, from_period });
            Lot { continues, lot: 2, ..lot("2026-01-31", "2026-02-01", Some("2026-03-15")) }
        };
        let of = |period: &str| Policy::ALL.map(|policy| days(&moved(from_period), policy, period));
        assert_eq!(of("2026-02"), ["none"; 3]);
        assert_eq!(of("2026-03"), ["01 to 15"; 3]);
        assert_eq!(
            (moved(from_period).issue_period().to_string(), moved(from_period).first_balance()),
            ("2026-01".into(), from_period)
        );
        let at_once = moved("2026-01".parse().unwrap());
        assert_eq!(days(&at_once, Policy::IssueDay, "2026-01"), "31 to 31", "not before the credit was issued");
        assert_eq!(days(&moved("2026-04".parse().unwrap()), Policy::IssueDate, "2026-04"), "none", "after its end");
    }

    #[test]
    fn a_credit_whose_issue_date_was_set_to_a_later_month_draws_from_then_on_under_every_policy() {
        let lot = lot("2026-03-20", "2026-01-10", None);
        let of = |period: &str| Policy::ALL.map(|policy| days(&lot, policy, period));
        assert_eq!(of("2026-02"), ["none"; 3], "it has no balance yet");
        assert_eq!(of("2026-03"), ["01 to 31", "20 to 31", "01 to 31"]);
        assert_eq!(lot.first_balance().to_string(), "2026-03");
    }

    #[test]
    fn credits_come_by_issue_date_then_end_then_name_then_account_then_key() {
        let named = |issued: &str, ends: Option<&str>, code: &str, account: &str, key: &str| Lot {
            promotion_code: code.into(),
            account_id: account.into(),
            credit_key: key.into(),
            ..lot(issued, issued, ends)
        };
        let ordered = [
            named("2026-01-01", None, "z", "9", "id:9"),
            named("2026-01-02", Some("2026-02-01"), "z", "9", "id:9"),
            named("2026-01-02", Some("2026-02-02"), "B", "9", "id:9"),
            named("2026-01-02", Some("2026-02-02"), "a", "1", "id:9"),
            named("2026-01-02", Some("2026-02-02"), "a", "2", "id:10"),
            named("2026-01-02", Some("2026-02-02"), "a", "2", "id:9"),
            named("2026-01-02", Some("9999-12-31"), "a", "1", "id:1"),
            named("2026-01-02", None, "a", "1", "id:1"),
        ];
        for (index, pair) in ordered.windows(2).enumerate() {
            assert!(pair[0].fifo_key() < pair[1].fifo_key(), "{index}: {pair:?}");
        }
    }
}
