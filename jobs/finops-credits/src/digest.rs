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
    use crate::testing::{amount, quiet_report};

    #[test]
    fn digest_is_small_whatever_was_found_and_no_name_makes_a_line_of_an_e_mail() {
        let mut report = quiet_report();
        let evil = format!("code:{}\nSubject: pay{}\u{202e}@1", "x".repeat(300), "y".repeat(300));
        report.credits.new = (0..1_000).map(|_| amount(&evil, "1", None)).collect();
        report.credits.waiting = vec![amount("id:1", "1234.565", None)];
        report.credits.oldest_waiting_days = 78;
        report.allocation_issues = vec!["a-1 lot 2: node A\r\nB is not in hierarchy.csv".to_owned()];
        let digest = serde_json::to_value(Digest::of(&report, "finops_credits")).unwrap();
        assert_eq!(
            (&digest["new_credits"]["count"], digest["new_credits"]["first"].as_array().unwrap().len()),
            (&1_000.into(), ENTRIES)
        );
        let entry = digest["new_credits"]["first"][0].as_str().unwrap();
        assert!(
            entry.chars().count() <= ENTRY + 20 && entry.contains('…') && entry.ends_with("@1  1.00 USD"),
            "{entry}"
        );
        assert!(!entry.contains(['\n', '\u{202e}']), "{entry:?}");
        assert_eq!(
            digest["waiting"],
            serde_json::json!({ "count": 1, "first": ["id:1  1,234.57 USD"], "oldest_days": 78 })
        );
        assert_eq!(digest["allocation_issues"]["first"][0], "a-1 lot 2: node A\\r\\nB is not in hierarchy.csv");
    }

    /// `infra/` and the state machine build on the names.
    #[test]
    fn digest_of_a_quiet_night_has_every_name_that_mails_are_made_of() {
        let report = quiet_report();
        let expected = serde_json::json!({
            "run_id": "night-42",
            "as_of": "2026-10-31",
            "database": "finops_credits",
            "latest_period": "2026-10",
            "periods_read": 1,
            "lines_read": 7012,
            "new_credits": { "count": 0, "first": [] },
            "waiting": { "count": 0, "first": [], "oldest_days": 0 },
            "expiring_soon": { "count": 0, "first": [] },
            "expired": { "count": 0, "first": [] },
            "allocation_issues": { "count": 0, "first": [] },
            "inbox": { "taken": { "count": 0, "first": [] }, "refused": { "count": 0, "first": [] } },
            "changes": null,
            "tie_out": [{
                "currency": "USD",
                "export_total": "1234567.8950000000",
                "invoice_net": "1234567.8950000000",
                "difference": "0.0000000000",
                "net_cost": "1234000.0000000000",
                "clearing": "567.8950000000"
            }]
        });
        assert_eq!(serde_json::to_value(Digest::of(&report, "finops_credits")).unwrap(), expected);
    }

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
