//! Checks that files are as their records say: each once, before anything is taken from it.
//!
//! In a file system size and checksum are checked, elsewhere the size: S3 checks its own bytes.

use std::collections::BTreeMap;

use datafusion::common::runtime::SpawnedTask;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStore;
use object_store::path::Path;

use crate::error::LakeError;
use crate::known::Condition;
use crate::layout::{below, under};
use crate::store::Store;
use crate::sums::{FileSum, Problem, problem, wrong_size};

impl Store {
    /// Conditions of files that lie below a folder.
    pub(crate) async fn conditions(
        &self,
        folder: &Path,
        paths: impl IntoIterator<Item = Path>,
    ) -> Result<BTreeMap<Path, Condition>, LakeError> {
        let paths: Vec<Path> = paths.into_iter().collect();
        let unchecked = self.known.unchecked(&paths);
        if !unchecked.is_empty() {
            match self.folder() {
                Some(root) => self.check_sums(root.to_owned(), unchecked).await,
                None => self.check_sizes(folder).await?,
            }
        }
        Ok(paths.into_iter().map(|path| (path.clone(), self.known.condition(&path))).collect())
    }

    /// Condition of one file that lies below a folder.
    pub(crate) async fn condition(&self, folder: &Path, path: &Path) -> Result<Condition, LakeError> {
        let found = self.conditions(folder, [path.clone()]).await?;
        Ok(found.into_values().next().unwrap_or(Condition::Unknown))
    }

    async fn check_sums(&self, root: std::path::PathBuf, files: Vec<(Path, FileSum)>) {
        let at_once = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let checks = files.into_iter().map(|(path, sum)| {
            let file = root.join(path.as_ref());
            async move {
                let problem = SpawnedTask::spawn_blocking(move || problem(&file, &sum)).join_unwind().await;
                (path, sum, problem.unwrap_or_else(|error| Some(Problem::Other(error.to_string()))))
            }
        });
        let mut checked = futures::stream::iter(checks).buffer_unordered(at_once);
        while let Some((path, sum, problem)) = checked.next().await {
            self.known.checked(path, sum, problem);
        }
    }

    /// Checks all files of a folder with one listing.
    async fn check_sizes(&self, folder: &Path) -> Result<(), LakeError> {
        let sizes = self.sizes(folder).await?;
        for (path, sum) in self.known.unchecked_below(folder) {
            let size = below(&path, folder).and_then(|file| sizes.get(&file).copied());
            let problem = wrong_size(size, &sum);
            self.known.checked(path, sum, problem);
        }
        Ok(())
    }

    /// Sizes of all files of a folder, by path below it.
    pub(crate) async fn sizes(&self, folder: &Path) -> Result<BTreeMap<String, u64>, LakeError> {
        let files = self.objects().list(Some(folder));
        let files = files.map_ok(|file| (below(&file.location, folder).unwrap_or_default(), file.size));
        Ok(files.try_collect().await?)
    }

    /// Refuses a folder if one of these files, by path below it, is missing or has another size.
    pub(crate) async fn refuse_wrong_sizes<'a>(
        &self,
        folder: &Path,
        files: impl IntoIterator<Item = (&'a String, FileSum)>,
    ) -> Result<(), LakeError> {
        let sizes = self.sizes(folder).await?;
        for (file, sum) in files {
            if let Some(problem) = wrong_size(sizes.get(file).copied(), &sum) {
                return Err(self.damaged(&under(folder, file), problem));
            }
        }
        Ok(())
    }

    /// Refuses files below a folder of which one is not as its record says.
    pub(crate) async fn refuse_damaged(
        &self,
        folder: &Path,
        files: impl IntoIterator<Item = Path>,
    ) -> Result<(), LakeError> {
        for (path, condition) in self.conditions(folder, files).await? {
            if let Some(problem) = condition.problem() {
                return Err(self.damaged(&path, problem));
            }
        }
        Ok(())
    }

    /// Warns of a damaged file, once.
    pub(crate) fn warn(&self, path: &Path, problem: &Problem, consequence: &str) {
        if self.known.is_first_warning(path) {
            tracing::warn!("{} {problem}; {consequence}", self.name(path));
        }
    }
}
