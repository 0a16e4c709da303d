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

#[cfg(test)]
mod tests {
    use arrow::array::{StringViewArray, UInt32Array};
    use schemas::settings::CreditSettings;

    use super::*;
    use crate::scan_rows::SumColumns;

    /// Credit rows: day since 1970, account, service, description, amount in whole units. A blank is null.
    fn rows(lines: &[(i32, &str, &str, &str, i128)]) -> RecordBatch {
        let mut texts = ["999999999999", "USD"].map(str::to_owned).to_vec();
        let mut place = |text: &str| {
            texts.push(text.to_owned());
            (!text.is_empty()).then(|| u32::try_from(texts.len() - 1).unwrap())
        };
        let mut names: [Vec<Option<u32>>; 6] = Default::default();
        for (_, account, service, description, _) in lines {
            let of_line = [Some(0), place(account), place(service), Some(1), None, place(description)];
            names.iter_mut().zip(of_line).for_each(|(column, place)| column.push(place));
        }
        let units =
            |measure: usize| lines.iter().map(|line| if measure == 3 { line.4 * 10_000_000_000 } else { 0 }).collect();
        let columns = SumColumns {
            is_credit: vec![true; lines.len()],
            days: [vec![20_574; lines.len()], lines.iter().map(|line| line.0).collect()],
            names: names.map(UInt32Array::from),
            units: std::array::from_fn(units),
            lines: vec![1; lines.len()],
            texts: StringViewArray::from_iter_values(texts),
        };
        columns.into_batch().unwrap()
    }

    fn read(batches: &[RecordBatch]) -> Result<Vec<CreditLine>> {
        credit_lines(batches, &DescriptionParser::new(&CreditSettings::default()).unwrap())
    }

    #[test]
    fn credit_lines_are_those_of_the_credit_that_their_description_names_in_order_of_the_grain() {
        let activate = "AWS Activate, credit from account: 222222222222";
        let batches = [
            rows(&[
                (20_576, "111111111111", "AmazonS3", activate, -2),
                (20_575, "111111111111", "AmazonEC2", "Goodwill, credit id: 9", -3),
                (20_575, "333333333333", "", "AWS Activate", -5),
            ]),
            rows(&[(20_575, "111111111111", "AmazonEC2", activate, -7), (20_575, "111111111111", "", "", 11)]),
        ];
        let lines = read(&batches).unwrap();
        let shown: Vec<String> = lines
            .iter()
            .map(|line| {
                let CreditLine { credit_key, usage_date, account_id, credit_account_id, credit_class, amount, .. } =
                    line;
                let service = line.service.as_deref().unwrap_or("-");
                format!("{credit_key} {usage_date} {account_id} {service} {credit_account_id} {credit_class} {amount}")
            })
            .collect();
        assert_eq!(
            shown,
            [
                "code:(no description)@111111111111 2026-05-02 111111111111 - 111111111111 promotion 11.0000000000",
                // One credit, applied on two days; and another of the same name on the account that it is on.
                "code:AWS Activate@222222222222 2026-05-02 111111111111 AmazonEC2 222222222222 promotion -7.0000000000",
                "code:AWS Activate@222222222222 2026-05-03 111111111111 AmazonS3 222222222222 promotion -2.0000000000",
                "code:AWS Activate@333333333333 2026-05-02 333333333333 - 333333333333 promotion -5.0000000000",
                "id:9 2026-05-02 111111111111 AmazonEC2 111111111111 goodwill -3.0000000000",
            ]
        );
    }

    #[test]
    fn a_credit_row_without_an_account_is_an_error_and_not_left_out() {
        let failure = read(&[rows(&[(20_575, "", "AmazonEC2", "Pilot", -1)])]).unwrap_err();
        assert_eq!(
            failure.strip_backtrace(),
            "Execution error: a credit line lacks its day, payer, account or currency"
        );
    }
}
