//! Where the plan of a scan runs: here, or on a cluster that the binary brings.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use datafusion::common::Result;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;

use crate::cost_scan::metric;

/// An engine on other machines. What it is given is a plan like any other, and it gives the same rows in the same order.
#[async_trait]
pub trait ScanEngine: fmt::Debug + Send + Sync {
    /// How a scan of so many bytes is cut.
    fn cut(&self, bytes: u64) -> Cut;

    /// Runs a plan; its rows come in order.
    ///
    /// # Errors
    /// [`EngineLost`] where the engine is gone, or does not answer in time; [`EngineRefused`] where it is of another version;
    /// what went wrong in the plan.
    async fn run(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        session: &SessionContext,
        progress: &Arc<ScanProgress>,
    ) -> Result<SendableRecordBatchStream>;

    /// True where a scan goes on here once the engine is lost.
    fn falls_back(&self) -> bool;

    /// Waits until nothing of ours runs there any more.
    async fn end(&self);
}

/// Partitions of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Of the scan.
    pub scan: usize,
    /// Of the sums after the exchange.
    pub sums: usize,
}

/// The engine is gone; nothing is wrong with the plan or the export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineLost(pub String);

impl fmt::Display for EngineLost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Error for EngineLost {}

/// The engine does not take this plan; another attempt would not help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineRefused(pub String);

impl fmt::Display for EngineRefused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Error for EngineRefused {}

impl EngineLost {
    /// True where this is what a failure comes from.
    #[must_use]
    pub fn is_cause_of(failure: &(dyn Error + 'static)) -> bool {
        let mut cause = Some(failure);
        while let Some(error) = cause {
            if error.is::<Self>() {
                return true;
            }
            cause = error.source();
        }
        false
    }
}

/// How far a scan on another engine is.
#[derive(Debug, Default)]
pub struct ScanProgress {
    bytes: AtomicU64,
    lines: AtomicU64,
}

impl ScanProgress {
    /// The metrics of the scan that count bytes and lines.
    pub const METRICS: [&str; 2] = [metric::BYTES, metric::LINES];

    /// Says how many bytes and lines have been read.
    pub fn set(&self, [bytes, lines]: [u64; 2]) {
        self.bytes.store(bytes, Ordering::Relaxed);
        self.lines.store(lines, Ordering::Relaxed);
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn lines(&self) -> u64 {
        self.lines.load(Ordering::Relaxed)
    }
}
