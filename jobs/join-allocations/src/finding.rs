//! What is found about reference files beside the export.

use credit_ledger::{BillingPeriod, Money, Text};
use serde::Serialize;

/// How much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Nothing can be run with it.
    Error,
    /// Something is most likely not as it is meant.
    Warning,
    /// Good to know.
    Note,
}

impl Severity {
    /// As tables and JSON spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// What it is about, in the order in which people are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A reference file cannot be read.
    ReferenceFile,
    /// Spend that no rule takes, by account and service.
    Unassigned,
    /// An allocation cannot be used.
    UnusableAllocation,
    /// A rule names an account or a service that never occurs.
    UnknownValue,
    /// A rule takes nothing.
    UnmatchedRule,
    /// An account id of the export that a spreadsheet has damaged.
    DamagedAccount,
    /// Nodes whose names can hardly be told apart.
    SimilarNodes,
    /// A node with neither cost nor lots nor a budget.
    IdleNode,
}

impl Kind {
    /// As tables and JSON spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ReferenceFile => "reference_file",
            Self::Unassigned => "unassigned",
            Self::UnusableAllocation => "unusable_allocation",
            Self::UnknownValue => "unknown_value",
            Self::UnmatchedRule => "unmatched_rule",
            Self::DamagedAccount => "damaged_account",
            Self::SimilarNodes => "similar_nodes",
            Self::IdleNode => "idle_node",
        }
    }

    /// What stands above a list of them.
    #[must_use]
    pub const fn heading(self) -> &'static str {
        match self {
            Self::ReferenceFile => "reference files that cannot be read",
            Self::Unassigned => "Unassigned: no rule takes it",
            Self::UnusableAllocation => "allocations that cannot be used",
            Self::UnknownValue => "rules for accounts and services that the export does not have",
            Self::UnmatchedRule => "rules that match nothing",
            Self::DamagedAccount => "account ids in the export that are not whole",
            Self::SimilarNodes => "nodes whose names can hardly be told apart",
            Self::IdleNode => "nodes with neither cost nor lots nor a budget",
        }
    }
}

/// One thing that somebody should look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// What it is about.
    pub kind: Kind,
    /// The file, rule, account, node or allocation.
    pub subject: String,
    /// What is to be said of it.
    pub message: String,
    /// Of spend: its billing period.
    pub billing_period: Option<BillingPeriod>,
    /// Of spend: gross cost.
    pub amount: Option<Money>,
    /// Of the amount.
    pub currency: Option<Text>,
}

impl Finding {
    /// One without an amount.
    #[must_use]
    pub fn new(severity: Severity, kind: Kind, subject: impl Into<String>, message: impl Into<String>) -> Self {
        let (billing_period, amount, currency) = (None, None, None);
        Self { severity, kind, subject: subject.into(), message: message.into(), billing_period, amount, currency }
    }
}
