//! The job: writes all published tables of the run and checks them.

use std::sync::Arc;

use credit_ledger::BillingPeriod;
use lake::{JobContext, ReferenceFiles, Run, StagedPeriod, StagedRun, map_concurrently, spawn_abort_on_drop};
use schemas::records::{Detected, DetectedPeriod, Joined};
use schemas::tables::{Credit, CreditBalance, CreditQueue};

use crate::error::NetCostError;
use crate::month::{CreditTables, Month};
use crate::standing::{self, AsOf, EndingLots, Positions};

/// What a run says of credits.
#[derive(Debug)]
pub struct WrittenCredits {
    /// `credits`
    pub credits: Vec<Credit>,
    /// `credit_queue`
    pub queue: Vec<CreditQueue>,
    /// Lots that expire soon, or have lost something.
    pub ending: EndingLots,
}

/// Writes all published tables, reusing those of unchanged months, and checks them: then the run is staged. Returns the tables of
/// credits.
///
/// # Errors
/// [`NetCostError::Breaches`] where the run does not tie out; [`NetCostError`] from the lake.
pub async fn write_net_cost(
    context: &JobContext,
    detected: &Detected,
    joined: Joined,
    reference: &Arc<ReferenceFiles>,
) -> Result<WrittenCredits, NetCostError> {
    let run = &context.run;
    let months: Vec<BillingPeriod> = joined.first_period.through(context.last_period()).collect();
    let tables = Arc::new(CreditTables::read(run).await?);
    let as_of = AsOf { date: context.as_of, expiring_soon_days: context.settings.credits.expiring_soon_days };
    let at_once = context.periods_at_once();
    let credits = spawn_abort_on_drop(write_credits(run.clone(), Arc::clone(&tables), months.clone(), at_once, as_of));
    let breaches = map_concurrently(at_once, months, |period| {
        let month = Month::new(run.clone(), &context.session, period, detected.has(period));
        let (tables, reference) = (Arc::clone(&tables), Arc::clone(reference));
        async move { month.write(&tables, &reference).await }
    });
    let breaches = breaches.await?.concat();
    let credits = credits.await?;
    if !breaches.is_empty() {
        return Err(NetCostError::Breaches(breaches));
    }
    let staged = StagedRun {
        follows: run.lake().published().await?,
        as_of: context.as_of,
        policy: context.settings.credits.policy.clone(),
        started_at: context.now,
        months: (joined.first_period, context.last_period()),
        periods: detected.periods.iter().map(staged_period).collect(),
    };
    run.finish_staging(staged).await?;
    Ok(credits)
}

/// Writes `credits` and `credit_queue`. Of the balances of all months so many are in memory `at_once`.
async fn write_credits(
    run: Run,
    tables: Arc<CreditTables>,
    months: Vec<BillingPeriod>,
    at_once: usize,
    as_of: AsOf,
) -> Result<WrittenCredits, NetCostError> {
    let mut positions = Positions::new();
    for some in months.chunks(at_once) {
        let read = map_concurrently(at_once, some.iter().copied(), |month| {
            let run = run.clone();
            async move { run.rows::<CreditBalance>(Some(month)).await }
        });
        for balances in read.await? {
            standing::add_month(&mut positions, &balances)?;
        }
    }
    let CreditTables { register, allocated, lots, .. } = &*tables;
    let queue = standing::queue(register, allocated, as_of.date);
    let credits = standing::credits(register, allocated, lots, &positions, as_of)?;
    let ending = standing::ending_lots(lots, &positions, as_of)?;
    futures::try_join!(run.write(None, &credits), run.write(None, &queue))?;
    Ok(WrittenCredits { credits, queue, ending })
}

fn staged_period(detected: &DetectedPeriod) -> StagedPeriod {
    StagedPeriod {
        billing_period: detected.period,
        fingerprint: detected.fingerprint.clone(),
        lines: detected.lines,
        payers: detected.notes.payers.clone(),
        exclusions_not_applied: detected.notes.exclusions_not_applied.clone(),
    }
}

#[cfg(test)]
mod tests;
