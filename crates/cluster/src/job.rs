//! One plan on the cluster, from its submission to its rows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::record_batch::RecordBatch;
use async_stream::try_stream;
use ballista_core::client::BallistaClient;
use ballista_core::extension::{SessionConfigExt, SessionConfigHelperExt};
use ballista_core::serde::protobuf::execute_query_params::Query;
use ballista_core::serde::protobuf::execute_query_result::Result as Submitted;
use ballista_core::serde::protobuf::job_status::Status as JobStatus;
use ballista_core::serde::protobuf::{
    CancelJobParams, CleanJobDataParams, ExecuteQueryParams, GetJobMetricsParams, GetJobStatusParams, PartitionLocation,
};
use ballista_core::serde::scheduler::PartitionId;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::prelude::SessionConfig;
use datafusion_proto::physical_plan::{AsExecutionPlan, PhysicalExtensionCodec};
use datafusion_proto::protobuf::PhysicalPlanNode;
use detect_credits::{EngineLost, EngineRefused, ScanProgress};
use futures::TryStreamExt;
use tonic::Status;
use uuid::Uuid;

use crate::client::Client;
use crate::codec::LARGEST_MESSAGE;
use crate::plan::Shipped;
use crate::progress::JobProgress;
use crate::version;

/// How often it is asked how a job stands; its progress every tenth time.
const LOOK: Duration = Duration::from_millis(100);
const LOOKS_PER_PROGRESS: u32 = 10;
/// The first executor may come late.
const FIRST_EXECUTOR: Duration = Duration::from_secs(600);
/// Once one was there it is gone sooner.
const LAST_EXECUTOR: Duration = Duration::from_secs(30);
/// Once an executor is gone, what it was given or had written may be waited for for ever (docs/adr/0018).
const NO_TASK_ENDS: Duration = Duration::from_secs(300);
/// Rows that do not come are given up.
const NO_ROWS: Duration = Duration::from_secs(60);
const FETCH_ATTEMPTS: u8 = 2;
const BETWEEN_ATTEMPTS_MS: u64 = 500;

/// A job that was submitted.
pub(crate) struct Job {
    client: Client,
    pub(crate) id: String,
    deadline: Instant,
    longest: Duration,
}

/// The engine is gone, in the words of a plan's error.
pub(crate) fn lost(message: impl Into<String>) -> DataFusionError {
    DataFusionError::External(Box::new(EngineLost(message.into())))
}

fn no_answer(status: &Status) -> DataFusionError {
    match version::refusal(status) {
        Some(refusal) => DataFusionError::External(Box::new(EngineRefused(refusal))),
        None => lost(format!("the scheduler of the cluster does not answer: {}", status.message())),
    }
}

impl Job {
    pub(crate) async fn submit(
        mut client: Client,
        shipped: &Shipped,
        codec: &dyn PhysicalExtensionCodec,
        config: SessionConfig,
        longest: Duration,
    ) -> Result<Self> {
        let mut plan = Vec::new();
        PhysicalPlanNode::try_from_physical_plan(Arc::clone(&shipped.plan), codec)?.try_encode(&mut plan)?;
        let settings = config.upgrade_for_ballista().to_key_value_pairs();
        let query = ExecuteQueryParams {
            query: Some(Query::PhysicalPlan(plan)),
            session_id: Uuid::now_v7().to_string(),
            settings,
            operation_id: Uuid::now_v7().to_string(),
        };
        let begun = Instant::now();
        let answer = client.execute_query(query).await.map_err(|status| no_answer(&status))?.into_inner();
        match answer.result {
            Some(Submitted::Success(job)) => Ok(Self { client, id: job.job_id, deadline: begun + longest, longest }),
            Some(Submitted::Failure(failure)) => Err(lost(format!("the cluster refuses the plan: {failure:?}"))),
            None => Err(lost("the scheduler of the cluster gives no answer")),
        }
    }

    /// Waits until it is done; says where its rows are.
    pub(crate) async fn done(&mut self, progress: &ScanProgress) -> Result<Vec<PartitionLocation>> {
        let (mut vigil, mut known, mut looks) = (Vigil::new(Instant::now()), false, 0_u32);
        loop {
            let asked = GetJobStatusParams { job_id: self.id.clone() };
            let answer = self.client.get_job_status(asked).await.map_err(|status| no_answer(&status))?.into_inner();
            match answer.status.and_then(|status| status.status) {
                Some(JobStatus::Successful(done)) => return Ok(done.partition_location),
                Some(JobStatus::Failed(failed)) => return Err(failure(&failed.error)),
                Some(_) => known = true,
                None if known => return Err(lost("the scheduler of the cluster has lost the job")),
                None => {}
            }
            if self.deadline <= Instant::now() {
                let seconds = self.longest.as_secs();
                return Err(lost(format!(
                    "the cluster has not read the export in {seconds} s ([engine] deadline_seconds)"
                )));
            }
            if looks.is_multiple_of(LOOKS_PER_PROGRESS) {
                let found = self.look(progress).await?;
                vigil.look(&found, Instant::now()).map_err(lost)?;
            }
            looks = looks.wrapping_add(1);
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn look(&mut self, progress: &ScanProgress) -> Result<JobProgress> {
        let asked = GetJobMetricsParams { job_id: self.id.clone() };
        let answer = self.client.get_job_metrics(asked).await.map_err(|status| no_answer(&status))?;
        let found = JobProgress::decoded(answer.into_inner().stages);
        let counts = ScanProgress::METRICS.map(|name| found.count(name));
        if counts != [0; 2] {
            progress.set(counts);
        }
        Ok(found)
    }
}

/// How long nothing has come of a job.
struct Vigil {
    /// When an executor was there last, and how long the next one may take.
    with_executor: Instant,
    patience: Duration,
    most_executors: u64,
    tasks_ended: u64,
    /// When a task ended last, or no executor was gone.
    last_ended: Instant,
}

impl Vigil {
    const fn new(now: Instant) -> Self {
        Self { with_executor: now, patience: FIRST_EXECUTOR, most_executors: 0, tasks_ended: 0, last_ended: now }
    }

    /// Notes what was found.
    ///
    /// # Errors
    /// Why the job is given up.
    fn look(&mut self, found: &JobProgress, now: Instant) -> std::result::Result<(), &'static str> {
        if found.executors > 0 {
            (self.with_executor, self.patience) = (now, LAST_EXECUTOR);
        } else if now.duration_since(self.with_executor) >= self.patience {
            return Err("the cluster has no executor");
        }
        let ended = found.count(JobProgress::TASKS_ENDED);
        if ended != self.tasks_ended || found.executors >= self.most_executors {
            (self.tasks_ended, self.last_ended) = (ended, now);
        } else if now.duration_since(self.last_ended) >= NO_TASK_ENDS {
            return Err("an executor of the cluster is gone, and no task has ended since");
        }
        self.most_executors = self.most_executors.max(found.executors);
        Ok(())
    }
}

/// Why a job failed: a sum that is none, which it would be anywhere, or the cluster.
fn failure(error: &str) -> DataFusionError {
    const OVERFLOW: &str = "SUM of money overflows 38 digits";
    if error.contains(OVERFLOW) {
        return DataFusionError::Execution(OVERFLOW.to_owned());
    }
    let brief = error.split_whitespace().collect::<Vec<_>>().join(" ");
    lost(format!("the cluster could not read the export: {}", brief.chars().take(500).collect::<String>()))
}

/// The rows of one partition, from the executor that has them.
pub(crate) fn rows(location: PartitionLocation, shipped: &Shipped) -> SendableRecordBatchStream {
    let restored = shipped.restored();
    let batches = try_stream! {
        let mut batches = fetched(location).await?;
        while let Some(batch) = in_time(batches.try_next()).await? {
            yield restored(&batch)?;
        }
    };
    Box::pin(RecordBatchStreamAdapter::new(Arc::clone(shipped.schema()), batches))
}

async fn fetched(location: PartitionLocation) -> Result<SendableRecordBatchStream> {
    let (Some(of), Some(executor)) = (location.partition_id, location.executor_meta) else {
        return Err(lost("the scheduler of the cluster does not say where rows are"));
    };
    let port = u16::try_from(executor.port).unwrap_or_default();
    let partition = PartitionId {
        job_id: of.job_id.into(),
        stage_id: of.stage_id as usize,
        partition_id: of.partition_id as usize,
    };
    let fetching = async {
        let limit = LARGEST_MESSAGE as usize;
        let attempts = (FETCH_ATTEMPTS, BETWEEN_ATTEMPTS_MS);
        let mut client =
            BallistaClient::try_new(&executor.host, port, limit, false, None, attempts.0, attempts.1, 0, 0).await?;
        client.fetch_partition(&executor.id, &partition, location.file_id, location.is_sort_shuffle, false).await
    };
    let gone = |why: String| lost(format!("executor {}:{port} is gone: {why}", executor.host));
    match tokio::time::timeout(NO_ROWS, fetching).await {
        Ok(Ok(batches)) => Ok(batches),
        Ok(Err(error)) => Err(gone(error.to_string())),
        Err(_) => Err(gone("no answer".to_owned())),
    }
}

async fn in_time(batch: impl Future<Output = Result<Option<RecordBatch>>>) -> Result<Option<RecordBatch>> {
    match tokio::time::timeout(NO_ROWS, batch).await {
        Ok(batch) => batch.map_err(|error| lost(format!("rows of the cluster are gone: {error}"))),
        Err(_) => Err(lost("an executor of the cluster does not send its rows")),
    }
}

/// Stops a job, and has its files removed.
pub(crate) async fn cancel(mut client: Client, id: String) {
    let stopped = client.cancel_job(CancelJobParams { job_id: id.clone() }).await;
    if let Err(status) = stopped {
        tracing::debug!("job {id} was not cancelled: {status}");
    }
    remove(client, id).await;
}

/// Has the files of a job removed.
pub(crate) async fn remove(mut client: Client, id: String) {
    if let Err(status) =
        client.clean_job_data(CleanJobDataParams { job_id: id.clone(), ..CleanJobDataParams::default() }).await
    {
        tracing::debug!("files of job {id} were not removed: {status}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sum_that_is_none_is_told_as_anywhere_and_everything_else_as_the_cluster_lost() {
        let told = |error: &str| {
            let failure = failure(error);
            (EngineLost::is_cause_of(&failure), failure.strip_backtrace())
        };
        let (is_lost, text) = told("Task failed: Execution(\"SUM of money overflows 38 digits\")");
        assert_eq!((is_lost, text.as_str()), (false, "Execution error: SUM of money overflows 38 digits"));
        let (is_lost, text) = told("Job failed:\n  FetchFailed");
        assert!(is_lost && text.ends_with("the cluster could not read the export: Job failed: FetchFailed"), "{text}");
    }

    #[test]
    fn job_is_given_up_without_executors_or_once_one_is_gone_and_nothing_ends() {
        let begun = Instant::now();
        let told = |looks: &[(u64, u64, u64)]| {
            let mut vigil = Vigil::new(begun);
            looks.iter().find_map(|(after, executors, ended)| {
                let counts = vec![(JobProgress::TASKS_ENDED.to_owned(), *ended)];
                let found = JobProgress { executors: *executors, counts };
                vigil.look(&found, begun + Duration::from_secs(*after)).err().map(|why| (*after, why))
            })
        };
        let (none, gone) =
            ("the cluster has no executor", "an executor of the cluster is gone, and no task has ended since");
        assert_eq!(told(&[(0, 0, 0), (599, 0, 0), (600, 0, 0)]), Some((600, none)), "the first one may come late");
        assert_eq!(told(&[(0, 2, 0), (29, 0, 0), (30, 0, 0)]), Some((30, none)));
        assert_eq!(told(&[(0, 2, 0), (10, 1, 0), (299, 1, 0), (300, 1, 0)]), Some((300, gone)));
        assert_eq!(told(&[(0, 2, 0), (10, 1, 0), (299, 1, 1), (598, 1, 2), (897, 1, 3)]), None, "tasks end");
        assert_eq!(told(&[(0, 2, 0), (9_000, 2, 0)]), None, "a long task alone is no reason");
        assert_eq!(told(&[(0, 2, 0), (10, 1, 0), (200, 2, 0), (490, 2, 0)]), None, "another one took its place");
    }
}
