//! Damage to what a Parquet file claims: the numbers in its footer and in the headers of its pages, which Thrift's compact
//! protocol keeps as variable-length integers.

use bytes::Bytes;
use parquet::file::metadata::ParquetMetaDataReader;

use super::bytes::{EDGES, varint};
use crate::support::random::Random;

/// Where a number of a Thrift message stands: a value, or the length of a text, a list or a map.
#[derive(Clone, Debug)]
struct Number {
    start: usize,
    end: usize,
    /// Of a field of the message itself, its id; else 0.
    field: i64,
    value: u64,
}

/// Reads over a message and notes where its numbers are.
struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    numbers: Vec<Number>,
}

impl Walk<'_> {
    fn byte(&mut self) -> Option<u8> {
        self.at += 1;
        self.bytes.get(self.at - 1).copied()
    }

    fn number(&mut self, field: i64) -> Option<u64> {
        let (start, mut value, mut shift) = (self.at, 0_u64, 0_u32);
        loop {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte < 0x80 {
                break;
            }
            shift += 7;
        }
        self.numbers.push(Number { start, end: self.at, field, value });
        Some(value)
    }

    fn value(&mut self, kind: u8, field: i64, depth: usize) -> Option<()> {
        match kind {
            1 | 2 => {}
            3 => self.at += 1,
            4..=6 => drop(self.number(field)?),
            7 => self.at += 8,
            8 => self.at = self.at.checked_add(usize::try_from(self.number(0)?).ok()?)?,
            9 | 10 => {
                let head = self.byte()?;
                let length = if head >> 4 == 15 { self.number(0)? } else { u64::from(head >> 4) };
                for _ in 0..length {
                    // Booleans of a list take a byte each.
                    if head & 15 <= 2 { self.at += 1 } else { self.value(head & 15, 0, depth + 1)? }
                }
            }
            12 => self.message(depth + 1)?,
            _ => return None,
        }
        (self.at <= self.bytes.len()).then_some(())
    }

    fn message(&mut self, depth: usize) -> Option<()> {
        let mut field = 0;
        loop {
            let head = self.byte()?;
            if head == 0 {
                return Some(());
            }
            field += i64::from(head >> 4);
            if head >> 4 == 0 {
                self.number(0)?;
            }
            self.value(head & 15, if depth == 0 { field } else { 0 }, depth)?;
        }
    }
}

/// The numbers of the message that starts here, and where it ends.
fn numbers(bytes: &[u8], at: usize) -> (Vec<Number>, usize) {
    let mut walk = Walk { bytes, at, numbers: Vec::new() };
    let _broken_off = walk.message(0);
    (walk.numbers, walk.at)
}

const END: usize = 8;

fn footer_start(file: &[u8]) -> Option<usize> {
    let length = file.get(file.len().checked_sub(END)?..file.len() - 4)?;
    let length = u32::from_le_bytes(length.try_into().ok()?);
    (file.len() - END).checked_sub(usize::try_from(length).ok()?)
}

/// Where the headers of all pages start.
fn pages(file: &[u8]) -> Vec<usize> {
    let read = ParquetMetaDataReader::new().parse_and_finish(&Bytes::copy_from_slice(file));
    let Ok(metadata) = read else { return Vec::new() };
    let mut starts = Vec::new();
    for column in metadata.row_groups().iter().flat_map(|group| group.columns()) {
        let (start, length) = column.byte_range();
        let (Ok(mut at), Ok(length)) = (usize::try_from(start), usize::try_from(length)) else { continue };
        let end = (at + length).min(file.len());
        while at < end {
            starts.push(at);
            let (numbers, after) = numbers(file, at);
            let packed = numbers.iter().find(|number| number.field == 3);
            // Whole numbers are stored in zigzag.
            at = after + packed.map_or(end, |packed| usize::try_from(packed.value >> 1).unwrap_or(end));
        }
    }
    starts
}

/// Another number for this one, as Thrift writes it.
fn instead(number: &Number, same_length: bool, random: &mut Random) -> Vec<u8> {
    if same_length {
        let bits = u32::try_from(7 * (number.end - number.start)).unwrap_or(63).min(63);
        let mut bytes = varint(random.next() & ((1 << bits) - 1));
        while bytes.len() < number.end - number.start {
            *bytes.last_mut().expect("a byte") |= 0x80;
            bytes.push(0);
        }
        return bytes;
    }
    let value = number.value;
    varint(match random.below(6) {
        0 => value.wrapping_add(2),
        1 => value.wrapping_sub(2),
        2 => value.wrapping_mul(2),
        3 => value / 2,
        _ => *random.pick(&EDGES),
    })
}

fn replace(file: &mut Vec<u8>, number: &Number, same_length: bool, random: &mut Random) {
    let bytes = instead(number, same_length, random);
    file.splice(number.start..number.end, bytes);
}

/// Other numbers in the footer, or in the header of a page; false where the file is none.
pub(super) fn damage(file: &mut Vec<u8>, random: &mut Random) -> bool {
    let Some(start) = footer_start(file) else { return false };
    let times = 1 + usize::from(random.percent(25));
    if random.percent(50) {
        let pages = pages(file);
        if pages.is_empty() {
            return false;
        }
        let at = *random.pick(&pages);
        for _ in 0..times {
            let (numbers, _) = numbers(file, at);
            if numbers.is_empty() {
                return true;
            }
            let number = random.pick(&numbers).clone();
            replace(file, &number, random.percent(85), random);
        }
        return true;
    }
    for _ in 0..times {
        let (numbers, _) = numbers(file, start);
        if numbers.is_empty() {
            return true;
        }
        let number = random.pick(&numbers).clone();
        replace(file, &number, random.percent(40), random);
    }
    let length = u32::try_from(file.len() - END - start).unwrap_or(u32::MAX).to_le_bytes();
    let place = file.len() - END;
    file[place..place + 4].copy_from_slice(&length);
    true
}

/// Any damage, but within the footer.
pub(super) fn damage_footer(file: &mut [u8], random: &mut Random) -> bool {
    let Some(start) = footer_start(file) else { return false };
    let end = file.len() - END;
    if start >= end {
        return false;
    }
    for _ in 0..1 + random.below(3) {
        let at = start + random.below(end - start);
        file[at] = if random.percent(60) { file[at] ^ (1 << random.below(8)) } else { random.byte() };
    }
    true
}
