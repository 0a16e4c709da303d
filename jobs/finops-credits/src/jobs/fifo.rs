//! The shell of apply-fifo.

use std::collections::{BTreeMap, BTreeSet};

use apply_fifo::{CreditBook, DRAWS_IN_MEMORY, FifoError, SpendReader};
use bytesize::ByteSize;
use credit_ledger::{BillingPeriod, Policy};
use datafusion::common::DataFusionError;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{TryStreamExt, stream};
use lake::{LakeLock, MadeFrom};
use schemas::TableRow;
use schemas::tables::{Cell, CreditBalance, CreditConsumption};

use super::{Detected, FIFO, FifoRecord, JoinRecord, digest, made_from};
use crate::run::App;
use crate::{Failure, Kind};

/// Consumes the lots first in first out, period by period.
pub(crate) async fn apply_fifo(app: &App, _lock: &LakeLock) -> Result<(), Failure> {
    let (detected, joined) = (Detected::of(app).await?, JoinRecord::of(app).await?);
    let run_id = &app.run_id;
    if joined.is_published {
        let MadeFrom { credits, left, .. } = app.lake.made_from().await?;
        app.lake.finish_job(run_id, FIFO, &FifoRecord { credits, left, applied: BTreeSet::new() }).await?;
        return Ok(());
    }
    let lots = app.handed_over.lots.rows(&app.lake, run_id).await?;
    let applied = app.handed_over.applied.rows(&app.lake, run_id).await?;
    let policy = app.settings.credits.policy().map_err(|error| Failure::new(Kind::BadInput, error.to_string()))?;
    let mut published = Published::of(app).await?;
    let record = loop {
        let book = CreditBook::open(policy, app.as_of, &lots, &applied)?;
        let months = inputs(app, &book, policy, &joined);
        match fold(app, &detected, book, months, &published).await? {
            Some(record) => break record,
            // What is published does not fit together: everything is made again.
            None => published = Published::default(),
        }
    };
    app.lake.finish_job(run_id, FIFO, &record).await?;
    Ok(())
}

/// Draws and balances of the published run.
#[derive(Default)]
struct Published {
    made_from: MadeFrom,
    /// Months of which both are there, as they were written.
    held: BTreeSet<BillingPeriod>,
}

impl Published {
    async fn of(app: &App) -> Result<Self, Failure> {
        let lake = &app.lake;
        let held = lake.sound_months(&[CreditConsumption::TABLE, CreditBalance::TABLE]).await?;
        Ok(Self { made_from: lake.made_from().await?, held })
    }

    /// What was left after a month, if draws and balances of it were made from the same.
    fn left_after(&self, period: BillingPeriod, digest: &str) -> Option<&String> {
        let MadeFrom { credits, left, .. } = &self.made_from;
        let stands = self.held.contains(&period) && credits.get(&period).is_some_and(|known| known == digest);
        left.get(&period).filter(|_| stands)
    }
}

/// Applies the credits month by month. A month stands as it is published where its inputs are the same and the same was
/// left of each lot before it. None where the published balances are not of these lots.
async fn fold(
    app: &App,
    detected: &Detected,
    mut book: CreditBook,
    months: BTreeMap<BillingPeriod, String>,
    published: &Published,
) -> Result<Option<FifoRecord>, Failure> {
    let mut record = FifoRecord::default();
    let (mut left, mut stands) = (String::new(), None);
    for (period, inputs) in months {
        let digest = made_from(&(inputs, &left));
        if let Some(known) = published.left_after(period, &digest) {
            (left, stands) = (known.clone(), Some(period));
        } else {
            if let Some(before) = stands.take()
                && !book.resume(before, &app.lake.published_rows::<CreditBalance>(before).await?)
            {
                return Ok(None);
            }
            left = apply(app, detected, &mut book, period).await?;
            record.applied.insert(period);
        }
        record.credits.insert(period, digest);
        record.left.insert(period, left.clone());
    }
    Ok(Some(record))
}

/// Applies the credits to one month. Says what is left of each lot after it.
async fn apply(
    app: &App,
    detected: &Detected,
    book: &mut CreditBook,
    period: BillingPeriod,
) -> Result<String, Failure> {
    let run_id = &app.run_id;
    let mut reader = SpendReader::new(book, period);
    let reserved = reservation(app).await?;
    if reader.wants_cells() && detected.has(period) {
        let mut batches = app.lake.handed_over_stream::<Cell>(run_id, period).await?;
        while let Some(batch) = batches.try_next().await? {
            reader.read(&batch)?;
            let needed = reader.memory().saturating_add(DRAWS_IN_MEMORY);
            reserved.try_resize(needed).map_err(|_refused| too_little_memory(period, needed))?;
        }
    }
    let applied = book.apply(reader.into_spend())?;
    tracing::info!(%period, draws = applied.consumption.rows(), "credits applied");
    let rows = stream::iter(applied.consumption.map(|batch| batch.map_err(of_engine)));
    let rows = RecordBatchStreamAdapter::new(CreditConsumption::TABLE.schema(), rows);
    app.lake.hand_over_stream::<CreditConsumption>(run_id, period, Box::pin(rows)).await?;
    drop(reserved);
    app.lake.hand_over(run_id, Some(period), &applied.balances).await?;
    let left: Vec<_> = applied.balances.iter().map(|row| (&row.credit_key, row.lot, row.remaining)).collect();
    Ok(digest(&left))
}

/// What the book may hold in memory, out of what all of the run may.
async fn reservation(app: &App) -> Result<MemoryReservation, Failure> {
    Ok(MemoryConsumer::new(FIFO).register(&app.session().await?.runtime_env().memory_pool))
}

fn too_little_memory(period: BillingPeriod, needed: usize) -> Failure {
    let needed = ByteSize(needed as u64);
    let message =
        format!("the spend of {period} that lots may draw on takes {needed} or more; raise [run] memory_limit");
    Failure::new(Kind::BadInput, message)
}

fn of_engine(error: FifoError) -> DataFusionError {
    match error {
        FifoError::TemporaryFile(error) => DataFusionError::IoError(error),
        error => DataFusionError::External(error.into()),
    }
}

/// What draws and balances of each month are made from, beside what was left before it: its cells, what AWS applied, and
/// the lots that count by then.
fn inputs(app: &App, book: &CreditBook, policy: Policy, joined: &JoinRecord) -> BTreeMap<BillingPeriod, String> {
    let mut lots: Vec<_> = book.lots().map(|lot| (lot.first_period(policy), lot)).collect();
    let mut known = digest(&(policy, joined.first_period));
    let months = joined.periods(app).map(|period| {
        let counted = lots.extract_if(.., |(first, _)| *first <= period).map(|(_, lot)| lot);
        let counted: Vec<_> = counted.collect();
        // An end expires a lot once the as-of date is past it; one that lies after the period changes nothing in it.
        let as_of = app.as_of.min(period.next().first_day());
        let aws_applied: Vec<_> = book.aws_applied(period).collect();
        known = digest(&(&known, counted));
        (period, digest(&(&known, as_of, aws_applied, joined.cells.get(&period))))
    });
    months.collect()
}
