//! Which cells of a period lots may draw on: the others are never made into rows.

use std::collections::{HashMap, HashSet};

use arrow::array::{Array, AsArray, Decimal128Array, StringArray};
use arrow::datatypes::Date32Type;
use arrow::record_batch::RecordBatch;
use credit_ledger::{BillingPeriod, Cell, CellKey, Money, Node, Text};

use crate::{CreditBook, FifoError};

/// Collects the spend of a period from its cells.
#[derive(Debug)]
pub struct SpendReader {
    /// Currencies and nodes of the lots that may draw.
    lots: HashSet<(Text, Node)>,
    cells: Vec<Cell>,
}

/// The columns of a batch of cells.
struct Columns<'a> {
    batch: &'a RecordBatch,
    payer: &'a StringArray,
    account: &'a StringArray,
    service: &'a StringArray,
    currency: &'a StringArray,
    levels: [&'a StringArray; 4],
    eligible: &'a Decimal128Array,
}

impl<'a> Columns<'a> {
    fn new(batch: &'a RecordBatch) -> Result<Self, FifoError> {
        let text = |name: &'static str| {
            let column = batch.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
            column.ok_or(FifoError::Column(name))
        };
        let [first, second, third, fourth] = Node::LEVELS;
        let eligible = batch.column_by_name("eligible_charges").and_then(|column| column.as_primitive_opt());
        Ok(Self {
            batch,
            payer: text("payer_account_id")?,
            account: text("account_id")?,
            service: text("service")?,
            currency: text("currency")?,
            levels: [text(first)?, text(second)?, text(third)?, text(fourth)?],
            eligible: eligible.ok_or(FifoError::Column("eligible_charges"))?,
        })
    }

    fn levels(&self, row: usize) -> [Option<&'a str>; 4] {
        self.levels.map(|level| level.is_valid(row).then(|| level.value(row)))
    }

    fn cell(&self, row: usize, node: Node) -> Result<Cell, FifoError> {
        let day = self.batch.column_by_name("usage_date").and_then(|column| column.as_primitive_opt::<Date32Type>());
        let usage_date = day.and_then(|days| Date32Type::to_naive_date_opt(days.value(row)));
        Ok(Cell {
            currency: self.currency.value(row).into(),
            key: CellKey {
                usage_date: usage_date.ok_or(FifoError::Column("usage_date"))?,
                payer_account_id: self.payer.value(row).into(),
                account_id: self.account.value(row).into(),
                service: self.service.is_valid(row).then(|| self.service.value(row).into()),
                node,
            },
            eligible: Money::from_units(self.eligible.value(row))?,
        })
    }
}

impl SpendReader {
    /// A reader of the cells that the book's lots may draw on in `period`; `None` where no lot may draw.
    #[must_use]
    pub fn new(book: &CreditBook, period: BillingPeriod) -> Option<Self> {
        let lots: HashSet<(Text, Node)> =
            book.ledger.open_lots(period).map(|(currency, node)| (currency.into(), node.clone())).collect();
        (!lots.is_empty()).then(|| Self { lots, cells: Vec::new() })
    }

    /// Takes what matters of a batch of cells.
    ///
    /// # Errors
    /// [`FifoError`] for a batch that does not hold cells.
    pub fn read(&mut self, batch: &RecordBatch) -> Result<(), FifoError> {
        let columns = Columns::new(batch)?;
        let mut reached: HashMap<(&str, [Option<&str>; 4]), Option<Node>> = HashMap::new();
        for row in 0..batch.num_rows() {
            if columns.eligible.value(row) <= 0 {
                continue;
            }
            let place = (columns.currency.value(row), columns.levels(row));
            let node = match reached.get(&place) {
                Some(known) => known.clone(),
                None => {
                    let node = self.reached(batch, row, place)?;
                    reached.insert(place, node.clone());
                    node
                }
            };
            if let Some(node) = node {
                self.cells.push(columns.cell(row, node)?);
            }
        }
        Ok(())
    }

    /// The node, if a lot sits there or above.
    fn reached(
        &self,
        batch: &RecordBatch,
        row: usize,
        (currency, levels): (&str, [Option<&str>; 4]),
    ) -> Result<Option<Node>, FifoError> {
        let named = |source| FifoError::Node { row: format!("cell {row} of {}", batch.num_rows()), source };
        let node = Node::from_levels(levels).map_err(named)?;
        let has_lot = node.lineage().any(|above| self.lots.contains(&(currency.into(), above)));
        Ok(has_lot.then_some(node))
    }

    /// The spend.
    #[must_use]
    pub fn into_cells(self) -> Vec<Cell> {
        self.cells
    }
}
