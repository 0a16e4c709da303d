//! The columns that the export was set up to hold, as Data Exports types them.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float64Array, Float64Builder, MapBuilder, MapFieldNames, RecordBatch, StringArray, StringBuilder,
    TimestampMillisecondArray,
};
use chrono::{NaiveDateTime, NaiveTime};

use crate::Result;
use crate::fixed::Fixed;
use crate::line::{Line, Reservation, SavingsPlan};
use crate::organisation::{Account, Period};

/// The period whose bill is not final yet: its lines have no invoice.
const OPEN_PERIOD: &str = "2026-10";

type Column = (&'static str, ArrayRef);

/// The lines as a table, columns by name.
pub(crate) fn batch(lines: &[Line], payer: &Account) -> Result<RecordBatch> {
    let mut columns = bill(lines, payer);
    columns.extend(maps(lines)?);
    columns.extend(line_item_texts(lines, payer));
    columns.extend(line_item_numbers(lines)?);
    columns.extend(pricing_and_product(lines)?);
    columns.extend(reservation(lines)?);
    columns.extend(savings_plan(lines)?);
    columns.extend(split(lines)?);
    columns.sort_by_key(|(name, _)| *name);
    Ok(RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))?)
}

fn bill(lines: &[Line], payer: &Account) -> Vec<Column> {
    let midnight = |day: chrono::NaiveDate| day.and_time(NaiveTime::MIN);
    vec![
        text("bill_bill_type", lines, |line| line.bill_type().to_owned()),
        text("bill_billing_entity", lines, |line| line.billing_entity().to_owned()),
        instant("bill_billing_period_start_date", lines, |line| midnight(line.period.first_day())),
        instant("bill_billing_period_end_date", lines, |line| midnight(line.period.end())),
        text("bill_invoice_id", lines, |line| invoice(line.period)),
        text("bill_invoicing_entity", lines, |_| "Amazon Web Services, Inc.".to_owned()),
        text("bill_payer_account_id", lines, |_| payer.id.clone()),
        text("bill_payer_account_name", lines, |_| payer.name.clone()),
    ]
}

fn invoice(period: Period) -> String {
    let label = period.label();
    if label == OPEN_PERIOD { String::new() } else { format!("2{}17", label.replace('-', "")) }
}

fn maps(lines: &[Line]) -> Result<Vec<Column>> {
    let product = |line: &Line| {
        let region = Some(line.region.to_string()).filter(|region| !region.is_empty());
        let name = ("product_name".to_owned(), line.sku.product_name.clone());
        std::iter::once(name).chain(region.map(|region| ("region".to_owned(), region))).collect::<Vec<_>>()
    };
    Ok(vec![
        text_map("cost_category", lines, |line| line.categories.to_vec())?,
        text_map("product", lines, product)?,
        text_map("resource_tags", lines, |line| line.tags.to_vec())?,
        discount(lines)?,
    ])
}

fn line_item_texts(lines: &[Line], payer: &Account) -> Vec<Column> {
    let interval = |line: &Line| format!("{}Z/{}Z", iso(line.start), iso(line.end));
    let account =
        |line: &Line, part: fn(&Account) -> &String| line.account.as_ref().map_or("", |it| part(it)).to_owned();
    let zone = |line: &Line| if line.zone.is_empty() { String::new() } else { format!("{}{}", line.region, line.zone) };
    let tax = |line: &Line| if &*line.line_type == "Tax" { "USSalesTax".to_owned() } else { String::new() };
    let rate = |line: &Line| if is_metered(line) { line.sku.rate.to_string() } else { String::new() };
    vec![
        text("identity_time_interval", lines, interval),
        text("line_item_availability_zone", lines, zone),
        text("line_item_currency_code", lines, |_| "USD".to_owned()),
        text("line_item_legal_entity", lines, |_| "Amazon Web Services, Inc.".to_owned()),
        text("line_item_line_item_description", lines, |line| line.description.to_string()),
        text("line_item_line_item_type", lines, |line| line.line_type.to_string()),
        text("line_item_operation", lines, |line| line.sku.operation.clone()),
        text("line_item_product_code", lines, |line| line.sku.service.clone()),
        text("line_item_resource_id", lines, |line| line.resource.to_string()),
        text("line_item_tax_type", lines, tax),
        text("line_item_unblended_rate", lines, rate),
        text("line_item_usage_account_id", lines, |line| account(line, |account| &account.id)),
        text("line_item_usage_account_name", lines, |line| match line.account {
            Some(_) => account(line, |account| &account.name),
            None => payer.name.clone(),
        }),
        text("line_item_usage_type", lines, Line::usage_type),
    ]
}

fn line_item_numbers(lines: &[Line]) -> Result<Vec<Column>> {
    let on_demand = |line: &Line| line.quantity.filter(|_| is_metered(line)).map(|used| line.sku.rate.times(used));
    Ok(vec![
        number("line_item_net_unblended_cost", lines, |line| line.net_cost)?,
        number("line_item_unblended_cost", lines, |line| line.cost)?,
        number("line_item_usage_amount", lines, |line| line.quantity)?,
        instant("line_item_usage_start_date", lines, |line| line.start),
        instant("line_item_usage_end_date", lines, |line| line.end),
        number("pricing_public_on_demand_cost", lines, on_demand)?,
        number("discount_total_discount", lines, |line| line.discount)?,
    ])
}

fn pricing_and_product(lines: &[Line]) -> Result<Vec<Column>> {
    let if_metered = |line: &Line, value: &str| if is_metered(line) { value.to_owned() } else { String::new() };
    let term = |line: &Line| if &*line.line_type == "DiscountedUsage" { "Reserved" } else { "OnDemand" };
    Ok(vec![
        text("pricing_currency", lines, |line| if_metered(line, "USD")),
        text("pricing_public_on_demand_rate", lines, |line| if_metered(line, &line.sku.rate.to_string())),
        text("pricing_term", lines, |line| if_metered(line, term(line))),
        text("pricing_unit", lines, |line| line.sku.unit.clone()),
        text("product_instance_type", lines, |line| line.sku.instance.clone()),
        text("product_product_family", lines, |line| line.sku.family.clone()),
        text("product_region_code", lines, |line| line.region.to_string()),
        text("product_servicecode", lines, |line| line.sku.service.clone()),
    ])
}

/// Usage that has a price and an amount.
fn is_metered(line: &Line) -> bool {
    matches!(&*line.line_type, "Usage" | "DiscountedUsage" | "SavingsPlanCoveredUsage") && line.quantity.is_some()
}

/// The net columns repeat the others: no discount applies to commitments here.
fn reservation(lines: &[Line]) -> Result<Vec<Column>> {
    let of = |name, part: fn(&Reservation) -> Option<Fixed>| {
        number(name, lines, move |line| line.reservation.as_ref().and_then(part))
    };
    Ok(vec![
        text("reservation_reservation_a_r_n", lines, |line| {
            line.reservation.as_ref().map_or_else(String::new, |it| it.arn.to_string())
        }),
        of("reservation_effective_cost", |it| it.effective)?,
        of("reservation_net_effective_cost", |it| it.effective)?,
        of("reservation_amortized_upfront_cost_for_usage", |it| it.amortized_upfront)?,
        of("reservation_recurring_fee_for_usage", |it| it.recurring)?,
        of("reservation_unused_amortized_upfront_fee_for_billing_period", |it| it.unused_upfront)?,
        of("reservation_net_unused_amortized_upfront_fee_for_billing_period", |it| it.unused_upfront)?,
        of("reservation_unused_recurring_fee", |it| it.unused_recurring)?,
        of("reservation_net_unused_recurring_fee", |it| it.unused_recurring)?,
    ])
}

/// The net columns repeat the others: no discount applies to commitments here.
fn savings_plan(lines: &[Line]) -> Result<Vec<Column>> {
    let of = |name, part: fn(&SavingsPlan) -> Option<Fixed>| {
        number(name, lines, move |line| line.savings_plan.as_ref().and_then(part))
    };
    Ok(vec![
        text("savings_plan_savings_plan_a_r_n", lines, |line| {
            line.savings_plan.as_ref().map_or_else(String::new, |it| it.arn.to_string())
        }),
        of("savings_plan_savings_plan_effective_cost", |it| it.effective)?,
        of("savings_plan_net_savings_plan_effective_cost", |it| it.effective)?,
        of("savings_plan_total_commitment_to_date", |it| it.commitment)?,
        of("savings_plan_used_commitment", |it| it.used)?,
        of("savings_plan_amortized_upfront_commitment_for_billing_period", |it| it.amortized_upfront)?,
        of("savings_plan_net_amortized_upfront_commitment_for_billing_period", |it| it.amortized_upfront)?,
        of("savings_plan_recurring_commitment_for_billing_period", |it| it.recurring)?,
        of("savings_plan_net_recurring_commitment_for_billing_period", |it| it.recurring)?,
    ])
}

fn split(lines: &[Line]) -> Result<Vec<Column>> {
    Ok(vec![
        text("split_line_item_parent_resource_id", lines, |line| {
            line.split.as_ref().map_or_else(String::new, |split| split.parent.to_string())
        }),
        number("split_line_item_split_cost", lines, |line| line.split.as_ref().map(|split| split.cost))?,
    ])
}

/// Empty text is null.
fn text(name: &'static str, lines: &[Line], value: impl Fn(&Line) -> String) -> Column {
    let values = lines.iter().map(|line| Some(value(line)).filter(|text| !text.is_empty()));
    (name, Arc::new(StringArray::from_iter(values)))
}

fn number(name: &'static str, lines: &[Line], value: impl Fn(&Line) -> Option<Fixed>) -> Result<Column> {
    let doubles = lines.iter().map(|line| value(line).map(Fixed::double).transpose());
    Ok((name, Arc::new(doubles.collect::<Result<Float64Array>>()?)))
}

fn instant(name: &'static str, lines: &[Line], value: impl Fn(&Line) -> NaiveDateTime) -> Column {
    let millis = lines.iter().map(|line| Some(value(line).and_utc().timestamp_millis()));
    (name, Arc::new(TimestampMillisecondArray::from_iter(millis)))
}

fn text_map(name: &'static str, lines: &[Line], pairs: impl Fn(&Line) -> Vec<(String, String)>) -> Result<Column> {
    let mut builder = MapBuilder::new(Some(map_fields()), StringBuilder::new(), StringBuilder::new());
    for line in lines {
        for (key, value) in pairs(line) {
            builder.keys().append_value(key);
            builder.values().append_value(value);
        }
        builder.append(true)?;
    }
    Ok((name, Arc::new(builder.finish())))
}

fn discount(lines: &[Line]) -> Result<Column> {
    let mut builder = MapBuilder::new(Some(map_fields()), StringBuilder::new(), Float64Builder::new());
    for line in lines {
        if let Some(discount) = line.discount {
            builder.keys().append_value("private_rate_discount");
            builder.values().append_value(discount.double()?);
        }
        builder.append(true)?;
    }
    Ok(("discount", Arc::new(builder.finish())))
}

/// The names that the Parquet format gives the parts of a map.
fn map_fields() -> MapFieldNames {
    MapFieldNames { entry: "key_value".to_owned(), key: "key".to_owned(), value: "value".to_owned() }
}

fn iso(instant: NaiveDateTime) -> String {
    instant.format("%Y-%m-%dT%H:%M:%S").to_string()
}
