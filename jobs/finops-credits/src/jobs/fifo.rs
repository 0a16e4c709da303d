//! The shell of apply-fifo.

use apply_fifo::{CreditBook, SpendReader};
use futures::TryStreamExt;
use lake::LakeLock;
use schemas::tables::{AppliedByAws, Cell, LotRow};

use super::{Detected, FIFO, JoinRecord};
use crate::Failure;
use crate::run::App;

/// Consumes the lots first in first out, period by period.
pub(crate) async fn apply_fifo(app: &App, _lock: &LakeLock) -> Result<(), Failure> {
    let (detected, joined) = (Detected::of(app).await?, JoinRecord::of(app).await?);
    let run_id = &app.run_id;
    let lots: Vec<LotRow> = app.lake.handed_over(run_id, None).await?;
    let applied: Vec<AppliedByAws> = app.lake.handed_over(run_id, None).await?;
    let policy =
        app.settings.credits.policy().map_err(|error| Failure::new(crate::Kind::BadInput, error.to_string()))?;
    let mut book = CreditBook::open(policy, app.as_of, &lots, applied)?;
    for period in joined.periods(app) {
        let mut cells = Vec::new();
        if let Some(mut reader) = SpendReader::new(&book, period).filter(|_| detected.has(period)) {
            let mut batches = app.lake.handed_over_stream::<Cell>(run_id, period).await?;
            while let Some(batch) = batches.try_next().await? {
                reader.read(&batch)?;
            }
            cells = reader.into_cells();
        }
        let applied = book.apply(period, &cells)?;
        tracing::info!(%period, draws = applied.consumption.len(), "credits applied");
        app.lake.hand_over(run_id, Some(period), &applied.consumption).await?;
        app.lake.hand_over(run_id, Some(period), &applied.balances).await?;
    }
    app.lake.finish_job(run_id, FIFO, &app.as_of).await?;
    Ok(())
}
