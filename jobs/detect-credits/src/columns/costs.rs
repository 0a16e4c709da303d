//! The columns of the configured cost.
//!
//! AWS leaves columns out of months that have no such feature: without Savings Plans there are none of theirs, without
//! discounts no `net_…` ones. What is missing counts as null: net falls back to the column without net. A line of a kind
//! that needs a column which is not there cannot be read.

use cur_reader::Format;
use schemas::settings::{Commitment, CostColumn};

use super::exclusions::missing_arns;
use super::picker::Picker;

/// What a column of the configured cost stands for; with or without `net_`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    NetUnblended,
    SavingsPlanEffective,
    SavingsPlanTotal,
    SavingsPlanUsed,
    ReservationEffective,
    ReservationUnusedUpfront,
    ReservationUnusedRecurring,
    FocusEffective,
    // No amounts, but what amortized ones depend on: whether a fee or a refund is of a commitment.
    ReservationName,
    SavingsPlanName,
}

impl Role {
    /// Those that are amounts.
    pub(crate) const COUNT: usize = Self::FocusEffective as usize + 1;
}

/// The columns of the configured cost in one file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Costs {
    /// Those of a role in the order in which they count: the first that is not blank.
    pub(crate) columns: Vec<(Role, Vec<usize>)>,
    /// Columns that the file does not have.
    pub(crate) absent: Vec<&'static str>,
    /// Roles without any column, and the column that they would have.
    missing: Vec<(Role, &'static str)>,
}

type RoleColumns = (Role, &'static [&'static str]);

const UNBLENDED: &str = "line_item_unblended_cost";
const NET_UNBLENDED: RoleColumns = (Role::NetUnblended, &["line_item_net_unblended_cost", UNBLENDED]);
const SAVINGS_PLAN_TOTAL: RoleColumns = (Role::SavingsPlanTotal, &["savings_plan_total_commitment_to_date"]);
const SAVINGS_PLAN_USED: RoleColumns = (Role::SavingsPlanUsed, &["savings_plan_used_commitment"]);
const AMORTIZED: [RoleColumns; 6] = [
    (Role::SavingsPlanEffective, &["savings_plan_savings_plan_effective_cost"]),
    SAVINGS_PLAN_TOTAL,
    SAVINGS_PLAN_USED,
    (Role::ReservationEffective, &["reservation_effective_cost"]),
    (Role::ReservationUnusedUpfront, &["reservation_unused_amortized_upfront_fee_for_billing_period"]),
    (Role::ReservationUnusedRecurring, &["reservation_unused_recurring_fee"]),
];
// A commitment has no net amount: total and used are the same columns in both.
const NET_AMORTIZED: [RoleColumns; 7] = [
    NET_UNBLENDED,
    (
        Role::SavingsPlanEffective,
        &["savings_plan_net_savings_plan_effective_cost", "savings_plan_savings_plan_effective_cost"],
    ),
    SAVINGS_PLAN_TOTAL,
    SAVINGS_PLAN_USED,
    (Role::ReservationEffective, &["reservation_net_effective_cost", "reservation_effective_cost"]),
    (
        Role::ReservationUnusedUpfront,
        &[
            "reservation_net_unused_amortized_upfront_fee_for_billing_period",
            "reservation_unused_amortized_upfront_fee_for_billing_period",
        ],
    ),
    (Role::ReservationUnusedRecurring, &["reservation_net_unused_recurring_fee", "reservation_unused_recurring_fee"]),
];

const fn is_amortized(cost: CostColumn) -> bool {
    matches!(cost, CostColumn::Amortized | CostColumn::NetAmortized)
}

impl Costs {
    /// Of a CUR.
    pub(super) fn of_cur(picker: &mut Picker<'_>, format: Format, cost: CostColumn) -> Self {
        let roles: &[RoleColumns] = match cost {
            CostColumn::Unblended => &[],
            CostColumn::NetUnblended => &[NET_UNBLENDED],
            CostColumn::Amortized => &AMORTIZED,
            CostColumn::NetAmortized => &NET_AMORTIZED,
        };
        let mut costs = Self::default();
        for (role, names) in roles {
            costs.absent.extend(names.iter().filter(|name| picker.optional(name).is_none()));
            match picker.first_of(names) {
                columns if columns.is_empty() => costs.missing.extend(names.last().map(|name| (*role, *name))),
                columns => costs.columns.push((*role, columns)),
            }
        }
        if is_amortized(cost) {
            for (commitment, column) in missing_arns(picker, format) {
                let role = match commitment {
                    Commitment::Reservation => Role::ReservationName,
                    Commitment::SavingsPlan => Role::SavingsPlanName,
                };
                costs.absent.push(column);
                costs.missing.push((role, column));
            }
        }
        costs
    }

    /// Of FOCUS, which has one column for it.
    pub(super) fn of_focus(picker: &mut Picker<'_>, cost: CostColumn) -> Self {
        if !is_amortized(cost) {
            return Self::default();
        }
        let columns = vec![(Role::FocusEffective, vec![picker.required("effectivecost", "EffectiveCost")])];
        let name = picker.optional("commitmentdiscountid").is_none().then_some("CommitmentDiscountId");
        let missing = name.map(|column| (Role::ReservationName, column)).into_iter().collect();
        Self { columns, absent: name.into_iter().collect(), missing }
    }

    /// The column that a line which needs these roles misses.
    pub(crate) fn missing_of(&self, needed: &[Role]) -> Option<&'static str> {
        self.missing.iter().find(|(role, _)| needed.contains(role)).map(|(_, name)| *name)
    }
}
