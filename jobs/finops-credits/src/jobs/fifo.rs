//! The shell of apply-fifo.

use std::collections::BTreeMap;

use apply_fifo::{CreditBook, SpendReader};
use credit_ledger::{BillingPeriod, Policy};
use futures::TryStreamExt;
use lake::LakeLock;
use schemas::tables::{Cell, CreditBalance, CreditConsumption, LotRow};

use super::{Detected, FIFO, FifoRecord, JoinRecord, made_from};
use crate::Failure;
use crate::run::App;

/// Consumes the lots first in first out, period by period.
pub(crate) async fn apply_fifo(app: &App, _lock: &LakeLock) -> Result<(), Failure> {
    let (detected, joined) = (Detected::of(app).await?, JoinRecord::of(app).await?);
    let run_id = &app.run_id;
    if joined.is_published {
        let credits = app.lake.made_from().await?.credits;
        let published_until = credits.last_key_value().map(|(period, _)| *period);
        app.lake.finish_job(run_id, FIFO, &FifoRecord { credits, published_until }).await?;
        return Ok(());
    }
    let lots: Vec<LotRow> = app.lake.handed_over(run_id, None).await?;
    let applied = app.handed_over.applied.rows(&app.lake, run_id).await?;
    let policy =
        app.settings.credits.policy().map_err(|error| Failure::new(crate::Kind::BadInput, error.to_string()))?;
    let mut book = CreditBook::open(policy, app.as_of, &lots, &applied)?;
    let credits = inputs(app, &book, policy, &joined);
    let published_until = resume(app, &mut book, &credits).await?;
    for period in joined.periods(app).filter(|period| Some(*period) > published_until) {
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
    app.lake.finish_job(run_id, FIFO, &FifoRecord { credits, published_until }).await?;
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

/// Takes the book up after the last of the first months that the published run made from the same. Says which that is.
async fn resume(
    app: &App,
    book: &mut CreditBook,
    credits: &BTreeMap<BillingPeriod, String>,
) -> Result<Option<BillingPeriod>, Failure> {
    let lake = &app.lake;
    let published = lake.made_from().await?.credits;
    let draws = lake.published_periods::<CreditConsumption>().await?;
    let balances = lake.published_periods::<CreditBalance>().await?;
    let stands = |(period, digest): &(&BillingPeriod, &String)| {
        published.get(period) == Some(*digest) && draws.contains(period) && balances.contains(period)
    };
    let Some((period, _)) = credits.iter().take_while(stands).last() else { return Ok(None) };
    let balances: Vec<CreditBalance> = lake.published_rows(*period).await?;
    Ok(book.resume(*period, &balances).then_some(*period))
}
