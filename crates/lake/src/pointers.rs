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
        let mut written = Beside::default();
        for (path, record) in pointers {
            let (pointer, text) = (root.join(path.as_ref()), text_of(path, record)?);
            written.0.push((write_beside(&pointer, &text)?, pointer));
        }
        self.sync().await?;
        for (next, pointer) in &written.0 {
            std::fs::rename(next, pointer).map_err(at(pointer))?;
        }
        written.0.clear();
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

/// What was written beside pointers, and those; removed again where not all of them are replaced.
#[derive(Default)]
struct Beside(Vec<(PathBuf, PathBuf)>);

impl Drop for Beside {
    fn drop(&mut self) {
        for (next, _) in &self.0 {
            let _in_place_already = std::fs::remove_file(next);
        }
    }
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::local::LocalFileSystem;
    use object_store::memory::InMemory;

    use super::*;
    use crate::parts::EngineStore;
    use crate::testing::{Refusing, entries, told};

    fn local(folder: &std::path::Path) -> Store {
        let objects = Arc::new(LocalFileSystem::new_with_prefix(folder).unwrap());
        let engine = EngineStore { url: "lake://folder/".to_owned(), host: None };
        Store::new(objects, engine, Some(folder.to_path_buf()))
    }

    fn pointer(month: &str) -> Path {
        Path::from(format!("generations/{month}/current.json"))
    }

    #[tokio::test]
    async fn pointers_are_replaced_and_nothing_that_was_written_beside_them_stays() {
        let folder = tempfile::tempdir().unwrap();
        let store = local(folder.path());
        let pointers = ["2026-01", "2026-02"].map(pointer);
        for round in ["one", "two"] {
            let record = [round];
            store.replace(&pointers.clone().map(|path| (path, &record))).await.unwrap();
            for path in &pointers {
                assert_eq!(store.read_record::<[String; 1]>(path).await.unwrap(), Some([round.to_owned()]));
            }
            for month in ["2026-01", "2026-02"] {
                assert_eq!(entries(&folder.path().join("generations").join(month)), ["current.json"]);
            }
        }
    }

    #[tokio::test]
    async fn pointer_that_cannot_be_written_leaves_all_of_them_as_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let store = local(folder.path());
        store.replace(&[(pointer("2026-01"), &["before"])]).await.unwrap();
        std::fs::write(folder.path().join("generations/2026-02"), "a file in the way").unwrap();
        let after = ["after"];
        let refused = store.replace(&["2026-01", "2026-02"].map(|month| (pointer(month), &after))).await;
        let expected = "Io: <lake>/generations/2026-02/current.json: File exists (os error 17)";
        assert_eq!(told(folder.path(), refused), expected);
        let standing = store.read_record::<[String; 1]>(&pointer("2026-01")).await.unwrap();
        assert_eq!(standing, Some(["before".to_owned()]));
        assert_eq!(entries(&folder.path().join("generations/2026-01")), ["current.json"]);
    }

    #[tokio::test]
    async fn pointer_in_an_object_store_changes_by_itself_and_those_after_a_refusal_stay() {
        let refusing = Refusing::new(Arc::new(InMemory::new()));
        let engine = EngineStore { url: "s3://bucket/lake/".to_owned(), host: None };
        let store = Store::new(Arc::clone(&refusing) as _, engine, None);
        let months = ["2026-01", "2026-02", "2026-03"];
        let (before, after) = (["before"], ["after"]);
        store.replace(&months.map(|month| (pointer(month), &before))).await.unwrap();
        refusing.refuse(Some("2026-02/current.json"));
        store.replace(&months.map(|month| (pointer(month), &after))).await.unwrap_err();
        refusing.refuse(None);
        for (month, expected) in months.into_iter().zip(["after", "before", "before"]) {
            let standing = store.read_record::<[String; 1]>(&pointer(month)).await.unwrap();
            assert_eq!(standing, Some([expected.to_owned()]), "{month}");
        }
        store.sync().await.unwrap();
    }

    #[tokio::test]
    async fn what_was_written_is_found_with_folders_and_half_written_files() {
        let folder = tempfile::tempdir().unwrap();
        let store = local(folder.path());
        assert_eq!(store.written(&Path::from("generations")).await.unwrap(), BTreeMap::new(), "there is nothing yet");
        store.replace(&[(pointer("2026-01"), &["x"])]).await.unwrap();
        std::fs::write(folder.path().join("generations/2026-01/part-0.parquet#1"), "half").unwrap();
        let written = store.written(&Path::from("generations")).await.unwrap();
        let found: Vec<String> = written.keys().map(|path| path.display().to_string()).collect();
        assert_eq!(found, ["2026-01", "2026-01/current.json", "2026-01/part-0.parquet#1"]);
        let of_file = std::fs::metadata(folder.path().join("generations/2026-01/current.json")).unwrap();
        assert_eq!(written[&PathBuf::from("2026-01/current.json")], DateTime::<Utc>::from(of_file.modified().unwrap()));
    }
}
