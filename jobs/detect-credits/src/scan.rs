//! One streaming pass over the files of some periods.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Date32Type, Decimal128Type, SchemaRef};
use arrow::record_batch::RecordBatch;
use credit_ledger::{BillingPeriod, Money};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::datasource::MemTable;
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::prelude::{DataFrame, SessionContext};
use futures::TryStreamExt;
use object_store::ObjectStore;
use schemas::reference::{Problem, Problems};
use schemas::tables::CreditLine;

use crate::census::CountedFile;
use crate::lines::{LineReader, Memo, Tally, schema};
use crate::{DetectError, plan};

/// How far a scan is, for whoever watches.
#[derive(Debug, Default)]
pub struct Progress {
    /// Lines read.
    pub lines: AtomicU64,
    /// Bytes of the parts that have been read.
    pub bytes: AtomicU64,
}

/// Files and the periods to take from them.
pub struct ScanUnit {
    /// Billing periods; lines of others are left alone.
    pub periods: Vec<BillingPeriod>,
    /// All files that hold any of them.
    pub files: Vec<CountedFile>,
}

/// The result: lines summed by all keys, and what was counted beside them.
pub struct Scanned {
    context: SessionContext,
    summed: DataFrame,
    /// Counts and sums straight from the lines.
    pub tally: Tally,
}

/// One part of one file, still to be read.
struct Part {
    file: Arc<CountedFile>,
    part: usize,
}

/// What all partitions of a scan share.
struct Shared {
    store: Arc<dyn ObjectStore>,
    reader: LineReader,
    periods: Vec<BillingPeriod>,
    parts: Mutex<VecDeque<Part>>,
    tally: Mutex<Tally>,
    failures: Mutex<Vec<DetectError>>,
    progress: Arc<Progress>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads a unit. Every bad file is reported, each at its first bad row, whatever the number of threads.
///
/// # Errors
/// [`DetectError::BadExport`] for bad files, [`DetectError::CountMismatch`] where lines read are not lines counted.
pub async fn scan(
    context: &SessionContext,
    store: &Arc<dyn ObjectStore>,
    reader: &LineReader,
    unit: &ScanUnit,
    threads: usize,
    progress: &Arc<Progress>,
) -> Result<Scanned, DetectError> {
    let parts = unit
        .files
        .iter()
        .cloned()
        .map(Arc::new)
        .flat_map(|file| file.open.parts().map(|part| Part { file: Arc::clone(&file), part }).collect::<Vec<_>>());
    let shared = Arc::new(Shared {
        store: Arc::clone(store),
        reader: reader.clone(),
        periods: unit.periods.clone(),
        parts: Mutex::new(parts.collect()),
        tally: Mutex::default(),
        failures: Mutex::default(),
        progress: Arc::clone(progress),
    });
    let partitions = (0..threads).map(|_| {
        let partition: Arc<dyn PartitionStream> = Arc::new(Lines { shared: Arc::clone(&shared), schema: schema() });
        partition
    });
    let table = StreamingTable::try_new(schema(), partitions.collect())?;
    let lines = context.read_table(Arc::new(table))?;
    let batches = plan::summed(lines)?.collect().await;
    let failures = std::mem::take(&mut *lock(&shared.failures));
    if let Some(failure) = worst(failures) {
        return Err(failure);
    }
    let tally = std::mem::take(&mut *lock(&shared.tally));
    check_counts(unit, &tally)?;
    let batches = batches?;
    let summed_schema = batches.first().map_or_else(schema, RecordBatch::schema);
    let summed = context.read_table(Arc::new(MemTable::try_new(summed_schema, vec![batches])?))?;
    Ok(Scanned { context: context.clone(), summed, tally })
}

/// All bad places as one error, in order of file; or the first failure of another kind.
fn worst(failures: Vec<DetectError>) -> Option<DetectError> {
    let mut first: BTreeMap<String, Problem> = BTreeMap::new();
    for failure in failures {
        match failure {
            DetectError::BadExport(problems) => {
                for problem in problems.0 {
                    let known = first.get(&problem.file);
                    if known.is_none_or(|known| problem.row < known.row) {
                        first.insert(problem.file.clone(), problem);
                    }
                }
            }
            other => return Some(other),
        }
    }
    (!first.is_empty()).then(|| Problems(first.into_values().collect()).into())
}

fn check_counts(unit: &ScanUnit, tally: &Tally) -> Result<(), DetectError> {
    for period in &unit.periods {
        let counted: u64 = unit.files.iter().filter_map(|file| file.census.get(period)).sum();
        let read: u64 = tally.totals.iter().filter(|((of, _), _)| of == period).map(|(_, (lines, _))| lines).sum();
        if counted != read {
            return Err(DetectError::CountMismatch(format!(
                "billing period {period}: {read} lines were read but {counted} were counted"
            )));
        }
    }
    Ok(())
}

/// One partition: takes parts until none is left.
struct Lines {
    shared: Arc<Shared>,
    schema: SchemaRef,
}

impl fmt::Debug for Lines {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Lines").field("periods", &self.shared.periods).finish_non_exhaustive()
    }
}

impl PartitionStream for Lines {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let state =
            Reading { shared: Arc::clone(&self.shared), memo: Memo::default(), tally: Tally::default(), open: None };
        let lines = futures::stream::try_unfold(state, |mut state| async move {
            Ok::<_, DataFusionError>(state.next().await.map(|batch| (batch, state)))
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), lines))
    }
}

/// A partition at work.
struct Reading {
    shared: Arc<Shared>,
    memo: Memo,
    tally: Tally,
    open: Option<(Part, crate::raw::RawStream)>,
}

impl Reading {
    /// The next lines; a part that fails is noted and left, so that other bad files are found too.
    async fn next(&mut self) -> Option<RecordBatch> {
        loop {
            match self.try_next().await {
                Ok(Some(batch)) => return Some(batch),
                Ok(None) => {
                    let tally = std::mem::take(&mut self.tally);
                    if let Err(error) = lock(&self.shared.tally).merge(tally) {
                        lock(&self.shared.failures).push(DetectError::CountMismatch(format!("export total: {error}")));
                    }
                    return None;
                }
                Err(failure) => {
                    self.open = None;
                    lock(&self.shared.failures).push(failure);
                }
            }
        }
    }

    async fn try_next(&mut self) -> Result<Option<RecordBatch>, DetectError> {
        loop {
            if self.open.is_none() {
                let Some(part) = lock(&self.shared.parts).pop_front() else { return Ok(None) };
                let projection = &part.file.layout.projection;
                let stream = part.file.open.read(&self.shared.store, part.part, projection).await?;
                self.open = Some((part, stream));
            }
            let Some((part, stream)) = &mut self.open else { continue };
            let Some(raw) = stream.try_next().await? else {
                let bytes = part.file.open.part_bytes(part.part);
                self.shared.progress.bytes.fetch_add(bytes, Ordering::Relaxed);
                self.open = None;
                continue;
            };
            self.shared.progress.lines.fetch_add(raw.rows as u64, Ordering::Relaxed);
            let (reader, periods) = (&self.shared.reader, &self.shared.periods);
            let path = &part.file.file().path;
            let batch = reader.read(path, &part.file.layout, &raw, periods, &mut self.memo, &mut self.tally)?;
            return Ok(Some(batch));
        }
    }
}

impl Scanned {
    /// `cost_lines` of one period.
    ///
    /// # Errors
    /// The plan's.
    pub fn cost_lines(&self, period: BillingPeriod) -> Result<DataFrame, DetectError> {
        Ok(plan::cost_lines(self.summed.clone(), &period.to_string())?)
    }

    /// `credit_lines` of one period, in order of the table's grain.
    ///
    /// # Errors
    /// The plan's.
    pub async fn credit_lines(&self, reader: &LineReader, period: BillingPeriod) -> Result<DataFrame, DetectError> {
        let batches = plan::credit_sums(self.summed.clone(), &period.to_string())?.collect().await?;
        let mut lines = Vec::new();
        for batch in &batches {
            lines.extend((0..batch.num_rows()).filter_map(|row| credit_line(reader, batch, row)));
        }
        lines.sort_by(|left: &CreditLine, right: &CreditLine| grain(left).cmp(&grain(right)));
        Ok(self.context.read_batch(schemas::to_batch(&lines)?)?)
    }
}

fn grain(line: &CreditLine) -> impl Ord + '_ {
    let place = (&line.payer_account_id, &line.account_id, &line.service);
    (&line.credit_key, line.usage_date, place, &line.currency, &line.description)
}

fn credit_line(reader: &LineReader, batch: &RecordBatch, row: usize) -> Option<CreditLine> {
    let text = |name: &str| {
        let column = batch.column_by_name(name)?.as_string_opt::<i32>()?;
        column.is_valid(row).then(|| column.value(row).to_owned())
    };
    let day = batch.column_by_name("usage_date")?.as_primitive_opt::<Date32Type>()?.value(row);
    let units = batch.column_by_name("aws_credits")?.as_primitive_opt::<Decimal128Type>()?.value(row);
    let (account_id, description) = (text("account_id")?, text("description"));
    let names = reader.descriptions.parse(description.as_deref());
    Some(CreditLine {
        credit_key: names.key(&account_id),
        usage_date: Date32Type::to_naive_date_opt(day)?,
        payer_account_id: text("payer_account_id")?,
        service: text("service"),
        currency: text("currency")?,
        credit_account_id: names.account(&account_id).to_owned(),
        account_id,
        description,
        promotion_code: names.promotion_code,
        owner_account_id: names.owner_account_id,
        credit_id: names.credit_id,
        credit_class: names.credit_class,
        amount: Money::from_units(units).ok()?,
    })
}
