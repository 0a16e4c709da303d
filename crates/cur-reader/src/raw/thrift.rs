//! Thrift's compact protocol, as Parquet's footers and page headers are written in it: read without trusting it, and
//! without allocating.
//!
//! The library decodes fields by their numbers, whatever type the bytes state. So that both see the same, a known field
//! must have its type here, and numbers must fit where the library would wrap them.

use parquet::errors::{ParquetError, Result};

/// What stands in a struct, as far as the library reads it: number and shape of a field.
pub(crate) type Fields = &'static [(i16, Shape)];

/// What a value must be.
pub(crate) enum Shape {
    Bool,
    Byte,
    /// Whole numbers of any width, which are written alike.
    Number,
    Double,
    Binary,
    List(&'static Shape),
    Struct(Fields),
}

/// The type that bytes state.
pub(crate) type Kind = u8;

const FALSE: Kind = 2;
const BYTE: Kind = 3;
const I16: Kind = 4;
const I64: Kind = 6;
const DOUBLE: Kind = 7;
const BINARY: Kind = 8;
pub(crate) const LIST: Kind = 9;
pub(crate) const STRUCT: Kind = 12;

/// Structs and lists within each other. Parquet's own are at most eight deep.
const DEEPEST: usize = 16;
/// Structs in one list: row groups are numbered by 16 bits.
const MOST_STRUCTS: usize = 32_767;

/// Bytes that are still to be read.
pub(crate) struct Thrift<'a> {
    rest: &'a [u8],
    depth: usize,
}

pub(crate) fn damaged(message: &str) -> ParquetError {
    ParquetError::General(message.to_owned())
}

fn too_short() -> ParquetError {
    ParquetError::EOF("a header ends within a value".to_owned())
}

impl<'a> Thrift<'a> {
    pub(crate) const fn new(rest: &'a [u8]) -> Self {
        Self { rest, depth: 0 }
    }

    /// Bytes that are still to be read.
    pub(crate) const fn left(&self) -> usize {
        self.rest.len()
    }

    /// Number and type of the next field of a struct, after the one numbered `before`; `None` at its end.
    pub(crate) fn field(&mut self, before: &mut i16) -> Result<Option<(i16, Kind)>> {
        let header = self.byte()?;
        let (delta, kind) = (header >> 4, header & 0x0f);
        if kind == 0 {
            return Ok(None);
        }
        let number =
            if delta == 0 { i16::try_from(zig_zag(self.varint()?)).ok() } else { before.checked_add(delta.into()) };
        *before = number.ok_or_else(|| damaged("a header with a field of no number"))?;
        Ok(Some((*before, kind)))
    }

    /// Length of a list and type of its values, each of which takes a byte at least.
    pub(crate) fn list(&mut self) -> Result<(usize, Kind)> {
        let header = self.byte()?;
        let length = match header >> 4 {
            15 => usize::try_from(self.varint()?).unwrap_or(usize::MAX),
            short => short.into(),
        };
        let kind = header & 0x0f;
        let most = if kind == STRUCT { self.rest.len().min(MOST_STRUCTS) } else { self.rest.len() };
        if length > most {
            return Err(damaged("a header claims a list that is longer than it can be"));
        }
        Ok((length, kind))
    }

    /// A whole number.
    pub(crate) fn number(&mut self, kind: Kind) -> Result<i64> {
        if !(I16..=I64).contains(&kind) {
            return Err(other_type());
        }
        self.varint().map(zig_zag)
    }

    /// A whole number of 32 bits.
    pub(crate) fn int(&mut self, kind: Kind) -> Result<i32> {
        i32::try_from(self.number(kind)?).map_err(|_| damaged("a header holds a number that is too large"))
    }

    /// A text or other bytes.
    pub(crate) fn binary(&mut self, kind: Kind) -> Result<&'a [u8]> {
        if kind != BINARY {
            return Err(other_type());
        }
        let length = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
        self.take(length)
    }

    /// Passes over a value that must have a shape.
    pub(crate) fn expect(&mut self, shape: &Shape, kind: Kind) -> Result<()> {
        match (shape, kind) {
            (Shape::Bool, 1..=FALSE) => Ok(()),
            (Shape::Byte, BYTE) => self.take(1).map(|_| ()),
            (Shape::Number, _) => self.number(kind).map(|_| ()),
            (Shape::Double, DOUBLE) => self.take(8).map(|_| ()),
            (Shape::Binary, _) => self.binary(kind).map(|_| ()),
            (Shape::List(shape), LIST) => self.nested(|thrift| {
                let (length, kind) = thrift.list()?;
                (0..length).try_for_each(|_| thrift.expect(shape, kind))
            }),
            (Shape::Struct(fields), STRUCT) => self.structure(fields),
            _ => Err(other_type()),
        }
    }

    /// Passes over the fields of a struct; those that are not `known` may be of any type.
    pub(crate) fn structure(&mut self, known: Fields) -> Result<()> {
        self.nested(|thrift| {
            let mut number = 0;
            while let Some((number, kind)) = thrift.field(&mut number)? {
                match known.iter().find(|(known, _)| *known == number) {
                    Some((_, shape)) => thrift.expect(shape, kind)?,
                    None => thrift.skip(kind)?,
                }
            }
            Ok(())
        })
    }

    /// Passes over a value.
    pub(crate) fn skip(&mut self, kind: Kind) -> Result<()> {
        match kind {
            1..=FALSE => Ok(()),
            BYTE => self.take(1).map(|_| ()),
            I16..=I64 => self.varint().map(|_| ()),
            DOUBLE => self.take(8).map(|_| ()),
            BINARY => self.binary(kind).map(|_| ()),
            LIST => self.nested(|thrift| {
                let (length, kind) = thrift.list()?;
                if (1..=FALSE).contains(&kind) {
                    // The library passes over none of their bytes.
                    return Err(other_type());
                }
                (0..length).try_for_each(|_| thrift.skip(kind))
            }),
            STRUCT => self.structure(&[]),
            _ => Err(other_type()),
        }
    }

    fn nested(&mut self, read: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        if self.depth == DEEPEST {
            return Err(damaged("a header is nested too deeply"));
        }
        self.depth += 1;
        read(self)?;
        self.depth -= 1;
        Ok(())
    }

    fn byte(&mut self) -> Result<u8> {
        let (byte, rest) = self.rest.split_first().ok_or_else(too_short)?;
        self.rest = rest;
        Ok(*byte)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(too_short)?;
        self.rest = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(damaged("a header holds a number that is too large"))
    }
}

fn other_type() -> ParquetError {
    damaged("a header holds a value of another type than it should")
}

const fn zig_zag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: Fields = &[(1, Shape::Number), (2, Shape::Binary), (3, Shape::List(&Shape::Number)), (5, Shape::Bool)];

    fn read(bytes: &[u8]) -> std::result::Result<usize, String> {
        let mut thrift = Thrift::new(bytes);
        thrift.structure(KNOWN).map_err(|error| error.to_string())?;
        Ok(thrift.left())
    }

    #[test]
    fn fields_that_are_not_known_are_passed_over_whatever_they_hold() {
        // A number, a text, a list of two numbers, a truth; then a byte, a double, a list of a struct with a text, a number
        // whose place is written out.
        let known = [0x15, 3, 0x18, 2, b'a', b'b', 0x19, 0x25, 2, 4, 0x21];
        let unknown = [0x13, 9, 0x17, 1, 2, 3, 4, 5, 6, 7, 8, 0x19, 0x1c, 0x18, 1, b'x', 0, 0x05, 0x80, 0x02, 7];
        assert_eq!(read(&[&known[..], &unknown, &[0, 99]].concat()), Ok(1), "what comes after is not looked at");
        for end in 0..known.len() + unknown.len() {
            let cut = [&known[..], &unknown].concat();
            assert!(read(&cut[..end]).is_err(), "cut off after {end} bytes");
        }
    }

    #[test]
    fn known_fields_of_another_type_are_refused_as_a_library_would_take_them_for_the_known_one() {
        let other = Err("Parquet error: a header holds a value of another type than it should".to_owned());
        for (bytes, why) in [
            (&[0x18, 1, b'a', 0][..], "a text for a number"),
            (&[0x25, 3, 0], "a number for a text"),
            (&[0x39, 0x18, 1, b'a', 0], "a list of texts for one of numbers"),
            (&[0x55, 3, 0], "a number for a truth"),
            (&[0x69, 0x21, 0, 0, 0], "a list of truths, which have no bytes of their own"),
            (&[0x6d, 0], "a type that does not exist"),
        ] {
            assert_eq!(read(bytes), other, "{why}");
        }
    }

    #[test]
    fn claims_that_cannot_be_are_refused() {
        for (bytes, message) in [
            (&[0x39, 0xf5, 0xff, 0xff, 0x03, 1, 0][..], "a header claims a list that is longer than it can be"),
            (
                &[0x15, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0],
                "a header holds a number that is too large",
            ),
            (&[0xf5, 1, 0xf5, 1, 0x05, 0xff, 0xff, 0xff, 0x7f, 0], "a header with a field of no number"),
        ] {
            assert_eq!(read(bytes), Err(format!("Parquet error: {message}")));
        }
        let cut: std::result::Result<usize, String> = Err("EOF: a header ends within a value".to_owned());
        assert_eq!((read(&[0x28, 200, 1, b'a', 0]), read(&[]), read(&[0x15, 3])), (cut.clone(), cut.clone(), cut));
        // Structs within structs, one more than is borne.
        let nested = |depth: usize| [&[0x6c].repeat(depth)[..], &[0].repeat(depth + 1)].concat();
        assert_eq!(read(&nested(15)), Ok(0));
        assert_eq!(read(&nested(16)), Err("Parquet error: a header is nested too deeply".to_owned()));
        let int = Thrift::new(&[0x80, 0x80, 0x80, 0x80, 0x20]).int(I64).unwrap_err();
        assert_eq!(int.to_string(), "Parquet error: a header holds a number that is too large");
    }
}
