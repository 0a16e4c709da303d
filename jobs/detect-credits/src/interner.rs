//! The texts of a partition of the scan as numbers: lines are grouped by numbers, and get their texts back before they
//! are handed on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use arrow::array::{Array, StringViewArray};
use cur_reader::lock;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};

/// Stands for no text.
pub(crate) const NO_TEXT: u32 = 0;

/// Every text that the lines of a partition are grouped by, once. What they take counts as memory of the session's plans.
#[derive(Debug)]
pub(crate) struct StringInterner {
    known: Mutex<Known>,
    held: MemoryReservation,
}

#[derive(Debug)]
struct Known {
    numbers: HashMap<Arc<str>, u32>,
    /// By number less one.
    texts: Vec<Arc<str>>,
    /// As far as they were asked for.
    array: StringViewArray,
}

/// Bytes that a text takes beside its own, here and as a view.
const BYTES_PER_TEXT: usize = 96;

impl StringInterner {
    pub(crate) fn new(pool: &Arc<dyn MemoryPool>) -> Self {
        let array = StringViewArray::from_iter_values::<&str, _>([]);
        let known = Mutex::new(Known { numbers: HashMap::new(), texts: Vec::new(), array });
        Self { known, held: MemoryConsumer::new("texts of the scan").register(pool) }
    }

    /// The number of a text, from 1. Asked once per entry of a column's dictionary, not per line.
    pub(crate) fn number(&self, text: &str) -> u32 {
        let mut known = lock(&self.known);
        if let Some(number) = known.numbers.get(text) {
            return *number;
        }
        let number = u32::try_from(known.texts.len() + 1).unwrap_or(u32::MAX);
        let text: Arc<str> = Arc::from(text);
        self.held.grow(BYTES_PER_TEXT + 2 * text.len());
        known.numbers.insert(Arc::clone(&text), number);
        known.texts.push(text);
        number
    }

    /// All texts so far, by number less one.
    pub(crate) fn texts(&self) -> StringViewArray {
        let mut known = lock(&self.known);
        if known.array.len() < known.texts.len() {
            known.array = StringViewArray::from_iter_values(&known.texts);
        }
        known.array.clone()
    }
}

#[cfg(test)]
mod tests {
    use datafusion::execution::memory_pool::UnboundedMemoryPool;

    use super::*;

    #[test]
    fn every_text_has_one_number_and_what_they_take_is_counted() {
        let pool: Arc<dyn MemoryPool> = Arc::new(UnboundedMemoryPool::default());
        let names = StringInterner::new(&pool);
        assert_eq!(["AmazonEC2", "", "AmazonEC2", "AmazonS3"].map(|text| names.number(text)), [1, 2, 1, 3]);
        let texts = names.texts();
        assert_eq!(texts.iter().flatten().collect::<Vec<_>>(), ["AmazonEC2", "", "AmazonS3"]);
        let before = pool.reserved();
        names.number(&"x".repeat(10_000));
        assert!(pool.reserved() - before > 20_000, "the text, and once more as a view");
        assert_eq!((names.texts().len(), texts.len()), (4, 3));
        drop(names);
        assert_eq!(pool.reserved(), 0);
    }
}
