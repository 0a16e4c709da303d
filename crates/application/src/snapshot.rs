//! The credits and what is recorded about them at this moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::NaiveDateTime;
use credit_ledger::BillingPeriod;
use detect_credits::credit_history;
use detect_credits::register::{Register, register};
use join_allocations::lots::{Joined, join};
use join_allocations::record::{Recording, Stamp};
use join_allocations::renamed::by_present_names;
use lake::{Generation, LogSnapshot, ReferenceFiles, latest_instant};
use schemas::tables::{AllocationLogRow, CreditLogRow};
use tokio::sync::Mutex;

use crate::context::Context;
use crate::failure::{Failure, Kind};

/// The credits and what is recorded about them at this moment, also what the next run has not seen yet.
#[derive(Clone)]
pub struct CreditSnapshot {
    /// Every registered credit.
    pub register: Arc<Register>,
    /// The allocations log, with the names that nodes have now.
    pub log: Arc<Vec<AllocationLogRow>>,
    /// What is said to be recorded later counts as wrong.
    pub latest: NaiveDateTime,
    /// Hierarchy, rules and budgets.
    pub reference: Arc<ReferenceFiles>,
}

/// The snapshot before, for a server: what it is made from is read again only where that has changed.
#[derive(Default)]
pub struct SnapshotMemory(Mutex<Option<Remembered>>);

/// What a snapshot has that does not change with the clock.
struct Remembered {
    read_from: ReadFrom,
    reference: Arc<ReferenceFiles>,
    register: Arc<Register>,
    log: Arc<Vec<AllocationLogRow>>,
}

/// The state of the lake that was read.
#[derive(PartialEq)]
struct ReadFrom {
    last: BillingPeriod,
    generations: BTreeMap<BillingPeriod, Generation>,
    credits_log: LogSnapshot,
    allocations_log: LogSnapshot,
}

impl ReadFrom {
    async fn of(context: &Context) -> Result<Self, Failure> {
        let generations = context.lake.generations().await?;
        if generations.is_empty() {
            let location = &context.settings.lake.location;
            let message = format!("no export has been read into the lake {location} yet; `run` first");
            return Err(Failure::new(Kind::NotYet, message));
        }
        let logs = context.lake.logs();
        Ok(Self {
            last: BillingPeriod::of(context.as_of),
            generations,
            credits_log: logs.snapshot::<CreditLogRow>().await?,
            allocations_log: logs.snapshot::<AllocationLogRow>().await?,
        })
    }
}

impl Remembered {
    async fn read(context: &Context, found: ReadFrom, reference: Arc<ReferenceFiles>) -> Result<Self, Failure> {
        let ReadFrom { last, generations, .. } = found;
        let history = credit_history(&context.lake, last, &generations, context.settings.threads()).await?;
        let (credits_log, credit_rows) = context.lake.logs().read_newest::<CreditLogRow>().await?;
        let (allocations_log, log) = context.lake.logs().read_newest::<AllocationLogRow>().await?;
        Ok(Self {
            register: Arc::new(register(&history, &credit_rows, &log)?),
            log: Arc::new(by_present_names(&log, &reference.hierarchy).into_owned()),
            reference,
            // As they were read: something may have been recorded since they were looked at.
            read_from: ReadFrom { last, generations, credits_log, allocations_log },
        })
    }
}

impl SnapshotMemory {
    /// The credits at this moment.
    ///
    /// # Errors
    /// [`Kind::NotYet`] before the first run.
    pub async fn snapshot(&self, context: &Context) -> Result<CreditSnapshot, Failure> {
        let (found, reference) = (ReadFrom::of(context).await?, context.reference_files().await?);
        let mut before = self.0.lock().await;
        let stands = |before: &Remembered| before.read_from == found && Arc::ptr_eq(&before.reference, &reference);
        let known = match before.take().filter(stands) {
            Some(known) => known,
            None => Remembered::read(context, found, reference).await?,
        };
        let snapshot = CreditSnapshot {
            register: Arc::clone(&known.register),
            log: Arc::clone(&known.log),
            latest: latest_instant(context.now, context.as_of, known.read_from.allocations_log),
            reference: Arc::clone(&known.reference),
        };
        *before = Some(known);
        Ok(snapshot)
    }
}

impl CreditSnapshot {
    /// Reads them.
    ///
    /// # Errors
    /// [`Kind::NotYet`] before the first run.
    pub async fn of(context: &Context) -> Result<Self, Failure> {
        SnapshotMemory::default().snapshot(context).await
    }

    /// True where both were read from one state of the lake and of the reference files.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.register, &other.register) && Arc::ptr_eq(&self.log, &other.log)
    }

    /// How each credit stands with the log.
    #[must_use]
    pub fn joined(&self) -> Joined {
        join(&self.register.credits, &self.log, &self.reference.hierarchy, self.latest)
    }

    /// Who records something, at the instant that somebody states or now. `caller` is whom AWS names, `by` what somebody says.
    #[must_use]
    pub fn recording(
        &self,
        context: &Context,
        (caller, by): (Option<&str>, Option<&str>),
        at: Option<NaiveDateTime>,
    ) -> Recording {
        Recording {
            caller: caller.map(Into::into),
            recorded_by: by.map(Into::into),
            recorded_at: at.unwrap_or(context.now),
            stamp: if at.is_some() { Stamp::Stated } else { Stamp::Clock },
            now: self.latest,
        }
    }
}
