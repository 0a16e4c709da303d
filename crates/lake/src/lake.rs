//! An open lake, wherever it lies.

use std::collections::BTreeMap;
use std::sync::{OnceLock, PoisonError};

use credit_ledger::BillingPeriod;
use datafusion::prelude::SessionContext;
use futures::lock::Mutex;
use uuid::Uuid;

use crate::error::LakeError;
use crate::home;
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
    /// False where `lake.json` is still to be written.
    says_home: bool,
    /// Names the folders that this process reads periods into.
    pub(crate) attempt: String,
    pub(crate) found: Found,
}

/// What this process has found in the lake: all of a command works with the same.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The run that was published when it first asked.
    pub(crate) published: Mutex<Option<Option<String>>>,
    /// A run that somebody asks for instead.
    pub(crate) asked: OnceLock<String>,
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
    /// Opens a lake of these parts; a new one is made, if `makes`. One that was made elsewhere can be read, as far as its logs
    /// are still there.
    ///
    /// # Errors
    /// [`LakeError::Iceberg`] where the catalogue refuses, [`LakeError::Damaged`] where it has lost logs;
    /// [`LakeError::NotYet`] where there is no lake and none is to be made.
    pub async fn of_parts(parts: LakeParts, settings: &Settings, makes: bool) -> Result<Self, LakeError> {
        let mut lake = Self::unchecked(parts, settings);
        if lake.find_home().await?.is_none() {
            lake.logs.create_missing(makes, &lake.location).await?;
        }
        Ok(lake)
    }

    /// Finds out where the lake was made, if elsewhere. Only a folder is moved or copied: an object store has no `lake.json`.
    pub(crate) async fn find_home(&mut self) -> Result<Option<String>, LakeError> {
        if self.store.folder().is_none() {
            return Ok(None);
        }
        match home::find(&self.store, &self.logs, &self.location).await? {
            home::Found::Here => {}
            home::Found::Unsaid => self.says_home = false,
            home::Found::Elsewhere(place) => {
                self.logs.elsewhere = Some(home::refusal(&self.location, &place));
                return Ok(Some(place));
            }
        }
        Ok(None)
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
        let mut lake = Self::unchecked(parts, settings);
        lake.find_home().await?;
        let lock = lake.lock("lake-repair").await?;
        let repaired = lake.logs.repair(accept_loss).await;
        lock.release().await?;
        repaired
    }

    pub(crate) fn unchecked(parts: LakeParts, settings: &Settings) -> Self {
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
            says_home: true,
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
    /// [`LakeError::LostRace`] while another run holds it; [`LakeError::BadInput`] where it was made elsewhere.
    pub async fn lock(&self, run_id: &str) -> Result<LakeLock, LakeError> {
        self.logs.refuse_elsewhere()?;
        let lock = self.lock_anyway(run_id).await?;
        if self.says_home {
            return Ok(lock);
        }
        match home::write(&self.store, &self.location).await {
            Ok(()) => Ok(lock),
            Err(error) => {
                lock.release().await?;
                Err(error)
            }
        }
    }

    /// As [`lock`](Self::lock), wherever the lake was made.
    pub(crate) async fn lock_anyway(&self, run_id: &str) -> Result<LakeLock, LakeError> {
        Ok(LakeLock::new(self.locks.take(run_id).await?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::local_parts;

    #[tokio::test(flavor = "multi_thread")]
    async fn lake_in_an_object_store_needs_no_right_to_a_file_that_says_where_it_was_made() {
        let folder = tempfile::tempdir().unwrap();
        let location = folder.path().display();
        let text =
            format!("source.location = \"cur\"\nreference.location = \"reference\"\nlake.location = \"{location}\"");
        let settings = Settings::parse(&text, "settings", ".").unwrap();
        let says_home = folder.path().join("lake.json");
        for (is_store, written) in [(true, false), (false, true)] {
            let mut parts = local_parts(folder.path().to_owned()).await.unwrap();
            parts.folder = parts.folder.filter(|_| !is_store);
            let lake = Lake::of_parts(parts, &settings, true).await.unwrap();
            lake.lock("a run").await.unwrap().release().await.unwrap();
            assert_eq!(says_home.exists(), written);
        }
    }
}
