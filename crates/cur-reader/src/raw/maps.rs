//! Map columns of text straight from their pages. Arrow's reader makes the levels of both leaves into arrays of arrays;
//! what lines need is which entries belong to which row.

use arrow::buffer::OffsetBuffer;
use arrow::datatypes::DataType;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::errors::{ParquetError, Result};
use schemas::coded_text_type;

use super::chunks::Chunks;
use super::leaf::{Leaf, count, holds_indexes};
use super::pages::{MOST_ENTRIES, too_many_entries};
use crate::values::{RealMap, TextColumn};

/// Levels decoded at once.
const LEVELS_AT_ONCE: usize = 8192;

/// The leaf columns of a map from text to text of which all data pages hold dictionary indexes: key, value. Others are
/// left to Arrow's reader.
pub(crate) fn coded_map(metadata: &ArrowReaderMetadata, part: usize, root: usize) -> Option<[usize; 2]> {
    let DataType::Map(entries, _) = metadata.schema().fields().get(root)?.data_type() else { return None };
    let DataType::Struct(pair) = entries.data_type() else { return None };
    let schema = metadata.parquet_schema();
    let leaves: Vec<usize> =
        (0..schema.num_columns()).filter(|leaf| schema.get_column_root_idx(*leaf) == root).collect();
    let [key, value] = leaves[..] else { return None };
    let are_texts = pair.len() == 2 && pair.iter().all(|field| *field.data_type() == coded_text_type());
    let are_coded = [key, value]
        .into_iter()
        .all(|leaf| schema.column(leaf).max_rep_level() == 1 && holds_indexes(metadata, part, leaf));
    (are_texts && are_coded).then_some([key, value])
}

/// Reads a map column of one row group.
pub(crate) struct MapReader {
    key: Leaf,
    value: Leaf,
    /// Of what was decoded and not yet handed on: the entry where each row starts, codes of keys, codes of values.
    starts: Vec<i32>,
    keys: Vec<i32>,
    values: Vec<i32>,
}

impl MapReader {
    pub(crate) fn new(
        chunks: &Chunks,
        metadata: &ArrowReaderMetadata,
        part: usize,
        [key, value]: [usize; 2],
    ) -> Result<Self> {
        let leaf = |at| Leaf::new(chunks, metadata, part, at);
        let (starts, keys, values) = Default::default();
        Ok(Self { key: leaf(key)?, value: leaf(value)?, starts, keys, values })
    }

    /// The next rows.
    pub(crate) fn next(&mut self, rows: usize) -> Result<RealMap> {
        while self.starts.len() <= rows && self.decode()? {}
        let end = match self.starts.get(rows) {
            Some(start) => *start,
            None if self.starts.len() == rows => count(self.keys.len())?,
            None => return Err(ParquetError::EOF("a map column has fewer rows than its row group".to_owned())),
        };
        let mut bounds: Vec<i32> = self.starts.drain(..rows).collect();
        bounds.push(end);
        for start in &mut self.starts {
            *start -= end;
        }
        let at = usize::try_from(end).unwrap_or_default();
        let head = |codes: &mut Vec<i32>| {
            // The next rows have about as many entries.
            let mut rest = Vec::with_capacity(codes.len());
            rest.extend(codes.drain(at..));
            std::mem::replace(codes, rest)
        };
        let keys = TextColumn::of_codes(head(&mut self.keys), self.key.dictionary());
        let values = TextColumn::of_codes(head(&mut self.values), self.value.dictionary());
        Ok(RealMap::new(OffsetBuffer::new(bounds.into()), keys, values))
    }

    /// Decodes some more; false at the end. Key and value have the same levels, but for what is null.
    fn decode(&mut self) -> Result<bool> {
        let first = self.keys.len();
        let levels = self.key.open()?.min(LEVELS_AT_ONCE);
        if first + levels > MOST_ENTRIES + LEVELS_AT_ONCE {
            return Err(self.key.refuse(too_many_entries()));
        }
        let starts = &mut self.starts;
        self.key.starts(levels, |at| starts.extend(i32::try_from(first + at)))?;
        self.key.read(levels, &mut self.keys)?;
        let mut left = levels;
        while left > 0 {
            let some = self.value.open()?.min(left);
            if some == 0 {
                return Err(ParquetError::EOF("a map column has fewer values than keys".to_owned()));
            }
            self.value.read(some, &mut self.values)?;
            left -= some;
        }
        Ok(levels > 0)
    }
}
