//! All tables.

mod generations;
mod intermediate;
mod logs;
mod published_costs;
mod published_credits;

pub use generations::{CostLine, CreditLine};
pub use intermediate::{
    AllocatedCredit, AppliedByAws, Cell, ExportTotal, LotRow, NodeCost, RegisteredCredit, RuleRead, RuleSpend,
};
pub use logs::{AllocationLogRow, CreditLogRow, RunLogRow};
pub use published_costs::{HierarchyRow, NetCost, NetCostSummary, Reconciliation};
pub use published_credits::{AllocationIssue, Credit, CreditBalance, CreditConsumption, CreditImpact, CreditQueue};

use crate::{Table, TableRow};

/// Every table, published ones first.
pub const ALL: [Table; 24] = [
    NetCost::TABLE,
    NetCostSummary::TABLE,
    CreditConsumption::TABLE,
    CreditBalance::TABLE,
    Credit::TABLE,
    CreditQueue::TABLE,
    CreditImpact::TABLE,
    AllocationIssue::TABLE,
    HierarchyRow::TABLE,
    Reconciliation::TABLE,
    CreditLogRow::TABLE,
    AllocationLogRow::TABLE,
    RunLogRow::TABLE,
    CostLine::TABLE,
    CreditLine::TABLE,
    RegisteredCredit::TABLE,
    AppliedByAws::TABLE,
    ExportTotal::TABLE,
    AllocatedCredit::TABLE,
    LotRow::TABLE,
    Cell::TABLE,
    RuleSpend::TABLE,
    RuleRead::TABLE,
    NodeCost::TABLE,
];
