//! Lines summed as they are read: by numbers, runs of lines of one cell without looking it up again.

use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Date32Array, Decimal128Array, UInt32Array};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use credit_ledger::{Money, MoneyError};
use hashbrown::hash_table::Entry;
use hashbrown::{DefaultHashBuilder, HashTable};

use super::{Measures, schema};
use crate::interner::NO_NAME;

/// PartialSums a partition holds before it hands them on: a bound on its memory.
const MOST: usize = 16_384;
/// Rows of a batch of cells.
const ROWS_PER_BATCH: usize = 8192;

/// What a line is summed by. Texts are numbers of [`crate::interner::StringInterner`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SumKey {
    /// First day of the billing period, as days since 1970.
    pub(crate) period: i32,
    /// Days since 1970.
    pub(crate) usage_date: i32,
    pub(crate) payer: u32,
    pub(crate) account: u32,
    pub(crate) service: u32,
    pub(crate) currency: u32,
    pub(crate) rule: u32,
    pub(crate) is_credit: bool,
    /// On credit lines only.
    pub(crate) description: u32,
}

impl Hash for SumKey {
    /// Numbers by twos; a description says nearly always whether the line is a credit.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let days = (self.period.cast_unsigned(), self.usage_date.cast_unsigned());
        for (high, low) in
            [days, (self.payer, self.account), (self.service, self.currency), (self.rule, self.description)]
        {
            state.write_u64(u64::from(high) << 32 | u64::from(low));
        }
    }
}

/// PartialSums and their sums so far.
#[derive(Debug, Default)]
pub(crate) struct PartialSums {
    positions: HashTable<u32>,
    hasher: DefaultHashBuilder,
    keys: Vec<SumKey>,
    sums: Vec<Measures>,
    last: usize,
}

impl PartialSums {
    /// Adds a line.
    #[inline]
    pub(crate) fn add(&mut self, key: &SumKey, line: &Measures) -> Result<(), MoneyError> {
        if self.keys.get(self.last) != Some(key) {
            self.last = self.position(key);
        }
        self.sums.get_mut(self.last).map_or(Ok(()), |sums| sums.add(line))
    }

    fn position(&mut self, key: &SumKey) -> usize {
        let Self { positions, hasher, keys, sums, .. } = self;
        let of = |position: &u32| keys.get(*position as usize);
        let entry = positions.entry(
            hasher.hash_one(key),
            |position| of(position) == Some(key),
            |position| of(position).map_or(0, |key| hasher.hash_one(key)),
        );
        match entry {
            Entry::Occupied(known) => *known.get() as usize,
            Entry::Vacant(new) => {
                let position = keys.len();
                new.insert(u32::try_from(position).unwrap_or(u32::MAX));
                keys.push(*key);
                sums.push(Measures::default());
                position
            }
        }
    }

    /// True when the cells should be handed on.
    pub(crate) fn are_many(&self) -> bool {
        self.keys.len() >= MOST
    }

    /// All cells, batch by batch.
    pub(crate) fn batches(&self) -> impl Iterator<Item = Result<RecordBatch, ArrowError>> {
        let batches = self.keys.chunks(ROWS_PER_BATCH).zip(self.sums.chunks(ROWS_PER_BATCH));
        batches.map(|(keys, sums)| batch(keys, sums))
    }

    /// Forgets the cells that were handed on. Their memory is there for the next ones.
    pub(crate) fn clear(&mut self) {
        self.positions.clear();
        self.keys.clear();
        self.sums.clear();
    }
}

fn batch(keys: &[SumKey], sums: &[Measures]) -> Result<RecordBatch, ArrowError> {
    let days = |of: fn(&SumKey) -> i32| -> ArrayRef { Arc::new(Date32Array::from_iter_values(keys.iter().map(of))) };
    let name = |of: fn(&SumKey) -> u32| -> ArrayRef {
        Arc::new(keys.iter().map(of).map(|name| (name != NO_NAME).then_some(name)).collect::<UInt32Array>())
    };
    let mut columns = vec![
        days(|key| key.period),
        days(|key| key.usage_date),
        name(|key| key.payer),
        name(|key| key.account),
        name(|key| key.service),
        name(|key| key.currency),
        name(|key| key.rule),
        Arc::new(keys.iter().map(|key| Some(key.is_credit)).collect::<BooleanArray>()),
        name(|key| key.description),
    ];
    for measure in 0..Measures::COUNT {
        let amounts = sums.iter().map(|sums| sums.in_order().get(measure).map_or(0, |amount| amount.units()));
        let amounts = Decimal128Array::from_iter_values(amounts);
        columns.push(Arc::new(amounts.with_precision_and_scale(Money::PRECISION, Money::SCALE)?));
    }
    RecordBatch::try_new(schema(), columns)
}
