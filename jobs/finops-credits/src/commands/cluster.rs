//! `scheduler` and `executor`: the processes of a cluster.

use lake::Settings;

use crate::cli::{Executor, Scheduler};
use crate::clusters;
use crate::locations::Locations;
use crate::{Failure, Kind};

/// Runs a scheduler to its end. It needs no settings.
pub(crate) fn schedule(arguments: Scheduler) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(Kind::Storage, format!("cannot start: {error}")))?;
    let done = runtime.block_on(clusters::schedule(arguments));
    runtime.shutdown_background();
    done
}

/// Runs an executor to its end.
pub(crate) async fn execute(locations: &Locations, settings: &Settings, arguments: Executor) -> Result<(), Failure> {
    let export = locations.open_exports(settings).await?;
    clusters::execute(arguments, settings, export).await
}
