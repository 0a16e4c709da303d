//! What the jobs of one run hand each other.

use std::collections::{BTreeMap, BTreeSet};

use credit_ledger::BillingPeriod;
use datafusion::execution::SendableRecordBatchStream;
use object_store::path::Path;
use schemas::{Table, TableRow};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::known::under;
use crate::publishing::run_folder;
use crate::sums::FileSum;
use crate::tables::part;
use crate::{Lake, LakeError};

const MARKERS: &str = "superseded";
pub(crate) const WORK: &str = "work";

/// A job's record, with the sizes and checksums of what was handed over by then.
#[derive(Debug, Serialize)]
struct Done<'a, T> {
    #[serde(flatten)]
    record: &'a T,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    handed_over: BTreeMap<String, FileSum>,
}

/// The part of it that no job has to know.
#[derive(Debug, Deserialize)]
struct HandedOver {
    #[serde(default)]
    handed_over: BTreeMap<String, FileSum>,
}

/// Left for a run that was under way when another one was published.
#[derive(Debug, Serialize, Deserialize)]
struct Superseded {
    by: String,
}

fn marker_name(run_id: &str) -> String {
    format!("{run_id}.json")
}

fn marker(run_id: &str) -> Path {
    Path::from(MARKERS).join(marker_name(run_id))
}

pub(crate) fn folder(run_id: &str) -> Path {
    Path::from(WORK).join(run_id)
}

pub(crate) fn partition(folder: Path, period: Option<BillingPeriod>) -> Path {
    match period {
        Some(period) => folder.join(format!("{}={period}", Table::PARTITION)),
        None => folder,
    }
}

impl Lake {
    /// Writes a table, or one period of it, for the later jobs of the run.
    ///
    /// # Errors
    /// [`LakeError`] from the store.
    pub async fn hand_over<R: TableRow>(
        &self,
        run_id: &str,
        period: Option<BillingPeriod>,
        rows: &[R],
    ) -> Result<(), LakeError> {
        let folder = partition(folder(run_id).join(R::TABLE.name), period);
        self.store.write_rows(&folder, rows).await?;
        Ok(())
    }

    /// Writes a stream as one period of a table for the later jobs of the run; its rows must be in order.
    ///
    /// # Errors
    /// [`LakeError`] from the stream or the store.
    pub async fn hand_over_stream<R: TableRow>(
        &self,
        run_id: &str,
        period: BillingPeriod,
        rows: SendableRecordBatchStream,
    ) -> Result<u64, LakeError> {
        let folder = partition(folder(run_id).join(R::TABLE.name), Some(period));
        Ok(self.store.write_stream(&folder, &R::TABLE, rows).await?.rows)
    }

    /// One period of a table that an earlier job of the run wrote, in its order.
    ///
    /// # Errors
    /// [`LakeError`] from the store, [`LakeError::Damaged`] where it is not as it was written.
    pub async fn handed_over_stream<R: TableRow>(
        &self,
        run_id: &str,
        period: BillingPeriod,
    ) -> Result<SendableRecordBatchStream, LakeError> {
        self.store.read_stream(&self.checked::<R>(run_id, Some(period)).await?).await
    }

    /// What an earlier job of the run wrote, as rows; of a partitioned table one period.
    ///
    /// # Errors
    /// [`LakeError`] from the store, [`LakeError::Damaged`] where it is not as it was written.
    pub async fn handed_over<R: TableRow>(
        &self,
        run_id: &str,
        period: Option<BillingPeriod>,
    ) -> Result<Vec<R>, LakeError> {
        self.store.read_rows(&self.checked::<R>(run_id, period).await?).await
    }

    /// The folder of what was handed over, if it is as it was written.
    async fn checked<R: TableRow>(&self, run_id: &str, period: Option<BillingPeriod>) -> Result<Path, LakeError> {
        let of_table = partition(folder(run_id).join(R::TABLE.name), period);
        let file = part(&of_table);
        match self.store.condition(&folder(run_id), &file).await?.problem() {
            Some(problem) => Err(self.store.damaged(&file, problem)),
            None => Ok(of_table),
        }
    }

    /// Writes a job's record: it marks the job as done, so it is written last.
    ///
    /// # Errors
    /// [`LakeError`] from the store.
    pub async fn finish_job<T: Serialize + Sync>(&self, run_id: &str, job: &str, record: &T) -> Result<(), LakeError> {
        let done = Done { record, handed_over: self.store.sums_below(&folder(run_id)) };
        self.store.write_record(&folder(run_id).join(format!("{job}.json")), &done).await
    }

    /// The record of an earlier job of the run.
    ///
    /// # Errors
    /// [`LakeError::NotYet`] where that job has not been done for this run, [`LakeError::LostRace`] where it was in
    /// vain, because another run has been published since, [`LakeError::Damaged`] where the record cannot be read.
    pub async fn finished_job<T: DeserializeOwned>(&self, run_id: &str, job: &str) -> Result<T, LakeError> {
        let path = folder(run_id).join(format!("{job}.json"));
        if let Some(record) = self.store.read_record::<Value>(&path).await? {
            let unreadable = |error| self.store.damaged(&path, format!("cannot be read: {error}"));
            let HandedOver { handed_over } = serde_json::from_value(record.clone()).map_err(unreadable)?;
            for (file, sum) in handed_over {
                self.store.learn(under(&folder(run_id), &file), sum);
            }
            return serde_json::from_value(record).map_err(unreadable);
        }
        let superseded = match self.store.read_record::<Superseded>(&marker(run_id)).await {
            Err(LakeError::Damaged(_)) => Some(Superseded { by: "another run".to_owned() }),
            read => read?,
        };
        Err(match superseded {
            Some(Superseded { by }) => LakeError::LostRace(format!(
                "run {run_id} was overtaken: {by} was published meanwhile; start a new run"
            )),
            None if self.store.has_files(&run_folder(run_id)).await? => {
                LakeError::LostRace(format!("run {run_id} has been published already; start a new run"))
            }
            None => {
                LakeError::NotYet(format!("run {run_id}: {job} has not been done; give all jobs of a run one --run-id"))
            }
        })
    }

    /// Removes everything handed over by any run, now that `published` is published. Runs that are under way lose:
    /// a marker tells their next job.
    pub(crate) async fn drop_work(&self, published: &str) -> Result<(), LakeError> {
        for run_id in self.store.folders(&Path::from(WORK)).await? {
            if run_id != published {
                self.store.write_record(&marker(&run_id), &Superseded { by: published.to_owned() }).await?;
            }
        }
        self.store.remove_folder(&Path::from(WORK)).await
    }

    /// Removes the markers of runs that lost to one that is no longer kept.
    pub(crate) async fn drop_old_markers(&self, kept: &BTreeSet<&str>) -> Result<(), LakeError> {
        let mut current = BTreeSet::new();
        for name in self.store.files(&Path::from(MARKERS)).await? {
            let marker: Option<Superseded> = self.store.read_kept(&Path::from(MARKERS).join(name.as_str())).await;
            if marker.is_some_and(|marker| kept.contains(marker.by.as_str())) {
                current.insert(name);
            }
        }
        self.store.remove_all_but(&Path::from(MARKERS), |name| current.contains(name)).await
    }

    /// Removes what an earlier attempt of this run left, so that a retry starts clean.
    ///
    /// # Errors
    /// [`LakeError::Io`] where storage refuses.
    pub async fn clear_work(&self, run_id: &str) -> Result<(), LakeError> {
        let own_marker = marker_name(run_id);
        self.store.remove_all_but(&Path::from(MARKERS), |name| name != own_marker).await?;
        self.store.remove_folder(&folder(run_id)).await
    }
}
