//! What the rules took of a period's spend.

use std::collections::HashSet;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{ArrayRef, AsArray, BooleanArray, Decimal128Array, RecordBatch};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, Decimal128Type};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, Rows, SortField};
use credit_ledger::Money;
use datafusion::common::{Result, exec_err};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, TryStreamExt};
use hashbrown::hash_table::Entry;
use hashbrown::{DefaultHashBuilder, HashTable};
use lake::LakeError;
use schemas::TableRow;
use schemas::reference::CostRules;
use schemas::tables::RuleSpend;

/// What spend is summed by.
const KEYS: [&str; 5] = ["payer_account_id", "account_id", "service", "currency", "rule_id"];

/// Cost lines summed over their days.
pub(crate) struct SpendSums {
    converter: RowConverter,
    /// Each once, as bytes in the order of the texts.
    keys: Rows,
    sums: Vec<i128>,
    positions: HashTable<usize>,
    hasher: DefaultHashBuilder,
}

impl SpendSums {
    pub(crate) fn new() -> Result<Self> {
        let converter = RowConverter::new(KEYS.map(|_| SortField::new(DataType::Utf8)).to_vec())?;
        let keys = converter.empty_rows(0, 0);
        let (sums, positions, hasher) = (Vec::new(), HashTable::new(), DefaultHashBuilder::default());
        Ok(Self { converter, keys, sums, positions, hasher })
    }

    /// Sums all lines.
    pub(crate) async fn of(mut cost_lines: SendableRecordBatchStream) -> Result<Self> {
        let mut sums = Self::new()?;
        while let Some(lines) = cost_lines.try_next().await? {
            sums.add(&lines)?;
        }
        Ok(sums)
    }

    fn add(&mut self, lines: &RecordBatch) -> Result<()> {
        let column = |name: &str| cast(named(lines, name)?, &DataType::Utf8);
        let columns = KEYS.map(column).into_iter().collect::<Result<Vec<_>, _>>()?;
        let amounts = |name: &str| Ok::<_, ArrowError>(named(lines, name)?.as_primitive::<Decimal128Type>());
        let (charges, tax) = (amounts("charges")?.values(), amounts("tax")?.values());
        let rows = self.converter.convert_columns(&columns)?;
        let Self { keys, sums, positions, hasher, .. } = self;
        for (row, (charge, tax)) in rows.iter().zip(charges.iter().zip(tax)) {
            let entry = positions.entry(
                hasher.hash_one(row.as_ref()),
                |position| keys.row(*position) == row,
                |position| hasher.hash_one(keys.row(*position).as_ref()),
            );
            let position = match entry {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(new) => {
                    new.insert(sums.len());
                    keys.push(row);
                    sums.push(0);
                    sums.len() - 1
                }
            };
            let Some(sum) = sums.get_mut(position) else { continue };
            let total = sum.checked_add(*charge).and_then(|sum| sum.checked_add(*tax));
            match total.filter(|total| Money::from_units(*total).is_ok()) {
                Some(total) => *sum = total,
                None => return exec_err!("SUM of money overflows {} digits", Money::PRECISION),
            }
        }
        Ok(())
    }

    /// [`RuleSpend`], in order of the table's grain.
    pub(crate) fn rows(&self) -> Result<RecordBatch> {
        let mut order: Vec<usize> = (0..self.sums.len()).collect();
        order.sort_unstable_by(|left, right| self.keys.row(*left).cmp(&self.keys.row(*right)));
        let mut columns = self.converter.convert_rows(order.iter().map(|position| self.keys.row(*position)))?;
        let sums = order.iter().filter_map(|position| self.sums.get(*position).copied());
        let sums = Decimal128Array::from_iter_values(sums);
        columns.push(Arc::new(sums.with_precision_and_scale(Money::PRECISION, Money::SCALE)?));
        Ok(RecordBatch::try_new(RuleSpend::TABLE.schema(), columns)?)
    }
}

/// Sums that lines are added to while they pass by.
pub(crate) type SharedSums = Arc<Mutex<SpendSums>>;

/// Cost lines, each added to `sums` as it passes by.
pub(crate) fn summing(cost_lines: SendableRecordBatchStream, sums: &SharedSums) -> SendableRecordBatchStream {
    let (schema, sums) = (cost_lines.schema(), Arc::clone(sums));
    let lines = cost_lines.map(move |lines| {
        let lines = lines?;
        sums.lock().unwrap_or_else(PoisonError::into_inner).add(&lines)?;
        Ok(lines)
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, lines))
}

/// What the lines that passed by came to.
pub(crate) fn taken(sums: &SharedSums) -> Result<RecordBatch> {
    sums.lock().unwrap_or_else(PoisonError::into_inner).rows()
}

/// The rows of [`RuleSpend`] that none of these rules took.
pub(crate) async fn left_by(
    rules: &CostRules,
    mut spend: SendableRecordBatchStream,
) -> Result<Vec<RuleSpend>, LakeError> {
    let rules: HashSet<&str> = rules.iter().map(|rule| rule.rule_id.as_str()).collect();
    let mut left = Vec::new();
    while let Some(rows) = spend.try_next().await? {
        let rule_ids = cast(named(&rows, "rule_id")?, &DataType::Utf8)?;
        let is_left = rule_ids.as_string::<i32>().iter().map(|rule| rule.is_none_or(|rule| !rules.contains(rule)));
        left.push(filter_record_batch(&rows, &BooleanArray::from_iter(is_left.map(Some)))?);
    }
    Ok(schemas::from_batches(&left)?)
}

/// A column that must be there.
pub(crate) fn named<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef, ArrowError> {
    let missing = || ArrowError::SchemaError(format!("there is no column {name}"));
    batch.column_by_name(name).ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
    use schemas::TableRow;
    use schemas::tables::CostLine;

    use super::*;

    fn line(day: &str, service: Option<&str>, rule_id: Option<&str>, [charges, tax]: [&str; 2]) -> CostLine {
        let money = |text: &str| text.parse().unwrap();
        CostLine {
            usage_date: day.parse().unwrap(),
            payer_account_id: "9".into(),
            account_id: "1".into(),
            service: service.map(Into::into),
            currency: "USD".into(),
            rule_id: rule_id.map(Into::into),
            charges: money(charges),
            tax: money(tax),
            refunds: money("-3"),
            aws_credits: money("-4"),
            eligible_charges: money("0"),
            unblended_charges: money(charges),
        }
    }

    /// Lines that come a batch each.
    fn stream(lines: &[CostLine]) -> SendableRecordBatchStream {
        let batches: Vec<_> =
            lines.iter().map(|line| Ok(schemas::to_batch(std::slice::from_ref(line)).unwrap())).collect();
        Box::pin(RecordBatchStreamAdapter::new(CostLine::TABLE.schema(), futures::stream::iter(batches)))
    }

    fn shown(rows: &RecordBatch) -> Vec<String> {
        let row = |row: &RuleSpend| {
            let (service, rule) = (row.service.as_deref().unwrap_or("-"), row.rule_id.as_deref().unwrap_or("-"));
            format!("{} {service} {} {rule} {}", row.account_id, row.currency, row.gross_cost)
        };
        schemas::from_batches(std::slice::from_ref(rows)).unwrap().iter().map(row).collect()
    }

    /// What lines sum to; those that pass by come to the same, and are handed on as they are.
    async fn summed(lines: &[CostLine]) -> Result<Vec<String>> {
        let read = shown(&SpendSums::of(stream(lines)).await?.rows()?);
        let sums = Arc::new(Mutex::new(SpendSums::new()?));
        let handed_on: Vec<RecordBatch> = summing(stream(lines), &sums).try_collect().await?;
        assert_eq!(schemas::from_batches::<CostLine>(&handed_on).unwrap(), lines);
        assert_eq!(shown(&taken(&sums)?), read);
        Ok(read)
    }

    #[tokio::test]
    async fn charges_and_tax_are_summed_over_days_by_account_service_currency_and_rule() {
        let euro = CostLine { currency: "EUR".into(), ..line("2026-01-02", Some("S3"), Some("all"), ["7", "0"]) };
        let lines = [
            line("2026-01-01", Some("S3"), Some("all"), ["10", "1.9"]),
            line("2026-01-01", Some("S3"), None, ["5", "0"]),
            euro,
            line("2026-01-02", Some("S3"), Some("all"), ["-2.0000000001", "0.1"]),
            line("2026-01-03", None, Some("all"), ["0", "0"]),
        ];
        let expected = [
            "1 - USD all 0.0000000000",
            "1 S3 EUR all 7.0000000000",
            "1 S3 USD - 5.0000000000",
            "1 S3 USD all 9.9999999999",
        ];
        assert_eq!(summed(&lines).await.unwrap(), expected);
    }

    #[tokio::test]
    async fn sum_that_leaves_the_range_of_money_is_an_error() {
        let lines = ["2026-01-01", "2026-01-02"].map(|day| line(day, None, None, ["9e27", "0"]));
        let overflow = summed(&lines).await.unwrap_err().strip_backtrace();
        assert_eq!(overflow, "Execution error: SUM of money overflows 38 digits");
    }
}
