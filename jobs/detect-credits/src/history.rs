//! What the credit lines of all periods say, credit by credit.

use std::collections::BTreeSet;
use std::ops::Range;

use arrow::array::{Array, ArrayRef, Date32Array, Decimal128Array};
use arrow::datatypes::Date32Type;
use arrow::record_batch::RecordBatch;
use chrono::NaiveDate;
use credit_ledger::{BillingPeriod, Money, MoneyError, Text};
use schemas::tables::CreditLine;
use schemas::{RowsError, TableRow};

use crate::DetectError;
use crate::values::TextColumn;

/// What the credit lines of all periods up to one say, credit by credit.
#[derive(Debug)]
pub struct CreditHistory {
    last: BillingPeriod,
    /// In order of the key.
    credits: Vec<(Text, History)>,
    /// In order of the key too, and none of those.
    new: Vec<(Text, History)>,
}

/// What the lines of one credit say.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// `None` where all lines come later.
    pub(crate) first: Option<Box<FirstLine>>,
    pub(crate) last_cur_date: Option<NaiveDate>,
    /// Where there is more than one, which is an error.
    pub(crate) currencies: BTreeSet<Text>,
    /// In order of the period.
    pub(crate) applied: Vec<(BillingPeriod, Money)>,
}

/// The earliest line of a credit.
#[derive(Debug)]
pub(crate) struct FirstLine {
    pub(crate) usage_date: NaiveDate,
    period: BillingPeriod,
    pub(crate) payer_account_id: Text,
    account_id: Text,
    pub(crate) description: Option<Text>,
    pub(crate) currency: Text,
    pub(crate) promotion_code: Text,
    pub(crate) credit_account_id: Text,
    pub(crate) owner_account_id: Option<Text>,
    pub(crate) credit_id: Option<Text>,
    pub(crate) credit_class: Text,
}

impl CreditHistory {
    /// No lines yet; those of periods after `last` will count as seen only.
    #[must_use]
    pub fn until(last: BillingPeriod) -> Self {
        Self { last, credits: Vec::new(), new: Vec::new() }
    }

    /// Adds lines of a period, best in order of the key. Of lines that are equally early, the one added before counts.
    ///
    /// # Errors
    /// [`DetectError::Rows`] for a batch that is none of `credit_lines`, [`DetectError::Money`] where a sum leaves the
    /// range of money.
    pub fn add(&mut self, period: BillingPeriod, lines: &RecordBatch) -> Result<(), DetectError> {
        let columns = Lines::new(lines)?;
        let (mut from, mut at) = (0, 0);
        while from < lines.num_rows() {
            let (key, codes) = (value(&columns.credit_key, from), columns.credit_key.codes());
            let others = (from..lines.num_rows()).find(|row| codes[*row] != codes[from]);
            let of_key = from..others.unwrap_or(lines.num_rows());
            from = of_key.end;
            let counts = period <= self.last;
            let history = self.entry(key, &mut at);
            if counts {
                history.add(period, &columns, of_key)?;
            }
        }
        Ok(())
    }

    /// What is known of all credits, in order of the key.
    pub(crate) fn into_credits(mut self) -> Vec<(Text, History)> {
        self.merge();
        self.credits
    }

    /// The history of a credit; `at` is where the one before was looked for.
    fn entry(&mut self, key: &str, at: &mut usize) -> &mut History {
        if self.new.last().is_some_and(|(last, _)| last.as_str() > key) {
            self.merge();
            *at = 0;
        }
        if *at == 0 || self.credits.get(*at - 1).is_some_and(|(other, _)| other.as_str() >= key) {
            *at = self.credits.partition_point(|(other, _)| other.as_str() < key);
        }
        while self.credits.get(*at).is_some_and(|(other, _)| other.as_str() < key) {
            *at += 1;
        }
        if self.credits.get(*at).is_some_and(|(other, _)| other == key) {
            return &mut self.credits[*at].1;
        }
        if self.new.last().is_none_or(|(last, _)| last != key) {
            self.new.push((Text::new(key), History::default()));
        }
        let last = self.new.len() - 1;
        &mut self.new[last].1
    }

    /// Puts the new credits among the others.
    fn merge(&mut self) {
        self.credits.append(&mut self.new);
        // Two parts in order are merged in one pass.
        self.credits.sort_by(|(left, _), (right, _)| left.cmp(right));
    }
}

/// The columns of `credit_lines` that the register shows.
struct Lines<'a> {
    credit_key: TextColumn,
    usage_date: &'a Date32Array,
    payer_account_id: TextColumn,
    account_id: TextColumn,
    description: TextColumn,
    currency: TextColumn,
    promotion_code: TextColumn,
    credit_account_id: TextColumn,
    owner_account_id: TextColumn,
    credit_id: TextColumn,
    credit_class: TextColumn,
    amount: &'a Decimal128Array,
}

impl<'a> Lines<'a> {
    fn new(lines: &'a RecordBatch) -> Result<Self, DetectError> {
        Ok(Self {
            credit_key: text(lines, "credit_key")?,
            usage_date: typed(lines, "usage_date")?,
            payer_account_id: text(lines, "payer_account_id")?,
            account_id: text(lines, "account_id")?,
            description: text(lines, "description")?,
            currency: text(lines, "currency")?,
            promotion_code: text(lines, "promotion_code")?,
            credit_account_id: text(lines, "credit_account_id")?,
            owner_account_id: text(lines, "owner_account_id")?,
            credit_id: text(lines, "credit_id")?,
            credit_class: text(lines, "credit_class")?,
            amount: typed(lines, "amount")?,
        })
    }
}

fn text(lines: &RecordBatch, name: &'static str) -> Result<TextColumn, DetectError> {
    TextColumn::new(column(lines, name)?).map_err(|problem| misfit(name, problem))
}

/// Where no value may be missing.
fn value(column: &TextColumn, row: usize) -> &str {
    column.get(row).unwrap_or_default()
}

fn typed<'a, T: Array + 'static>(lines: &'a RecordBatch, name: &'static str) -> Result<&'a T, DetectError> {
    let found = column(lines, name)?.as_any().downcast_ref();
    found.ok_or_else(|| misfit(name, "is of another type".to_owned()))
}

fn column<'a>(lines: &'a RecordBatch, name: &'static str) -> Result<&'a ArrayRef, DetectError> {
    lines.column_by_name(name).ok_or_else(|| misfit(name, "is missing".to_owned()))
}

fn misfit(column: &'static str, problem: String) -> DetectError {
    RowsError::Column { table: CreditLine::TABLE.name, column, problem }.into()
}

impl History {
    /// Adds lines of the credit.
    fn add(&mut self, period: BillingPeriod, lines: &Lines<'_>, rows: Range<usize>) -> Result<(), DetectError> {
        let key = value(&lines.credit_key, rows.start);
        let mut aws_applied = Money::ZERO;
        for row in rows {
            let day = Date32Type::to_naive_date_opt(lines.usage_date.value(row))
                .ok_or_else(|| misfit("usage_date", "has a value out of range".to_owned()))?;
            self.last_cur_date = self.last_cur_date.max(Some(day));
            let is_earlier = self.first.as_ref().is_none_or(|first| {
                let (payer, account) = (value(&lines.payer_account_id, row), value(&lines.account_id, row));
                (day, period, payer, account, lines.description.get(row)) < first.place()
            });
            let currency = value(&lines.currency, row);
            if let Some(first) = self.first.as_ref().filter(|first| first.currency != currency) {
                self.currencies.extend([first.currency.clone(), Text::new(currency)]);
            }
            if is_earlier {
                self.first = Some(Box::new(FirstLine::new(day, period, lines, row)));
            }
            let sum = Money::from_units(lines.amount.value(row)).and_then(|amount| aws_applied.checked_sub(amount));
            aws_applied = sum.map_err(|source| money_error(key, source))?;
        }
        match self.applied.binary_search_by_key(&period, |(of, _)| *of) {
            Err(place) => self.applied.insert(place, (period, aws_applied)),
            Ok(place) => {
                if let Some((_, sum)) = self.applied.get_mut(place) {
                    *sum = sum.checked_add(aws_applied).map_err(|source| money_error(key, source))?;
                }
            }
        }
        Ok(())
    }
}

impl FirstLine {
    fn new(usage_date: NaiveDate, period: BillingPeriod, lines: &Lines<'_>, row: usize) -> Self {
        let owned = |column: &TextColumn| Text::new(value(column, row));
        let some = |column: &TextColumn| column.get(row).map(Text::new);
        Self {
            usage_date,
            period,
            payer_account_id: owned(&lines.payer_account_id),
            account_id: owned(&lines.account_id),
            description: some(&lines.description),
            currency: owned(&lines.currency),
            promotion_code: owned(&lines.promotion_code),
            credit_account_id: owned(&lines.credit_account_id),
            owner_account_id: some(&lines.owner_account_id),
            credit_id: some(&lines.credit_id),
            credit_class: owned(&lines.credit_class),
        }
    }

    /// The order in which a credit's lines count as earlier.
    fn place(&self) -> (NaiveDate, BillingPeriod, &str, &str, Option<&str>) {
        (self.usage_date, self.period, &self.payer_account_id, &self.account_id, self.description.as_deref())
    }
}

pub(crate) fn money_error(key: &str, source: MoneyError) -> DetectError {
    DetectError::Money { credit_key: key.to_owned(), source }
}
