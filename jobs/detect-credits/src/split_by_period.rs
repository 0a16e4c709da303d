//! The cells of a scan in order, read off once: cost lines and credit lines of one period after the other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Date32Array, Decimal128Array, UInt32Array};
use arrow::datatypes::{Date32Type, Decimal128Type, SchemaRef, UInt32Type};
use arrow::record_batch::RecordBatch;
use credit_ledger::{BillingPeriod, Money, Text};
use cur_reader::lock;
use datafusion::common::{DataFusionError, Result, exec_err};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;
use schemas::TableRow;
use schemas::tables::{CostLine, CreditLine};
use tokio::sync::oneshot;

use crate::description::{CreditNames, DescriptionParser};
use crate::error::DetectError;
use crate::interner::StringInterner;
use crate::lines::{MEASURES, Measures};

/// Descriptions remembered. Forgotten when they grow many: they are parsed again.
const PARSED: usize = 65_536;

/// PartialSums in order of period, day, payer, account, service, currency, rule; then, on credit lines, description.
pub(crate) struct OrderedSums {
    source: tokio::sync::Mutex<Source>,
    names: Arc<StringInterner>,
    descriptions: DescriptionParser,
    /// What descriptions say, by their place in the order of all texts.
    parsed: Mutex<HashMap<Option<u32>, CreditNames>>,
}

struct Source {
    stream: SendableRecordBatchStream,
    next: Option<RecordBatch>,
}

/// The texts of a cell, as places in the order of all texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct CostKey {
    usage_date: i32,
    payer: u32,
    account: u32,
    service: Option<u32>,
    currency: u32,
    rule: Option<u32>,
}

/// The columns of a batch.
struct Rows<'a> {
    period: &'a Date32Array,
    usage_date: &'a Date32Array,
    payer: &'a UInt32Array,
    account: &'a UInt32Array,
    service: &'a UInt32Array,
    currency: &'a UInt32Array,
    rule: &'a UInt32Array,
    is_credit: &'a BooleanArray,
    description: &'a UInt32Array,
    measures: Vec<&'a Decimal128Array>,
}

impl<'a> Rows<'a> {
    fn new(batch: &'a RecordBatch) -> Result<Self> {
        let column = |name: &str| match batch.column_by_name(name) {
            Some(column) => Ok(column),
            None => exec_err!("the cells have no column {name}"),
        };
        let text = |name: &str| Ok::<_, DataFusionError>(column(name)?.as_primitive::<UInt32Type>());
        let money = |name: &&str| Ok::<_, DataFusionError>(column(name)?.as_primitive::<Decimal128Type>());
        Ok(Self {
            period: column("billing_period")?.as_primitive::<Date32Type>(),
            usage_date: column("usage_date")?.as_primitive::<Date32Type>(),
            payer: text("payer_account_id")?,
            account: text("account_id")?,
            service: text("service")?,
            currency: text("currency")?,
            rule: text("rule_id")?,
            is_credit: column("is_credit")?.as_boolean(),
            description: text("description")?,
            measures: MEASURES.iter().map(money).collect::<Result<_>>()?,
        })
    }

    fn key(&self, row: usize) -> CostKey {
        let some = |column: &UInt32Array| column.is_valid(row).then(|| column.value(row));
        CostKey {
            usage_date: self.usage_date.value(row),
            payer: self.payer.value(row),
            account: self.account.value(row),
            service: some(self.service),
            currency: self.currency.value(row),
            rule: some(self.rule),
        }
    }

    fn units(&self, row: usize) -> [i128; Measures::COUNT] {
        let mut units = [0; Measures::COUNT];
        for (units, column) in units.iter_mut().zip(&self.measures) {
            *units = column.value(row);
        }
        units
    }
}

/// Cost lines as columns; the last one may still grow.
#[derive(Default)]
struct CostLines {
    keys: Vec<CostKey>,
    units: Vec<[i128; Measures::COUNT]>,
}

impl CostLines {
    fn add(&mut self, key: CostKey, units: [i128; Measures::COUNT]) -> Result<()> {
        if self.keys.last() != Some(&key) {
            self.keys.push(key);
            self.units.push(units);
        } else if let Some(sums) = self.units.last_mut() {
            for (sum, units) in sums.iter_mut().zip(units) {
                let total = sum.checked_add(units).and_then(|sum| Money::from_units(sum).ok());
                match total {
                    Some(total) => *sum = total.units(),
                    None => return exec_err!("SUM of money overflows {} digits", Money::PRECISION),
                }
            }
        }
        Ok(())
    }

    /// All lines that are complete.
    fn take(&mut self, are_all: bool) -> Self {
        let complete = if are_all { self.keys.len() } else { self.keys.len().saturating_sub(1) };
        let rest = Self { keys: self.keys.split_off(complete), units: self.units.split_off(complete) };
        std::mem::replace(self, rest)
    }

    fn batch(&self, names: &StringInterner, schema: &SchemaRef) -> Result<RecordBatch> {
        let text = |of: fn(&CostKey) -> Option<u32>| -> Result<ArrayRef> {
            let ranks: UInt32Array = self.keys.iter().map(of).collect();
            Ok(Arc::new(names.texts(&ranks)?))
        };
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(Date32Array::from_iter_values(self.keys.iter().map(|key| key.usage_date))),
            text(|key| Some(key.payer))?,
            text(|key| Some(key.account))?,
            text(|key| key.service)?,
            text(|key| Some(key.currency))?,
            text(|key| key.rule)?,
        ];
        for measure in 0..Measures::COUNT {
            let units = self.units.iter().map(|units| units.get(measure).copied().unwrap_or_default());
            let amounts = Decimal128Array::from_iter_values(units);
            columns.push(Arc::new(amounts.with_precision_and_scale(Money::PRECISION, Money::SCALE)?));
        }
        let columns = columns.iter().zip(schema.fields());
        let columns = columns.map(|(column, field)| Ok(arrow::compute::cast(column, field.data_type())?));
        Ok(RecordBatch::try_new(Arc::clone(schema), columns.collect::<Result<_>>()?)?)
    }
}

impl OrderedSums {
    pub(crate) fn new(
        first: Option<RecordBatch>,
        stream: SendableRecordBatchStream,
        names: Arc<StringInterner>,
        descriptions: DescriptionParser,
    ) -> Self {
        let source = tokio::sync::Mutex::new(Source { stream, next: first });
        Self { source, names, descriptions, parsed: Mutex::default() }
    }

    /// `cost_lines` of a period, in order of the table's grain, and its credit lines, known once those have been read off.
    /// Periods come oldest first.
    pub(crate) fn of_period(self: &Arc<Self>, period: BillingPeriod) -> (SendableRecordBatchStream, CreditLines) {
        let schema = CostLine::TABLE.schema();
        let first_day = Date32Type::from_naive_date(period.first_day());
        let cells = Arc::clone(self);
        let of_schema = Arc::clone(&schema);
        let (read_off, credits) = oneshot::channel();
        let batches = async_stream::try_stream! {
            let (mut lines, mut credits) = (CostLines::default(), Vec::new());
            let mut source = cells.source.lock().await;
            while let Some(batch) = source.of_period(first_day).await? {
                cells.read_off(&batch, &mut lines, &mut credits)?;
                yield lines.take(false).batch(&cells.names, &of_schema)?;
            }
            // Nobody may want them.
            let _unwanted = read_off.send(credits);
            yield lines.take(true).batch(&cells.names, &of_schema)?;
        };
        (Box::pin(RecordBatchStreamAdapter::new(schema, batches)), CreditLines(credits))
    }

    fn read_off(&self, batch: &RecordBatch, lines: &mut CostLines, credits: &mut Vec<CreditLine>) -> Result<()> {
        let rows = Rows::new(batch)?;
        for row in 0..batch.num_rows() {
            let (key, units) = (rows.key(row), rows.units(row));
            lines.add(key, units)?;
            if rows.is_credit.value(row) {
                let description = rows.description.is_valid(row).then(|| rows.description.value(row));
                credits.push(self.credit_line(key, description, units)?);
            }
        }
        Ok(())
    }

    fn credit_line(
        &self,
        key: CostKey,
        description: Option<u32>,
        units: [i128; Measures::COUNT],
    ) -> Result<CreditLine> {
        let text = |rank: u32| match self.names.text(rank) {
            Some(text) => Ok(Text::new(text)),
            None => exec_err!("a cell has no text {rank}"),
        };
        let some_text = |rank: Option<u32>| rank.map(text).transpose();
        let (account_id, rank) = (text(key.account)?, description);
        let description = some_text(rank)?;
        let mut parsed = lock(&self.parsed);
        if parsed.len() >= PARSED {
            parsed.clear();
        }
        let names = parsed.entry(rank).or_insert_with(|| self.descriptions.parse(description.as_deref())).clone();
        let [_, _, _, aws_credits, ..] = units;
        let Some(usage_date) = Date32Type::to_naive_date_opt(key.usage_date) else {
            return exec_err!("a cell has no day");
        };
        Ok(CreditLine {
            credit_key: names.key(&account_id),
            usage_date,
            payer_account_id: text(key.payer)?,
            service: some_text(key.service)?,
            currency: text(key.currency)?,
            credit_account_id: names.account(&account_id).clone(),
            account_id,
            description,
            promotion_code: names.promotion_code,
            owner_account_id: names.owner_account_id,
            credit_id: names.credit_id,
            credit_class: names.credit_class,
            amount: Money::from_units(aws_credits).map_err(|error| DataFusionError::External(error.into()))?,
        })
    }
}

/// The credit lines of a period that is being read off.
pub struct CreditLines(oneshot::Receiver<Vec<CreditLine>>);

impl CreditLines {
    /// `credit_lines` in order of the table's grain, once the cost lines of the period have been read off.
    ///
    /// # Errors
    /// Where a sum leaves the range of money, or the cost lines were not read to their end.
    pub async fn read(self) -> Result<Vec<CreditLine>, DetectError> {
        let Ok(mut credits) = self.0.await else { return Err(unread().into()) };
        credits.sort_by(|left, right| grain(left).cmp(&grain(right)));
        // Credit lines have no rule: lines of one cell under two rules are one.
        let mut lines: Vec<CreditLine> = Vec::with_capacity(credits.len());
        for line in credits {
            match lines.last_mut() {
                Some(last) if grain(last) == grain(&line) => {
                    let sum = last.amount.checked_add(line.amount);
                    last.amount = sum.map_err(|error| DataFusionError::External(error.into()))?;
                }
                _ => lines.push(line),
            }
        }
        Ok(lines)
    }
}

fn unread() -> DataFusionError {
    DataFusionError::Execution("the cost lines of a period were not read to their end".to_owned())
}

fn grain(line: &CreditLine) -> impl Ord + '_ {
    let place = (&line.payer_account_id, &line.account_id, &line.service);
    (&line.credit_key, line.usage_date, place, &line.currency, &line.description)
}

impl Source {
    /// The next rows of a period.
    async fn of_period(&mut self, first_day: i32) -> Result<Option<RecordBatch>> {
        let batch = match self.next.take() {
            Some(batch) => batch,
            None => match self.stream.next().await.transpose()? {
                Some(batch) => batch,
                None => return Ok(None),
            },
        };
        let rows = Rows::new(&batch)?.period.values().partition_point(|day| *day <= first_day);
        if rows < batch.num_rows() {
            self.next = Some(batch.slice(rows, batch.num_rows() - rows));
        }
        Ok((rows > 0).then(|| batch.slice(0, rows)))
    }
}
