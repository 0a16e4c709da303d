//! The shell of detect-credits.

use application::take_inbox;
use lake::LakeLock;

use super::DETECT;
use crate::Failure;
use crate::app::App;
use crate::clusters::ended;
use crate::progress::ScanBar;

/// Reads what changed in the export, registers credits, and takes in allocations: those that a new lake begins with, and what
/// people put into the inbox.
pub(crate) async fn detect_credits(app: &App, lock: &LakeLock) -> Result<(), Failure> {
    let (context, reference, source) =
        (app.job_context()?, app.context.reference_files().await?, app.export_on_engine().await?);
    context.run.begin().await?;
    let bar = ScanBar::new(app.watched);
    let engine = source.engine.clone();
    let detecting = detect_credits::detect_credits(&context, source, &reference, bar.progress());
    let mut detected = ended(engine, lock.while_held(bar.watch(detecting))).await?;
    detected.fetched = app.locations.fetched();
    join_allocations::import_initial_allocations(&context, &reference).await?;
    detected.inbox = take_inbox(&app.context, Some(&app.run_id)).await?;
    Ok(context.run.finish_job(DETECT, &detected).await?)
}

#[cfg(test)]
mod tests;
