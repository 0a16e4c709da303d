//! What makes pointers safe: all that they reach is on disk before they change, and each changes in one step.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use datafusion::common::runtime::SpawnedTask;
use futures::TryStreamExt;
use object_store::ObjectStore;
use object_store::path::Path;
use serde::Serialize;
use uuid::Uuid;

use crate::error::LakeError;
use crate::error::at;
use crate::layout::below;
use crate::records::text_of;
use crate::store::Store;

impl Store {
    /// Waits until all that was written is on disk, names and links included. S3 has it on disk when it says so.
    pub(crate) async fn sync(&self) -> Result<(), LakeError> {
        let Some((root, opened)) = self.opened() else { return Ok(()) };
        let synced = SpawnedTask::spawn_blocking(move || sync_file_system(&opened)).join_unwind().await;
        synced.map_err(io::Error::other).flatten().map_err(at(root))
    }

    /// Replaces pointers, after all that was written before.
    pub(crate) async fn replace<T: Serialize + Sync>(&self, pointers: &[(Path, &T)]) -> Result<(), LakeError> {
        let Some(root) = self.folder() else {
            for (path, record) in pointers {
                self.write_record(path, record).await?;
            }
            return Ok(());
        };
        let mut written = Vec::new();
        for (path, record) in pointers {
            let (pointer, text) = (root.join(path.as_ref()), text_of(path, record)?);
            written.push((write_beside(&pointer, &text)?, pointer));
        }
        self.sync().await?;
        for (next, pointer) in &written {
            std::fs::rename(next, pointer).map_err(at(pointer))?;
        }
        self.sync().await
    }

    /// When each file below `folder` was written, by its path below it; in a file system folders too, and what the store
    /// does not list: half-written files of a process that was killed, or is at work.
    pub(crate) async fn written(&self, folder: &Path) -> Result<BTreeMap<PathBuf, DateTime<Utc>>, LakeError> {
        let mut written = BTreeMap::new();
        if let Some(root) = self.folder() {
            let folder = root.join(folder.as_ref());
            walk(&folder, &PathBuf::new(), &mut written).map_err(at(folder))?;
            return Ok(written);
        }
        let mut files = self.objects().list(Some(folder));
        while let Some(file) = files.try_next().await? {
            let path = below(&file.location, folder);
            written.extend(path.map(|path| (PathBuf::from(path), file.last_modified)));
        }
        Ok(written)
    }
}

/// One call for all files: a run puts hundreds of them in place, and each by itself would wait for the disk.
#[cfg(target_os = "linux")]
fn sync_file_system(opened: &File) -> io::Result<()> {
    Ok(rustix::fs::syncfs(opened)?)
}

#[cfg(not(target_os = "linux"))]
fn sync_file_system(_opened: &File) -> io::Result<()> {
    rustix::fs::sync();
    Ok(())
}

/// Writes what a pointer will hold beside it, under a name that nobody else writes.
fn write_beside(pointer: &std::path::Path, text: &[u8]) -> Result<PathBuf, LakeError> {
    let name = pointer.file_name().unwrap_or_default().to_string_lossy();
    let next = pointer.with_file_name(format!(".{name}.{}", Uuid::now_v7().simple()));
    pointer.parent().map_or(Ok(()), std::fs::create_dir_all).map_err(at(pointer))?;
    let written = File::create_new(&next).and_then(|mut file| file.write_all(text));
    written.map_err(|error| {
        let _half = std::fs::remove_file(&next);
        at(pointer)(error)
    })?;
    Ok(next)
}

/// Entries below a folder that is gone meanwhile, or in part, are gone.
fn walk(
    folder: &std::path::Path,
    below: &std::path::Path,
    written: &mut BTreeMap<PathBuf, DateTime<Utc>>,
) -> io::Result<()> {
    let gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let entries = match std::fs::read_dir(folder) {
        Err(error) if gone(&error) => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let metadata = match entry.metadata() {
            Err(error) if gone(&error) => continue,
            metadata => metadata?,
        };
        let path = below.join(entry.file_name());
        if metadata.is_dir() {
            walk(&entry.path(), &path, written)?;
        }
        written.insert(path, metadata.modified()?.into());
    }
    Ok(())
}
