//! The bytes of some column chunks, fetched at once.

use std::sync::Arc;

use bytes::buf::Reader;
use bytes::{Buf, Bytes};
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};

/// What is held of a file.
#[derive(Debug, Clone)]
pub(crate) struct Chunks {
    size: u64,
    /// Where each piece starts, in order.
    pieces: Arc<[(u64, Bytes)]>,
}

impl Chunks {
    pub(crate) fn new(size: u64, mut pieces: Vec<(u64, Bytes)>) -> Self {
        pieces.sort_by_key(|(start, _)| *start);
        Self { size, pieces: pieces.into() }
    }

    /// From `start` to the end of its piece.
    fn from(&self, start: u64) -> Result<Bytes> {
        let after = self.pieces.partition_point(|(first, _)| *first <= start);
        let piece = after.checked_sub(1).and_then(|at| self.pieces.get(at));
        let bytes = piece.and_then(|(first, bytes)| {
            let skipped = usize::try_from(start - first).ok()?;
            (skipped <= bytes.len()).then(|| bytes.slice(skipped..))
        });
        bytes.ok_or_else(|| ParquetError::EOF(format!("byte {start} belongs to no column that is read")))
    }
}

impl Length for Chunks {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for Chunks {
    type T = Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        Ok(self.from(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let bytes = self.from(start)?;
        if bytes.len() < length {
            return Err(ParquetError::EOF(format!("{length} bytes from {start} on are not in one column")));
        }
        Ok(bytes.slice(..length))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn bytes_are_found_in_the_piece_that_holds_them_and_nowhere_else() {
        let chunks = Chunks::new(100, vec![(50, Bytes::from_static(b"fifty")), (4, Bytes::from_static(b"four"))]);
        assert_eq!(chunks.len(), 100);
        assert_eq!(chunks.get_bytes(4, 4).unwrap(), "four");
        assert_eq!(chunks.get_bytes(52, 2).unwrap(), "ft");
        let mut rest = String::new();
        chunks.get_read(51).unwrap().read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "ifty", "to the end of the piece");
        let refused = |start, length| chunks.get_bytes(start, length).unwrap_err().to_string();
        assert_eq!(refused(6, 3), "EOF: 3 bytes from 6 on are not in one column");
        for start in [0, 9, 49, 56, 99, 1_000] {
            assert_eq!(refused(start, 1), format!("EOF: byte {start} belongs to no column that is read"));
        }
    }
}
