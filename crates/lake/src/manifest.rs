//! `runs/<run id>/manifest.json`: what a run is of, and what each of its files is made from.

use std::collections::BTreeSet;

use chrono::{NaiveDate, NaiveDateTime};
use credit_ledger::BillingPeriod;
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use crate::error::LakeError;
use crate::extent::RunExtent;
use crate::known::FileRecords;
use crate::lake::Lake;
use crate::layout::{self, under};
use crate::parts::PeriodRange;

/// What a run wrote, or linked from the run before it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunFiles {
    /// Published tables: files below `runs/<run id>`.
    #[serde(default)]
    pub(crate) files: FileRecords,
    /// Intermediate tables: files below `work/<run id>`.
    #[serde(default)]
    pub(crate) intermediate: FileRecords,
}

/// A staged or published run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    #[serde(flatten)]
    pub(crate) written: RunFiles,
    /// None of a run that an older version of the program staged.
    #[serde(default)]
    pub(crate) run: Option<StagedRun>,
}

/// What a staged run is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagedRun {
    /// The run that was published when this one was staged: it may only follow that one.
    pub follows: Option<String>,
    /// As-of date.
    pub as_of: NaiveDate,
    /// FIFO policy.
    pub policy: String,
    /// Start of the run, UTC.
    pub started_at: NaiveDateTime,
    /// First and last month of the tables.
    pub months: PeriodRange,
    /// The export's periods in the run.
    pub periods: Vec<StagedPeriod>,
}

/// One period of the export in a staged run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagedPeriod {
    /// The period.
    pub billing_period: BillingPeriod,
    /// Fingerprint of its generation.
    pub fingerprint: String,
    /// Lines.
    pub lines: u64,
    /// The payers of its lines; an older version kept none.
    #[serde(default)]
    pub payers: BTreeSet<String>,
    /// Exclusions that could not be applied.
    #[serde(default)]
    pub exclusions_not_applied: BTreeSet<String>,
}

impl StagedRun {
    /// The date and the periods.
    #[must_use]
    pub fn extent(&self) -> RunExtent {
        let periods = self.periods.iter().map(|period| (period.billing_period, period.payers.clone())).collect();
        RunExtent { as_of: self.as_of, periods }
    }
}

impl Lake {
    /// What this process knows of a run's files.
    pub(crate) fn known_files(&self, run_id: &str) -> RunFiles {
        RunFiles {
            files: self.store.known.records_below(&layout::run(run_id)),
            intermediate: self.store.known.records_below(&layout::work(run_id)),
        }
    }

    /// Learns of a run's files from a record.
    pub(crate) fn learn_files(&self, run_id: &str, written: RunFiles) {
        let folders = [(layout::run(run_id), written.files), (layout::work(run_id), written.intermediate)];
        for (folder, files) in folders {
            for (file, record) in files {
                self.store.known.learn(under(&folder, &file), record);
            }
        }
    }

    pub(crate) async fn write_manifest(&self, run_id: &str, manifest: &Manifest) -> Result<(), LakeError> {
        self.store.write_record(&layout::manifest(run_id), manifest).await
    }

    /// The manifest of a run; none of one that an older version of the program staged.
    pub(crate) async fn manifest(&self, run_id: &str) -> Result<Option<Manifest>, LakeError> {
        self.store.read_record(&layout::manifest(run_id)).await
    }

    /// The manifest of a run that was staged.
    pub(crate) async fn staged_manifest(&self, run_id: &str) -> Result<(RunFiles, StagedRun), LakeError> {
        match self.manifest(run_id).await? {
            Some(Manifest { written, run: Some(run) }) => Ok((written, run)),
            _ => Err(self.store.damaged(&layout::manifest(run_id), "is missing")),
        }
    }

    /// Refuses a run of which a published file is missing, or is not as large as its manifest says.
    pub(crate) async fn refuse_incomplete(&self, run_id: &str, written: &RunFiles) -> Result<(), LakeError> {
        let files = written.files.iter().map(|(file, record)| (file, record.sum));
        self.store.refuse_wrong_sizes(&layout::run(run_id), files).await
    }

    /// Paths of a run's published files.
    pub(crate) fn published_files(run_id: &str, written: &RunFiles) -> Vec<Path> {
        written.files.keys().map(|file| under(&layout::run(run_id), file)).collect()
    }
}
