//! Files of a lake that was moved, under the names that they had: its logs still hold those.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use iceberg::io::{FileIO, FileIOBuilder, FileMetadata, FileRead, FileWrite, InputFile, LocalFsStorage, OutputFile};
use iceberg::io::{Storage, StorageConfig, StorageFactory};
use iceberg::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

/// Reads below `new` what was below `old`, a path without `file://`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct MovedFiles {
    old: String,
    new: PathBuf,
}

#[typetag::serde]
impl StorageFactory for MovedFiles {
    fn build(&self, _config: &StorageConfig) -> Result<Arc<dyn Storage>> {
        Ok(Arc::new(self.clone()))
    }
}

impl MovedFiles {
    pub(crate) fn new(old: &str, new: &Path) -> Self {
        Self { old: old.to_owned(), new: new.to_owned() }
    }

    pub(crate) fn file_io(&self) -> FileIO {
        FileIOBuilder::new(Arc::new(self.clone())).build()
    }

    fn now(&self, path: &str) -> Result<String> {
        let path = path.strip_prefix("file://").unwrap_or(path);
        let below = Path::new(path).strip_prefix(&self.old);
        let below = below.map_err(|_outside| {
            Error::new(ErrorKind::DataInvalid, format!("{path} is not below {}: it was never in the lake", self.old))
        })?;
        Ok(self.new.join(below).display().to_string())
    }
}

fn only_read<T>() -> Result<T> {
    Err(Error::new(ErrorKind::FeatureUnsupported, "a log that was moved is only read"))
}

#[async_trait]
#[typetag::serde]
impl Storage for MovedFiles {
    async fn exists(&self, path: &str) -> Result<bool> {
        LocalFsStorage.exists(&self.now(path)?).await
    }

    async fn metadata(&self, path: &str) -> Result<FileMetadata> {
        LocalFsStorage.metadata(&self.now(path)?).await
    }

    async fn read(&self, path: &str) -> Result<Bytes> {
        LocalFsStorage.read(&self.now(path)?).await
    }

    async fn reader(&self, path: &str) -> Result<Box<dyn FileRead>> {
        LocalFsStorage.reader(&self.now(path)?).await
    }

    async fn write(&self, _path: &str, _bytes: Bytes) -> Result<()> {
        only_read()
    }

    async fn writer(&self, _path: &str) -> Result<Box<dyn FileWrite>> {
        only_read()
    }

    async fn delete(&self, _path: &str) -> Result<()> {
        only_read()
    }

    async fn delete_prefix(&self, _path: &str) -> Result<()> {
        only_read()
    }

    async fn delete_stream(&self, _paths: BoxStream<'static, String>) -> Result<()> {
        only_read()
    }

    fn new_input(&self, path: &str) -> Result<InputFile> {
        Ok(InputFile::new(Arc::new(self.clone()), path.to_owned()))
    }

    fn new_output(&self, _path: &str) -> Result<OutputFile> {
        only_read()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn file_of_a_moved_lake_is_found_by_its_old_name_and_nothing_outside_of_it() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("warehouse")).unwrap();
        std::fs::write(folder.path().join("warehouse/x"), "rows").unwrap();
        let files = MovedFiles::new("/srv/lake", folder.path());
        for name in ["file:///srv/lake/warehouse/x", "/srv/lake/warehouse/x"] {
            assert_eq!(files.read(name).await.unwrap(), "rows");
            assert_eq!(files.metadata(name).await.unwrap().size, 4);
            assert_eq!(files.reader(name).await.unwrap().read(1..3).await.unwrap(), "ow");
            assert!(files.exists(name).await.unwrap());
        }
        assert!(!files.exists("/srv/lake/warehouse/none").await.unwrap());
        for outside in ["/etc/passwd", "file:///srv/lake-2/x", "/srv/x"] {
            let refused = files.read(outside).await.unwrap_err();
            let name = outside.trim_start_matches("file://");
            assert_eq!(refused.message(), format!("{name} is not below /srv/lake: it was never in the lake"));
        }
    }

    #[tokio::test]
    async fn nothing_of_a_moved_lake_is_changed_by_its_old_name() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("x"), "rows").unwrap();
        let (files, place) = (MovedFiles::new("/srv/lake", folder.path()), "/srv/lake/x");
        let refusals = [
            files.write(place, "other".into()).await.unwrap_err(),
            files.writer(place).await.map(drop).unwrap_err(),
            files.delete(place).await.unwrap_err(),
            files.delete_prefix("/srv/lake").await.unwrap_err(),
            files.new_output(place).map(drop).unwrap_err(),
        ];
        assert!(
            refusals.iter().all(|refused| refused.message() == "a log that was moved is only read"),
            "{refusals:?}"
        );
        assert_eq!(std::fs::read_to_string(folder.path().join("x")).unwrap(), "rows");
    }
}
