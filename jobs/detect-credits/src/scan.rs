//! One streaming pass over the files of some periods.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use arrow::datatypes::SchemaRef;
use credit_ledger::BillingPeriod;
use cur_reader::listing::{ExportFile, stem};
use cur_reader::{RawStream, ReadError, bad_file, decoding, lock};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::common::spawn_buffered;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::prelude::SessionContext;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStore;
use schemas::reference::{Problem, Problems};

use crate::error::DetectError;
use crate::interner::StringInterner;
use crate::line_counts::CountedFile;
use crate::lines::{LineReader, LineState, PartReader, Tally, schema};
use crate::plan;
use crate::split_by_period::{CreditLines, OrderedSums};

/// How far a scan is, for whoever watches.
#[derive(Debug, Default)]
pub struct Progress {
    /// Bytes to read; 0 before reading begins.
    pub total_bytes: AtomicU64,
    /// Bytes of the parts that have been read.
    pub bytes: AtomicU64,
    /// Lines read.
    pub lines: AtomicU64,
    /// The billing periods at work.
    pub reading: Mutex<String>,
}

impl Progress {
    pub(crate) fn begin(&self, total_bytes: u64) {
        self.total_bytes.store(total_bytes, Ordering::Relaxed);
    }

    pub(crate) fn reads(&self, periods: String) {
        *lock(&self.reading) = periods;
    }
}

/// Files and the periods to take from them.
pub struct ScanUnit {
    /// Billing periods; lines of others are left alone.
    pub periods: Vec<BillingPeriod>,
    /// All files that hold any of them.
    pub files: Vec<CountedFile>,
}

/// The result: lines summed by all keys, in order, and what was counted beside them.
pub struct Scanned {
    /// Counts and sums straight from the lines.
    pub tally: Tally,
    cells: Arc<OrderedSums>,
}

impl Scanned {
    /// `cost_lines` of a period, in order of the table's grain, and its credit lines, known once those have been read
    /// off. Periods are read once, oldest first.
    #[must_use]
    pub fn of_period(&self, period: BillingPeriod) -> (SendableRecordBatchStream, CreditLines) {
        self.cells.of_period(period)
    }
}

/// One part of one file, still to be read.
struct Part {
    file: Arc<CountedFile>,
    part: usize,
}

/// What all partitions of a scan share.
struct Shared {
    store: Arc<dyn ObjectStore>,
    reader: Arc<LineReader>,
    names: Arc<StringInterner>,
    periods: Vec<BillingPeriod>,
    /// What delivered the files, in order.
    deliveries: Vec<Delivery>,
    parts: Mutex<VecDeque<Part>>,
    tally: Mutex<Tally>,
    failures: Mutex<Vec<DetectError>>,
    progress: Arc<Progress>,
}

/// Reads a unit. Every bad file is reported, each at its first bad row, whatever the number of threads.
///
/// # Errors
/// [`ReadError::BadExport`] for bad files, [`DetectError::CountMismatch`] where lines read are not lines counted.
pub async fn scan(
    context: &SessionContext,
    store: &Arc<dyn ObjectStore>,
    reader: &Arc<LineReader>,
    unit: &ScanUnit,
    threads: usize,
    progress: &Arc<Progress>,
) -> Result<Scanned, DetectError> {
    let mut parts: Vec<Part> = unit
        .files
        .iter()
        .cloned()
        .map(Arc::new)
        .flat_map(|file| file.open.parts().map(|part| Part { file: Arc::clone(&file), part }).collect::<Vec<_>>())
        .collect();
    // The largest come first: no thread is left alone with one at the end.
    parts.sort_by_key(|part| Reverse(part.file.open.part_bytes(part.part)));
    let deliveries = Delivery::all(unit);
    let names = Arc::new(StringInterner::new(&context.runtime_env().memory_pool));
    let shared = Arc::new(Shared {
        store: Arc::clone(store),
        reader: Arc::clone(reader),
        names: Arc::clone(&names),
        periods: unit.periods.clone(),
        deliveries: deliveries.clone(),
        parts: Mutex::new(parts.into()),
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
    // PartialSums are put in order on one thread while those before are read off on another.
    let mut cells = spawn_buffered(plan::final_sums(lines, &names)?.execute_stream().await?, 1);
    // Sums come only when every line has been read.
    let first = cells.next().await;
    let failures = std::mem::take(&mut *lock(&shared.failures));
    if let Some(failure) = worst(failures) {
        return Err(failure);
    }
    let tally = std::mem::take(&mut *lock(&shared.tally));
    check_counts(unit, &tally)?;
    check_deliveries(&tally, &deliveries)?;
    let cells = OrderedSums::new(first.transpose()?, cells, names, reader.descriptions.clone());
    Ok(Scanned { tally, cells: Arc::new(cells) })
}

/// All bad places as one error, in order of file; or the first failure of another kind.
fn worst(failures: Vec<DetectError>) -> Option<DetectError> {
    let mut first: BTreeMap<String, Problem> = BTreeMap::new();
    for failure in failures {
        match failure {
            DetectError::Read(ReadError::BadExport(problems)) => {
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
        let counted: u64 = unit.files.iter().filter_map(|file| file.line_counts.get(period)).sum();
        let read: u64 = tally.totals.iter().filter(|((of, _), _)| of == period).map(|(_, (lines, _))| lines).sum();
        if counted != read {
            let files = unit.files.iter().filter(|file| file.line_counts.contains_key(period));
            let files: Vec<&str> = files.map(|file| file.file().path.as_str()).collect();
            return Err(DetectError::CountMismatch(format!(
                "billing period {period}: {read} lines were read but {counted} were counted in {}",
                files.join(", ")
            )));
        }
    }
    Ok(())
}

/// What a bill may not come from twice: an export, or one of several files that have one name but for how it ends.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Delivery {
    export: String,
    file: Option<String>,
}

impl Delivery {
    /// Those of a unit, in order.
    fn all(unit: &ScanUnit) -> Vec<Self> {
        let all: BTreeSet<Self> = unit.files.iter().map(|file| Self::of(file.file(), unit.files.iter())).collect();
        all.into_iter().collect()
    }

    fn of<'a>(file: &ExportFile, files: impl Iterator<Item = &'a CountedFile>) -> Self {
        let alike = files.filter(|other| other.file().stem() == file.stem()).count();
        Self { export: file.export.clone(), file: (alike > 1).then(|| file.path.clone()) }
    }

    fn named(&self) -> &str {
        match &self.file {
            Some(file) => file,
            None if self.export.is_empty() => "the location itself",
            None => &self.export,
        }
    }
}

/// A bill that is delivered twice would count twice.
fn check_deliveries(tally: &Tally, deliveries: &[Delivery]) -> Result<(), DetectError> {
    for ((period, payer), places) in &tally.deliveries {
        let found: Vec<&Delivery> = places.iter().filter_map(|at| deliveries.get(*at)).collect();
        let Some((one, other)) = found.iter().enumerate().find_map(|(at, one)| {
            let twice = |other: &&&Delivery| {
                one.export != other.export || (stem_of(one).is_some() && stem_of(one) == stem_of(other))
            };
            found.iter().skip(at + 1).find(twice).map(|other| (one, other))
        }) else {
            continue;
        };
        let message = format!(
            "billing period {period} of payer {payer} is delivered here and in {} too: every line would count twice; move \
             one of them elsewhere, or set [source] location to one of them",
            other.named()
        );
        return Err(bad_file(one.named(), message).into());
    }
    Ok(())
}

fn stem_of(delivery: &Delivery) -> Option<&str> {
    delivery.file.as_deref().map(stem)
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
        let shared = Arc::clone(&self.shared);
        let cells = async_stream::try_stream! {
            let mut state = LineState::new(&shared.reader.rules, &shared.names);
            while let Some(part) = shared.next_part() {
                let file = &part.file;
                let periods = (&shared.periods[..], shared.delivery(file.file()));
                let mut lines =
                    PartReader::new(&shared.reader, &shared.names, &file.file().path, &file.layout, periods);
                let mut batches = shared.open(&part);
                loop {
                    match shared.read_batch(&mut batches, &mut lines, &mut state).await {
                        Ok(true) => {}
                        Ok(false) => break,
                        // A part that fails is noted and left, so that other bad files are found too.
                        Err(failure) => {
                            lock(&shared.failures).push(failure);
                            break;
                        }
                    }
                    if state.sums.are_many() {
                        for cells in state.sums.batches() {
                            yield cells?;
                        }
                        state.sums.clear();
                    }
                }
                shared.progress.bytes.fetch_add(file.open.part_bytes(part.part), Ordering::Relaxed);
            }
            shared.add(state.take_tally());
            for cells in state.sums.batches() {
                yield cells?;
            }
        };
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), cells))
    }
}

impl Shared {
    fn next_part(&self) -> Option<Part> {
        lock(&self.parts).pop_front()
    }

    /// What delivered a file, where there are several.
    fn delivery(&self, file: &ExportFile) -> Option<usize> {
        let is_of = |delivery: &Delivery| match &delivery.file {
            Some(path) => *path == file.path,
            None => delivery.export == file.export,
        };
        let several = self.deliveries.len() > 1;
        several.then(|| self.deliveries.iter().rposition(is_of)).flatten()
    }

    fn open(&self, part: &Part) -> RawStream {
        part.file.open.read(&self.store, part.part, &part.file.layout.projection)
    }

    /// Sums one batch of lines; false where none is left.
    async fn read_batch(
        &self,
        batches: &mut RawStream,
        lines: &mut PartReader<'_>,
        state: &mut LineState,
    ) -> Result<bool, DetectError> {
        let Some(batch) = batches.try_next().await? else { return Ok(false) };
        decoding(lines.file(), || lines.read(&batch, state))?;
        self.progress.lines.fetch_add(batch.rows as u64, Ordering::Relaxed);
        Ok(true)
    }

    fn add(&self, tally: Tally) {
        if let Err(error) = lock(&self.tally).merge(tally) {
            lock(&self.failures).push(DetectError::CountMismatch(format!("export total: {error}")));
        }
    }
}
