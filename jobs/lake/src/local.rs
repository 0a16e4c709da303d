//! The embedded lake: a folder, a SQLite catalogue, a symbolic link.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use object_store::local::LocalFileSystem;

use crate::error::at;
use crate::publishing::{Pointer, SymlinkPointer};
use crate::store::Store;
use crate::{LakeError, Logs, Settings};

/// An open lake.
pub struct Lake {
    pub(crate) root: PathBuf,
    pub(crate) store: Store,
    pub(crate) pointer: Box<dyn Pointer>,
    pub(crate) keep_runs: usize,
    logs: Logs,
}

/// Held while a job works on the lake; released when dropped, also by a kill.
#[derive(Debug)]
pub struct LakeLock {
    _file: File,
}

impl Lake {
    /// Opens the lake of the settings, making it where it is not there yet.
    ///
    /// # Errors
    /// [`LakeError::Io`] or [`LakeError::Iceberg`] where storage refuses.
    pub async fn open(settings: &Settings) -> Result<Self, LakeError> {
        let location = Path::new(&settings.lake.location);
        std::fs::create_dir_all(location).map_err(at(location))?;
        let root = location.canonicalize().map_err(at(location))?;
        let objects = LocalFileSystem::new_with_prefix(&root)?.with_automatic_cleanup(true);
        let store = Store::new(Arc::new(objects), format!("{}/", root.display()));
        let logs = Logs::open_sqlite(&root, &settings.lake.database).await?;
        let pointer = Box::new(SymlinkPointer::new(root.clone()));
        Ok(Self { root, store, pointer, keep_runs: settings.run.keep_runs, logs })
    }

    /// The Iceberg logs.
    #[must_use]
    pub const fn logs(&self) -> &Logs {
        &self.logs
    }

    /// Takes the lake for one job. Recording allocations and reading need no lock.
    ///
    /// # Errors
    /// [`LakeError::LostRace`] while another job holds it.
    pub fn lock(&self) -> Result<LakeLock, LakeError> {
        let path = self.root.join(".lock");
        let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(at(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(LakeLock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LakeError::LostRace(format!(
                "another run is at work on the lake {}; try again when it has ended",
                self.root.display()
            ))),
            Err(TryLockError::Error(error)) => Err(at(&path)(error)),
        }
    }

    /// Removes everything in `folder` but the entries of these names, also what the store does not list: half-written
    /// files of a process that was killed.
    pub(crate) fn remove_all_but(
        &self,
        folder: &object_store::path::Path,
        kept: impl Fn(&str) -> bool,
    ) -> Result<(), LakeError> {
        let path = self.root.join(folder.as_ref());
        let entries = match std::fs::read_dir(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(at(&path))?,
        };
        for entry in entries {
            let entry = entry.map_err(at(&path))?;
            if kept(&entry.file_name().to_string_lossy()) {
                continue;
            }
            let is_folder = entry.file_type().map_err(at(entry.path()))?.is_dir();
            let removed =
                if is_folder { std::fs::remove_dir_all(entry.path()) } else { std::fs::remove_file(entry.path()) };
            removed.map_err(at(entry.path()))?;
        }
        Ok(())
    }

    pub(crate) fn remove_folder(&self, folder: &object_store::path::Path) -> Result<(), LakeError> {
        let path = self.root.join(folder.as_ref());
        match std::fs::remove_dir_all(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(at(&path)(error)),
            _ => Ok(()),
        }
    }
}
