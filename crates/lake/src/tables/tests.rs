use arrow::array::{AsArray, StringArray};
use arrow::compute::concat_batches;
use arrow::datatypes::Int32Type;
use credit_ledger::Money;
use datafusion::prelude::lit;
use futures::TryStreamExt;
use object_store::memory::InMemory;
use parquet::arrow::ArrowWriter;
use schemas::tables::{CreditBalance, CreditImpact, RuleRead};

use super::*;
use crate::testing::{Refusing, cut, impact, on_store, opened, rule, told};

#[tokio::test(flavor = "multi_thread")]
async fn amount_that_a_file_of_an_older_version_lacks_is_zero_in_sql() {
    let folder = tempfile::tempdir().unwrap();
    let lake = opened(folder.path()).await;
    let balance = CreditBalance {
        credit_key: "k".into(),
        lot: 1,
        promotion_code: "P".into(),
        account_id: "1".into(),
        currency: "USD".into(),
        business_unit: Some("A".into()),
        department: None,
        portfolio: None,
        product: None,
        issue_date: "2026-01-31".parse().unwrap(),
        end_date: None,
        opening: Money::ZERO,
        issued: "5".parse().unwrap(),
        moved: Money::ZERO,
        used: Money::ZERO,
        expired: Money::ZERO,
        remaining: "5".parse().unwrap(),
        aws_applied: Money::ZERO,
    };
    let mut older = schemas::to_batch(std::slice::from_ref(&balance)).unwrap();
    older.remove_column(older.schema().index_of("moved").unwrap());
    std::fs::create_dir(folder.path().join("older")).unwrap();
    let file = std::fs::File::create(folder.path().join("older/part-0.parquet")).unwrap();
    let mut writer = ArrowWriter::try_new(file, older.schema(), None).unwrap();
    writer.write(&older).unwrap();
    writer.close().unwrap();
    let context = SessionContext::new();
    lake.register_with(&context).unwrap();
    let frame = lake.store.frame(&context, &Path::from("older"), &CreditBalance::TABLE, false).await.unwrap();
    let found = frame.filter(col("moved").eq(lit(0))).unwrap().collect().await.unwrap();
    let found = concat_batches(&found[0].schema(), &found).unwrap();
    assert_eq!(found.schema().fields(), CreditBalance::TABLE.schema().fields());
    assert_eq!(schemas::from_batches::<CreditBalance>(&[found]).unwrap(), [balance]);
}

fn rules(count: usize) -> Vec<RuleRead> {
    (0..count).map(|number| rule(&format!("{number:06}"))).collect()
}

/// Rows as a plan might cut them: in batches of these sizes, the last of which holds the rest.
fn in_batches(rows: &[RuleRead], sizes: &[usize]) -> SendableRecordBatchStream {
    let whole = schemas::to_batch(rows).unwrap();
    let (mut batches, mut at) = (Vec::new(), 0);
    for size in sizes.iter().copied().chain([rows.len()]) {
        let size = size.min(rows.len() - at);
        batches.push(Ok(whole.slice(at, size)));
        at += size;
    }
    Box::pin(RecordBatchStreamAdapter::new(whole.schema(), futures::stream::iter(batches)))
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_of_a_file_are_the_same_however_a_plan_cuts_its_rows() {
    let folder = tempfile::tempdir().unwrap();
    let store = opened(folder.path()).await.store.clone();
    let rows = rules(20_000);
    let mut sums = Vec::new();
    for (name, sizes) in [("whole", vec![]), ("thousands", vec![1000; 20]), ("uneven", vec![1, 8191, 8193, 0, 3000])] {
        let sum = store.write_stream(&Path::from(name), &RuleRead::TABLE, in_batches(&rows, &sizes)).await.unwrap();
        assert_eq!(store.read_rows::<RuleRead>(&Path::from(name)).await.unwrap(), rows, "{name}");
        let bytes = std::fs::read(folder.path().join(name).join("part-0.parquet")).unwrap();
        assert_eq!((sum.size, sum.xxh64, sum.rows), (bytes.len() as u64, crate::sums::xxh64(&bytes), 20_000));
        sums.push(sum);
    }
    assert!(sums.windows(2).all(|pair| pair[0] == pair[1]), "{sums:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_more_than_one_row_group_come_back_whole_by_every_way() {
    let folder = tempfile::tempdir().unwrap();
    let (store, place) = (opened(folder.path()).await.store.clone(), Path::from("many"));
    let rows = rules(ROWS_PER_GROUP + 5);
    store.write_rows(&place, &rows).await.unwrap();
    assert_eq!(store.read_rows::<RuleRead>(&place).await.unwrap(), rows);
    let streamed: Vec<RecordBatch> = store.read_stream(&place).await.unwrap().try_collect().await.unwrap();
    assert_eq!(schemas::from_batches::<RuleRead>(&streamed).unwrap(), rows);
    let ids = store.read_texts(&place, &RuleRead::TABLE, "rule_id").await.unwrap();
    assert_eq!((ids.len(), ids.last().unwrap().as_str()), (rows.len(), rows.last().unwrap().rule_id.as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn text_that_comes_often_is_read_as_numbers_and_the_sole_key_as_text() {
    let folder = tempfile::tempdir().unwrap();
    let (store, place) = (opened(folder.path()).await.store.clone(), Path::from("coded"));
    store.write_rows(&place, &rules(3)).await.unwrap();
    let batches: Vec<RecordBatch> =
        store.read_coded_stream(&place, &RuleRead::TABLE).await.unwrap().try_collect().await.unwrap();
    let keys: Vec<_> = batches[0].column_by_name("rule_id").unwrap().as_string::<i32>().iter().flatten().collect();
    assert_eq!(keys, ["000000", "000001", "000002"]);
    let conditions = batches[0].column_by_name("conditions").unwrap();
    assert_eq!(conditions.data_type(), &coded_text_type());
    let values = conditions.as_dictionary::<Int32Type>().values();
    assert_eq!(values.as_string::<i32>().iter().flatten().collect::<Vec<_>>(), ["c"], "said once");
}

#[tokio::test(flavor = "multi_thread")]
async fn column_is_found_by_its_name_and_one_that_is_missing_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let store = opened(folder.path()).await.store.clone();
    let column = |values: &[&str]| Arc::new(StringArray::from(values.to_vec())) as arrow::array::ArrayRef;
    let other_order =
        RecordBatch::try_from_iter([("conditions", column(&["c"])), ("rule_id", column(&["all"]))]).unwrap();
    let stream_of = |batch: RecordBatch| -> SendableRecordBatchStream {
        Box::pin(RecordBatchStreamAdapter::new(batch.schema(), futures::stream::iter([Ok(batch)])))
    };
    let place = Path::from("other-order");
    store.write_stream(&place, &RuleRead::TABLE, stream_of(other_order.clone())).await.unwrap();
    assert_eq!(store.read_rows::<RuleRead>(&place).await.unwrap(), [rule("all")]);
    let without =
        store.write_stream(&Path::from("x"), &RuleRead::TABLE, stream_of(other_order.project(&[1]).unwrap())).await;
    let refused = told(folder.path(), without);
    assert!(refused.contains("column conditions is missing in the result"), "{refused}");
    assert!(!folder.path().join("x/part-0.parquet").exists());
    let read = store.read_rows::<CreditImpact>(&place).await;
    let refused = told(folder.path(), read);
    let named = "Damaged: <lake>/other-order/part-0.parquet cannot be decoded: table credit_impact: column credit_key is missing";
    assert!(refused.starts_with(named), "{refused}");
    let refused = told(folder.path(), store.read_texts(&place, &RuleRead::TABLE, "nothing").await);
    assert!(refused.contains("table rules_read: column nothing is missing"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn file_that_is_no_table_any_more_is_named_by_every_way_of_reading() {
    let folder = tempfile::tempdir().unwrap();
    let store = opened(folder.path()).await.store.clone();
    for (number, damage) in [
        cut as fn(&std::path::Path),
        |file| std::fs::write(file, "").unwrap(),
        |file| {
            std::fs::write(file, [b'P'; 300]).unwrap();
        },
    ]
    .into_iter()
    .enumerate()
    {
        let place = Path::from(format!("{number}"));
        store.write_rows(&place, &rules(100)).await.unwrap();
        damage(&folder.path().join(part(&place).as_ref()));
        for refused in [
            told(folder.path(), store.read_rows::<RuleRead>(&place).await),
            told(folder.path(), store.read_texts(&place, &RuleRead::TABLE, "rule_id").await),
            told(folder.path(), store.read_stream(&place).await),
        ] {
            let named = format!("Damaged: <lake>/{number}/part-0.parquet cannot be decoded: ");
            assert!(refused.starts_with(&named), "{refused}");
            assert!(refused.ends_with("; start a new run, which makes it again"), "{refused}");
        }
    }
    assert_eq!(store.read_texts(&Path::from("none"), &RuleRead::TABLE, "rule_id").await.unwrap(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn object_store_that_does_not_answer_is_not_taken_for_damage() {
    let folder = tempfile::tempdir().unwrap();
    let refusing = Refusing::new(Arc::new(InMemory::new()));
    let store = on_store(folder.path(), refusing.clone()).await.store.clone();
    let place = Path::from("runs/a/credit_impact");
    store.write_rows(&place, &[impact("id:1", "5")]).await.unwrap();
    refusing.refuse(Some("credit_impact/part-0.parquet"));
    let refused = told(folder.path(), store.read_stream(&place).await);
    assert!(refused.starts_with("Service: store://lake/runs/a/credit_impact/part-0.parquet: "), "{refused}");
    let refused = told(folder.path(), store.read_rows::<CreditImpact>(&place).await);
    assert_eq!(refused, "Store: storage: Generic test error: refuses runs/a/credit_impact/part-0.parquet");
    store.write_rows(&place, &[impact("id:1", "6")]).await.unwrap_err();
    refusing.refuse(None);
    assert_eq!(store.read_rows::<CreditImpact>(&place).await.unwrap(), [impact("id:1", "5")], "as it was");
}
