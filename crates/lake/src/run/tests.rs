use std::os::unix::fs::MetadataExt;

use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt};
use schemas::tables::{
    AllocatedCredit, AllocationIssue, Cell, CreditImpact, CreditQueue, NetCost, Reconciliation, RuleRead,
};

use super::*;
use crate::tables::stream_of;
use crate::testing::{LATER, cut, entries, flip, impact, instant, on_store, opened, rule, stage, told};

fn period() -> Option<BillingPeriod> {
    "2026-01".parse().ok()
}

fn staged(follows: Option<&str>) -> StagedRun {
    StagedRun {
        follows: follows.map(str::to_owned),
        as_of: "2026-01-31".parse().unwrap(),
        policy: "fifo_issue_date/v1".to_owned(),
        started_at: "2026-02-01T00:00:00".parse().unwrap(),
        months: (period().unwrap(), period().unwrap()),
        periods: Vec::new(),
    }
}

/// Makes a run with one table of a month, made from `inputs`, and publishes it. Says how the table came about.
async fn night(folder: &std::path::Path, id: &str, inputs: &str) -> Reuse {
    let run = Run::new(opened(folder).await, id);
    run.begin().await.unwrap();
    let make = async { stream_of::<NetCost>(&[]) };
    let made = run.reuse_or_write::<NetCost, LakeError>(period(), inputs, make).await.unwrap();
    assert_eq!(run.inputs_of::<NetCost>(period()).unwrap(), inputs, "as the manifest will have it");
    run.finish_staging(staged(run.lake().published().await.unwrap().as_deref())).await.unwrap();
    run.lake().publish(id, "2026-02-01T00:00:00".parse().unwrap()).await.unwrap();
    made
}

const WRITTEN: Reuse = Reuse::Written { rows: 0 };

#[tokio::test(flavor = "multi_thread")]
async fn table_is_made_again_only_where_its_inputs_changed_or_its_file_did() {
    let folder = tempfile::tempdir().unwrap();
    let night = async |id: &str, inputs: &str| night(folder.path(), id, inputs).await;
    let file = |id: &str| folder.path().join(format!("runs/{id}/net_cost/billing_period=2026-01/part-0.parquet"));
    assert_eq!(night("a", "one").await, WRITTEN, "nothing is published yet");
    assert_eq!(night("b", "one").await, Reuse::Reused);
    assert_eq!(night("c", "other").await, WRITTEN);
    let whole = std::fs::read(file("c")).unwrap();
    std::fs::remove_file(file("c")).unwrap();
    std::fs::write(file("c"), &whole[1..]).unwrap();
    assert_eq!(night("d", "other").await, WRITTEN, "what is published is damaged");
    assert_eq!(std::fs::read(file("d")).unwrap(), whole);
    std::fs::remove_file(folder.path().join("runs/d/manifest.json")).unwrap();
    assert_eq!(night("e", "other").await, WRITTEN, "nothing says what it is made from");
}

#[tokio::test(flavor = "multi_thread")]
async fn staged_run_holds_what_its_manifest_names_and_nothing_of_an_earlier_attempt() {
    let folder = tempfile::tempdir().unwrap();
    let attempt = Run::new(opened(folder.path()).await, "night");
    attempt.write::<CreditQueue>(None, &[]).await.unwrap();
    attempt.write::<Reconciliation>(period(), &[]).await.unwrap();
    let half = folder.path().join("runs/night/net_cost/part-0.parquet#1");
    std::fs::create_dir_all(half.parent().unwrap()).unwrap();
    std::fs::write(half, "half").unwrap();
    let retry = Run::new(opened(folder.path()).await, "night");
    retry.write::<CreditQueue>(None, &[]).await.unwrap();
    retry.finish_staging(staged(None)).await.unwrap();
    let left = std::fs::read_dir(folder.path().join("runs/night")).unwrap();
    let mut left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["credit_queue", "manifest.json"]);
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Found {
    count: u32,
}

#[tokio::test(flavor = "multi_thread")]
async fn later_job_in_another_process_reads_tables_only_as_they_were_written() {
    let folder = tempfile::tempdir().unwrap();
    let first = Run::new(opened(folder.path()).await, "night");
    first.write::<AllocatedCredit>(None, &[]).await.unwrap();
    first.finish_job("first", &Found { count: 3 }).await.unwrap();
    let read = async || {
        let later = Run::new(opened(folder.path()).await, "night");
        let found: Found = later.finished_job("first").await?;
        later.rows::<AllocatedCredit>(None).await.map(|rows| (found, rows.len()))
    };
    assert_eq!(read().await.unwrap(), (Found { count: 3 }, 0));
    let file = folder.path().join("work/night/allocated_credits/part-0.parquet");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[0] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let told = read().await.unwrap_err().to_string();
    assert!(told.contains("allocated_credits/part-0.parquet holds other bytes than were written"), "{told}");
    let missing = Run::new(opened(folder.path()).await, "night").finished_job::<Found>("second").await;
    let expected = "run night: second has not been done; give all jobs of a run one --run-id";
    assert_eq!(missing.unwrap_err().to_string(), expected);
}

/// Rows that nobody may ask for.
fn nobody_makes() -> impl Future<Output = Result<SendableRecordBatchStream, LakeError>> {
    futures::future::poll_fn(|_| panic!("the table is made again"))
}

fn file_of<R: TableRow>(folder: &std::path::Path, id: &str, month: Option<&str>) -> std::path::PathBuf {
    let month = month.map(|month| month.parse().unwrap());
    folder.join(part(&layout::table_of_run(id, &R::TABLE, month)).as_ref())
}

#[tokio::test(flavor = "multi_thread")]
async fn table_is_reused_as_the_same_file_of_its_own_month_only() {
    let folder = tempfile::tempdir().unwrap();
    stage(opened(folder.path()).await, "a", &["2026-01"], "5").await.lake().publish("a", instant(LATER)).await.unwrap();
    let run = Run::new(opened(folder.path()).await, "b");
    run.begin().await.unwrap();
    let reused = run.reuse_or_write::<CreditImpact, _>(period(), "5", nobody_makes()).await.unwrap();
    assert_eq!(reused, Reuse::Reused);
    let inode =
        |id: &str| std::fs::metadata(file_of::<CreditImpact>(folder.path(), id, Some("2026-01"))).unwrap().ino();
    assert_eq!(inode("a"), inode("b"), "linked, not copied");
    assert_eq!(run.rows::<CreditImpact>(period()).await.unwrap(), [impact("id:1", "5")]);
    let make = || async { stream_of(&[impact("id:2", "7"), impact("id:3", "8")]) };
    let february = "2026-02".parse().ok();
    let made = run.reuse_or_write::<CreditImpact, LakeError>(february, "5", make()).await.unwrap();
    assert_eq!(made, Reuse::Written { rows: 2 }, "another month has no file that could be reused");
    let issues = async { stream_of::<AllocationIssue>(&[]) };
    let made = run.reuse_or_write::<AllocationIssue, LakeError>(None, "5", issues).await.unwrap();
    assert_eq!(made, WRITTEN, "another table is never taken for it");
    assert_eq!(run.inputs_of::<CreditImpact>(period()).unwrap(), "5", "so that the next run may reuse it");
}

#[tokio::test(flavor = "multi_thread")]
async fn table_that_cannot_be_made_leaves_no_file_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let run = Run::new(opened(folder.path()).await, "a");
    let fails = async { Err(LakeError::NotYet("there are no lines".to_owned())) };
    let failed = run.reuse_or_write::<CreditImpact, LakeError>(period(), "x", fails).await;
    assert_eq!(told(folder.path(), failed), "NotYet: there are no lines");
    assert!(!folder.path().join("runs/a").exists());
    let unknown = told(folder.path(), run.inputs_of::<CreditImpact>(period()));
    assert_eq!(
        unknown,
        "Damaged: <lake>/runs/a/credit_impact/billing_period=2026-01/part-0.parquet is in no record of what it is made from; \
         start a new run, which makes it again"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn intermediate_table_of_the_published_run_is_made_again_where_it_is_damaged_or_dropped() {
    let remove = |file: &std::path::Path| std::fs::remove_file(file).unwrap();
    for damage in [cut as fn(&std::path::Path), flip, remove] {
        let folder = tempfile::tempdir().unwrap();
        let first = stage(opened(folder.path()).await, "a", &["2026-01"], "5").await;
        first.lake().publish("a", instant(LATER)).await.unwrap();
        let next = Run::new(opened(folder.path()).await, "b");
        assert_eq!(next.reuse_or_write::<RuleRead, _>(None, "rules", nobody_makes()).await.unwrap(), Reuse::Reused);
        let file = file_of::<RuleRead>(folder.path(), "a", None);
        let whole = std::fs::read(&file).unwrap();
        damage(&file);
        let next = Run::new(opened(folder.path()).await, "c");
        let make = async { stream_of(&[rule("all")]) };
        let made = next.reuse_or_write::<RuleRead, LakeError>(None, "rules", make).await.unwrap();
        assert_eq!(made, Reuse::Written { rows: 1 });
        assert_eq!(std::fs::read(file_of::<RuleRead>(folder.path(), "c", None)).unwrap(), whole, "the same bytes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn table_in_an_object_store_is_reused_while_it_is_there_in_its_size() {
    let folder = tempfile::tempdir().unwrap();
    let objects: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let first = stage(on_store(folder.path(), Arc::clone(&objects)).await, "a", &["2026-01"], "5").await;
    first.lake().publish("a", instant(LATER)).await.unwrap();
    let next = Run::new(on_store(folder.path(), Arc::clone(&objects)).await, "b");
    assert_eq!(next.reuse_or_write::<CreditImpact, _>(period(), "5", nobody_makes()).await.unwrap(), Reuse::Reused);
    assert_eq!(next.rows::<CreditImpact>(period()).await.unwrap(), [impact("id:1", "5")]);
    let published = part(&layout::table_of_run("a", &CreditImpact::TABLE, period()));
    for bytes in [Some("something else"), None] {
        let lake = on_store(folder.path(), Arc::clone(&objects)).await;
        match bytes {
            Some(bytes) => lake.store.put(&published, bytes.as_bytes().to_vec().into()).await.unwrap(),
            None => lake.store.objects().delete(&published).await.unwrap(),
        }
        let make = async { stream_of(&[impact("id:1", "5")]) };
        let made = Run::new(lake, "c").reuse_or_write::<CreditImpact, LakeError>(period(), "5", make).await.unwrap();
        assert_eq!(made, Reuse::Written { rows: 1 }, "{bytes:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn run_that_was_published_is_not_begun_again_now_or_when_another_one_followed() {
    let folder = tempfile::tempdir().unwrap();
    let expected = "LostRace: run a is already published; start a new run";
    for id in ["a", "b"] {
        let run = stage(opened(folder.path()).await, id, &["2026-01"], "5").await;
        run.lake().publish(id, instant(LATER)).await.unwrap();
        assert_eq!(told(folder.path(), Run::new(opened(folder.path()).await, "a").begin().await), expected);
    }
    let later = Run::new(opened(folder.path()).await, "a").finished_job::<Found>("first").await;
    assert_eq!(told(folder.path(), later), "LostRace: run a has been published already; start a new run");
    assert!(file_of::<CreditImpact>(folder.path(), "a", Some("2026-01")).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn record_of_a_job_that_is_cut_or_of_another_shape_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let run = Run::new(opened(folder.path()).await, "night");
    run.finish_job("first", &Found { count: 3 }).await.unwrap();
    let record = folder.path().join("work/night/first.json");
    let read = async || {
        told(folder.path(), Run::new(opened(folder.path()).await, "night").finished_job::<Found>("first").await)
    };
    let whole = std::fs::read_to_string(&record).unwrap();
    let named = "Damaged: <lake>/work/night/first.json";
    let advice = "; start a new run, which makes it again";
    cut(&record);
    assert!(read().await.starts_with(&format!("{named} cannot be read: EOF while parsing")), "{}", read().await);
    std::fs::write(&record, whole.replace("\"count\": 3", "\"count\": 4")).unwrap();
    assert_eq!(read().await, format!("{named} holds other bytes than were written (its checksum differs){advice}"));
    std::fs::write(&record, "{}").unwrap();
    assert_eq!(read().await, format!("{named} cannot be read: missing field `count`{advice}"));
    std::fs::write(&record, "{\"count\": 3, \"files\": 5}").unwrap();
    assert!(
        read().await.starts_with(&format!("{named} cannot be read: invalid type: integer `5`")),
        "{}",
        read().await
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn failure_is_kept_beside_the_work_until_the_next_publication() {
    let folder = tempfile::tempdir().unwrap();
    let broken = Run::new(opened(folder.path()).await, "broken");
    broken.write::<RuleRead>(None, &[rule("all")]).await.unwrap();
    broken.record_failure(&Found { count: 1 }).await.unwrap();
    assert_eq!(entries(&folder.path().join("work")), ["broken", "broken.failure.json"]);
    stage(opened(folder.path()).await, "a", &["2026-01"], "5").await.lake().publish("a", instant(LATER)).await.unwrap();
    assert_eq!(entries(&folder.path().join("work")), ["a"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_come_back_in_their_order_by_every_way_of_reading() {
    let folder = tempfile::tempdir().unwrap();
    let lake = opened(folder.path()).await;
    let run = Run::new(Arc::clone(&lake), "a");
    let rows: Vec<RuleRead> = (0..20_000).map(|number| rule(&format!("{number:05}"))).collect();
    run.spawn_write(None, rows.clone()).await.unwrap();
    assert_eq!(run.spawn_rows::<RuleRead>(None).await.unwrap(), rows);
    let streamed: Vec<_> = run.stream::<RuleRead>(None).await.unwrap().try_collect().await.unwrap();
    assert_eq!(schemas::from_batches::<RuleRead>(&streamed).unwrap(), rows);
    let context = SessionContext::new();
    lake.register_with(&context).unwrap();
    let ordered = run.ordered_frame::<RuleRead>(&context, None).await.unwrap();
    let ordered = ordered.sort_by(vec![datafusion::prelude::col("rule_id")]).unwrap().collect().await.unwrap();
    assert_eq!(schemas::from_batches::<RuleRead>(&ordered).unwrap(), rows);
    assert_eq!(run.frame::<RuleRead>(&context, None).await.unwrap().count().await.unwrap(), 20_000);
    cut(&file_of::<RuleRead>(folder.path(), "a", None));
    run.finish_job("first", &Found { count: 1 }).await.unwrap();
    let later = Run::new(opened(folder.path()).await, "a");
    later.finished_job::<Found>("first").await.unwrap();
    let refused = told(folder.path(), later.frame::<RuleRead>(&context, None).await);
    assert!(refused.starts_with("Damaged: <lake>/work/a/rules_read/part-0.parquet has "), "{refused}");
    let none = told(folder.path(), run.rows::<Cell>(period()).await);
    assert_eq!(none, "Io: <lake>/work/a/cells/billing_period=2026-01/part-0.parquet: entity not found");
}
