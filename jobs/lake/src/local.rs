//! The embedded lake: a folder, a SQLite catalogue, a symbolic link.

use std::collections::HashMap;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use iceberg::CatalogBuilder;
use iceberg::io::LocalFsStorageFactory;
use iceberg_catalog_sql::{SqlCatalog, SqlCatalogBuilder};
use object_store::local::LocalFileSystem;

use crate::error::at;
use crate::lake::{EngineStore, Held, Lake, LakeParts, Locks};
use crate::logs::CATALOG;
use crate::publishing::SymlinkPointer;
use crate::{LakeError, Settings};

impl Lake {
    /// Opens the local lake of the settings, making it where it is not there yet.
    ///
    /// # Errors
    /// [`LakeError::Io`] or [`LakeError::Iceberg`] where storage refuses.
    pub async fn open_local(settings: &Settings) -> Result<Self, LakeError> {
        let location = Path::new(&settings.lake.location);
        std::fs::create_dir_all(location).map_err(at(location))?;
        let root = location.canonicalize().map_err(at(location))?;
        let parts = LakeParts {
            location: root.display().to_string(),
            objects: Arc::new(LocalFileSystem::new_with_prefix(&root)?.with_automatic_cleanup(true)),
            engine: EngineStore { url: format!("{}/", root.display()), host: None },
            folder: Some(root.clone()),
            pointer: Box::new(SymlinkPointer::new(root.clone())),
            locks: Box::new(LockFile { root: root.clone() }),
            catalog: Arc::new(sqlite_catalog(&root).await?),
            warehouse: format!("file://{}/warehouse", root.display()),
        };
        Self::of_parts(parts, settings).await
    }
}

/// `catalog.db` in the lake, made where it is not there yet.
async fn sqlite_catalog(root: &Path) -> Result<SqlCatalog, LakeError> {
    let file = root.join("catalog.db").display().to_string();
    let encoded = file.replace('%', "%25").replace('?', "%3F").replace('#', "%23");
    let properties = HashMap::from([
        ("uri".to_owned(), format!("sqlite://{encoded}?mode=rwc")),
        ("warehouse".to_owned(), format!("file://{}/warehouse", root.display())),
        ("sql_bind_style".to_owned(), "QMark".to_owned()),
    ]);
    let builder = SqlCatalogBuilder::default().with_storage_factory(Arc::new(LocalFsStorageFactory));
    Ok(builder.load(CATALOG, properties).await?)
}

/// `.lock` in the lake: released when the job's process ends, also by a kill.
struct LockFile {
    root: PathBuf,
}

struct LockedFile {
    _file: File,
}

#[async_trait]
impl Locks for LockFile {
    async fn take(&self, _run_id: &str) -> Result<Box<dyn Held>, LakeError> {
        let path = self.root.join(".lock");
        let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(at(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(LockedFile { _file: file })),
            Err(TryLockError::WouldBlock) => Err(LakeError::LostRace(format!(
                "another run is at work on the lake {}; try again when it has ended",
                self.root.display()
            ))),
            Err(TryLockError::Error(error)) => Err(at(&path)(error)),
        }
    }
}

#[async_trait]
impl Held for LockedFile {
    async fn release(self: Box<Self>) -> Result<(), LakeError> {
        Ok(())
    }
}
