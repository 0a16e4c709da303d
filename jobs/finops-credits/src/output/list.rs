//! A list as a person wants it: which columns, in which order, with sums.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, StringArray, UInt64Array};
use arrow::compute::{SortColumn, SortOptions, lexsort_to_indices, take_record_batch};
use arrow::datatypes::{DataType, Decimal128Type, Field, Schema};
use arrow::record_batch::RecordBatch;
use credit_ledger::{Money, Text};

use crate::cli::{Format, ListArgs};
use crate::{Failure, Kind};

/// A batch with further columns of text.
pub(crate) fn with_texts(
    batch: &RecordBatch,
    added: impl IntoIterator<Item = (&'static str, Vec<Option<Text>>)>,
) -> Result<RecordBatch, Failure> {
    let (mut fields, mut columns) = (batch.schema().fields().to_vec(), batch.columns().to_vec());
    for (name, texts) in added {
        fields.push(Arc::new(Field::new(name, DataType::Utf8, true)));
        columns.push(Arc::new(texts.into_iter().collect::<StringArray>()));
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(super::unprintable)
}

/// Rows, and how they are listed.
pub(crate) struct List<'a> {
    /// All columns that can be asked for.
    pub(crate) batch: RecordBatch,
    /// What the person asks for.
    pub(crate) arguments: &'a ListArgs,
    /// The columns of JSON, CSV and `--wide`.
    pub(crate) all: &'a [&'a str],
    /// The columns for people.
    pub(crate) shown: &'a [&'a str],
    /// Of these the ones that may be left out where there is no room, in this order.
    pub(crate) expendable: &'a [&'a str],
    /// Amounts that are summed.
    pub(crate) summed: &'a [&'a str],
    /// What stands for a list without rows.
    pub(crate) empty: &'a str,
}

impl List<'_> {
    pub(crate) const CURRENCY: &'static str = "currency";

    /// True where the person has not said which columns.
    pub(crate) fn is_default(&self) -> bool {
        !self.arguments.wide && self.arguments.columns.is_empty()
    }

    pub(crate) const fn wide(&self) -> bool {
        self.arguments.wide
    }

    /// Places of the columns to show.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a name that is none.
    pub(crate) fn chosen(&self, format: Format) -> Result<Vec<usize>, Failure> {
        if !self.arguments.columns.is_empty() {
            return self.arguments.columns.iter().map(|name| self.place("--columns", name)).collect();
        }
        let names = if format == Format::Table && !self.arguments.wide { self.shown } else { self.all };
        names.iter().map(|name| self.place("--columns", name)).collect()
    }

    fn place(&self, option: &str, name: &str) -> Result<usize, Failure> {
        let schema = self.batch.schema();
        schema.index_of(name.trim()).map_err(|_error| {
            let known: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
            Failure::new(Kind::Usage, format!("{option}: there is no column {name:?}; there are {}", known.join(", ")))
        })
    }

    /// The rows in the order that is asked for. Rows that are equal in it stay as they were.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a name that is none.
    pub(crate) fn sorted(&self) -> Result<RecordBatch, Failure> {
        if self.arguments.sort.is_empty() {
            return Ok(self.batch.clone());
        }
        let key = |text: &String| {
            let name = text.trim();
            let (name, descending) = name.strip_prefix('-').map_or((name, false), |name| (name, true));
            let values = ArrayRef::clone(self.batch.column(self.place("--sort", name)?));
            Ok(SortColumn { values, options: Some(SortOptions { descending, nulls_first: false }) })
        };
        let mut keys = self.arguments.sort.iter().map(key).collect::<Result<Vec<_>, Failure>>()?;
        let places = UInt64Array::from_iter_values(0..self.batch.num_rows() as u64);
        keys.push(SortColumn { values: Arc::new(places), options: None });
        let order = lexsort_to_indices(&keys, None).map_err(super::unprintable)?;
        take_record_batch(&self.batch, &order).map_err(super::unprintable)
    }

    /// The sums of the amounts by currency, where there is more than one row.
    ///
    /// # Errors
    /// [`Kind::CheckFailed`] where a sum leaves the range of money.
    pub(crate) fn sums(&self, shown: &RecordBatch) -> Result<BTreeMap<String, Vec<(String, Money)>>, Failure> {
        let mut sums: BTreeMap<String, Vec<(String, Money)>> = BTreeMap::new();
        let summed = self.summed.iter().filter(|name| shown.column_by_name(name).is_some());
        let currencies = self.batch.column_by_name(Self::CURRENCY).and_then(|column| column.as_string_opt::<i32>());
        let Some(currencies) = currencies.filter(|_| self.batch.num_rows() > 1) else { return Ok(sums) };
        for name in summed {
            let amounts =
                self.batch.column_by_name(name).and_then(|column| column.as_primitive_opt::<Decimal128Type>());
            let Some(amounts) = amounts else { continue };
            let mut of_column: BTreeMap<&str, Money> = BTreeMap::new();
            for (currency, units) in currencies.iter().zip(amounts) {
                let (Some(currency), Some(units)) = (currency, units) else { continue };
                let sum = of_column.entry(currency).or_default();
                *sum = sum.checked_add(Money::from_units(units)?)?;
            }
            for (currency, sum) in of_column {
                sums.entry(currency.to_owned()).or_default().push(((*name).to_owned(), sum));
            }
        }
        Ok(sums)
    }
}
