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
