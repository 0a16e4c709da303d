//! An open lake, wherever it lies.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use credit_ledger::BillingPeriod;
use datafusion::prelude::SessionContext;
use futures::lock::Mutex;
use uuid::Uuid;

use crate::error::LakeError;
use crate::logs::repair::RepairedLog;
use crate::logs::{LogPlaces, Logs};
use crate::parts::{LakeLock, LakeParts, Locks, Pointer};
use crate::settings::Settings;
use crate::store::Store;

/// An open lake.
pub struct Lake {
    pub(crate) location: String,
    pub(crate) store: Store,
    pub(crate) pointer: Box<dyn Pointer>,
    pub(crate) keep_runs: usize,
    locks: Box<dyn Locks>,
    logs: Logs,
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
    /// Folders of generations, by period and fingerprint.
    generations: std::sync::Mutex<BTreeMap<(BillingPeriod, String), String>>,
}

impl Found {
    pub(crate) fn generation(&self, period: BillingPeriod, fingerprint: &str) -> Option<String> {
        let found = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        found.get(&(period, fingerprint.to_owned())).cloned()
    }

    pub(crate) fn add_generation(&self, period: BillingPeriod, fingerprint: &str, folder: &str) {
        let mut found = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        found.insert((period, fingerprint.to_owned()), folder.to_owned());
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
        Ok(LakeLock::new(self.locks.take(run_id).await?))
    }
}
