//! What the jobs of one run hand each other.

use credit_ledger::BillingPeriod;
use datafusion::prelude::{DataFrame, SessionContext};
use object_store::path::Path;
use schemas::{Table, TableRow};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Lake, LakeError};

pub(crate) fn folder(run_id: &str) -> Path {
    Path::from(format!("work/{run_id}"))
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
    pub async fn hand_over<R: TableRow + Serialize>(
        &self,
        run_id: &str,
        period: Option<BillingPeriod>,
        rows: &[R],
    ) -> Result<(), LakeError> {
        let folder = partition(folder(run_id).join(R::TABLE.name), period);
        self.store.write_batch(&folder, schemas::to_batch(rows)?).await?;
        Ok(())
    }

    /// Writes a plan's result as one period of a table for the later jobs of the run.
    ///
    /// # Errors
    /// [`LakeError`] from the plan or the store.
    pub async fn hand_over_frame<R: TableRow>(
        &self,
        run_id: &str,
        period: BillingPeriod,
        frame: DataFrame,
    ) -> Result<u64, LakeError> {
        let folder = partition(folder(run_id).join(R::TABLE.name), Some(period));
        self.store.write_frame(&folder, &R::TABLE, frame).await
    }

    /// What an earlier job of the run wrote, as a plan. `period` picks one period of a partitioned table.
    ///
    /// # Errors
    /// [`LakeError`] from the engine.
    pub async fn handed_over_frame<R: TableRow>(
        &self,
        context: &SessionContext,
        run_id: &str,
        period: Option<BillingPeriod>,
    ) -> Result<DataFrame, LakeError> {
        let table = R::TABLE;
        let folder = partition(folder(run_id).join(table.name), period);
        self.store.frame(context, &folder, &table, table.partitioned && period.is_none()).await
    }

    /// What an earlier job of the run wrote, as rows; of a partitioned table one period.
    ///
    /// # Errors
    /// [`LakeError`] from the store.
    pub async fn handed_over<R: TableRow + DeserializeOwned>(
        &self,
        run_id: &str,
        period: Option<BillingPeriod>,
    ) -> Result<Vec<R>, LakeError> {
        self.store.read_rows(&partition(folder(run_id).join(R::TABLE.name), period)).await
    }

    /// Writes a job's record: it marks the job as done, so it is written last.
    ///
    /// # Errors
    /// [`LakeError`] from the store.
    pub async fn finish_job<T: Serialize + Sync>(&self, run_id: &str, job: &str, record: &T) -> Result<(), LakeError> {
        self.store.write_record(&folder(run_id).join(format!("{job}.json")), record).await
    }

    /// The record of an earlier job of the run.
    ///
    /// # Errors
    /// [`LakeError::NotYet`] where that job has not been done for this run.
    pub async fn finished_job<T: DeserializeOwned>(&self, run_id: &str, job: &str) -> Result<T, LakeError> {
        let record = self.store.read_record(&folder(run_id).join(format!("{job}.json"))).await?;
        record.ok_or_else(|| {
            LakeError::NotYet(format!("run {run_id}: {job} has not been done; give all jobs of a run one --run-id"))
        })
    }

    /// Removes everything handed over by any run.
    pub(crate) fn drop_work(&self) -> Result<(), LakeError> {
        self.remove_folder(&Path::from("work"))
    }

    /// Removes what an earlier attempt of this run left, so that a retry starts clean.
    ///
    /// # Errors
    /// [`LakeError::Io`] where storage refuses.
    pub fn clear_work(&self, run_id: &str) -> Result<(), LakeError> {
        self.remove_folder(&folder(run_id))
    }
}
