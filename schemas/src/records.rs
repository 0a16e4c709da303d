//! What jobs find beside their tables, for the later jobs of the run and for its report.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use credit_ledger::BillingPeriod;
use serde::{Deserialize, Serialize};

use crate::PeriodNotes;

/// What `detect-credits` found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detected {
    /// As-of date of the run.
    pub as_of: NaiveDate,
    /// Formats of the export's files.
    pub format: String,
    /// Billing periods up to the as-of date, oldest first.
    pub periods: Vec<DetectedPeriod>,
    /// Billing periods that the export has after the as-of date.
    #[serde(default)]
    pub later_periods: Vec<BillingPeriod>,
    /// Files under the source location that were not read.
    pub left_out: Vec<LeftOut>,
    /// Requests and bytes, of an export on S3.
    pub fetched: Option<Fetched>,
    /// Files of the lake's inbox.
    #[serde(default)]
    pub inbox: InboxFiles,
}

/// One billing period of the export in a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DetectedPeriod {
    /// The period.
    pub period: BillingPeriod,
    /// Fingerprint of its generation.
    pub fingerprint: String,
    /// Lines.
    pub lines: u64,
    /// Where its lines come from.
    pub source: PeriodSource,
    /// Lines whose cost was blank; they count as zero.
    pub blank_costs: u64,
    /// Lines by line type that is not known; they count as charges.
    pub unknown_line_types: BTreeMap<String, u64>,
    /// What people should know of it.
    pub notes: PeriodNotes,
}

/// Where a period's lines come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PeriodSource {
    /// Read in this run.
    Read,
    /// Unchanged since an earlier run.
    Unchanged,
    /// No longer in the export: as last read.
    Gone,
}

/// Files that are not read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LeftOut {
    /// The file, or a folder with a `/` behind it, below the source location.
    pub path: String,
    /// How many files.
    pub files: u64,
    /// Why.
    pub reason: String,
}

/// What became of the files in the lake's inbox.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboxFiles {
    /// Recorded.
    pub taken: Vec<InboxFile>,
    /// Of these nothing is recorded.
    pub refused: Vec<InboxFile>,
}

/// A file of the inbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboxFile {
    /// Folder and name.
    pub file: String,
    /// What was recorded, or why nothing.
    pub said: String,
}

/// What went over the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fetched {
    /// Requests.
    pub requests: u64,
    /// Bytes.
    pub bytes: u64,
}

/// What `join-allocations` found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// First month of the run's tables: of a line, an issue date or a budget.
    pub first_period: BillingPeriod,
}

/// What `apply-fifo` found: all of it is in its tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {}

/// What `write-net-cost` found: all of it is in its tables and in the run's manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Staged {}

impl Detected {
    /// The job that finds it.
    pub const JOB: &'static str = "detect-credits";

    /// True if the export has lines of a period.
    #[must_use]
    pub fn has(&self, period: BillingPeriod) -> bool {
        self.periods.iter().any(|detected| detected.period == period)
    }

    /// The last month of the run's tables.
    #[must_use]
    pub fn last_period(&self) -> BillingPeriod {
        BillingPeriod::of(self.as_of)
    }
}
