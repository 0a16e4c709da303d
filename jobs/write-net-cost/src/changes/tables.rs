//! What two runs say of a month and of credits, side by side.

use std::collections::BTreeMap;

use credit_ledger::{Money, MoneyError};
use schemas::tables::{Credit, CreditBalance, NetCostSummary, Reconciliation};

use super::model::AmountChange;

/// What one run has of a month.
#[derive(Debug, Default)]
pub struct MonthTables {
    /// False where the run ends before it.
    pub is_there: bool,
    /// `net_cost_summary`
    pub summary: Vec<NetCostSummary>,
    /// `reconciliation`
    pub reconciliation: Vec<Reconciliation>,
    /// `credit_balances`
    pub balances: Vec<CreditBalance>,
}

/// A node, or the whole, in both runs.
#[derive(Debug, Default)]
pub(super) struct NodeRows<'a> {
    pub(super) from: Option<&'a NetCostSummary>,
    pub(super) to: Option<&'a NetCostSummary>,
}

/// A figure of the summary.
pub(super) type Figure = fn(&NetCostSummary) -> Money;

/// The figures that are compared.
const FIGURES: [Figure; 6] = [
    |row| row.gross_cost,
    |row| row.refunds,
    |row| row.aws_credits,
    |row| row.credits_applied,
    |row| row.net_cost,
    |row| row.clearing,
];

impl NodeRows<'_> {
    pub(super) fn change(&self, figure: Figure) -> Result<AmountChange, MoneyError> {
        let of = |row: Option<&NetCostSummary>| row.map(figure).unwrap_or_default();
        AmountChange::of(of(self.from), of(self.to))
    }

    pub(super) fn level(&self) -> i32 {
        self.to.or(self.from).map_or(0, |row| row.level)
    }

    pub(super) fn is_changed(&self) -> bool {
        let of = |row: Option<&NetCostSummary>, figure: Figure| row.map(figure).unwrap_or_default();
        FIGURES.iter().any(|figure| of(self.from, *figure) != of(self.to, *figure))
    }
}

/// The credits of both runs by key.
#[derive(Debug, Default)]
pub struct Credits<'a> {
    /// In the run before.
    pub from: BTreeMap<&'a str, &'a Credit>,
    /// In the run after.
    pub to: BTreeMap<&'a str, &'a Credit>,
}

impl<'a> Credits<'a> {
    /// The rows of two tables `credits`.
    #[must_use]
    pub fn of(from: &'a [Credit], to: &'a [Credit]) -> Self {
        let by_key = |rows: &'a [Credit]| rows.iter().map(|row| (row.credit_key.as_str(), row)).collect();
        Self { from: by_key(from), to: by_key(to) }
    }
}
