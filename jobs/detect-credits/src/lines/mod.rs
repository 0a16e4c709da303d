//! Lines: every format in one shape, each line in exactly one measure, summed as they are read.

mod candidates;
mod classify;
mod columns;
mod partial_sums;
mod read;
mod runs;
mod state;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use credit_ledger::{BillingPeriod, Money, MoneyError};
use schemas::PeriodNotes;

pub use read::LineReader;
pub(crate) use read::PartReader;
pub(crate) use state::LineState;

/// The measures of lines; of one line exactly one of `charges`, `tax`, `refunds`, `aws_credits` is its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Measures {
    pub(crate) charges: Money,
    pub(crate) tax: Money,
    pub(crate) refunds: Money,
    pub(crate) aws_credits: Money,
    pub(crate) eligible_charges: Money,
    pub(crate) unblended_charges: Money,
}

impl Measures {
    pub(crate) const COUNT: usize = MEASURES.len();

    /// In order of [`MEASURES`].
    pub(crate) const fn in_order(&self) -> [Money; Self::COUNT] {
        [self.charges, self.tax, self.refunds, self.aws_credits, self.eligible_charges, self.unblended_charges]
    }

    /// Adds measure by measure.
    #[inline]
    pub(crate) fn add(&mut self, line: &Self) -> Result<(), MoneyError> {
        for (sum, amount) in [
            (&mut self.charges, line.charges),
            (&mut self.tax, line.tax),
            (&mut self.refunds, line.refunds),
            (&mut self.aws_credits, line.aws_credits),
            (&mut self.eligible_charges, line.eligible_charges),
            (&mut self.unblended_charges, line.unblended_charges),
        ] {
            if !amount.is_zero() {
                *sum = sum.checked_add(amount)?;
            }
        }
        Ok(())
    }
}

/// The columns lines are grouped by. Texts are numbers.
pub const KEYS: [&str; 9] = [
    "billing_period",
    "usage_date",
    "payer_account_id",
    "account_id",
    "service",
    "currency",
    "rule_id",
    "is_credit",
    "description",
];
/// The columns that are summed.
pub const MEASURES: [&str; 6] = ["charges", "tax", "refunds", "aws_credits", "eligible_charges", "unblended_charges"];

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let name = |name, nullable| Field::new(name, DataType::UInt32, nullable);
    let keys = [
        Field::new("billing_period", DataType::Date32, false),
        Field::new("usage_date", DataType::Date32, false),
        name("payer_account_id", false),
        name("account_id", false),
        name("service", true),
        name("currency", false),
        name("rule_id", true),
        Field::new("is_credit", DataType::Boolean, false),
        name("description", true),
    ];
    let measures = MEASURES.map(|name| Field::new(name, schemas::money_type(), false));
    Arc::new(Schema::new(keys.into_iter().chain(measures).collect::<Vec<_>>()))
});

/// The schema of summed lines.
#[must_use]
pub fn schema() -> SchemaRef {
    Arc::clone(&SCHEMA)
}

/// What is counted and summed beside the lines, straight from the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally {
    /// By period and currency: lines, and the sum of the unblended cost.
    pub totals: BTreeMap<(BillingPeriod, String), (u64, Money)>,
    /// By period: lines without a cost.
    pub blank_costs: BTreeMap<BillingPeriod, u64>,
    /// By period: lines of types that are not known.
    pub unknown_line_types: BTreeMap<BillingPeriod, BTreeMap<String, u64>>,
    /// By period and currency: lines by the invoice that they are on, where they say.
    pub invoices: BTreeMap<(BillingPeriod, String), BTreeMap<String, u64>>,
    /// By period.
    pub notes: BTreeMap<BillingPeriod, PeriodNotes>,
    /// By period and payer: what delivered lines of it, by place among the deliveries, where there are several.
    pub deliveries: BTreeMap<(BillingPeriod, String), BTreeSet<usize>>,
}

impl Tally {
    /// Adds another tally.
    ///
    /// # Errors
    /// [`MoneyError`] where a sum leaves the range of money.
    pub fn merge(&mut self, other: Self) -> Result<(), MoneyError> {
        for (key, (lines, amount)) in other.totals {
            let (count, sum) = self.totals.entry(key).or_default();
            *sum = sum.checked_add(amount)?;
            *count += lines;
        }
        for (period, count) in other.blank_costs {
            *self.blank_costs.entry(period).or_default() += count;
        }
        for (period, types) in other.unknown_line_types {
            let known = self.unknown_line_types.entry(period).or_default();
            for (name, count) in types {
                *known.entry(name).or_default() += count;
            }
        }
        for (key, invoices) in other.invoices {
            let known = self.invoices.entry(key).or_default();
            for (invoice, lines) in invoices {
                *known.entry(invoice).or_default() += lines;
            }
        }
        for (period, notes) in other.notes {
            self.notes.entry(period).or_default().merge(notes);
        }
        for (key, deliveries) in other.deliveries {
            self.deliveries.entry(key).or_default().extend(deliveries);
        }
        Ok(())
    }
}
