//! The spend of a period, and what is still undrawn of it.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use chrono::{Datelike, NaiveDate};

use crate::spread::Spreader;
use crate::{BillingPeriod, Money, MoneyError, Node, Text};

/// What a lot took of one cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draw {
    /// Position of the cell in [`Spend::cells`].
    pub cell: usize,
    /// Amount, above zero.
    pub used: Money,
}

/// The spend of one billing period that lots may draw on: cells, by the key that breaks ties of spreading (usage date,
/// payer account, account, service, node).
#[derive(Debug, Clone)]
pub struct Spend {
    period: BillingPeriod,
    places: Vec<(Text, Node)>,
    cells: Vec<Cell>,
}

/// What is spent on one day at one place, under whatever account and service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    /// Position of its currency and node in [`Spend::places`].
    pub place: usize,
    /// The usage date, moved into the billing period.
    pub day: NaiveDate,
    /// What a credit may offset: `max(0, eligible_charges)`.
    pub eligible: Money,
}

impl Spend {
    /// No spend yet.
    #[must_use]
    pub const fn new(period: BillingPeriod) -> Self {
        Self { period, places: Vec::new(), cells: Vec::new() }
    }

    /// The billing period.
    #[must_use]
    pub const fn period(&self) -> BillingPeriod {
        self.period
    }

    /// Makes a currency and node known, each pair once. Says its position.
    pub fn add_place(&mut self, currency: Text, node: Node) -> usize {
        self.places.push((currency, node));
        self.places.len().saturating_sub(1)
    }

    /// Adds a cell. Those of one currency come by key.
    pub fn add(&mut self, place: usize, usage_date: NaiveDate, eligible: Money) {
        let eligible = eligible.max(Money::ZERO);
        self.cells.push(Cell { place, day: self.period.clamp(usage_date), eligible });
    }

    /// Currencies and nodes.
    #[must_use]
    pub fn places(&self) -> &[(Text, Node)] {
        &self.places
    }

    /// The cells; a [`Draw`] names one by its position.
    #[must_use]
    pub fn cells(&self) -> &[Cell] {
        &self.cells
    }
}

/// No month has more.
pub(crate) const DAYS: usize = 31;

/// What lots of one currency and business unit have not drawn yet.
///
/// The cells that the lots of a node may draw on lie by day, and one that is drawn whole is looked at once more and then
/// never again: the work grows with the draws, not with lots times cells.
#[derive(Debug, Default)]
pub(crate) struct Undrawn<'a> {
    nodes: HashMap<&'a Node, usize>,
    /// By node and day: positions in `cells`, by key.
    open: Vec<[Vec<usize>; DAYS]>,
    /// By key: position in the spend, and what is undrawn.
    cells: Vec<(usize, Money)>,
    /// Of the draw at work, kept for their memory.
    taken: Vec<usize>,
    weights: Vec<u128>,
    spreader: Spreader,
    draws: Vec<Draw>,
}

impl<'a> Undrawn<'a> {
    /// Makes a node of a lot known. Says its position.
    pub(crate) fn node(&mut self, node: &'a Node) -> usize {
        let next = self.open.len();
        let position = *self.nodes.entry(node).or_insert(next);
        if position == next {
            self.open.push(std::array::from_fn(|_| Vec::new()));
        }
        position
    }

    /// The nodes whose lots may draw on a cell of `node`.
    pub(crate) fn reached_by(&self, node: &Node) -> Vec<usize> {
        node.lineage().filter_map(|above| self.nodes.get(&above).copied()).collect()
    }

    /// Adds a cell that lots of `nodes` may draw on; cells come by key.
    pub(crate) fn add(&mut self, nodes: &[usize], cell: usize, spent: &Cell) {
        let position = self.cells.len();
        self.cells.push((cell, spent.eligible));
        for node in nodes {
            let days = self.open.get_mut(*node).and_then(|days| days.get_mut(days_of((spent.day, spent.day))));
            if let Some([day]) = days {
                day.push(position);
            }
        }
    }

    /// Draws up to `remaining` on the cells that are open to lots of `node` on the days of `window`. Says how much, and
    /// what each cell gave, by key.
    pub(crate) fn draw(
        &mut self,
        node: usize,
        window: (NaiveDate, NaiveDate),
        remaining: Money,
    ) -> Result<(Money, &[Draw]), MoneyError> {
        let Self { open, cells, taken, weights, spreader, draws, .. } = self;
        taken.clear();
        weights.clear();
        draws.clear();
        let days = open.get_mut(node).and_then(|days| days.get_mut(days_of(window))).unwrap_or_default();
        for day in &mut *days {
            day.retain(|position| {
                let undrawn = cells.get(*position).map_or(Money::ZERO, |(_, undrawn)| *undrawn);
                if undrawn.is_positive() {
                    taken.push(*position);
                    weights.push(undrawn.units().unsigned_abs());
                }
                undrawn.is_positive()
            });
        }
        let undrawn = weights.iter().try_fold(0_u128, |sum, weight| sum.checked_add(*weight));
        let undrawn = undrawn.ok_or(MoneyError::Overflow).and_then(amount)?;
        let draw = remaining.min(undrawn);
        let parts = if draw < undrawn {
            spreader.spread(draw.units().unsigned_abs(), weights)
        } else {
            days.iter_mut().for_each(Vec::clear);
            weights
        };
        for (position, part) in taken.iter().zip(parts).filter(|(_, part)| **part > 0) {
            if let Some((cell, undrawn)) = cells.get_mut(*position) {
                let used = amount(*part)?;
                *undrawn = undrawn.checked_sub(used)?;
                draws.push(Draw { cell: *cell, used });
            }
        }
        Ok((draw, draws))
    }
}

/// The days of a window within a month by number, from zero.
fn days_of((first, last): (NaiveDate, NaiveDate)) -> RangeInclusive<usize> {
    day_number(first)..=day_number(last)
}

/// The day of the month, from zero.
pub(crate) fn day_number(day: NaiveDate) -> usize {
    usize::try_from(day.day0()).unwrap_or(0)
}

fn amount(units: u128) -> Result<Money, MoneyError> {
    i128::try_from(units).map_err(|_wide| MoneyError::Overflow).and_then(Money::from_units)
}
