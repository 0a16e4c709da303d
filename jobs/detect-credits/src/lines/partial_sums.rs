//! Lines summed as they are read: by numbers, runs of lines of one cell without looking it up again.

use std::hash::{BuildHasher, Hash, Hasher};
use std::ops::Range;

use arrow::array::UInt32Array;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use credit_ledger::MoneyError;
use hashbrown::hash_table::Entry;
use hashbrown::{DefaultHashBuilder, HashTable};

use super::Measures;
use crate::interner::{NO_TEXT, StringInterner};
use crate::scan_rows::SumColumns;

/// Sums that a partition holds before it hands them on: a bound on its memory.
const MOST: usize = 16_384;
/// Rows of a batch of sums.
const ROWS_PER_BATCH: usize = 8192;

/// What a line is summed by. Texts are numbers of [`StringInterner`].
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
    /// Of cost lines only.
    pub(crate) rule: u32,
    /// True for a sum of credit lines by description, false for a sum of all lines by rule.
    pub(crate) is_credit: bool,
    /// Of credit lines only.
    pub(crate) description: u32,
}

impl SumKey {
    /// The credit line that a line with this key counts in too.
    pub(crate) const fn credit_line(self, description: u32) -> Self {
        Self { rule: NO_TEXT, is_credit: true, description, ..self }
    }
}

impl Hash for SumKey {
    /// Numbers by twos; a description says nearly always whether the sum is one of credit lines.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let days = (self.period.cast_unsigned(), self.usage_date.cast_unsigned());
        for (high, low) in
            [days, (self.payer, self.account), (self.service, self.currency), (self.rule, self.description)]
        {
            state.write_u64(u64::from(high) << 32 | u64::from(low));
        }
    }
}

/// Sums so far.
#[derive(Debug, Default)]
pub(crate) struct PartialSums {
    positions: HashTable<u32>,
    hasher: DefaultHashBuilder,
    keys: Vec<SumKey>,
    sums: Vec<Measures>,
    lines: Vec<u64>,
    last: usize,
}

impl PartialSums {
    /// Adds the sum of some lines.
    #[inline]
    pub(crate) fn add(&mut self, key: &SumKey, sum: &Measures, lines: u64) -> Result<(), MoneyError> {
        if self.keys.get(self.last) != Some(key) {
            self.last = self.position(key);
        }
        if let Some(count) = self.lines.get_mut(self.last) {
            *count += lines;
        }
        self.sums.get_mut(self.last).map_or(Ok(()), |sums| sums.add(sum))
    }

    fn position(&mut self, key: &SumKey) -> usize {
        let Self { positions, hasher, keys, sums, lines, .. } = self;
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
                lines.push(0);
                position
            }
        }
    }

    /// True when the sums should be handed on.
    pub(crate) fn are_many(&self) -> bool {
        self.keys.len() >= MOST
    }

    /// All sums, batch by batch.
    pub(crate) fn batches(&self, names: &StringInterner) -> impl Iterator<Item = Result<RecordBatch, ArrowError>> {
        let starts = (0..self.keys.len()).step_by(ROWS_PER_BATCH);
        starts.map(|start| self.batch(start..(start + ROWS_PER_BATCH).min(self.keys.len()), names))
    }

    fn batch(&self, rows: Range<usize>, names: &StringInterner) -> Result<RecordBatch, ArrowError> {
        let keys = self.keys.get(rows.clone()).unwrap_or_default();
        let sums = self.sums.get(rows.clone()).unwrap_or_default();
        let lines = self.lines.get(rows).unwrap_or_default();
        let days = |of: fn(&SumKey) -> i32| keys.iter().map(of).collect();
        let place = |name: u32| (name != NO_TEXT).then(|| name - 1);
        let places = |of: fn(&SumKey) -> u32| keys.iter().map(of).map(place).collect::<UInt32Array>();
        let units = |measure: usize| {
            sums.iter().map(|sums| sums.in_order().get(measure).map_or(0, |amount| amount.units())).collect()
        };
        let columns = SumColumns {
            is_credit: keys.iter().map(|key| key.is_credit).collect(),
            days: [days(|key| key.period), days(|key| key.usage_date)],
            names: [
                places(|key| key.payer),
                places(|key| key.account),
                places(|key| key.service),
                places(|key| key.currency),
                places(|key| key.rule),
                places(|key| key.description),
            ],
            texts: names.texts(),
            units: std::array::from_fn(units),
            lines: lines.iter().map(|lines| i64::try_from(*lines).unwrap_or(i64::MAX)).collect(),
        };
        columns.into_batch()
    }

    /// Forgets the sums that were handed on. Their memory is there for the next ones.
    pub(crate) fn clear(&mut self) {
        self.positions.clear();
        self.keys.clear();
        self.sums.clear();
        self.lines.clear();
    }
}
