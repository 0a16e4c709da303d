use datafusion::error::DataFusionError;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use schemas::tables::CreditLine;

use super::*;
use crate::testing::{Refusing, cut, entries, flip, on_store, opened, period, told};

/// No lines, or a failure after them.
fn lines(fails: bool) -> SendableRecordBatchStream {
    let batch = Ok(schemas::to_batch::<CreditLine>(&[]).unwrap());
    let failure = fails.then(|| Err(DataFusionError::Execution("broken off".to_owned())));
    let items = futures::stream::iter([batch].into_iter().chain(failure));
    Box::pin(RecordBatchStreamAdapter::new(CreditLine::TABLE.schema(), items))
}

async fn read_into(lake: &Lake, period: BillingPeriod) -> Generation {
    let folder = lake.new_generation_folder("f");
    let sum = lake.write_generation(period, &folder, &CreditLine::TABLE, lines(false)).await.unwrap();
    generation(folder, sum)
}

fn generation(folder: String, sum: FileSum) -> Generation {
    Generation {
        fingerprint: "f".to_owned(),
        folder,
        format: "CUR 2.0".to_owned(),
        files: Vec::new(),
        totals: Vec::new(),
        blank_costs: 0,
        unknown_line_types: BTreeMap::new(),
        notes: schemas::PeriodNotes::default(),
        tables: [(CreditLine::TABLE.name.to_owned(), sum)].into(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn attempt_at_the_same_period_that_breaks_off_leaves_the_current_generation_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (opened(folder.path()).await, opened(folder.path()).await);
    let period = period("2026-01");
    let current = BTreeMap::from([(period, read_into(&one, period).await)]);
    one.switch_generations(&current).await.unwrap();
    let theirs = other.new_generation_folder("f");
    other.write_generation(period, &theirs, &CreditLine::TABLE, lines(true)).await.unwrap_err();
    let later = "2100-01-01T00:00:00".parse().unwrap();
    other.drop_old_generations(later).await.unwrap();
    let reader = opened(folder.path()).await;
    assert_eq!(reader.generations().await.unwrap(), current);
    let stream = reader.generation_stream::<CreditLine>(period, "f").await.unwrap();
    stream.try_collect::<Vec<_>>().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn folder_that_somebody_may_be_writing_or_reading_stays_for_a_day() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (opened(folder.path()).await, opened(folder.path()).await);
    let period = period("2026-01");
    let (first, second) = (read_into(&one, period).await, read_into(&other, period).await);
    for generation in [&first, &second] {
        one.switch_generations(&[(period, generation.clone())].into()).await.unwrap();
    }
    let written = std::fs::metadata(folder.path().join("generations/2026-01/current.json")).unwrap();
    let written: DateTime<Utc> = written.modified().unwrap().into();
    let is_there = || folder.path().join("generations/2026-01").join(&first.folder).exists();
    for (hours, stays) in [(-1, true), (23, true), (25, false)] {
        let now = written + chrono::TimeDelta::hours(hours);
        one.drop_old_generations(now.naive_utc()).await.unwrap();
        assert_eq!(is_there(), stays, "after {hours} hours");
    }
    assert_eq!(one.generations().await.unwrap(), [(period, second)].into());
}

const JANUARY: &str = "generations/2026-01";

/// Reads months into a lake, and points at what was read.
async fn read(lake: &Lake, months: &[&str]) -> BTreeMap<BillingPeriod, Generation> {
    let mut written = BTreeMap::new();
    for month in months {
        written.insert(period(month), read_into(lake, period(month)).await);
    }
    lake.switch_generations(&written).await.unwrap();
    written
}

#[tokio::test(flavor = "multi_thread")]
async fn pointer_that_is_cut_flipped_or_gone_is_made_again_from_the_newest_whole_record() {
    let folder = tempfile::tempdir().unwrap();
    read(&*opened(folder.path()).await, &["2026-01", "2026-02"]).await;
    let current = read(&*opened(folder.path()).await, &["2026-01", "2026-02"]).await;
    let pointer = folder.path().join(JANUARY).join("current.json");
    let whole = std::fs::read(&pointer).unwrap();
    let remove = |file: &std::path::Path| std::fs::remove_file(file).unwrap();
    for damage in [cut as fn(&std::path::Path), flip, remove] {
        damage(&pointer);
        let lake = opened(folder.path()).await;
        assert_eq!(lake.generations().await.unwrap(), current, "a reader finds what was current");
        let found = lake.found_generations().await.unwrap();
        assert_eq!(found.restored.keys().collect::<Vec<_>>(), [&period("2026-01")]);
        assert!(found.lost.is_empty());
        lake.restore_pointers(&found.restored).await.unwrap();
        assert_eq!(std::fs::read(&pointer).unwrap(), whole);
        assert!(opened(folder.path()).await.found_generations().await.unwrap().restored.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn older_generation_stands_in_where_the_newest_is_damaged_too_and_without_one_the_period_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let older = read(&*opened(folder.path()).await, &["2026-01"]).await;
    let newer = read(&*opened(folder.path()).await, &["2026-01"]).await;
    let month = period("2026-01");
    let table = |of: &BTreeMap<BillingPeriod, Generation>| {
        folder.path().join(JANUARY).join(of[&month].folder()).join("credit_lines/part-0.parquet")
    };
    flip(&table(&newer));
    std::fs::write(folder.path().join(JANUARY).join("current.json"), "{}").unwrap();
    let lake = opened(folder.path()).await;
    assert_eq!(lake.generations().await.unwrap(), older);
    cut(&table(&older));
    let lake = opened(folder.path()).await;
    let expected = "Damaged: <lake>/generations/2026-01/current.json cannot be read: missing field `fingerprint`; the next run \
                    reads the period again from the export; if it is no longer there, restore the file from a backup, deliver \
                    the period's files again, or drop the period with `finops-credits lake drop-period 2026-01`";
    assert_eq!(told(folder.path(), lake.generations().await), expected);
    std::fs::remove_file(folder.path().join(JANUARY).join("current.json")).unwrap();
    let found = opened(folder.path()).await.found_generations().await.unwrap();
    assert!(found.current.is_empty() && found.lost.is_empty(), "as if it had never been read to the end");
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_table_is_named_with_what_mends_it() {
    let folder = tempfile::tempdir().unwrap();
    let current = read(&*opened(folder.path()).await, &["2026-01", "2026-02", "2026-03"]).await;
    let table = |month: &str| {
        let generation = format!("generations/{month}/{}", current[&period(month)].folder());
        folder.path().join(generation).join("credit_lines/part-0.parquet")
    };
    flip(&table("2026-01"));
    std::fs::remove_file(table("2026-03")).unwrap();
    let lake = opened(folder.path()).await;
    let damaged = lake.damaged_generations(&lake.generations().await.unwrap()).await.unwrap();
    assert_eq!(damaged.keys().map(ToString::to_string).collect::<Vec<_>>(), ["2026-01", "2026-03"]);
    let lost = lake.lost_generation(period("2026-01"), &damaged[&period("2026-01")]);
    let lost = told::<()>(folder.path(), Err(lost)).replace(current[&period("2026-01")].folder(), "f-1");
    assert_eq!(
        lost,
        "Damaged: <lake>/generations/2026-01/f-1/credit_lines/part-0.parquet holds other bytes than were written (its checksum \
         differs), and the export no longer has 2026-01; restore the file from a backup, deliver the period's files again, or \
         drop the period with `finops-credits lake drop-period 2026-01`"
    );
    let gone = told(folder.path(), lake.generation_stream::<CreditLine>(period("2026-03"), "f").await);
    assert!(gone.contains("/credit_lines/part-0.parquet is missing; the next run reads the period again"), "{gone}");
    assert!(lake.generation_stream::<CreditLine>(period("2026-02"), "f").await.is_ok(), "the others are whole");
}

#[tokio::test(flavor = "multi_thread")]
async fn table_that_went_while_it_was_read_is_no_empty_month() {
    let folder = tempfile::tempdir().unwrap();
    let lake = opened(folder.path()).await;
    let current = read(&lake, &["2026-01"]).await;
    let reader = opened(folder.path()).await;
    assert_eq!(reader.generations().await.unwrap(), current);
    reader.check_generations().await.unwrap();
    cut(&folder.path().join(JANUARY).join(current[&period("2026-01")].folder()).join("credit_lines/part-0.parquet"));
    let refused = told(folder.path(), reader.check_generations().await);
    assert!(refused.starts_with("Damaged: <lake>/generations/2026-01/f-"), "{refused}");
    assert!(refused.contains("/credit_lines/part-0.parquet has "), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn job_whose_period_was_read_again_meanwhile_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    read(&*opened(folder.path()).await, &["2026-01"]).await;
    let job = opened(folder.path()).await;
    let stream = job.generation_stream::<CreditLine>(period("2026-01"), "other").await;
    assert_eq!(told(folder.path(), stream), "LostRace: period 2026-01 was read again meanwhile; start a new run");
    let never = job.coded_generation_stream::<CreditLine>(period("2026-02"), "f").await;
    assert_eq!(told(folder.path(), never), "LostRace: period 2026-02 was read again meanwhile; start a new run");
}

#[tokio::test(flavor = "multi_thread")]
async fn generation_of_a_version_that_kept_no_folder_and_no_sums_is_read_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let lake = opened(folder.path()).await;
    let month = period("2026-01");
    lake.write_generation(month, "f", &CreditLine::TABLE, lines(false)).await.unwrap();
    let mut record = serde_json::to_value(generation(String::new(), FileSum { size: 0, xxh64: 0, rows: 0 })).unwrap();
    for later in ["folder", "tables", "notes"] {
        record.as_object_mut().unwrap().remove(later);
    }
    std::fs::write(folder.path().join(JANUARY).join("current.json"), record.to_string()).unwrap();
    let reader = opened(folder.path()).await;
    let found = reader.generations().await.unwrap();
    assert_eq!((found[&month].folder(), found[&month].tables.len()), ("f", 0));
    assert!(reader.damaged_generations(&found).await.unwrap().is_empty(), "nobody knows what it should be");
    let stream = reader.generation_stream::<CreditLine>(month, "f").await.unwrap();
    stream.try_collect::<Vec<_>>().await.unwrap();
    reader.drop_old_generations("2100-01-01T00:00:00".parse().unwrap()).await.unwrap();
    assert_eq!(entries(&folder.path().join(JANUARY)), ["current.json", "f"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_period_is_removed_while_its_pointer_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let lake = opened(folder.path()).await;
    for _attempt in 0..2 {
        read(&*opened(folder.path()).await, &["2026-01"]).await;
    }
    lake.write_generation(period("2026-02"), "f-half", &CreditLine::TABLE, lines(false)).await.unwrap();
    cut(&folder.path().join(JANUARY).join("current.json"));
    let next_year = "2100-01-01T00:00:00".parse().unwrap();
    lake.drop_old_generations(next_year).await.unwrap();
    assert_eq!(entries(&folder.path().join(JANUARY)).len(), 3, "two generations and the pointer");
    assert_eq!(entries(&folder.path().join("generations")), ["2026-01"], "what was never read to the end has gone");
    let found = lake.found_generations().await.unwrap();
    lake.restore_pointers(&found.restored).await.unwrap();
    lake.drop_old_generations(next_year).await.unwrap();
    let named = found.restored[&period("2026-01")].folder().to_owned();
    assert_eq!(entries(&folder.path().join(JANUARY)), ["current.json".to_owned(), named]);
}

#[tokio::test(flavor = "multi_thread")]
async fn period_that_is_dropped_goes_whole_and_by_itself_wherever_the_lake_lies() {
    let folder = tempfile::tempdir().unwrap();
    let memory: std::sync::Arc<dyn object_store::ObjectStore> =
        std::sync::Arc::new(object_store::memory::InMemory::new());
    for lake in [opened(folder.path()).await, on_store(folder.path(), memory).await] {
        let mut current = read(&lake, &["2026-01", "2026-02"]).await;
        lake.drop_generation(period("2026-01")).await.unwrap();
        current.remove(&period("2026-01"));
        assert_eq!(lake.generations().await.unwrap(), current);
        assert_eq!(lake.store.folders(&Path::from(GENERATIONS)).await.unwrap(), ["2026-02"]);
        lake.drop_generation(period("2026-01")).await.unwrap();
        let again = read(&lake, &["2026-01"]).await;
        assert_eq!(lake.generations().await.unwrap().len(), 2, "delivered again: {again:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn switch_that_an_object_store_refuses_leaves_the_generation_before_and_can_be_done_again() {
    let folder = tempfile::tempdir().unwrap();
    let refusing = Refusing::new(std::sync::Arc::new(object_store::memory::InMemory::new()));
    let before = read(&*on_store(folder.path(), refusing.clone()).await, &["2026-01"]).await;
    let writer = on_store(folder.path(), refusing.clone()).await;
    let after = BTreeMap::from([(period("2026-01"), read_into(&writer, period("2026-01")).await)]);
    for ending in ["generation.json", "current.json"] {
        refusing.refuse(Some(ending));
        writer.switch_generations(&after).await.unwrap_err();
        refusing.refuse(None);
        assert_eq!(on_store(folder.path(), refusing.clone()).await.generations().await.unwrap(), before, "{ending}");
    }
    writer.switch_generations(&after).await.unwrap();
    assert_eq!(on_store(folder.path(), refusing.clone()).await.generations().await.unwrap(), after);
    refusing.refuse(Some("2026-01/current.json"));
    let refused = told(folder.path(), on_store(folder.path(), refusing.clone()).await.generations().await);
    assert!(refused.starts_with("Store: storage: Generic test error: refuses"), "no answer is no damage: {refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn drop_of_a_period_that_breaks_off_does_not_bring_back_what_was_read_before() {
    let folder = tempfile::tempdir().unwrap();
    let refusing = Refusing::new(std::sync::Arc::new(object_store::memory::InMemory::new()));
    for _attempt in 0..2 {
        read(&*on_store(folder.path(), refusing.clone()).await, &["2026-01"]).await;
    }
    refusing.refuse(Some("current.json"));
    on_store(folder.path(), refusing.clone()).await.drop_generation(period("2026-01")).await.unwrap_err();
    refusing.refuse(None);
    let lake = on_store(folder.path(), refusing.clone()).await;
    let found = lake.found_generations().await.unwrap();
    assert!(found.restored.is_empty() && found.current.len() == 1, "the pointer still says what there was");
    assert!(lake.damaged_generations(&found.current).await.unwrap().is_empty(), "and all of it is there");
    lake.drop_generation(period("2026-01")).await.unwrap();
    assert!(on_store(folder.path(), refusing.clone()).await.generations().await.unwrap().is_empty());
}
