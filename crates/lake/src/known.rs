//! What is known of the lake's files: sizes and checksums, what they are made from, and whether they are still so.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use object_store::path::Path;
use serde::{Deserialize, Serialize};

use crate::layout::below;
use crate::sums::{FileSum, Problem};

/// What a record says of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileRecord {
    #[serde(flatten)]
    pub(crate) sum: FileSum,
    /// Digest of what it is made from; none of a file that is never reused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) inputs: Option<String>,
}

/// Files by path.
pub(crate) type FileRecords = BTreeMap<String, FileRecord>;

/// Whether a file is as its record says.
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
    record: FileRecord,
    /// None: not checked yet.
    condition: Option<Condition>,
}

/// The files that this process knows.
#[derive(Debug, Clone, Default)]
pub(crate) struct KnownFiles {
    files: Arc<Mutex<BTreeMap<Path, Known>>>,
    /// Damaged files that somebody was warned of.
    warned: Arc<Mutex<BTreeSet<Path>>>,
}

impl KnownFiles {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Path, Known>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This process wrote a file.
    pub(crate) fn wrote(&self, path: Path, sum: FileSum, inputs: Option<String>) {
        let known = Known { record: FileRecord { sum, inputs }, condition: Some(Condition::Sound(sum)) };
        self.lock().insert(path, known);
    }

    /// This process linked a file to another place.
    pub(crate) fn linked(&self, from: &Path, to: Path) {
        let mut files = self.lock();
        if let Some(known) = files.get(from).cloned() {
            files.insert(to, known);
        }
    }

    /// A record says what a file is, if this process does not know it by itself.
    pub(crate) fn learn(&self, path: Path, record: FileRecord) {
        self.lock().entry(path).or_insert(Known { record, condition: None });
    }

    /// What was written in a folder is about to go.
    pub(crate) fn forget(&self, folder: &Path) {
        self.lock().retain(|path, _| !path.prefix_matches(folder));
    }

    /// What a file is made from.
    pub(crate) fn inputs(&self, path: &Path) -> Option<String> {
        self.lock().get(path)?.record.inputs.clone()
    }

    /// Records of all known files of a folder, by path below it.
    pub(crate) fn records_below(&self, folder: &Path) -> FileRecords {
        let files = self.lock();
        files.iter().filter_map(|(path, known)| Some((below(path, folder)?, known.record.clone()))).collect()
    }

    /// Of these files, those that were not checked yet.
    pub(crate) fn unchecked<'a>(&self, paths: impl IntoIterator<Item = &'a Path>) -> Vec<(Path, FileSum)> {
        let files = self.lock();
        let unchecked = |path: &'a Path| {
            let known = files.get(path).filter(|known| known.condition.is_none())?;
            Some((path.clone(), known.record.sum))
        };
        paths.into_iter().filter_map(unchecked).collect()
    }

    /// All files of a folder that were not checked yet.
    pub(crate) fn unchecked_below(&self, folder: &Path) -> Vec<(Path, FileSum)> {
        let files = self.lock();
        let unchecked = files.iter().filter(|(path, known)| path.prefix_matches(folder) && known.condition.is_none());
        unchecked.map(|(path, known)| (path.clone(), known.record.sum)).collect()
    }

    /// A file was checked. If it was written anew meanwhile, that counts.
    pub(crate) fn checked(&self, path: Path, sum: FileSum, problem: Option<Problem>) {
        let condition = problem.map_or(Condition::Sound(sum), Condition::Damaged);
        self.lock().entry(path).and_modify(|known| {
            known.condition.get_or_insert(condition);
        });
    }

    /// The condition of a file, as far as it is known.
    pub(crate) fn condition(&self, path: &Path) -> Condition {
        self.lock().get(path).and_then(|known| known.condition.clone()).unwrap_or(Condition::Unknown)
    }

    /// True the first time it is asked of a file.
    pub(crate) fn is_first_warning(&self, path: &Path) -> bool {
        self.warned.lock().unwrap_or_else(PoisonError::into_inner).insert(path.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(size: u64) -> FileSum {
        FileSum { size, xxh64: size, rows: 1 }
    }

    fn record(size: u64, inputs: &str) -> FileRecord {
        FileRecord { sum: sum(size), inputs: Some(inputs.to_owned()) }
    }

    #[test]
    fn what_this_process_wrote_counts_before_what_a_record_or_a_late_check_says() {
        let (known, path) = (KnownFiles::default(), Path::from("runs/a/net_cost/part-0.parquet"));
        assert_eq!(known.condition(&path), Condition::Unknown);
        known.learn(path.clone(), record(1, "one"));
        known.learn(path.clone(), record(2, "two"));
        assert_eq!(known.unchecked([&path]), [(path.clone(), sum(1))], "the first record that says it");
        known.wrote(path.clone(), sum(3), Some("three".to_owned()));
        known.checked(path.clone(), sum(1), Some(Problem::Missing));
        known.learn(path.clone(), record(4, "four"));
        assert_eq!(known.condition(&path), Condition::Sound(sum(3)));
        assert_eq!((known.inputs(&path).as_deref(), known.unchecked([&path]).len()), (Some("three"), 0));
    }

    #[test]
    fn file_is_checked_once_and_its_damage_stays_known() {
        let (known, path) = (KnownFiles::default(), Path::from("work/a/lots/part-0.parquet"));
        known.checked(path.clone(), sum(1), Some(Problem::Missing));
        assert_eq!(known.condition(&path), Condition::Unknown, "nobody said what it should be");
        known.learn(path.clone(), record(1, "one"));
        known.checked(path.clone(), sum(1), Some(Problem::Missing));
        known.checked(path.clone(), sum(1), None);
        assert_eq!(known.condition(&path), Condition::Damaged(Problem::Missing));
        assert_eq!([known.is_first_warning(&path), known.is_first_warning(&path)], [true, false]);
        known.linked(&path, Path::from("work/b/lots/part-0.parquet"));
        assert_eq!(known.condition(&Path::from("work/b/lots/part-0.parquet")), Condition::Damaged(Problem::Missing));
    }

    #[test]
    fn folder_that_goes_takes_what_is_known_of_it_and_no_other_one() {
        let known = KnownFiles::default();
        for file in ["runs/a/x", "runs/a/y/z", "runs/ab/x"] {
            known.learn(Path::from(file), record(1, file));
        }
        let below = |folder: &str| known.records_below(&Path::from(folder)).into_keys().collect::<Vec<_>>();
        assert_eq!(below("runs/a"), ["x", "y/z"]);
        assert_eq!(known.unchecked_below(&Path::from("runs/a")).len(), 2);
        known.forget(&Path::from("runs/a"));
        assert_eq!((below("runs/a").len(), below("runs")), (0, vec!["ab/x".to_owned()]));
    }

    #[test]
    fn record_keeps_to_the_words_that_older_versions_read() {
        let text = serde_json::to_string(&record(9, "i")).unwrap();
        assert_eq!(text, r#"{"size":9,"xxh64":"0000000000000009","rows":1,"inputs":"i"}"#);
        let without: FileRecord = serde_json::from_str(r#"{"size":9,"xxh64":"9","rows":1}"#).unwrap();
        assert_eq!(without, FileRecord { sum: sum(9), inputs: None });
        assert!(serde_json::from_str::<FileRecord>(r#"{"size":9,"xxh64":"no sum","rows":1}"#).is_err());
    }
}
