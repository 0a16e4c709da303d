//! Sizes and checksums: how damage to a file is known.

use std::fmt;
use std::fs::File;
use std::hash::Hasher;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use twox_hash::XxHash64;

/// A file as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSum {
    /// Bytes.
    pub size: u64,
    /// Their XXH64 with seed 0, as `xxhsum` prints it.
    #[serde(serialize_with = "as_text", deserialize_with = "of_text")]
    pub xxh64: u64,
    /// Rows of the table in it.
    pub rows: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn as_text<S: Serializer>(xxh64: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{xxh64:016x}"))
}

fn of_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    u64::from_str_radix(&String::deserialize(deserializer)?, 16).map_err(serde::de::Error::custom)
}

/// The sum of a file in the making.
#[derive(Debug)]
pub(crate) struct Summing(XxHash64);

impl Summing {
    pub(crate) const fn new() -> Self {
        Self(XxHash64::with_seed(0))
    }

    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    pub(crate) fn finish(&self, rows: u64) -> FileSum {
        FileSum { size: self.0.total_len(), xxh64: self.0.finish(), rows }
    }
}

pub(crate) fn xxh64(bytes: &[u8]) -> u64 {
    XxHash64::oneshot(0, bytes)
}

const BUFFER: usize = 256 << 10;

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Problem {
    Missing,
    Other(String),
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => formatter.write_str("is missing"),
            Self::Other(problem) => formatter.write_str(problem),
        }
    }
}

/// What is wrong with a file, if anything: it is read as a whole.
pub(crate) fn problem(file: &Path, expected: &FileSum) -> Option<Problem> {
    match found(file, expected) {
        Ok(problem) => problem,
        Err(error) if error.kind() == ErrorKind::NotFound => Some(Problem::Missing),
        Err(error) => Some(Problem::Other(format!("cannot be read: {error}"))),
    }
}

fn found(file: &Path, expected: &FileSum) -> io::Result<Option<Problem>> {
    let mut file = File::open(file)?;
    if let Some(problem) = wrong_size(Some(file.metadata()?.len()), expected) {
        return Ok(Some(problem));
    }
    let (mut buffer, mut sum) = (vec![0; BUFFER], Summing::new());
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(bytes) => sum.add(buffer.get(..bytes).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let is_as_written = sum.finish(expected.rows) == *expected;
    Ok((!is_as_written).then(|| Problem::Other(OTHER_BYTES.to_owned())))
}

/// What is said of a file whose size is right.
pub(crate) const OTHER_BYTES: &str = "holds other bytes than were written (its checksum differs)";

/// What is wrong with the size of a file; none: it is not there.
pub(crate) fn wrong_size(size: Option<u64>, expected: &FileSum) -> Option<Problem> {
    match size {
        None => Some(Problem::Missing),
        Some(size) if size != expected.size => {
            Some(Problem::Other(format!("has {size} bytes instead of {}", expected.size)))
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(bytes: &[u8]) -> FileSum {
        let mut summing = Summing::new();
        bytes.chunks(3).for_each(|chunk| summing.add(chunk));
        summing.finish(1)
    }

    #[test]
    fn a_file_that_is_cut_emptied_or_flipped_is_told_from_the_one_that_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        let written = b"what was written".to_vec();
        let expected = sum(&written);
        let mut flipped = written.clone();
        flipped[4] ^= 1;
        let problem = |bytes: &[u8]| {
            std::fs::write(&file, bytes).unwrap();
            super::problem(&file, &expected)
        };
        let other = |text: &str| Some(Problem::Other(text.to_owned()));
        assert_eq!(problem(&written), None);
        assert_eq!(problem(&written[..9]), other("has 9 bytes instead of 16"));
        assert_eq!(problem(&[]), other("has 0 bytes instead of 16"));
        assert_eq!(problem(&flipped), other(OTHER_BYTES));
        std::fs::remove_file(&file).unwrap();
        assert_eq!(super::problem(&file, &expected), Some(Problem::Missing));
        assert!(super::problem(folder.path(), &expected).is_some(), "a folder is no such file");
    }

    #[test]
    fn a_sum_reads_back_from_text() {
        let known = FileSum { size: 9, xxh64: 0x00cb_f439, rows: 2 };
        let text = serde_json::to_string(&known).unwrap();
        assert_eq!(text, r#"{"size":9,"xxh64":"0000000000cbf439","rows":2}"#);
        assert_eq!(serde_json::from_str::<FileSum>(&text).unwrap(), known);
        assert_eq!(sum(b"abc").xxh64, 0x44bc_2cf5_ad77_0999, "as everybody else has it");
    }
}
