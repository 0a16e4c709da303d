//! A workspace as it was, to be put back at the same place: the logs of a lake hold its path, and a lake knows the files of
//! the export by their inodes and times.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A copy of a workspace. Files of the export are linked: whoever changes one removes it first.
pub(crate) struct Saved {
    place: PathBuf,
    copy: TempDir,
}

impl Saved {
    /// Copies a folder as it is now.
    pub(crate) fn of(place: PathBuf) -> Self {
        let copy = tempfile::tempdir().expect("a temporary folder");
        copy_tree(&place, copy.path());
        Self { place, copy }
    }

    /// Makes the folder what it was.
    pub(crate) fn put_back(&self) {
        fs::remove_dir_all(&self.place).expect("a removed folder");
        copy_tree(self.copy.path(), &self.place);
    }
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).unwrap_or_else(|error| panic!("{}: {error}", from.display())) {
        let (entry, to) = entry.map(|entry| (entry.path(), to.join(entry.file_name()))).expect("a folder entry");
        if entry.is_symlink() {
            let target = fs::read_link(&entry).expect("a link");
            std::os::unix::fs::symlink(target, to).expect("a link");
        } else if entry.is_dir() {
            copy_tree(&entry, &to);
        } else if from.components().any(|folder| folder.as_os_str() == "cur") {
            fs::hard_link(&entry, to).expect("a linked file");
        } else {
            fs::copy(&entry, to).expect("a copied file");
        }
    }
}
