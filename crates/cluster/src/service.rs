//! What a scheduler answers: Ballista's service, for members of this version, and with the progress of running jobs.

use ballista_core::JobId;
use ballista_core::serde::protobuf::scheduler_grpc_server::SchedulerGrpc;
use ballista_core::serde::protobuf::{
    CancelJobParams, CancelJobResult, CleanJobDataParams, CleanJobDataResult, CreateUpdateSessionParams,
    CreateUpdateSessionResult, ExecuteQueryParams, ExecuteQueryResult, ExecutorRegistration, ExecutorStoppedParams,
    ExecutorStoppedResult, GetJobMetricsParams, GetJobMetricsResult, GetJobStatusParams, GetJobStatusResult,
    HeartBeatParams, HeartBeatResult, PollWorkParams, PollWorkResult, RegisterExecutorParams, RegisterExecutorResult,
    RemoveSessionParams, RemoveSessionResult, UpdateTaskStatusParams, UpdateTaskStatusResult,
};
use ballista_scheduler::scheduler_server::SchedulerServer;
use ballista_scheduler::state::execution_stage::ExecutionStage;
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use detect_credits::ScanProgress;
use tonic::{Request, Response, Status, async_trait};

use crate::progress::JobProgress;
use crate::version;

pub(crate) type Ballista = SchedulerServer<LogicalPlanNode, PhysicalPlanNode>;

pub(crate) struct Service(pub(crate) Ballista);

impl Service {
    async fn progress(&self, job: &str) -> JobProgress {
        let executors = self.0.state.executor_manager.get_executors_state().await.unwrap_or_default();
        let executors = executors.len() as u64;
        let running = self.0.state.task_manager.get_running_job_cache();
        let Some(job) = running.get(&JobId::from(job.to_owned())) else {
            return JobProgress { executors, counts: Vec::new() };
        };
        let graph = job.execution_graph.read().await;
        let mut counts = Vec::new();
        for stage in graph.stages().values() {
            let (ended, metrics): (usize, &[MetricsSet]) = match stage {
                ExecutionStage::Running(stage) => {
                    (stage.successful_tasks(), stage.stage_metrics.as_deref().unwrap_or_default())
                }
                ExecutionStage::Successful(stage) => (stage.partitions, &stage.stage_metrics),
                _ => continue,
            };
            counts.push((JobProgress::TASKS_ENDED.to_owned(), ended as u64));
            counts.extend(ScanProgress::METRICS.map(|name| (name.to_owned(), sum(metrics, name))));
        }
        JobProgress { executors, counts }
    }
}

fn sum(metrics: &[MetricsSet], name: &str) -> u64 {
    metrics.iter().filter_map(|of| of.sum_by_name(name)).map(|sum| sum.as_usize() as u64).sum()
}

fn named(executor: Option<&ExecutorRegistration>, remote: &str) -> String {
    let host = executor.and_then(|executor| executor.host.clone()).unwrap_or_else(|| remote.to_owned());
    format!("executor {host}:{}", executor.map_or(0, |executor| executor.port))
}

/// Where a call comes from.
fn remote<T>(request: &Request<T>) -> String {
    let address = request.extensions().get::<axum::extract::ConnectInfo<std::net::SocketAddr>>();
    address.map_or_else(|| "somewhere".to_owned(), |address| address.0.ip().to_string())
}

#[async_trait]
impl SchedulerGrpc for Service {
    type ExecuteQueryPushStream = <Ballista as SchedulerGrpc>::ExecuteQueryPushStream;

    async fn register_executor(
        &self,
        request: Request<RegisterExecutorParams>,
    ) -> Result<Response<RegisterExecutorResult>, Status> {
        version::check(request.metadata(), || named(request.get_ref().metadata.as_ref(), &remote(&request)))?;
        self.0.register_executor(request).await
    }

    async fn heart_beat_from_executor(
        &self,
        request: Request<HeartBeatParams>,
    ) -> Result<Response<HeartBeatResult>, Status> {
        version::check(request.metadata(), || named(request.get_ref().metadata.as_ref(), &remote(&request)))?;
        self.0.heart_beat_from_executor(request).await
    }

    async fn execute_query(
        &self,
        request: Request<ExecuteQueryParams>,
    ) -> Result<Response<ExecuteQueryResult>, Status> {
        version::check(request.metadata(), || format!("the scan at {}", remote(&request)))?;
        self.0.execute_query(request).await
    }

    /// The progress of a job, also of one that runs.
    async fn get_job_metrics(
        &self,
        request: Request<GetJobMetricsParams>,
    ) -> Result<Response<GetJobMetricsResult>, Status> {
        let progress = self.progress(&request.get_ref().job_id).await;
        Ok(Response::new(GetJobMetricsResult { stages: vec![progress.encoded()] }))
    }

    async fn get_job_status(
        &self,
        request: Request<GetJobStatusParams>,
    ) -> Result<Response<GetJobStatusResult>, Status> {
        self.0.get_job_status(request).await
    }

    async fn update_task_status(
        &self,
        request: Request<UpdateTaskStatusParams>,
    ) -> Result<Response<UpdateTaskStatusResult>, Status> {
        SchedulerGrpc::update_task_status(&self.0, request).await
    }

    async fn executor_stopped(
        &self,
        request: Request<ExecutorStoppedParams>,
    ) -> Result<Response<ExecutorStoppedResult>, Status> {
        self.0.executor_stopped(request).await
    }

    async fn cancel_job(&self, request: Request<CancelJobParams>) -> Result<Response<CancelJobResult>, Status> {
        SchedulerGrpc::cancel_job(&self.0, request).await
    }

    async fn clean_job_data(
        &self,
        request: Request<CleanJobDataParams>,
    ) -> Result<Response<CleanJobDataResult>, Status> {
        self.0.clean_job_data(request).await
    }

    async fn poll_work(&self, _: Request<PollWorkParams>) -> Result<Response<PollWorkResult>, Status> {
        Err(unknown())
    }

    async fn create_update_session(
        &self,
        _: Request<CreateUpdateSessionParams>,
    ) -> Result<Response<CreateUpdateSessionResult>, Status> {
        Err(unknown())
    }

    async fn remove_session(&self, _: Request<RemoveSessionParams>) -> Result<Response<RemoveSessionResult>, Status> {
        Err(unknown())
    }

    async fn execute_query_push(
        &self,
        _: Request<ExecuteQueryParams>,
    ) -> Result<Response<Self::ExecuteQueryPushStream>, Status> {
        Err(unknown())
    }
}

/// No member asks for it.
fn unknown() -> Status {
    Status::unimplemented("no member of a finops-credits cluster asks for this")
}
