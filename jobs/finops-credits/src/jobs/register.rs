//! The register of credits: made from the credit lines of all periods, or taken over where nothing it is made from changed.

use std::collections::BTreeMap;

use chrono::NaiveTime;
use credit_ledger::BillingPeriod;
use detect_credits::register::{CreditHistory, Register, journal, register};
use futures::TryStreamExt;
use join_allocations::entry::{Recording, revisions};
use lake::{Generation, LogSnapshot, ReferenceFiles};
use schemas::tables::{AllocationLogRow, CreditLine, CreditLogRow};

use super::{for_each, made_from};
use crate::Failure;
use crate::run::App;

/// Hands the register and the AWS book over. Says what they are made from.
pub(crate) async fn hand_over(
    app: &App,
    reference: &ReferenceFiles,
    generations: &BTreeMap<BillingPeriod, Generation>,
    last: BillingPeriod,
) -> Result<String, Failure> {
    let lines: Vec<_> = generations.iter().map(|(period, generation)| (period, &generation.fingerprint)).collect();
    let inputs = |logs: &LogStates| made_from(&(last, &lines, logs.credits.id, logs.allocations.id));
    let before = LogStates::of(app).await?;
    let known = inputs(&before);
    if !takes_over(app, reference).await? && app.lake.hand_over_kept_register(&app.run_id, &known).await? {
        return Ok(known);
    }
    let appended = make(app, reference, generations, last).await?;
    let after = LogStates::of(app).await?;
    if !after.follow(&before, appended) {
        // Somebody recorded something meanwhile: who knows whether the register has it.
        return Ok(known);
    }
    let made = inputs(&after);
    app.lake.keep_register(&app.run_id, &made).await?;
    Ok(made)
}

/// The logs that the register depends on.
struct LogStates {
    credits: LogSnapshot,
    allocations: LogSnapshot,
}

/// Which of the logs got rows.
struct Appended {
    credits: bool,
    allocations: bool,
}

impl LogStates {
    async fn of(app: &App) -> Result<Self, Failure> {
        let logs = app.lake.logs();
        let (credits, allocations) = (logs.snapshot::<CreditLogRow>(), logs.snapshot::<AllocationLogRow>());
        Ok(Self { credits: credits.await?, allocations: allocations.await? })
    }

    /// True if nobody but us appended since `before`.
    fn follow(&self, before: &Self, appended: Appended) -> bool {
        self.credits.follows(before.credits, appended.credits)
            && self.allocations.follows(before.allocations, appended.allocations)
    }
}

/// True where the lake is to take allocations over from the reference folder.
async fn takes_over(app: &App, reference: &ReferenceFiles) -> Result<bool, Failure> {
    Ok(!reference.allocations.is_empty() && app.lake.logs().read::<AllocationLogRow>().await?.is_empty())
}

async fn make(
    app: &App,
    reference: &ReferenceFiles,
    generations: &BTreeMap<BillingPeriod, Generation>,
    last: BillingPeriod,
) -> Result<Appended, Failure> {
    let history = credit_history(app, generations, last).await?;
    let log: Vec<CreditLogRow> = app.lake.logs().read().await?;
    let allocations: Vec<AllocationLogRow> = app.lake.logs().read().await?;
    let register = register(&history, &log, &allocations)?;
    let changes = journal(&register, &log, &app.run_id, app.now);
    app.lake.logs().append(&changes).await?;
    let taken = if allocations.is_empty() { take_over(app, reference, &register).await? } else { 0 };
    app.lake.hand_over(&app.run_id, None, &register.credits).await?;
    app.lake.hand_over(&app.run_id, None, &register.applied).await?;
    Ok(Appended { credits: !changes.is_empty(), allocations: taken > 0 })
}

/// What the credit lines of the generations say, up to a period.
pub(crate) async fn credit_history(
    app: &App,
    generations: &BTreeMap<BillingPeriod, Generation>,
    last: BillingPeriod,
) -> Result<CreditHistory, Failure> {
    let periods = generations.iter().map(|(period, generation)| (*period, generation.fingerprint.clone()));
    let histories = for_each(app, app.settings.threads(), periods, |lake, _, (period, fingerprint)| async move {
        let mut history = CreditHistory::until(last);
        let mut lines = lake.generation_stream::<CreditLine>(period, &fingerprint).await?;
        while let Some(lines) = lines.try_next().await? {
            history.add(period, &lines)?;
        }
        Ok(history)
    });
    let mut all = CreditHistory::until(last);
    histories.await?.into_iter().for_each(|history| all.merge(history));
    Ok(all)
}

/// A lake whose log is still empty takes over `allocations.csv` of the reference folder, once. Rows that do not say
/// when they were recorded count as recorded at the start of the as-of date: the same on every lake. Says how many.
async fn take_over(app: &App, reference: &ReferenceFiles, register: &Register) -> Result<usize, Failure> {
    let recording = Recording {
        recorded_by: Some("allocations.csv".to_owned()),
        recorded_at: app.as_of.and_time(NaiveTime::MIN),
        now: app.latest_instant(),
    };
    let taken = revisions(&reference.allocations, &register.credits, &reference.hierarchy, &[], &recording)?;
    for warning in &taken.warnings {
        tracing::warn!("allocations.csv: {warning}");
    }
    app.lake.logs().append(&taken.rows).await?;
    Ok(taken.rows.len())
}
