//! `summaries/<run id>.json`: the summary for machines that pass it on, with texts for an e-mail. It stays small
//! whatever the number of credits and the length of their names: lists and entries are cut. Entries are made [`visible`],
//! so that no name makes a line of the e-mail.

use serde::Serialize;

use super::summary::{CreditAmount, Summary, TieOut};
use crate::foreign_text::visible;
use crate::money_text::cents;
use crate::run::App;

/// Entries of a list that are told.
const TOLD: usize = 20;

/// The most characters of an entry that are told.
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
    new_credits: Told,
    waiting: Waiting,
    expiring_soon: Told,
    expired: Told,
    allocation_issues: Told,
    tie_out: &'a [TieOut],
}

/// How many there are, and the first of them.
#[derive(Debug, Serialize)]
struct Told {
    count: usize,
    first: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Waiting {
    #[serde(flatten)]
    told: Told,
    /// Of the credit that waits longest; 0 where none does.
    oldest_days: i32,
}

impl Told {
    fn of<T>(all: &[T], text: impl Fn(&T) -> String) -> Self {
        Self { count: all.len(), first: all.iter().take(TOLD).map(|entry| visible(&text(entry), ENTRY)).collect() }
    }

    fn credits(all: &[CreditAmount]) -> Self {
        Self::of(all, |credit| {
            let end = credit.end_date.map(|end| format!(", ends {end}")).unwrap_or_default();
            format!("{}  {} {}{end}", credit.credit_key, cents(credit.amount), credit.currency)
        })
    }
}

impl Summary {
    /// The summary in brief.
    pub(crate) fn digest<'a>(&'a self, app: &'a App) -> Digest<'a> {
        let credits = &self.credits;
        Digest {
            run_id: &self.run_id,
            as_of: self.as_of.to_string(),
            database: &app.settings.lake.database,
            latest_period: self.latest_period.map(|period| period.to_string()),
            periods_read: self.export.periods_read.len(),
            lines_read: self.export.lines_read,
            new_credits: Told::credits(&credits.new),
            waiting: Waiting { told: Told::credits(&credits.waiting), oldest_days: credits.oldest_waiting_days },
            expiring_soon: Told::credits(&credits.expiring_soon),
            expired: Told::credits(&credits.expired),
            allocation_issues: Told::of(&self.allocation_issues, String::clone),
            tie_out: &self.tie_out,
        }
    }
}
