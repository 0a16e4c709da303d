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
