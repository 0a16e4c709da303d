//! How text is packed, by content, and what unpacks it.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek};

use flate2::bufread::GzDecoder;
use zip::ZipArchive;
use zip::result::ZipError;

use crate::error::ReadError;
use crate::error::bad_file;
use crate::listing::hidden;

/// How text is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    /// Not at all.
    Plain,
    Gzip,
    /// The ZIP delivery of CUR 1.0: an archive of one entry.
    Zip,
}

/// What the first bytes of a file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    Parquet,
    Text(Packing),
}

impl Content {
    /// Of the first four bytes, or fewer.
    pub(crate) fn of(first: &[u8]) -> Self {
        match first {
            [b'P', b'A', b'R', b'1', ..] => Self::Parquet,
            [0x1f, 0x8b, ..] => Self::Text(Packing::Gzip),
            [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Self::Text(Packing::Zip),
            _ => Self::Text(Packing::Plain),
        }
    }
}

/// A reader of the members of a gzip file, one after the other. Zeros behind the last one are padding, as tapes and some
/// tools write it.
pub(crate) struct Gunzip<R>(Option<GzDecoder<BufReader<R>>>);

impl<R: Read> Gunzip<R> {
    pub(crate) fn new(packed: R) -> Self {
        Self(Some(GzDecoder::new(BufReader::with_capacity(32 << 10, packed))))
    }
}

impl<R: Read> Read for Gunzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.0 {
            let length = member.read(buffer)?;
            if length > 0 || buffer.is_empty() {
                return Ok(length);
            }
            let rest = self.0.take().map(GzDecoder::into_inner);
            self.0 = rest.map(next_member).transpose()?.flatten();
        }
        Ok(0)
    }
}

/// The member after the zeros, if any.
fn next_member<R: Read>(mut rest: BufReader<R>) -> io::Result<Option<GzDecoder<BufReader<R>>>> {
    let mut padding = false;
    loop {
        let bytes = rest.fill_buf()?;
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        match (bytes.len(), zeros) {
            (0, _) => return Ok(None),
            (length, zeros) if zeros == length => {
                padding = true;
                rest.consume(length);
            }
            (_, 0) if !padding => return Ok(Some(GzDecoder::new(rest))),
            _ => return Err(io::Error::new(ErrorKind::InvalidInput, "bytes behind its end")),
        }
    }
}

/// True for an error of where the bytes come from, not of the bytes.
pub(crate) fn is_of_storage(error: &io::Error) -> bool {
    error.raw_os_error().is_some() || error.get_ref().is_some_and(|source| source.is::<object_store::Error>())
}

/// The only entry of a ZIP archive, given to `read` with its packed size.
pub(crate) fn only_entry<T>(
    path: &str,
    bytes: impl Read + Seek,
    read: impl FnOnce(Box<dyn Read + '_>, u64) -> Result<T, ReadError>,
) -> Result<T, ReadError> {
    let refused = |error: ZipError| match error {
        ZipError::Io(error) if is_of_storage(&error) => ReadError::Io { file: path.to_owned(), source: error },
        error => bad_file(path, format!("is no ZIP archive that can be read ({error}); copy the file again")),
    };
    let mut archive = ZipArchive::new(bytes).map_err(refused)?;
    let mut files = Vec::new();
    for at in 0..archive.len() {
        let name = archive.name_for_index(at).transpose().map_err(refused)?.unwrap_or_default();
        if !name.ends_with('/') && hidden(&name).is_none() {
            files.push(at);
        }
    }
    let [only] = files[..] else {
        let message =
            format!("holds {} files; a delivery of AWS holds one: unpack it, and copy what is to be read", files.len());
        return Err(bad_file(path, message));
    };
    let entry = archive.by_index(only).map_err(refused)?;
    let packed = entry.compressed_size();
    read(Box::new(entry), packed)
}
