//! The jobs' shells: read, plan, check, write. Each finds what it needs in the lake, or in memory where `run` does them all.

pub(crate) mod athena_check;
pub(crate) mod detect;
pub(crate) mod fifo;
pub(crate) mod handed_over;
pub(crate) mod join;
pub(crate) mod listed;
pub(crate) mod net_cost;
pub(crate) mod publish;
pub(crate) mod register;
mod removed_nodes;
mod scan_units;
mod standings;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;

use chrono::NaiveDate;
use credit_ledger::BillingPeriod;
use detect_credits::listing::LeftOut;
use futures::{StreamExt, TryStreamExt};
use lake::{FileSum, Lake};
use schemas::PeriodNotes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::task::JoinError;
use tokio_util::task::AbortOnDropHandle;

use crate::run::App;
use crate::{Failure, Kind};

pub(crate) const DETECT: &str = "detect-credits";
pub(crate) const JOIN: &str = "join-allocations";
pub(crate) const FIFO: &str = "apply-fifo";
pub(crate) const NET_COST: &str = "write-net-cost";

/// Digest of `inputs`.
pub(crate) fn digest(inputs: &impl Debug) -> String {
    hex(&Sha256::digest(format!("{inputs:?}")))
}

/// Digest of what a table is made from; each release of the program makes its tables anew.
pub(crate) fn made_from(inputs: &impl Debug) -> String {
    digest(&(env!("CARGO_PKG_VERSION"), inputs))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Works on items that do not depend on each other, `at_once` at a time. Results come in order of the items; the first
/// failure in that order ends it.
pub(crate) async fn for_each<T, R, W>(
    app: &App,
    at_once: usize,
    items: impl IntoIterator<Item = T>,
    work: impl Fn(Arc<Lake>, String, T) -> W,
) -> Result<Vec<R>, Failure>
where
    R: Send + 'static,
    W: Future<Output = Result<R, Failure>> + Send + 'static,
{
    let started = items.into_iter().map(|item| work(Arc::clone(&app.lake), app.run_id.clone(), item));
    futures::stream::iter(started.map(apart)).buffered(at_once).try_collect().await
}

/// Does work on another thread, from now on.
pub(crate) fn apart<R: Send + 'static>(work: impl Future<Output = R> + Send + 'static) -> impl Future<Output = R> {
    let working = AbortOnDropHandle::new(tokio::spawn(work));
    async move {
        match working.await.map_err(JoinError::try_into_panic) {
            Ok(done) => done,
            Err(Ok(panic)) => std::panic::resume_unwind(panic),
            // Only where the whole command ends: nobody waits any more.
            Err(Err(_cancelled)) => std::future::pending().await,
        }
    }
}

/// One period of the export in this run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct DetectedPeriod {
    pub(crate) period: BillingPeriod,
    /// Of its generation.
    pub(crate) fingerprint: String,
    pub(crate) lines: u64,
    /// Read in this run, unchanged since an earlier one, or no longer in the export.
    pub(crate) source: PeriodSource,
    pub(crate) blank_costs: u64,
    pub(crate) unknown_line_types: BTreeMap<String, u64>,
    pub(crate) notes: PeriodNotes,
}

/// Where a period's lines come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum PeriodSource {
    Read,
    Unchanged,
    Gone,
}

/// What `detect-credits` leaves for the later jobs beside its tables.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Detected {
    pub(crate) as_of: NaiveDate,
    pub(crate) format: String,
    pub(crate) periods: Vec<DetectedPeriod>,
    /// Files under the source location that are not read.
    pub(crate) left_out: Vec<LeftOut>,
    pub(crate) register: RegisterRecord,
    /// Tables of credits are handed over in memory: no other process has them.
    pub(crate) in_memory: bool,
    /// What was fetched of an export on S3.
    pub(crate) fetched: Option<Fetched>,
}

/// The register of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RegisterRecord {
    /// What it is made from.
    pub(crate) made_from: String,
    /// False where that has not changed since the published run: then it is made once anything is made from it.
    pub(crate) is_made: bool,
}

/// What went over the wire.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Fetched {
    pub(crate) requests: u64,
    pub(crate) bytes: u64,
}

impl Detected {
    /// The record of this run, made with this as-of date.
    pub(crate) async fn of(app: &App) -> Result<Self, Failure> {
        let detected: Self = app.lake.finished_job(&app.run_id, DETECT).await?;
        if detected.as_of != app.as_of {
            let message = format!(
                "run {} was started with --as-of {}, not {}; give all jobs of a run the same",
                app.run_id, detected.as_of, app.as_of
            );
            return Err(Failure::new(Kind::Usage, message));
        }
        if detected.in_memory && !app.handed_over.in_memory {
            let message = format!(
                "run {} was begun by `run`, which keeps what its jobs hand each other in memory; start a new run",
                app.run_id
            );
            return Err(Failure::new(Kind::Usage, message));
        }
        Ok(detected)
    }

    pub(crate) fn has(&self, period: BillingPeriod) -> bool {
        self.periods.iter().any(|detected| detected.period == period)
    }
}

/// What `join-allocations` leaves beside its tables.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct JoinRecord {
    /// First month that any table of the run has: of a line, an issue date or a budget.
    pub(crate) first_period: BillingPeriod,
    /// What the cells of each period are made from.
    pub(crate) cells: BTreeMap<BillingPeriod, String>,
    /// Their sizes and checksums.
    pub(crate) kept_cells: BTreeMap<BillingPeriod, FileSum>,
    /// What the whole run is made from.
    pub(crate) run: String,
    /// Nothing has changed since the published run: its tables are this one's too.
    pub(crate) is_published: bool,
}

impl JoinRecord {
    pub(crate) async fn of(app: &App) -> Result<Self, Failure> {
        Ok(app.lake.finished_job(&app.run_id, JOIN).await?)
    }

    /// All months of the run.
    pub(crate) fn periods(&self, app: &App) -> impl Iterator<Item = BillingPeriod> + use<> {
        self.first_period.through(BillingPeriod::of(app.as_of))
    }
}

/// What `apply-fifo` leaves beside its tables.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct FifoRecord {
    /// What draws and balances of each month are made from.
    pub(crate) credits: BTreeMap<BillingPeriod, String>,
    /// What was left of each lot after each month.
    pub(crate) left: BTreeMap<BillingPeriod, String>,
    /// Months that credits were applied to anew. Draws and balances of the others are as they are published.
    pub(crate) applied: BTreeSet<BillingPeriod>,
}

impl FifoRecord {
    pub(crate) async fn of(app: &App) -> Result<Self, Failure> {
        Ok(app.lake.finished_job(&app.run_id, FIFO).await?)
    }
}
