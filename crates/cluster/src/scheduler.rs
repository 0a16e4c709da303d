//! The process that cuts plans into tasks and gives them to executors.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::serve::ListenerExt;
use ballista_core::config::TaskSchedulingPolicy;
use ballista_core::serde::protobuf::scheduler_grpc_server::SchedulerGrpcServer;
use ballista_scheduler::cluster::BallistaCluster;
use ballista_scheduler::config::{SchedulerConfig, TaskDistributionPolicy};
use ballista_scheduler::scheduler_process::create_scheduler;
use tokio::net::TcpListener;
use tonic::service::Routes;

use crate::codec::{LARGEST_MESSAGE, codec_without_export};
use crate::error::ClusterError;
use crate::service::{Ballista, Service};
use crate::signals::Signals;

/// A scheduler of a cluster. It knows neither export nor lake.
#[derive(Debug, Clone)]
pub struct Scheduler {
    /// The address it listens on.
    pub bind: IpAddr,
    /// The port.
    pub port: u16,
    /// After so long without a sign of life an executor counts as lost.
    pub executor_timeout: Duration,
    /// It ends when it had no job for so long.
    pub idle_timeout: Option<Duration>,
    /// It ends after so long, whatever it does.
    pub lifetime: Option<Duration>,
}

const LOOK: Duration = Duration::from_millis(500);

impl Scheduler {
    /// Serves until a signal, or the time, ends it.
    ///
    /// # Errors
    /// [`ClusterError::Lost`] where the port is taken.
    pub async fn run(self) -> Result<(), ClusterError> {
        let mut signals = Signals::new()?;
        let config = Arc::new(self.config());
        let lost = |error: &dyn std::fmt::Display| ClusterError::Lost(format!("scheduler: {error}"));
        let cluster = BallistaCluster::new_from_config(&config).await.map_err(|error| lost(&error))?;
        let ballista: Ballista = create_scheduler(cluster, config).await.map_err(|error| lost(&error))?;
        let limit = LARGEST_MESSAGE as usize;
        let service = SchedulerGrpcServer::new(Service(ballista.clone()))
            .max_decoding_message_size(limit)
            .max_encoding_message_size(limit);
        let routes = Routes::new(service).prepare().into_axum_router();
        let address = SocketAddr::new(self.bind, self.port);
        let listener = TcpListener::bind(address).await;
        let listener = listener.map_err(|error| lost(&format!("cannot listen on {address}: {error}")))?;
        tracing::info!("scheduler listens on {address}");
        let listener = listener.tap_io(|stream| {
            let _slower = stream.set_nodelay(true);
        });
        let serving = axum::serve(listener, routes.into_make_service_with_connect_info::<SocketAddr>());
        tokio::select! {
            served = serving.into_future() => served.map_err(|error| lost(&error)),
            _ = signals.next() => Ok(()),
            () = self.ended(&ballista) => Ok(()),
        }
    }

    /// Waits until it has done nothing, or lived, for long enough.
    async fn ended(&self, ballista: &Ballista) {
        let begun = Instant::now();
        let mut busy = begun;
        loop {
            tokio::time::sleep(LOOK).await;
            if ballista.running_job_number() + ballista.pending_job_number() > 0 {
                busy = Instant::now();
            }
            if self.idle_timeout.is_some_and(|longest| busy.elapsed() >= longest) {
                tracing::info!("scheduler: nothing to do");
                return;
            }
            if self.lifetime.is_some_and(|longest| begun.elapsed() >= longest) {
                tracing::warn!("scheduler: its lifetime is over");
                return;
            }
        }
    }

    fn config(&self) -> SchedulerConfig {
        SchedulerConfig {
            bind_host: self.bind.to_string(),
            bind_port: self.port,
            // Only tasks that were pushed can be cancelled.
            scheduling_policy: TaskSchedulingPolicy::PushStaged,
            task_distribution: TaskDistributionPolicy::RoundRobin,
            executor_timeout_seconds: self.executor_timeout.as_secs(),
            expire_dead_executor_interval_seconds: 2,
            executor_termination_grace_period: 5,
            finished_job_data_clean_up_interval_seconds: 300,
            finished_job_state_clean_up_interval_seconds: 300,
            grpc_server_max_decoding_message_size: LARGEST_MESSAGE,
            grpc_server_max_encoding_message_size: LARGEST_MESSAGE,
            override_physical_codec: Some(codec_without_export()),
            ..SchedulerConfig::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
    use ballista_core::serde::protobuf::{ExecuteQueryParams, PollWorkParams, RegisterExecutorParams};
    use tonic::Code;
    use tonic::transport::Endpoint;

    use super::*;
    use crate::client::connect;

    fn scheduler(port: u16) -> Scheduler {
        let bind = "127.0.0.1".parse().unwrap();
        Scheduler { bind, port, executor_timeout: Duration::from_secs(60), idle_timeout: None, lifetime: None }
    }

    async fn free_port() -> u16 {
        TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
    }

    #[tokio::test]
    async fn members_of_another_version_are_refused_and_what_no_member_asks_is_not_answered() {
        let port = free_port().await;
        tokio::spawn(scheduler(port).run());
        let address = format!("df://127.0.0.1:{port}").parse().unwrap();
        let mut same = connect(&address, Duration::from_secs(20)).await.unwrap();
        let other = Endpoint::from_shared(format!("http://127.0.0.1:{port}")).unwrap();
        let other = other.user_agent("finops-credits/0.0.1-plan.1").unwrap().connect().await.unwrap();
        let mut other = SchedulerGrpcClient::new(other);
        let executor = other.register_executor(RegisterExecutorParams { metadata: None }).await.unwrap_err();
        assert_eq!(executor.code(), Code::FailedPrecondition);
        assert!(executor.message().starts_with("executor 127.0.0.1:0 is finops-credits/0.0.1-plan.1"), "{executor}");
        let scan = other.execute_query(ExecuteQueryParams::default()).await.unwrap_err();
        assert!(scan.message().starts_with("the scan at 127.0.0.1 is finops-credits/0.0.1-plan.1"), "{scan}");
        let same_version = same.execute_query(ExecuteQueryParams::default()).await.unwrap_err();
        assert_ne!(same_version.code(), Code::FailedPrecondition, "there is no plan in it: {same_version}");
        let pulled = same.poll_work(PollWorkParams::default()).await.unwrap_err();
        assert_eq!(pulled.code(), Code::Unimplemented);
    }

    #[tokio::test]
    async fn port_that_is_taken_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = taken.local_addr().unwrap().port();
        let refused = scheduler(port).run().await.unwrap_err().to_string();
        assert!(refused.starts_with(&format!("scheduler: cannot listen on 127.0.0.1:{port}: ")), "{refused}");
    }
}
