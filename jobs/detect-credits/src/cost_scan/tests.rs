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

pub(crate) async fn stored(files: &[(&str, &str)]) -> Arc<dyn ObjectStore> {
    let store = InMemory::new();
    for (name, lines) in files {
        store.put(&Path::from(*name), format!("{HEADER}{lines}").into()).await.unwrap();
    }
    Arc::new(store)
}

pub(crate) async fn export() -> Arc<dyn ObjectStore> {
    stored(&FILES).await
}

/// A scan of all of May, and its files with their lines counted.
pub(crate) async fn input_of(store: &Arc<dyn ObjectStore>, partitions: usize) -> (ScanInput, Vec<CountedFile>) {
    input_of_periods(store, &["2026-05"], partitions).await
}

/// A scan of everything there of some billing periods, and its files with their lines counted.
pub(crate) async fn input_of_periods(
    store: &Arc<dyn ObjectStore>,
    periods: &[&str],
    partitions: usize,
) -> (ScanInput, Vec<CountedFile>) {
    let reader = Arc::new(LineReader::new(settings()).unwrap());
    let mut files = Vec::new();
    let mut listed: Vec<_> = store.list(None).try_collect().await.unwrap();
    listed.sort_by(|left, right| left.location.cmp(&right.location));
    for object in listed {
        let file = ExportFile::new(object.location.to_string(), object.size, String::new());
        files.push(count(store, &file, &reader).await.unwrap());
    }
    let periods = periods.iter().map(|period| period.parse().unwrap()).collect();
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
    let delivery = Delivery::of_each(std::iter::once(&file)).remove(0);
    let file = ScanFile::closed(file, vec!["another".to_owned()], delivery);
    let (reader, periods) = (Arc::new(LineReader::new(settings()).unwrap()), Vec::new());
    let parts = vec![vec![Part { file: 0, part: 0, bytes: 1 }]];
    let scan = CostScanExec::new(ScanInput { store, reader, periods, files: vec![file], parts });
    let session = SessionContext::new();
    let failure = collect(Arc::new(scan), session.task_ctx()).await.unwrap_err();
    assert!(failure.to_string().ends_with("may-1.csv: the export changed while it was read; try again"), "{failure}");
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

#[tokio::test]
async fn file_that_went_away_is_a_failure_and_no_row() {
    let store = export().await;
    let (mut input, _) = input_of(&store, 1).await;
    let gone = ExportFile::new("june.csv".to_owned(), 100, String::new());
    let delivery = Delivery::of_each(std::iter::once(&gone)).remove(0);
    input.files.push(ScanFile::closed(gone, Vec::new(), delivery));
    input.parts[0].insert(0, Part { file: 2, part: 0, bytes: 100 });
    let scan = CostScanExec::new(input);
    let failure = collect(Arc::new(scan), SessionContext::new().task_ctx()).await.unwrap_err();
    assert!(failure.to_string().ends_with("june.csv: the export changed while it was read; try again"), "{failure}");
}

#[tokio::test]
async fn bad_part_is_left_and_the_others_of_its_partition_are_read() {
    let bad = "2026-05-01,999999999999,1,2026-05-02,Usage,x,much,S,USD,AWS,\n";
    let store = stored(&[("a.csv", bad), ("b.csv", FILES[1].1)]).await;
    let (input, _) = input_of(&store, 1).await;
    let scan = Arc::new(CostScanExec::new(input));
    let rows = collect(Arc::clone(&scan) as _, SessionContext::new().task_ctx()).await.unwrap();
    let kinds: Vec<String> = rows
        .iter()
        .flat_map(|rows| {
            let columns = crate::scan_rows::RowColumns::new(rows).unwrap();
            (0..rows.num_rows()).map(|row| columns.kind(row).to_owned()).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(kinds, ["delivery", "invoice", "part", "problem", "total", "cost", "credit"]);
    // Of the bad file no line counts as read.
    let metrics = scan.metrics().unwrap();
    let sum = |name| metrics.sum_by_name(name).unwrap().as_usize();
    assert_eq!((sum(metric::LINES), sum(metric::PARTS)), (2, 2));
}

#[tokio::test]
async fn more_sums_than_a_partition_holds_are_handed_on_in_between_and_add_up() {
    let lines: String = (0..40_000)
        .map(|line| {
            let account = 100_000_000_000_u64 + line % 20_000;
            format!("2026-05-01,999999999999,{account},2026-05-02,Usage,x,0.25,AmazonEC2,USD,AWS,\n")
        })
        .collect();
    let store = stored(&[("may.csv", &lines)]).await;
    let (input, _) = input_of(&store, 1).await;
    let session = money_sql::session(2, Arc::default());
    let handed_on = collect(Arc::new(CostScanExec::new(input)), session.task_ctx()).await.unwrap();
    let handed_on: usize = handed_on.iter().map(RecordBatch::num_rows).sum();
    assert!((20_003..=40_003).contains(&handed_on), "{handed_on} rows: some sums come in two parts");
    let rows = collect(scan_of(&store, 1, &session).await, session.task_ctx()).await.unwrap();
    let (mut sums, mut total) = (0, 0);
    for batch in &rows {
        let columns = crate::scan_rows::RowColumns::new(batch).unwrap();
        for row in 0..batch.num_rows() {
            if columns.kind(row) == crate::scan_rows::kind::COST {
                assert_eq!((columns.lines(row), columns.unblended_charges.value(row)), (2, 5_000_000_000));
                sums += 1;
            } else {
                total += columns.unblended_charges.value(row);
            }
        }
    }
    assert_eq!((sums, total), (20_000, 100_000_000_000_000));
}

#[tokio::test]
async fn columns_that_a_plan_asks_for_come_in_its_order() {
    let session = money_sql::session(2, Arc::default());
    let (input, _) = input_of(&export().await, 1).await;
    let scan = session.read_table(Arc::new(CostScan(Arc::new(CostScanExec::new(input))))).unwrap();
    let rows = scan.select_columns(&["lines", "kind"]).unwrap().collect().await.unwrap();
    let names: Vec<_> = rows[0].schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["lines", "kind"]);
    assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 11);
}

#[tokio::test]
async fn partition_or_child_that_is_not_there_is_an_error() {
    let (input, _) = input_of(&export().await, 2).await;
    let scan = Arc::new(CostScanExec::new(input));
    let Err(none) = scan.execute(2, SessionContext::new().task_ctx()) else { panic!("there are two") };
    assert_eq!(none.strip_backtrace(), "Execution error: CostScanExec has no partition 2");
    let child: Arc<dyn ExecutionPlan> = Arc::clone(&scan) as _;
    assert!(scan.with_new_children(vec![child]).unwrap_err().to_string().contains("CostScanExec is a leaf"));
}
