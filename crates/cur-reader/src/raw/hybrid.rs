//! Whole numbers as Parquet packs levels and dictionary indexes: runs of one number, and runs packed bit by bit.

use bytes::Bytes;
use parquet::errors::{ParquetError, Result};

/// The numbers of one page, from the first to the last.
#[derive(Debug, Default)]
pub(crate) struct Hybrid {
    data: Bytes,
    /// Bits of a number.
    width: usize,
    /// First byte after the run.
    next: usize,
    run: Run,
    /// Numbers of the run that are still to be read.
    left: usize,
}

/// What the next numbers are.
#[derive(Debug, Clone, Copy)]
enum Run {
    Same(i32),
    /// Packed from this bit on.
    Packed(usize),
}

impl Default for Run {
    fn default() -> Self {
        Self::Same(0)
    }
}

/// Of a number that a signed one can hold.
const MOST_BITS: usize = 31;

fn too_short() -> ParquetError {
    ParquetError::EOF("a page ends before its last value".to_owned())
}

impl Hybrid {
    pub(crate) fn new(data: Bytes, width: usize) -> Result<Self> {
        if width > MOST_BITS {
            return Err(ParquetError::General(format!("dictionary indexes of {width} bits")));
        }
        // Of no bits there is only the number 0.
        let left = if width == 0 { usize::MAX } else { 0 };
        Ok(Self { data, width, next: 0, run: Run::default(), left })
    }

    /// Appends the next `count` numbers.
    pub(crate) fn read(&mut self, count: usize, to: &mut Vec<i32>) -> Result<()> {
        let mut read = 0;
        while read < count {
            let (taken, run) = self.take(count - read)?;
            match run {
                Run::Same(number) => to.resize(to.len() + taken, number),
                Run::Packed(bit) => unpack(&self.data, self.width, bit, taken, to),
            }
            read += taken;
        }
        Ok(())
    }

    /// Which of the next `count` numbers are `wanted`, as runs of those that are and those that are not.
    pub(crate) fn are(&mut self, wanted: i32, count: usize, runs: &mut Vec<(bool, usize)>) -> Result<()> {
        let mut add = |is_wanted, numbers| match runs.last_mut() {
            Some((last, length)) if *last == is_wanted => *length += numbers,
            _ => runs.push((is_wanted, numbers)),
        };
        let (mut read, mut numbers) = (0, Vec::new());
        while read < count {
            let (taken, run) = self.take(count - read)?;
            match run {
                Run::Same(number) => add(number == wanted, taken),
                Run::Packed(bit) => {
                    numbers.clear();
                    unpack(&self.data, self.width, bit, taken, &mut numbers);
                    let alike = numbers.chunk_by(|number, next| (*number == wanted) == (*next == wanted));
                    alike.for_each(|alike| add(alike.first() == Some(&wanted), alike.len()));
                }
            }
            read += taken;
        }
        Ok(())
    }

    /// The places, from 0, of zeros among the next `count` numbers of one bit.
    pub(crate) fn zeros(&mut self, count: usize, mut found: impl FnMut(usize)) -> Result<()> {
        const AT_ONCE: usize = 32;
        let mut read = 0;
        while read < count {
            let (taken, run) = self.take(count - read)?;
            match run {
                Run::Same(0) => (read..read + taken).for_each(&mut found),
                Run::Same(_) => {}
                Run::Packed(first) => {
                    for place in (0..taken).step_by(AT_ONCE) {
                        let bit = first + place;
                        let held = (1 << (taken - place).min(AT_ONCE)) - 1;
                        let mut zeros = !(word(&self.data, bit >> 3) >> (bit & 7)) & held;
                        while zeros != 0 {
                            found(read + place + zeros.trailing_zeros() as usize);
                            zeros &= zeros - 1;
                        }
                    }
                }
            }
            read += taken;
        }
        Ok(())
    }

    /// Some of the next numbers, at most `most`.
    fn take(&mut self, most: usize) -> Result<(usize, Run)> {
        while self.left == 0 {
            self.open_run()?;
        }
        let (taken, run) = (most.min(self.left), self.run);
        self.left -= taken;
        if let Run::Packed(bit) = &mut self.run {
            *bit += taken * self.width;
        }
        Ok((taken, run))
    }

    fn open_run(&mut self) -> Result<()> {
        let header = self.varint()?;
        let count = usize::try_from(header >> 1).map_err(|_| too_short())?;
        let start = self.next;
        let rest = self.data.get(start..).unwrap_or_default();
        if header & 1 == 1 {
            let bytes = count.checked_mul(self.width).ok_or_else(too_short)?;
            // Some writers leave out the end of the last run, which nobody reads.
            let held = rest.len().min(bytes);
            self.next = start + held;
            (self.run, self.left) = (Run::Packed(start * 8), held * 8 / self.width);
        } else {
            let number = rest.get(..self.width.div_ceil(8)).ok_or_else(too_short)?;
            self.next = start + number.len();
            let number = number.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte));
            (self.run, self.left) = (Run::Same(number.cast_signed()), count);
        }
        Ok(())
    }

    fn varint(&mut self) -> Result<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.data.get(self.next).ok_or_else(too_short)?;
            self.next += 1;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(too_short())
    }
}

/// Eight bytes, or what is left.
#[inline]
pub(crate) fn word(data: &[u8], at: usize) -> u64 {
    let rest = data.get(at..).unwrap_or_default();
    match rest.first_chunk() {
        Some(bytes) => u64::from_le_bytes(*bytes),
        None => rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

/// The lowest bits of a word as a number.
#[inline]
fn lowest(word: u64, width: usize) -> i32 {
    #[expect(clippy::cast_possible_truncation, reason = "at most 31 bits are left")]
    let number = (word & ((1 << width) - 1)) as u32;
    number.cast_signed()
}

/// Appends numbers from a bit on: one by one as far as the first that begins with a byte, by eights from there.
fn unpack(data: &[u8], width: usize, first: usize, count: usize, to: &mut Vec<i32>) {
    let one_by_one = |range: std::ops::Range<usize>, to: &mut Vec<i32>| {
        to.extend(range.map(|index| {
            let bit = first + index * width;
            lowest(word(data, bit >> 3) >> (bit & 7), width)
        }));
    };
    let ahead = (0..8).find(|index| (first + index * width).is_multiple_of(8)).unwrap_or(count).min(count);
    one_by_one(0..ahead, to);
    let rest = data.get((first + ahead * width) / 8..).unwrap_or_default();
    let unpacked = ahead + eights(rest, width, (count - ahead) / 8, to) * 8;
    one_by_one(unpacked..count, to);
}

/// Appends groups of eight numbers, each of as many bytes as a number has bits; says how many: none of wide numbers.
fn eights(data: &[u8], width: usize, groups: usize, to: &mut Vec<i32>) -> usize {
    match width {
        1 => narrow::<1>(data, groups, to),
        2 => narrow::<2>(data, groups, to),
        3 => narrow::<3>(data, groups, to),
        4 => narrow::<4>(data, groups, to),
        5 => narrow::<5>(data, groups, to),
        6 => narrow::<6>(data, groups, to),
        7 => narrow::<7>(data, groups, to),
        8 => narrow::<8>(data, groups, to),
        9 => wide::<9>(data, groups, to),
        10 => wide::<10>(data, groups, to),
        11 => wide::<11>(data, groups, to),
        12 => wide::<12>(data, groups, to),
        13 => wide::<13>(data, groups, to),
        14 => wide::<14>(data, groups, to),
        15 => wide::<15>(data, groups, to),
        16 => wide::<16>(data, groups, to),
        _ => 0,
    }
}

/// Groups that fit in one word.
fn narrow<const WIDTH: usize>(data: &[u8], groups: usize, to: &mut Vec<i32>) -> usize {
    let (groups, _) = data.as_chunks::<WIDTH>().0.split_at_checked(groups).unwrap_or_default();
    to.reserve(groups.len() * 8);
    for group in groups {
        let mut bytes = [0; 8];
        bytes[..WIDTH].copy_from_slice(group);
        let word = u64::from_le_bytes(bytes);
        to.extend_from_slice(&std::array::from_fn::<i32, 8, _>(|index| lowest(word >> (index * WIDTH), WIDTH)));
    }
    groups.len()
}

/// Groups that fit in two words, four numbers in each.
fn wide<const WIDTH: usize>(data: &[u8], groups: usize, to: &mut Vec<i32>) -> usize {
    let (groups, _) = data.as_chunks::<WIDTH>().0.split_at_checked(groups).unwrap_or_default();
    to.reserve(groups.len() * 8);
    for group in groups {
        let mut bytes = [0; 16];
        bytes[..WIDTH].copy_from_slice(group);
        let both = u128::from_le_bytes(bytes);
        #[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
        let words = [both as u64, (both >> (4 * WIDTH)) as u64];
        let number = |index: usize| lowest(words[index / 4] >> (index % 4 * WIDTH), WIDTH);
        to.extend_from_slice(&std::array::from_fn::<i32, 8, _>(number));
    }
    groups.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_not_there_are_an_error() {
        // One group of eight numbers of three bits, the second one after two of its three bytes.
        for (bytes, held) in [(&[3, 0b1000_1000, 0b1100_0110, 0b1111_1010][..], 8), (&[3, 0b1000_1000, 0b1100_0110], 5)]
        {
            let (mut hybrid, mut numbers) = (Hybrid::new(Bytes::copy_from_slice(bytes), 3).unwrap(), Vec::new());
            hybrid.read(held, &mut numbers).unwrap();
            assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6, 7][..held]);
            assert!(hybrid.read(1, &mut numbers).is_err());
        }
    }

    /// Ten fives as one run, 0 to 7 packed, and four zeros as one run, of three bits each.
    const RUNS: [u8; 8] = [20, 5, 3, 0b1000_1000, 0b1100_0110, 0b1111_1010, 8, 0];

    fn hybrid(bytes: &[u8], width: usize) -> Hybrid {
        Hybrid::new(Bytes::copy_from_slice(bytes), width).unwrap()
    }

    #[test]
    fn runs_of_one_number_and_packed_ones_follow_each_other_wherever_reading_stops() {
        let expected = [[5; 10].as_slice(), &[0, 1, 2, 3, 4, 5, 6, 7], &[0; 4]].concat();
        for steps in [&[22][..], &[7, 7, 8], &[1, 9, 1, 6, 5], &[12, 3, 3, 3, 1]] {
            let (mut hybrid, mut numbers) = (hybrid(&RUNS, 3), Vec::new());
            for step in steps {
                hybrid.read(*step, &mut numbers).unwrap();
            }
            assert_eq!(numbers, expected, "{steps:?}");
            assert_eq!(hybrid.read(1, &mut numbers).unwrap_err().to_string(), "EOF: a page ends before its last value");
        }
    }

    #[test]
    fn packed_numbers_of_any_width_are_the_same_wherever_reading_stops() {
        for width in 1..=MOST_BITS {
            // Five groups of eight.
            let packed = (1..=5 * width).map(|at| u8::try_from(at * 37 % 251).unwrap());
            let bytes: Vec<u8> = std::iter::once(11).chain(packed).collect();
            let read = |steps: &[usize]| {
                let (mut hybrid, mut numbers) = (hybrid(&bytes, width), Vec::new());
                steps.iter().for_each(|step| hybrid.read(*step, &mut numbers).unwrap());
                numbers
            };
            for steps in [&[40][..], &[1, 39], &[3, 20, 17], &[9, 2, 29], &[4, 8, 28]] {
                assert_eq!(read(steps), read(&[1; 40]), "{width} bits, {steps:?}");
            }
        }
    }

    #[test]
    fn numbers_of_one_kind_are_told_as_runs_over_the_borders_of_those_in_the_file() {
        let are = |wanted: i32, steps: &[usize]| {
            let (mut hybrid, mut runs) = (hybrid(&RUNS, 3), Vec::new());
            steps.iter().for_each(|step| hybrid.are(wanted, *step, &mut runs).unwrap());
            runs
        };
        for steps in [&[22][..], &[4, 10, 8], &[11, 11]] {
            assert_eq!(are(5, steps), [(true, 10), (false, 5), (true, 1), (false, 6)], "{steps:?}");
            assert_eq!(are(0, steps), [(false, 10), (true, 1), (false, 7), (true, 4)], "{steps:?}");
        }
    }

    #[test]
    fn zeros_of_one_bit_are_found_by_their_places_in_what_is_read() {
        // Three zeros, five groups of eight that alternate, two ones, two zeros.
        let bytes = [&[6, 0, 11][..], &[0b1010_1010; 5], &[4, 1, 4, 0]].concat();
        let zeros = |steps: &[usize]| {
            let (mut hybrid, mut places, mut read) = (hybrid(&bytes, 1), Vec::new(), 0);
            for step in steps {
                hybrid.zeros(*step, |place| places.push(read + place)).unwrap();
                read += step;
            }
            places
        };
        let expected: Vec<usize> = (0..3).chain((3..43).step_by(2)).chain([45, 46]).collect();
        for steps in [&[47][..], &[2, 40, 5], &[10, 33, 4], &[1; 47]] {
            assert_eq!(zeros(steps), expected, "{steps:?}");
        }
    }

    #[test]
    fn a_run_may_claim_any_length_and_takes_no_more_than_is_asked_for() {
        // 2^61 sevens.
        let claim = [&[0x80; 8][..], &[0x40, 7]].concat();
        let (mut endless, mut numbers) = (hybrid(&claim, 3), Vec::new());
        endless.read(5, &mut numbers).unwrap();
        assert_eq!(numbers, [7; 5]);
        // Packed ones are as many as there are bytes of.
        let claim = [&[0x81; 8][..], &[0x40, 0b1000_1000]].concat();
        let (mut packed, mut numbers) = (hybrid(&claim, 3), Vec::new());
        packed.read(2, &mut numbers).unwrap();
        assert_eq!(numbers, [0, 1]);
        assert!(packed.read(1, &mut numbers).is_err());
        // Of no bits there are as many zeros as anybody wants.
        let (mut none, mut numbers) = (hybrid(&[], 0), Vec::new());
        none.read(9, &mut numbers).unwrap();
        assert_eq!(numbers, [0; 9]);
    }

    #[test]
    fn headers_that_cannot_be_are_an_error() {
        let wide = Hybrid::new(Bytes::new(), 32).unwrap_err();
        assert_eq!(wide.to_string(), "Parquet error: dictionary indexes of 32 bits");
        // A header without end, one of more than 64 bits, a value that is cut off.
        for (bytes, width) in [(&[0x80, 0x80][..], 3), (&[0xff; 11], 3), (&[20, 5], 9), (&[20], 1), (&[], 1)] {
            assert!(hybrid(bytes, width).read(1, &mut Vec::new()).is_err(), "{bytes:?}");
        }
        // The widest that is borne.
        let mut numbers = Vec::new();
        hybrid(&[2, 0xff, 0xff, 0xff, 0x7f], 31).read(1, &mut numbers).unwrap();
        assert_eq!(numbers, [i32::MAX]);
    }
}
