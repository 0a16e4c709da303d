//! `summaries/<run id>.json`: the summary for machines that pass it on, with texts for an e-mail. It stays small
//! whatever the number of credits and the length of their names: lists and entries are cut. Entries are made [`visible`],
//! so that no name makes a line of the e-mail.

use std::borrow::Borrow;

use schemas::records::InboxFile;
use serde::Serialize;
use write_net_cost::changes::{Changes, MonthChange};

use crate::changes_text::{credit_line, unit_line};
use crate::report::{CreditAmount, Report};
use application::TieOut;
use application::foreign_text::visible;
use application::money_text::cents;

/// Entries of a list that are kept.
const ENTRIES: usize = 20;

/// The most characters of an entry that are kept.
const ENTRY: usize = 200;

/// What a run found, in brief.
#[derive(Debug, Serialize)]
pub(crate) struct Digest<'a> {
    run_id: &'a str,
    as_of: String,
    database: &'a str,
    latest_period: Option<String>,
    periods_read: usize,
    lines_read: u64,
    new_credits: TruncatedList,
    waiting: Waiting,
    expiring_soon: TruncatedList,
    expired: TruncatedList,
    allocation_issues: TruncatedList,
    inbox: InboxInBrief,
    changes: Option<ChangesInBrief<'a>>,
    /// That the export ends long before the as-of date.
    #[serde(skip_serializing_if = "Option::is_none")]
    stale: Option<String>,
    tie_out: &'a [TieOut],
}

/// How many there are, and the first of them.
#[derive(Debug, Serialize)]
struct TruncatedList {
    count: usize,
    first: Vec<String>,
}

/// Files of the inbox that the run took, and those of which nothing is recorded.
#[derive(Debug, Serialize)]
struct InboxInBrief {
    taken: TruncatedList,
    refused: TruncatedList,
}

/// What changed since the published run.
#[derive(Debug, Serialize)]
struct ChangesInBrief<'a> {
    since: &'a str,
    past_months: TruncatedList,
    current_months: TruncatedList,
    credits: TruncatedList,
}

#[derive(Debug, Serialize)]
struct Waiting {
    #[serde(flatten)]
    list: TruncatedList,
    /// Of the credit that waits longest; 0 where none does.
    oldest_days: i32,
}

impl TruncatedList {
    fn of<T>(all: &[T], text: impl Fn(&T) -> String) -> Self {
        Self { count: all.len(), first: all.iter().take(ENTRIES).map(|entry| visible(&text(entry), ENTRY)).collect() }
    }

    /// Without double blanks: in an e-mail they stand between a credit and its amount.
    fn files(all: &[InboxFile]) -> Self {
        let words = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
        Self::of(all, |InboxFile { file, said }| words(format!("{file}: {said}")))
    }

    fn credits<C: Borrow<CreditAmount>>(all: &[C]) -> Self {
        Self::of(all, |credit| {
            let credit = credit.borrow();
            let end = credit.end_date.map(|end| format!(", ends {end}")).unwrap_or_default();
            let provisional = if credit.provisional { " (provisional)" } else { "" };
            format!("{}  {} {}{end}{provisional}", credit.credit_key, cents(credit.amount), credit.currency)
        })
    }
}

/// Of more than are kept, those that end next.
fn soonest_first(credits: &[CreditAmount]) -> Vec<&CreditAmount> {
    let mut credits: Vec<&CreditAmount> = credits.iter().collect();
    credits.sort_by_key(|credit| credit.end_date);
    credits
}

impl<'a> ChangesInBrief<'a> {
    fn of(changes: &'a Changes) -> Self {
        let units = |months: &'a [MonthChange]| {
            let units = months.iter().flat_map(|month| month.business_units.iter().map(move |unit| (month, unit)));
            TruncatedList::of(&units.collect::<Vec<_>>(), |(month, unit)| unit_line(month, unit))
        };
        Self {
            since: &changes.from.run_id,
            past_months: units(&changes.past_months),
            current_months: units(&changes.current_months),
            credits: TruncatedList::of(&changes.credits, credit_line),
        }
    }
}

impl<'a> Digest<'a> {
    /// The report in brief; `database` is where the tables are.
    pub(crate) fn of(report: &'a Report, database: &'a str) -> Self {
        let credits = &report.credits;
        Self {
            run_id: &report.run_id,
            as_of: report.as_of.to_string(),
            database,
            latest_period: report.latest_period.map(|period| period.to_string()),
            periods_read: report.export.periods_read.len(),
            lines_read: report.export.lines_read,
            new_credits: TruncatedList::credits(&credits.new),
            waiting: Waiting {
                list: TruncatedList::credits(&credits.waiting),
                oldest_days: credits.oldest_waiting_days,
            },
            expiring_soon: TruncatedList::credits(&soonest_first(&credits.expiring_soon)),
            expired: TruncatedList::credits(&credits.expired),
            allocation_issues: TruncatedList::of(&report.allocation_issues, String::clone),
            inbox: InboxInBrief {
                taken: TruncatedList::files(&report.inbox.taken),
                refused: TruncatedList::files(&report.inbox.refused),
            },
            changes: report.changes.as_ref().map(ChangesInBrief::of),
            stale: report.freshness.stale(report.as_of),
            tie_out: &report.tie_out,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_more_credits_than_are_kept_those_stand_that_end_next() {
        let end = |day: u32| chrono::NaiveDate::from_ymd_opt(2026, 12, day);
        let credit = |day: u32| CreditAmount {
            credit_key: format!("id:{:02}", 31 - day).into(),
            currency: "USD".into(),
            amount: "1".parse().unwrap(),
            end_date: end(day),
            provisional: false,
        };
        let credits: Vec<CreditAmount> = (1..=30).rev().map(credit).collect();
        let list = TruncatedList::credits(&soonest_first(&credits));
        assert_eq!((list.count, list.first.len()), (30, ENTRIES));
        assert_eq!(list.first[0], "id:30  1.00 USD, ends 2026-12-01");
        assert!(list.first[ENTRIES - 1].ends_with("ends 2026-12-20"), "{:?}", list.first);
    }
}
