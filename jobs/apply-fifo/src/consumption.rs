//! `credit_consumption` of a period, a batch at a time.
//!
//! What a row says of its lot, its account or its place is looked up by number, column by column: no row is ever made.

use std::sync::Arc;
use std::vec::IntoIter;

use arrow::array::{ArrayRef, Date32Array, Decimal128Array, Int32Array, StringArray, UInt64Array};
use arrow::compute::take;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use credit_ledger::{Draw, Ledger, Money, Node, Posting};
use schemas::TableRow;
use schemas::tables::CreditConsumption;

use crate::draws::DrawFile;
use crate::error::FifoError;
use crate::spend::PeriodSpend;

const ROWS_PER_BATCH: usize = 8192;

/// The rows in order of the table's grain.
#[derive(Debug)]
pub struct Consumption {
    draws: DrawFile,
    /// Lots still to come, by credit and number.
    lots: IntoIter<usize>,
    /// Of the lot at work.
    lot: usize,
    of_lot: IntoIter<Draw>,
    spend: PeriodSpend,
    columns: Columns,
}

/// What rows say, by the numbers of lots, places and accounts.
#[derive(Debug)]
struct Columns {
    /// `credit_key` to `credit_product`.
    lots: Vec<ArrayRef>,
    /// `fifo_rank`, `policy`.
    ranks: Vec<ArrayRef>,
    /// `currency` to `product`.
    places: Vec<ArrayRef>,
    /// `payer_account_id` to `service`.
    accounts: Vec<ArrayRef>,
}

fn texts<'a>(values: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    Arc::new(values.collect::<StringArray>())
}

fn levels<'a>(nodes: impl Iterator<Item = &'a Node> + Clone) -> Vec<ArrayRef> {
    let level = |level: usize| -> ArrayRef {
        Arc::new(nodes.clone().map(|node| node.levels().into_iter().nth(level).flatten()).collect::<StringArray>())
    };
    (0..Node::LEVELS.len()).map(level).collect()
}

impl Columns {
    fn new(ledger: &Ledger, posting: &Posting, spend: &PeriodSpend) -> Self {
        let mut lots = vec![texts(ledger.lots().map(|lot| Some(lot.credit_key.as_str())))];
        lots.push(Arc::new(ledger.lots().map(|lot| lot.lot).collect::<Int32Array>()));
        lots.extend(levels(ledger.lots().map(|lot| &lot.node).collect::<Vec<_>>().into_iter()));
        let ranks = posting.fifo_ranks.iter().map(|rank| i32::try_from(*rank).unwrap_or(i32::MAX));
        let policy = ledger.policy().name();
        let mut places = vec![texts(spend.spend.places().iter().map(|(currency, _)| Some(currency.as_str())))];
        places.extend(levels(spend.spend.places().iter().map(|(_, node)| node)));
        Self {
            lots,
            ranks: vec![
                Arc::new(ranks.collect::<Int32Array>()),
                texts(posting.fifo_ranks.iter().map(|_| Some(policy))),
            ],
            places,
            accounts: vec![
                texts(spend.names.iter().map(|of| Some(of.payer.as_str()))),
                texts(spend.names.iter().map(|of| Some(of.account.as_str()))),
                texts(spend.names.iter().map(|of| of.service.as_deref())),
            ],
        }
    }
}

impl Consumption {
    pub(crate) fn new(ledger: &Ledger, posting: &Posting, spend: PeriodSpend, draws: DrawFile) -> Self {
        let mut lots: Vec<_> = ledger.lots().enumerate().filter(|(lot, _)| drew(posting, *lot)).collect();
        lots.sort_by_key(|(_, lot)| (&lot.credit_key, lot.lot));
        let lots: Vec<usize> = lots.into_iter().map(|(position, _)| position).collect();
        let columns = Columns::new(ledger, posting, &spend);
        Self { draws, lots: lots.into_iter(), lot: 0, of_lot: Vec::new().into_iter(), spend, columns }
    }

    /// How many rows there are in all.
    #[must_use]
    pub const fn rows(&self) -> u64 {
        self.draws.count()
    }

    /// The next draws, with their lots.
    fn draws(&mut self) -> Result<Vec<(usize, Draw)>, FifoError> {
        let mut draws = Vec::with_capacity(ROWS_PER_BATCH);
        while draws.len() < ROWS_PER_BATCH {
            if let Some(draw) = self.of_lot.next() {
                draws.push((self.lot, draw));
            } else if let Some(lot) = self.lots.next() {
                (self.lot, self.of_lot) = (lot, self.draws.read(lot).map_err(FifoError::TemporaryFile)?.into_iter());
            } else {
                break;
            }
        }
        Ok(draws)
    }

    fn batch(&self, draws: &[(usize, Draw)]) -> Result<RecordBatch, ArrowError> {
        let PeriodSpend { spend, usage_dates, accounts, .. } = &self.spend;
        let place = |cell: usize| spend.cells().get(cell).map(|cell| cell.place as u64);
        let account = |cell: usize| accounts.get(cell).map(|account| *account as u64);
        let lots = UInt64Array::from_iter_values(draws.iter().map(|(lot, _)| *lot as u64));
        let places: UInt64Array = draws.iter().map(|(_, draw)| place(draw.cell)).collect();
        let accounts: UInt64Array = draws.iter().map(|(_, draw)| account(draw.cell)).collect();
        let days: Date32Array = draws.iter().map(|(_, draw)| usage_dates.get(draw.cell).copied()).collect();
        let used = Decimal128Array::from_iter_values(draws.iter().map(|(_, draw)| draw.used.units()));
        let used = used.with_precision_and_scale(Money::PRECISION, Money::SCALE)?;
        let of = |columns: &[ArrayRef], numbers: &UInt64Array| {
            columns.iter().map(|column| take(column, numbers, None)).collect::<Result<Vec<_>, _>>()
        };
        let columns = [
            of(&self.columns.lots, &lots)?,
            vec![Arc::new(days)],
            of(&self.columns.accounts, &accounts)?,
            of(&self.columns.places, &places)?,
            vec![Arc::new(used)],
            of(&self.columns.ranks, &lots)?,
        ];
        RecordBatch::try_new(CreditConsumption::TABLE.schema(), columns.concat())
    }
}

/// True for a lot that drew.
pub(crate) fn drew(posting: &Posting, lot: usize) -> bool {
    posting.fifo_ranks.get(lot).is_some_and(|rank| *rank > 0)
}

impl Iterator for Consumption {
    type Item = Result<RecordBatch, FifoError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.draws() {
            Ok(draws) if draws.is_empty() => None,
            Ok(draws) => Some(self.batch(&draws).map_err(FifoError::from)),
            Err(error) => Some(Err(error)),
        }
    }
}
