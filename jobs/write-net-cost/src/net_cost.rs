//! Net cost per cell: both books in one row.
//!
//! Cells come in order of the table's grain; draws are summed by cell and put in that order, so that each cell meets its
//! own: one pass, no more memory than a batch and the period's draws.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Decimal128Array, DynComparator, UInt32Array, make_comparator};
use arrow::compute::{SortColumn, SortOptions, concat_batches, lexsort_to_indices, partition, take};
use arrow::datatypes::Decimal128Type;
use arrow::record_batch::RecordBatch;
use credit_ledger::{Money, MoneyError};
use datafusion::common::{DataFusionError, Result, exec_err};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, TryStreamExt};
use schemas::TableRow;
use schemas::tables::NetCost;

const NULLS_FIRST: SortOptions = SortOptions { descending: false, nulls_first: true };
/// Beside the keys.
const AMOUNTS: usize = 10;

/// `net_cost` of one period, in order of the table's grain, from its cells in the same order and its draws in any.
#[must_use]
pub fn net_cost(mut cells: SendableRecordBatchStream, draws: SendableRecordBatchStream) -> SendableRecordBatchStream {
    let rows = async_stream::try_stream! {
        let draws = Draws::collect(draws).await?;
        let mut drawn = 0;
        while let Some(batch) = cells.next().await.transpose()? {
            let used = draws.of(&batch, &mut drawn)?;
            yield both_books(&batch, &used)?;
        }
        draws.all_met(drawn)?;
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
struct Draws {
    keys: Vec<ArrayRef>,
    used: Vec<Money>,
}

impl Draws {
    async fn collect(draws: SendableRecordBatchStream) -> Result<Self> {
        let schema = draws.schema();
        let batches: Vec<RecordBatch> = draws.try_collect().await?;
        let draws = concat_batches(&schema, &batches)?;
        let sorted = lexsort_to_indices(&keys(&draws)?.into_iter().map(sorted_key).collect::<Vec<_>>(), None)?;
        let ordered: Vec<ArrayRef> =
            keys(&draws)?.iter().map(|key| take(key, &sorted, None)).collect::<Result<_, _>>()?;
        let used = take(money(&draws, "used")?, &sorted, None)?;
        let used = used.as_primitive::<Decimal128Type>();
        let (mut firsts, mut sums) = (Vec::new(), Vec::new());
        for cell in partition(&ordered)?.ranges() {
            firsts.push(u32::try_from(cell.start).unwrap_or(u32::MAX));
            let mut sum = Money::ZERO;
            for row in cell {
                sum = sum.checked_add(amount(used.value(row))?).map_err(overflow)?;
            }
            sums.push(sum);
        }
        let firsts = UInt32Array::from(firsts);
        let keys = ordered.iter().map(|key| take(key, &firsts, None)).collect::<Result<_, _>>()?;
        Ok(Self { keys, used: sums })
    }

    /// What was drawn from each of the next cells; `drawn` counts the draws that have met theirs.
    fn of(&self, cells: &RecordBatch, drawn: &mut usize) -> Result<Vec<Money>> {
        let mut used = vec![Money::ZERO; cells.num_rows()];
        let comparators: Vec<DynComparator> = keys(cells)?
            .iter()
            .zip(&self.keys)
            .map(|(cell, draw)| make_comparator(cell, draw, NULLS_FIRST))
            .collect::<Result<_, _>>()?;
        for (row, used) in used.iter_mut().enumerate() {
            let Some(next) = self.used.get(*drawn) else { break };
            let order = comparators.iter().map(|compare| compare(row, *drawn)).find(|order| order.is_ne());
            match order {
                None => {
                    *used = *next;
                    *drawn += 1;
                }
                Some(Ordering::Less) => {}
                Some(_) => return self.all_met(*drawn).map(|()| Vec::new()),
            }
        }
        Ok(used)
    }

    /// Every draw has met its cell.
    fn all_met(&self, drawn: usize) -> Result<()> {
        if drawn < self.used.len() {
            return exec_err!("something is drawn from a cell that is none: draw {drawn} of {}", self.used.len());
        }
        Ok(())
    }
}

fn sorted_key(values: ArrayRef) -> SortColumn {
    SortColumn { values, options: Some(NULLS_FIRST) }
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
