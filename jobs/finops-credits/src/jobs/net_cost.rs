//! The shell of write-net-cost.

use join_allocations::check::check_run;
use lake::LakeLock;
use schemas::records::{Applied, Joined, Staged};

use super::{FIFO, JOIN, NET_COST};
use crate::Failure;
use crate::app::App;
use crate::digest::Digest;
use crate::report::Report;

/// Writes all published tables and checks them: then the run is staged. Returns what it found.
pub(crate) async fn write_net_cost(app: &App, _lock: &LakeLock) -> Result<Report, Failure> {
    let (context, detected, reference) =
        (app.job_context()?, app.detected().await?, app.context.reference_files().await?);
    let joined: Joined = context.run.finished_job(JOIN).await?;
    let Applied {} = context.run.finished_job(FIFO).await?;
    let written =
        async { Ok::<_, Failure>(write_net_cost::write_net_cost(&context, &detected, joined, &reference).await?) };
    let (credits, checks) =
        futures::try_join!(written, async { Ok(check_run(&context, &detected, &reference).await?) })?;
    let report = Report::read(&context, &detected, &credits, checks, &reference, app.as_of_pinned_in.clone()).await?;
    context.run.write_summary(&Digest::of(&report, &app.context.settings.lake.database)).await?;
    context.run.finish_job(NET_COST, &Staged {}).await?;
    Ok(report)
}
