//! What a run may take over from the published one instead of making it again.
//!
//! Nothing here is state: without `cache/` everything is made again, to the same bytes.

use std::collections::BTreeMap;

use credit_ledger::BillingPeriod;
use object_store::path::Path;
use schemas::tables::{ALL, Cell};
use schemas::{Place, Table, TableRow};
use serde::{Deserialize, Serialize};

use crate::publishing::run_folder;
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
    Path::from(LOGS).join(table.name).join(snapshot.to_string())
}

impl Lake {
    /// All rows of a log at its newest state, in no particular order, and that state.
    ///
    /// # Errors
    /// [`LakeError`] from the catalogue or storage; [`LakeError::Rows`] for rows another client wrote that do not fit.
    pub async fn log_rows<R: TableRow>(&self) -> Result<(LogSnapshot, Vec<R>), LakeError> {
        let newest = self.logs().snapshot::<R>().await?;
        match self.kept_log(newest).await? {
            Some(rows) => Ok((newest, rows)),
            None => self.logs().read_newest().await,
        }
    }

    /// The rows of a log in this state, if they are kept.
    pub(crate) async fn kept_log<R: TableRow>(&self, state: LogSnapshot) -> Result<Option<Vec<R>>, LakeError> {
        match state.id {
            Some(id) => self.store.read_kept_rows(&log(&R::TABLE, id)).await,
            None => Ok(Some(Vec::new())),
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
        match state.filter(|state| state.follows(before, true)) {
            Some(state) => self.keep_log(state, &[known, rows].concat()).await,
            None => Ok(()),
        }
    }

    /// Keeps the rows that a log has in this state.
    async fn keep_log<R: TableRow>(&self, state: LogSnapshot, rows: &[R]) -> Result<(), LakeError> {
        let Some(id) = state.id else { return Ok(()) };
        let kept = Table { place: Place::Handoff, ..R::TABLE };
        self.store.write_rows_as(&log(&R::TABLE, id), &kept, rows).await.map(drop)
    }

    /// Keeps a log as it is now and drops what is kept of its older states.
    pub(crate) async fn keep_newest_log<R: TableRow>(&self) -> Result<(), LakeError> {
        let mut newest = self.logs().snapshot::<R>().await?;
        let is_kept = match newest.id {
            Some(id) => self.store.has_files(&log(&R::TABLE, id)).await?,
            None => true,
        };
        if !is_kept {
            let (state, rows) = self.logs().read_newest::<R>().await?;
            self.keep_log(state, &rows).await?;
            newest = state;
        }
        let newest = newest.id.map(|id| id.to_string());
        let is_newest = |name: &str| newest.as_deref() == Some(name);
        self.store.remove_all_but(&Path::from(LOGS).join(R::TABLE.name), is_newest).await
    }

    /// What the published run was made from; nothing where that is not known.
    ///
    /// # Errors
    /// [`LakeError`] where the store refuses.
    pub async fn made_from(&self) -> Result<MadeFrom, LakeError> {
        let known = match self.store.read_record::<Published>(&published()).await {
            Err(LakeError::Record { .. }) => None,
            read => read?,
        };
        let current = self.published().await?;
        let known = known.filter(|known| Some(&known.run_id) == current.as_ref());
        Ok(known.map(|known| known.made_from).unwrap_or_default())
    }

    /// Hands a period's cells over if they are kept.
    ///
    /// # Errors
    /// [`LakeError`] where the store refuses.
    pub async fn hand_over_kept_cells(
        &self,
        run_id: &str,
        period: BillingPeriod,
        digest: &str,
    ) -> Result<bool, LakeError> {
        self.store.copy_if_there(&cells(period, digest), &handed_over::<Cell>(run_id, period)).await
    }

    /// Keeps the cells that were handed over.
    ///
    /// # Errors
    /// [`LakeError`] where the store refuses.
    pub async fn keep_cells(&self, run_id: &str, period: BillingPeriod, digest: &str) -> Result<(), LakeError> {
        self.store.copy(&handed_over::<Cell>(run_id, period), &cells(period, digest)).await
    }

    /// True if every file of the published run is there, of all these periods.
    ///
    /// # Errors
    /// [`LakeError`] where the store refuses.
    pub async fn holds_published(&self, periods: impl Iterator<Item = BillingPeriod>) -> Result<bool, LakeError> {
        let Some(published) = self.published().await? else { return Ok(false) };
        let held = self.store.folders_with_a_part(&run_folder(&published)).await?;
        let holds = |period| published_folders(&published, period).all(|folder| held.contains(&folder));
        Ok(periods.map(Some).chain([None]).all(holds))
    }

    /// Stages all tables of one period, or with no period those that are not partitioned, as they are published; false
    /// where one is not.
    ///
    /// # Errors
    /// [`LakeError`] where the store refuses.
    pub async fn stage_all_published(&self, run_id: &str, period: Option<BillingPeriod>) -> Result<bool, LakeError> {
        let Some(published) = self.published().await? else { return Ok(false) };
        for (from, to) in published_folders(&published, period).zip(published_folders(run_id, period)) {
            if !self.store.copy_if_there(&from, &to).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Stages a period of a table as it is published; false where it is not.
    ///
    /// # Errors
    /// [`LakeError`] where the store refuses.
    pub async fn stage_published<R: TableRow>(&self, run_id: &str, period: BillingPeriod) -> Result<bool, LakeError> {
        let Some(published) = self.published().await? else { return Ok(false) };
        let of = |run_id| partition(run_folder(run_id).join(R::TABLE.name), Some(period));
        self.store.copy_if_there(&of(&published), &of(run_id)).await
    }

    /// Remembers what the run that is published now was made from, and drops what it did not use.
    pub(crate) async fn remember(&self, run_id: &str, made_from: &MadeFrom) -> Result<(), LakeError> {
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

/// Folders of a run's tables: those of one period, or with no period those that are not partitioned.
fn published_folders(run_id: &str, period: Option<BillingPeriod>) -> impl Iterator<Item = Path> {
    let tables = ALL.iter().filter(move |table| table.place == Place::Published);
    let tables = tables.filter(move |table| table.partitioned == period.is_some());
    tables.map(move |table| partition(run_folder(run_id).join(table.name), period))
}

fn handed_over<R: TableRow>(run_id: &str, period: BillingPeriod) -> Path {
    partition(work::folder(run_id).join(R::TABLE.name), Some(period))
}
