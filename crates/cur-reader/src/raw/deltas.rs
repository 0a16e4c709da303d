//! Whole numbers as Parquet packs the lengths of texts: by their differences (`DELTA_BINARY_PACKED`).

use parquet::errors::{ParquetError, Result};

use super::hybrid::word;

/// What the front of packed lengths claims.
pub(crate) struct Deltas<'a> {
    data: &'a [u8],
    next: usize,
    blocks: usize,
    per_block: usize,
    /// Lengths.
    count: usize,
    first: i64,
}

/// Bits of a difference of two lengths.
const MOST_BITS: usize = 32;

fn damaged() -> ParquetError {
    ParquetError::General("lengths of texts that cannot be read".to_owned())
}

impl<'a> Deltas<'a> {
    /// Of a page that has so many values.
    pub(crate) fn of(data: &'a [u8], values: usize) -> Result<Self> {
        let deltas = Self::new(data)?;
        if deltas.count > values {
            return Err(ParquetError::General("a page claims more texts than it has values".to_owned()));
        }
        Ok(deltas)
    }

    fn new(data: &'a [u8]) -> Result<Self> {
        let mut deltas = Self { data, next: 0, blocks: 0, per_block: 0, count: 0, first: 0 };
        let size = deltas.size()?;
        deltas.blocks = deltas.size()?;
        deltas.per_block = size.checked_div(deltas.blocks).ok_or_else(damaged)?;
        deltas.count = deltas.size()?;
        deltas.first = deltas.signed()?;
        Ok(deltas)
    }

    /// The sum of the lengths, and what comes after them.
    pub(crate) fn sum(mut self) -> Result<(u64, &'a [u8])> {
        let mut left = self.count;
        let mut length = self.first;
        let mut sum = 0_u64;
        let mut add = |length: i64| {
            let length = u32::try_from(length).ok().filter(|length| length >> 31 == 0).ok_or_else(damaged)?;
            sum += u64::from(length);
            Ok::<_, ParquetError>(())
        };
        if left > 0 {
            add(length)?;
            left -= 1;
        }
        while left > 0 {
            let least = self.signed()?;
            let widths = self.data.get(self.next..).and_then(|rest| rest.get(..self.blocks)).ok_or_else(damaged)?;
            self.next += self.blocks;
            for width in widths.iter().map(|width| usize::from(*width)) {
                let held = left.min(self.per_block);
                // Of the blocks after the last length the widths say nothing.
                let bytes = if held > 0 { width.checked_mul(self.per_block).ok_or_else(damaged)? / 8 } else { 0 };
                if held > 0 && (width > MOST_BITS || self.next.saturating_add(held * width / 8) > self.data.len()) {
                    return Err(damaged());
                }
                for bit in (0..held).map(|index| self.next * 8 + index * width) {
                    let delta = (word(self.data, bit >> 3) >> (bit & 7)) & ((1 << width) - 1);
                    length = length.saturating_add(least).saturating_add(delta.cast_signed());
                    add(length)?;
                }
                self.next = self.next.saturating_add(bytes);
                left -= held;
            }
            if self.per_block == 0 {
                return Err(damaged());
            }
        }
        Ok((sum, self.data.get(self.next..).ok_or_else(damaged)?))
    }

    fn size(&mut self) -> Result<usize> {
        self.varint().and_then(|size| usize::try_from(size).map_err(|_| damaged()))
    }

    fn signed(&mut self) -> Result<i64> {
        self.varint().map(|number| (number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    fn varint(&mut self) -> Result<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.data.get(self.next).ok_or_else(damaged)?;
            self.next += 1;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(damaged())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_added_up_and_what_follows_them_is_found() {
        // 128 in a block of four; five lengths, the first 7; differences of at least -2 in four bits, then what follows.
        let packed = [128, 1, 4, 5, 14, 3, 4, 0, 0, 0, 0x20, 0x34];
        let data = [&packed[..], &[0; 14], &[1, 2, 3]].concat();
        let lengths = Deltas::new(&data).unwrap();
        assert_eq!(lengths.count, 5);
        // 7, then -2, 0, 2, 1.
        let (sum, rest) = lengths.sum().unwrap();
        assert_eq!((sum, rest), (7 + 5 + 5 + 7 + 8, &[1, 2, 3][..]));
        assert!(Deltas::new(&data[..11]).unwrap().sum().is_err());
        assert!(Deltas::new(&[128, 1, 0, 5, 14]).is_err());
    }

    fn sum(data: &[u8]) -> std::result::Result<u64, String> {
        let sum = Deltas::new(data).and_then(Deltas::sum);
        sum.map(|(sum, _)| sum).map_err(|error| error.to_string())
    }

    #[test]
    fn lengths_over_several_blocks_are_added_up() {
        // Eight in a block of two parts; eleven lengths, from 1 on by threes: no bits for anything else.
        let packed = [8, 2, 11, 2, 6, 0, 0, 6, 0, 0];
        assert_eq!(sum(&packed), Ok((0..11_u64).map(|at| 1 + 3 * at).sum::<u64>()));
        // One length needs no block, none not even that.
        assert_eq!((sum(&[8, 2, 1, 200, 1]), sum(&[8, 2, 0, 0])), (Ok(100), Ok(0)));
        // Of a part behind the last length the width says nothing.
        assert_eq!(sum(&[8, 2, 2, 2, 6, 0, 255]), Ok(1 + 4));
    }

    #[test]
    fn lengths_that_cannot_be_are_an_error() {
        let damaged = Err("Parquet error: lengths of texts that cannot be read".to_owned());
        for (packed, why) in [
            (&[8, 2, 2, 1, 0, 0, 0][..], "the first is -1"),
            (&[8, 2, 2, 2, 5, 0, 0], "the second is -2"),
            (&[8, 2, 2, 2, 0, 33, 0, 0, 0, 0, 0, 0], "33 bits of difference"),
            (&[8, 2, 9, 2, 0, 8, 8, 1, 1, 1], "three of eight differences"),
            (&[8, 0, 2, 2, 0, 0], "a block of no parts"),
            (&[2, 4, 2, 2, 0, 0, 0, 0, 0], "parts of no differences"),
            (&[8, 2, 2, 2], "no block"),
            (&[8, 2, 0x80], "no end of a number"),
            (&[0xff; 20], "a number of more than 64 bits"),
        ] {
            assert_eq!(sum(packed), damaged, "{why}");
        }
        let Err(more) = Deltas::of(&[8, 2, 11, 2], 10) else { panic!("ten values have no eleven lengths") };
        assert_eq!(more.to_string(), "Parquet error: a page claims more texts than it has values");
    }
}
