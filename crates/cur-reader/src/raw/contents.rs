//! The pages that Arrow's reader decodes, looked at once they are unpacked: the lengths of texts, and how many entries the
//! maps of some rows have, are claims too.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use parquet::arrow::arrow_reader::RowGroups;
use parquet::basic::{Encoding, Type};
use parquet::column::page::{Page, PageIterator, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};
use parquet::file::serialized_reader::SerializedPageReader;
use schemas::{LONGEST_TEXT, too_long};

use super::chunks::Chunks;
use super::deltas::Deltas;
use super::hybrid::Hybrid;
use super::leaf::{take, take_length};
use super::pages::{MOST_ENTRIES, too_many_entries};
use super::thrift::damaged;
use super::{BadColumn, ROWS_PER_BATCH};
use crate::lock::lock;

/// What the texts of a page may unpack to by what they have in common.
const MOST_SHARED: u64 = 256 << 20;

/// One row group, its columns as they were fetched.
pub(crate) struct Fetched {
    pub metadata: Arc<ParquetMetaData>,
    pub part: usize,
    pub chunks: Chunks,
    pub found: Found,
}

/// What was found in a page: Arrow's reader hands on its text only.
#[derive(Clone, Default)]
pub(crate) struct Found(Arc<Mutex<Option<BadColumn>>>);

impl Found {
    /// What was found, else the error.
    pub(crate) fn instead_of(&self, error: ParquetError) -> ParquetError {
        lock(&self.0).take().map_or(error, ParquetError::from)
    }
}

impl RowGroups for Fetched {
    fn num_rows(&self) -> usize {
        usize::try_from(self.metadata.row_group(self.part).num_rows()).unwrap_or_default()
    }

    fn column_chunks(&self, at: usize) -> Result<Box<dyn PageIterator>> {
        let column = self.metadata.row_group(self.part).column(at);
        let pages = SerializedPageReader::new(Arc::new(self.chunks.clone()), column, self.num_rows(), None)?;
        let (column, found) = (column.clone(), self.found.clone());
        let reader = CheckedPages { pages, column, found, rows: 0, batch: 0, levels: 0 };
        Ok(Box::new(OneColumn(Some(Box::new(reader)))))
    }

    fn row_groups(&self) -> Box<dyn Iterator<Item = &RowGroupMetaData> + '_> {
        Box::new(std::iter::once(self.metadata.row_group(self.part)))
    }

    fn metadata(&self) -> &ParquetMetaData {
        &self.metadata
    }
}

struct OneColumn(Option<Box<dyn PageReader>>);

impl Iterator for OneColumn {
    type Item = Result<Box<dyn PageReader>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.take().map(Ok)
    }
}

impl PageIterator for OneColumn {}

struct CheckedPages {
    pages: SerializedPageReader<Chunks>,
    column: ColumnChunkMetaData,
    found: Found,
    /// Rows begun so far.
    rows: usize,
    /// The level where the batch of the last of them starts.
    batch: usize,
    levels: usize,
}

impl PageReader for CheckedPages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let page = self.pages.get_next_page()?;
        if let Some(page) = &page {
            self.check(page)?;
        }
        Ok(page)
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.pages.skip_next_page()
    }

    fn at_record_boundary(&mut self) -> Result<bool> {
        self.pages.at_record_boundary()
    }
}

impl Iterator for CheckedPages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl CheckedPages {
    fn check(&mut self, page: &Page) -> Result<()> {
        let values = usize::try_from(page.num_values()).unwrap_or(usize::MAX);
        let mut rest = page.buffer().clone();
        if !page.is_dictionary_page() {
            let (repetitions, width) = self.split_levels(page, values, &mut rest)?;
            if let Some(repetitions) = repetitions {
                self.count(Hybrid::new(repetitions, width)?, values)?;
            }
        }
        // A dictionary is plain under two names, of which one means indexes elsewhere.
        let encoding = if page.is_dictionary_page() { Encoding::PLAIN } else { page.encoding() };
        if self.column.column_type() == Type::BYTE_ARRAY { self.texts(&rest, encoding, values) } else { Ok(()) }
    }

    /// Takes the levels off the front of a page, and returns those of repetition and their width in bits.
    fn split_levels(&self, page: &Page, values: usize, rest: &mut Bytes) -> Result<(Option<Bytes>, usize)> {
        let column = self.column.column_descr();
        let [repetition, definition] = [column.max_rep_level(), column.max_def_level()].map(width);
        let bytes = |length: &u32| usize::try_from(*length).unwrap_or(usize::MAX);
        let repetitions = match page {
            Page::DataPageV2 { rep_levels_byte_len, def_levels_byte_len, .. } => {
                let repetitions = take(rest, bytes(rep_levels_byte_len))?;
                take(rest, bytes(def_levels_byte_len))?;
                Some(repetitions)
            }
            Page::DataPage { rep_level_encoding, def_level_encoding, .. } => {
                let mut levels = |encoding: Encoding, width: usize| match encoding {
                    _ if width == 0 => Ok(None),
                    Encoding::RLE => {
                        let length = take_length(rest)?;
                        take(rest, length).map(Some)
                    }
                    // In files of long ago; each takes its bits.
                    _ => take(rest, values.saturating_mul(width).div_ceil(8)).map(|_| None),
                };
                let repetitions = levels(*rep_level_encoding, repetition)?;
                levels(*def_level_encoding, definition)?;
                repetitions
            }
            Page::DictionaryPage { .. } => None,
        };
        Ok((repetitions.filter(|_| repetition > 0), repetition))
    }

    /// Counts the entries of the rows that are decoded at once.
    fn count(&mut self, mut repetitions: Hybrid, mut left: usize) -> Result<()> {
        let mut runs = Vec::new();
        while left > 0 {
            let some = left.min(ROWS_PER_BATCH);
            left -= some;
            runs.clear();
            repetitions.are(0, some, &mut runs)?;
            for (start_rows, mut levels) in runs.iter().copied() {
                while start_rows && levels > 0 {
                    let of_batch = self.rows % ROWS_PER_BATCH;
                    if of_batch == 0 {
                        self.batch = self.levels;
                    }
                    let some = levels.min(ROWS_PER_BATCH - of_batch);
                    self.rows += some;
                    self.levels += some;
                    levels -= some;
                }
                self.levels += levels;
                if self.levels - self.batch > MOST_ENTRIES {
                    return Err(self.refuse(too_many_entries()));
                }
            }
        }
        Ok(())
    }

    /// Looks at the lengths of texts.
    fn texts(&self, texts: &Bytes, encoding: Encoding, values: usize) -> Result<()> {
        match encoding {
            Encoding::PLAIN if texts.len() > LONGEST_TEXT => {
                let mut rest = texts.clone();
                while let Ok(text) = take_length(&mut rest).and_then(|length| take(&mut rest, length)) {
                    if text.len() > LONGEST_TEXT {
                        return Err(self.refuse(too_long(text.len())));
                    }
                }
            }
            Encoding::DELTA_LENGTH_BYTE_ARRAY if !texts.is_empty() => {
                Deltas::of(texts, values)?;
            }
            Encoding::DELTA_BYTE_ARRAY if !texts.is_empty() => {
                let (shared, rest) = Deltas::of(texts, values)?.sum()?;
                Deltas::of(rest, values)?;
                if shared > MOST_SHARED {
                    return Err(self.refuse(format!("holds {shared} bytes of text in a page of {}", texts.len())));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn refuse(&self, message: String) -> ParquetError {
        *lock(&self.found.0) = Some(BadColumn::new(&self.column, message));
        damaged("a column that no export holds")
    }
}

/// Bits of levels from 0 to `most`.
fn width(most: i16) -> usize {
    (i16::BITS - most.leading_zeros()) as usize
}
