//! The records of a CSV file. None is read further than a line of an export can go: a quote that is left open would take
//! in the rest of the file, and some kilobytes of gzip unpack to gigabytes.

use std::cell::Cell;
use std::io::{self, Read, Seek};
use std::rc::Rc;

use csv::StringRecord;
use schemas::reference::{Problem, Problems};
use schemas::{excerpt, misread};

use super::packing::{Gunzip, Packing, is_of_storage, only_entry};
use super::shapes::MOST_COLUMNS;
use crate::error::{ReadError, bad_file, bad_row};

/// Bytes of text that are unpacked at once.
const BYTES_AT_ONCE: usize = 64 << 10;
/// Bytes of one record.
const LONGEST_RECORD: u64 = 16 << 20;
/// What a packed file may always unpack to, and how often its own size beyond that. Exports unpack to 10 to 40 times theirs.
const UNPACKED: u64 = 1 << 30;
const UNPACKED_PER_BYTE: u64 = 200;

/// The records of one file after its header.
pub(crate) struct Records<'a> {
    path: &'a str,
    reader: csv::Reader<Bounded<'a>>,
    bounds: Rc<Bounds>,
    header: StringRecord,
    /// The row of the next record, as a spreadsheet counts.
    row: u64,
    /// Line breaks before it.
    line: u64,
}

/// Opens a file and works on its records. Blocks.
pub(crate) fn with_records<T>(
    path: &str,
    (bytes, size): (impl Read + Seek, u64),
    packing: Packing,
    work: impl FnOnce(Records<'_>) -> Result<T, ReadError>,
) -> Result<T, ReadError> {
    let bounds =
        |packed| Rc::new(Bounds { packed: Cell::new(packed), read: Cell::new(0), most: Cell::new(LONGEST_RECORD) });
    match packing {
        Packing::Plain => work(Records::open(path, Box::new(bytes), bounds(u64::MAX))?),
        Packing::Gzip => {
            let bounds = bounds(0);
            let packed = Packed { bytes, bounds: Rc::clone(&bounds) };
            work(Records::open(path, Box::new(Gunzip::new(packed)), bounds)?)
        }
        Packing::Zip => {
            only_entry(path, bytes, |entry, packed| work(Records::open(path, entry, bounds(packed.min(size)))?))
        }
    }
}

impl<'a> Records<'a> {
    /// Reads the header.
    fn open(path: &'a str, text: Box<dyn Read + 'a>, bounds: Rc<Bounds>) -> Result<Self, ReadError> {
        let text = Bounded { text, bounds: Rc::clone(&bounds) };
        let mut reader = csv::ReaderBuilder::new().flexible(true).buffer_capacity(BYTES_AT_ONCE).from_reader(text);
        let header = reader.headers().cloned().map_err(|error| csv_error(path, 1, &error))?;
        if header.is_empty() {
            return Err(bad_file(path, "is empty; copy the file again"));
        }
        if header.len() > MOST_COLUMNS {
            let message = format!("has {} columns; at most {MOST_COLUMNS}", header.len());
            return Err(bad_row(path, 1, message));
        }
        let line = reader.position().line();
        let records = Self { path, reader, bounds, header, row: 2, line };
        records.check(&records.header, 1)?;
        Ok(records)
    }

    pub(crate) const fn header(&self) -> &StringRecord {
        &self.header
    }

    /// The row of the next record.
    pub(crate) const fn row(&self) -> u64 {
        self.row
    }

    /// Reads the next record; false at the end.
    pub(crate) fn next(&mut self, record: &mut StringRecord) -> Result<bool, ReadError> {
        self.bounds.most.set(self.reader.position().byte().saturating_add(LONGEST_RECORD));
        let more = self.reader.read_record(record).map_err(|error| csv_error(self.path, self.row, &error))?;
        if !more {
            return Ok(false);
        }
        let line = self.reader.position().line();
        // Nearly all records are one line, and short.
        if line > self.line + 1 || record.as_slice().len() > schemas::LONGEST_TEXT {
            self.check(record, self.row)?;
        }
        if record.len() != self.header.len() {
            let (fields, columns) = (record.len(), self.header.len());
            let message = format!("has {fields} fields where the header has {columns}; the file may be cut off");
            return Err(bad_row(self.path, self.row, message));
        }
        self.line = line;
        self.row += 1;
        Ok(true)
    }

    fn check(&self, record: &StringRecord, row: u64) -> Result<(), ReadError> {
        let Some((place, message)) = misread(record, self.header.len(), b',') else { return Ok(()) };
        let column = self.header.get(place).filter(|_| row > 1).map(|name| excerpt(name).into_owned());
        Err(Problems(vec![Problem { file: self.path.to_owned(), row: Some(row), column, message }]).into())
    }
}

/// How far a file has been read.
struct Bounds {
    /// Bytes before they are unpacked.
    packed: Cell<u64>,
    /// Bytes of text.
    read: Cell<u64>,
    /// How many may be read before the next record is whole.
    most: Cell<u64>,
}

struct Packed<R> {
    bytes: R,
    bounds: Rc<Bounds>,
}

impl<R: Read> Read for Packed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.bytes.read(buffer)?;
        self.bounds.packed.update(|packed| packed + length as u64);
        Ok(length)
    }
}

struct Bounded<'a> {
    text: Box<dyn Read + 'a>,
    bounds: Rc<Bounds>,
}

impl Read for Bounded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.text.read(buffer)?;
        let Bounds { packed, read, most } = &*self.bounds;
        read.update(|read| read + length as u64);
        if read.get() > UNPACKED && read.get() / UNPACKED_PER_BYTE > packed.get() {
            return Err(io::Error::other(Refused::Unpacked));
        }
        if read.get() > most.get() {
            return Err(io::Error::other(Refused::Record));
        }
        Ok(length)
    }
}

/// Why a file is not read on.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("goes on for more than {} MiB: a quote is left open; close it, or copy the file again", LONGEST_RECORD >> 20)]
    Record,
    #[error("unpacks to more than {UNPACKED_PER_BYTE} times its size, which no export does; copy the file again")]
    Unpacked,
}

fn csv_error(path: &str, row: u64, error: &csv::Error) -> ReadError {
    use std::io::ErrorKind::UnexpectedEof;
    let message = match error.kind() {
        csv::ErrorKind::Utf8 { .. } => return bad_row(path, row, "is not UTF-8".to_owned()),
        csv::ErrorKind::Io(io) => match io.get_ref().and_then(|refused| refused.downcast_ref::<Refused>()) {
            Some(refused @ Refused::Record) => return bad_row(path, row, refused.to_string()),
            Some(refused @ Refused::Unpacked) => refused.to_string(),
            None if io.kind() == UnexpectedEof && row == 1 => {
                "is cut off before its first row; copy the file again".to_owned()
            }
            None if io.kind() == UnexpectedEof => {
                format!(
                    "is cut off after row {}: what is packed has no end; copy the file again",
                    row.saturating_sub(1)
                )
            }
            None if !is_of_storage(io) => format!("cannot be unpacked ({io}); copy the file again"),
            None => {
                let source = io::Error::new(io.kind(), io.to_string());
                return ReadError::Io { file: path.to_owned(), source };
            }
        },
        _ => return bad_row(path, row, error.to_string()),
    };
    bad_file(path, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads zeros, as much as is borne of a file of so many packed bytes; the first error.
    fn unpack(packed: u64, text: u64) -> Option<String> {
        let bounds = Rc::new(Bounds { packed: Cell::new(packed), read: Cell::new(0), most: Cell::new(u64::MAX) });
        let mut bounded = Bounded { text: Box::new(io::repeat(0).take(text)), bounds };
        io::copy(&mut bounded, &mut io::sink()).err().map(|error| error.to_string())
    }

    #[test]
    fn a_file_unpacks_to_a_gibibyte_and_beyond_that_to_two_hundred_times_its_size() {
        let refused = "unpacks to more than 200 times its size, which no export does; copy the file again";
        assert_eq!(unpack(1 << 10, 1 << 30), None);
        assert_eq!(unpack(1 << 10, (1 << 30) + 1).as_deref(), Some(refused));
        // Of six megabytes 1.2 gigabytes may come.
        assert_eq!(unpack(6_000_000, 1_150_000_000), None);
        assert_eq!(unpack(5_000_000, 1_150_000_000).as_deref(), Some(refused));
    }
}
