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
        // Some writers do not mark text as such. What has a fixed length becomes text by way of bytes only.
        let is_fixed = matches!(array.data_type(), DataType::FixedSizeBinary(_));
        let bytes = if is_fixed { Some(strictly(array, &DataType::Binary)?) } else { None };
        let array = bytes.as_ref().unwrap_or(array);
        let utf_8 = if array.data_type().is_binary() { Some(strictly(array, &DataType::Utf8)?) } else { None };
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        BinaryArray, BinaryViewArray, DictionaryArray, FixedSizeBinaryArray, Int8Array, Int64Array, LargeBinaryArray,
        LargeStringArray, ListArray, NullArray, StringViewArray,
    };
    use arrow::datatypes::Field;

    use super::*;

    fn texts(array: impl Array + 'static) -> Vec<Option<String>> {
        let column = TextColumn::new(&(Arc::new(array) as ArrayRef)).unwrap();
        (0..column.codes().len()).map(|row| column.get(row).map(str::to_owned)).collect()
    }

    #[test]
    fn text_of_every_physical_type_reads_alike_and_blanks_are_none() {
        let values = [Some("AmazonEC2"), None, Some("         "), Some("AmazonEC2")];
        let bytes = || values.iter().map(|value| value.map(str::as_bytes));
        let service = || Some("AmazonEC2".to_owned());
        let expected = [service(), None, None, service()];
        assert_eq!(texts(StringArray::from(values.to_vec())), expected);
        assert_eq!(texts(LargeStringArray::from(values.to_vec())), expected);
        assert_eq!(texts(StringViewArray::from(values.to_vec())), expected);
        assert_eq!(texts(bytes().collect::<BinaryArray>()), expected);
        assert_eq!(texts(bytes().collect::<LargeBinaryArray>()), expected);
        assert_eq!(texts(bytes().collect::<BinaryViewArray>()), expected);
        let fixed = FixedSizeBinaryArray::try_from_sparse_iter_with_size(bytes(), 9).unwrap();
        assert_eq!(texts(fixed), expected);
        // A dictionary may hold a null too.
        let codes = Int8Array::from(vec![Some(1), None, Some(0), Some(1)]);
        let entries: ArrayRef = Arc::new(StringArray::from(vec![None, Some("AmazonEC2")]));
        assert_eq!(texts(DictionaryArray::try_new(codes, entries).unwrap()), expected);
        assert_eq!(texts(NullArray::new(1)), [None]);
        assert_eq!(texts(Int64Array::from(vec![Some(12), None])), [Some("12".to_owned()), None]);
    }

    #[test]
    fn rows_of_equal_text_have_one_code() {
        let array: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), Some("b"), None, Some("a")]));
        let column = TextColumn::new(&array).unwrap();
        assert_eq!(column.codes()[..], [0, 1, NO_CODE, 0]);
        assert_eq!(column.entries().collect::<Vec<_>>(), [Some("a"), Some("b")]);
        assert_eq!((column.code(2), column.code(9)), (None, None));
    }

    #[test]
    fn what_is_no_text_or_too_long_is_refused() {
        let refused = |array: ArrayRef| TextColumn::new(&array).unwrap_err();
        let list = ListArray::new_null(Arc::new(Field::new("x", DataType::Int32, true)), 1);
        assert_eq!(refused(Arc::new(list)), "has type List(Int32, field: 'x'), not text");
        assert!(refused(Arc::new(BinaryArray::from(vec![&b"Caf\xe9"[..]]))).contains("UTF-8"));
        let longest = "x".repeat(LONGEST_TEXT);
        assert_eq!(texts(StringArray::from(vec![&longest[..], "y"])), [Some(longest.clone()), Some("y".to_owned())]);
        let longer: ArrayRef = Arc::new(StringArray::from(vec!["y", &(longest + "x")]));
        assert_eq!(refused(longer), "holds a text of 1048577 bytes; at most 1048576");
    }

    #[test]
    fn an_entry_is_worked_out_once_and_anew_with_another_dictionary() {
        let of =
            |entries: &[&str]| TextColumn::of_codes(vec![0, 1, 0, NO_CODE, 1], StringArray::from(entries.to_vec()));
        let (mut memo, mut asked) = (DictionaryMemo::default(), Vec::new());
        let mut lengths = |column: &TextColumn| {
            let is_new = memo.rebind(column);
            let mut length = |text: &str| {
                asked.push(text.to_owned());
                text.len()
            };
            (is_new, (0..5).map(|row| memo.get(column, row, &mut length)).collect::<Vec<_>>())
        };
        let column = of(&["Tax", " "]);
        let expected = vec![Some(3), None, Some(3), None, None];
        assert_eq!(lengths(&column), (true, expected.clone()));
        // The next batch shares the dictionary.
        assert_eq!(lengths(&column.clone()), (false, expected));
        assert_eq!(lengths(&of(&["Usage", "Fee"])), (true, vec![Some(5), Some(3), Some(5), None, Some(3)]));
        assert_eq!(asked, ["Tax", "Usage", "Fee"]);
    }
}
