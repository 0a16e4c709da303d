//! The leaf of the plan: reads parts of export files and hands on their lines, summed, as [rows](crate::scan_rows).
//!
//! A partition has a fixed list of parts. Nothing is shared between partitions: executed twice, here or elsewhere, one gives
//! the same rows. What was counted and what is wrong are rows too.

#[cfg(any(feature = "codec", test))]
mod codec;

use std::cmp::Reverse;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use credit_ledger::BillingPeriod;
use cur_reader::listing::ExportFile;
use cur_reader::{ReadError, decoding};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DataFusionError, Result, Statistics, exec_err, internal_err};
use datafusion::execution::memory_pool::MemoryPool;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_expr::expressions::col;
use datafusion::physical_expr::{EquivalenceProperties, Partitioning};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{BaselineMetrics, Count, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::{Stream, TryStreamExt};
use object_store::ObjectStore;
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;

#[cfg(any(feature = "codec", test))]
pub use codec::CostScanCodec;

use crate::deliveries::Delivery;
use crate::interner::StringInterner;
use crate::line_counts::{CountedFile, PeriodLineCounts};
use crate::lines::{LineReader, LineState, PartReader};
use crate::scan_rows::{notes_batch, schema};

/// Names of the metrics, per partition.
pub(crate) mod metric {
    pub(crate) const BYTES: &str = "bytes_read";
    pub(crate) const LINES: &str = "lines_read";
    pub(crate) const PARTS: &str = "parts_read";
}

/// One part of a file: a row group of Parquet, the whole of anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Part {
    /// Place of the file in the scan.
    pub(crate) file: usize,
    /// Number of the part in the file.
    pub(crate) part: usize,
    /// Bytes, as far as the file says.
    bytes: u64,
}

impl Part {
    /// What its row says.
    pub(crate) fn name(self) -> String {
        format!("{}/{}", self.file, self.part)
    }
}

/// A file of a scan: it is opened where it is read, unless it is open already.
pub(crate) struct ScanFile {
    pub(crate) file: ExportFile,
    /// Names of the columns that are read, as the file spells them.
    pub(crate) columns: Vec<String>,
    /// What delivered it.
    pub(crate) delivery: Delivery,
    open: OnceCell<CountedFile>,
}

impl ScanFile {
    /// A file that is not open.
    #[cfg(any(feature = "codec", test))]
    pub(crate) const fn closed(file: ExportFile, columns: Vec<String>, delivery: Delivery) -> Self {
        Self { file, columns, delivery, open: OnceCell::const_new() }
    }

    fn opened(counted: &CountedFile, delivery: Delivery) -> Self {
        let (file, columns) = (counted.file().clone(), counted.layout.projection.clone());
        Self { file, columns, delivery, open: OnceCell::new_with(Some(counted.clone())) }
    }

    async fn open(&self, input: &ScanInput) -> Result<&CountedFile, ReadError> {
        let open = async {
            let open = CountedFile::open(&input.store, &self.file, PeriodLineCounts::new(), &input.reader).await?;
            if open.layout.projection == self.columns {
                return Ok(open);
            }
            let message = format!("{}: the export changed while it was read; try again", self.file.path);
            Err(ReadError::NotYet(message))
        };
        self.open.get_or_try_init(|| open).await
    }
}

/// What a scan reads, and how.
pub(crate) struct ScanInput {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) reader: Arc<LineReader>,
    /// Billing periods; lines of others are left alone.
    pub(crate) periods: Vec<BillingPeriod>,
    pub(crate) files: Vec<ScanFile>,
    /// By partition.
    pub(crate) parts: Vec<Vec<Part>>,
}

impl ScanInput {
    /// All parts of `files`, dealt out to at most `partitions` partitions of about as many bytes.
    pub(crate) fn new(
        (store, reader): (Arc<dyn ObjectStore>, Arc<LineReader>),
        periods: Vec<BillingPeriod>,
        files: &[CountedFile],
        partitions: usize,
    ) -> Self {
        let deliveries = Delivery::of_each(files.iter().map(CountedFile::file));
        let parts = files.iter().enumerate().flat_map(|(file, counted)| {
            counted.open.parts().map(move |part| Part { file, part, bytes: counted.open.part_bytes(part) })
        });
        let parts = dealt_out(parts.collect(), partitions);
        let files = files.iter().zip(deliveries).map(|(file, delivery)| ScanFile::opened(file, delivery)).collect();
        Self { store, reader, periods, files, parts }
    }
}

/// Deals parts out, the largest first, each to the partition that has the fewest bytes.
fn dealt_out(mut parts: Vec<Part>, partitions: usize) -> Vec<Vec<Part>> {
    parts.sort_by_key(|part| Reverse(part.bytes));
    let mut dealt = vec![(0_u64, Vec::new()); partitions.min(parts.len()).max(1)];
    for part in parts {
        if let Some((bytes, parts)) = dealt.iter_mut().min_by_key(|(bytes, parts)| (*bytes, parts.len())) {
            *bytes = bytes.saturating_add(part.bytes);
            parts.push(part);
        }
    }
    dealt.into_iter().map(|(_, parts)| parts).collect()
}

/// The scan as a leaf of physical plans.
pub(crate) struct CostScanExec {
    pub(crate) input: Arc<ScanInput>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl CostScanExec {
    pub(crate) fn new(input: ScanInput) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema()),
            Partitioning::UnknownPartitioning(input.parts.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        let (input, properties) = (Arc::new(input), Arc::new(properties));
        Self { input, properties, metrics: ExecutionPlanMetricsSet::new() }
    }

    /// How far the scan is, for whoever watches.
    pub(crate) const fn live_metrics(&self) -> &ExecutionPlanMetricsSet {
        &self.metrics
    }
}

impl fmt::Debug for CostScanExec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ScanInput { periods, files, parts, .. } = &*self.input;
        formatter
            .debug_struct("CostScanExec")
            .field("periods", periods)
            .field("files", &files.len())
            .field("parts", parts)
            .finish()
    }
}

impl DisplayAs for CostScanExec {
    fn fmt_as(&self, kind: DisplayFormatType, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ScanInput { periods, files, parts, .. } = &*self.input;
        let periods: Vec<String> = periods.iter().map(ToString::to_string).collect();
        let counts: Vec<String> = parts.iter().map(|parts| parts.len().to_string()).collect();
        let (periods, counts) = (periods.join(", "), counts.join(", "));
        if kind == DisplayFormatType::TreeRender {
            return write!(formatter, "periods={periods}\nfiles={}\nparts={counts}", files.len());
        }
        write!(formatter, "CostScanExec: periods=[{periods}], files={}, parts=[{counts}]", files.len())?;
        if kind == DisplayFormatType::Verbose {
            let paths: Vec<&str> = files.iter().map(|file| file.file.path.as_str()).collect();
            write!(formatter, ", paths=[{}]", paths.join(", "))?;
        }
        Ok(())
    }
}

impl ExecutionPlan for CostScanExec {
    fn name(&self) -> &'static str {
        "CostScanExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        if !children.is_empty() {
            return internal_err!("CostScanExec is a leaf");
        }
        // An executor that runs several partitions makes a plan for each in this way: each has metrics of its own.
        let (input, properties) = (Arc::clone(&self.input), Arc::clone(&self.properties));
        Ok(Arc::new(Self { input, properties, metrics: ExecutionPlanMetricsSet::new() }))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn partition_statistics(&self, _partition: Option<usize>) -> Result<Arc<Statistics>> {
        Ok(Arc::new(Statistics::new_unknown(&self.schema())))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let Some(parts) = self.input.parts.get(partition).cloned() else {
            return exec_err!("CostScanExec has no partition {partition}");
        };
        let (input, counts) = (Arc::clone(&self.input), Counts::new(&self.metrics, partition));
        let rows = scanned(input, parts, counts, Arc::clone(context.memory_pool()));
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema(), rows)))
    }
}

/// The rows of some parts. A part that is bad is noted and left, so that other bad files are found too.
fn scanned(
    input: Arc<ScanInput>,
    parts: Vec<Part>,
    counts: Counts,
    pool: Arc<dyn MemoryPool>,
) -> impl Stream<Item = Result<RecordBatch>> {
    async_stream::try_stream! {
        let names = StringInterner::new(&pool);
        let mut state = LineState::new(&input.reader.rules, &names);
        for part in parts {
            let file = match input.files.get(part.file) {
                Some(file) => file,
                None => exec_err!("CostScanExec has no file {}", part.file)?,
            };
            let Some(CountedFile { open, layout, .. }) = state.noting(file.open(&input).await).map_err(failed)? else {
                continue;
            };
            let of = (&open.file.path[..], &**layout);
            let mut lines =
                PartReader::new(&input.reader, &names, of, (&input.periods, (part.file, &file.delivery)));
            let mut batches = open.read(&input.store, part.part, &layout.projection);
            while let Some(batch) = state.noting(batches.try_next().await).map_err(failed)? {
                let Some(batch) = batch else {
                    state.has_read(part.name());
                    break;
                };
                let read = decoding(&open.file.path, || lines.read(&batch, &mut state));
                if state.noting(read).map_err(failed)?.is_none() {
                    break;
                }
                counts.lines.add(batch.rows);
                if state.sums.are_many() {
                    for sums in state.sums.batches(&names) {
                        yield counts.handed_on(sums?);
                    }
                    state.sums.clear();
                }
            }
            counts.parts.add(1);
            counts.bytes.add(usize::try_from(part.bytes).unwrap_or_default());
        }
        let notes = state.take_notes().map_err(|error| DataFusionError::External(error.into()))?;
        yield counts.handed_on(notes_batch(&notes)?);
        for sums in state.sums.batches(&names) {
            yield counts.handed_on(sums?);
        }
    }
}

/// A failure of storage, told as it is.
fn failed(failure: ReadError) -> DataFusionError {
    DataFusionError::External(Box::new(failure))
}

/// The metrics of a partition.
struct Counts {
    baseline: BaselineMetrics,
    bytes: Count,
    lines: Count,
    parts: Count,
}

impl Counts {
    fn new(metrics: &ExecutionPlanMetricsSet, partition: usize) -> Self {
        let count = |name| MetricBuilder::new(metrics).counter(name, partition);
        let (bytes, lines, parts) = (count(metric::BYTES), count(metric::LINES), count(metric::PARTS));
        Self { baseline: BaselineMetrics::new(metrics, partition), bytes, lines, parts }
    }

    fn handed_on(&self, rows: RecordBatch) -> RecordBatch {
        self.baseline.record_output(rows.num_rows());
        rows
    }
}

/// The scan as a table of [rows](crate::scan_rows).
#[derive(Debug)]
pub(crate) struct CostScan(pub(crate) Arc<CostScanExec>);

#[async_trait]
impl TableProvider for CostScan {
    fn schema(&self) -> SchemaRef {
        schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        _session: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let rows: Arc<dyn ExecutionPlan> = Arc::clone(&self.0) as _;
        let (schema, Some(projection)) = (schema(), projection) else { return Ok(rows) };
        if projection.iter().copied().eq(0..schema.fields().len()) {
            return Ok(rows);
        }
        let names = projection.iter().filter_map(|at| schema.fields().get(*at)).map(|field| field.name());
        let columns = names.map(|name| Ok((col(name, &schema)?, name.clone())));
        Ok(Arc::new(ProjectionExec::try_new(columns.collect::<Result<Vec<_>>>()?, rows)?))
    }
}

#[cfg(test)]
pub(crate) mod tests;
