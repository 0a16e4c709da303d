//! What the rules took of a period's spend.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};
use credit_ledger::{Money, Text};
use datafusion::execution::SendableRecordBatchStream;
use futures::TryStreamExt;
use hashbrown::HashMap;
use lake::LakeError;
use schemas::tables::RuleSpend;

use crate::error::JoinError;

/// What spend is summed by.
const KEYS: [&str; 5] = ["payer_account_id", "account_id", "service", "currency", "rule_id"];

/// Cost lines summed over their days, in order of the table's grain.
pub(crate) async fn rule_spend(mut cost_lines: SendableRecordBatchStream) -> Result<Vec<RuleSpend>, JoinError> {
    let keys = RowConverter::new(KEYS.map(|_| SortField::new(DataType::Utf8)).to_vec()).map_err(LakeError::from)?;
    // By keys as bytes, which are in their order.
    let mut sums: HashMap<Box<[u8]>, Money> = HashMap::new();
    while let Some(batch) = cost_lines.try_next().await.map_err(LakeError::from)? {
        let column = |name: &str| cast(named(&batch, name)?, &DataType::Utf8);
        let columns = KEYS.map(column).into_iter().collect::<Result<Vec<_>, _>>().map_err(LakeError::from)?;
        let rows = keys.convert_columns(&columns).map_err(LakeError::from)?;
        let amounts = |name: &str| Ok::<_, ArrowError>(named(&batch, name)?.as_primitive::<Decimal128Type>());
        let (charges, tax) = (amounts("charges").map_err(LakeError::from)?, amounts("tax").map_err(LakeError::from)?);
        for ((row, charge), tax) in rows.iter().zip(charges.values()).zip(tax.values()) {
            let sum = sums.entry_ref(row.as_ref()).or_default();
            *sum = sum.checked_add(Money::from_units(*charge)?)?.checked_add(Money::from_units(*tax)?)?;
        }
    }
    let mut sums: Vec<(Box<[u8]>, Money)> = sums.into_iter().collect();
    sums.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
    let parser = keys.parser();
    let columns = keys.convert_rows(sums.iter().map(|(key, _)| parser.parse(key))).map_err(LakeError::from)?;
    let text = |column: usize, row: usize| -> Option<Text> {
        let texts = columns.get(column)?.as_string_opt::<i32>()?;
        texts.is_valid(row).then(|| texts.value(row).into())
    };
    let row = |(row, (_, gross_cost)): (usize, &(Box<[u8]>, Money))| RuleSpend {
        payer_account_id: text(0, row).unwrap_or_default(),
        account_id: text(1, row).unwrap_or_default(),
        service: text(2, row),
        currency: text(3, row).unwrap_or_default(),
        rule_id: text(4, row),
        gross_cost: *gross_cost,
    };
    Ok(sums.iter().enumerate().map(row).collect())
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

    /// What lines sum to that come a batch each.
    async fn summed(lines: &[CostLine]) -> Result<Vec<String>, JoinError> {
        let batches: Vec<_> =
            lines.iter().map(|line| Ok(schemas::to_batch(std::slice::from_ref(line)).unwrap())).collect();
        let stream = RecordBatchStreamAdapter::new(CostLine::TABLE.schema(), futures::stream::iter(batches));
        let rows = rule_spend(Box::pin(stream)).await?;
        let row = |row: &RuleSpend| {
            let (service, rule) = (row.service.as_deref().unwrap_or("-"), row.rule_id.as_deref().unwrap_or("-"));
            format!("{} {service} {} {rule} {}", row.account_id, row.currency, row.gross_cost)
        };
        Ok(rows.iter().map(row).collect())
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
        assert!(matches!(summed(&lines).await, Err(JoinError::Money(_))));
    }
}
