//! The texts of a scan as numbers: lines are grouped by numbers, and get their texts back once they are summed.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, OnceLock};

use arrow::array::{Array, ArrayRef, AsArray, DictionaryArray, StringArray, UInt32Array};
use arrow::datatypes::{DataType, UInt32Type};
use cur_reader::lock;
use datafusion::common::{Result, exec_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

/// The number of no text.
pub(crate) const NO_NAME: u32 = 0;

/// Every text that lines are grouped by, once. All partitions of a scan share them. What they take counts as memory of
/// the session's plans.
#[derive(Debug)]
pub(crate) struct StringInterner {
    known: Mutex<HashMap<Arc<str>, u32>>,
    ordered: OnceLock<Ordered>,
    held: MemoryReservation,
}

/// Bytes that a text takes beside its own, here and in order.
const BYTES_PER_NAME: usize = 80;

/// The texts in order, and the place of each number in it.
#[derive(Debug)]
struct Ordered {
    /// By number less one.
    rank: Vec<u32>,
    texts: ArrayRef,
}

impl StringInterner {
    pub(crate) fn new(pool: &Arc<dyn MemoryPool>) -> Self {
        let held = MemoryConsumer::new("names").register(pool);
        Self { known: Mutex::default(), ordered: OnceLock::new(), held }
    }

    /// The number of a text, from 1. Asked once per entry of a column's dictionary, not per line.
    pub(crate) fn number(&self, text: &str) -> u32 {
        let mut known = lock(&self.known);
        if let Some(number) = known.get(text) {
            return *number;
        }
        let number = u32::try_from(known.len() + 1).unwrap_or(u32::MAX);
        known.insert(Arc::from(text), number);
        self.held.grow(BYTES_PER_NAME + 2 * text.len());
        number
    }

    /// Puts the texts in order; complete once the last line has been read.
    fn ordered(&self) -> &Ordered {
        self.ordered.get_or_init(|| {
            let known = lock(&self.known);
            let mut texts: Vec<(&str, u32)> = known.iter().map(|(text, number)| (&**text, *number)).collect();
            texts.sort_unstable();
            let mut rank = vec![0; texts.len()];
            for (place, (_, number)) in (0..).zip(&texts) {
                if let Some(slot) = rank.get_mut(*number as usize - 1) {
                    *slot = place;
                }
            }
            Ordered { rank, texts: Arc::new(StringArray::from_iter_values(texts.into_iter().map(|(text, _)| text))) }
        })
    }

    /// The text of a rank.
    pub(crate) fn text(&self, rank: u32) -> Option<&str> {
        let texts = self.ordered().texts.as_string::<i32>();
        let rank = rank as usize;
        (rank < texts.len()).then(|| texts.value(rank))
    }

    /// The texts of ranks.
    pub(crate) fn texts(&self, ranks: &UInt32Array) -> Result<DictionaryArray<UInt32Type>> {
        Ok(DictionaryArray::try_new(ranks.clone(), Arc::clone(&self.ordered().texts))?)
    }
}

/// Replaces the numbers of [`StringInterner`] by their places in the order of the texts. For plans above the last line read.
#[derive(Debug)]
pub(crate) struct SortRank(pub(crate) Arc<StringInterner>);

impl PartialEq for SortRank {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for SortRank {}

impl std::hash::Hash for SortRank {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

impl ScalarUDFImpl for SortRank {
    fn name(&self) -> &'static str {
        "rank_of"
    }

    fn signature(&self) -> &Signature {
        static SIGNATURE: LazyLock<Signature> =
            LazyLock::new(|| Signature::exact(vec![DataType::UInt32], Volatility::Stable));
        &SIGNATURE
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::UInt32)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [numbers] = &ColumnarValue::values_to_arrays(&args.args)?[..] else {
            return exec_err!("rank_of takes one column");
        };
        let rank = &self.0.ordered().rank;
        let ranks = numbers.as_primitive::<UInt32Type>().iter().map(|number| {
            let Some(number) = number else { return Ok(None) };
            match rank.get((number as usize).wrapping_sub(1)) {
                Some(rank) => Ok(Some(*rank)),
                None => exec_err!("a line was read after the texts were put in order"),
            }
        });
        Ok(ColumnarValue::Array(Arc::new(ranks.collect::<Result<UInt32Array>>()?)))
    }
}
