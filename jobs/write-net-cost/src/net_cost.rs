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
use futures::stream::Fuse;
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
        let mut drawn = Drawn { batches: drawn.fuse(), batch: None, row: 0 };
        while let Some(batch) = cells.next().await.transpose()? {
            let used = drawn.of(&batch).await?;
            yield both_books(&batch, &used)?;
        }
        if drawn.batch().await?.is_some() {
            drawn.met_no_cell()?;
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
    batches: Fuse<SendableRecordBatchStream>,
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
    async fn of(&mut self, cells: &RecordBatch) -> Result<Vec<Money>> {
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
                    Some(_) => return self.met_no_cell(),
                });
            }
        }
        used.resize(cells.num_rows(), Money::ZERO);
        Ok(used)
    }

    /// Something is drawn that no cell has.
    fn met_no_cell<T>(&self) -> Result<T> {
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

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use futures::{TryStreamExt, executor, stream};
    use schemas::tables::Cell;

    use super::*;

    fn cell(day: u32, account: &str) -> Cell {
        Cell {
            usage_date: chrono::NaiveDate::from_ymd_opt(2026, 1, day).unwrap(),
            payer_account_id: "9".into(),
            account_id: account.into(),
            service: None,
            currency: "USD".into(),
            business_unit: Some("Retail".into()),
            department: None,
            portfolio: None,
            product: None,
            charges: "10".parse().unwrap(),
            tax: Money::ZERO,
            refunds: Money::ZERO,
            aws_credits: Money::ZERO,
            eligible_charges: "10".parse().unwrap(),
            unblended_charges: "10".parse().unwrap(),
        }
    }

    fn streamed(batches: Vec<RecordBatch>) -> SendableRecordBatchStream {
        let schema = batches[0].schema();
        Box::pin(RecordBatchStreamAdapter::new(schema, stream::iter(batches.into_iter().map(Ok))))
    }

    /// Batches of cells, and of draws as `(day, account, amount)`: what was applied to each cell.
    fn applied(cells: &[&[Cell]], draws: &[&[(u32, &str, &str)]]) -> Result<String> {
        let cells = cells.iter().map(|cells| schemas::to_batch(cells).unwrap()).collect();
        let draws = draws.iter().map(|draws| {
            let on: Vec<Cell> = draws.iter().map(|(day, account, _)| cell(*day, account)).collect();
            let used = draws.iter().map(|(_, _, used)| used.parse::<Money>().unwrap().units());
            let used = Decimal128Array::from_iter_values(used).with_precision_and_scale(38, 10).unwrap();
            let keys = keys(&schemas::to_batch(&on).unwrap()).unwrap();
            let columns = cell_keys().zip(keys).chain([("used", Arc::new(used) as ArrayRef)]);
            RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap()
        });
        let rows = net_cost(streamed(cells), streamed(draws.collect()));
        let rows: Vec<RecordBatch> = executor::block_on(rows.try_collect())?;
        let mut text = String::new();
        for row in schemas::from_batches::<NetCost>(&rows).unwrap() {
            let _ = write!(text, "{}:{} ", row.account_id, row.credits_applied.units() / 10_i128.pow(10));
        }
        Ok(text.trim_end().to_owned())
    }

    #[test]
    fn what_was_drawn_meets_its_cells_however_both_are_cut_into_batches() {
        let (first, rest) = ([cell(1, "a"), cell(1, "b"), cell(2, "a")], [cell(2, "b"), cell(3, "a")]);
        let expected = "a:0 b:-1 a:0 b:-2 a:-3";
        let (one, two, three) = ((1, "b", "1"), (2, "b", "2"), (3, "a", "3"));
        assert_eq!(applied(&[&first, &rest], &[&[one, two, three]]).unwrap(), expected);
        assert_eq!(applied(&[&first, &rest], &[&[one], &[], &[two], &[three]]).unwrap(), expected);
        assert_eq!(applied(&[&first, &[], &rest], &[&[], &[one, two], &[three]]).unwrap(), expected);
        assert_eq!(applied(&[&first], &[&[]]).unwrap(), "a:0 b:0 a:0");
    }

    #[test]
    fn what_was_drawn_from_no_cell_is_an_error_wherever_it_would_lie() {
        let cells = [cell(1, "b"), cell(2, "a")];
        for draw in [(1, "a", "1"), (1, "c", "1"), (3, "a", "1")] {
            let error = applied(&[&cells], &[&[draw]]).unwrap_err().to_string();
            assert!(error.contains("drawn from a cell that is none"), "{draw:?}: {error}");
        }
    }
}
