//! Leaf columns of text straight from their pages, as dictionary indexes.

use std::sync::Arc;

use arrow::array::{Array, StringArray};
use arrow::buffer::{Buffer, OffsetBuffer};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::basic::{Encoding, EncodingMask};
use parquet::column::page::{Page, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::serialized_reader::SerializedPageReader;
use schemas::{LONGEST_TEXT, coded_text_type, too_long};

use super::BadColumn;
use super::chunks::Chunks;
use super::hybrid::Hybrid;
use crate::values::{NO_CODE, TextColumn};

/// How pages of dictionary indexes are encoded, by two names.
const INDEXES: [Encoding; 2] = [Encoding::RLE_DICTIONARY, Encoding::PLAIN_DICTIONARY];

/// True where the footer says that all data pages of a leaf hold dictionary indexes. Others are left to Arrow's reader.
pub(crate) fn holds_indexes(metadata: &ArrowReaderMetadata, part: usize, leaf: usize) -> bool {
    let Some(chunk) = metadata.metadata().row_groups().get(part).and_then(|group| group.columns().get(leaf)) else {
        return false;
    };
    let of_pages = |mask: &EncodingMask| INDEXES.into_iter().any(|encoding| mask.is_only(encoding));
    // In files of long ago levels were packed otherwise.
    let has_levels = chunk.column_descr().max_def_level() > 0;
    let are_old = has_levels && !chunk.encodings().any(|encoding| encoding == Encoding::RLE);
    !are_old && chunk.page_encoding_stats_mask().is_some_and(of_pages)
}

/// The leaf column of a text column of which all data pages hold dictionary indexes.
pub(crate) fn coded_text(metadata: &ArrowReaderMetadata, part: usize, root: usize) -> Option<usize> {
    let is_text = *metadata.schema().fields().get(root)?.data_type() == coded_text_type();
    let schema = metadata.parquet_schema();
    let leaf = (0..schema.num_columns()).find(|leaf| schema.get_column_root_idx(*leaf) == root)?;
    (is_text && schema.column(leaf).max_rep_level() == 0 && holds_indexes(metadata, part, leaf)).then_some(leaf)
}

/// One leaf column of one row group.
pub(crate) struct Leaf {
    column: ColumnChunkMetaData,
    pages: SerializedPageReader<Chunks>,
    dictionary: StringArray,
    most_repetition: i32,
    most_definition: i32,
    /// Levels of the page that are still to be read.
    left: usize,
    repetitions: Hybrid,
    definitions: Hybrid,
    codes: Hybrid,
    /// Which levels have a value.
    defined: Vec<(bool, usize)>,
}

impl Leaf {
    pub(crate) fn new(chunks: &Chunks, metadata: &ArrowReaderMetadata, part: usize, at: usize) -> Result<Self> {
        let group = metadata.metadata().row_group(part);
        let rows = usize::try_from(group.num_rows()).unwrap_or_default();
        let column = group.column(at);
        let most_repetition = i32::from(column.column_descr().max_rep_level());
        let most_definition = i32::from(column.column_descr().max_def_level());
        let pages = SerializedPageReader::new(Arc::new(chunks.clone()), column, rows, None)?;
        let (left, repetitions, definitions, codes, defined) = Default::default();
        let dictionary = StringArray::new_null(0);
        let column = column.clone();
        Ok(Self {
            column,
            pages,
            dictionary,
            most_repetition,
            most_definition,
            left,
            repetitions,
            definitions,
            codes,
            defined,
        })
    }

    /// Levels of the page that are still to be read; none at the end.
    pub(crate) fn open(&mut self) -> Result<usize> {
        while self.left == 0 {
            let Some(page) = self.pages.get_next_page()? else { break };
            self.open_page(page)?;
        }
        Ok(self.left)
    }

    /// Appends the codes of as many levels of the page, [`NO_CODE`] where there is no value.
    pub(crate) fn read(&mut self, levels: usize, codes: &mut Vec<i32>) -> Result<()> {
        self.left -= levels;
        self.defined.clear();
        codes.reserve(levels);
        self.definitions.are(self.most_definition, levels, &mut self.defined)?;
        let first = codes.len();
        for (are_defined, levels) in &self.defined {
            if *are_defined {
                self.codes.read(*levels, codes)?;
            } else {
                codes.resize(codes.len() + levels, NO_CODE);
            }
        }
        let last = codes.get(first..).unwrap_or_default().iter().copied().fold(NO_CODE, i32::max);
        if usize::try_from(last).is_ok_and(|last| last >= self.dictionary.len()) {
            return Err(ParquetError::General("a dictionary index points beyond the dictionary".to_owned()));
        }
        Ok(())
    }

    fn open_page(&mut self, page: Page) -> Result<()> {
        let (mut rest, levels, encoding, lengths) = match page {
            Page::DictionaryPage { buf, num_values, .. } => {
                self.dictionary = dictionary(&buf, num_values, &self.column)?;
                return Ok(());
            }
            Page::DataPage { buf, num_values, encoding, def_level_encoding, rep_level_encoding, .. } => {
                let levels = [(self.most_repetition, rep_level_encoding), (self.most_definition, def_level_encoding)];
                if let Some((_, other)) = levels.iter().find(|(most, encoding)| *most > 0 && *encoding != Encoding::RLE)
                {
                    return Err(not_as_in_footer(*other));
                }
                (buf, num_values, encoding, None)
            }
            Page::DataPageV2 { buf, num_values, encoding, rep_levels_byte_len, def_levels_byte_len, .. } => {
                (buf, num_values, encoding, Some([rep_levels_byte_len, def_levels_byte_len]))
            }
        };
        if !INDEXES.contains(&encoding) {
            return Err(not_as_in_footer(encoding));
        }
        let [repetition_length, definition_length] = lengths.map_or([None; 2], |lengths| lengths.map(Some));
        self.repetitions = levels_of(&mut rest, self.most_repetition, repetition_length)?;
        self.definitions = levels_of(&mut rest, self.most_definition, definition_length)?;
        let width = if rest.is_empty() { 0 } else { usize::from(take(&mut rest, 1)?[0]) };
        self.codes = Hybrid::new(rest, width)?;
        self.left = usize::try_from(levels).unwrap_or_default();
        Ok(())
    }

    /// The next rows of a column that is no part of another.
    pub(crate) fn texts(&mut self, rows: usize) -> Result<TextColumn> {
        // Numbers are unpacked by eights.
        let mut codes = Vec::with_capacity(rows + 8);
        while codes.len() < rows {
            let levels = self.open()?.min(rows - codes.len());
            if levels == 0 {
                return Err(ParquetError::EOF("a column has fewer rows than its row group".to_owned()));
            }
            self.read(levels, &mut codes)?;
        }
        Ok(TextColumn::of_codes(codes, self.dictionary()))
    }

    pub(crate) fn dictionary(&self) -> StringArray {
        self.dictionary.clone()
    }

    /// What is wrong with the column.
    pub(crate) fn refuse(&self, message: String) -> ParquetError {
        BadColumn::new(&self.column, message).into()
    }

    /// Calls `found` with the places of the next levels that start a row.
    pub(crate) fn starts(&mut self, levels: usize, found: impl FnMut(usize)) -> Result<()> {
        self.repetitions.zeros(levels, found)
    }
}

fn not_as_in_footer(encoding: Encoding) -> ParquetError {
    ParquetError::General(format!("a page is encoded as {encoding}, which the footer does not say"))
}

pub(crate) fn take(rest: &mut Bytes, length: usize) -> Result<Bytes> {
    if rest.len() < length {
        return Err(ParquetError::EOF("a page ends within a value".to_owned()));
    }
    Ok(rest.split_to(length))
}

/// Four bytes that say how many follow.
pub(crate) fn take_length(rest: &mut Bytes) -> Result<usize> {
    let length = take(rest, 4)?.iter().rev().fold(0, |length, byte| length << 8 | u32::from(*byte));
    Ok(usize::try_from(length).unwrap_or(usize::MAX))
}

/// Levels from 0 to `most`: none where there is only one, else pages of the first version say their length first.
fn levels_of(rest: &mut Bytes, most: i32, length: Option<u32>) -> Result<Hybrid> {
    let width = (i32::BITS - most.leading_zeros()) as usize;
    let length = match length {
        Some(length) => usize::try_from(length).unwrap_or(usize::MAX),
        None if most == 0 => 0,
        None => take_length(rest)?,
    };
    Hybrid::new(take(rest, length)?, width)
}

fn dictionary(page: &Bytes, values: u32, column: &ColumnChunkMetaData) -> Result<StringArray> {
    // Each entry says its length in four bytes: a damaged page names no more of them than it can hold.
    let most = page.len() / 4;
    let mut bounds = Vec::with_capacity(most.min(usize::try_from(values).unwrap_or(most)) + 1);
    bounds.push(0);
    let (mut rest, mut texts) = (page.clone(), Vec::with_capacity(page.len()));
    for _ in 0..values {
        let length = take_length(&mut rest)?;
        if length > LONGEST_TEXT {
            return Err(BadColumn::new(column, too_long(length)).into());
        }
        texts.extend_from_slice(&take(&mut rest, length)?);
        bounds.push(count(texts.len())?);
    }
    Ok(StringArray::try_new(OffsetBuffer::new(bounds.into()), Buffer::from_vec(texts), None)?)
}

/// A number of entries as Arrow counts them.
pub(crate) fn count(entries: usize) -> Result<i32> {
    i32::try_from(entries).map_err(|_| ParquetError::General("too many entries in the maps of one batch".to_owned()))
}
