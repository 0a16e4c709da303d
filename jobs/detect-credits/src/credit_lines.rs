//! `credit_lines` of a billing period: the credits that descriptions name, by day, account and service.

use std::collections::HashMap;

use arrow::array::RecordBatch;
use arrow::datatypes::Date32Type;
use credit_ledger::{Money, Text};
use datafusion::common::{DataFusionError, Result, exec_err};
use schemas::tables::CreditLine;

use crate::description::{CreditNames, DescriptionParser};
use crate::scan_rows::{RowColumns, text_of};

/// `credit_lines` from the `credit` rows of a period, in order of the table's grain.
pub(crate) fn credit_lines(rows: &[RecordBatch], descriptions: &DescriptionParser) -> Result<Vec<CreditLine>> {
    let mut parsed: HashMap<Option<&str>, CreditNames> = HashMap::new();
    let mut lines = Vec::new();
    for batch in rows {
        let columns = RowColumns::new(batch)?;
        for row in 0..batch.num_rows() {
            let description = text_of(columns.detail, row);
            let names = parsed.entry(description).or_insert_with(|| descriptions.parse(description)).clone();
            lines.push(credit_line(&columns, row, names)?);
        }
    }
    lines.sort_by(|left, right| grain(left).cmp(&grain(right)));
    Ok(lines)
}

fn credit_line(columns: &RowColumns<'_>, row: usize, names: CreditNames) -> Result<CreditLine> {
    let text = |column| text_of(column, row).map(Text::new);
    let (day, account_id) = (columns.usage_date.value(row), text(columns.account));
    let (Some(usage_date), Some(payer_account_id), Some(account_id), Some(currency)) =
        (Date32Type::to_naive_date_opt(day), text(columns.payer), account_id, text(columns.currency))
    else {
        return exec_err!("a credit line lacks its day, payer, account or currency");
    };
    let amount = Money::from_units(columns.aws_credits.value(row));
    Ok(CreditLine {
        credit_key: names.key(&account_id),
        usage_date,
        payer_account_id,
        service: text(columns.service),
        currency,
        credit_account_id: names.account(&account_id).clone(),
        account_id,
        description: text(columns.detail),
        promotion_code: names.promotion_code,
        owner_account_id: names.owner_account_id,
        credit_id: names.credit_id,
        credit_class: names.credit_class,
        amount: amount.map_err(|error| DataFusionError::External(error.into()))?,
    })
}

fn grain(line: &CreditLine) -> impl Ord + '_ {
    let place = (&line.payer_account_id, &line.account_id, &line.service);
    (&line.credit_key, line.usage_date, place, &line.currency, &line.description)
}
