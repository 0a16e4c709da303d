//! Tables that one job hands over and several read: written to the lake for jobs in other processes, kept in memory where
//! one process does all of a run.

use std::sync::Arc;

use lake::Lake;
use schemas::TableRow;
use schemas::tables::{AllocatedCredit, AppliedByAws, LotRow, RegisteredCredit};
use tokio::sync::OnceCell;

use crate::Failure;

/// The tables of the run, as far as they were made or read by now.
#[derive(Debug)]
pub(crate) struct HandedOver {
    pub(crate) in_memory: bool,
    pub(crate) register: Handed<RegisteredCredit>,
    pub(crate) applied: Handed<AppliedByAws>,
    pub(crate) allocated: Handed<AllocatedCredit>,
    pub(crate) lots: Handed<LotRow>,
}

impl HandedOver {
    /// Nothing yet; `in_memory` where this process does all of the run.
    pub(crate) fn new(in_memory: bool) -> Self {
        Self {
            in_memory,
            register: Handed::new(in_memory),
            applied: Handed::new(in_memory),
            allocated: Handed::new(in_memory),
            lots: Handed::new(in_memory),
        }
    }
}

/// A table that is handed over as a whole.
#[derive(Debug)]
pub(crate) struct Handed<R> {
    rows: OnceCell<Arc<Vec<R>>>,
    in_memory: bool,
}

impl<R: TableRow + Send + Sync> Handed<R> {
    fn new(in_memory: bool) -> Self {
        Self { rows: OnceCell::new(), in_memory }
    }

    /// The table, read where it was not made here.
    pub(crate) async fn rows(&self, lake: &Lake, run_id: &str) -> Result<Arc<Vec<R>>, Failure> {
        let read = self.rows.get_or_try_init(|| async { lake.handed_over(run_id, None).await.map(Arc::new) });
        Ok(Arc::clone(read.await?))
    }

    /// Hands the table over.
    pub(crate) async fn write(&self, lake: &Lake, run_id: &str, rows: Vec<R>) -> Result<(), Failure> {
        let rows = self.rows.get_or_init(|| async { Arc::new(rows) }).await;
        if !self.in_memory {
            lake.hand_over(run_id, None, rows).await?;
        }
        Ok(())
    }
}
