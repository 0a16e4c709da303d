//! Why allocations cannot be joined.

use std::collections::{BTreeMap, BTreeSet};

use credit_ledger::{BillingPeriod, Money, MoneyError, Node, Text};
use lake::LakeError;
use schemas::reference::Problems;
use schemas::tables::LotRow;

/// What hangs on a node that is gone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RemovedNode {
    /// Its lots.
    pub lots: Vec<LotRow>,
    /// Cost of its own by currency, and the months that have some.
    pub costs: BTreeMap<Text, (Money, BTreeSet<BillingPeriod>)>,
    /// Months with a budget of it.
    pub budgets: BTreeSet<BillingPeriod>,
}

/// The variants differ in what a caller can do about them.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// Nodes of the published run are gone from `hierarchy.csv`, and something hangs on them.
    #[error("{} nodes of the published run are gone from hierarchy.csv", removed.len())]
    RemovedNodes {
        /// What hangs on each.
        removed: BTreeMap<Node, RemovedNode>,
        /// What they may be called now: old node, new node.
        likely: Vec<(Node, Node)>,
    },
    /// Rows of `allocations.csv` cannot be recorded.
    #[error(transparent)]
    BadRows(#[from] Problems),
    /// The lake refused.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// A sum left the range of money.
    #[error(transparent)]
    Money(#[from] MoneyError),
}
