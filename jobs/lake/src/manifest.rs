//! `runs/<run id>/manifest.json`: what a run's tables are, file by file.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use credit_ledger::BillingPeriod;
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use crate::known::under;
use crate::publishing::{StagedRun, run_folder};
use crate::sums::{FileSum, wrong_size};
use crate::{Lake, LakeError};

/// The files of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// By path below the run's folder.
    pub(crate) files: BTreeMap<String, FileSum>,
    /// What the run is of; none of one that an older version of the program staged.
    #[serde(default)]
    pub(crate) extent: Option<RunExtent>,
}

/// What a run is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunExtent {
    /// As-of date.
    pub as_of: NaiveDate,
    /// The export's periods in it.
    pub periods: BTreeSet<BillingPeriod>,
}

const MANIFEST: &str = "manifest.json";

fn path(run_id: &str) -> Path {
    run_folder(run_id).join(MANIFEST)
}

impl Lake {
    /// Writes down what was staged; nothing is staged any more after it.
    ///
    /// # Errors
    /// [`LakeError`] from the store.
    pub async fn finish_staging(&self, run_id: &str, staged: &StagedRun) -> Result<(), LakeError> {
        let files = self.store.sums_below(&run_folder(run_id));
        let manifest = Manifest { files, extent: Some(staged.extent()) };
        self.store.write_record(&path(run_id), &manifest).await
    }

    /// The manifest of a run; none of one that an older version of the program staged.
    pub(crate) async fn manifest(&self, run_id: &str) -> Result<Option<Manifest>, LakeError> {
        self.store.read_record(&path(run_id)).await
    }

    /// Refuses a staged run that is not whole.
    pub(crate) async fn check_staged(&self, run_id: &str) -> Result<(), LakeError> {
        let manifest = self.manifest(run_id).await?;
        let manifest = manifest.ok_or_else(|| self.store.damaged(&path(run_id), "is missing"))?;
        self.check_sizes(run_id, &manifest).await?;
        if self.store.folder().is_none() {
            return Ok(());
        }
        // What other processes staged is read once more before everybody reads it.
        let folder = run_folder(run_id);
        let files: Vec<Path> = manifest.files.keys().map(|file| under(&folder, file)).collect();
        self.learn(run_id, manifest);
        for (path, condition) in self.store.conditions(&folder, files).await? {
            if let Some(problem) = condition.problem() {
                return Err(self.store.damaged(&path, problem));
            }
        }
        Ok(())
    }

    /// Refuses a run of which a file is missing, or is not as large as its manifest says.
    pub(crate) async fn check_sizes(&self, run_id: &str, manifest: &Manifest) -> Result<(), LakeError> {
        let sizes = self.store.sizes(&run_folder(run_id)).await?;
        for (file, sum) in &manifest.files {
            if let Some(problem) = wrong_size(sizes.get(file).copied(), sum) {
                return Err(self.store.damaged(&under(&run_folder(run_id), file), problem));
            }
        }
        Ok(())
    }
}
