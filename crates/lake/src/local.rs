//! The embedded lake: a folder, a SQLite catalogue, a symbolic link.

use std::collections::HashMap;
use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use iceberg::CatalogBuilder;
use iceberg::io::StorageFactory;
use iceberg_catalog_sql::{SqlCatalog, SqlCatalogBuilder};
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;

use crate::error::LakeError;
use crate::error::at;
use crate::home;
use crate::lake::Lake;
use crate::layout::{CATALOG_FILE, GENERATIONS, LOCK_FILE, PUBLISHED, RELOCATING, RUNS, WAREHOUSE};
use crate::logs::damage::refused;
use crate::logs::repair::RepairedLog;
use crate::logs::{CATALOG, no_lake};
use crate::parts::{EngineStore, Held, LakeParts, Locks, PeriodRange, Pointer};
use crate::settings::{Settings, not_utf_8};
use crate::synced::SyncedFilesFactory;

impl Lake {
    /// Opens the local lake of the settings, making it where it is not there yet.
    ///
    /// # Errors
    /// [`LakeError::BadInput`] for a location that can be no lake, [`LakeError::Io`] or [`LakeError::Iceberg`] where
    /// storage refuses; [`LakeError::Damaged`] where the catalogue is gone or cannot be read.
    pub async fn open_local(settings: &Settings) -> Result<Self, LakeError> {
        Self::open_or_make(settings, true).await
    }

    /// As [`open_local`](Self::open_local), but nothing is made.
    ///
    /// # Errors
    /// As [`open_local`](Self::open_local); [`LakeError::NotYet`] where there is no lake.
    pub async fn open_existing_local(settings: &Settings) -> Result<Self, LakeError> {
        Self::open_or_make(settings, false).await
    }

    async fn open_or_make(settings: &Settings, makes: bool) -> Result<Self, LakeError> {
        let location = Path::new(&settings.lake.location);
        if makes || is_file_in_the_way(location) {
            std::fs::create_dir_all(location).map_err(|error| not_made(location, error))?;
        } else if !location.is_dir() {
            return Err(no_lake(&settings.lake.location));
        }
        let root = location.canonicalize().map_err(at(location))?;
        refuse_unfinished_relocation(&root)?;
        refuse_lost_catalog(&root)?;
        if !makes && !root.join(CATALOG_FILE).exists() {
            return Err(no_lake(&settings.lake.location));
        }
        Self::of_parts(local_parts(root).await?, settings, makes).await
    }

    /// Registers the logs of the local lake again; see [`Lake::repair`]. A catalogue that is no database any more is kept
    /// beside the new one.
    ///
    /// # Errors
    /// [`LakeError::BadInput`] where there is no lake, else those of [`Lake::repair`].
    pub async fn repair_local(settings: &Settings, accept_loss: bool) -> Result<Vec<RepairedLog>, LakeError> {
        let root = existing_root(settings)?;
        refuse_unfinished_relocation(&root)?;
        let parts = match local_parts(root.clone()).await {
            Err(LakeError::Damaged(_)) => {
                home::refuse_copy(&root)?;
                set_aside(&root.join(CATALOG_FILE))?;
                local_parts(root).await?
            }
            parts => parts?,
        };
        Self::repair(parts, settings, accept_loss).await
    }
}

/// The folder of a lake that is there.
pub(crate) fn existing_root(settings: &Settings) -> Result<PathBuf, LakeError> {
    let location = Path::new(&settings.lake.location);
    let root = location.canonicalize().ok().filter(|root| root.is_dir());
    root.ok_or_else(|| {
        let location = location.display();
        LakeError::BadInput(format!("no lake at {location}: the folder does not exist; see [lake] location"))
    })
}

/// True where a lake can never be made: its folder, or one above it, is a file.
fn is_file_in_the_way(location: &Path) -> bool {
    location.ancestors().find(|above| above.exists()).is_some_and(|above| !above.is_dir())
}

pub(crate) async fn local_parts(root: PathBuf) -> Result<LakeParts, LakeError> {
    let name = root.to_str().ok_or_else(|| not_utf_8(&root))?;
    let objects: Arc<dyn ObjectStore> = Arc::new(LocalFileSystem::new_with_prefix(&root)?.with_automatic_cleanup(true));
    Ok(LakeParts {
        location: name.to_owned(),
        engine: EngineStore { url: ENGINE_URL.to_owned(), host: Some(Arc::clone(&objects)) },
        objects,
        folder: Some(root.clone()),
        pointer: Box::new(SymlinkPointer { root: root.clone() }),
        locks: Box::new(LockFile { root: root.clone() }),
        catalog: Arc::new(sqlite_catalog(name, Arc::new(SyncedFilesFactory)).await?),
        catalog_name: format!("{name}/{CATALOG_FILE}"),
        warehouse: format!("file://{name}/{WAREHOUSE}"),
    })
}

/// While the logs are made anew at another place, there is no state of them that counts.
fn refuse_unfinished_relocation(root: &Path) -> Result<(), LakeError> {
    if !root.join(RELOCATING).exists() {
        return Ok(());
    }
    let root = root.display();
    Err(LakeError::BadInput(format!(
        "the logs of the lake {root} are being made anew, or that broke off; run `finops-credits lake relocate` again: it goes \
         on from what it had read, in {RELOCATING}"
    )))
}

/// A lake that has anything has a catalogue: one that lost it must not begin anew.
fn refuse_lost_catalog(root: &Path) -> Result<(), LakeError> {
    let catalog = root.join(CATALOG_FILE);
    let is_there = std::fs::metadata(&catalog).is_ok_and(|file| file.len() > 0);
    let holds = |folder: &&str| std::fs::read_dir(root.join(folder)).is_ok_and(|mut entries| entries.next().is_some());
    let traces: Vec<&str> = [RUNS, GENERATIONS, WAREHOUSE].into_iter().filter(holds).collect();
    if is_there || traces.is_empty() {
        return Ok(());
    }
    let what = if catalog.exists() { "is empty" } else { "is missing" };
    Err(LakeError::Damaged(format!(
        "{} {what}, but this lake is not new: {}/ is there; bring the catalogue back from a backup, or run `finops-credits lake \
         repair`, which registers the logs again from their newest metadata in warehouse/",
        catalog.display(),
        traces.join("/, ")
    )))
}

/// Gives a file another name: `catalog.db.damaged-1`, or the next one that is free.
fn set_aside(file: &Path) -> Result<(), LakeError> {
    let names = (1..).map(|number: u32| PathBuf::from(format!("{}.damaged-{number}", file.display())));
    let free = names.into_iter().find(|name| !name.exists()).unwrap_or_default();
    std::fs::rename(file, free).map_err(at(file))
}

/// Where the engine finds the lake. It would take `*`, `?` or `[` in the path of a folder for a pattern.
const ENGINE_URL: &str = "lake://folder/";

fn not_made(location: &Path, error: std::io::Error) -> LakeError {
    use std::io::ErrorKind::{AlreadyExists, NotADirectory};
    if !matches!(error.kind(), AlreadyExists | NotADirectory) {
        return at(location)(error);
    }
    let location = location.display();
    LakeError::BadInput(format!("the lake cannot be at {location}: that is or lies below a file; set [lake] location"))
}

/// `catalog.db` in the lake, made where it is not there yet; what it names is read and written by way of `files`.
pub(crate) async fn sqlite_catalog(root: &str, files: Arc<dyn StorageFactory>) -> Result<SqlCatalog, LakeError> {
    let file = format!("{root}/{CATALOG_FILE}");
    let encoded = file.replace('%', "%25").replace('?', "%3F").replace('#', "%23");
    let properties = HashMap::from([
        ("uri".to_owned(), format!("sqlite://{encoded}?mode=rwc")),
        ("warehouse".to_owned(), format!("file://{root}/{WAREHOUSE}")),
        ("sql_bind_style".to_owned(), "QMark".to_owned()),
    ]);
    let builder = SqlCatalogBuilder::default().with_storage_factory(files);
    builder.load(CATALOG, properties).await.map_err(|error| refused(&file, error))
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
        let path = self.root.join(LOCK_FILE);
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

/// `<lake>/published`, a symbolic link replaced by rename.
#[derive(Debug)]
struct SymlinkPointer {
    root: PathBuf,
}

#[async_trait]
impl Pointer for SymlinkPointer {
    async fn published(&self) -> Result<Option<String>, LakeError> {
        let link = self.root.join(PUBLISHED);
        match std::fs::read_link(&link) {
            Ok(target) => Ok(target.file_name().map(|name| name.to_string_lossy().into_owned())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(at(link)(error)),
        }
    }

    async fn switch(&self, run_id: &str, _follows: Option<&str>, _periods: PeriodRange) -> Result<(), LakeError> {
        let (link, next) = (self.root.join(PUBLISHED), self.root.join(".published.next"));
        match std::fs::remove_file(&next) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(at(next)(error)),
            _ => {}
        }
        std::os::unix::fs::symlink(Path::new(RUNS).join(run_id), &next).map_err(at(&next))?;
        std::fs::rename(&next, &link).map_err(at(&link))?;
        File::open(&self.root).and_then(|root| root.sync_all()).map_err(at(&self.root))
    }
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::SessionContext;
    use schemas::TableRow;
    use schemas::tables::CreditImpact;

    use super::*;
    use crate::testing::{entries, lot, night, opened, period, settings, told};

    #[tokio::test(flavor = "multi_thread")]
    async fn command_that_reads_makes_nothing_where_there_is_no_lake() {
        let folder = tempfile::tempdir().unwrap();
        for (place, found) in [("none", false), ("empty", true)] {
            let place = folder.path().join(place);
            if found {
                std::fs::create_dir(&place).unwrap();
            }
            let refused = told(&place, Lake::open_existing_local(&settings(&place)).await);
            assert_eq!(refused, "NotYet: there is no lake at <lake> yet; `run` makes it");
            assert_eq!(place.exists(), found);
            assert!(!found || entries(&place).is_empty());
        }
        std::fs::write(folder.path().join("file"), "x").unwrap();
        for place in ["file", "file/below/lake"] {
            let place = folder.path().join(place);
            let expected = "BadInput: the lake cannot be at <lake>: that is or lies below a file; set [lake] location";
            assert_eq!(told(&place, Lake::open_local(&settings(&place)).await), expected);
            assert_eq!(told(&place, Lake::open_existing_local(&settings(&place)).await), expected);
        }
        opened(&folder.path().join("deep/down/lake")).await;
        let there = folder.path().join("deep/down/lake");
        Lake::open_existing_local(&settings(&there)).await.unwrap();
        std::fs::remove_file(there.join(CATALOG_FILE)).unwrap();
        let lost = told(&there, Lake::open_existing_local(&settings(&there)).await);
        assert!(
            lost.starts_with("Damaged: <lake>/catalog.db is missing, but this lake is not new: warehouse/ is"),
            "{lost}"
        );
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn lake_works_in_a_folder_of_any_name() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a b", "100%25", "what?", "#1", "a*b[c]{d}", "Größe \"so\""] {
            let place = folder.path().join(name);
            night(&place, "a", &["2026-01"], "5").await;
            let lake = opened(&place).await;
            lake.logs().append(&[lot("a", 1, "5")]).await.unwrap();
            let context = SessionContext::new();
            lake.register_with(&context).unwrap();
            let frame = lake.published_frame(&context, &CreditImpact::TABLE).await.unwrap();
            assert_eq!(frame.count().await.unwrap(), 1, "{name}");
            let catalog: Vec<String> = entries(&place).into_iter().filter(|name| name.starts_with("catalog")).collect();
            assert_eq!(catalog, [CATALOG_FILE], "{name}");
            assert_eq!(lake.published().await.unwrap().as_deref(), Some("a"));
        }
        assert_eq!(entries(folder.path()).len(), 6, "nothing was made beside them");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn lake_is_held_by_one_process_at_a_time_and_free_when_that_ends() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (opened(folder.path()).await, opened(folder.path()).await);
        let busy = "LostRace: another run is at work on the lake <lake>; try again when it has ended";
        let held = one.lock("a").await.unwrap();
        assert_eq!(told(folder.path(), other.lock("b").await), busy);
        assert_eq!(told(folder.path(), one.lock("a").await), busy, "not twice by one process");
        other.logs().append(&[lot("a", 1, "5")]).await.unwrap();
        held.release().await.unwrap();
        drop(other.lock("b").await.unwrap());
        one.lock("a").await.unwrap().release().await.unwrap();
    }

    #[tokio::test]
    async fn pointer_is_a_link_that_is_replaced_in_one_step_whatever_was_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let pointer = SymlinkPointer { root: folder.path().to_owned() };
        assert_eq!(pointer.published().await.unwrap(), None);
        for run_id in ["a", "b"] {
            std::os::unix::fs::symlink("runs/half", folder.path().join(".published.next")).unwrap();
            pointer.switch(run_id, None, (period("2026-01"), period("2026-01"))).await.unwrap();
            assert_eq!(pointer.published().await.unwrap().as_deref(), Some(run_id));
            assert_eq!(std::fs::read_link(folder.path().join(PUBLISHED)).unwrap(), Path::new("runs").join(run_id));
            assert_eq!(entries(folder.path()), [PUBLISHED]);
        }
        std::fs::remove_file(folder.path().join(PUBLISHED)).unwrap();
        std::fs::write(folder.path().join(PUBLISHED), "b").unwrap();
        let refused = told(folder.path(), pointer.published().await);
        assert_eq!(
            refused, "Io: <lake>/published: Invalid argument (os error 22)",
            "a link that a copy made a file of"
        );
    }
}
