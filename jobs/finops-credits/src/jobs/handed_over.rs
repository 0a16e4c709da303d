//! Tables that one job hands over and several read: written to the lake for a job in another process, kept in memory for
//! the next one in this.

use std::sync::Arc;

use lake::Lake;
use schemas::TableRow;
use schemas::tables::{AllocatedCredit, AppliedByAws, RegisteredCredit};
use tokio::sync::OnceCell;

use crate::Failure;

/// The tables of the run, as far as they were made or read by now.
#[derive(Debug, Default)]
pub(crate) struct HandedOver {
    pub(crate) register: Handed<RegisteredCredit>,
    pub(crate) applied: Handed<AppliedByAws>,
    pub(crate) allocated: Handed<AllocatedCredit>,
}

/// A table that is handed over as a whole.
#[derive(Debug)]
pub(crate) struct Handed<R>(OnceCell<Arc<Vec<R>>>);

impl<R> Default for Handed<R> {
    fn default() -> Self {
        Self(OnceCell::new())
    }
}

impl<R: TableRow + Send + Sync> Handed<R> {
    /// The table, read where it was not made here.
    pub(crate) async fn rows(&self, lake: &Lake, run_id: &str) -> Result<Arc<Vec<R>>, Failure> {
        let read = self.0.get_or_try_init(|| async { lake.handed_over(run_id, None).await.map(Arc::new) });
        Ok(Arc::clone(read.await?))
    }

    /// Hands the table over.
    pub(crate) async fn write(&self, lake: &Lake, run_id: &str, rows: Vec<R>) -> Result<(), Failure> {
        let rows = self.0.get_or_init(|| async { Arc::new(rows) }).await;
        Ok(lake.hand_over(run_id, None, rows).await?)
    }
}
