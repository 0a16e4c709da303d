//! An open lake, wherever it lies.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::prelude::SessionContext;
use futures::lock::Mutex;
use iceberg::Catalog;
use object_store::ObjectStore;
use schemas::tables::RunLogRow;

use crate::publishing::Pointer;
use crate::store::Store;
use crate::{LakeError, LogSnapshot, Logs, Settings};

/// An open lake.
pub struct Lake {
    pub(crate) location: String,
    pub(crate) store: Store,
    pub(crate) pointer: Box<dyn Pointer>,
    pub(crate) keep_runs: usize,
    locks: Box<dyn Locks>,
    logs: Logs,
    /// The log of published runs as it was read last, and in which state.
    pub(crate) run_log: Mutex<Option<(LogSnapshot, Arc<Vec<RunLogRow>>)>>,
}

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
    /// Root of the logs' files, without a closing `/`.
    pub warehouse: String,
}

/// How the engine finds the lake's files.
#[derive(Debug, Clone)]
pub struct EngineStore {
    /// Address of the lake's root, with a closing `/`.
    pub url: String,
    /// What the engine does not know by itself: the store of the address's host, from its root.
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
    /// Gives the lake back.
    ///
    /// # Errors
    /// [`LakeError`] where storage refuses; the lake is free then after a while.
    pub async fn release(self) -> Result<(), LakeError> {
        self.0.release().await
    }
}

impl Lake {
    /// Opens a lake of these parts, making the logs where they are not there yet.
    ///
    /// # Errors
    /// [`LakeError::Iceberg`] where the catalogue refuses.
    pub async fn of_parts(parts: LakeParts, settings: &Settings) -> Result<Self, LakeError> {
        let logs = Logs::open(parts.catalog, &settings.lake.database, &parts.warehouse).await?;
        Ok(Self {
            location: parts.location,
            store: Store::new(parts.objects, parts.engine, parts.folder),
            pointer: parts.pointer,
            keep_runs: settings.run.keep_runs,
            locks: parts.locks,
            logs,
            run_log: Mutex::default(),
        })
    }

    /// The Iceberg logs.
    #[must_use]
    pub const fn logs(&self) -> &Logs {
        &self.logs
    }

    /// Lets the engine find the lake's files.
    ///
    /// # Errors
    /// [`LakeError::Engine`] for an address that is none.
    pub fn register_with(&self, context: &SessionContext) -> Result<(), LakeError> {
        self.store.register_with(context)
    }

    /// Takes the lake for one job. Recording allocations and reading need no lock.
    ///
    /// # Errors
    /// [`LakeError::LostRace`] while another run holds it.
    pub async fn lock(&self, run_id: &str) -> Result<LakeLock, LakeError> {
        Ok(LakeLock(self.locks.take(run_id).await?))
    }
}
