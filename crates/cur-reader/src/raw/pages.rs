//! The headers of a column chunk's pages, looked at before a library decodes the pages: it makes room for as much as a
//! header claims.

use std::io::{Read, copy, sink};

use flate2::read::MultiGzDecoder;
use parquet::basic::{Compression, Type};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};

use super::thrift::{Fields, STRUCT, Shape, Thrift, damaged};
use super::{BadColumn, ROWS_PER_BATCH};

/// What the largest pages of all columns of a row group may unpack to, and how much more for each byte of them. One of
/// each column is held at a time; most writers make pages of 1 MB.
const LARGEST: u64 = 256 << 20;
const LARGEST_PER_BYTE: u64 = 100;
/// The same of all pages.
const ALL: u64 = 1 << 30;
const ALL_PER_BYTE: u64 = 1_000;
/// Levels of a column with maps or lists, and how many more for each byte that it unpacks to.
const LEVELS: u64 = 16 << 20;
const LEVELS_PER_BYTE: u64 = 8;
/// Entries in the maps of the rows that are decoded at once.
pub(crate) const MOST_ENTRIES: usize = ROWS_PER_BATCH << 10;
/// Bytes of a value of fixed length. Those of decimals have at most 32.
const LONGEST_FIXED: i32 = 1_024;
/// A gzip page of fewer bytes unpacks to less than 70 MB, whatever it holds.
const SMALL_GZIP: usize = 64 << 10;

/// Bytes of column chunks and of their pages once unpacked.
#[derive(Debug, Default)]
pub(crate) struct Sizes {
    packed: u64,
    largest: u64,
    all: u64,
}

impl Sizes {
    /// Looks at the pages of one more column chunk.
    pub(crate) fn add(&mut self, chunk: &[u8], column: &ColumnChunkMetaData, group: &RowGroupMetaData) -> Result<()> {
        let length = column.column_descr().type_length();
        if column.column_type() == Type::FIXED_LEN_BYTE_ARRAY && length > LONGEST_FIXED {
            return Err(bad(column, format!("holds values of {length} bytes; at most {LONGEST_FIXED}")));
        }
        let (mut rest, mut levels, mut dictionary, mut largest, mut all) = (chunk, 0_u64, None, 0, 0);
        while !rest.is_empty() {
            let mut thrift = Thrift::new(rest);
            let header = Header::read(&mut thrift)?;
            let body = rest.get(rest.len() - thrift.left()..).unwrap_or_default();
            let (page, after) = body
                .split_at_checked(header.packed)
                .ok_or_else(|| ParquetError::EOF("a page ends after its column".to_owned()))?;
            rest = after;
            let unpacked = header.unpacked(page, column, group)?;
            all += unpacked;
            match header.page_type {
                INDEX => {}
                DICTIONARY if dictionary.is_some() => return Err(damaged("a column has a second dictionary")),
                DICTIONARY if levels > 0 => return Err(damaged("a column has its dictionary after its values")),
                DICTIONARY => {
                    if header.values.saturating_mul(least_bytes(column)) > unpacked {
                        return Err(damaged("a dictionary claims more values than it holds"));
                    }
                    dictionary = Some(unpacked);
                }
                _ => {
                    levels += header.values;
                    largest = unpacked.max(largest);
                }
            }
        }
        let is_nested = column.column_descr().max_rep_level() > 0;
        let rows = group.num_rows().unsigned_abs();
        if levels < rows || (levels > rows && !is_nested) {
            return Err(ParquetError::General(format!(
                "a column has {levels} values where its row group has {rows} rows"
            )));
        }
        if is_nested && levels > LEVELS.saturating_add(all.saturating_mul(LEVELS_PER_BYTE)) {
            return Err(bad(column, format!("claims {levels} entries in {all} bytes")));
        }
        self.packed += chunk.len() as u64;
        self.largest += largest + dictionary.unwrap_or_default();
        self.all += all;
        Ok(())
    }

    /// Refuses what unpacks to far more than it is.
    pub(crate) fn check(&self) -> Result<()> {
        let Self { packed, largest, all } = *self;
        for (unpacked, any, per_byte) in [(largest, LARGEST, LARGEST_PER_BYTE), (all, ALL, ALL_PER_BYTE)] {
            if unpacked > any.saturating_add(packed.saturating_mul(per_byte)) {
                return Err(ParquetError::General(format!("pages of {packed} bytes unpack to {unpacked}")));
            }
        }
        Ok(())
    }
}

fn bad(column: &ColumnChunkMetaData, message: String) -> ParquetError {
    BadColumn::new(column, message).into()
}

/// What is wrong with maps that no rows have.
pub(crate) fn too_many_entries() -> String {
    format!("holds more than {MOST_ENTRIES} entries in the maps of {ROWS_PER_BATCH} rows; an export has some tens each")
}

/// The fewest bytes that a value of a dictionary takes.
fn least_bytes(column: &ColumnChunkMetaData) -> u64 {
    match column.column_type() {
        Type::BOOLEAN => 0,
        Type::INT32 | Type::FLOAT | Type::BYTE_ARRAY => 4,
        Type::INT64 | Type::DOUBLE => 8,
        Type::INT96 => 12,
        Type::FIXED_LEN_BYTE_ARRAY => u64::try_from(column.column_descr().type_length()).unwrap_or_default(),
    }
}

const INDEX: i32 = 1;
const DICTIONARY: i32 = 2;

fn incomplete() -> ParquetError {
    damaged("a page's header is not complete")
}

/// What a page's header claims.
struct Header {
    page_type: i32,
    packed: usize,
    unpacked: usize,
    /// Of a page of data, its levels; of a dictionary, its entries.
    values: u64,
    /// Bytes at the front that are not packed.
    levels: usize,
    is_packed: bool,
}

const INDEX_HEADER: Fields = &[];
/// How a field that is true is written.
const TRUE: u8 = 1;

impl Header {
    fn read(thrift: &mut Thrift<'_>) -> Result<Self> {
        let (mut page_type, mut sizes) = (None, [None; 2]);
        // By type of page.
        let mut parts: [Option<Part>; 4] = Default::default();
        let mut number = 0;
        while let Some((number, kind)) = thrift.field(&mut number)? {
            match number {
                1 => page_type = Some(thrift.int(kind)?),
                2 => sizes[0] = Some(thrift.int(kind)?),
                3 => sizes[1] = Some(thrift.int(kind)?),
                4 => thrift.number(kind).map(|_| ())?,
                5 => parts[0] = Some(Part::of_data(thrift, kind)?),
                6 => thrift.expect(&Shape::Struct(INDEX_HEADER), kind)?,
                7 => parts[2] = Some(Part::of_dictionary(thrift, kind)?),
                8 => parts[3] = Some(Part::of_data_2(thrift, kind)?),
                _ => thrift.skip(kind)?,
            }
        }
        let sizes = sizes.map(|size| size.and_then(|size: i32| usize::try_from(size).ok()));
        let (Some(page_type), [Some(unpacked), Some(packed)]) = (page_type, sizes) else { return Err(incomplete()) };
        if page_type == INDEX {
            parts = [None, Some(Part::default()), None, None];
        }
        let has_others = parts.iter().flatten().count() > 1;
        let part = usize::try_from(page_type).ok().and_then(|at| parts.get_mut(at)?.take());
        let part = part.filter(|_| !has_others).ok_or_else(incomplete)?;
        let values = u64::try_from(part.values).map_err(|_| damaged("a page of fewer than no values"))?;
        Ok(Self { page_type, packed, unpacked, values, levels: part.levels, is_packed: !part.is_plain })
    }

    /// Bytes of the page once unpacked.
    fn unpacked(&self, page: &[u8], column: &ColumnChunkMetaData, group: &RowGroupMetaData) -> Result<u64> {
        if column.compression() == Compression::UNCOMPRESSED || !self.is_packed || self.page_type == INDEX {
            return Ok(page.len() as u64);
        }
        let most = column.uncompressed_size().max(group.total_byte_size());
        if most > 0 && i64::try_from(self.unpacked).is_ok_and(|unpacked| unpacked > most) {
            let message = format!("a page claims {} bytes where its row group has {most}", self.unpacked);
            return Err(ParquetError::General(message));
        }
        // The library's other unpackers stop at what the header claims.
        if matches!(column.compression(), Compression::GZIP(_)) && page.len() > SMALL_GZIP {
            let packed = page.get(self.levels..).unwrap_or_default();
            let most = (self.unpacked as u64).saturating_sub(self.levels as u64);
            if copy(&mut MultiGzDecoder::new(packed).take(most + 1), &mut sink())? > most {
                return Err(damaged("a page unpacks to more than it claims"));
            }
        }
        Ok(self.unpacked as u64)
    }
}

/// The part of a header that pages of one type have.
#[derive(Default)]
struct Part {
    values: i32,
    levels: usize,
    is_plain: bool,
}

impl Part {
    fn of_data(thrift: &mut Thrift<'_>, kind: u8) -> Result<Self> {
        Self::read(thrift, kind, |part, thrift, number, kind| {
            match number {
                1 => part.values = thrift.int(kind)?,
                2..=4 => thrift.number(kind).map(|_| ())?,
                _ => thrift.skip(kind)?,
            }
            Ok(())
        })
    }

    fn of_dictionary(thrift: &mut Thrift<'_>, kind: u8) -> Result<Self> {
        Self::read(thrift, kind, |part, thrift, number, kind| match number {
            1 => thrift.int(kind).map(|values| part.values = values),
            2 => thrift.number(kind).map(|_| ()),
            3 => thrift.expect(&Shape::Bool, kind),
            _ => thrift.skip(kind),
        })
    }

    fn of_data_2(thrift: &mut Thrift<'_>, kind: u8) -> Result<Self> {
        Self::read(thrift, kind, |part, thrift, number, kind| {
            match number {
                1 => part.values = thrift.int(kind)?,
                5 | 6 => {
                    let length = usize::try_from(thrift.int(kind)?);
                    part.levels += length.map_err(|_| damaged("levels of fewer than no bytes"))?;
                }
                7 => {
                    part.is_plain = kind != TRUE;
                    thrift.expect(&Shape::Bool, kind)?;
                }
                2..=4 => thrift.number(kind).map(|_| ())?,
                _ => thrift.skip(kind)?,
            }
            Ok(())
        })
    }

    fn read(
        thrift: &mut Thrift<'_>,
        kind: u8,
        mut field: impl FnMut(&mut Self, &mut Thrift<'_>, i16, u8) -> Result<()>,
    ) -> Result<Self> {
        if kind != STRUCT {
            return Err(incomplete());
        }
        let (mut part, mut number) = (Self::default(), 0);
        while let Some((number, kind)) = thrift.field(&mut number)? {
            field(&mut part, thrift, number, kind)?;
        }
        Ok(part)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use flate2::write::GzEncoder;
    use parquet::basic::{GzipLevel, Repetition};
    use parquet::schema::types::{SchemaDescriptor, Type as SchemaType};

    use super::*;

    fn varint(number: usize) -> Vec<u8> {
        let (low, high) = (u8::try_from(number & 0x7f).unwrap(), number >> 7);
        if high == 0 { vec![low] } else { [vec![low | 0x80], varint(high)].concat() }
    }

    /// A page with what its header claims.
    fn page(kind: usize, unpacked: usize, values: usize, body: &[u8]) -> Vec<u8> {
        let number = |number: usize| [vec![0x15], varint(number * 2)].concat();
        let (part_at, encodings) = if kind == 2 { (0x4c, 1) } else { (0x2c, 3) };
        let part = [number(values), number(3).repeat(encodings), vec![0]].concat();
        [number(kind), number(unpacked), number(body.len()), vec![part_at], part, vec![0], body.to_vec()].concat()
    }

    /// What is wrong with the pages of a text column of ten rows.
    fn refused(pages: &[Vec<u8>], compression: Compression) -> Option<String> {
        let leaf = SchemaType::primitive_type_builder("text", Type::BYTE_ARRAY).with_repetition(Repetition::OPTIONAL);
        let fields = vec![Arc::new(leaf.build().unwrap())];
        let root = SchemaType::group_type_builder("root").with_fields(fields).build().unwrap();
        let schema = Arc::new(SchemaDescriptor::new(Arc::new(root)));
        let column = ColumnChunkMetaData::builder(schema.column(0)).set_compression(compression);
        let column = column.set_total_uncompressed_size(3 << 30).build().unwrap();
        let group = RowGroupMetaData::builder(schema).set_num_rows(10).set_total_byte_size(3 << 30);
        let group = group.set_column_metadata(vec![column.clone()]).build().unwrap();
        let mut sizes = Sizes::default();
        let found = sizes.add(&pages.concat(), &column, &group).and_then(|()| sizes.check());
        found.err().map(|error| error.to_string())
    }

    #[test]
    fn what_pages_claim_must_be_possible() {
        let (data, dictionary) = (page(0, 30, 10, &[0; 20]), page(2, 12, 3, &[0; 12]));
        let snappy = Compression::SNAPPY;
        for (pages, message) in [
            (vec![dictionary.clone(), data.clone()], None),
            (vec![dictionary.clone(), page(0, 1, 4, &[0; 9]), page(0, 1, 6, &[0; 9])], None),
            (vec![dictionary.clone(), dictionary.clone(), data.clone()], Some("a column has a second dictionary")),
            (vec![data.clone(), dictionary.clone()], Some("a column has its dictionary after its values")),
            (vec![page(2, 12, 4, &[0; 12]), data.clone()], Some("a dictionary claims more values than it holds")),
            (vec![data.clone(), data.clone()], Some("a column has 20 values where its row group has 10 rows")),
            (vec![dictionary], Some("a column has 0 values where its row group has 10 rows")),
            (vec![page(0, 1 << 30, 10, &[0; 20])], Some("pages of 41 bytes unpack to 1073741824")),
            (vec![page(7, 30, 10, &[0; 20])], Some("a page's header is not complete")),
        ] {
            let message = message.map(|message| format!("Parquet error: {message}"));
            assert_eq!(refused(&pages, snappy), message);
        }
        let cut = data[..data.len() - 1].to_vec();
        assert_eq!(refused(&[cut], snappy).unwrap(), "EOF: a page ends after its column");
    }

    #[test]
    fn a_page_of_gzip_that_unpacks_to_more_than_it_claims_is_not_unpacked() {
        let mut packed = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(&vec![0; 50 << 20]).unwrap();
        let packed = packed.finish().unwrap();
        assert!(packed.len() > SMALL_GZIP);
        let gzip = Compression::GZIP(GzipLevel::default());
        let claims = |unpacked| refused(&[page(0, unpacked, 10, &packed)], gzip);
        assert_eq!(claims(1_000).unwrap(), "Parquet error: a page unpacks to more than it claims");
        assert_eq!(claims(50 << 20), None);
    }
}
