//! What the credit lines of all periods say, credit by credit.

use std::collections::{BTreeMap, BTreeSet};
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
    /// As they were added.
    parts: Vec<Part>,
}

/// What some lines of one period say: as columns, since most of it is only compared.
#[derive(Debug)]
struct Part {
    period: BillingPeriod,
    /// The earliest line of each credit.
    firsts: Texts,
    /// By row of those.
    sums: Vec<Sum>,
    /// Of a credit with several, by row of those.
    currencies: BTreeMap<usize, BTreeSet<Text>>,
}

/// What lines of one credit add up to.
#[derive(Debug)]
struct Sum {
    first_day: NaiveDate,
    last_day: NaiveDate,
    aws_applied: Money,
}

/// All credits.
#[derive(Debug)]
pub(crate) struct Credits<'a> {
    last: BillingPeriod,
    /// In order of the key, then of the period.
    firsts: Vec<(&'a str, FirstLine<'a>)>,
}

/// What all lines of one credit say.
#[derive(Debug)]
pub(crate) struct History<'a> {
    pub(crate) credit_key: &'a str,
    /// `None` where all lines come later.
    pub(crate) first: Option<FirstLine<'a>>,
    pub(crate) last_cur_date: Option<NaiveDate>,
    /// Where there is more than one, which is an error.
    pub(crate) currencies: BTreeSet<&'a str>,
    /// In order of the period.
    pub(crate) applied: Vec<(BillingPeriod, Money)>,
}

/// The earliest line of a credit, among some or all.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FirstLine<'a> {
    part: &'a Part,
    row: usize,
}

impl CreditHistory {
    /// No lines yet; those of periods after `last` will count as seen only.
    #[must_use]
    pub fn until(last: BillingPeriod) -> Self {
        Self { last, parts: Vec::new() }
    }

    /// Adds lines of a period, best in order of the key. Of lines that are equally early, the one added before counts.
    ///
    /// # Errors
    /// [`DetectError::Rows`] for a batch that is none of `credit_lines`, [`DetectError::Money`] where a sum leaves the
    /// range of money.
    pub fn add(&mut self, period: BillingPeriod, lines: &RecordBatch) -> Result<(), DetectError> {
        self.parts.push(Part::new(period, lines)?);
        Ok(())
    }

    /// What is known of all credits.
    pub(crate) fn credits(&self) -> Credits<'_> {
        let mut parts: Vec<&Part> = self.parts.iter().collect();
        parts.sort_by_key(|part| part.period);
        let mut firsts: Vec<(&str, FirstLine<'_>)> = Vec::with_capacity(parts.iter().map(|part| part.sums.len()).sum());
        for part in parts {
            let of_part = (0..part.sums.len()).map(|row| FirstLine { part, row });
            firsts.extend(of_part.map(|first| (first.of(|texts| &texts.credit_key), first)));
        }
        // Stable, so that of one credit periods stay in order; parts that are in order are merged.
        firsts.sort_by_key(|(key, _)| *key);
        Credits { firsts, last: self.last }
    }
}

impl<'a> Credits<'a> {
    pub(crate) fn len(&self) -> usize {
        self.by_credit().count()
    }

    fn by_credit(&self) -> impl Iterator<Item = &[(&'a str, FirstLine<'a>)]> {
        self.firsts.chunk_by(|(left, _), (right, _)| left == right)
    }

    /// One after the other, in order of the key; an error where a sum leaves the range of money.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Result<History<'a>, DetectError>> {
        self.by_credit().map(|firsts| History::of(firsts, self.last))
    }
}

impl<'a> History<'a> {
    /// Of one credit, from what parts say of it, in order of the period.
    fn of(firsts: &[(&'a str, FirstLine<'a>)], last: BillingPeriod) -> Result<Self, DetectError> {
        let credit_key = firsts.first().map_or("", |(key, _)| key);
        let mut applied: Vec<(BillingPeriod, Money)> = Vec::with_capacity(firsts.len());
        let (mut earliest, mut last_cur_date, mut currencies) = (None::<FirstLine<'_>>, None, BTreeSet::new());
        for (_, first) in firsts.iter().filter(|(_, first)| first.part.period <= last) {
            let Some(sum) = first.part.sums.get(first.row) else { continue };
            let known = *earliest.get_or_insert(*first);
            if first.is_before(known) {
                earliest = Some(*first);
            }
            if first.currency() != known.currency() {
                currencies.extend([first.currency(), known.currency()]);
            }
            currencies.extend(first.part.currencies.get(&first.row).into_iter().flatten().map(Text::as_str));
            last_cur_date = last_cur_date.max(Some(sum.last_day));
            match applied.last_mut().filter(|(period, _)| *period == first.part.period) {
                Some((_, amount)) => {
                    let sum = amount.checked_add(sum.aws_applied);
                    *amount = sum.map_err(|source| money_error(credit_key, source))?;
                }
                None => applied.push((first.part.period, sum.aws_applied)),
            }
        }
        Ok(Self { credit_key, first: earliest, last_cur_date, currencies, applied })
    }
}

impl<'a> FirstLine<'a> {
    fn of(self, column: fn(&Texts) -> &TextColumn) -> &'a str {
        value(column(&self.part.firsts), self.row)
    }

    pub(crate) fn usage_date(self) -> NaiveDate {
        self.part.sums.get(self.row).map_or(NaiveDate::MAX, |sum| sum.first_day)
    }

    pub(crate) fn payer_account_id(self) -> &'a str {
        self.of(|texts| &texts.payer_account_id)
    }

    pub(crate) fn currency(self) -> &'a str {
        self.of(|texts| &texts.currency)
    }

    pub(crate) fn promotion_code(self) -> &'a str {
        self.of(|texts| &texts.promotion_code)
    }

    pub(crate) fn credit_account_id(self) -> &'a str {
        self.of(|texts| &texts.credit_account_id)
    }

    pub(crate) fn credit_class(self) -> &'a str {
        self.of(|texts| &texts.credit_class)
    }

    pub(crate) fn description(self) -> Option<&'a str> {
        self.part.firsts.description.get(self.row)
    }

    pub(crate) fn owner_account_id(self) -> Option<&'a str> {
        self.part.firsts.owner_account_id.get(self.row)
    }

    pub(crate) fn credit_id(self) -> Option<&'a str> {
        self.part.firsts.credit_id.get(self.row)
    }

    fn is_before(self, other: Self) -> bool {
        let by_time = (self.usage_date(), self.part.period).cmp(&(other.usage_date(), other.part.period));
        by_time.then_with(|| self.part.firsts.place(self.row).cmp(&other.part.firsts.place(other.row))).is_lt()
    }
}

impl Part {
    fn new(period: BillingPeriod, lines: &RecordBatch) -> Result<Self, DetectError> {
        let lines = Lines::new(lines)?;
        let (mut rows, mut sums, mut currencies) = (Vec::new(), Vec::new(), BTreeMap::new());
        let keys = lines.texts.credit_key.codes();
        let mut from = 0;
        while let Some(key) = keys.get(from) {
            let others = keys.iter().skip(from).position(|other| other != key);
            let of_key = from..others.map_or(keys.len(), |count| from + count);
            from = of_key.end;
            if let Some(several) = lines.several_currencies(of_key.clone()) {
                currencies.insert(rows.len(), several);
            }
            let (first, sum) = lines.sum(of_key)?;
            rows.push(first);
            sums.push(sum);
        }
        Ok(Self { period, firsts: lines.texts.of_rows(&rows), sums, currencies })
    }
}

/// The columns of `credit_lines` that the register is made from.
struct Lines<'a> {
    texts: Texts,
    usage_date: &'a Date32Array,
    amount: &'a Decimal128Array,
}

/// Those of text.
#[derive(Debug)]
struct Texts {
    credit_key: TextColumn,
    payer_account_id: TextColumn,
    account_id: TextColumn,
    description: TextColumn,
    currency: TextColumn,
    promotion_code: TextColumn,
    credit_account_id: TextColumn,
    owner_account_id: TextColumn,
    credit_id: TextColumn,
    credit_class: TextColumn,
}

impl<'a> Lines<'a> {
    fn new(lines: &'a RecordBatch) -> Result<Self, DetectError> {
        let texts = Texts {
            credit_key: text(lines, "credit_key")?,
            payer_account_id: text(lines, "payer_account_id")?,
            account_id: text(lines, "account_id")?,
            description: text(lines, "description")?,
            currency: text(lines, "currency")?,
            promotion_code: text(lines, "promotion_code")?,
            credit_account_id: text(lines, "credit_account_id")?,
            owner_account_id: text(lines, "owner_account_id")?,
            credit_id: text(lines, "credit_id")?,
            credit_class: text(lines, "credit_class")?,
        };
        Ok(Self { texts, usage_date: typed(lines, "usage_date")?, amount: typed(lines, "amount")? })
    }

    /// The earliest of a credit's lines, and what they add up to.
    fn sum(&self, rows: Range<usize>) -> Result<(usize, Sum), DetectError> {
        let mut first = rows.start;
        let (mut first_day, mut last_day) = (self.day(first)?, self.day(first)?);
        let mut aws_applied = Money::ZERO;
        for row in rows {
            let day = self.day(row)?;
            if day < first_day || (day == first_day && self.texts.place(row) < self.texts.place(first)) {
                (first, first_day) = (row, day);
            }
            last_day = last_day.max(day);
            let sum = Money::from_units(self.amount.value(row)).and_then(|amount| aws_applied.checked_sub(amount));
            aws_applied = sum.map_err(|source| money_error(value(&self.texts.credit_key, row), source))?;
        }
        Ok((first, Sum { first_day, last_day, aws_applied }))
    }

    fn day(&self, row: usize) -> Result<NaiveDate, DetectError> {
        let day = Date32Type::to_naive_date_opt(self.usage_date.value(row));
        day.ok_or_else(|| misfit("usage_date", "has a value out of range".to_owned()))
    }

    /// The currencies of a credit's lines, where there is more than one.
    fn several_currencies(&self, rows: Range<usize>) -> Option<BTreeSet<Text>> {
        let currency = &self.texts.currency;
        let is_one = rows.clone().all(|row| currency.code(row) == currency.code(rows.start));
        let all = (!is_one).then(|| rows.map(|row| Text::new(value(currency, row))).collect::<BTreeSet<_>>());
        all.filter(|currencies| currencies.len() > 1)
    }
}

impl Texts {
    /// The order in which a credit's lines of one day and period count as earlier.
    fn place(&self, row: usize) -> (&str, &str, Option<&str>) {
        (value(&self.payer_account_id, row), value(&self.account_id, row), self.description.get(row))
    }

    fn of_rows(&self, rows: &[usize]) -> Self {
        Self {
            credit_key: self.credit_key.of_rows(rows),
            payer_account_id: self.payer_account_id.of_rows(rows),
            account_id: self.account_id.of_rows(rows),
            description: self.description.of_rows(rows),
            currency: self.currency.of_rows(rows),
            promotion_code: self.promotion_code.of_rows(rows),
            credit_account_id: self.credit_account_id.of_rows(rows),
            owner_account_id: self.owner_account_id.of_rows(rows),
            credit_id: self.credit_id.of_rows(rows),
            credit_class: self.credit_class.of_rows(rows),
        }
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

pub(crate) fn money_error(key: &str, source: MoneyError) -> DetectError {
    DetectError::Money { credit_key: key.to_owned(), source }
}
