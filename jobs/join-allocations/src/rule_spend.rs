//! What the rules took of a period's spend.

use std::collections::BTreeMap;

use credit_ledger::{Money, Text};
use datafusion::execution::SendableRecordBatchStream;
use futures::TryStreamExt;
use lake::LakeError;
use schemas::tables::{CostLine, RuleSpend};

use crate::error::JoinError;

/// What spend is summed by.
type Key = (Text, Text, Option<Text>, Text, Option<Text>);

/// Cost lines summed over their days, in order of the table's grain.
pub(crate) async fn rule_spend(mut cost_lines: SendableRecordBatchStream) -> Result<Vec<RuleSpend>, JoinError> {
    let mut sums: BTreeMap<Key, Money> = BTreeMap::new();
    while let Some(batch) = cost_lines.try_next().await.map_err(LakeError::from)? {
        for line in schemas::from_batches::<CostLine>(&[batch]).map_err(LakeError::from)? {
            let key = (line.payer_account_id, line.account_id, line.service, line.currency, line.rule_id);
            let sum = sums.entry(key).or_default();
            *sum = sum.checked_add(line.charges)?.checked_add(line.tax)?;
        }
    }
    let row = |((payer_account_id, account_id, service, currency, rule_id), gross_cost)| RuleSpend {
        payer_account_id,
        account_id,
        service,
        currency,
        rule_id,
        gross_cost,
    };
    Ok(sums.into_iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
    use schemas::TableRow;

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
