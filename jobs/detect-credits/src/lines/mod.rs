//! Lines: every format in one shape, each line in exactly one measure.

mod measure;
mod read;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};

use arrow::array::{BooleanBuilder, Date32Builder, Decimal128Builder, StringBuilder};
use arrow::datatypes::{DataType, Date32Type, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use chrono::NaiveDate;
use credit_ledger::{BillingPeriod, Money};

pub use read::LineReader;
pub(crate) use read::Memo;

/// What a line is summed by and into.
#[derive(Debug, Clone)]
pub(crate) struct Line<'a> {
    pub(crate) period: BillingPeriod,
    pub(crate) usage_date: NaiveDate,
    pub(crate) payer_account_id: &'a str,
    pub(crate) account_id: &'a str,
    pub(crate) service: Option<&'a str>,
    pub(crate) currency: &'a str,
    pub(crate) rule_id: Option<&'a str>,
    /// On credit lines only.
    pub(crate) description: Option<&'a str>,
    pub(crate) measures: Measures,
}

/// The measures of one line; exactly one of `charges`, `tax`, `refunds`, `aws_credits` is its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Measures {
    pub(crate) charges: Money,
    pub(crate) tax: Money,
    pub(crate) refunds: Money,
    pub(crate) aws_credits: Money,
    pub(crate) eligible_charges: Money,
    pub(crate) unblended_charges: Money,
    pub(crate) is_credit: bool,
}

/// The columns lines are grouped by.
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
    let text = |name, nullable| Field::new(name, DataType::Utf8, nullable);
    let keys = [
        text("billing_period", false),
        Field::new("usage_date", DataType::Date32, false),
        text("payer_account_id", false),
        text("account_id", false),
        text("service", true),
        text("currency", false),
        text("rule_id", true),
        Field::new("is_credit", DataType::Boolean, false),
        text("description", true),
    ];
    let measures = MEASURES.map(|name| Field::new(name, schemas::money_type(), false));
    Arc::new(Schema::new(keys.into_iter().chain(measures).collect::<Vec<_>>()))
});

/// The schema of lines.
#[must_use]
pub fn schema() -> SchemaRef {
    Arc::clone(&SCHEMA)
}

/// Collects lines into a batch.
#[derive(Default)]
pub(crate) struct LineBuilder {
    period: StringBuilder,
    usage_date: Date32Builder,
    payer: StringBuilder,
    account: StringBuilder,
    service: StringBuilder,
    currency: StringBuilder,
    rule: StringBuilder,
    is_credit: BooleanBuilder,
    description: StringBuilder,
    measures: [Decimal128Builder; 6],
    periods: HashMap<BillingPeriod, String>,
}

impl LineBuilder {
    pub(crate) fn push(&mut self, line: &Line<'_>) {
        let period = self.periods.entry(line.period).or_insert_with(|| line.period.to_string());
        self.period.append_value(period);
        self.usage_date.append_value(Date32Type::from_naive_date(line.usage_date));
        self.payer.append_value(line.payer_account_id);
        self.account.append_value(line.account_id);
        self.service.append_option(line.service);
        self.currency.append_value(line.currency);
        self.rule.append_option(line.rule_id);
        self.is_credit.append_value(line.measures.is_credit);
        self.description.append_option(line.description);
        let measures = &line.measures;
        let amounts = [
            measures.charges,
            measures.tax,
            measures.refunds,
            measures.aws_credits,
            measures.eligible_charges,
            measures.unblended_charges,
        ];
        for (builder, amount) in self.measures.iter_mut().zip(amounts) {
            builder.append_value(amount.units());
        }
    }

    pub(crate) fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        let mut columns: Vec<arrow::array::ArrayRef> = vec![
            Arc::new(self.period.finish()),
            Arc::new(self.usage_date.finish()),
            Arc::new(self.payer.finish()),
            Arc::new(self.account.finish()),
            Arc::new(self.service.finish()),
            Arc::new(self.currency.finish()),
            Arc::new(self.rule.finish()),
            Arc::new(self.is_credit.finish()),
            Arc::new(self.description.finish()),
        ];
        for builder in &mut self.measures {
            let amounts = builder.finish().with_precision_and_scale(Money::PRECISION, Money::SCALE)?;
            columns.push(Arc::new(amounts));
        }
        RecordBatch::try_new(schema(), columns)
    }
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
}

impl Tally {
    pub(crate) fn add(
        &mut self,
        period: BillingPeriod,
        currency: &str,
        lines: u64,
        amount: Money,
    ) -> Result<(), credit_ledger::MoneyError> {
        if let Some((count, sum)) = self.totals.get_mut(&(period, currency.to_owned())) {
            *sum = sum.checked_add(amount)?;
            *count += lines;
        } else {
            self.totals.insert((period, currency.to_owned()), (lines, amount));
        }
        Ok(())
    }

    /// Adds another tally.
    ///
    /// # Errors
    /// [`credit_ledger::MoneyError`] where a sum leaves the range of money.
    pub fn merge(&mut self, other: Self) -> Result<(), credit_ledger::MoneyError> {
        for ((period, currency), (lines, amount)) in other.totals {
            self.add(period, &currency, lines, amount)?;
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
        Ok(())
    }
}
