//! What commands print: an aligned table, JSON or CSV, always from Arrow batches; sentences; records as JSON. All that
//! goes to stdout leaves from here, and what is for people through [`visible`].

use std::io::{ErrorKind, Write};

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Decimal128Type};
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use credit_ledger::Money;
use num_format::{Locale, ToFormattedString};
use schemas::reference::guarded;

use crate::app::App;
use crate::cli::Format;
use crate::foreign_text::{CELL, LINE, visible};
use crate::{Failure, Kind, money_text};

/// How tables for people show money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// Rounded to cents.
    Cents,
    /// All ten decimals.
    Exact,
}

/// Prints batches of one schema. `empty` stands for a table without rows.
pub(crate) fn print(app: &App, batches: &[RecordBatch], shown: Shown, empty: &str) -> Result<(), Failure> {
    write_stdout(&match app.format {
        Format::Table if batches.iter().all(|batch| batch.num_rows() == 0) => format!("{empty}\n"),
        Format::Table => table(batches, shown)?,
        Format::Json => json(batches)?,
        Format::Csv => csv_text(batches, app.raw)?,
    })
}

/// Prints batches as CSV, whatever the format of other output.
pub(crate) fn print_csv(app: &App, batches: &[RecordBatch]) -> Result<(), Failure> {
    write_stdout(&csv_text(batches, app.raw)?)
}

/// Prints lines for people.
pub(crate) fn print_lines<L: AsRef<str>>(lines: impl IntoIterator<Item = L>) -> Result<(), Failure> {
    let lines = lines.into_iter().map(|line| visible(line.as_ref(), LINE) + "\n");
    write_stdout(&lines.collect::<String>())
}

/// Prints what programs read.
pub(crate) fn print_json(text: serde_json::Result<String>) -> Result<(), Failure> {
    write_stdout(&json_text(text)?)
}

fn json_text(text: serde_json::Result<String>) -> Result<String, Failure> {
    text.map(|text| text + "\n").map_err(|error| Failure::new(Kind::CheckFailed, error.to_string()))
}

/// Writes to stdout. A reader that went away (`| head`) is no failure.
fn write_stdout(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::new(Kind::Storage, format!("stdout: {error}")))
        }
        _ => Ok(()),
    }
}

fn is_number(data_type: &DataType) -> bool {
    data_type.is_numeric()
}

fn money_at(column: &ArrayRef, row: usize) -> Option<Money> {
    let is_money = *column.data_type() == schemas::money_type();
    let units = column.as_primitive_opt::<Decimal128Type>().filter(|_| is_money)?.value(row);
    Money::from_units(units).ok()
}

fn for_people(column: &ArrayRef, row: usize, shown: Shown) -> Result<String, Failure> {
    if column.is_null(row) {
        return Ok(String::new());
    }
    if let Some(money) = money_at(column, row) {
        return Ok(match shown {
            Shown::Cents => money_text::cents(money),
            Shown::Exact => money_text::exact(money),
        });
    }
    let text = exact(column, row)?;
    let whole = column.data_type().is_integer().then(|| text.parse::<i128>().ok()).flatten();
    Ok(whole.map_or_else(|| visible(&text, CELL), |number| number.to_formatted_string(&Locale::en)))
}

/// The value as text, nulls empty: dates and instants in ISO 8601, money with ten decimals.
fn exact(column: &ArrayRef, row: usize) -> Result<String, Failure> {
    let options = FormatOptions::default().with_null("");
    let formatter = ArrayFormatter::try_new(column, &options).map_err(unprintable)?;
    formatter.value(row).try_to_string().map_err(unprintable)
}

fn unprintable(error: arrow::error::ArrowError) -> Failure {
    Failure::new(Kind::CheckFailed, format!("cannot print: {error}"))
}

/// Aligned columns, numbers to the right.
fn table(batches: &[RecordBatch], shown: Shown) -> Result<String, Failure> {
    let Some(first) = batches.first() else { return Ok(String::new()) };
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    let schema = first.schema();
    let align = |field: &arrow::datatypes::FieldRef| {
        if is_number(field.data_type()) { CellAlignment::Right } else { CellAlignment::Left }
    };
    table.set_header(
        schema.fields().iter().map(|field| Cell::new(visible(field.name(), CELL)).set_alignment(align(field))),
    );
    for batch in batches {
        for row in 0..batch.num_rows() {
            let cells = batch
                .columns()
                .iter()
                .zip(schema.fields())
                .map(|(column, field)| Ok(Cell::new(for_people(column, row, shown)?).set_alignment(align(field))));
            table.add_row(cells.collect::<Result<Vec<_>, Failure>>()?);
        }
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned() + "\n").collect();
    Ok(lines.concat())
}

/// An array of objects. Money is text, so that no reader rounds it.
fn json(batches: &[RecordBatch]) -> Result<String, Failure> {
    let mut rows = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let mut object = serde_json::Map::new();
            for (column, field) in batch.columns().iter().zip(batch.schema().fields()) {
                object.insert(field.name().clone(), json_value(column, row)?);
            }
            rows.push(serde_json::Value::Object(object));
        }
    }
    json_text(serde_json::to_string_pretty(&rows))
}

fn json_value(column: &ArrayRef, row: usize) -> Result<serde_json::Value, Failure> {
    if column.is_null(row) {
        return Ok(serde_json::Value::Null);
    }
    let text = exact(column, row)?;
    Ok(match column.data_type() {
        DataType::Boolean => serde_json::Value::Bool(text == "true"),
        other if other.is_integer() || other.is_floating() => {
            serde_json::from_str(&text).unwrap_or(serde_json::Value::String(text))
        }
        _ => serde_json::Value::String(text),
    })
}

/// With a header. Texts, names of columns included, are guarded against being taken for formulas unless `raw`.
pub(crate) fn csv_text(batches: &[RecordBatch], raw: bool) -> Result<String, Failure> {
    let cell = |text: &str| if raw { text.to_owned() } else { guarded(text).into_owned() };
    let mut writer = csv::Writer::from_writer(Vec::new());
    let broken = |error: csv::Error| Failure::new(Kind::CheckFailed, error.to_string());
    if let Some(first) = batches.first() {
        writer.write_record(first.schema().fields().iter().map(|field| cell(field.name()))).map_err(broken)?;
    }
    for batch in batches {
        for row in 0..batch.num_rows() {
            let values = batch.columns().iter().map(|column| {
                let value = exact(column, row)?;
                Ok(if is_text(column.data_type()) { cell(&value) } else { value })
            });
            writer.write_record(values.collect::<Result<Vec<_>, Failure>>()?).map_err(broken)?;
        }
    }
    let bytes = writer.into_inner().map_err(|error| Failure::new(Kind::CheckFailed, error.to_string()))?;
    String::from_utf8(bytes).map_err(|error| Failure::new(Kind::CheckFailed, error.to_string()))
}

/// True where a value can be any text: numbers, dates and instants are none, whatever they begin with.
fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => is_text(values),
        DataType::RunEndEncoded(_, values) => is_text(values.data_type()),
        other => other.is_string(),
    }
}
