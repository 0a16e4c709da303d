//! Progress of the reading of an export.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use cur_reader::lock;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;

use crate::cost_scan::{CostScanExec, metric};

/// How far the reading of an export is, for whoever watches: the metrics of its scans.
#[derive(Debug, Default)]
pub struct Progress {
    total_bytes: AtomicU64,
    reading: Mutex<String>,
    scans: Mutex<Vec<ExecutionPlanMetricsSet>>,
}

impl Progress {
    pub(crate) fn begin(&self, total_bytes: u64) {
        self.total_bytes.store(total_bytes, Ordering::Relaxed);
    }

    pub(crate) fn reads(&self, periods: String) {
        *lock(&self.reading) = periods;
    }

    pub(crate) fn watch(&self, scan: &CostScanExec) {
        lock(&self.scans).push(scan.live_metrics().clone());
    }

    /// Bytes to read; 0 before reading begins.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.total_bytes.load(Ordering::Relaxed)
    }

    /// The billing periods whose reading was begun last.
    #[must_use]
    pub fn reading(&self) -> String {
        lock(&self.reading).clone()
    }

    /// Bytes of the parts that have been read.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.sum(metric::BYTES)
    }

    /// Lines read.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.sum(metric::LINES)
    }

    fn sum(&self, metric: &str) -> u64 {
        let scans = lock(&self.scans);
        let sums = scans.iter().filter_map(|scan| scan.clone_inner().sum_by_name(metric));
        sums.map(|sum| sum.as_usize() as u64).sum()
    }
}
