//! What a footer may claim, looked at before the library decodes it: the library makes room for as many parts as a list
//! says it has, and follows a schema into its depth.

use parquet::errors::{ParquetError, Result};

use super::thrift::{Fields, LIST, STRUCT, Shape, Thrift, damaged};

/// Columns and groups of a schema. Exports have some hundreds.
pub(crate) const MOST_COLUMNS: usize = 20_000;
/// Groups within each other. A map has three levels.
const DEEPEST: usize = 32;
/// Bytes of the paths of all leaf columns: the library keeps each in full.
const MOST_NAMES: usize = 16 << 20;

/// Looks at a footer's bytes.
pub(crate) fn check(footer: &[u8]) -> Result<()> {
    let mut thrift = Thrift::new(footer);
    let mut number = 0;
    while let Some((number, kind)) = thrift.field(&mut number)? {
        match (number, kind) {
            (SCHEMA, LIST) => schema(&mut thrift)?,
            (SCHEMA, _) => return Err(damaged("a footer without a list of columns")),
            _ => match FILE.iter().find(|(known, _)| *known == number) {
                Some((_, shape)) => thrift.expect(shape, kind)?,
                None => thrift.skip(kind)?,
            },
        }
    }
    Ok(())
}

/// A group of the schema that is not whole yet.
struct Open {
    /// Elements still to come.
    children: usize,
    /// Bytes of the names down to it.
    path: usize,
}

/// The elements of a schema, groups before what is in them.
fn schema(thrift: &mut Thrift<'_>) -> Result<()> {
    let (length, kind) = thrift.list()?;
    if length > MOST_COLUMNS || (length > 0 && kind != STRUCT) {
        return Err(ParquetError::General(format!("the footer claims {length} columns; at most {MOST_COLUMNS}")));
    }
    let (mut open, mut names): (Vec<Open>, usize) = (Vec::new(), 0);
    for left in (0..length).rev() {
        let (children, name) = element(thrift)?;
        if children > left {
            return Err(damaged("the footer claims more columns than it names"));
        }
        let path = name + open.last().map_or(0, |group| group.path);
        if let Some(group) = open.last_mut() {
            group.children -= 1;
        }
        if children > 0 {
            open.push(Open { children, path });
        } else {
            names += path;
        }
        if open.len() > DEEPEST {
            return Err(ParquetError::General(format!("the footer nests columns more than {DEEPEST} deep")));
        }
        if names > MOST_NAMES {
            return Err(damaged("the footer's names of columns are too long"));
        }
        while open.pop_if(|group| group.children == 0).is_some() {}
    }
    Ok(())
}

/// Number of children and length of the name of the next element.
fn element(thrift: &mut Thrift<'_>) -> Result<(usize, usize)> {
    let (mut number, mut children, mut name) = (0, 0, 0);
    while let Some((number, kind)) = thrift.field(&mut number)? {
        match number {
            4 => name = thrift.binary(kind)?.len(),
            5 => {
                children =
                    usize::try_from(thrift.int(kind)?).map_err(|_| damaged("a group of fewer than no columns"))?
            }
            10 => thrift.expect(&Shape::Struct(LOGICAL_TYPE), kind)?,
            1..=9 => thrift.number(kind).map(|_| ())?,
            _ => thrift.skip(kind)?,
        }
    }
    Ok((children, name))
}

const SCHEMA: i16 = 2;

// The structs of a footer, but for its schema.

const FILE: Fields = &[
    (1, Shape::Number),
    (3, Shape::Number),
    (4, Shape::List(&Shape::Struct(ROW_GROUP))),
    (5, Shape::List(&Shape::Struct(&[(1, Shape::Binary), (2, Shape::Binary)]))),
    (6, Shape::Binary),
    (7, Shape::List(&Shape::Struct(&[(1, EMPTY)]))),
];
const ROW_GROUP: Fields = &[
    (1, Shape::List(&Shape::Struct(COLUMN_CHUNK))),
    (2, Shape::Number),
    (3, Shape::Number),
    (4, Shape::List(&Shape::Struct(&[(1, Shape::Number), (2, Shape::Bool), (3, Shape::Bool)]))),
    (5, Shape::Number),
    (7, Shape::Number),
];
const COLUMN_CHUNK: Fields = &[
    (1, Shape::Binary),
    (2, Shape::Number),
    (3, Shape::Struct(COLUMN)),
    (4, Shape::Number),
    (5, Shape::Number),
    (6, Shape::Number),
    (7, Shape::Number),
];
const COLUMN: Fields = &[
    (1, Shape::Number),
    (2, Shape::List(&Shape::Number)),
    (4, Shape::Number),
    (5, Shape::Number),
    (6, Shape::Number),
    (7, Shape::Number),
    (9, Shape::Number),
    (10, Shape::Number),
    (11, Shape::Number),
    (12, Shape::Struct(STATISTICS)),
    (13, Shape::List(&Shape::Struct(&[(1, Shape::Number), (2, Shape::Number), (3, Shape::Number)]))),
    (14, Shape::Number),
    (15, Shape::Number),
    (16, Shape::Struct(&[(1, Shape::Number), (2, NUMBERS), (3, NUMBERS)])),
    (17, Shape::Struct(&[(1, Shape::Struct(BOX)), (2, NUMBERS)])),
];
const NUMBERS: Shape = Shape::List(&Shape::Number);
const STATISTICS: Fields = &[
    (1, Shape::Binary),
    (2, Shape::Binary),
    (3, Shape::Number),
    (4, Shape::Number),
    (5, Shape::Binary),
    (6, Shape::Binary),
    (7, Shape::Bool),
    (8, Shape::Bool),
];
const BOX: Fields = &[
    (1, Shape::Double),
    (2, Shape::Double),
    (3, Shape::Double),
    (4, Shape::Double),
    (5, Shape::Double),
    (6, Shape::Double),
    (7, Shape::Double),
    (8, Shape::Double),
];
const EMPTY: Shape = Shape::Struct(&[]);
const TIME: Shape = Shape::Struct(&[(1, Shape::Bool), (2, Shape::Struct(&[(1, EMPTY), (2, EMPTY), (3, EMPTY)]))]);
const LOGICAL_TYPE: Fields = &[
    (1, EMPTY),
    (2, EMPTY),
    (3, EMPTY),
    (4, EMPTY),
    (5, Shape::Struct(&[(1, Shape::Number), (2, Shape::Number)])),
    (6, EMPTY),
    (7, TIME),
    (8, TIME),
    (10, Shape::Struct(&[(1, Shape::Byte), (2, Shape::Bool)])),
    (11, EMPTY),
    (12, EMPTY),
    (13, EMPTY),
    (14, EMPTY),
    (15, EMPTY),
    (16, Shape::Struct(&[(1, Shape::Byte)])),
    (17, Shape::Struct(&[(1, Shape::Binary)])),
    (18, Shape::Struct(&[(1, Shape::Binary), (2, Shape::Number)])),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn varint(mut number: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        while number > 0x7f {
            bytes.push(u8::try_from(number & 0x7f).unwrap() | 0x80);
            number >>= 7;
        }
        bytes.push(u8::try_from(number).unwrap());
        bytes
    }

    /// A footer that has a version, a list of so many columns, and these bytes of them.
    fn footer(columns: u64, bytes: &[u8]) -> Vec<u8> {
        [&[0x15, 2, 0x19, 0xfc], &varint(columns)[..], bytes, &[0]].concat()
    }

    /// A group named `x` with so many children.
    fn group(children: u64) -> Vec<u8> {
        [&[0x35, 0, 0x18, 1, b'x', 0x15][..], &varint(children * 2), &[0]].concat()
    }

    const LEAF: [u8; 8] = [0x15, 12, 0x25, 0, 0x18, 1, b'y', 0];

    fn refused(footer: &[u8]) -> String {
        check(footer).unwrap_err().to_string()
    }

    #[test]
    fn a_schema_may_be_as_deep_as_maps_of_maps_and_no_deeper() {
        let nested = |depth: u64| {
            let groups = (0..depth).flat_map(|_| group(1)).collect::<Vec<_>>();
            footer(depth + 1, &[&groups[..], &LEAF].concat())
        };
        check(&nested(20)).unwrap();
        assert_eq!(refused(&nested(10_000)), "Parquet error: the footer nests columns more than 32 deep");
    }

    #[test]
    fn what_a_footer_claims_must_be_there() {
        for (footer, message) in [
            (footer(2, &[&group(1)[..], &LEAF].concat()), None),
            (footer(1 << 31, &group(1)), Some("Parquet error: a header claims a list that is longer than it can be")),
            (
                footer(2, &[&group(1 << 30)[..], &LEAF].concat()),
                Some("Parquet error: the footer claims more columns than it names"),
            ),
            (
                footer(25_000, &[&group(24_999)[..], &LEAF.repeat(24_999)].concat()),
                Some("Parquet error: the footer claims 25000 columns; at most 20000"),
            ),
            // 2^30 row groups, and 2^30 pairs of key and value.
            (
                vec![0x49, 0xfc, 0x80, 0x80, 0x80, 0x80, 4, 0],
                Some("Parquet error: a header claims a list that is longer than it can be"),
            ),
            (
                vec![0x59, 0xfc, 0x80, 0x80, 0x80, 0x80, 4, 0],
                Some("Parquet error: a header claims a list that is longer than it can be"),
            ),
            // Columns as a text, which the library would read as a list all the same.
            (vec![0x28, 2, 0xfc, 0xff, 0], Some("Parquet error: a footer without a list of columns")),
            (vec![0x15], Some("EOF: a header ends within a value")),
        ] {
            assert_eq!(check(&footer).err().map(|error| error.to_string()).as_deref(), message, "{footer:?}");
        }
    }
}
