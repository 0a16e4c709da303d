//! One streaming pass over the files of some billing periods.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::compute::sum;
use arrow::datatypes::{Decimal128Type, Int64Type};
use arrow::record_batch::RecordBatch;
use credit_ledger::BillingPeriod;
use datafusion::common::{DataFusionError, Result as PlanResult, exec_err};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::common::spawn_buffered;
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::SessionContext;
use futures::StreamExt;
use schemas::reference::Problems;
use schemas::tables::CreditLine;
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::cost_scan::{CostScan, CostScanExec, ScanInput};
use crate::credit_lines::credit_lines;
use crate::deliveries;
use crate::description::DescriptionParser;
use crate::engine::{Cut, EngineLost, ScanEngine};
use crate::error::DetectError;
use crate::line_counts::CountedFile;
use crate::plan;
use crate::progress::Progress;
use crate::scan_rows::{LINES, RowColumns, kind, schema};
use crate::tally::Tally;

/// A scan whose lines are all read: sums in order, one billing period after the other.
pub(crate) struct Scanned {
    rows: Arc<Mutex<OrderedRows>>,
    descriptions: DescriptionParser,
    plan: Arc<dyn ExecutionPlan>,
    is_elsewhere: bool,
}

/// What was found of a billing period.
pub(crate) struct ScannedPeriod {
    /// What was counted and summed straight from the files.
    pub(crate) tally: Tally,
    /// `credit_lines` in order of the table's grain.
    pub(crate) credit_lines: Vec<CreditLine>,
    /// `cost_lines` in order of the table's grain, beside other columns. They end in an error unless they hold all lines.
    pub(crate) cost_lines: SendableRecordBatchStream,
}

/// Runs a scan, here or `elsewhere`. Every bad file is reported, each at its first bad row, however it is cut into parts.
///
/// # Errors
/// [`ReadError::BadExport`](cur_reader::ReadError::BadExport) for bad files.
pub(crate) async fn scan(
    context: &SessionContext,
    input: ScanInput,
    progress: &Progress,
    elsewhere: Option<(&dyn ScanEngine, Cut)>,
) -> Result<Scanned, DetectError> {
    let descriptions = input.reader.descriptions.clone();
    let leaf = Arc::new(CostScanExec::new(input));
    let input = Arc::clone(&leaf.input);
    // Where parts wait for bytes there are more of them at work than threads to sum on.
    let most = elsewhere.map_or_else(|| context.state().config().target_partitions(), |(_, cut)| cut.sums);
    let context = money_sql::with_partitions(context, input.parts.len().min(most));
    let sums = plan::final_sums(context.read_table(Arc::new(CostScan(leaf)))?)?;
    let plan = sums.create_physical_plan().await?;
    let stream = match elsewhere {
        Some((engine, _)) => engine.run(Arc::clone(&plan), &context, &progress.watch_elsewhere()).await?,
        None => {
            progress.watch(&plan);
            execute_stream(Arc::clone(&plan), context.task_ctx())?
        }
    };
    // Rows are put in order on one thread while those before are written on another.
    let mut rows = OrderedRows { stream: spawn_buffered(stream, 1), next: None };
    // They come only when every line has been read.
    let Tally { problems, parts, .. } = rows.tally(None).await?;
    if !problems.is_empty() {
        return Err(Problems(problems.into_values().collect()).into());
    }
    let is_elsewhere = elsewhere.is_some();
    check_parts(&input, parts).map_err(|wrong| mismatch(wrong, is_elsewhere))?;
    Ok(Scanned { rows: Arc::new(Mutex::new(rows)), descriptions, plan, is_elsewhere })
}

/// Lines that are missing or there twice. Another engine may lose and repeat rows where a member of it is gone: a retry helps.
fn mismatch(wrong: String, is_elsewhere: bool) -> DetectError {
    if is_elsewhere { rows_lost(wrong).into() } else { DetectError::CountMismatch(wrong) }
}

fn rows_lost(wrong: String) -> DataFusionError {
    DataFusionError::External(Box::new(EngineLost(format!("the cluster has lost or repeated rows: {wrong}"))))
}

/// Refuses rows of a scan that did not read each part exactly once.
fn check_parts(input: &ScanInput, mut read: BTreeMap<String, u64>) -> Result<(), String> {
    let mut wrong = Vec::new();
    for part in input.parts.iter().flatten() {
        let times = read.remove(&part.name()).unwrap_or_default();
        let file = input.files.get(part.file).map_or("?", |file| file.file.path.as_str());
        if times != 1 {
            wrong.push(format!("part {} of {file} was read {times} times", part.part));
        }
    }
    wrong.extend(read.into_keys().map(|part| format!("part {part} was read and is none of the scan")));
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
}

impl Scanned {
    /// What was found of a period. Periods are taken oldest first, each read to its end before the next.
    ///
    /// # Errors
    /// [`DetectError::CountMismatch`] where lines read are not lines counted; [`ReadError`](cur_reader::ReadError) where a
    /// bill is delivered twice.
    pub(crate) async fn period(
        &self,
        period: BillingPeriod,
        files: &[CountedFile],
    ) -> Result<ScannedPeriod, DetectError> {
        let mut rows = Arc::clone(&self.rows).lock_owned().await;
        let tally = rows.tally(Some(period)).await?;
        check_counts(period, files, &tally).map_err(|wrong| mismatch(wrong, self.is_elsewhere))?;
        deliveries::check(period, &tally.deliveries)?;
        let mut credits = Vec::new();
        while let Some(batch) = rows.leading(Some(period), |kind| kind == kind::CREDIT).await? {
            credits.push(batch);
        }
        let credit_lines = credit_lines(&credits, &self.descriptions)?;
        let expected = Expected { lines: tally.lines(), credits: self.is_elsewhere.then(|| credits_of(&credits)) };
        let cost_lines = cost_lines(rows, period, expected);
        Ok(ScannedPeriod { tally, credit_lines, cost_lines })
    }

    /// The plan as it ran, with its metrics.
    pub(crate) fn explain_analyze(&self) -> String {
        DisplayableExecutionPlan::with_metrics(&*self.plan).indent(false).to_string()
    }
}

/// What the cost lines of a period must come to.
struct Expected {
    lines: u64,
    /// Credits in units of money, where another engine may have lost or repeated credit lines.
    credits: Option<i128>,
}

/// `cost_lines` of a period from the rows that come next.
fn cost_lines(
    mut rows: OwnedMutexGuard<OrderedRows>,
    period: BillingPeriod,
    expected: Expected,
) -> SendableRecordBatchStream {
    let batches = async_stream::try_stream! {
        let (mut lines, mut credits) = (0, 0_i128);
        while let Some(batch) = rows.leading(Some(period), |kind| kind == kind::COST).await? {
            lines += line_count(&batch);
            credits = credits.saturating_add(credits_of(std::slice::from_ref(&batch)));
            yield batch;
        }
        let Expected { lines: read, credits: wanted } = expected;
        let wrong = format!("billing period {period}: the cost lines are sums of {lines} lines but {read} were read");
        match wanted {
            None if lines != read => exec_err!("{wrong}")?,
            Some(_) if lines != read => Err(rows_lost(wrong))?,
            Some(wanted) if credits != wanted => {
                Err(rows_lost(format!("billing period {period}: credit lines and cost lines have other credits")))?;
            }
            _ => {}
        }
    };
    Box::pin(RecordBatchStreamAdapter::new(schema(), batches))
}

/// Credits that AWS applied, in units of money.
fn credits_of(rows: &[RecordBatch]) -> i128 {
    let of = |rows: &RecordBatch| sum(rows.column_by_name("aws_credits")?.as_primitive::<Decimal128Type>());
    rows.iter().filter_map(of).fold(0, i128::saturating_add)
}

fn line_count(rows: &RecordBatch) -> u64 {
    let lines = rows.column_by_name(LINES).and_then(|lines| sum(lines.as_primitive::<Int64Type>()));
    lines.and_then(|lines| u64::try_from(lines).ok()).unwrap_or_default()
}

/// The rows of a plan, taken from the front.
struct OrderedRows {
    stream: SendableRecordBatchStream,
    next: Option<RecordBatch>,
}

impl OrderedRows {
    /// The next rows of a period, as far as they are of wanted kinds and of one batch; `None` where none are left.
    async fn leading(
        &mut self,
        period: Option<BillingPeriod>,
        is_wanted: fn(&str) -> bool,
    ) -> PlanResult<Option<RecordBatch>> {
        let mut next = self.next.take();
        while next.as_ref().is_none_or(|batch| batch.num_rows() == 0) {
            next = self.stream.next().await.transpose()?;
            if next.is_none() {
                return Ok(None);
            }
        }
        let Some(batch) = next else { return Ok(None) };
        let rows = RowColumns::new(&batch)?.leading(period, is_wanted);
        if rows < batch.num_rows() {
            self.next = Some(batch.slice(rows, batch.num_rows() - rows));
        }
        Ok((rows > 0).then(|| batch.slice(0, rows)))
    }

    /// What was counted of a period; of none: what is wrong.
    async fn tally(&mut self, period: Option<BillingPeriod>) -> PlanResult<Tally> {
        let mut tally = Tally::default();
        while let Some(notes) = self.leading(period, |kind| ![kind::CREDIT, kind::COST].contains(&kind)).await? {
            tally.add(&notes)?;
        }
        Ok(tally)
    }
}

fn check_counts(period: BillingPeriod, files: &[CountedFile], tally: &Tally) -> Result<(), String> {
    let counted: u64 = files.iter().filter_map(|file| file.line_counts.get(&period)).sum();
    let read = tally.lines();
    if counted == read {
        return Ok(());
    }
    let files = files.iter().filter(|file| file.line_counts.contains_key(&period));
    let files: Vec<&str> = files.map(|file| file.file().path.as_str()).collect();
    let files = files.join(", ");
    Err(format!("billing period {period}: {read} lines were read but {counted} were counted in {files}"))
}

#[cfg(test)]
mod tests {
    use arrow::array::Decimal128Array;
    use futures::TryStreamExt;

    use super::*;
    use crate::cost_scan::tests::{export, input_of, input_of_periods, stored};

    async fn scanned(partitions: usize) -> (Scanned, Vec<CountedFile>) {
        let (input, files) = input_of(&export().await, partitions).await;
        let session = money_sql::session(partitions, Arc::default());
        (scan(&session, input, &Progress::default(), None).await.unwrap(), files)
    }

    #[tokio::test]
    async fn period_has_its_tally_credits_and_costs_whatever_the_partitions() {
        for partitions in [1, 2] {
            let (scanned, files) = scanned(partitions).await;
            let found = scanned.period("2026-05".parse().unwrap(), &files).await.unwrap();
            let (lines, total) = found.tally.totals["USD"];
            assert_eq!((lines, total.to_string(), found.tally.blank_costs), (5, "8.5000000000".to_owned(), 1));
            let credits: Vec<_> =
                found.credit_lines.iter().map(|line| (line.credit_key.as_str(), line.amount)).collect();
            assert_eq!(credits, [("code:Pilot@111111111111", "-3".parse().unwrap())]);
            let costs: Vec<RecordBatch> = found.cost_lines.try_collect().await.unwrap();
            let charges = |batch: &RecordBatch| -> Decimal128Array {
                batch.column_by_name("charges").unwrap().as_primitive::<Decimal128Type>().clone()
            };
            let charges: Vec<i128> = costs.iter().flat_map(|batch| charges(batch).values().to_vec()).collect();
            assert_eq!(charges, [115_000_000_000, 0]);
            assert!(scanned.explain_analyze().contains("parts_read=2"));
        }
    }

    #[tokio::test]
    async fn part_that_was_not_read_exactly_once_stops_the_job() {
        let (input, _) = input_of(&export().await, 2).await;
        let read = |parts: &[(&str, u64)]| parts.iter().map(|(part, times)| ((*part).to_owned(), *times)).collect();
        assert!(check_parts(&input, read(&[("0/0", 1), ("1/0", 1)])).is_ok());
        let wrong = check_parts(&input, read(&[("0/0", 2), ("7/7", 1)])).unwrap_err();
        assert_eq!(
            wrong,
            "part 0 of may-1.csv was read 2 times; part 0 of may-2.csv was read 0 times; part 7/7 was read and is none \
             of the scan"
        );
    }

    #[tokio::test]
    async fn lines_that_were_read_but_not_counted_stop_the_job() {
        let (scanned, mut files) = scanned(2).await;
        files[0].line_counts.insert("2026-05".parse().unwrap(), 4);
        let Err(failure) = scanned.period("2026-05".parse().unwrap(), &files).await else {
            panic!("3 lines are there")
        };
        assert_eq!(
            failure.to_string(),
            "billing period 2026-05: 5 lines were read but 6 were counted in may-1.csv, may-2.csv"
        );
    }

    #[tokio::test]
    async fn cost_lines_that_are_not_all_lines_end_in_an_error() {
        let period = "2026-05".parse().unwrap();
        let lost = "External error: the cluster has lost or repeated rows: ";
        let lines = "billing period 2026-05: the cost lines are sums of 5 lines but 6 were read";
        let credits = "billing period 2026-05: credit lines and cost lines have other credits";
        for (expected, said) in [
            (Expected { lines: 6, credits: None }, format!("Execution error: {lines}")),
            (Expected { lines: 6, credits: Some(0) }, format!("{lost}{lines}")),
            (Expected { lines: 5, credits: Some(1) }, format!("{lost}{credits}")),
        ] {
            let (scanned, _) = scanned(2).await;
            let mut rows = Arc::clone(&scanned.rows).lock_owned().await;
            rows.tally(Some(period)).await.unwrap();
            while rows.leading(Some(period), |kind| kind == kind::CREDIT).await.unwrap().is_some() {}
            let failure = cost_lines(rows, period, expected).try_collect::<Vec<_>>().await.unwrap_err();
            assert_eq!(failure.strip_backtrace(), said);
        }
    }

    fn line(period: &str, kind: &str, description: &str, cost: &str, currency: &str) -> String {
        format!(
            "{period}-01,999999999999,111111111111,{period}-02,{kind},{description},{cost},AmazonEC2,{currency},AWS,\n"
        )
    }

    /// Lines, totals by currency, credits and sums of costs of a period.
    async fn shown(scanned: &Scanned, files: &[CountedFile], period: &str) -> String {
        let found = scanned.period(period.parse().unwrap(), files).await.unwrap();
        let totals =
            found.tally.totals.iter().map(|(currency, (lines, total))| format!("{lines} of {total} {currency}"));
        let totals = totals.collect::<Vec<_>>().join(", ");
        let credits = found.credit_lines.iter().map(|line| format!("{} {}", line.promotion_code, line.amount));
        let credits = credits.collect::<Vec<_>>().join(", ");
        let costs: Vec<RecordBatch> = found.cost_lines.try_collect().await.unwrap();
        let costs: usize = costs.iter().map(RecordBatch::num_rows).sum();
        format!("{totals}; {credits}; {costs} cells")
    }

    #[tokio::test]
    async fn each_period_ties_out_by_itself_whatever_files_its_lines_are_in() {
        let april = [
            line("2026-04", "Usage", "x", "0.1", "USD"),
            line("2026-04", "Usage", "x", "0.2", "USD"),
            line("2026-04", "Credit", "Pilot", "-0.3", "USD"),
            line("2026-04", "Usage", "x", "7", "EUR"),
        ];
        let may = [line("2026-05", "Usage", "x", "10", "USD"), line("2026-05", "Credit", "Pilot", "-4", "USD")];
        let later = line("2026-06", "Usage", "x", "99", "USD");
        let mixed = [&april[0], &may[1], &later, &april[3]].map(String::as_str).concat();
        let others = [&may[0], &april[2], &april[1]].map(String::as_str).concat();
        for partitions in [1, 3] {
            let store = stored(&[("a.csv", &mixed), ("b.csv", &others)]).await;
            let (input, files) = input_of_periods(&store, &["2026-04", "2026-05"], partitions).await;
            let session = money_sql::session(partitions, Arc::default());
            let scanned = scan(&session, input, &Progress::default(), None).await.unwrap();
            assert_eq!(
                shown(&scanned, &files, "2026-04").await,
                "1 of 7.0000000000 EUR, 3 of 0.0000000000 USD; Pilot -0.3000000000; 2 cells"
            );
            assert_eq!(shown(&scanned, &files, "2026-05").await, "2 of 6.0000000000 USD; Pilot -4.0000000000; 1 cells");
        }
    }

    #[tokio::test]
    async fn bill_that_is_delivered_twice_is_found_by_its_payer() {
        let may = line("2026-05", "Usage", "x", "10", "USD");
        let other = may.replace("999999999999", "888888888888");
        let of = |name: &str| format!("{name}/data/BILLING_PERIOD=2026-05/x-1.csv");
        let (old, new, another) = (of("old"), of("new"), of("another"));
        let store = stored(&[(&old, &may), (&another, &other)]).await;
        let session = money_sql::session(2, Arc::default());
        let (input, files) = input_of(&store, 2).await;
        let scanned = scan(&session, input, &Progress::default(), None).await.unwrap();
        assert!(scanned.period("2026-05".parse().unwrap(), &files).await.is_ok(), "of two payers");
        let store = stored(&[(&old, &may), (&another, &other), (&new, &may)]).await;
        let (input, files) = input_of(&store, 2).await;
        let scanned = scan(&session, input, &Progress::default(), None).await.unwrap();
        let Err(failure) = scanned.period("2026-05".parse().unwrap(), &files).await else { panic!("it counts twice") };
        assert_eq!(
            failure.to_string(),
            "new: billing period 2026-05 of payer 999999999999 is delivered here and in old too: every line would count \
             twice; move one of them elsewhere, or set [source] location to one of them"
        );
    }

    #[tokio::test]
    async fn bad_files_are_refused_all_together_each_at_its_first_bad_line() {
        let good = line("2026-05", "Usage", "x", "10", "USD");
        let (much, more) = (line("2026-05", "Usage", "x", "much", "USD"), line("2026-05", "Tax", "x", "more", "USD"));
        let store = stored(&[("a.csv", &[&good[..], &much, &more].concat()), ("b.csv", &good), ("c.csv", &more)]).await;
        for partitions in [1, 2, 3] {
            let (input, _) = input_of(&store, partitions).await;
            let session = money_sql::session(partitions, Arc::default());
            let Err(failure) = scan(&session, input, &Progress::default(), None).await else { panic!("two are bad") };
            let column = "column line_item_unblended_cost";
            assert_eq!(
                failure.to_string(),
                format!(
                    "a.csv, row 3, {column}: \"much\" is not an amount (1234.56)\n\
                     c.csv, row 2, {column}: \"more\" is not an amount (1234.56)"
                )
            );
        }
    }
}
