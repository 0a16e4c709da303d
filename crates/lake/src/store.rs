//! The lake's files, on an object store or right in a file system.

use std::error::Error;
use std::fmt::Display;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use datafusion::datasource::listing::ListingTableUrl;
use datafusion::prelude::SessionContext;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};

use crate::error::LakeError;
use crate::error::{at, causes};
use crate::known::KnownFiles;
use crate::layout::{GENERATIONS, below, part};
use crate::parts::EngineStore;

/// The lake's files.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    objects: Arc<dyn ObjectStore>,
    engine: EngineStore,
    /// Where they lie in a file system.
    folder: Option<PathBuf>,
    /// Open from the start: what the system could not write to it since then, it says when asked to.
    opened: Option<Arc<File>>,
    pub(crate) known: KnownFiles,
}

impl Store {
    pub(crate) fn new(objects: Arc<dyn ObjectStore>, engine: EngineStore, folder: Option<PathBuf>) -> Self {
        let opened = folder.as_ref().and_then(|folder| File::open(folder).ok()).map(Arc::new);
        Self { objects, engine, folder, opened, known: KnownFiles::default() }
    }

    pub(crate) fn objects(&self) -> &Arc<dyn ObjectStore> {
        &self.objects
    }

    pub(crate) fn folder(&self) -> Option<&std::path::Path> {
        self.folder.as_deref()
    }

    /// The folder, and it opened.
    pub(crate) fn opened(&self) -> Option<(PathBuf, Arc<File>)> {
        self.folder.clone().zip(self.opened.clone())
    }

    pub(crate) fn engine_url(&self) -> &str {
        &self.engine.url
    }

    /// What people call a file.
    pub(crate) fn name(&self, path: &Path) -> String {
        self.full(path).display().to_string()
    }

    fn full(&self, path: &Path) -> PathBuf {
        match &self.folder {
            Some(root) => root.join(path.as_ref()),
            None => format!("{}{path}", self.engine.url).into(),
        }
    }

    pub(crate) fn register_with(&self, context: &SessionContext) -> Result<(), LakeError> {
        if let Some(host) = &self.engine.host {
            let url = ListingTableUrl::parse(&self.engine.url)?;
            context.register_object_store(url.object_store().as_ref(), Arc::clone(host));
        }
        Ok(())
    }

    /// Small files that are fetched at once: in a file system each takes a thread, elsewhere most wait for an answer.
    pub(crate) fn fetched_at_once(&self) -> usize {
        if self.folder.is_some() { 1 } else { 16 }
    }

    /// The file and why the system refused it, where that is at the bottom of the error.
    pub(crate) fn refused(&self, path: &Path, error: &(dyn Error + 'static)) -> Option<LakeError> {
        let code = causes(error).find_map(|cause| cause.downcast_ref::<std::io::Error>()?.raw_os_error())?;
        Some(LakeError::Io { path: self.full(path), source: std::io::Error::from_raw_os_error(code) })
    }

    /// True where the answer of a store that is somewhere else is at the bottom of the error.
    pub(crate) fn is_remote_failure(&self, error: &(dyn Error + 'static)) -> bool {
        self.folder.is_none() && causes(error).any(|cause| cause.is::<object_store::Error>())
    }

    /// A file that is damaged, and what to do.
    pub(crate) fn damaged(&self, path: &Path, problem: impl Display) -> LakeError {
        let parts: Vec<_> = path.parts().map(|part| part.as_ref().to_owned()).collect();
        let advice = match parts.first().map(String::as_str) {
            Some(GENERATIONS) => {
                let period = parts.get(1).map_or("PERIOD", String::as_str);
                format!(
                    "the next run reads the period again from the export; if it is no longer there, {}",
                    how_to_mend(period)
                )
            }
            _ => "start a new run, which makes it again".to_owned(),
        };
        LakeError::Damaged(format!("{} {problem}; {advice}", self.name(path)))
    }

    /// A file that should be there.
    pub(crate) fn missing(&self, path: &Path) -> LakeError {
        LakeError::Io { path: self.full(path), source: std::io::Error::from(std::io::ErrorKind::NotFound) }
    }

    /// Puts the file of one folder in another, linked where the store can; false where there is none.
    pub(crate) async fn copy_if_there(&self, from: &Path, to: &Path) -> Result<bool, LakeError> {
        let (from, to) = (part(from), part(to));
        match self.link(&from, &to).await {
            Ok(()) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(self.refused(&to, &error).unwrap_or_else(|| error.into())),
        }
    }

    async fn link(&self, from: &Path, to: &Path) -> object_store::Result<()> {
        // In a file system a file is linked before another thread would wake up to do it.
        let is_linked = self.folder().is_some_and(|root| {
            let (from, to) = (root.join(from.as_ref()), root.join(to.as_ref()));
            hard_link(&from, &to).is_ok()
        });
        if !is_linked {
            self.objects.copy(from, to).await?;
        }
        self.known.linked(from, to.clone());
        Ok(())
    }

    /// Removes everything in `folder` but the files and folders of these names; in a file system also what the store
    /// does not list: half-written files of a process that was killed.
    pub(crate) async fn remove_all_but(&self, folder: &Path, kept: impl Fn(&str) -> bool) -> Result<(), LakeError> {
        if let Some(root) = &self.folder {
            return remove_entries(&root.join(folder.as_ref()), kept);
        }
        let listed = self.objects.list_with_delimiter(Some(folder)).await?;
        let name = |path: &Path| path.filename().unwrap_or_default().to_owned();
        let files = listed.objects.into_iter().map(|file| file.location).filter(|path| !kept(&name(path)));
        self.delete(files.map(Ok).collect()).await?;
        for path in listed.common_prefixes.iter().filter(|path| !kept(&name(path))) {
            self.remove_folder(path).await?;
        }
        Ok(())
    }

    /// Removes a folder with all that is in it.
    pub(crate) async fn remove_folder(&self, folder: &Path) -> Result<(), LakeError> {
        self.known.forget(folder);
        if let Some(root) = &self.folder {
            let path = root.join(folder.as_ref());
            let removed = match std::fs::remove_dir_all(&path) {
                Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => std::fs::remove_file(&path),
                removed => removed,
            };
            return match removed {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(at(&path)(error)),
                _ => Ok(()),
            };
        }
        let files = self.objects.list(Some(folder)).map_ok(|file| file.location);
        self.delete(files.collect().await).await
    }

    /// Removes all files below `folder` but those of these paths below it; in a file system also half-written files.
    pub(crate) async fn remove_files_but(&self, folder: &Path, kept: impl Fn(&str) -> bool) -> Result<(), LakeError> {
        if let Some(root) = &self.folder {
            return remove_files(&root.join(folder.as_ref()), "", &kept);
        }
        let files = self.objects.list(Some(folder)).map_ok(|file| file.location);
        let files: Vec<_> = files.collect().await;
        let stays = |file: &object_store::Result<Path>| {
            file.as_ref().is_ok_and(|file| below(file, folder).is_none_or(|file| kept(&file)))
        };
        self.delete(files.into_iter().filter(|file| !stays(file)).collect()).await
    }

    /// Removes a folder in which there is nothing; elsewhere than in a file system there are none.
    pub(crate) fn remove_if_empty(&self, folder: &Path) {
        if let Some(root) = &self.folder {
            let _holds_something = std::fs::remove_dir(root.join(folder.as_ref()));
        }
    }

    pub(crate) async fn delete(&self, files: Vec<object_store::Result<Path>>) -> Result<(), LakeError> {
        let mut deleted = self.objects.delete_stream(futures::stream::iter(files).boxed());
        while let Some(result) = deleted.next().await {
            match result {
                Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// True if a folder holds a file.
    pub(crate) async fn has_files(&self, folder: &Path) -> Result<bool, LakeError> {
        Ok(self.objects.list(Some(folder)).try_next().await?.is_some())
    }

    pub(crate) async fn put(&self, path: &Path, bytes: PutPayload) -> Result<(), LakeError> {
        let put = self.objects.put(path, bytes).await;
        put.map(|_put| ()).map_err(|error| self.refused(path, &error).unwrap_or_else(|| error.into()))
    }

    /// A file that is small: in a file system it is read before another thread would wake up to do it.
    pub(crate) async fn read_small(&self, path: &Path) -> Result<Option<Vec<u8>>, LakeError> {
        if let Some(root) = &self.folder {
            let path = root.join(path.as_ref());
            return match std::fs::read(&path) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                read => Ok(Some(read.map_err(at(&path))?)),
            };
        }
        match self.objects.get(path).await {
            Ok(found) => Ok(Some(found.bytes().await?.into())),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Names of the files right below `folder`.
    pub(crate) async fn files(&self, folder: &Path) -> Result<Vec<String>, LakeError> {
        let listed = self.objects.list_with_delimiter(Some(folder)).await?;
        Ok(listed.objects.iter().filter_map(|file| file.location.filename().map(str::to_owned)).collect())
    }

    /// Names of the folders right below `folder`, in order.
    pub(crate) async fn folders(&self, folder: &Path) -> Result<Vec<String>, LakeError> {
        let listed = self.objects.list_with_delimiter(Some(folder)).await?;
        let mut names: Vec<String> =
            listed.common_prefixes.iter().filter_map(|path| path.filename().map(str::to_owned)).collect();
        names.sort();
        Ok(names)
    }
}

/// What to do about a period whose files are damaged and that the export no longer has.
pub(crate) fn how_to_mend(period: &str) -> String {
    format!(
        "restore the file from a backup, deliver the period's files again, or drop the period with \
         `finops-credits lake drop-period {period}`"
    )
}

/// Links a file where there is none yet.
fn hard_link(from: &std::path::Path, to: &std::path::Path) -> std::io::Result<()> {
    match std::fs::hard_link(from, to) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && from.exists() => {
            to.parent().map_or(Ok(()), std::fs::create_dir_all)?;
            std::fs::hard_link(from, to)
        }
        linked => linked,
    }
}

/// Removes the entries of a folder but those of these names.
fn remove_entries(folder: &std::path::Path, kept: impl Fn(&str) -> bool) -> Result<(), LakeError> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(at(folder))?,
    };
    for entry in entries {
        let entry = entry.map_err(at(folder))?;
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

/// Removes the files of a folder but those of these paths, and the folders that are empty then.
fn remove_files(folder: &std::path::Path, path: &str, kept: &impl Fn(&str) -> bool) -> Result<(), LakeError> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(at(folder))?,
    };
    for entry in entries {
        let entry = entry.map_err(at(folder))?;
        let name = format!("{path}{}", entry.file_name().to_string_lossy());
        if entry.file_type().map_err(at(entry.path()))?.is_dir() {
            remove_files(&entry.path(), &format!("{name}/"), kept)?;
            let _holds_something = std::fs::remove_dir(entry.path());
        } else if !kept(&name) {
            std::fs::remove_file(entry.path()).map_err(at(entry.path()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
