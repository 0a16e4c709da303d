//! Temporary files of an executor: a folder of its own, which goes with it. What one that was killed left is removed by the
//! next one.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::error::ClusterError;

const PREFIX: &str = "finops-credits-executor-";
const LOCK: &str = "in-use";

/// A folder that is held as long as this lives.
pub(crate) struct WorkDir {
    folder: TempDir,
    _held: File,
}

impl WorkDir {
    /// A new folder in `parent`.
    ///
    /// # Errors
    /// [`ClusterError::BadInput`] where it cannot be written to.
    pub(crate) fn within(parent: &Path) -> Result<Self, ClusterError> {
        let refused = |error: std::io::Error| {
            ClusterError::BadInput(format!("--work-dir {} cannot be written to: {error}", parent.display()))
        };
        fs::create_dir_all(parent).map_err(refused)?;
        for left in abandoned(parent).map_err(refused)? {
            tracing::info!("removing {}, which an executor that was killed left", left.display());
            if let Err(error) = fs::remove_dir_all(&left) {
                tracing::warn!("{} cannot be removed: {error}", left.display());
            }
        }
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent).map_err(refused)?;
        let held = File::create(folder.path().join(LOCK)).map_err(refused)?;
        held.lock().map_err(refused)?;
        Ok(Self { folder, _held: held })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Folders of executors that are no more.
fn abandoned(parent: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        let is_ours = entry.file_name().to_string_lossy().starts_with(PREFIX) && entry.file_type()?.is_dir();
        // One without the file is being made at this moment.
        let held = is_ours.then(|| File::open(entry.path().join(LOCK)).ok()).flatten();
        if held.is_some_and(|file| file.try_lock().is_ok()) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_goes_with_its_executor_and_one_that_was_killed_leaves_its_own_to_the_next() {
        let parent = tempfile::tempdir().unwrap();
        let names = || fs::read_dir(parent.path()).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
        fs::create_dir(parent.path().join("somebody-else's")).unwrap();
        let killed = parent.path().join(format!("{PREFIX}killed"));
        fs::create_dir(&killed).unwrap();
        fs::write(killed.join(LOCK), "").unwrap();
        fs::write(killed.join("data.arrow"), "rows").unwrap();
        let (one, other) = (WorkDir::within(parent.path()).unwrap(), WorkDir::within(parent.path()).unwrap());
        assert!(!killed.exists(), "nobody holds it");
        assert!(one.path().exists() && other.path().exists() && one.path() != other.path());
        drop((one, other));
        assert_eq!(names(), [parent.path().join("somebody-else's")]);
    }

    #[test]
    fn folder_that_cannot_be_made_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let Err(refused) = WorkDir::within(file.path()) else { panic!("it is a file") };
        assert!(
            refused.to_string().starts_with(&format!("--work-dir {} cannot be", file.path().display())),
            "{refused}"
        );
    }
}
