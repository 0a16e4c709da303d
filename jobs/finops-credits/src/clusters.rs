//! The engine of several machines, where the program is built with it.

use std::sync::Arc;

use detect_credits::ScanEngine;
use lake::Settings;

use crate::Failure;

#[cfg(feature = "ballista")]
pub(crate) use with::{engine, execute, schedule};
#[cfg(not(feature = "ballista"))]
pub(crate) use without::{engine, execute, schedule};

/// Does the work that an engine takes part in. However it ends, nothing of it goes on there.
pub(crate) async fn ended<T>(engine: Option<Arc<dyn ScanEngine>>, work: impl Future<Output = T>) -> T {
    let done = work.await;
    if let Some(engine) = engine {
        engine.end().await;
    }
    done
}

#[cfg(feature = "ballista")]
mod with {
    use std::time::Duration;

    use cluster::{Cluster, ClusterError};
    use object_store::ObjectStore;

    use super::{Arc, Failure, ScanEngine, Settings};
    use crate::Kind;
    use crate::cli::{Executor, Limits, Scheduler};

    fn failure(error: &ClusterError) -> Failure {
        let kind = match error {
            ClusterError::BadInput(_) => Kind::BadInput,
            ClusterError::Lost(_) => Kind::Storage,
        };
        Failure::new(kind, error.to_string())
    }

    /// The engine of the settings; none: this process.
    pub(crate) fn engine(settings: &Settings) -> Result<Option<Arc<dyn ScanEngine>>, Failure> {
        let Some(scheduler) = settings.engine.cluster() else { return Ok(None) };
        let cluster = Cluster::new(scheduler.clone(), settings.engine.clone()).map_err(|error| failure(&error))?;
        Ok(Some(Arc::new(cluster)))
    }

    fn seconds(seconds: Option<u64>) -> Option<Duration> {
        seconds.map(Duration::from_secs)
    }

    /// Runs a scheduler to its end.
    pub(crate) async fn schedule(arguments: Scheduler) -> Result<(), Failure> {
        let Scheduler { bind, port, executor_timeout, limits: Limits { idle_timeout, lifetime } } = arguments;
        let scheduler = cluster::Scheduler {
            bind,
            port,
            executor_timeout: Duration::from_secs(executor_timeout),
            idle_timeout: seconds(idle_timeout),
            lifetime: seconds(lifetime),
        };
        scheduler.run().await.map_err(|error| failure(&error))
    }

    /// Runs an executor to its end.
    pub(crate) async fn execute(
        arguments: Executor,
        settings: &Settings,
        export: Arc<dyn ObjectStore>,
    ) -> Result<(), Failure> {
        let Executor { scheduler, work_dir, bind, host, port, grpc_port, slots, memory_limit, limits } = arguments;
        let memory_limit = memory_limit.or_else(|| settings.memory_limit());
        let executor = cluster::Executor {
            scheduler,
            bind,
            host,
            port,
            grpc_port: grpc_port.unwrap_or_else(|| port.saturating_add(1)),
            work_dir,
            slots: slots.unwrap_or_else(|| settings.threads()),
            memory_limit: memory_limit.map(|limit| limit.as_u64()),
            idle_timeout: seconds(limits.idle_timeout),
            lifetime: seconds(limits.lifetime),
        };
        executor.run(export).await.map_err(|error| failure(&error))
    }
}

#[cfg(not(feature = "ballista"))]
mod without {
    use object_store::ObjectStore;

    use super::{Arc, Failure, ScanEngine, Settings};
    use crate::Kind;
    use crate::cli::{Executor, Scheduler};

    fn missing() -> Failure {
        let message = "this needs a cluster, but the program is built without Ballista; build it with `cargo build \
                       --release --features ballista`";
        Failure::new(Kind::Usage, message)
    }

    pub(crate) fn engine(settings: &Settings) -> Result<Option<Arc<dyn ScanEngine>>, Failure> {
        settings.engine.cluster().map_or(Ok(None), |_| Err(missing()))
    }

    pub(crate) async fn schedule(_: Scheduler) -> Result<(), Failure> {
        Err(missing())
    }

    pub(crate) async fn execute(_: Executor, _: &Settings, _: Arc<dyn ObjectStore>) -> Result<(), Failure> {
        Err(missing())
    }
}
