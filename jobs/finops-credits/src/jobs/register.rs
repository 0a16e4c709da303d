//! The register of credits: made from the credit lines of all periods.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use chrono::NaiveTime;
use credit_ledger::{BillingPeriod, Text};
use datafusion::physical_plan::common::spawn_buffered;
use detect_credits::history::CreditHistory;
use detect_credits::register::{Register, journal, register};
use futures::{StreamExt, TryStreamExt};
use join_allocations::entry::{Recording, revisions};
use lake::{Generation, LogSnapshot, ReferenceFiles};
use schemas::tables::{AllocationLogRow, CreditLine, CreditLogRow};
use tokio::sync::Mutex;

use super::{Detected, RegisterRecord, apart, made_from};
use crate::Failure;
use crate::run::App;

/// Hands the register and the AWS book over, but where they are made from the same as those of the published run: mostly
/// nobody wants them then.
pub(crate) async fn hand_over(
    app: &App,
    reference: &ReferenceFiles,
    generations: &BTreeMap<BillingPeriod, Generation>,
    known: &Known,
    last: BillingPeriod,
) -> Result<RegisterRecord, Failure> {
    let lines: Vec<_> = generations.iter().map(|(period, generation)| (period, &generation.fingerprint)).collect();
    let inputs = |logs: &LogStates| made_from(&(last, &lines, logs.credits.id, logs.allocations.id));
    let before = LogStates::of(app).await?;
    let wanted = inputs(&before);
    if app.lake.made_from().await?.register == wanted && !takes_over(app, reference).await? {
        return Ok(RegisterRecord { made_from: wanted, is_made: false });
    }
    let (logs, history) = futures::join!(known.logs(app, &before), credit_history(app, generations, known));
    let appended = make(app, reference, history?, &before, logs?).await?;
    let after = LogStates::of(app).await?;
    // Where somebody recorded something meanwhile, who knows whether the register has it.
    let made_from = if after.follow(&before, appended) { inputs(&after) } else { wanted };
    Ok(RegisterRecord { made_from, is_made: true })
}

/// Hands the register and the AWS book over after all. There is nothing to record of them: they are as they were.
pub(crate) async fn hand_over_awaited(app: &App, detected: &Detected) -> Result<(), Failure> {
    if detected.register.is_made {
        return Ok(());
    }
    let last = BillingPeriod::of(app.as_of);
    let of_run = detected.periods.iter().map(|of| (of.period, of.fingerprint.clone()));
    // A credit of later periods only is not gone.
    let later = app.lake.generations().await?.into_iter().filter(|(period, _)| *period > last);
    let later = later.map(|(period, generation)| (period, generation.fingerprint));
    let known = Known::nothing(last);
    let (logs, read) = futures::join!(Logs::read(app), known.add_all(app, of_run.chain(later).collect()));
    read?;
    let logs = logs?;
    write(app, register(&known.into_history(), &logs.credits, &logs.allocations)?).await
}

/// The logs that the register depends on.
#[derive(Debug, PartialEq, Eq)]
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
        let (credits, allocations) = futures::join!(credits, allocations);
        Ok(Self { credits: credits?, allocations: allocations? })
    }

    /// True if nobody but us appended since `before`.
    fn follow(&self, before: &Self, appended: Appended) -> bool {
        self.credits.follows(before.credits, appended.credits)
            && self.allocations.follows(before.allocations, appended.allocations)
    }
}

/// What was recorded of credits.
#[derive(Debug, Default)]
struct Logs {
    credits: Vec<CreditLogRow>,
    allocations: Vec<AllocationLogRow>,
}

impl Logs {
    async fn read(app: &App) -> Result<Self, Failure> {
        let (for_credits, for_allocations) = (Arc::clone(&app.lake), Arc::clone(&app.lake));
        let credits = apart(async move { for_credits.log_rows().await });
        let allocations = apart(async move { for_allocations.log_rows().await });
        let ((_, credits), (_, allocations)) = (credits.await?, allocations.await?);
        Ok(Self { credits, allocations })
    }
}

/// True where the lake is to take allocations over from the reference folder.
async fn takes_over(app: &App, reference: &ReferenceFiles) -> Result<bool, Failure> {
    if reference.allocations.is_empty() {
        return Ok(false);
    }
    let (_, recorded) = app.lake.log_rows::<AllocationLogRow>().await?;
    Ok(recorded.is_empty())
}

async fn make(
    app: &App,
    reference: &ReferenceFiles,
    history: CreditHistory,
    before: &LogStates,
    logs: Logs,
) -> Result<Appended, Failure> {
    let register = register(&history, &logs.credits, &logs.allocations)?;
    let changes = journal(&register, &logs.credits, &app.run_id, app.now);
    app.lake.append_to_log(before.credits, &logs.credits, &changes).await?;
    let taken =
        if logs.allocations.is_empty() { take_over(app, reference, &register, before.allocations).await? } else { 0 };
    write(app, register).await?;
    Ok(Appended { credits: !changes.is_empty(), allocations: taken > 0 })
}

async fn write(app: &App, Register { credits, applied }: Register) -> Result<(), Failure> {
    let (lake, run_id, handed) = (Arc::clone(&app.lake), app.run_id.clone(), app.handed_over);
    let credits = apart(async move { handed.register.write(&lake, &run_id, credits).await });
    app.handed_over.applied.write(&app.lake, &app.run_id, applied).await?;
    credits.await
}

/// What is known of credits before they are registered. Those who read the export add to it.
#[derive(Debug)]
pub(crate) struct Known {
    history: Mutex<KnownHistory>,
    logs: Mutex<Option<(LogStates, Logs)>>,
}

/// What the credit lines of some generations say.
#[derive(Debug)]
struct KnownHistory {
    /// Their fingerprints.
    of: BTreeMap<BillingPeriod, String>,
    last: BillingPeriod,
    history: CreditHistory,
}

impl KnownHistory {
    fn none(last: BillingPeriod) -> Self {
        Self { of: BTreeMap::new(), last, history: CreditHistory::until(last) }
    }
}

impl Known {
    /// Nothing yet; lines of later periods than `last` will count as seen only.
    pub(crate) fn nothing(last: BillingPeriod) -> Self {
        Self { history: Mutex::new(KnownHistory::none(last)), logs: Mutex::new(None) }
    }

    /// Adds the credit lines of a generation.
    pub(crate) async fn add(
        &self,
        period: BillingPeriod,
        fingerprint: &str,
        lines: &RecordBatch,
    ) -> Result<(), Failure> {
        let mut known = self.history.lock().await;
        known.history.add(period, lines)?;
        known.of.insert(period, fingerprint.to_owned());
        Ok(())
    }

    /// Reads the credit lines of generations and adds them.
    pub(crate) async fn add_all(&self, app: &App, generations: BTreeMap<BillingPeriod, String>) -> Result<(), Failure> {
        // Lines are decoded on other threads and added on this one.
        let opened = generations.into_iter().map(|(period, fingerprint)| {
            let lake = Arc::clone(&app.lake);
            apart(async move {
                let lines = lake.coded_generation_stream::<CreditLine>(period, &fingerprint).await?;
                Ok::<_, Failure>((period, fingerprint, spawn_buffered(lines, 1)))
            })
        });
        let mut opened = futures::stream::iter(opened).buffered(app.settings.threads());
        while let Some((period, fingerprint, mut lines)) = opened.try_next().await? {
            while let Some(lines) = lines.try_next().await? {
                self.add(period, &fingerprint, &lines).await?;
            }
        }
        Ok(())
    }

    fn into_history(self) -> CreditHistory {
        self.history.into_inner().history
    }

    /// Reads what was recorded of credits so far.
    pub(crate) async fn add_logs(&self, app: &App) -> Result<(), Failure> {
        let states = LogStates::of(app).await?;
        *self.logs.lock().await = Some((states, Logs::read(app).await?));
        Ok(())
    }

    /// What is recorded of credits now, where the logs are in this state.
    async fn logs(&self, app: &App, now: &LogStates) -> Result<Logs, Failure> {
        match self.logs.lock().await.take() {
            Some((then, logs)) if then == *now => Ok(logs),
            _ => Logs::read(app).await,
        }
    }
}

/// What the credit lines of all generations say; what is not known yet is read.
pub(crate) async fn credit_history(
    app: &App,
    generations: &BTreeMap<BillingPeriod, Generation>,
    known: &Known,
) -> Result<CreditHistory, Failure> {
    let unknown = {
        let mut known = known.history.lock().await;
        let current = |period| generations.get(period).map(|generation| &generation.fingerprint);
        if !known.of.iter().all(|(period, fingerprint)| current(period) == Some(fingerprint)) {
            *known = KnownHistory::none(known.last);
        }
        let unknown = generations.iter().filter(|(period, _)| !known.of.contains_key(period));
        unknown.map(|(period, generation)| (*period, generation.fingerprint.clone())).collect()
    };
    known.add_all(app, unknown).await?;
    let mut known = known.history.lock().await;
    let nothing = KnownHistory::none(known.last);
    Ok(std::mem::replace(&mut *known, nothing).history)
}

/// A lake whose log is still empty takes over `allocations.csv` of the reference folder, once. Rows that do not say
/// when they were recorded count as recorded at the start of the as-of date: the same on every lake. Says how many.
async fn take_over(
    app: &App,
    reference: &ReferenceFiles,
    register: &Register,
    log: LogSnapshot,
) -> Result<usize, Failure> {
    let recording = Recording {
        recorded_by: Some(Text::new_static("allocations.csv")),
        recorded_at: app.as_of.and_time(NaiveTime::MIN),
        is_stated: true,
        now: app.latest_instant(log),
    };
    let taken = revisions(&reference.allocations, &register.credits, &reference.hierarchy, &[], &recording)?;
    for warning in &taken.warnings {
        tracing::warn!("allocations.csv: {warning}");
    }
    app.lake.logs().append(&taken.rows).await?;
    Ok(taken.rows.len())
}
