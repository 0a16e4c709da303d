//! The job: goes through the months, oldest first, and applies what changed.

use std::collections::BTreeMap;

use credit_ledger::{BillingPeriod, Policy};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{TryStreamExt, stream};
use lake::{InputDigest, JobContext, LakeError, stream_of};
use schemas::TableRow;
use schemas::records::{Detected, Joined};
use schemas::tables::{AppliedByAws, Cell, CreditBalance, CreditConsumption, LotRow};

use crate::book::CreditBook;
use crate::draws::DRAWS_IN_MEMORY;
use crate::error::FifoError;
use crate::spend::PeriodSpend;

/// Consumes the lots first in, first out, month by month. A later month is reused if its inputs and opening balances are
/// unchanged.
///
/// # Errors
/// [`FifoError::Breach`] where an invariant does not hold, [`FifoError::Memory`] where a month does not fit,
/// [`FifoError`] from the lake.
pub async fn apply_fifo(context: &JobContext, detected: &Detected, joined: Joined) -> Result<(), FifoError> {
    let run = &context.run;
    let (lots, applied): (Vec<LotRow>, Vec<AppliedByAws>) = (run.rows(None).await?, run.rows(None).await?);
    let policy = context.settings.credits.policy()?;
    let mut book = CreditBook::open(policy, context.as_of, &lots, &applied)?;
    let months: Vec<BillingPeriod> = joined.first_period.through(context.last_period()).collect();
    let inputs = month_inputs(context, detected, &book, policy, &months)?;
    // Balances of the month before, where the book has not applied it itself.
    let (mut closing, mut reused) = (Vec::new(), None);
    for (month, inputs) in inputs {
        let inputs = inputs.with("opening", &left(&closing))?.finish();
        if is_reused(context, month, &inputs).await? {
            closing = run.rows(Some(month)).await?;
            reused = Some(month);
            continue;
        }
        if let Some(before) = reused.take() {
            resume(&mut book, before, &closing)?;
        }
        closing = apply(context, detected, &mut book, (month, &inputs)).await?;
    }
    Ok(())
}

/// Puts draws and balances of the published run in place again, where they are made from the same.
async fn is_reused(context: &JobContext, month: BillingPeriod, inputs: &str) -> Result<bool, LakeError> {
    let (run, month) = (&context.run, Some(month));
    Ok(run.reuse::<CreditBalance>(month, inputs).await? && run.reuse::<CreditConsumption>(month, inputs).await?)
}

/// Takes the book up after a month that was reused.
fn resume(book: &mut CreditBook, before: BillingPeriod, balances: &[CreditBalance]) -> Result<(), LakeError> {
    if book.resume(before, balances) {
        return Ok(());
    }
    let message = format!(
        "the published credit_balances of {before} are not of the lots that its manifest says; remove the manifest.json of \
         the published run and run again, which makes everything again"
    );
    Err(LakeError::Damaged(message))
}

/// Applies the credits to one month. Returns its balances.
async fn apply(
    context: &JobContext,
    detected: &Detected,
    book: &mut CreditBook,
    (month, inputs): (BillingPeriod, &str),
) -> Result<Vec<CreditBalance>, FifoError> {
    let pool = &context.session.runtime_env().memory_pool;
    let reserved = MemoryConsumer::new("apply-fifo").register(pool);
    let spend = read_spend(context, detected, book, month, |needed| {
        let fits = reserved.try_resize(needed.saturating_add(DRAWS_IN_MEMORY));
        fits.map_err(|_refused| FifoError::Memory { period: month, needed: needed as u64 })
    });
    let applied = book.apply(spend.await?)?;
    tracing::info!(period = %month, draws = applied.consumption.rows(), "credits applied");
    let draws = stream::iter(applied.consumption.map(|batch| batch.map_err(Into::into)));
    let draws = RecordBatchStreamAdapter::new(CreditConsumption::TABLE.schema(), draws);
    context.run.write_reusable::<CreditConsumption>(Some(month), inputs, Box::pin(draws)).await?;
    drop(reserved);
    context.run.write_reusable::<CreditBalance>(Some(month), inputs, stream_of(&applied.balances)?).await?;
    Ok(applied.balances)
}

/// Reads the spend of a month that lots may draw on, as far as it fits.
async fn read_spend(
    context: &JobContext,
    detected: &Detected,
    book: &CreditBook,
    month: BillingPeriod,
    fits: impl Fn(usize) -> Result<(), FifoError>,
) -> Result<PeriodSpend, FifoError> {
    let mut reader = book.spend_reader(month);
    if reader.wants_cells() && detected.has(month) {
        let mut batches = context.run.stream::<Cell>(Some(month)).await?;
        while let Some(batch) = batches.try_next().await? {
            reader.read(&batch)?;
            fits(reader.memory())?;
        }
    }
    Ok(reader.into_spend())
}

/// What is left of each lot: a month's draws depend on that, not on how it arose.
fn left(balances: &[CreditBalance]) -> Vec<(&str, i32, credit_ledger::Money)> {
    balances.iter().map(|row| (row.credit_key.as_str(), row.lot, row.remaining)).collect()
}

/// What draws and balances of each month are made from, beside the opening balances: the lots that count by then, what AWS
/// applied, and the cells.
fn month_inputs(
    context: &JobContext,
    detected: &Detected,
    book: &CreditBook,
    policy: Policy,
    months: &[BillingPeriod],
) -> Result<BTreeMap<BillingPeriod, InputDigest>, FifoError> {
    let mut lots: Vec<_> = book.lots().map(|lot| (lot.first_period(policy), lot)).collect();
    // A digest of all lots so far: each lot is taken in once.
    let mut known = InputDigest::of_table::<CreditConsumption>()
        .with("balances", &InputDigest::of_table::<CreditBalance>().finish())?
        .with("policy", policy.name())?
        .with("first month", &months.first())?;
    let mut inputs = BTreeMap::new();
    for month in months.iter().copied() {
        for (_, lot) in lots.extract_if(.., |(first, _)| *first <= month) {
            known = known.with("lot", lot)?;
        }
        // A lot expires once the as-of date is past its end; an end after the month changes nothing in it.
        let as_of = context.as_of.min(month.next().first_day());
        let mut of_month = known.clone().with("as-of date", &as_of)?;
        for (credit_key, amount) in book.aws_applied(month) {
            of_month = of_month.with("applied by AWS", &(credit_key, amount))?;
        }
        if detected.has(month) {
            of_month = of_month.with("cells", &context.run.inputs_of::<Cell>(Some(month))?)?;
        }
        inputs.insert(month, of_month);
    }
    Ok(inputs)
}
