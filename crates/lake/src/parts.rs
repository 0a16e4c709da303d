//! The parts of a lake in which one place differs from another: an adapter brings its own.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use credit_ledger::BillingPeriod;
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
}

/// Held while a job works on the lake.
pub struct LakeLock(Box<dyn Held>);

impl LakeLock {
    pub(crate) fn new(held: Box<dyn Held>) -> Self {
        Self(held)
    }

    /// Gives the lake back.
    ///
    /// # Errors
    /// [`LakeError`] where storage refuses; the lake is free then after a while.
    pub async fn release(self) -> Result<(), LakeError> {
        self.0.release().await
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
