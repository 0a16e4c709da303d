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
            register: Arc::new(register(history, &credit_rows, &log)?),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{AS_OF, Shop, date, entered, instant};

    fn standing(snapshot: &CreditSnapshot) -> Vec<String> {
        let rows = snapshot.joined().credits;
        rows.iter().map(|row| format!("{} {}", row.credit_key, row.waiting.as_deref().unwrap_or("allocated"))).collect()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn before_the_first_run_it_is_said_that_there_is_nothing_to_answer_from() {
        let shop = Shop::new();
        let failure = CreditSnapshot::of(&shop.context(AS_OF).await).await.err().unwrap();
        let lake = shop.path("lake");
        let expected = format!("no export has been read into the lake {} yet; `run` first", lake.display());
        assert_eq!((failure.kind, failure.to_string()), (Kind::NotYet, expected));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_somebody_records_stands_at_once_and_what_did_not_change_is_not_read_again() {
        let (shop, memory) = (Shop::new(), SnapshotMemory::default());
        let context = shop.night("night-1", AS_OF).await;
        let first = memory.snapshot(&context).await.unwrap();
        let expected = [
            "code:Activate@111111111111 never_allocated",
            "code:Activate@222222222222 never_allocated",
            "id:42 allocated",
        ];
        assert_eq!(standing(&first), expected);
        let again = memory.snapshot(&shop.context(AS_OF).await).await.unwrap();
        assert!(again.is_same(&first), "nothing has changed");
        shop.record(&[entered("code:Activate@222222222222", "20", "Media", None)]).await;
        let recorded = memory.snapshot(&shop.context(AS_OF).await).await.unwrap();
        assert!(!recorded.is_same(&first));
        assert_eq!(standing(&recorded)[1], "code:Activate@222222222222 allocated");
        assert_eq!(standing(&first)[1], "code:Activate@222222222222 never_allocated", "a snapshot stays as it was");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn reference_files_and_the_month_are_part_of_what_is_remembered() {
        let (shop, memory) = (Shop::new(), SnapshotMemory::default());
        let first = memory.snapshot(&shop.night("night-1", AS_OF).await).await.unwrap();
        shop.write("reference/hierarchy.csv", "business_unit,department,portfolio,product\nRetail,,,\nMedia,,,\n");
        shop.write(
            "reference/cost_rules.csv",
            &shop.read("reference/cost_rules.csv").replace("Retail,Online", "Retail,"),
        );
        shop.reference_changed().await;
        let without_online = memory.snapshot(&shop.context(AS_OF).await).await.unwrap();
        assert!(!without_online.is_same(&first));
        assert_eq!(standing(&without_online)[2], "id:42 allocation_invalid");
        let february = memory.snapshot(&shop.context("2026-02-28").await).await.unwrap();
        assert!(!february.is_same(&without_online), "credits are those up to the month of the as-of date");
        let december = memory.snapshot(&shop.context("2025-12-31").await).await.unwrap();
        assert_eq!(standing(&december), [""; 0], "no credit has a line as early");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn whoever_records_is_named_as_stated_and_beside_whom_aws_names() {
        let shop = Shop::new();
        let context = shop.night("night-1", AS_OF).await;
        let snapshot = CreditSnapshot::of(&context).await.unwrap();
        let stated = snapshot.recording(&context, (None, Some("jane")), Some(instant("2026-01-25T08:00:00")));
        assert_eq!((stated.recorded_at, stated.stamp), (instant("2026-01-25T08:00:00"), Stamp::Stated));
        let now = snapshot.recording(&context, (None, None), None);
        assert_eq!((now.recorded_at, now.stamp, now.recorded_by), (context.now, Stamp::Clock, None));
        assert!(now.now >= context.now && now.now >= context.as_of.and_hms_opt(23, 59, 59).unwrap());
        assert_eq!(context.as_of, date(AS_OF));
    }
}
