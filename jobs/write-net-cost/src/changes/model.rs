//! What changed, as data.

use chrono::{NaiveDate, NaiveDateTime};
use credit_ledger::{BillingPeriod, Money, MoneyError, Node, Text};
use serde::Serialize;

/// All that changed from one run to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// The run before.
    pub from: RunInBrief,
    /// The run after.
    pub to: RunInBrief,
    /// Months that were over for the run before: earlier than that of its as-of date. Oldest first.
    pub past_months: Vec<MonthChange>,
    /// The month of its as-of date and later ones, oldest first.
    pub current_months: Vec<MonthChange>,
    /// Those about which people decided or that ended before those that were only used; then by key.
    pub credits: Vec<CreditChange>,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunInBrief {
    /// Its id.
    pub run_id: String,
    /// Its as-of date.
    pub as_of: NaiveDate,
    /// When it started, UTC.
    pub started_at: NaiveDateTime,
    /// Its FIFO policy.
    pub policy: String,
}

/// An amount in both runs; zero in the one that does not have its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct AmountChange {
    /// In the run before.
    pub from: Money,
    /// In the run after.
    pub to: Money,
    /// `to - from`
    pub change: Money,
}

/// A count in both runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct CountChange {
    /// In the run before.
    pub from: i64,
    /// In the run after.
    pub to: i64,
}

/// One month in one currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MonthChange {
    /// The month.
    pub billing_period: BillingPeriod,
    /// ISO 4217 code.
    pub currency: Text,
    /// Business units of which a figure changed, by name.
    pub business_units: Vec<UnitChange>,
    /// Nodes of all levels below the whole of which a figure changed.
    pub nodes_changed: usize,
    /// Budgets that changed, by node.
    pub budgets: Vec<BudgetChange>,
    /// Why, as far as the tables say it; never empty.
    pub why: Vec<Reason>,
}

/// The figures of one business unit, as in `net_cost_summary`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnitChange {
    /// The business unit.
    pub business_unit: Text,
    /// Charges and tax.
    pub gross_cost: AmountChange,
    /// Negative.
    pub refunds: AmountChange,
    /// Credits AWS applied, negative.
    pub aws_credits: AmountChange,
    /// Credits of the internal book, negative.
    pub credits_applied: AmountChange,
    /// `gross_cost + refunds + credits_applied`
    pub net_cost: AmountChange,
    /// What AWS invoiced less net cost.
    pub clearing: AmountChange,
}

/// A budget; none in the run that does not have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BudgetChange {
    /// Its node; none: of the whole.
    pub node: Option<Node>,
    /// In the run before.
    pub from: Option<Money>,
    /// In the run after.
    pub to: Option<Money>,
}

/// Why figures of a month changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Reason {
    /// The run before did not reach it yet.
    NewMonth,
    /// The run after does not reach it.
    GoneMonth,
    /// Lines of the export came, went or changed.
    Export {
        /// Unblended cost of all lines.
        export_total: AmountChange,
        /// Lines.
        lines: CountChange,
    },
    /// The same lines make other sums: the cost column, or what counts as a refund or a credit, is set otherwise.
    Measures {
        /// Gross cost and refunds of the whole.
        cost: AmountChange,
    },
    /// Cost lies on other nodes: rules or the hierarchy changed, or accounts and tags of the same lines.
    Shifted {
        /// How much, at the level where it is most.
        amount: Money,
    },
    /// The same cost of the same nodes is spent on other days, accounts or services, or another part of it is eligible.
    Spend,
    /// Somebody recorded, replaced or revoked allocations, or one cannot be used any more.
    Allocations {
        /// Of these credits.
        credits: Vec<Recorded>,
    },
    /// Credits count as issued on another day.
    IssueDates {
        /// These.
        credits: Vec<Text>,
    },
    /// More or less is left of credits from earlier months.
    EarlierMonths {
        /// Of these.
        credits: Vec<Text>,
    },
    /// Another FIFO policy is set.
    Policy {
        /// In the run before.
        from: String,
        /// In the run after.
        to: String,
    },
    /// Budgets changed.
    Budgets,
    /// None of that: another version of the program made it.
    Version,
}

/// An allocation as it counts in the run after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Recorded {
    /// The credit.
    pub credit_key: Text,
    /// Its status in the run after; none where it is gone.
    pub status: Option<Text>,
    /// Who recorded it; none where it was revoked or cannot be used.
    pub recorded_by: Option<Text>,
    /// When, UTC.
    pub recorded_at: Option<NaiveDateTime>,
}

/// One credit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CreditChange {
    /// The credit.
    pub credit_key: Text,
    /// Its name.
    pub promotion_code: Text,
    /// Its account.
    pub account_id: Text,
    /// ISO 4217 code.
    pub currency: Text,
    /// What happened, the gravest first; never empty.
    pub events: Vec<CreditEvent>,
    /// How it stood in the run before; none: it was not registered.
    pub from: Option<CreditFigures>,
    /// How it stands in the run after; none: it is gone.
    pub to: Option<CreditFigures>,
    /// Lots that came, went or changed.
    pub lots: Vec<LotChange>,
    /// Months in which another amount was used or lost, oldest first.
    pub months: Vec<CreditMonth>,
}

/// What happened to a credit; the gravest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CreditEvent {
    /// It is in the register no more.
    Gone,
    /// What is recorded of it cannot be used any more.
    Invalid,
    /// More of it was lost.
    Expired,
    /// Nothing is left of it.
    Exhausted,
    /// It is in the register for the first time.
    New,
    /// It waited, and now it is somebody's.
    Allocated,
    /// It was somebody's, and now it waits.
    Revoked,
    /// Its lots changed.
    Lots,
    /// It is dated otherwise.
    IssueDate,
    /// It ends soon.
    ExpiringSoon,
    /// Its status changed in another way.
    Status,
    /// Another amount of it was used.
    Used,
    /// AWS applied another amount of it.
    AwsApplied,
    /// Reference, who recorded it or when is another.
    Recorded,
}

/// How a credit stands in a run, as in `credits`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CreditFigures {
    /// `unallocated`, `invalid`, `active`, `expiring_soon`, `exhausted` or `expired`.
    pub status: Text,
    /// When AWS issued it.
    pub issue_date: NaiveDate,
    /// Sum of its lots; none where it waits.
    pub allocated_amount: Option<Money>,
    /// Drawn to date.
    pub used: Option<Money>,
    /// Lost to date.
    pub expired: Option<Money>,
    /// Left.
    pub remaining: Option<Money>,
    /// The end that counts next.
    pub end_date: Option<NaiveDate>,
    /// As recorded.
    pub reference: Option<Text>,
    /// Who recorded the allocation.
    pub recorded_by: Option<Text>,
    /// When, UTC.
    pub recorded_at: Option<NaiveDateTime>,
    /// Taken off the invoice to date.
    pub aws_applied: Money,
}

/// One lot; none in the run that does not have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LotChange {
    /// Its number.
    pub lot: i32,
    /// In the run before.
    pub from: Option<LotTerms>,
    /// In the run after.
    pub to: Option<LotTerms>,
}

/// What is recorded of a lot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LotTerms {
    /// Whose it is.
    pub node: Node,
    /// Its amount; of a lot that was moved to its node, what was left then.
    pub amount: Money,
    /// Whether it is what was left of another lot.
    pub is_moved: bool,
    /// Its last day; none: open-ended.
    pub end_date: Option<NaiveDate>,
}

/// One month of a credit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CreditMonth {
    /// The month.
    pub billing_period: BillingPeriod,
    /// Drawn in it.
    pub used: AmountChange,
    /// Lost in it.
    pub expired: AmountChange,
}

impl AmountChange {
    /// From one amount to another.
    ///
    /// # Errors
    /// [`MoneyError`] where the difference leaves the range of money.
    pub fn of(from: Money, to: Money) -> Result<Self, MoneyError> {
        Ok(Self { from, to, change: to.checked_sub(from)? })
    }

    /// True where both are equal.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.change.is_zero()
    }
}

impl Changes {
    /// True where nothing that people see changed.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.past_months.is_empty() && self.current_months.is_empty() && self.credits.is_empty()
    }
}
