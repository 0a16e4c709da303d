//! What is charged by the month or once: support, tax, purchases, refunds, corrections.

use std::collections::BTreeMap;
use std::rc::Rc;

use chrono::{Days, NaiveDate};
use serde::Deserialize;

use crate::Result;
use crate::commitments::Commitments;
use crate::fixed::Fixed;
use crate::line::Line;
use crate::organisation::{Organisation, PAYER, Period, rows};

/// Tax on what is taxable, in thousandths of a month's charges.
const TAX_PER_MILLE: i128 = 19;

#[derive(Deserialize)]
struct ChargeRow {
    period: String,
    date: NaiveDate,
    account: String,
    #[serde(rename = "type")]
    line_type: String,
    sku: String,
    region: String,
    amount: Fixed,
    commitment: String,
    description: String,
}

/// The charges of a period that the table of single charges lists.
pub(crate) fn single_charges(
    organisation: &Organisation,
    commitments: &Commitments,
    period: Period,
) -> Result<Vec<Line>> {
    let table = rows::<ChargeRow>(include_str!("tables/charges.csv"))?;
    let of_period = table.into_iter().filter(|row| row.period == period.label());
    of_period.map(|row| single_charge(organisation, commitments, period, row)).collect()
}

fn single_charge(
    organisation: &Organisation,
    commitments: &Commitments,
    period: Period,
    row: ChargeRow,
) -> Result<Line> {
    let account = if row.account.is_empty() { None } else { Some(organisation.account(&row.account)?) };
    let sku = organisation.sku(&row.sku)?;
    let mut line = Line {
        region: row.region.into(),
        description: organisation.with_ids(&row.description).into(),
        ..Line::of_day(period, row.date, account, &row.line_type, &sku, row.amount)
    };
    if row.line_type == "Credit" {
        line.categories = Rc::new([]);
    }
    commitments.mark_upfront(&mut line, &row.commitment);
    Ok(line)
}

/// The support fee for a month's lines: a tenth of the first 10,000, 7 per cent of what exceeds it.
pub(crate) fn support_fee(organisation: &Organisation, period: Period, lines: &[Line]) -> Result<Line> {
    let charges: Fixed = lines.iter().filter(|line| is_supported(line)).filter_map(|line| line.cost).sum();
    let first = charges.min(Fixed::whole(10_000));
    let fee = first.scaled(10, 100) + (charges - first).scaled(7, 100);
    let payer = Some(organisation.account(PAYER)?);
    let line = Line::of_day(period, period.first_day(), payer, "Fee", &organisation.sku("support")?, fee);
    let description = "10% of monthly AWS usage for the first $10K, 7% for the next $70K";
    Ok(Line { description: description.into(), end: period.end().and_time(line.start.time()), ..line })
}

fn is_supported(line: &Line) -> bool {
    !line.sku.is_marketplace() && !matches!(&*line.line_type, "Tax" | "Refund" | "Credit")
}

/// One tax line for each account with charges, dated on the last day, on the product that costs most.
pub(crate) fn taxes(organisation: &Organisation, period: Period, lines: &[Line]) -> Vec<Line> {
    let last_day = period.end() - Days::new(1);
    organisation
        .accounts()
        .filter_map(|account| {
            let of_account = |line: &&Line| line.account.as_ref().is_some_and(|of| of.id == account.id);
            let mut products = BTreeMap::new();
            for line in lines.iter().filter(of_account).filter(|line| is_supported(line)) {
                let product = products.entry(&line.sku.service).or_insert((Fixed::ZERO, &line.sku));
                product.0 += line.cost.unwrap_or_default();
            }
            let taxable: Fixed = products.values().map(|(cost, _)| *cost).sum();
            let (_, sku) = products.values().max_by_key(|(cost, _)| *cost)?;
            let tax = taxable.scaled(TAX_PER_MILLE, 1000);
            let line = Line::of_day(period, last_day, Some(Rc::clone(account)), "Tax", sku, tax.rounded(4));
            Some(Line { description: format!("Tax for product code {}", sku.service).into(), ..line })
        })
        .collect()
}
