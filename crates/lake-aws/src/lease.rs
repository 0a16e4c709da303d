//! Who is at work on a lake on S3: `lock.json`, taken and kept by conditional writes.
//!
//! A job takes the lake for its run and says again and again that it lives. A job that was killed stops saying so, and
//! the lake is free after [`LEASE`]; another job of the same run need not wait. The lease only saves runs from working
//! in vain: what is published is guarded by the pointers themselves.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use lake::{Held, LakeError, Locks};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutPayload, UpdateVersion};
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;

/// After this long without a sign of life a job counts as dead.
const LEASE: Duration = Duration::from_secs(300);
const SIGN_OF_LIFE: Duration = Duration::from_secs(75);
/// Conditional writes are not sent again by the client: whether one got through must be looked up.
const ATTEMPTS: usize = 4;
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(500);
const LOCK: &str = "lock.json";

/// Locks a lake by leases.
#[derive(Debug, Clone)]
pub(crate) struct Leases {
    objects: Arc<dyn ObjectStore>,
    location: String,
    /// How often a job says that it lives.
    every: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Lease {
    run_id: String,
    /// Seconds since 1970; 0: given back.
    until: u64,
}

#[expect(clippy::disallowed_methods, reason = "a lease runs out by the clock; no result depends on it")]
fn seconds_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

async fn put(objects: &dyn ObjectStore, lease: &Lease, mode: PutMode) -> object_store::Result<UpdateVersion> {
    let text = serde_json::to_vec(lease).unwrap_or_default();
    let done = objects.put_opts(&Path::from(LOCK), PutPayload::from(text), mode.into()).await?;
    Ok(UpdateVersion { e_tag: done.e_tag, version: done.version })
}

impl Leases {
    pub(crate) const fn new(objects: Arc<dyn ObjectStore>, location: String) -> Self {
        Self { objects, location, every: SIGN_OF_LIFE }
    }

    fn lost(&self, holder: &str) -> LakeError {
        LakeError::LostRace(format!(
            "run {holder} is at work on the lake {}; try again when it has ended (a run that was killed holds it for \
             {} minutes)",
            self.location,
            LEASE.as_secs() / 60
        ))
    }

    /// The lease as it stands and its version.
    async fn current(&self) -> Result<Option<(Lease, UpdateVersion)>, LakeError> {
        let found = match self.objects.get(&Path::from(LOCK)).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let version = UpdateVersion { e_tag: found.meta.e_tag.clone(), version: found.meta.version.clone() };
        let lease = serde_json::from_slice(&found.bytes().await?);
        let lease = lease.map_err(|source| LakeError::Record { path: format!("{}/{LOCK}", self.location), source })?;
        Ok(Some((lease, version)))
    }

    /// Says that the job lives.
    async fn renew(&self, run_id: &str, version: &mut UpdateVersion) -> Renewed {
        let lease = Lease { run_id: run_id.to_owned(), until: seconds_now() + LEASE.as_secs() };
        match put(self.objects.as_ref(), &lease, PutMode::Update(version.clone())).await {
            Ok(newer) => *version = newer,
            Err(object_store::Error::Precondition { .. }) => match self.current().await {
                // Our own sign, whose answer was lost.
                Ok(Some((held, newer))) if held.run_id == run_id && held.until > 0 => *version = newer,
                Ok(Some((held, _))) => return Renewed::Lost(held.run_id),
                _ => {}
            },
            // Storage is away for a while: the next sign may get through before the lease ends.
            Err(_) => {}
        }
        Renewed::Held
    }
}

#[async_trait]
impl Locks for Leases {
    async fn take(&self, run_id: &str) -> Result<Box<dyn Held>, LakeError> {
        let lease = Lease { run_id: run_id.to_owned(), until: seconds_now() + LEASE.as_secs() };
        let mut attempt = 0;
        loop {
            let mode = match self.current().await? {
                None => PutMode::Create,
                // Our own write, whose answer was lost.
                Some((held, version)) if held == lease => return Ok(HeldLease::keep(self, run_id, version)),
                Some((held, _)) if held.run_id != run_id && held.until > seconds_now() => {
                    return Err(self.lost(&held.run_id));
                }
                Some((_, version)) => PutMode::Update(version),
            };
            attempt += 1;
            match put(self.objects.as_ref(), &lease, mode).await {
                Ok(version) => return Ok(HeldLease::keep(self, run_id, version)),
                // Another run was faster, or the answer was lost: the lease itself tells.
                Err(_) if attempt < ATTEMPTS => tokio::time::sleep(BETWEEN_ATTEMPTS).await,
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// What came of a sign of life.
#[derive(Debug, PartialEq, Eq)]
enum Renewed {
    Held,
    /// The run that has the lake now, or gave it back.
    Lost(String),
}

/// A lease that is renewed until it is given back.
struct HeldLease {
    leases: Leases,
    run_id: String,
    version: Arc<Mutex<UpdateVersion>>,
    renewing: JoinHandle<()>,
    /// Who has it now.
    lost_to: watch::Receiver<Option<String>>,
}

impl HeldLease {
    fn keep(leases: &Leases, run_id: &str, version: UpdateVersion) -> Box<dyn Held> {
        let (lost, lost_to) = watch::channel(None);
        let (leases, run_id, version) = (leases.clone(), run_id.to_owned(), Arc::new(Mutex::new(version)));
        let renewing = tokio::spawn(renew(leases.clone(), run_id.clone(), Arc::clone(&version), lost));
        Box::new(Self { leases, run_id, version, renewing, lost_to })
    }
}

/// Says that the job lives, until another run has the lease.
async fn renew(
    leases: Leases,
    run_id: String,
    version: Arc<Mutex<UpdateVersion>>,
    lost: watch::Sender<Option<String>>,
) {
    loop {
        tokio::time::sleep(leases.every).await;
        let renewed = leases.renew(&run_id, &mut *version.lock().await).await;
        if let Renewed::Lost(holder) = renewed {
            lost.send_replace(Some(holder));
            return;
        }
    }
}

impl Drop for HeldLease {
    fn drop(&mut self) {
        self.renewing.abort();
    }
}

#[async_trait]
impl Held for HeldLease {
    async fn release(self: Box<Self>) -> Result<(), LakeError> {
        // A sign of life that is under way makes a newer version.
        let version = self.version.lock().await;
        self.renewing.abort();
        let free = Lease { run_id: self.run_id.clone(), until: 0 };
        match put(self.leases.objects.as_ref(), &free, PutMode::Update(version.clone())).await {
            // Who took it over keeps it.
            Ok(_) | Err(object_store::Error::Precondition { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn lost(&self) -> LakeError {
        let mut lost_to = self.lost_to.clone();
        let lost = lost_to.wait_for(Option::is_some).await.ok().and_then(|holder| holder.clone());
        let Some(holder) = lost else { return std::future::pending().await };
        LakeError::LostRace(format!(
            "run {holder} has taken over the lake {}: this run could not say for {} minutes that it lives, and is given up",
            self.leases.location,
            LEASE.as_secs() / 60
        ))
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use object_store::memory::InMemory;

    use super::*;

    fn leases() -> Leases {
        on(Arc::new(InMemory::new()))
    }

    fn on(objects: Arc<dyn ObjectStore>) -> Leases {
        Leases::new(objects, "s3://bucket/lake".to_owned())
    }

    #[tokio::test]
    async fn another_run_waits_until_the_lake_is_given_back() {
        let leases = leases();
        let held = leases.take("first").await.unwrap();
        let refused = leases.take("second").await.map(drop).unwrap_err();
        assert!(matches!(&refused, LakeError::LostRace(text) if text.contains("run first is at work")), "{refused}");
        held.release().await.unwrap();
        leases.take("second").await.unwrap();
    }

    #[tokio::test]
    async fn a_retry_of_the_same_run_need_not_wait_for_a_killed_attempt() {
        let leases = leases();
        let killed = leases.take("first").await.unwrap();
        drop(killed);
        let retry = leases.take("first").await.unwrap();
        assert!(leases.take("second").await.is_err());
        retry.release().await.unwrap();
    }

    #[tokio::test]
    async fn a_lease_that_ran_out_is_free() {
        let leases = leases();
        let dead = Lease { run_id: "dead".to_owned(), until: seconds_now() - 1 };
        put(leases.objects.as_ref(), &dead, PutMode::Create).await.unwrap();
        leases.take("second").await.unwrap();
    }

    #[tokio::test]
    async fn who_lost_the_lease_does_not_take_it_from_the_new_holder() {
        let leases = leases();
        let slow = leases.take("slow").await.unwrap();
        let (_, version) = leases.current().await.unwrap().unwrap();
        let new = Lease { run_id: "new".to_owned(), until: seconds_now() + 100 };
        put(leases.objects.as_ref(), &new, PutMode::Update(version)).await.unwrap();
        slow.release().await.unwrap();
        assert_eq!(leases.current().await.unwrap().unwrap().0, new);
    }

    #[tokio::test]
    async fn who_lost_the_lease_is_told_and_stops_working() {
        let leases = Leases { every: Duration::from_millis(10), ..leases() };
        let slow = lake::LakeLock::new(leases.take("slow").await.unwrap());
        let work = tokio::time::sleep(Duration::from_millis(100)).map(|()| Ok::<_, LakeError>("done"));
        assert_eq!(slow.while_held(work).await.unwrap(), "done", "it gave signs of life");
        loop {
            let (_, version) = leases.current().await.unwrap().unwrap();
            let new = Lease { run_id: "new".to_owned(), until: seconds_now() + 100 };
            if put(leases.objects.as_ref(), &new, PutMode::Update(version)).await.is_ok() {
                break;
            }
        }
        let endless = std::future::pending::<Result<(), LakeError>>();
        let told = tokio::time::timeout(Duration::from_secs(60), slow.while_held(endless)).await.unwrap().unwrap_err();
        let expected = "run new has taken over the lake s3://bucket/lake: this run could not say for 5 minutes that it \
                        lives, and is given up";
        assert_eq!(told.to_string(), expected);
    }

    #[tokio::test]
    async fn sign_of_life_whose_answer_was_lost_loses_nothing_but_a_lake_given_back_is_lost() {
        let leases = leases();
        let _held = leases.take("first").await.unwrap();
        let (lease, known) = leases.current().await.unwrap().unwrap();
        let unanswered = Lease { until: lease.until + 1, ..lease };
        put(leases.objects.as_ref(), &unanswered, PutMode::Update(known.clone())).await.unwrap();
        let mut version = known.clone();
        assert_eq!(leases.renew("first", &mut version).await, Renewed::Held);
        let free = Lease { run_id: "first".to_owned(), until: 0 };
        let (_, newest) = leases.current().await.unwrap().unwrap();
        assert_eq!((&version.e_tag, version == known), (&newest.e_tag, false), "the next sign gets through");
        put(leases.objects.as_ref(), &free, PutMode::Update(newest)).await.unwrap();
        assert_eq!(leases.renew("first", &mut version).await, Renewed::Lost("first".to_owned()));
    }

    #[tokio::test]
    async fn lease_whose_answer_was_lost_is_known_again_and_can_be_given_back() {
        let objects: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let losing = crate::testing::Losing::new(Arc::clone(&objects), 1, 0);
        let leases = on(losing);
        let held = leases.take("first").await.unwrap();
        let other = on(objects);
        let refused = other.take("second").await.map(drop).unwrap_err().to_string();
        let expected = "run first is at work on the lake s3://bucket/lake; try again when it has ended (a run that was killed \
                        holds it for 5 minutes)";
        assert_eq!(refused, expected);
        held.release().await.unwrap();
        assert_eq!(other.current().await.unwrap().unwrap().0, Lease { run_id: "first".to_owned(), until: 0 });
        other.take("second").await.unwrap();
    }

    #[tokio::test]
    async fn lake_that_is_given_back_while_a_sign_of_life_is_under_way_is_free() {
        let objects: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let answering_late = crate::testing::Losing::late(Arc::clone(&objects), Duration::from_millis(200));
        let leases = Leases { every: Duration::from_millis(10), ..on(answering_late) };
        let (held, other) = (leases.take("first").await.unwrap(), on(objects));
        let taken = other.current().await.unwrap().unwrap().1;
        while other.current().await.unwrap().unwrap().1 == taken {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        held.release().await.unwrap();
        other.take("second").await.unwrap();
    }

    #[tokio::test]
    async fn one_of_two_runs_that_take_a_free_lake_at_once_gets_it() {
        let leases = Arc::new(leases());
        for given_back in [false, true] {
            if given_back {
                let free = Lease { run_id: "before".to_owned(), until: 0 };
                put(leases.objects.as_ref(), &free, PutMode::Overwrite).await.unwrap();
            }
            let (one, other) = tokio::join!(leases.take("one"), leases.take("other"));
            assert!(one.is_ok() != other.is_ok(), "after one before them: {given_back}");
            let lost = one.and(other).map(drop).unwrap_err();
            assert!(matches!(lost, LakeError::LostRace(_)), "{lost:?}");
        }
    }

    #[tokio::test]
    async fn lease_that_cannot_be_read_is_named_and_not_taken_over() {
        let leases = leases();
        leases.objects.put(&Path::from(LOCK), PutPayload::from_static(b"{\"run_id\": ")).await.unwrap();
        let refused = leases.take("first").await.map(drop).unwrap_err();
        let is_named = matches!(&refused, LakeError::Record { path, .. } if path == "s3://bucket/lake/lock.json");
        assert!(is_named, "{refused:?}");
    }
}
