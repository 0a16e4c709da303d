//! The process that does tasks: reads parts of the export and sums rows.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ballista_core::config::TaskSchedulingPolicy;
use ballista_core::error::BallistaError;
use ballista_executor::executor_process::{ExecutorProcessConfig, start_executor_process};
use cur_reader::lock;
use datafusion::common::Result as PlanResult;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::AggregateUDF;
use datafusion::physical_plan::ExecutionPlan;
use datafusion_proto::physical_plan::PhysicalExtensionCodec;
use lake::SchedulerAddress;
use object_store::ObjectStore;
use signal_hook::consts::SIGTERM;

use crate::client::{connect, endpoint, innermost};
use crate::codec::{LARGEST_MESSAGE, codec};
use crate::error::ClusterError;
use crate::signals::Signals;
use crate::version;
use crate::work_dir::WorkDir;

/// An executor of a cluster. It reads the export and touches no lake.
#[derive(Debug, Clone)]
pub struct Executor {
    /// Where the scheduler listens.
    pub scheduler: SchedulerAddress,
    /// The address it listens on.
    pub bind: IpAddr,
    /// The name or address that others reach it by; none: the one that it binds to, or its calls come from.
    pub host: Option<String>,
    /// For executors and the driver: rows.
    pub port: u16,
    /// For the scheduler: tasks.
    pub grpc_port: u16,
    /// Where it puts rows and what spills.
    pub work_dir: PathBuf,
    /// Tasks that it does at once.
    pub slots: usize,
    /// What these hold together, in bytes.
    pub memory_limit: Option<u64>,
    /// It ends when it was given no task for so long.
    pub idle_timeout: Option<Duration>,
    /// It ends after so long, whatever it does.
    pub lifetime: Option<Duration>,
}

/// A scheduler that is about to start is waited for.
const PATIENCE: Duration = Duration::from_secs(120);
/// Tasks that are at work when it is to end have so long.
const LAST_TASKS: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(200);
const HEARTBEAT_SECONDS: u64 = 5;

impl Executor {
    /// Does tasks until a signal, or the time, ends it.
    ///
    /// # Errors
    /// [`ClusterError::BadInput`] where the scheduler is of another version, [`ClusterError::Lost`] where there is none, or a
    /// port is taken.
    pub async fn run(self, export: Arc<dyn ObjectStore>) -> Result<(), ClusterError> {
        let mut signals = Signals::new()?;
        for port in [self.port, self.grpc_port] {
            let address = SocketAddr::new(self.bind, port);
            let free = TcpListener::bind(address);
            free.map_err(|error| ClusterError::Lost(format!("executor: cannot listen on {address}: {error}")))?;
        }
        let work_dir = WorkDir::within(&self.work_dir)?;
        tokio::select! {
            connected = connect(&self.scheduler, PATIENCE) => drop(connected?),
            _ = signals.next() => return Ok(()),
        }
        let given = Given::default();
        let config = Arc::new(self.config(&work_dir, export, given.clone())?);
        tracing::info!("executor on {}:{}, {} slots", self.bind, self.port, self.slots);
        let mut working = pin!(start_executor_process(config));
        let (begun, mut looks) = (Instant::now(), tokio::time::interval(LOOK));
        let mut asked: Option<Instant> = None;
        loop {
            tokio::select! {
                ended = &mut working => return outcome(ended, signals.came()),
                // It handles signals itself; this only bounds how long it takes.
                _ = signals.next() => asked = asked.or_else(|| Some(Instant::now())),
                // Each look wakes it up, too: of its own it does not see that the last task is done.
                _ = looks.tick() => {}
            }
            match asked {
                Some(at) if at.elapsed() >= LAST_TASKS => {
                    tracing::warn!("executor: tasks that were at work are dropped");
                    return Ok(());
                }
                None if self.is_over(begun, &given) => {
                    tracing::info!("executor: nothing to do, or its lifetime is over");
                    let _as_if_somebody_asked = signal_hook::low_level::raise(SIGTERM);
                }
                _ => {}
            }
        }
    }

    fn is_over(&self, begun: Instant, given: &Given) -> bool {
        let is_longer = |since: Duration, longest: Option<Duration>| longest.is_some_and(|longest| since >= longest);
        is_longer(begun.elapsed(), self.lifetime) || is_longer(given.since(begun), self.idle_timeout)
    }

    fn config(
        &self,
        work_dir: &WorkDir,
        export: Arc<dyn ObjectStore>,
        given: Given,
    ) -> Result<ExecutorProcessConfig, ClusterError> {
        let scheduler = endpoint(&self.scheduler)?;
        let folder = work_dir.path().to_string_lossy().into_owned();
        let bound = (!self.bind.is_unspecified()).then(|| self.bind.to_string());
        Ok(ExecutorProcessConfig {
            bind_host: self.bind.to_string(),
            external_host: self.host.clone().or(bound),
            port: self.port,
            grpc_port: self.grpc_port,
            scheduler_host: self.scheduler.host.clone(),
            scheduler_port: self.scheduler.port,
            concurrent_tasks: self.slots,
            task_scheduling_policy: TaskSchedulingPolicy::PushStaged,
            work_dir: Some(folder),
            // At the end it removes what it wrote, and meanwhile nothing: jobs that end say so.
            job_data_clean_up_interval_seconds: 24 * 60 * 60,
            grpc_max_decoding_message_size: LARGEST_MESSAGE,
            grpc_max_encoding_message_size: LARGEST_MESSAGE,
            executor_heartbeat_interval_seconds: HEARTBEAT_SECONDS,
            memory_pool_size: self.memory_limit,
            override_physical_codec: Some(Arc::new(Watched { codec: codec(export), given })),
            // It calls nobody else: the scheduler's idea of its own name does not matter.
            override_create_grpc_client_endpoint: Some(Arc::new(move |_| Ok(scheduler.clone()))),
            ..ExecutorProcessConfig::default()
        })
    }
}

fn outcome(ended: Result<(), BallistaError>, asked: bool) -> Result<(), ClusterError> {
    match ended {
        // Whatever failed on the way out, as a call to a scheduler that ended first.
        _ if asked => Ok(()),
        Ok(()) => Err(ClusterError::Lost("executor: it was stopped by the scheduler, or lost a port".to_owned())),
        Err(BallistaError::GrpcError(status)) => match version::refusal(&status) {
            Some(refusal) => Err(ClusterError::BadInput(refusal)),
            None => Err(ClusterError::Lost(format!("executor: {}", status.message()))),
        },
        Err(error) => Err(ClusterError::Lost(format!("executor: {}", innermost(&error)))),
    }
}

/// When a task was given last.
#[derive(Debug, Clone, Default)]
struct Given(Arc<Mutex<Option<Instant>>>);

impl Given {
    fn note(&self) {
        *lock(&self.0) = Some(Instant::now());
    }

    /// How long ago that was, or since the start.
    fn since(&self, start: Instant) -> Duration {
        lock(&self.0).unwrap_or(start).elapsed()
    }
}

/// A codec that notes when it is used: tasks come as plans.
#[derive(Debug)]
struct Watched {
    codec: Arc<dyn PhysicalExtensionCodec>,
    given: Given,
}

impl PhysicalExtensionCodec for Watched {
    fn try_decode(
        &self,
        bytes: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
        context: &TaskContext,
    ) -> PlanResult<Arc<dyn ExecutionPlan>> {
        self.given.note();
        self.codec.try_decode(bytes, inputs, context)
    }

    fn try_encode(&self, node: Arc<dyn ExecutionPlan>, bytes: &mut Vec<u8>) -> PlanResult<()> {
        self.codec.try_encode(node, bytes)
    }

    fn try_decode_udaf(&self, name: &str, bytes: &[u8]) -> PlanResult<Arc<AggregateUDF>> {
        self.codec.try_decode_udaf(name, bytes)
    }

    fn try_encode_udaf(&self, function: &AggregateUDF, bytes: &mut Vec<u8>) -> PlanResult<()> {
        self.codec.try_encode_udaf(function, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executor_that_was_asked_to_end_ends_well_whatever_failed_on_the_way_out() {
        let gone = || Err(BallistaError::General("tcp connect error".to_owned()));
        assert!(outcome(Ok(()), true).is_ok() && outcome(gone(), true).is_ok());
        let told = |ended| outcome(ended, false).unwrap_err().to_string();
        assert_eq!(told(Ok(())), "executor: it was stopped by the scheduler, or lost a port");
        assert!(told(gone()).contains("tcp connect error"), "{}", told(gone()));
    }
}
