//! The shell of apply-fifo.

use std::collections::BTreeMap;

use apply_fifo::{CreditBook, SpendReader};
use credit_ledger::{BillingPeriod, Policy};
use futures::TryStreamExt;
use lake::LakeLock;
use schemas::tables::{AppliedByAws, Cell, CreditBalance, CreditConsumption, LotRow};

use super::{Detected, FIFO, FifoRecord, JoinRecord, made_from};
use crate::Failure;
use crate::run::App;

/// Consumes the lots first in first out, period by period.
pub(crate) async fn apply_fifo(app: &App, _lock: &LakeLock) -> Result<(), Failure> {
    let (detected, joined) = (Detected::of(app).await?, JoinRecord::of(app).await?);
    let run_id = &app.run_id;
    if joined.is_published {
        let credits = app.lake.made_from().await?.credits;
        app.lake.finish_job(run_id, FIFO, &FifoRecord { credits }).await?;
        return Ok(());
    }
    let lots: Vec<LotRow> = app.lake.handed_over(run_id, None).await?;
    let applied: Vec<AppliedByAws> = app.lake.handed_over(run_id, None).await?;
    let policy =
        app.settings.credits.policy().map_err(|error| Failure::new(crate::Kind::BadInput, error.to_string()))?;
    let mut book = CreditBook::open(policy, app.as_of, &lots, applied)?;
    let credits = inputs(app, &book, policy, &joined);
    let taken_over = take_over(app, &mut book, &credits).await?;
    for period in joined.periods(app).filter(|period| Some(*period) > taken_over) {
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
    app.lake.finish_job(run_id, FIFO, &FifoRecord { credits }).await?;
    Ok(())
}

/// What draws and balances of each period are made from: its cells, what AWS applied, the lots that count by then, and
/// all of that of the periods before.
fn inputs(app: &App, book: &CreditBook, policy: Policy, joined: &JoinRecord) -> BTreeMap<BillingPeriod, String> {
    let mut lots: Vec<_> = book.lots().map(|lot| (lot.first_period(policy), lot)).collect();
    let mut before = made_from(&(policy, joined.first_period));
    let chain = joined.periods(app).map(|period| {
        let counted = lots.extract_if(.., |(first, _)| *first <= period).map(|(_, lot)| lot);
        let counted: Vec<_> = counted.collect();
        // An end expires a lot once the as-of date is past it; one that lies after the period changes nothing in it.
        let as_of = app.as_of.min(period.next().first_day());
        let aws_applied: Vec<_> = book.aws_applied(period).collect();
        before = made_from(&(&before, as_of, counted, aws_applied, joined.cells.get(&period)));
        (period, before.clone())
    });
    chain.collect()
}

/// Hands over what the published run says of the first periods that are made from the same, and takes the book up
/// after the last of them.
async fn take_over(
    app: &App,
    book: &mut CreditBook,
    credits: &BTreeMap<BillingPeriod, String>,
) -> Result<Option<BillingPeriod>, Failure> {
    let (lake, run_id) = (&app.lake, &app.run_id);
    let published = lake.made_from().await?.credits;
    let mut last = None;
    for (period, _) in credits.iter().take_while(|(period, digest)| published.get(period) == Some(*digest)) {
        let whole = lake.hand_over_published::<CreditConsumption>(run_id, *period).await?
            && lake.hand_over_published::<CreditBalance>(run_id, *period).await?;
        if !whole {
            break;
        }
        last = Some(*period);
    }
    let Some(period) = last else { return Ok(None) };
    let balances: Vec<CreditBalance> = lake.handed_over(run_id, last).await?;
    Ok(last.filter(|_| book.resume(period, &balances)))
}
