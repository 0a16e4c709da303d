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
        if children.is_empty() { Ok(self) } else { internal_err!("CostScanExec is a leaf") }
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
            while let Some(batch) = state.noting(batches.try_next().await).map_err(failed)?.flatten() {
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
pub(crate) mod tests {
    use credit_ledger::ExportPeriods;
    use datafusion::arrow::util::pretty::pretty_format_batches;
    use datafusion::physical_plan::{collect, displayable};
    use datafusion::prelude::SessionContext;
    use object_store::ObjectStoreExt;
    use object_store::memory::InMemory;
    use object_store::path::Path;
    use schemas::settings::{CostColumn, CreditSettings};

    use super::*;
    use crate::line_counts::count;
    use crate::lines::LineSettings;
    use crate::plan::final_sums;

    const HEADER: &str = "bill_billing_period_start_date,bill_payer_account_id,line_item_usage_account_id,\
line_item_usage_start_date,line_item_line_item_type,line_item_line_item_description,line_item_unblended_cost,\
line_item_product_code,line_item_currency_code,bill_billing_entity,bill_invoice_id\n";

    /// Two files of one month.
    const FILES: [(&str, &str); 2] = [
        (
            "may-1.csv",
            "2026-05-01,999999999999,111111111111,2026-05-02,Usage,BoxUsage,10,AmazonEC2,USD,AWS,INV-1\n\
             2026-05-01,999999999999,111111111111,2026-05-02,Usage,BoxUsage,0.5,AmazonEC2,USD,AWS,INV-1\n\
             2026-05-01,999999999999,7,2026-05-02,Mystery,?,,AmazonS3,USD,AWS,\n",
        ),
        (
            "may-2.csv",
            "2026-05-01,999999999999,111111111111,2026-05-02,Usage,BoxUsage,1,AmazonEC2,USD,AWS,INV-1\n\
             2026-05-01,999999999999,111111111111,2026-05-02,Credit,Pilot,-3,AmazonEC2,USD,AWS,INV-1\n",
        ),
    ];

    pub(crate) fn settings() -> LineSettings {
        LineSettings {
            periods: ExportPeriods::up_to("2027-06".parse().unwrap()),
            exports: Vec::new(),
            cost: CostColumn::Unblended,
            credits: CreditSettings::default(),
            rules: Vec::new(),
        }
    }

    async fn stored(files: &[(&str, &str)]) -> Arc<dyn ObjectStore> {
        let store = InMemory::new();
        for (name, lines) in files {
            store.put(&Path::from(*name), format!("{HEADER}{lines}").into()).await.unwrap();
        }
        Arc::new(store)
    }

    pub(crate) async fn export() -> Arc<dyn ObjectStore> {
        stored(&FILES).await
    }

    /// A scan of everything there, and its files with their lines counted.
    pub(crate) async fn input_of(store: &Arc<dyn ObjectStore>, partitions: usize) -> (ScanInput, Vec<CountedFile>) {
        let reader = Arc::new(LineReader::new(settings()).unwrap());
        let mut files = Vec::new();
        let mut listed: Vec<_> = store.list(None).try_collect().await.unwrap();
        listed.sort_by(|left, right| left.location.cmp(&right.location));
        for object in listed {
            let file = ExportFile::new(object.location.to_string(), object.size, String::new());
            files.push(count(store, &file, &reader).await.unwrap());
        }
        let periods = vec!["2026-05".parse().unwrap()];
        (ScanInput::new((Arc::clone(store), reader), periods, &files, partitions), files)
    }

    /// The plan of a scan of everything there.
    pub(crate) async fn scan_of(
        store: &Arc<dyn ObjectStore>,
        partitions: usize,
        session: &SessionContext,
    ) -> Arc<dyn ExecutionPlan> {
        let (input, _) = input_of(store, partitions).await;
        let scan = session.read_table(Arc::new(CostScan(Arc::new(CostScanExec::new(input))))).unwrap();
        final_sums(scan).unwrap().create_physical_plan().await.unwrap()
    }

    #[tokio::test]
    async fn lines_counts_and_notes_come_as_rows_whatever_the_partitions() {
        let store = export().await;
        let mut found = Vec::new();
        for partitions in [1, 2, 5] {
            let session = money_sql::session(partitions, Arc::default());
            let plan = scan_of(&store, partitions, &session).await;
            let rows = collect(plan, session.task_ctx()).await.unwrap();
            let shown = rows.iter().map(|batch| batch.project(&[1, 4, 5, 8, 12, 14, 15]).unwrap()).collect::<Vec<_>>();
            found.push(pretty_format_batches(&shown).unwrap().to_string());
        }
        insta::assert_snapshot!(found[0]);
        assert!(found.iter().all(|rows| *rows == found[0]));
    }

    #[tokio::test]
    async fn every_bad_file_is_a_row_at_its_first_bad_line() {
        let bad = "2026-05-01,999999999999,1,2026-05-02,Usage,x,much,S,USD,AWS,\n";
        let (first, second) = (format!("{}{bad}{bad}", FILES[1].1), format!("{bad}{}", FILES[1].1));
        let store = stored(&[("a.csv", &first), ("b.csv", &second)]).await;
        let session = money_sql::session(2, Arc::default());
        let rows = collect(scan_of(&store, 2, &session).await, session.task_ctx()).await.unwrap();
        let mut tally = crate::tally::Tally::default();
        tally.add(&rows[0].slice(0, 2)).unwrap();
        let problems: Vec<_> = tally.problems.values().map(ToString::to_string).collect();
        let expected = "column line_item_unblended_cost: \"much\" is not an amount (1234.56)";
        assert_eq!(problems, [format!("a.csv, row 4, {expected}"), format!("b.csv, row 2, {expected}")]);
    }

    #[tokio::test]
    async fn file_that_has_other_columns_than_when_it_was_listed_is_not_read() {
        let store = export().await;
        let size = (HEADER.len() + FILES[0].1.len()) as u64;
        let file = ExportFile::new("may-1.csv".to_owned(), size, String::new());
        let file = ScanFile::closed(file, vec!["another".to_owned()], None);
        let (reader, periods) = (Arc::new(LineReader::new(settings()).unwrap()), Vec::new());
        let parts = vec![vec![Part { file: 0, part: 0, bytes: 1 }]];
        let scan = CostScanExec::new(ScanInput { store, reader, periods, files: vec![file], parts });
        let session = SessionContext::new();
        let failure = collect(Arc::new(scan), session.task_ctx()).await.unwrap_err();
        assert!(
            failure.to_string().ends_with("may-1.csv: the export changed while it was read; try again"),
            "{failure}"
        );
    }

    #[tokio::test]
    async fn plan_shows_what_each_partition_reads() {
        let session = money_sql::session(2, Arc::default());
        let plan = scan_of(&export().await, 2, &session).await;
        insta::assert_snapshot!(displayable(&*plan).indent(true).to_string());
    }

    #[test]
    fn parts_are_dealt_out_evenly_and_always_alike() {
        let sizes = [5, 9, 1, 7, 3, 3];
        let parts: Vec<Part> =
            sizes.iter().enumerate().map(|(part, bytes)| Part { file: 0, part, bytes: *bytes }).collect();
        let bytes = |parts: &[Part]| parts.iter().map(|part| part.bytes).collect::<Vec<_>>();
        let dealt = dealt_out(parts.clone(), 2);
        assert_eq!(dealt.iter().map(|parts| bytes(parts)).collect::<Vec<_>>(), [vec![9, 3, 3], vec![7, 5, 1]]);
        assert_eq!(dealt, dealt_out(parts, 2));
        assert_eq!(dealt_out(Vec::new(), 3), [vec![]]);
    }
}
