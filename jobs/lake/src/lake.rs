//! An open lake, wherever it lies.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use credit_ledger::BillingPeriod;
use datafusion::prelude::SessionContext;
use futures::lock::Mutex;
use iceberg::Catalog;
use object_store::ObjectStore;
use schemas::tables::RunLogRow;
use uuid::Uuid;

use crate::logs::LogPlaces;
use crate::publishing::Pointer;
use crate::store::Store;
use crate::{LakeError, LogSnapshot, Logs, MadeFrom, RepairedLog, Settings};

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
    /// Names the folders that this process reads periods into.
    pub(crate) attempt: String,
    pub(crate) found: Found,
}

/// What this process has found in the lake: all of a command works with the same.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The run that was published when it first asked.
    pub(crate) published: Mutex<Option<Option<String>>>,
    /// The run whose manifest it read.
    pub(crate) manifest_of: Mutex<Option<String>>,
    /// What that run was made from.
    pub(crate) made_from: Mutex<Option<MadeFrom>>,
    /// Folders of generations, by period and fingerprint.
    pub(crate) generations: std::sync::Mutex<BTreeMap<(BillingPeriod, String), String>>,
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
    /// Gives the lake back.
    ///
    /// # Errors
    /// [`LakeError`] where storage refuses; the lake is free then after a while.
    pub async fn release(self) -> Result<(), LakeError> {
        self.0.release().await
    }
}

impl Lake {
    /// Opens a lake of these parts, making the logs of a new one.
    ///
    /// # Errors
    /// [`LakeError::Iceberg`] where the catalogue refuses, [`LakeError::Damaged`] where it has lost logs.
    pub async fn of_parts(parts: LakeParts, settings: &Settings) -> Result<Self, LakeError> {
        let lake = Self::unchecked(parts, settings);
        lake.logs.create_missing().await?;
        Ok(lake)
    }

    /// Registers the logs again that the catalogue of a lake has lost; see [`RepairedLog`].
    ///
    /// # Errors
    /// [`LakeError::Damaged`] where something recorded would be lost and that is not accepted;
    /// [`LakeError::LostRace`] while a run holds the lake.
    pub async fn repair(
        parts: LakeParts,
        settings: &Settings,
        accept_loss: bool,
    ) -> Result<Vec<RepairedLog>, LakeError> {
        let lake = Self::unchecked(parts, settings);
        let lock = lake.lock("lake-repair").await?;
        let repaired = lake.logs.repair(accept_loss).await;
        lock.release().await?;
        repaired
    }

    fn unchecked(parts: LakeParts, settings: &Settings) -> Self {
        let store = Store::new(parts.objects, parts.engine, parts.folder);
        let places = LogPlaces {
            catalog_name: parts.catalog_name,
            database: &settings.lake.database,
            warehouse: parts.warehouse,
        };
        Self {
            location: parts.location,
            logs: Logs::new(parts.catalog, places, store.clone()),
            store,
            pointer: parts.pointer,
            keep_runs: settings.run.keep_runs,
            locks: parts.locks,
            run_log: Mutex::default(),
            attempt: Uuid::now_v7().simple().to_string(),
            found: Found::default(),
        }
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
