//! The spend of a period in one currency and business unit, and what is still undrawn of it.
//!
//! Cells lie by node, within a node by key, of which the day comes first. So what a lot may draw on is a range of days in
//! each node at or below its own, and a range that is drawn whole is never looked at again: the work grows with the
//! draws written, not with lots times cells.

use std::collections::BTreeMap;
use std::ops::Range;

use chrono::NaiveDate;

use crate::{BillingPeriod, Cell, Money, MoneyError, Node};

/// The positions of cells, by cell key.
pub(crate) fn by_key(cells: &[Cell]) -> Vec<usize> {
    let mut positions: Vec<usize> = (0..cells.len()).collect();
    // Fast where they are in order already.
    positions
        .sort_by(|left, right| cells.get(*left).map(|cell| &cell.key).cmp(&cells.get(*right).map(|cell| &cell.key)));
    positions
}

#[derive(Default)]
pub(crate) struct Spend<'a> {
    nodes: BTreeMap<&'a Node, Vec<Undrawn>>,
    cells: usize,
}

/// A cell that is not drawn whole yet.
#[derive(Debug, Clone, Copy)]
struct Undrawn {
    /// Its place by key among all cells of the spend.
    rank: usize,
    cell: usize,
    /// The usage date, moved into the billing period.
    day: NaiveDate,
    undrawn: Money,
}

/// A cell that a lot may draw on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OpenCell<'a> {
    pub(crate) cell: usize,
    pub(crate) undrawn: Money,
    rank: usize,
    node: &'a Node,
    index: usize,
}

fn days(cells: &[Undrawn], (first, last): (NaiveDate, NaiveDate)) -> Range<usize> {
    cells.partition_point(|cell| cell.day < first)..cells.partition_point(|cell| cell.day <= last)
}

impl<'a> Spend<'a> {
    /// Adds a cell; they come by key.
    pub(crate) fn add(&mut self, cell: usize, spent: &'a Cell, period: BillingPeriod) {
        let day = period.clamp(spent.key.usage_date);
        let of_node = self.nodes.entry(&spent.key.node).or_default();
        of_node.push(Undrawn { rank: self.cells, cell, day, undrawn: spent.eligible });
        self.cells = self.cells.saturating_add(1);
    }

    /// The cells at or below `node` on the days of `window` that have something left, by cell key.
    pub(crate) fn open_to(&self, node: &'a Node, window: (NaiveDate, NaiveDate)) -> Vec<OpenCell<'a>> {
        let mut open = Vec::new();
        let below = self.nodes.range::<&Node, _>(&node..).take_while(|(below, _)| below.is_at_or_below(node));
        for (node, cells) in below {
            for index in days(cells, window) {
                if let Some(Undrawn { rank, cell, undrawn, .. }) =
                    cells.get(index).filter(|cell| cell.undrawn.is_positive())
                {
                    open.push(OpenCell { cell: *cell, undrawn: *undrawn, rank: *rank, node, index });
                }
            }
        }
        open.sort_unstable_by_key(|cell| cell.rank);
        open
    }

    /// Takes a part of a cell.
    pub(crate) fn take(&mut self, cell: &OpenCell<'_>, part: Money) -> Result<(), MoneyError> {
        if let Some(cell) = self.nodes.get_mut(cell.node).and_then(|cells| cells.get_mut(cell.index)) {
            cell.undrawn = cell.undrawn.checked_sub(part)?;
        }
        Ok(())
    }

    /// Takes all that is open to a lot.
    pub(crate) fn close(&mut self, node: &'a Node, window: (NaiveDate, NaiveDate)) {
        let below = self.nodes.range_mut::<&Node, _>(&node..).take_while(|(below, _)| below.is_at_or_below(node));
        for (_, cells) in below {
            cells.drain(days(cells, window));
        }
    }
}
