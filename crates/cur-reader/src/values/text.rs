//! Text as numbers of dictionary entries, and what is worked out once per entry.

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::buffer::ScalarBuffer;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Int32Type};
use schemas::{LONGEST_TEXT, coded_text_type, too_long};

use super::TypeMismatch;

/// Text, whatever its physical type: each line holds the number of an entry in the column's dictionary.
#[derive(Debug, Clone)]
pub struct TextColumn {
    /// By row; [`NO_CODE`] where null.
    codes: ScalarBuffer<i32>,
    entries: StringArray,
}

/// As another type; an error where a value cannot be.
pub(crate) fn strictly(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, TypeMismatch> {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(array, to, &options).map_err(|error| error.to_string())
}

/// The code of no value.
pub const NO_CODE: i32 = -1;

impl TextColumn {
    /// The text of an array.
    ///
    /// # Errors
    /// What it holds instead.
    pub fn new(array: &ArrayRef) -> Result<Self, TypeMismatch> {
        if array.data_type().is_nested() {
            return Err(format!("has type {}, not text", array.data_type()));
        }
        // Some writers do not mark text as such.
        let is_binary = array.data_type().is_binary() || matches!(array.data_type(), DataType::FixedSizeBinary(_));
        let utf_8 = if is_binary { Some(strictly(array, &DataType::Utf8)?) } else { None };
        let coded = strictly(utf_8.as_ref().unwrap_or(array), &coded_text_type())?;
        let coded = coded.as_dictionary::<Int32Type>();
        let (codes, entries) = (coded.keys(), coded.values().as_string::<i32>().clone());
        if entries.value_data().len() > LONGEST_TEXT {
            let longest = (0..entries.len()).map(|entry| entries.value(entry).len()).max().unwrap_or_default();
            if longest > LONGEST_TEXT {
                return Err(too_long(longest));
            }
        }
        let codes = match codes.null_count() {
            0 => codes.values().clone(),
            _ => codes.iter().map(|code| code.unwrap_or(NO_CODE)).collect(),
        };
        Ok(Self { codes, entries })
    }

    /// Of codes and the dictionary they point into.
    pub fn of_codes(codes: Vec<i32>, entries: StringArray) -> Self {
        Self { codes: codes.into(), entries }
    }

    /// The value; `None` where it is null or blank.
    pub fn get(&self, row: usize) -> Option<&str> {
        self.entry(self.code(row)?)
    }

    /// The entry's number; `None` where null.
    #[inline]
    pub fn code(&self, row: usize) -> Option<usize> {
        usize::try_from(*self.codes.get(row)?).ok()
    }

    /// The entries' numbers: rows with equal ones have equal texts.
    pub fn codes(&self) -> &ScalarBuffer<i32> {
        &self.codes
    }

    /// The dictionary; `None` for what is null or blank.
    pub fn entries(&self) -> impl Iterator<Item = Option<&str>> {
        (0..self.entries.len()).map(|code| self.entry(code))
    }

    fn entry(&self, code: usize) -> Option<&str> {
        if self.entries.is_null(code) {
            return None;
        }
        Some(self.entries.value(code)).filter(|text| !text.trim().is_empty())
    }

    /// True where both share one dictionary, not only equal ones.
    fn shares_entries(&self, other: &StringArray) -> bool {
        self.entries.len() == other.len()
            && self.entries.offset() == other.offset()
            && self.entries.value_data().as_ptr() == other.value_data().as_ptr()
            && self.entries.value_offsets().as_ptr() == other.value_offsets().as_ptr()
    }
}

/// The dictionary of a column, from batch to batch.
#[derive(Debug, Default)]
pub struct Dictionary {
    /// Kept, so that its memory cannot come back as another dictionary.
    entries: Option<StringArray>,
}

impl Dictionary {
    /// True where `column` has another dictionary than the batch before.
    pub fn rebind(&mut self, column: &TextColumn) -> bool {
        let is_new = !self.entries.as_ref().is_some_and(|entries| column.shares_entries(entries));
        if is_new {
            self.entries = Some(column.entries.clone());
        }
        is_new
    }
}

/// What is known about the entries of a column's dictionary: worked out once per entry, not once per line.
#[derive(Debug)]
pub struct DictionaryMemo<T> {
    dictionary: Dictionary,
    /// By entry; `Some(None)` for one that is blank.
    known: Vec<Option<Option<T>>>,
}

impl<T> Default for DictionaryMemo<T> {
    fn default() -> Self {
        Self { dictionary: Dictionary::default(), known: Vec::new() }
    }
}

impl<T: Copy> DictionaryMemo<T> {
    /// Forgets what is known unless `column` has the dictionary of the batch before; true where it forgot.
    pub fn rebind(&mut self, column: &TextColumn) -> bool {
        let is_new = self.dictionary.rebind(column);
        if is_new {
            self.known.clear();
            self.known.resize(column.entries.len(), None);
        }
        is_new
    }

    /// What is known about the row's entry; `None` where it is null or blank.
    #[inline]
    pub fn get(&mut self, column: &TextColumn, row: usize, work_out: impl FnOnce(&str) -> T) -> Option<T> {
        let code = column.code(row)?;
        if let Some(Some(known)) = self.known.get(code) {
            return *known;
        }
        let found = column.entry(code).map(work_out);
        if let Some(slot) = self.known.get_mut(code) {
            *slot = Some(found);
        }
        found
    }
}
