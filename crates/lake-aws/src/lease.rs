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
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

/// After this long without a sign of life a job counts as dead.
const LEASE: Duration = Duration::from_secs(300);
const SIGN_OF_LIFE: Duration = Duration::from_secs(75);
/// Conditional writes are not sent again by the client: whether one got through must be looked up.
const ATTEMPTS: usize = 4;
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(500);
const LOCK: &str = "lock.json";

/// Locks a lake by leases.
#[derive(Debug)]
pub(crate) struct Leases {
    pub(crate) objects: Arc<dyn ObjectStore>,
    pub(crate) location: String,
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
    fn lost(&self, holder: &str) -> LakeError {
        LakeError::LostRace(format!(
            "run {holder} is at work on the lake {}; try again when it has ended (a run that was killed holds it for \
             {} minutes)",
            self.location,
            LEASE.as_secs() / 60
        ))
    }

    fn keep(&self, run_id: &str, version: UpdateVersion) -> Box<dyn Held> {
        Box::new(HeldLease::keep(Arc::clone(&self.objects), run_id.to_owned(), version))
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
                Some((held, version)) if held == lease => return Ok(self.keep(run_id, version)),
                Some((held, _)) if held.run_id != run_id && held.until > seconds_now() => {
                    return Err(self.lost(&held.run_id));
                }
                Some((_, version)) => PutMode::Update(version),
            };
            attempt += 1;
            match put(self.objects.as_ref(), &lease, mode).await {
                Ok(version) => return Ok(self.keep(run_id, version)),
                // Another run was faster, or the answer was lost: the lease itself tells.
                Err(_) if attempt < ATTEMPTS => tokio::time::sleep(BETWEEN_ATTEMPTS).await,
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// A lease that is renewed until it is given back.
struct HeldLease {
    objects: Arc<dyn ObjectStore>,
    run_id: String,
    version: Arc<Mutex<UpdateVersion>>,
    renewing: JoinHandle<()>,
}

impl HeldLease {
    fn keep(objects: Arc<dyn ObjectStore>, run_id: String, version: UpdateVersion) -> Self {
        let version = Arc::new(Mutex::new(version));
        let renewing = tokio::spawn(renew(Arc::clone(&objects), run_id.clone(), Arc::clone(&version)));
        Self { objects, run_id, version, renewing }
    }
}

/// Says that the job lives, until somebody else has the lease.
async fn renew(objects: Arc<dyn ObjectStore>, run_id: String, version: Arc<Mutex<UpdateVersion>>) {
    loop {
        tokio::time::sleep(SIGN_OF_LIFE).await;
        let mut version = version.lock().await;
        let lease = Lease { run_id: run_id.clone(), until: seconds_now() + LEASE.as_secs() };
        match put(objects.as_ref(), &lease, PutMode::Update(version.clone())).await {
            Ok(newer) => *version = newer,
            Err(object_store::Error::Precondition { .. }) => return,
            // Storage is away for a while: the next sign may get through before the lease ends.
            Err(_) => {}
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
        self.renewing.abort();
        let version = self.version.lock().await.clone();
        let free = Lease { run_id: self.run_id.clone(), until: 0 };
        match put(self.objects.as_ref(), &free, PutMode::Update(version)).await {
            // Who took it over keeps it.
            Ok(_) | Err(object_store::Error::Precondition { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    fn leases() -> Leases {
        Leases { objects: Arc::new(InMemory::new()), location: "s3://bucket/lake".to_owned() }
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
    async fn lease_whose_answer_was_lost_is_known_again_and_can_be_given_back() {
        let objects: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let losing = crate::testing::Losing::new(Arc::clone(&objects), 1, 0);
        let leases = Leases { objects: losing, location: "s3://bucket/lake".to_owned() };
        let held = leases.take("first").await.unwrap();
        let other = Leases { objects, location: "s3://bucket/lake".to_owned() };
        let refused = other.take("second").await.map(drop).unwrap_err().to_string();
        let expected = "run first is at work on the lake s3://bucket/lake; try again when it has ended (a run that was killed \
                        holds it for 5 minutes)";
        assert_eq!(refused, expected);
        held.release().await.unwrap();
        assert_eq!(other.current().await.unwrap().unwrap().0, Lease { run_id: "first".to_owned(), until: 0 });
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
