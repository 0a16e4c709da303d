//! What commands print: an aligned table, JSON or CSV, always from Arrow batches; sentences; records as JSON. All that
//! goes to stdout leaves from here, and what is for people through [`visible`].

mod list;
mod pager;
mod table;

use std::io::{ErrorKind, Write};

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Decimal128Type};
use arrow::record_batch::RecordBatch;
use credit_ledger::Money;
use num_format::{Locale, ToFormattedString};
use serde::Serialize;
use table_files::{CsvFile, exact};

use crate::app::App;
use crate::cli::Format;
use crate::screen::Screen;
use crate::stderr::to_stderr;
use crate::{Failure, Kind};
use application::foreign_text::{CELL, LINE, visible};
use application::money_text;

pub(crate) use list::{List, with_texts};
use table::{Column, fit, render};

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
    show(app, &text(app, batches, shown, empty)?)
}

/// As [`print`], for a table that is part of something longer: without a pager.
pub(crate) fn print_part(app: &App, batches: &[RecordBatch], shown: Shown, empty: &str) -> Result<(), Failure> {
    write_stdout(&text(app, batches, shown, empty)?)
}

fn text(app: &App, batches: &[RecordBatch], shown: Shown, empty: &str) -> Result<String, Failure> {
    match app.format {
        Format::Table if batches.iter().all(|batch| batch.num_rows() == 0) => Ok(format!("{empty}\n")),
        Format::Table => Ok(render(&columns(batches, shown)?, 0, app.screen.color)),
        Format::Json => json(batches),
        Format::Csv => csv_text(batches, app.raw),
    }
}

/// Prints a list, as the person wants it, and notes about it beside it.
pub(crate) fn print_list(app: &App, list: &List<'_>, notes: &[String]) -> Result<(), Failure> {
    let (batch, format) = (list.sorted()?, app.format);
    let batch = batch.project(&list.chosen(format)?).map_err(unprintable)?;
    let text = match format {
        Format::Table if batch.num_rows() == 0 => format!("{}\n", list.empty),
        Format::Table => list_text(&app.screen, list, &batch)?,
        Format::Json => json(&[batch])?,
        Format::Csv => csv_text(&[batch], app.raw)?,
    };
    // In a pager the person sees them below the rows.
    let notes: String = notes.iter().map(|note| visible(note, LINE) + "\n").collect();
    match app.screen.pager(&text) {
        Some(_) if format == Format::Table => show(app, &(text + &notes)),
        _ => write_stdout(&text).map(|()| to_stderr(&notes)),
    }
}

/// The list for people: with sums, in the width of the screen.
fn list_text(screen: &Screen, list: &List<'_>, batch: &RecordBatch) -> Result<String, Failure> {
    let mut columns = columns(std::slice::from_ref(batch), Shown::Cents)?;
    let sums = list.sums(batch)?;
    for (currency, of_currency) in &sums {
        let label = columns.iter().position(|column| !column.right);
        for (place, column) in columns.iter_mut().enumerate() {
            let sum = of_currency.iter().find(|(name, _)| *name == column.name);
            let total = (Some(place) == label).then(|| format!("Total {currency}"));
            column.cells.push(sum.map(|(_, sum)| money_text::cents(*sum)).or(total).unwrap_or_default());
        }
    }
    // The sum names it.
    if sums.len() == 1 && list.is_default() {
        columns.retain(|column| column.name != List::CURRENCY);
    }
    let Some(width) = screen.width.filter(|_| !list.wide()) else {
        return Ok(render(&columns, sums.len(), screen.color));
    };
    let expendable = if list.is_default() { list.expendable } else { &[] };
    let (columns, left_out) = fit(columns, width, expendable);
    let mut text = render(&columns, sums.len(), screen.color);
    if !left_out.is_empty() {
        let note = |what: &str| format!("Left out at this width: {what} (--wide, --columns)\n");
        let named = note(&left_out.join(", "));
        let is_narrow = named.chars().count() > width;
        text += &if is_narrow { note(&format!("{} columns", left_out.len())) } else { named };
    }
    Ok(text)
}

/// What a command without rows answers: sentences to people, one JSON object to programs.
pub(crate) fn answer<L: AsRef<str>>(
    format: Format,
    object: &impl Serialize,
    lines: impl IntoIterator<Item = L>,
) -> Result<(), Failure> {
    match format {
        Format::Json => print_json(serde_json::to_string_pretty(object)),
        Format::Table | Format::Csv => print_lines(lines),
    }
}

/// Shows a text to whoever is at the other end of stdout: in a pager, where it is a terminal that is too low for it.
fn show(app: &App, text: &str) -> Result<(), Failure> {
    match app.screen.pager(text) {
        Some(command) if pager::page(command, text) => Ok(()),
        _ => write_stdout(text),
    }
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
pub(crate) fn write_stdout(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::new(Kind::Storage, format!("stdout: {error}")))
        }
        _ => Ok(()),
    }
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
    let text = exact(column, row).map_err(unprintable)?;
    let whole = column.data_type().is_integer().then(|| text.parse::<i128>().ok()).flatten();
    Ok(whole.map_or_else(|| visible(&text, CELL), |number| number.to_formatted_string(&Locale::en)))
}

fn unprintable(error: arrow::error::ArrowError) -> Failure {
    Failure::new(Kind::CheckFailed, format!("cannot print: {error}"))
}

/// The columns as people read them.
fn columns(batches: &[RecordBatch], shown: Shown) -> Result<Vec<Column>, Failure> {
    let Some(first) = batches.first() else { return Ok(Vec::new()) };
    let column = |(place, field): (usize, &arrow::datatypes::FieldRef)| {
        let arrays = batches.iter().filter_map(|batch| batch.columns().get(place));
        let cells = arrays.flat_map(|array| (0..array.len()).map(move |row| for_people(array, row, shown)));
        Ok(Column {
            name: visible(field.name(), CELL),
            right: field.data_type().is_numeric(),
            cells: cells.collect::<Result<_, Failure>>()?,
        })
    };
    first.schema().fields().iter().enumerate().map(column).collect()
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
    let text = exact(column, row).map_err(unprintable)?;
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
    let Some(first) = batches.first() else { return Ok(String::new()) };
    let written = CsvFile::begin(Vec::new(), &first.schema(), raw).and_then(|mut file| {
        batches.iter().try_for_each(|batch| file.write(batch))?;
        file.finish()
    });
    let failed = |error: String| Failure::new(Kind::CheckFailed, error);
    String::from_utf8(written.map_err(|error| failed(error.to_string()))?).map_err(|error| failed(error.to_string()))
}

#[cfg(test)]
mod tests;
