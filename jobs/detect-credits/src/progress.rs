//! Progress of the reading of an export.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use cur_reader::lock;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;

use crate::cost_scan::{CostScanExec, metric};
use crate::engine::ScanProgress;

/// How far the reading of an export is, for whoever watches: the metrics of its scans.
#[derive(Debug, Default)]
pub struct Progress {
    total_bytes: AtomicU64,
    reading: Mutex<String>,
    scans: Mutex<Vec<ExecutionPlanMetricsSet>>,
    elsewhere: Mutex<Vec<Arc<ScanProgress>>>,
}

impl Progress {
    pub(crate) fn begin(&self, total_bytes: u64) {
        self.total_bytes.store(total_bytes, Ordering::Relaxed);
    }

    pub(crate) fn reads(&self, periods: String) {
        *lock(&self.reading) = periods;
    }

    /// Watches the scans of a plan that is about to run.
    pub(crate) fn watch(&self, plan: &Arc<dyn ExecutionPlan>) {
        match plan.downcast_ref::<CostScanExec>() {
            Some(scan) => lock(&self.scans).push(scan.live_metrics().clone()),
            None => plan.children().into_iter().for_each(|below| self.watch(below)),
        }
    }

    /// What another engine says of a scan.
    pub(crate) fn watch_elsewhere(&self) -> Arc<ScanProgress> {
        let scan = Arc::new(ScanProgress::default());
        lock(&self.elsewhere).push(Arc::clone(&scan));
        scan
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
        self.sum(metric::BYTES) + lock(&self.elsewhere).iter().map(|scan| scan.bytes()).sum::<u64>()
    }

    /// Lines read.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.sum(metric::LINES) + lock(&self.elsewhere).iter().map(|scan| scan.lines()).sum::<u64>()
    }

    fn sum(&self, metric: &str) -> u64 {
        let scans = lock(&self.scans);
        let sums = scans.iter().filter_map(|scan| scan.clone_inner().sum_by_name(metric));
        sums.map(|sum| sum.as_usize() as u64).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost_scan::tests::{export, input_of};
    use crate::scan::scan;

    #[tokio::test]
    async fn progress_is_what_the_partitions_of_all_scans_have_read_so_far() {
        let (progress, store) = (Progress::default(), export().await);
        assert_eq!((progress.total_bytes(), progress.bytes(), progress.lines()), (0, 0, 0));
        progress.begin(5_000);
        let session = money_sql::session(2, Arc::default());
        for (times, period) in [(1, "2026-04"), (2, "2026-05")] {
            progress.reads(period.to_owned());
            let (input, files) = input_of(&store, 2).await;
            let size: u64 = files.iter().map(|file| file.file().size).sum();
            scan(&session, input, &progress, None).await.unwrap();
            assert_eq!((progress.bytes(), progress.lines()), (times * size, times * 5));
            assert_eq!((progress.total_bytes(), progress.reading().as_str()), (5_000, period));
        }
    }
}
