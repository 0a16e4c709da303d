//! Lines of a month's export, from CSV to sums: what each counts as, and what is said of those that cannot count.

mod costs;
mod credits;
mod exclusions;
mod focus;
mod measures;
mod rules;
mod values;

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{Date32Type, Decimal128Type, Int64Type};
use credit_ledger::BillingPeriod;
use cur_reader::listing::ExportFile;
use datafusion::execution::memory_pool::{MemoryPool, UnboundedMemoryPool};
use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use super::*;
use crate::cost_scan::tests::settings;
use crate::deliveries::Delivery;
use crate::interner::StringInterner;
use crate::line_counts::count;
use crate::scan_rows::{LINES, Note, kind, text_of};

/// Columns of an export by what tests call them, and what a plain line has there.
type Plain = &'static [(&'static str, &'static str, &'static str)];
type Line<'a> = &'a [(&'a str, &'a str)];

const CUR: Plain = &[
    ("period", "bill_billing_period_start_date", "2026-05-01T00:00:00.000Z"),
    ("payer", "bill_payer_account_id", "999999999999"),
    ("account", "line_item_usage_account_id", "111111111111"),
    ("start", "line_item_usage_start_date", "2026-05-02T13:00:00.000Z"),
    ("type", "line_item_line_item_type", "Usage"),
    ("description", "line_item_line_item_description", "$0.105 per On Demand Linux m7i.large Instance Hour"),
    ("cost", "line_item_unblended_cost", "10"),
    ("currency", "line_item_currency_code", "USD"),
    ("service", "line_item_product_code", "AmazonEC2"),
    ("entity", "bill_billing_entity", "AWS"),
    ("reservation", "reservation_reservation_a_r_n", ""),
    ("plan", "savings_plan_savings_plan_a_r_n", ""),
];
const FOCUS: Plain = &[
    ("period", "BillingPeriodStart", "2026-05-01 00:00:00"),
    ("payer", "BillingAccountId", "999999999999"),
    ("account", "SubAccountId", "111111111111"),
    ("start", "ChargePeriodStart", "2026-05-02 13:00:00"),
    ("type", "ChargeCategory", "Usage"),
    ("description", "ChargeDescription", "$0.105 per On Demand Linux m7i.large Instance Hour"),
    ("cost", "BilledCost", "10"),
    ("currency", "BillingCurrency", "USD"),
    ("service", "x_ServiceCode", "AmazonEC2"),
    ("name", "ServiceName", "Amazon Elastic Compute Cloud"),
    ("entity", "ProviderName", "AWS"),
    ("publisher", "PublisherName", "Amazon Web Services, Inc."),
    ("issuer", "InvoiceIssuerName", "Amazon Web Services, Inc."),
    ("class", "ChargeClass", ""),
    ("frequency", "ChargeFrequency", "Usage-Based"),
    ("commitment", "CommitmentDiscountId", ""),
];

/// A file of lines that differ from a plain one in some columns. Other columns are called by their own names.
fn export(plain: Plain, lines: &[Line<'_>]) -> String {
    export_without(&[], plain, lines)
}

/// As [`export`], without some of the plain columns.
fn export_without(absent: &[&str], plain: Plain, lines: &[Line<'_>]) -> String {
    let plain: Vec<_> = plain.iter().filter(|(name, ..)| !absent.contains(name)).collect();
    let names = lines.iter().flat_map(|line| line.iter()).map(|(name, _)| *name);
    let others: BTreeSet<&str> = names.filter(|name| !plain.iter().any(|(plain, ..)| plain == name)).collect();
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(plain.iter().map(|(_, column, _)| *column).chain(others.iter().copied())).unwrap();
    for line in lines {
        let value = |name: &str, plain| line.iter().find(|(of, _)| *of == name).map_or(plain, |(_, value)| *value);
        let fields = plain.iter().map(|(name, _, usual)| value(name, usual));
        csv.write_record(fields.chain(others.iter().map(|name| value(name, "")))).unwrap();
    }
    String::from_utf8(csv.into_inner().unwrap()).unwrap()
}

/// What some lines come to.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    /// `day account service rule: measures (lines)`; payer and currency only where they are not the usual ones.
    costs: Vec<String>,
    /// The same of credits, with their descriptions.
    credits: Vec<String>,
    /// `kind detail amount (lines)`.
    notes: Vec<String>,
}

/// Reads May 2026 of a file. Whatever it holds, the AWS book adds up to its own total.
async fn read(settings: LineSettings, text: &str) -> Result<Found, String> {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    store.put(&Path::from("may.csv"), text.to_owned().into()).await.unwrap();
    let file = ExportFile::new("may.csv".to_owned(), text.len() as u64, String::new());
    let reader = LineReader::new(settings).unwrap();
    let counted = count(&store, &file, &reader).await.map_err(|error| error.to_string())?;
    let pool: Arc<dyn MemoryPool> = Arc::new(UnboundedMemoryPool::default());
    let names = StringInterner::new(&pool);
    let periods: [BillingPeriod; 1] = ["2026-05".parse().unwrap()];
    let mut state = LineState::new(&reader.rules, &names);
    let delivery = Delivery::of_each(std::iter::once(counted.file())).remove(0);
    let mut lines = PartReader::new(&reader, &names, ("may.csv", &counted.layout), (&periods, (0, &delivery)));
    let mut batches = counted.open.read(&store, 0, &counted.layout.projection);
    while let Some(batch) = batches.try_next().await.map_err(|error| error.to_string())? {
        lines.read(&batch, &mut state).map_err(|error| error.to_string())?;
    }
    let mut found = Found { costs: Vec::new(), credits: Vec::new(), notes: Vec::new() };
    let mut book = Money::ZERO;
    for rows in state.sums.batches(&names) {
        let rows = rows.unwrap();
        for row in 0..rows.num_rows() {
            if text_at(&rows, "kind", row) == Some(kind::CREDIT) {
                found.credits.push(shown(&rows, row));
            } else {
                let parts = ["tax", "refunds", "aws_credits", "unblended_charges"].map(|name| amount(&rows, name, row));
                book = Money::total([book].into_iter().chain(parts)).unwrap();
                found.costs.push(shown(&rows, row));
            }
        }
    }
    let notes = state.take_notes().unwrap();
    let totals = notes.iter().filter(|note| note.kind == kind::TOTAL).map(|note| note.amount);
    assert_eq!(Money::total(totals), Ok(book));
    // Who delivered what has tests of its own.
    found.notes = notes.iter().filter(|note| note.kind != kind::DELIVERY).map(noted).collect();
    found.costs.sort();
    found.credits.sort();
    Ok(found)
}

/// What lines of a plain export come to, with the usual settings.
async fn found(plain: Plain, lines: &[Line<'_>]) -> Found {
    read(settings(), &export(plain, lines)).await.unwrap()
}

fn column<'a>(rows: &'a RecordBatch, name: &str) -> &'a ArrayRef {
    rows.column_by_name(name).unwrap()
}

fn text_at<'a>(rows: &'a RecordBatch, name: &str, row: usize) -> Option<&'a str> {
    text_of(column(rows, name).as_string_view(), row)
}

fn amount(rows: &RecordBatch, name: &str, row: usize) -> Money {
    Money::from_units(column(rows, name).as_primitive::<Decimal128Type>().value(row)).unwrap()
}

/// An amount as people write it.
fn short(amount: Money) -> String {
    amount.to_string().trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn shown(rows: &RecordBatch, row: usize) -> String {
    let date = Date32Type::to_naive_date_opt(column(rows, "usage_date").as_primitive::<Date32Type>().value(row));
    let of = |name| text_at(rows, name, row);
    let keys = [
        Some(date.unwrap().to_string()),
        of("payer_account_id").filter(|payer| *payer != "999999999999").map(str::to_owned),
        of("account_id").map(str::to_owned),
        Some(of("service").unwrap_or("-").to_owned()),
        of("currency").filter(|currency| *currency != "USD").map(str::to_owned),
        of("rule_id").map(str::to_owned),
        of("detail").map(|detail| format!("{detail:?}")),
    ];
    let charges = amount(rows, "charges", row);
    let measures = MEASURES.into_iter().filter_map(|name| {
        let amount = amount(rows, name, row);
        let is_told = if name == "unblended_charges" { amount != charges } else { !amount.is_zero() };
        let name = name.trim_end_matches("_charges").trim_start_matches("aws_");
        is_told.then(|| format!(" {name}={}", short(amount)))
    });
    let lines = column(rows, LINES).as_primitive::<Int64Type>().value(row);
    let keys: Vec<String> = keys.into_iter().flatten().collect();
    format!("{}:{} ({lines})", keys.join(" "), measures.collect::<String>())
}

fn noted(note: &Note) -> String {
    let Note { kind, payer, currency, detail, amount, lines, .. } = note;
    let amount = (!amount.is_zero()).then(|| short(*amount));
    let lines = (*lines > 0).then(|| format!("({lines})"));
    let parts = [Some((*kind).to_owned()), payer.clone(), currency.clone(), detail.clone(), amount, lines];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}
