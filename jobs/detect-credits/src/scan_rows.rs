//! The rows that the scan hands on: sums, counts and problems in one table. Rows of equal keys add up, whichever
//! partition they come from.
//!
//! | kind | keys beside the billing period | `detail` | sums |
//! |---|---|---|---|
//! | `problem`, of no period | | file, row, column and message, as JSON | |
//! | `part`, of no period | | numbers of a file and of its part, which was read to its end | how often, as lines |
//! | `total` | currency | | lines, and their unblended cost in `unblended_charges`, straight from the files |
//! | `no_cost` | | | lines without a cost |
//! | `line_type` | | a type that is not known | its lines |
//! | `invoice` | currency | invoice id | its lines |
//! | `delivery` | payer | what delivered lines of it, as JSON | |
//! | `exclusion` | | an exclusion that could not be applied | |
//! | `excluded` | | an exclusion that somebody set and a line met | |
//! | `missing_cost` | | a column of the configured cost that is not there | |
//! | `short_id` | | an account id of fewer than 12 digits | |
//! | `credit` | day, payer, account, service, currency | description | credits, lines |
//! | `cost` | day, payer, account, service, currency, rule | | all measures, lines |
//!
//! A credit line counts in its `cost` row and in its `credit` row. Amounts have the sign of the export.

use std::sync::{Arc, LazyLock};

use arrow::array::{
    Array, ArrayRef, AsArray, Date32Array, Decimal128Array, Int64Array, RecordBatch, StringViewArray, UInt32Array,
};
use arrow::compute::take;
use arrow::datatypes::{DataType, Date32Type, Decimal128Type, Field, Int64Type, Schema, SchemaRef};
use arrow::error::ArrowError;
use credit_ledger::{BillingPeriod, Money};
use datafusion::common::{Result, exec_err};

/// What a row says. In descending order notes come before `credit`, and that before `cost`.
pub(crate) mod kind {
    pub(crate) const PROBLEM: &str = "problem";
    pub(crate) const PART: &str = "part";
    pub(crate) const TOTAL: &str = "total";
    pub(crate) const NO_COST: &str = "no_cost";
    pub(crate) const LINE_TYPE: &str = "line_type";
    pub(crate) const INVOICE: &str = "invoice";
    pub(crate) const DELIVERY: &str = "delivery";
    pub(crate) const EXCLUSION: &str = "exclusion";
    pub(crate) const EXCLUDED: &str = "excluded";
    pub(crate) const MISSING_COST: &str = "missing_cost";
    pub(crate) const SHORT_ID: &str = "short_id";
    pub(crate) const CREDIT: &str = "credit";
    pub(crate) const COST: &str = "cost";
}

/// The columns that rows are grouped and ordered by.
pub(crate) const KEYS: [&str; 9] = [
    "billing_period",
    "kind",
    "usage_date",
    "payer_account_id",
    "account_id",
    "service",
    "currency",
    "rule_id",
    "detail",
];
/// The amounts that are summed; the lines are summed beside them.
pub(crate) const MEASURES: [&str; 6] =
    ["charges", "tax", "refunds", "aws_credits", "eligible_charges", "unblended_charges"];
pub(crate) const LINES: &str = "lines";

/// The schema of the rows. Texts are views: DataFusion groups by those on its fast path, by dictionaries on its slow one.
pub(crate) fn schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let text = |name: &str| Field::new(name, DataType::Utf8View, name != "kind");
        let day = |name: &str| Field::new(name, DataType::Date32, true);
        let keys =
            KEYS.map(|name| if ["billing_period", "usage_date"].contains(&name) { day(name) } else { text(name) });
        let measures = MEASURES.map(|name| Field::new(name, schemas::money_type(), false));
        let lines = Field::new(LINES, DataType::Int64, false);
        Arc::new(Schema::new(keys.into_iter().chain(measures).chain([lines]).collect::<Vec<_>>()))
    });
    Arc::clone(&SCHEMA)
}

/// The columns of `credit` and `cost` rows that are about to be handed on.
pub(crate) struct SumColumns {
    /// True for a `credit` row, false for a `cost` row.
    pub(crate) is_credit: Vec<bool>,
    /// First days of billing periods, and days of usage, since 1970.
    pub(crate) days: [Vec<i32>; 2],
    /// Payer, account, service, currency, rule and description, as places in `texts`.
    pub(crate) names: [UInt32Array; 6],
    pub(crate) texts: StringViewArray,
    /// In order of [`MEASURES`].
    pub(crate) units: [Vec<i128>; MEASURES.len()],
    pub(crate) lines: Vec<i64>,
}

impl SumColumns {
    pub(crate) fn into_batch(self) -> Result<RecordBatch, ArrowError> {
        let kinds = self.is_credit.iter().map(|is_credit| if *is_credit { kind::CREDIT } else { kind::COST });
        let [periods, days] = self.days.map(Date32Array::from);
        let mut columns: Vec<ArrayRef> =
            vec![Arc::new(periods), Arc::new(StringViewArray::from_iter_values(kinds)), Arc::new(days)];
        for places in &self.names {
            columns.push(take(&self.texts, places, None)?);
        }
        for units in self.units {
            columns.push(Arc::new(amounts(units)?));
        }
        columns.push(Arc::new(Int64Array::from(self.lines)));
        RecordBatch::try_new(schema(), columns)
    }
}

fn amounts(units: Vec<i128>) -> Result<Decimal128Array, ArrowError> {
    Decimal128Array::from(units).with_precision_and_scale(Money::PRECISION, Money::SCALE)
}

/// A row that is no sum of lines: a count, or what is to be said of a period.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Note {
    pub(crate) kind: &'static str,
    pub(crate) period: Option<BillingPeriod>,
    pub(crate) payer: Option<String>,
    pub(crate) currency: Option<String>,
    pub(crate) detail: Option<String>,
    /// The unblended cost of a `total`.
    pub(crate) amount: Money,
    pub(crate) lines: u64,
}

/// Notes as rows.
pub(crate) fn notes_batch(notes: &[Note]) -> Result<RecordBatch, ArrowError> {
    let text =
        |of: fn(&Note) -> Option<&str>| -> ArrayRef { Arc::new(notes.iter().map(of).collect::<StringViewArray>()) };
    let none = |of: DataType| arrow::array::new_null_array(&of, notes.len());
    let first_day = |note: &Note| note.period.map(|period| Date32Type::from_naive_date(period.first_day()));
    let mut columns = vec![
        Arc::new(notes.iter().map(first_day).collect::<Date32Array>()),
        text(|note| Some(note.kind)),
        none(DataType::Date32),
        text(|note| note.payer.as_deref()),
        none(DataType::Utf8View),
        none(DataType::Utf8View),
        text(|note| note.currency.as_deref()),
        none(DataType::Utf8View),
        text(|note| note.detail.as_deref()),
    ];
    for measure in MEASURES {
        let amount = |note: &Note| if measure == "unblended_charges" { note.amount.units() } else { 0 };
        columns.push(Arc::new(amounts(notes.iter().map(amount).collect())?));
    }
    let lines = notes.iter().map(|note| i64::try_from(note.lines).unwrap_or(i64::MAX));
    columns.push(Arc::new(Int64Array::from_iter_values(lines)));
    RecordBatch::try_new(schema(), columns)
}

/// Typed columns of rows that come back from the plan.
pub(crate) struct RowColumns<'a> {
    kind: &'a StringViewArray,
    period: &'a Date32Array,
    pub(crate) usage_date: &'a Date32Array,
    pub(crate) payer: &'a StringViewArray,
    pub(crate) account: &'a StringViewArray,
    pub(crate) service: &'a StringViewArray,
    pub(crate) currency: &'a StringViewArray,
    pub(crate) detail: &'a StringViewArray,
    pub(crate) aws_credits: &'a Decimal128Array,
    pub(crate) unblended_charges: &'a Decimal128Array,
    pub(crate) lines: &'a Int64Array,
}

impl<'a> RowColumns<'a> {
    pub(crate) fn new(rows: &'a RecordBatch) -> Result<Self> {
        Ok(Self {
            kind: column(rows, "kind", |column| column.as_string_view_opt())?,
            period: column(rows, "billing_period", |column| column.as_primitive_opt::<Date32Type>())?,
            usage_date: column(rows, "usage_date", |column| column.as_primitive_opt::<Date32Type>())?,
            payer: column(rows, "payer_account_id", |column| column.as_string_view_opt())?,
            account: column(rows, "account_id", |column| column.as_string_view_opt())?,
            service: column(rows, "service", |column| column.as_string_view_opt())?,
            currency: column(rows, "currency", |column| column.as_string_view_opt())?,
            detail: column(rows, "detail", |column| column.as_string_view_opt())?,
            aws_credits: column(rows, "aws_credits", |column| column.as_primitive_opt::<Decimal128Type>())?,
            unblended_charges: column(rows, "unblended_charges", |column| column.as_primitive_opt::<Decimal128Type>())?,
            lines: column(rows, LINES, |column| column.as_primitive_opt::<Int64Type>())?,
        })
    }

    pub(crate) fn kind(&self, row: usize) -> &str {
        self.kind.value(row)
    }

    pub(crate) fn lines(&self, row: usize) -> u64 {
        u64::try_from(self.lines.value(row)).unwrap_or_default()
    }

    /// How many rows from the first on are of a period, and of a kind that is wanted. Rows are in order of both.
    pub(crate) fn leading(&self, period: Option<BillingPeriod>, is_wanted: fn(&str) -> bool) -> usize {
        let rows = self.kind.len();
        let first_day = period.map(|period| Date32Type::from_naive_date(period.first_day()));
        let is_one = |row: usize| {
            let day = self.period.is_valid(row).then(|| self.period.value(row));
            day == first_day && is_wanted(self.kind(row))
        };
        if rows > 0 && is_one(rows - 1) { rows } else { (0..rows).take_while(|row| is_one(*row)).count() }
    }
}

fn column<'a, C>(rows: &'a RecordBatch, name: &str, typed: fn(&'a ArrayRef) -> Option<&'a C>) -> Result<&'a C> {
    match rows.column_by_name(name).and_then(typed) {
        Some(column) => Ok(column),
        None => exec_err!("the rows of the scan have no column {name} of its type"),
    }
}

/// The text of a row.
pub(crate) fn text_of(column: &StringViewArray, row: usize) -> Option<&str> {
    column.is_valid(row).then(|| column.value(row))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_come_before_credits_and_those_before_costs() {
        let notes = [
            kind::PROBLEM,
            kind::PART,
            kind::TOTAL,
            kind::NO_COST,
            kind::LINE_TYPE,
            kind::INVOICE,
            kind::DELIVERY,
            kind::EXCLUSION,
            kind::EXCLUDED,
            kind::MISSING_COST,
            kind::SHORT_ID,
        ];
        assert!(notes.into_iter().all(|note| note > kind::CREDIT && kind::CREDIT > kind::COST));
    }

    #[test]
    fn rows_of_another_shape_are_an_error() {
        let lines: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        let Err(error) = RowColumns::new(&RecordBatch::try_from_iter([("kind", lines)]).unwrap()) else {
            panic!("a kind is a text")
        };
        assert_eq!(error.strip_backtrace(), "Execution error: the rows of the scan have no column kind of its type");
    }
}
