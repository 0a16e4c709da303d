//! A table: on a page, and as the file that is downloaded from there.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use application::foreign_text::{CELL, visible};
use application::{Failure, Kind};
use arrow::array::{Array, ArrayRef, AsArray, UInt64Array};
use arrow::compute::{SortColumn, SortOptions, lexsort_to_indices, take};
use arrow::datatypes::{DataType, Decimal128Type, Field, Schema};
use arrow::record_batch::RecordBatch;
use credit_ledger::{Money, Text};
use maud::{Markup, html};
use schemas::{ColumnValue, Table, money_type};
use table_files::{CsvFile, WorkbookFile, exact};

use crate::filter::Filter;
use crate::format;

/// A column, and how its cells are shown.
struct Column {
    name: Cow<'static, str>,
    label: Cow<'static, str>,
    values: ArrayRef,
    links: Option<Vec<Option<String>>>,
    classes: Option<Vec<Option<&'static str>>>,
    /// Level and own name of what the values are paths of, while the rows are in order of a tree.
    tree: Option<Vec<(usize, String)>>,
    is_status: bool,
    is_summed: bool,
    shown: Shown,
}

/// Where a column stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    Everywhere,
    OnPage,
    InFiles,
}

/// A table on a page.
pub(crate) struct Sheet {
    /// Names the file that is downloaded, and the table in an address.
    pub(crate) name: &'static str,
    title: String,
    empty: &'static str,
    rows: usize,
    columns: Vec<Column>,
    /// False where no address shows the table again: then it has no files and cannot be sorted.
    has_address: bool,
}

/// A column of values that are made on the way.
pub(crate) fn column<T, V: ColumnValue>(rows: &[T], value: impl Fn(&T) -> V) -> ArrayRef {
    let values: Vec<V> = rows.iter().map(value).collect();
    V::to_array(values.iter())
}

const CURRENCY: &str = "currency";

/// Rows on a page; files have all.
const MOST_ROWS: usize = 1_000;

impl Sheet {
    /// A table without columns. `empty` stands for one without rows.
    pub(crate) fn new(name: &'static str, title: impl Into<String>, empty: &'static str) -> Self {
        Self { name, title: title.into(), empty, rows: 0, columns: Vec::new(), has_address: true }
    }

    /// A table of what somebody entered: no address shows it again.
    pub(crate) const fn only_shown(mut self) -> Self {
        self.has_address = false;
        self
    }

    /// Adds a column: its name in files, its heading on the page.
    pub(crate) fn column(
        mut self,
        name: impl Into<Cow<'static, str>>,
        label: impl Into<Cow<'static, str>>,
        values: ArrayRef,
    ) -> Self {
        self.rows = values.len();
        let (name, label) = (name.into(), label.into());
        self.columns.push(Column {
            name,
            label,
            values,
            links: None,
            classes: None,
            tree: None,
            is_status: false,
            is_summed: false,
            shown: Shown::Everywhere,
        });
        self
    }

    /// As [`column`](Self::column), for amounts that are summed below the table.
    pub(crate) fn summed(
        self,
        name: impl Into<Cow<'static, str>>,
        label: impl Into<Cow<'static, str>>,
        values: ArrayRef,
    ) -> Self {
        let mut sheet = self.column(name, label, values);
        if let Some(column) = sheet.columns.last_mut() {
            column.is_summed = true;
        }
        sheet
    }

    /// Adds a column that only files have.
    pub(crate) fn in_files(self, name: &'static str, values: ArrayRef) -> Self {
        self.column(name, "", values).place(Shown::InFiles)
    }

    /// Adds a column of links that only the page has.
    pub(crate) fn action(self, word: &'static str, links: Vec<String>) -> Self {
        let words = column(&links, |_| Text::new_static(word));
        self.column(word, word, words).links(links.into_iter().map(Some)).place(Shown::OnPage)
    }

    fn place(mut self, shown: Shown) -> Self {
        if let Some(column) = self.columns.last_mut() {
            column.shown = shown;
        }
        self
    }

    /// Makes the cells of the last column links.
    pub(crate) fn links(mut self, links: impl IntoIterator<Item = Option<String>>) -> Self {
        if let Some(column) = self.columns.last_mut() {
            column.links = Some(links.into_iter().collect());
        }
        self
    }

    /// Gives the cells of the last column classes of the style.
    pub(crate) fn classes(mut self, classes: impl IntoIterator<Item = Option<&'static str>>) -> Self {
        if let Some(column) = self.columns.last_mut() {
            column.classes = Some(classes.into_iter().collect());
        }
        self
    }

    /// Shows paths of the last column as a tree: each by its own name, as deep as its level. Sorted rows show the paths.
    pub(crate) fn tree(mut self, places: impl IntoIterator<Item = (usize, String)>) -> Self {
        if let Some(column) = self.columns.last_mut() {
            column.tree = Some(places.into_iter().collect());
        }
        self
    }

    /// Shows the cells of the last column as badges.
    pub(crate) fn status(mut self) -> Self {
        if let Some(column) = self.columns.last_mut() {
            column.is_status = true;
        }
        self
    }

    /// A table of what a statement gives.
    pub(crate) fn of_batches(
        (name, title, empty): (&'static str, &str, &'static str),
        batches: &[RecordBatch],
    ) -> Result<Self, Failure> {
        let mut sheet = Self::new(name, title, empty);
        let Some(first) = batches.first() else { return Ok(sheet) };
        let whole = arrow::compute::concat_batches(&first.schema(), batches).map_err(unshown)?;
        for (field, values) in whole.schema().fields().iter().zip(whole.columns()) {
            sheet = sheet.column(field.name().clone(), visible(field.name(), CELL), Arc::clone(values));
        }
        Ok(sheet)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Puts the rows in the order that the address asks for, if the table has that column.
    pub(crate) fn sort(&mut self, filter: &Filter) -> Result<(), Failure> {
        let Some((name, descending)) = filter.sort.as_deref().map(direction) else { return Ok(()) };
        let Some(key) = self.columns.iter().find(|column| column.name == name) else { return Ok(()) };
        let options = Some(SortOptions { descending, nulls_first: false });
        let places = Arc::new(UInt64Array::from_iter_values(0..self.rows as u64));
        let keys = [
            SortColumn { values: Arc::clone(&key.values), options },
            // Rows that are equal in it stay as they were.
            SortColumn { values: places, options: None },
        ];
        let order = lexsort_to_indices(&keys, None).map_err(unshown)?;
        for column in &mut self.columns {
            column.tree = None;
            column.values = take(&column.values, &order, None).map_err(unshown)?;
            if let Some(links) = &mut column.links {
                let sorted = order.values().iter().map(|place| links.get(*place as usize).cloned().flatten());
                *links = sorted.collect();
            }
            if let Some(classes) = &mut column.classes {
                let sorted = order.values().iter().map(|place| classes.get(*place as usize).copied().flatten());
                *classes = sorted.collect();
            }
        }
        Ok(())
    }

    /// True for a name that the table can be sorted by.
    pub(crate) fn has(&self, sort: &str) -> bool {
        let (name, _) = direction(sort);
        self.columns.iter().any(|column| column.name == name)
    }

    fn batch(&self) -> Result<RecordBatch, Failure> {
        let in_files = || self.columns.iter().filter(|column| column.shown != Shown::OnPage);
        let field = |column: &Column| Field::new(column.name.as_ref(), column.values.data_type().clone(), true);
        let schema = Schema::new(in_files().map(field).collect::<Vec<_>>());
        let values = in_files().map(|column| Arc::clone(&column.values)).collect();
        RecordBatch::try_new(Arc::new(schema), values).map_err(unshown)
    }

    /// The table as CSV: exact, texts guarded against being taken for formulas.
    pub(crate) fn csv(&self) -> Result<Vec<u8>, Failure> {
        let batch = self.batch()?;
        let written = CsvFile::begin(Vec::new(), &batch.schema(), false).and_then(|mut file| {
            file.write(&batch)?;
            file.finish()
        });
        written.map_err(|error| Failure::new(Kind::CheckFailed, format!("{}: {error}", self.name)))
    }

    /// Adds the table to a workbook.
    pub(crate) fn write(&self, book: &mut WorkbookFile) -> Result<(), Failure> {
        let batch = self.batch()?;
        let written = book.sheet(self.name, &batch.schema()).and_then(|()| book.write(&batch));
        written.map_err(|error| Failure::new((&error).into(), format!("{}: {error}", self.name)))
    }

    /// The table as a workbook of one sheet.
    pub(crate) fn workbook(&self) -> Result<Vec<u8>, Failure> {
        let failed = |error: table_files::TableFileError| Failure::new((&error).into(), error.to_string());
        let mut book = WorkbookFile::begin().map_err(failed)?;
        self.write(&mut book)?;
        let mut bytes = std::io::Cursor::new(Vec::new());
        book.finish(&mut bytes).map_err(failed)?;
        Ok(bytes.into_inner())
    }

    /// The table on a page at `path`; without links to its files and its order where `filter` is none, as in a report.
    pub(crate) fn html(&self, place: Option<(&str, &Filter)>) -> Result<Markup, Failure> {
        let place = place.filter(|_| self.has_address);
        let sums = self.sums()?;
        let (shown, one_currency) = self.shown();
        Ok(html! {
            section.sheet id=(self.name) {
                div.head {
                    h2 { (self.title) @if let Some(currency) = &one_currency { " " span.currency { (currency) } } }
                    @if let (Some((path, filter)), false) = (place, self.is_empty()) {
                        span.downloads {
                            @for kind in ["csv", "xlsx"] {
                                a href=(filter.address(path, &[("table", self.name), ("download", kind)])) download
                                    aria-label={ (self.title) " as " (kind.to_uppercase()) } { (kind.to_uppercase()) }
                                " "
                            }
                        }
                    }
                }
                @if self.is_empty() { p.empty { (self.empty) } } @else {
                    div.scroll tabindex="0" role="region" aria-label=(self.title) {
                        table {
                            thead { tr { @for column in &shown { (heading(column, place)) } } }
                            tbody {
                                @for row in 0..self.rows.min(MOST_ROWS) {
                                    tr { @for column in &shown { (cell(column, row)?) } }
                                }
                            }
                            @if !sums.is_empty() { tfoot { (totals(&shown, &sums)) } }
                        }
                    }
                    @if self.rows > MOST_ROWS {
                        p.note {
                            "These are " (grouped(&MOST_ROWS.to_string())) " of " (grouped(&self.rows.to_string())) " rows."
                            @if place.is_some() { " CSV and XLSX have all." }
                            @if !sums.is_empty() { " Totals are of all." }
                        }
                    }
                }
            }
        })
    }

    /// The columns to show: without the currency where all rows have the same, which is named above instead.
    fn shown(&self) -> (Vec<&Column>, Option<String>) {
        let currencies = self.columns.iter().find(|column| column.name == CURRENCY);
        let one = currencies.and_then(|column| {
            let texts = column.values.as_string_opt::<i32>()?;
            let first = texts.iter().flatten().next()?;
            texts.iter().all(|text| text == Some(first)).then(|| visible(first, CELL))
        });
        let is_shown = |column: &&Column| column.shown != Shown::InFiles && (one.is_none() || column.name != CURRENCY);
        (self.columns.iter().filter(is_shown).collect(), one)
    }

    /// The sums of amounts by currency, where there is more than one row.
    fn sums(&self) -> Result<BTreeMap<Text, BTreeMap<&str, Money>>, Failure> {
        let mut sums: BTreeMap<Text, BTreeMap<&str, Money>> = BTreeMap::new();
        let currencies = self.columns.iter().find(|column| column.name == CURRENCY);
        let currencies = currencies.and_then(|column| column.values.as_string_opt::<i32>());
        let Some(currencies) = currencies.filter(|_| self.rows > 1) else { return Ok(sums) };
        for column in self.columns.iter().filter(|column| column.is_summed) {
            for (row, currency) in currencies.iter().enumerate() {
                let (Some(currency), Some(amount)) = (currency, money_at(&column.values, row)) else { continue };
                let sum = sums.entry(currency.into()).or_default().entry(column.name.as_ref()).or_default();
                *sum = sum.checked_add(amount)?;
            }
        }
        Ok(sums)
    }
}

/// A name and whether it is sorted by from the top down: `-remaining`.
fn direction(sort: &str) -> (&str, bool) {
    sort.strip_prefix('-').map_or((sort, false), |name| (name, true))
}

fn is_number(column: &Column) -> bool {
    column.values.data_type().is_numeric()
}

fn money_at(values: &ArrayRef, row: usize) -> Option<Money> {
    let is_money = *values.data_type() == money_type() && values.is_valid(row);
    let units = values.as_primitive_opt::<Decimal128Type>().filter(|_| is_money)?.value(row);
    Money::from_units(units).ok()
}

fn heading(column: &Column, place: Option<(&str, &Filter)>) -> Markup {
    let class = is_number(column).then_some("number");
    let Some((path, filter)) = place.filter(|_| column.shown != Shown::OnPage) else {
        return html! { th scope="col" class=[class] { (column.label) } };
    };
    let sorted = filter.sort.as_deref().map(direction).filter(|(name, _)| *name == column.name);
    let (order, next) = match sorted {
        Some((_, false)) => (Some("ascending"), format!("-{}", column.name)),
        Some((_, true)) => (Some("descending"), String::new()),
        None if is_number(column) => (None, format!("-{}", column.name)),
        None => (None, column.name.to_string()),
    };
    html! {
        th scope="col" class=[class] aria-sort=[order] {
            a href=(filter.address(path, &[("sort", &next), ("table", ""), ("download", "")])) { (column.label) }
        }
    }
}

fn cell(column: &Column, row: usize) -> Result<Markup, Failure> {
    let link = column.links.as_ref().and_then(|links| links.get(row)).and_then(Option::as_ref);
    if column.values.is_null(row) {
        let class = is_number(column).then_some("number");
        return Ok(html! { td class=[class] { @if let Some(link) = link { a href=(link) { "none" } } } });
    }
    let text = || exact(&column.values, row).map(|text| visible(&text, CELL)).map_err(unshown);
    if let Some((level, name)) = column.tree.as_ref().and_then(|tree| tree.get(row)) {
        let name = visible(name, CELL);
        return Ok(html! {
            td class={ "level-" (level) } title=(text()?) {
                @if let Some(link) = link { a href=(link) { (name) } } @else { (name) }
            }
        });
    }
    let shown = match money_at(&column.values, row) {
        Some(amount) => format::money(amount),
        None if column.is_status => format::status(&text()?),
        None if column.values.data_type().is_integer() => html! { (grouped(&text()?)) },
        None => html! { (text()?) },
    };
    let own = column.classes.as_ref().and_then(|classes| classes.get(row)).copied().flatten();
    let class = match (column.values.data_type(), own) {
        (_, Some(own)) if is_number(column) => Some(format!("number {own}")),
        (_, None) if is_number(column) => Some("number".to_owned()),
        (DataType::Date32, _) => Some("day".to_owned()),
        _ if column.name == Table::PARTITION => Some("day".to_owned()),
        (_, own) => own.map(str::to_owned),
    };
    Ok(html! {
        td class=[class] { @if let Some(link) = link { a href=(link) { (shown) } } @else { (shown) } }
    })
}

/// `1,234`.
fn grouped(number: &str) -> String {
    use num_format::{Locale, ToFormattedString};
    number.parse::<i128>().map_or_else(|_| number.to_owned(), |number| number.to_formatted_string(&Locale::en))
}

fn totals(shown: &[&Column], sums: &BTreeMap<Text, BTreeMap<&str, Money>>) -> Markup {
    let label = shown.iter().position(|column| !is_number(column));
    html! {
        @for (currency, of_currency) in sums {
            tr {
                @for (place, column) in shown.iter().enumerate() {
                    @if Some(place) == label {
                        th scope="row" { "Total " (currency) }
                    } @else if let Some(sum) = of_currency.get(column.name.as_ref()) {
                        td.number { (format::money(*sum)) }
                    } @else {
                        td {}
                    }
                }
            }
        }
    }
}

fn unshown(error: arrow::error::ArrowError) -> Failure {
    Failure::new(Kind::CheckFailed, format!("cannot be shown: {error}"))
}

#[cfg(test)]
mod tests;
