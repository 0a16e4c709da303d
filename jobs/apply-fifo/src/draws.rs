//! The draws of a period between the ledger, which makes them in FIFO order, and the table, which wants them by credit.

use std::io::{self, Read, Seek, SeekFrom, Write};

use credit_ledger::{Draw, Money};
use tempfile::SpooledTempFile;

/// Bytes of draws that are kept in memory; more lie in a temporary file.
pub const DRAWS_IN_MEMORY: usize = 16 << 20;

const CELL_BYTES: usize = size_of::<u64>();
const DRAW_BYTES: usize = CELL_BYTES + size_of::<i128>();

/// The draws of each lot, side by side.
#[derive(Debug)]
pub(crate) struct DrawFile {
    file: SpooledTempFile,
    /// Where those of each lot begin, and how many bytes they have.
    lots: Vec<(u64, usize)>,
    length: u64,
    buffer: Vec<u8>,
}

impl DrawFile {
    /// No draws yet, of so many lots.
    pub(crate) fn new(lots: usize, in_memory: usize) -> Self {
        Self { file: SpooledTempFile::new(in_memory), lots: vec![(0, 0); lots], length: 0, buffer: Vec::new() }
    }

    /// Adds all draws of a lot.
    pub(crate) fn write(&mut self, lot: usize, draws: &[Draw]) -> io::Result<()> {
        self.buffer.clear();
        for draw in draws {
            self.buffer.extend_from_slice(&(draw.cell as u64).to_le_bytes());
            self.buffer.extend_from_slice(&draw.used.units().to_le_bytes());
        }
        self.file.write_all(&self.buffer)?;
        if let Some(place) = self.lots.get_mut(lot) {
            *place = (self.length, self.buffer.len());
        }
        self.length = self.length.saturating_add(self.buffer.len() as u64);
        Ok(())
    }

    /// The draws of a lot.
    pub(crate) fn read(&mut self, lot: usize) -> io::Result<Vec<Draw>> {
        let (start, bytes) = self.lots.get(lot).copied().unwrap_or_default();
        self.file.seek(SeekFrom::Start(start))?;
        self.buffer.resize(bytes, 0);
        self.file.read_exact(&mut self.buffer)?;
        self.buffer.chunks_exact(DRAW_BYTES).map(draw).collect::<Option<_>>().ok_or_else(damaged)
    }

    /// How many draws there are.
    pub(crate) const fn count(&self) -> u64 {
        self.length / DRAW_BYTES as u64
    }
}

fn draw(bytes: &[u8]) -> Option<Draw> {
    let (cell, used) = bytes.split_at_checked(CELL_BYTES)?;
    let cell = usize::try_from(u64::from_le_bytes(cell.try_into().ok()?)).ok()?;
    Some(Draw { cell, used: Money::from_units(i128::from_le_bytes(used.try_into().ok()?)).ok()? })
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "draws read back are not those that were written")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draws(lot: usize) -> Vec<Draw> {
        let used = |number: usize| Money::from_units(10_i128.pow(30) * number as i128 + 1).unwrap();
        (0..lot * 3).map(|number| Draw { cell: number * 7, used: used(number) }).collect()
    }

    #[test]
    fn draws_read_back_by_lot_whether_they_fit_into_memory_or_not() {
        for in_memory in [DRAWS_IN_MEMORY, 100] {
            let mut file = DrawFile::new(6, in_memory);
            for lot in [3, 0, 5, 1] {
                file.write(lot, &draws(lot)).unwrap();
            }
            assert_eq!(file.file.is_rolled(), in_memory == 100);
            for (lot, expected) in [(0, 0), (1, 1), (2, 0), (3, 3), (4, 0), (5, 5)] {
                assert_eq!(file.read(lot).unwrap(), draws(expected), "lot {lot} with {in_memory} bytes");
            }
            assert_eq!(file.count(), 27);
        }
    }
}
