//! What is known of the lake's files: their sizes and checksums, and whether they still have them.
//!
//! A file that this process wrote is known. Of others their records say; each is checked once, before anything is taken
//! from it: in a file system its size and checksum, elsewhere its size (S3 checks its own bytes).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datafusion::common::runtime::SpawnedTask;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStore;
use object_store::path::Path;

use crate::LakeError;
use crate::store::Store;
use crate::sums::{FileSum, Problem, problem, wrong_size};

/// How a file stands with what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Condition {
    /// As it was written.
    Sound(FileSum),
    /// No record has its sum: a version of the program wrote it that kept none.
    Unknown,
    /// Something else is there, or nothing.
    Damaged(Problem),
}

impl Condition {
    /// What is wrong, if it is known that something is.
    pub(crate) const fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Sound(_) | Self::Unknown => None,
            Self::Damaged(problem) => Some(problem),
        }
    }
}

#[derive(Debug, Clone)]
struct Known {
    sum: FileSum,
    /// None: not checked yet.
    condition: Option<Condition>,
}

impl Known {
    const fn checked(sum: FileSum) -> Self {
        Self { sum, condition: Some(Condition::Sound(sum)) }
    }
}

/// Files by path.
#[derive(Debug, Clone, Default)]
pub(crate) struct KnownFiles {
    files: Arc<Mutex<BTreeMap<Path, Known>>>,
    /// Damaged files that somebody was told of.
    told: Arc<Mutex<BTreeSet<Path>>>,
}

impl KnownFiles {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Path, Known>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    /// This process wrote a file.
    pub(crate) fn note(&self, path: Path, sum: FileSum) {
        self.known.lock().insert(path, Known::checked(sum));
    }

    /// A record says what a file is, if this process does not know it by itself.
    pub(crate) fn learn(&self, path: Path, sum: FileSum) {
        self.known.lock().entry(path).or_insert(Known { sum, condition: None });
    }

    /// What was written in a folder is about to go.
    pub(crate) fn forget(&self, folder: &Path) {
        self.known.lock().retain(|path, _| !path.prefix_matches(folder));
    }

    /// Sums of all known files of a folder, by path below it.
    pub(crate) fn sums_below(&self, folder: &Path) -> BTreeMap<String, FileSum> {
        let known = self.known.lock();
        known.iter().filter_map(|(path, known)| Some((below(path, folder)?, known.sum))).collect()
    }

    /// How files stand that lie below a folder.
    pub(crate) async fn conditions(
        &self,
        folder: &Path,
        paths: impl IntoIterator<Item = Path>,
    ) -> Result<BTreeMap<Path, Condition>, LakeError> {
        let paths: Vec<Path> = paths.into_iter().collect();
        let unchecked: Vec<(Path, FileSum)> = {
            let known = self.known.lock();
            let unchecked = paths.iter().filter_map(|path| known.get_key_value(path));
            let unchecked = unchecked.filter(|(_, known)| known.condition.is_none());
            unchecked.map(|(path, known)| (path.clone(), known.sum)).collect()
        };
        if !unchecked.is_empty() {
            self.check(folder, unchecked).await?;
        }
        let known = self.known.lock();
        let condition = |path: &Path| known.get(path).and_then(|known| known.condition.clone());
        Ok(paths.into_iter().map(|path| (path.clone(), condition(&path).unwrap_or(Condition::Unknown))).collect())
    }

    /// How one file stands that lies below a folder.
    pub(crate) async fn condition(&self, folder: &Path, path: &Path) -> Result<Condition, LakeError> {
        let found = self.conditions(folder, [path.clone()]).await?;
        Ok(found.into_values().next().unwrap_or(Condition::Unknown))
    }

    async fn check(&self, folder: &Path, files: Vec<(Path, FileSum)>) -> Result<(), LakeError> {
        let Some(root) = self.folder() else { return self.check_sizes(folder).await };
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
            self.found(path, sum, problem);
        }
        Ok(())
    }

    /// One listing says it of all files of the folder.
    async fn check_sizes(&self, folder: &Path) -> Result<(), LakeError> {
        let sizes = self.sizes(folder).await?;
        let of_folder: Vec<(Path, FileSum)> = {
            let known = self.known.lock();
            let unchecked = known.iter().filter(|(_, known)| known.condition.is_none());
            unchecked.map(|(path, known)| (path.clone(), known.sum)).collect()
        };
        for (path, sum) in of_folder {
            let Some(below) = below(&path, folder) else { continue };
            let problem = wrong_size(sizes.get(&below).copied(), &sum);
            self.found(path, sum, problem);
        }
        Ok(())
    }

    /// Sizes of all files of a folder, by path below it.
    pub(crate) async fn sizes(&self, folder: &Path) -> Result<BTreeMap<String, u64>, LakeError> {
        let files = self.objects().list(Some(folder));
        let files = files.map_ok(|file| (below(&file.location, folder).unwrap_or_default(), file.size));
        Ok(files.try_collect().await?)
    }

    fn found(&self, path: Path, sum: FileSum, problem: Option<Problem>) {
        let condition = Some(problem.map_or(Condition::Sound(sum), Condition::Damaged));
        // Where it was written anew meanwhile, that counts.
        self.known.lock().entry(path).and_modify(|known| {
            if known.condition.is_none() {
                known.condition = condition;
            }
        });
    }

    /// Warns of a damaged file, once.
    pub(crate) fn warn(&self, path: &Path, problem: &Problem, consequence: &str) {
        if self.known.told.lock().unwrap_or_else(PoisonError::into_inner).insert(path.clone()) {
            tracing::warn!("{} {problem}; {consequence}", self.name(path));
        }
    }

    /// A file is now also in another place.
    pub(crate) fn note_link(&self, from: &Path, to: Path) {
        let mut known = self.known.lock();
        if let Some(linked) = known.get(from).cloned() {
            known.insert(to, linked);
        }
    }
}

/// A path below a folder.
pub(crate) fn below(path: &Path, folder: &Path) -> Option<String> {
    Some(path.prefix_match(folder)?.collect::<Path>().to_string())
}

/// The path of a file below a folder.
pub(crate) fn under(folder: &Path, file: &str) -> Path {
    file.split('/').fold(folder.clone(), Path::join)
}
