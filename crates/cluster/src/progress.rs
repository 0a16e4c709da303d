//! How far a job is, as its scheduler tells the driver: what Ballista calls the metrics of stages.

use ballista_core::serde::protobuf::operator_metric::Metric;
use ballista_core::serde::protobuf::{JobStageMetrics, NamedCount, OperatorMetric, OperatorWithMetrics};

/// What counts of a job's progress.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct JobProgress {
    /// Executors that are there.
    pub(crate) executors: u64,
    /// Sums over all tasks that have ended, by the metric's name.
    pub(crate) counts: Vec<(String, u64)>,
}

const EXECUTORS: &str = "executors";

impl JobProgress {
    /// The name of the number of tasks that have ended.
    pub(crate) const TASKS_ENDED: &str = "tasks_ended";

    /// As a stage that no job has: they count from 1.
    pub(crate) fn encoded(self) -> JobStageMetrics {
        let counts = self.counts.into_iter().chain([(EXECUTORS.to_owned(), self.executors)]);
        let metrics =
            counts.map(|(name, value)| OperatorMetric { metric: Some(Metric::Count(NamedCount { name, value })) });
        let operator = OperatorWithMetrics { metrics: metrics.collect(), ..OperatorWithMetrics::default() };
        JobStageMetrics { stage_id: 0, partitions: 0, operators: vec![operator] }
    }

    pub(crate) fn decoded(stages: Vec<JobStageMetrics>) -> Self {
        let metrics = stages.into_iter().flat_map(|stage| stage.operators).flat_map(|operator| operator.metrics);
        let mut progress = Self::default();
        for metric in metrics {
            match metric.metric {
                Some(Metric::Count(NamedCount { name, value })) if name == EXECUTORS => progress.executors = value,
                Some(Metric::Count(NamedCount { name, value })) => progress.counts.push((name, value)),
                _ => {}
            }
        }
        progress
    }

    pub(crate) fn count(&self, name: &str) -> u64 {
        self.counts.iter().filter(|(of, _)| of == name).map(|(_, value)| value).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_comes_as_it_was_told() {
        let counts = [("bytes_read", 7), ("lines_read", 3)].map(|(name, value)| (name.to_owned(), value));
        let told = JobProgress { executors: 2, counts: counts.into() };
        let heard = JobProgress::decoded(vec![told.clone().encoded()]);
        assert_eq!(heard, told);
        assert_eq!((heard.count("lines_read"), heard.count("parts_read")), (3, 0));
    }
}
