//! Net cost per cell: both books in one row.
//!
//! Cells come in order of the table's grain, and what was drawn from each in the same: one pass, no more memory than a
//! batch of each.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Decimal128Array, DynComparator, make_comparator};
use arrow::compute::SortOptions;
use arrow::datatypes::Decimal128Type;
use arrow::record_batch::RecordBatch;
use credit_ledger::{Money, MoneyError};
use datafusion::common::{DataFusionError, Result, exec_err};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;
use schemas::TableRow;
use schemas::tables::NetCost;

const NULLS_FIRST: SortOptions = SortOptions { descending: false, nulls_first: true };
/// Beside the keys.
const AMOUNTS: usize = 10;

/// `net_cost` of one period, from its cells and from what was drawn from each ([`crate::plan::drawn_from_cells`]); all in
/// order of the table's grain.
#[must_use]
pub fn net_cost(mut cells: SendableRecordBatchStream, drawn: SendableRecordBatchStream) -> SendableRecordBatchStream {
    let rows = async_stream::try_stream! {
        let mut drawn = Drawn { batches: drawn, batch: None, row: 0 };
        while let Some(batch) = cells.next().await.transpose()? {
            let used = drawn.from(&batch).await?;
            yield both_books(&batch, &used)?;
        }
        if drawn.batch().await?.is_some() {
            drawn.from_no_cell()?;
        }
    };
    Box::pin(RecordBatchStreamAdapter::new(NetCost::TABLE.schema(), rows))
}

fn keys(batch: &RecordBatch) -> Result<Vec<ArrayRef>> {
    let keys = cell_keys().map(|name| match batch.column_by_name(name) {
        Some(column) => Ok(Arc::clone(column)),
        None => exec_err!("column {name} is missing"),
    });
    keys.collect()
}

/// The table's grain within a period.
fn cell_keys() -> impl Iterator<Item = &'static str> {
    NetCost::TABLE.keys().iter().copied()
}

fn money<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a Decimal128Array> {
    match batch.column_by_name(name).and_then(|column| column.as_primitive_opt::<Decimal128Type>()) {
        Some(column) => Ok(column),
        None => exec_err!("column {name} is missing or no money"),
    }
}

fn overflow(error: MoneyError) -> DataFusionError {
    DataFusionError::External(error.into())
}

fn amount(units: i128) -> Result<Money> {
    Money::from_units(units).map_err(overflow)
}

/// What was drawn from each cell, in order of cells.
struct Drawn {
    batches: SendableRecordBatchStream,
    /// The batch at work, and its rows that have met their cells.
    batch: Option<RecordBatch>,
    row: usize,
}

impl Drawn {
    /// The batch that has the next row.
    async fn batch(&mut self) -> Result<Option<RecordBatch>> {
        while self.batch.as_ref().is_none_or(|batch| self.row >= batch.num_rows()) {
            let Some(next) = self.batches.next().await.transpose()? else { return Ok(None) };
            (self.batch, self.row) = (Some(next), 0);
        }
        Ok(self.batch.clone())
    }

    /// What was drawn from each of the next cells.
    async fn from(&mut self, cells: &RecordBatch) -> Result<Vec<Money>> {
        let cell_keys = keys(cells)?;
        let mut used = Vec::with_capacity(cells.num_rows());
        while used.len() < cells.num_rows()
            && let Some(drawn) = self.batch().await?
        {
            let amounts = money(&drawn, "used")?;
            let comparators = cell_keys.iter().zip(keys(&drawn)?);
            let comparators: Vec<DynComparator> =
                comparators.map(|(cell, draw)| make_comparator(cell, &draw, NULLS_FIRST)).collect::<Result<_, _>>()?;
            while used.len() < cells.num_rows() && self.row < drawn.num_rows() {
                let order = comparators.iter().map(|compare| compare(used.len(), self.row)).find(|order| order.is_ne());
                used.push(match order {
                    None => {
                        self.row += 1;
                        amount(amounts.value(self.row - 1))?
                    }
                    Some(Ordering::Less) => Money::ZERO,
                    Some(_) => return self.from_no_cell(),
                });
            }
        }
        used.resize(cells.num_rows(), Money::ZERO);
        Ok(used)
    }

    /// Something is drawn that no cell has.
    fn from_no_cell<T>(&self) -> Result<T> {
        exec_err!("something is drawn from a cell that is none: row {} of a batch of draws", self.row)
    }
}

fn both_books(cells: &RecordBatch, used: &[Money]) -> Result<RecordBatch> {
    let of = |name| money(cells, name);
    let (charges, tax, refunds) = (of("charges")?, of("tax")?, of("refunds")?);
    let (aws_credits, eligible, unblended) = (of("aws_credits")?, of("eligible_charges")?, of("unblended_charges")?);
    let mut amounts: [Vec<i128>; AMOUNTS] = std::array::from_fn(|_| Vec::with_capacity(used.len()));
    for (row, used) in used.iter().enumerate() {
        let value = |column: &Decimal128Array| amount(column.value(row));
        let (charges, tax, refunds) = (value(charges)?, value(tax)?, value(refunds)?);
        let (aws_credits, eligible, unblended) = (value(aws_credits)?, value(eligible)?, value(unblended)?);
        let total = |amounts: &[Money]| Money::total(amounts.iter().copied()).map_err(overflow);
        let gross_cost = total(&[charges, tax])?;
        let invoice_net = total(&[unblended, tax, refunds, aws_credits])?;
        let credits_applied = used.negated();
        let net_cost = total(&[gross_cost, refunds, credits_applied])?;
        let clearing = invoice_net.checked_sub(net_cost).map_err(overflow)?;
        let row = [
            charges,
            tax,
            gross_cost,
            refunds,
            aws_credits,
            invoice_net,
            credits_applied,
            net_cost,
            clearing,
            eligible,
        ];
        for (column, amount) in amounts.iter_mut().zip(row) {
            column.push(amount.units());
        }
    }
    let mut columns = keys(cells)?;
    for units in amounts {
        let amounts = Decimal128Array::from_iter_values(units);
        columns.push(Arc::new(amounts.with_precision_and_scale(Money::PRECISION, Money::SCALE)?));
    }
    Ok(RecordBatch::try_new(NetCost::TABLE.schema(), columns)?)
}
