//! The files of the Iceberg logs on the same S3 client as all others: one way to credentials, retries and deadlines.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use iceberg::io::{FileMetadata, FileRead, FileWrite, InputFile, OutputFile, Storage, StorageConfig, StorageFactory};
use iceberg::{Error, ErrorKind, Result};
use object_store::buffered::BufWriter;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;

/// One bucket. Iceberg wants storages that can be written down; this one is only ever used where it was made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct BucketStorage {
    /// `s3://bucket/`
    root: String,
    #[serde(skip)]
    objects: Option<Arc<dyn ObjectStore>>,
}

impl BucketStorage {
    pub(crate) fn new(bucket: &str, objects: Arc<dyn ObjectStore>) -> Self {
        Self { root: format!("s3://{bucket}/"), objects: Some(objects) }
    }

    fn find(&self, path: &str) -> Result<(Arc<dyn ObjectStore>, Path)> {
        let key = path.strip_prefix(&self.root);
        let key =
            key.ok_or_else(|| Error::new(ErrorKind::DataInvalid, format!("{path} is not below {}", self.root)))?;
        let key = Path::parse(key).map_err(|error| Error::new(ErrorKind::DataInvalid, error.to_string()))?;
        let objects = self.objects.clone();
        let objects = objects.ok_or_else(|| Error::new(ErrorKind::Unexpected, "storage without a connection"))?;
        Ok((objects, key))
    }
}

fn refused(path: &str) -> impl FnOnce(object_store::Error) -> Error {
    let path = path.to_owned();
    move |error| Error::new(ErrorKind::Unexpected, format!("{path}: {error}")).with_source(error)
}

#[async_trait]
#[typetag::serde]
impl Storage for BucketStorage {
    async fn exists(&self, path: &str) -> Result<bool> {
        let (objects, key) = self.find(path)?;
        match objects.head(&key).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(refused(path)(error)),
        }
    }

    async fn metadata(&self, path: &str) -> Result<FileMetadata> {
        let (objects, key) = self.find(path)?;
        Ok(FileMetadata { size: objects.head(&key).await.map_err(refused(path))?.size })
    }

    async fn read(&self, path: &str) -> Result<Bytes> {
        let (objects, key) = self.find(path)?;
        let found = objects.get(&key).await.map_err(refused(path))?;
        found.bytes().await.map_err(refused(path))
    }

    async fn reader(&self, path: &str) -> Result<Box<dyn FileRead>> {
        let (objects, key) = self.find(path)?;
        Ok(Box::new(BucketRead { objects, key }))
    }

    async fn write(&self, path: &str, bytes: Bytes) -> Result<()> {
        let (objects, key) = self.find(path)?;
        objects.put(&key, PutPayload::from(bytes)).await.map_err(refused(path))?;
        Ok(())
    }

    async fn writer(&self, path: &str) -> Result<Box<dyn FileWrite>> {
        let (objects, key) = self.find(path)?;
        Ok(Box::new(BucketWrite(BufWriter::new(objects, key))))
    }

    async fn delete(&self, path: &str) -> Result<()> {
        let (objects, key) = self.find(path)?;
        objects.delete(&key).await.map_err(refused(path))
    }

    async fn delete_prefix(&self, path: &str) -> Result<()> {
        let (objects, key) = self.find(path)?;
        let files = objects.list(Some(&key)).map(|file| file.map(|file| file.location)).boxed();
        let mut deleted = objects.delete_stream(files);
        while let Some(result) = deleted.next().await {
            result.map_err(refused(path))?;
        }
        Ok(())
    }

    async fn delete_stream(&self, mut paths: BoxStream<'static, String>) -> Result<()> {
        while let Some(path) = paths.next().await {
            self.delete(&path).await?;
        }
        Ok(())
    }

    fn new_input(&self, path: &str) -> Result<InputFile> {
        Ok(InputFile::new(Arc::new(self.clone()), path.to_owned()))
    }

    fn new_output(&self, path: &str) -> Result<OutputFile> {
        Ok(OutputFile::new(Arc::new(self.clone()), path.to_owned()))
    }
}

/// Gives everybody the one storage.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct BucketStorageFactory(pub(crate) BucketStorage);

#[typetag::serde]
impl StorageFactory for BucketStorageFactory {
    fn build(&self, _config: &StorageConfig) -> Result<Arc<dyn Storage>> {
        Ok(Arc::new(self.0.clone()))
    }
}

struct BucketRead {
    objects: Arc<dyn ObjectStore>,
    key: Path,
}

#[async_trait]
impl FileRead for BucketRead {
    async fn read(&self, range: Range<u64>) -> Result<Bytes> {
        self.objects.get_range(&self.key, range).await.map_err(refused(self.key.as_ref()))
    }
}

struct BucketWrite(BufWriter);

fn not_written(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Unexpected, format!("cannot be written: {error}")).with_source(error)
}

#[async_trait]
impl FileWrite for BucketWrite {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.0.write_all(&bytes).await.map_err(not_written)
    }

    async fn close(&mut self) -> Result<()> {
        self.0.shutdown().await.map_err(not_written)
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    fn storage() -> BucketStorage {
        BucketStorage::new("bucket", Arc::new(InMemory::new()))
    }

    #[tokio::test]
    async fn files_of_a_log_are_written_read_and_removed_by_their_whole_address() {
        let storage = storage();
        let place = "s3://bucket/lake/warehouse/db/log/metadata/v1.json";
        assert!(!storage.exists(place).await.unwrap());
        storage.write(place, Bytes::from_static(b"rows")).await.unwrap();
        let mut writer = storage.writer("s3://bucket/lake/warehouse/db/log/data/x.parquet").await.unwrap();
        writer.write(Bytes::from_static(b"one ")).await.unwrap();
        writer.write(Bytes::from_static(b"two")).await.unwrap();
        writer.close().await.unwrap();
        assert_eq!(storage.read("s3://bucket/lake/warehouse/db/log/data/x.parquet").await.unwrap(), "one two");
        assert_eq!((storage.metadata(place).await.unwrap().size, storage.exists(place).await.unwrap()), (4, true));
        assert_eq!(storage.reader(place).await.unwrap().read(1..3).await.unwrap(), "ow");
        assert_eq!(storage.new_input(place).unwrap().read().await.unwrap(), "rows");
        storage.write("s3://bucket/lake/warehouse/db/log-2/x", Bytes::new()).await.unwrap();
        storage.delete_prefix("s3://bucket/lake/warehouse/db/log").await.unwrap();
        assert!(!storage.exists(place).await.unwrap());
        assert!(storage.exists("s3://bucket/lake/warehouse/db/log-2/x").await.unwrap(), "another log");
        let paths = futures::stream::iter(["s3://bucket/lake/warehouse/db/log-2/x".to_owned()]).boxed();
        storage.delete_stream(paths).await.unwrap();
        assert!(!storage.exists("s3://bucket/lake/warehouse/db/log-2/x").await.unwrap());
    }

    #[tokio::test]
    async fn address_outside_of_the_bucket_is_refused_and_a_missing_file_is_named() {
        let storage = storage();
        for outside in ["s3://bucket-2/x", "s3://other/x", "/etc/passwd", "s3a://bucket/x"] {
            let refused = storage.read(outside).await.unwrap_err();
            assert_eq!(refused.message(), format!("{outside} is not below s3://bucket/"));
            storage.write(outside, Bytes::new()).await.unwrap_err();
        }
        let missing = storage.read("s3://bucket/none").await.unwrap_err();
        assert!(missing.message().starts_with("s3://bucket/none: "), "{missing}");
        assert!(storage.metadata("s3://bucket/none").await.is_err());
    }

    #[tokio::test]
    async fn storage_that_was_written_down_has_no_connection_and_says_so() {
        let text = serde_json::to_string(&storage()).unwrap();
        let again: BucketStorage = serde_json::from_str(&text).unwrap();
        assert_eq!(again.read("s3://bucket/x").await.unwrap_err().message(), "storage without a connection");
        let made = BucketStorageFactory(storage()).build(&StorageConfig::new()).unwrap();
        made.write("s3://bucket/x", Bytes::from_static(b"x")).await.unwrap();
        assert_eq!(made.read("s3://bucket/x").await.unwrap(), "x");
    }
}
