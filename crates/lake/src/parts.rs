//! The parts of a lake in which one place differs from another: an adapter brings its own.

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;

use async_trait::async_trait;
use credit_ledger::BillingPeriod;
use futures::future::{Either, select};
use iceberg::Catalog;
use object_store::ObjectStore;

use crate::error::LakeError;

/// What a lake is made of: the parts in which one place differs from another.
pub struct LakeParts {
    /// What people call it: a folder, or `s3://bucket/prefix`.
    pub location: String,
    /// Its files, from its root.
    pub objects: Arc<dyn ObjectStore>,
    /// Where the engine finds them.
    pub engine: EngineStore,
    /// Its folder, where it lies in a file system.
    pub folder: Option<PathBuf>,
    /// Which run is published.
    pub pointer: Box<dyn Pointer>,
    /// Who is at work.
    pub locks: Box<dyn Locks>,
    /// Catalogue of the Iceberg logs.
    pub catalog: Arc<dyn Catalog>,
    /// What people call the catalogue.
    pub catalog_name: String,
    /// Root of the logs' files, without a closing `/`.
    pub warehouse: String,
}

/// How the engine finds the lake's files.
#[derive(Debug, Clone)]
pub struct EngineStore {
    /// Address of the lake's root, with a closing `/`.
    pub url: String,
    /// The store of the address's host, from its root.
    pub host: Option<Arc<dyn ObjectStore>>,
}

/// Keeps jobs of different runs apart.
#[async_trait]
pub trait Locks: Send + Sync {
    /// Takes the lake for one job of a run.
    ///
    /// # Errors
    /// [`LakeError::LostRace`] while another run holds it.
    async fn take(&self, run_id: &str) -> Result<Box<dyn Held>, LakeError>;
}

/// A lake that is taken.
#[async_trait]
pub trait Held: Send + Sync {
    /// Gives it back.
    async fn release(self: Box<Self>) -> Result<(), LakeError>;

    /// Waits until another run has taken it, which never happens to what is held by the operating system.
    async fn lost(&self) -> LakeError {
        std::future::pending().await
    }
}

/// Held while a job works on the lake.
pub struct LakeLock(Box<dyn Held>);

impl LakeLock {
    /// What is held.
    #[must_use]
    pub fn new(held: Box<dyn Held>) -> Self {
        Self(held)
    }

    /// Gives the lake back.
    ///
    /// # Errors
    /// [`LakeError`] where storage refuses; the lake is free then after a while.
    pub async fn release(self) -> Result<(), LakeError> {
        self.0.release().await
    }

    /// Does work that is in vain once another run has taken the lake; then it is dropped where it stands.
    ///
    /// # Errors
    /// [`LakeError::LostRace`] once another run has taken the lake; those of the work.
    pub async fn while_held<T, E: From<LakeError>>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        match select(pin!(work), self.0.lost()).await {
            Either::Left((done, _)) => done,
            Either::Right((lost, _)) => Err(lost.into()),
        }
    }
}

/// Says which run is published. The embedded lake has a symbolic link; a cloud adapter brings its own.
#[async_trait]
pub trait Pointer: Send + Sync {
    /// The published run, if any.
    async fn published(&self) -> Result<Option<String>, LakeError>;
    /// Publishes `run_id`, which follows `follows`, whose months are `periods`: a reader sees a table of the run before
    /// or of this one. Completes a switch to `run_id` that broke off.
    ///
    /// # Errors
    /// [`LakeError::LostRace`] where another run was published meanwhile.
    async fn switch(&self, run_id: &str, follows: Option<&str>, periods: PeriodRange) -> Result<(), LakeError>;
}

/// First and last month of a run's tables.
pub type PeriodRange = (BillingPeriod, BillingPeriod);
