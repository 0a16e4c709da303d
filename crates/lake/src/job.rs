//! What every job of a run works with.

use chrono::{NaiveDate, NaiveDateTime, NaiveTime};
use credit_ledger::{BillingPeriod, ExportPeriods};
use datafusion::prelude::SessionContext;

use crate::location::is_s3;
use crate::logs::LogSnapshot;
use crate::run::Run;
use crate::settings::Settings;

/// What every job of a run works with: a job is a function of the tables of the run, the settings and the as-of date.
pub struct JobContext {
    /// The run's tables, and the lake.
    pub run: Run,
    /// The session for plans.
    pub session: SessionContext,
    /// The settings.
    pub settings: Settings,
    /// As-of date.
    pub as_of: NaiveDate,
    /// Start of the command, UTC: the one reading of the clock.
    pub now: NaiveDateTime,
}

impl JobContext {
    /// The month of the as-of date.
    #[must_use]
    pub fn last_period(&self) -> BillingPeriod {
        BillingPeriod::of(self.as_of)
    }

    /// Billing periods that are worked on at once: of a lake on S3 most wait for answers.
    #[must_use]
    pub fn periods_at_once(&self) -> usize {
        let per_thread = if is_s3(&self.settings.lake.location) { 4 } else { 1 };
        self.settings.threads() * per_thread
    }

    /// The billing periods that the export can hold.
    #[must_use]
    pub fn export_periods(&self) -> ExportPeriods {
        ExportPeriods::read_on(self.now.date(), self.as_of)
    }

    /// The latest instant at which anything in a log of this state can have been recorded: now, or the end of a later as-of
    /// date, or the log's newest commit. Somebody may record while a run is on its way, or on a machine whose clock is
    /// ahead.
    #[must_use]
    pub fn latest_instant(&self, log: LogSnapshot) -> NaiveDateTime {
        latest_instant(self.now, self.as_of, log)
    }
}

/// As [`JobContext::latest_instant`].
#[must_use]
pub fn latest_instant(now: NaiveDateTime, as_of: NaiveDate, log: LogSnapshot) -> NaiveDateTime {
    let end_of_day = as_of.and_time(NaiveTime::from_hms_micro_opt(23, 59, 59, 999_999).unwrap_or_default());
    now.max(end_of_day).max(log.committed_at.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revision_that_was_recorded_while_the_run_was_on_its_way_is_not_of_the_future() {
        let instant = |text: &str| text.parse::<NaiveDateTime>().unwrap();
        let (now, as_of) = (instant("2026-11-01T02:00:00"), "2026-10-31".parse().unwrap());
        let log = |committed_at| LogSnapshot { id: Some(1), parent: None, committed_at };
        let recorded = instant("2026-11-01T02:00:07.5");
        assert!(recorded > latest_instant(now, as_of, log(None)));
        assert!(recorded <= latest_instant(now, as_of, log(Some(instant("2026-11-01T02:00:07.6")))));
        assert_eq!(latest_instant(now, now.date(), log(None)), instant("2026-11-01T23:59:59.999999"));
    }
}
