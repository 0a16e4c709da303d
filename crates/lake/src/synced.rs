//! The files of the Iceberg logs in a file system: on disk before the catalogue names them.
//!
//! Iceberg's own storage of local files leaves what it wrote to the system, so that a catalogue could survive a power cut
//! that its newest metadata did not.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use iceberg::io::{
    FileMetadata, FileRead, FileWrite, InputFile, LocalFsStorage, OutputFile, Storage, StorageConfig, StorageFactory,
};
use iceberg::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

/// Local files, written through to the disk.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct SyncedFiles;

/// Makes [`SyncedFiles`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct SyncedFilesFactory;

#[typetag::serde]
impl StorageFactory for SyncedFilesFactory {
    fn build(&self, _config: &StorageConfig) -> Result<Arc<dyn Storage>> {
        Ok(Arc::new(SyncedFiles))
    }
}

fn local(path: &str) -> PathBuf {
    PathBuf::from(path.strip_prefix("file://").unwrap_or(path))
}

fn sync(path: &Path) -> Result<()> {
    let synced = File::open(path).and_then(|file| file.sync_all());
    synced.map_err(|error| Error::new(ErrorKind::Unexpected, format!("{}: {error}", path.display())))
}

/// Iceberg's own errors do not say which file they are of.
fn named(path: &Path, error: &Error) -> Error {
    Error::new(error.kind(), format!("{}: {}", path.display(), error.message()))
}

/// Writes the entry of a file through, and those of the folders that were made for it.
fn sync_folders(path: &Path, first_made: Option<&Path>) -> Result<()> {
    for folder in path.ancestors().skip(1) {
        sync(folder)?;
        if first_made.is_none_or(|made| !folder.starts_with(made)) {
            break;
        }
    }
    Ok(())
}

/// The topmost folder that is still to be made for a file.
fn first_missing_folder(path: &Path) -> Option<PathBuf> {
    path.ancestors().skip(1).take_while(|folder| !folder.exists()).last().map(Path::to_path_buf)
}

#[async_trait]
#[typetag::serde]
impl Storage for SyncedFiles {
    async fn exists(&self, path: &str) -> Result<bool> {
        LocalFsStorage.exists(path).await
    }

    async fn metadata(&self, path: &str) -> Result<FileMetadata> {
        LocalFsStorage.metadata(path).await
    }

    async fn read(&self, path: &str) -> Result<Bytes> {
        LocalFsStorage.read(path).await
    }

    async fn reader(&self, path: &str) -> Result<Box<dyn FileRead>> {
        LocalFsStorage.reader(path).await
    }

    async fn write(&self, path: &str, bytes: Bytes) -> Result<()> {
        let written = async {
            let mut writer = self.writer(path).await?;
            writer.write(bytes).await?;
            writer.close().await
        };
        let written = written.await;
        if written.is_err() {
            // Half a file would only be in the way; what matters is why.
            let _stays = self.delete(path).await;
        }
        written
    }

    async fn writer(&self, path: &str) -> Result<Box<dyn FileWrite>> {
        let place = local(path);
        let first_made = first_missing_folder(&place);
        Ok(Box::new(SyncedFile { file: LocalFsStorage.writer(path).await?, place, first_made }))
    }

    async fn delete(&self, path: &str) -> Result<()> {
        LocalFsStorage.delete(path).await
    }

    async fn delete_prefix(&self, path: &str) -> Result<()> {
        LocalFsStorage.delete_prefix(path).await
    }

    async fn delete_stream(&self, paths: BoxStream<'static, String>) -> Result<()> {
        LocalFsStorage.delete_stream(paths).await
    }

    fn new_input(&self, path: &str) -> Result<InputFile> {
        Ok(InputFile::new(Arc::new(self.clone()), path.to_owned()))
    }

    fn new_output(&self, path: &str) -> Result<OutputFile> {
        Ok(OutputFile::new(Arc::new(self.clone()), path.to_owned()))
    }
}

/// A file that is being written. Iceberg's own syncs its bytes when it is closed, but not its name.
struct SyncedFile {
    file: Box<dyn FileWrite>,
    place: PathBuf,
    first_made: Option<PathBuf>,
}

#[async_trait]
impl FileWrite for SyncedFile {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.file.write(bytes).await.map_err(|error| named(&self.place, &error))
    }

    async fn close(&mut self) -> Result<()> {
        self.file.close().await.map_err(|error| named(&self.place, &error))?;
        sync_folders(&self.place, self.first_made.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::entries;

    #[tokio::test]
    async fn file_is_written_with_the_folders_that_it_needs_and_read_by_either_name() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("warehouse/db/log/metadata/v1.json");
        let address = format!("file://{}", place.display());
        assert_eq!(first_missing_folder(&place), Some(folder.path().join("warehouse")));
        SyncedFiles.write(&address, "one".into()).await.unwrap();
        assert_eq!(first_missing_folder(&place), None);
        SyncedFiles.write(&place.display().to_string(), "other".into()).await.unwrap();
        assert_eq!(SyncedFiles.read(&address).await.unwrap(), "other");
        assert_eq!(SyncedFiles.metadata(&address).await.unwrap().size, 5);
        assert!(SyncedFiles.exists(&address).await.unwrap());
        SyncedFiles.delete(&address).await.unwrap();
        assert!(!SyncedFiles.exists(&address).await.unwrap());
    }

    #[tokio::test]
    async fn file_that_cannot_be_written_is_named_and_no_half_of_it_stays() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), "x").unwrap();
        let below = folder.path().join("file/below.json").display().to_string();
        SyncedFiles.write(&below, "text".into()).await.unwrap_err();
        let full = std::path::Path::new("/dev/full");
        if full.exists() {
            std::os::unix::fs::symlink(full, folder.path().join("full.json")).unwrap();
            let place = folder.path().join("full.json").display().to_string();
            let refused = SyncedFiles.write(&place, "text".into()).await.unwrap_err();
            assert!(refused.message().contains(&place), "{refused}");
        }
        assert_eq!(entries(folder.path()), ["file"]);
    }
}
