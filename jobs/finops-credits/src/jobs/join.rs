//! The shell of join-allocations.

use lake::LakeLock;

use super::JOIN;
use crate::Failure;
use crate::app::App;
use crate::cli::Join;

/// Turns recorded allocations into lots, and spend into cells.
pub(crate) async fn join_allocations(app: &App, _lock: &LakeLock, arguments: Join) -> Result<(), Failure> {
    let (context, detected, reference) =
        (app.job_context()?, app.detected().await?, app.context.reference_files().await?);
    let accepts = arguments.accept_removed_nodes;
    let joined = join_allocations::join_allocations(&context, &detected, &reference, accepts).await?;
    Ok(context.run.finish_job(JOIN, &joined).await?)
}
