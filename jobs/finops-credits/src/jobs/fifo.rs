//! The shell of apply-fifo.

use lake::LakeLock;
use schemas::records::{Applied, Joined};

use super::{FIFO, JOIN};
use crate::Failure;
use crate::app::App;

/// Consumes the lots first in, first out, month by month.
pub(crate) async fn apply_fifo(app: &App, _lock: &LakeLock) -> Result<(), Failure> {
    let (context, detected) = (app.job_context()?, app.detected().await?);
    let joined: Joined = context.run.finished_job(JOIN).await?;
    apply_fifo::apply_fifo(&context, &detected, joined).await?;
    Ok(context.run.finish_job(FIFO, &Applied {}).await?)
}
