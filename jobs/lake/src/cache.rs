//! What a run may take over from the published one instead of making it again.
//!
//! Nothing here is state: without `cache/` everything is made again, to the same bytes. What cannot be read in it, or is
//! not as it was written, is as if it were not there; what cannot be written is not kept.

use std::collections::BTreeMap;

use credit_ledger::BillingPeriod;
use datafusion::execution::SendableRecordBatchStream;
use object_store::path::Path;
use schemas::tables::Cell;
use schemas::{Table, TableRow};
use serde::{Deserialize, Serialize};

use crate::known::Condition;
use crate::sums::{FileSum, Problem};
use crate::tables::part;
use crate::work::{self, partition};
use crate::{Lake, LakeError, LogSnapshot};

/// Digests of all that the tables of each period are made from: equal digests, equal bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeFrom {
    /// Of `cells`.
    pub cells: BTreeMap<BillingPeriod, String>,
    /// Of `credit_consumption`, `credit_balances` and `net_cost`, what was left before the period among it.
    pub credits: BTreeMap<BillingPeriod, String>,
    /// Of what was left of each lot after the period.
    #[serde(default)]
    pub left: BTreeMap<BillingPeriod, String>,
    /// Of all tables that are partitioned.
    pub tables: BTreeMap<BillingPeriod, String>,
    /// Of the register.
    #[serde(default)]
    pub register: String,
    /// Of all tables.
    #[serde(default)]
    pub run: String,
    /// Sizes and checksums of the kept cells.
    #[serde(default)]
    pub kept_cells: BTreeMap<BillingPeriod, FileSum>,
}

/// The digests of the run that was published last.
#[derive(Debug, Serialize, Deserialize)]
struct Published {
    run_id: String,
    made_from: MadeFrom,
}

const CELLS: &str = "cache/cells";
const LOGS: &str = "cache/logs";

fn published() -> Path {
    Path::from("cache/published.json")
}

fn cells(period: BillingPeriod, digest: &str) -> Path {
    Path::from(CELLS).join(period.to_string()).join(digest)
}

/// All rows of a log in one state, as one file: each append to the log itself leaves two more.
fn log(table: &Table, snapshot: i64) -> Path {
    Path::from(LOGS).join(table.name).join(log_name(snapshot))
}

fn log_name(snapshot: i64) -> String {
    format!("{snapshot}.rows")
}

impl Lake {
    /// All rows of a log at its newest state, in no particular order, and that state.
    ///
    /// # Errors
    /// [`LakeError`] from the catalogue or storage; [`LakeError::Rows`] for rows another client wrote that do not fit.
    pub async fn log_rows<R: TableRow>(&self) -> Result<(LogSnapshot, Vec<R>), LakeError> {
        let newest = self.logs().snapshot::<R>().await?;
        match self.kept_log(newest).await {
            Some(rows) => Ok((newest, rows)),
            None => self.logs().read_newest().await,
        }
    }

    /// The rows of a log in this state, if they are kept.
    pub(crate) async fn kept_log<R: TableRow>(&self, state: LogSnapshot) -> Option<Vec<R>> {
        match state.id {
            Some(id) => self.store.read_sealed(&log(&R::TABLE, id)).await,
            None => Some(Vec::new()),
        }
    }

    /// Appends rows to a log that had the rows `known` in the state `before`, and keeps what it has then.
    ///
    /// # Errors
    /// [`LakeError`] from the catalogue or storage.
    pub async fn append_to_log<R: TableRow + Clone>(
        &self,
        before: LogSnapshot,
        known: &[R],
        rows: &[R],
    ) -> Result<(), LakeError> {
        let state = self.logs().append(rows).await?;
        // Where somebody else appended meanwhile, the log has more than is known here.
        if let Some(state) = state.filter(|state| state.follows(before, true)) {
            self.keep_log(state, &[known, rows].concat()).await?;
        }
        Ok(())
    }

    /// Keeps the rows that a log has in this state.
    async fn keep_log<R: TableRow>(&self, state: LogSnapshot, rows: &[R]) -> Result<(), LakeError> {
        let Some(id) = state.id else { return Ok(()) };
        let kept = self.store.write_sealed(&log(&R::TABLE, id), rows).await;
        self.kept(kept).await
    }

    /// Keeps a log as it is now and drops what is kept of its older states.
    pub(crate) async fn keep_newest_log<R: TableRow>(&self) -> Result<(), LakeError> {
        let mut newest = self.logs().snapshot::<R>().await?;
        let is_kept = match newest.id {
            Some(id) => self.store.has_sealed(&log(&R::TABLE, id)).await,
            None => true,
        };
        if !is_kept {
            let (state, rows) = self.logs().read_newest::<R>().await?;
            self.keep_log(state, &rows).await?;
            newest = state;
        }
        let newest = newest.id.map(log_name);
        let is_newest = |name: &str| newest.as_deref() == Some(name);
        let dropped = self.store.remove_all_but(&Path::from(LOGS).join(R::TABLE.name), is_newest).await;
        self.kept(dropped).await
    }

    /// What the published run was made from; nothing where that is not known.
    ///
    /// # Errors
    /// [`LakeError`] where the pointer cannot be read.
    pub async fn made_from(&self) -> Result<MadeFrom, LakeError> {
        let mut found = self.found.made_from.lock().await;
        if let Some(known) = found.as_ref() {
            return Ok(known.clone());
        }
        let current = self.published().await?;
        let known = self.store.read_kept::<Published>(&published()).await;
        let known = known.filter(|known| Some(&known.run_id) == current.as_ref());
        let known = known.map(|known| known.made_from).unwrap_or_default();
        for (period, digest) in &known.cells {
            if let Some(sum) = known.kept_cells.get(period) {
                self.store.learn(part(&cells(*period, digest)), *sum);
            }
        }
        *found = Some(known.clone());
        Ok(known)
    }

    /// Hands a period's cells over if they are kept, as they were written.
    ///
    /// # Errors
    /// [`LakeError`] where the store refuses.
    pub async fn hand_over_kept_cells(
        &self,
        run_id: &str,
        period: BillingPeriod,
        digest: &str,
    ) -> Result<Option<FileSum>, LakeError> {
        self.made_from().await?;
        let (folder, to) = (cells(period, digest), handed_over::<Cell>(run_id, period));
        match self.store.condition(&Path::from(CELLS), &part(&folder)).await? {
            Condition::Sound(sum) => Ok(self.store.copy_if_there(&folder, &to).await?.then_some(sum)),
            Condition::Unknown | Condition::Damaged(Problem::Missing) => Ok(None),
            Condition::Damaged(problem) => {
                self.store.warn(&part(&folder), &problem, "it is made again");
                Ok(None)
            }
        }
    }

    /// Hands a period's cells over and keeps them; they must be in order.
    ///
    /// # Errors
    /// [`LakeError`] from the stream or the store.
    pub async fn hand_over_cells(
        &self,
        run_id: &str,
        period: BillingPeriod,
        digest: &str,
        rows: SendableRecordBatchStream,
    ) -> Result<FileSum, LakeError> {
        let folder = handed_over::<Cell>(run_id, period);
        let sum = self.store.write_stream(&folder, &Cell::TABLE, rows).await?;
        let kept = self.store.copy(&folder, &cells(period, digest)).await;
        self.kept(kept).await?;
        Ok(sum)
    }

    /// Where a file or folder of `cache/` is in the way of another, all of it goes: the next run makes again what is not
    /// kept.
    async fn kept(&self, kept: Result<(), LakeError>) -> Result<(), LakeError> {
        use std::io::ErrorKind::{AlreadyExists, DirectoryNotEmpty, IsADirectory, NotADirectory};
        match kept {
            Err(LakeError::Io { path, source })
                if matches!(source.kind(), AlreadyExists | DirectoryNotEmpty | IsADirectory | NotADirectory) =>
            {
                tracing::warn!("{}: {source}; cache/ is begun anew", path.display());
                let _removed_by_others = self.store.remove_folder(&Path::from("cache")).await;
                Ok(())
            }
            kept => kept,
        }
    }

    /// Remembers what the run that is published now was made from, and drops what it did not use.
    pub(crate) async fn remember(&self, run_id: &str, made_from: &MadeFrom) -> Result<(), LakeError> {
        let remembered = self.try_to_remember(run_id, made_from).await;
        self.kept(remembered).await
    }

    async fn try_to_remember(&self, run_id: &str, made_from: &MadeFrom) -> Result<(), LakeError> {
        let record = Published { run_id: run_id.to_owned(), made_from: made_from.clone() };
        self.store.write_record(&published(), &record).await?;
        let in_use = |name: &str| name.parse().is_ok_and(|period| made_from.cells.contains_key(&period));
        self.store.remove_all_but(&Path::from(CELLS), in_use).await?;
        for (period, digest) in &made_from.cells {
            let of_period = Path::from(CELLS).join(period.to_string());
            self.store.remove_all_but(&of_period, |name| name == digest).await?;
        }
        Ok(())
    }
}

fn handed_over<R: TableRow>(run_id: &str, period: BillingPeriod) -> Path {
    partition(work::folder(run_id).join(R::TABLE.name), Some(period))
}
