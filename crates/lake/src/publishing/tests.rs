use std::sync::Arc;

use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use schemas::tables::{CreditImpact, RuleRead};
use serde::Deserialize;

use super::*;
use crate::run::Run;
use crate::settings::Settings;
use crate::testing::{
    LATER, cut, entries, flip, impact, instant, logged, night, on_store, opened, period, rule, settings, stage, told,
};

/// The runs in the log, one per month, in order.
async fn runs_logged(lake: &Lake) -> Vec<String> {
    let rows = lake.logs().read::<RunLogRow>().await.unwrap();
    let mut runs: Vec<String> = rows.iter().map(|row| format!("{} {}", row.run_id, row.billing_period)).collect();
    runs.sort();
    runs
}

async fn published(folder: &std::path::Path) -> Option<String> {
    opened(folder).await.published().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn run_that_was_staged_while_another_one_was_published_loses_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for id in ["a", "b"] {
        stage(opened(folder.path()).await, id, &["2026-01"], "5").await;
    }
    opened(folder.path()).await.publish("a", instant(LATER)).await.unwrap();
    let lost = opened(folder.path()).await.publish("b", instant(LATER)).await;
    let expected = "Damaged: <lake>/runs/b/manifest.json is missing; start a new run, which makes it again";
    assert_eq!(told(folder.path(), lost), expected, "the publication of a has removed what was under way");
    stage(opened(folder.path()).await, "c", &["2026-01"], "6").await;
    stage(opened(folder.path()).await, "d", &["2026-01"], "7").await;
    // As if d had been published by a process that was killed right after it had switched.
    let elsewhere = opened(folder.path()).await;
    elsewhere.pointer.switch("d", Some("a"), (period("2026-01"), period("2026-01"))).await.unwrap();
    let lost = opened(folder.path()).await.publish("c", instant(LATER)).await;
    let expected = "LostRace: run c was staged to follow a, but d is published now; start a new run";
    assert_eq!(told(folder.path(), lost), expected);
    assert_eq!(published(folder.path()).await.as_deref(), Some("d"));
    assert_eq!(runs_logged(&elsewhere).await, ["a 2026-01"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn first_run_is_not_published_over_one_that_was_published_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    stage(opened(folder.path()).await, "late", &["2026-01"], "5").await;
    opened(folder.path()).await.pointer.switch("other", None, (period("2026-01"), period("2026-01"))).await.unwrap();
    let lost = opened(folder.path()).await.publish("late", instant(LATER)).await;
    let expected = "LostRace: run late was staged to follow no run, but other is published now; start a new run";
    assert_eq!(told(folder.path(), lost), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn publication_that_broke_off_after_the_switch_is_completed_by_a_retry_or_by_the_next_run() {
    for is_retried in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        night(folder.path(), "a", &["2026-01"], "5").await;
        let broken = stage(opened(folder.path()).await, "b", &["2026-01", "2026-02"], "6").await;
        broken.lake().pointer.switch("b", Some("a"), (period("2026-01"), period("2026-03"))).await.unwrap();
        if is_retried {
            opened(folder.path()).await.publish("b", instant(LATER)).await.unwrap();
        } else {
            night(folder.path(), "c", &["2026-03"], "7").await;
        }
        let lake = opened(folder.path()).await;
        let of_next = (!is_retried).then_some("c 2026-03");
        let expected: Vec<&str> = ["a 2026-01", "b 2026-01", "b 2026-02"].into_iter().chain(of_next).collect();
        assert_eq!(runs_logged(&lake).await, expected);
        let last = if is_retried { "b" } else { "c" };
        opened(folder.path()).await.publish(last, instant(LATER)).await.unwrap();
        assert_eq!(runs_logged(&lake).await, expected, "published once more, logged once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn published_run_whose_manifest_is_lost_does_not_stop_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    night(folder.path(), "a", &["2026-01"], "5").await;
    flip(&folder.path().join("runs/a/manifest.json"));
    night(folder.path(), "b", &["2026-01"], "6").await;
    assert_eq!(published(folder.path()).await.as_deref(), Some("b"));
    assert_eq!(entries(&folder.path().join("runs")), ["a", "b"], "nothing says that it is old");
}

#[tokio::test(flavor = "multi_thread")]
async fn staged_run_with_a_file_that_is_not_as_it_was_written_is_not_published() {
    let folder = tempfile::tempdir().unwrap();
    night(folder.path(), "a", &["2026-01"], "5").await;
    stage(opened(folder.path()).await, "b", &["2026-01", "2026-02"], "6").await;
    let file = folder.path().join("runs/b/credit_impact/billing_period=2026-02/part-0.parquet");
    let whole = std::fs::read(&file).unwrap();
    let refused = async || told(folder.path(), opened(folder.path()).await.publish("b", instant(LATER)).await);
    let named = "Damaged: <lake>/runs/b/credit_impact/billing_period=2026-02/part-0.parquet";
    let advice = "; start a new run, which makes it again";
    flip(&file);
    assert_eq!(refused().await, format!("{named} holds other bytes than were written (its checksum differs){advice}"));
    cut(&file);
    let (half, size) = (whole.len() / 2, whole.len());
    assert_eq!(refused().await, format!("{named} has {half} bytes instead of {size}{advice}"));
    std::fs::remove_file(&file).unwrap();
    assert_eq!(refused().await, format!("{named} is missing{advice}"));
    std::fs::write(&file, &whole).unwrap();
    let manifest = folder.path().join("runs/b/manifest.json");
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, text.replace("\"lines\": 3", "\"lines\": 4")).unwrap();
    let other = "manifest.json holds other bytes than were written (its checksum differs)";
    assert_eq!(refused().await, format!("Damaged: <lake>/runs/b/{other}{advice}"));
    assert_eq!(published(folder.path()).await.as_deref(), Some("a"));
    assert_eq!(runs_logged(&*opened(folder.path()).await).await, ["a 2026-01"]);
    std::fs::write(&manifest, &text).unwrap();
    opened(folder.path()).await.publish("b", instant(LATER)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn run_is_not_published_by_a_clock_that_is_behind_the_log() {
    let folder = tempfile::tempdir().unwrap();
    night(folder.path(), "a", &["2026-01"], "5").await;
    stage(opened(folder.path()).await, "b", &["2026-01"], "6").await;
    let refused = opened(folder.path()).await.publish("b", instant("2006-01-01T00:00:00")).await;
    let expected =
        "BadInput: the clock of this machine is behind: a log of the lake was changed later than now; set the clock";
    assert_eq!(told(folder.path(), refused), expected);
    assert_eq!(published(folder.path()).await.as_deref(), Some("a"), "it would be published and never logged");
}

fn keeping(folder: &std::path::Path, runs: usize) -> Settings {
    let mut settings = settings(folder);
    settings.run.keep_runs = runs;
    settings
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_beyond_those_to_keep_go_with_all_that_is_kept_of_them() {
    for (keep_runs, kept) in [(1, "c d"), (3, "b c d")] {
        let expected: Vec<&str> = kept.split(' ').collect();
        let folder = tempfile::tempdir().unwrap();
        for id in ["a", "b", "c", "d"] {
            let lake = Arc::new(Lake::open_local(&keeping(folder.path(), keep_runs)).await.unwrap());
            stage(Arc::clone(&lake), id, &["2026-01"], "1").await;
            lake.publish(id, instant(LATER)).await.unwrap();
        }
        assert_eq!(entries(&folder.path().join("runs")), expected, "keep_runs = {keep_runs}");
        let summaries: Vec<String> = expected.iter().map(|id| format!("{id}.json")).collect();
        assert_eq!(entries(&folder.path().join("summaries")), summaries);
        assert_eq!(entries(&folder.path().join("work")), ["d"], "what the next run may reuse");
        let lake = opened(folder.path()).await;
        assert_eq!(runs_logged(&lake).await.len(), 4, "the log keeps them all");
        let kept = Run::new(lake, expected[0]);
        assert_eq!(kept.rows::<CreditImpact>(Some(period("2026-01"))).await.unwrap(), [impact("id:1", "1")]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn folder_among_the_runs_that_nobody_knows_stays_and_one_that_the_log_knows_goes() {
    let folder = tempfile::tempdir().unwrap();
    for id in ["a", "b"] {
        night(folder.path(), id, &["2026-01"], "5").await;
    }
    for name in ["by-hand", "ancient"] {
        std::fs::create_dir_all(folder.path().join("runs").join(name)).unwrap();
        std::fs::write(folder.path().join("runs").join(name).join("notes.txt"), "x").unwrap();
    }
    let lake = Arc::new(Lake::open_local(&keeping(folder.path(), 2)).await.unwrap());
    lake.logs().append(&[logged("ancient", "2026-01")]).await.unwrap();
    stage(Arc::clone(&lake), "c", &["2026-01"], "5").await;
    lake.publish("c", instant(LATER)).await.unwrap();
    assert_eq!(entries(&folder.path().join("runs")), ["b", "by-hand", "c"]);
}

#[derive(Debug, serde::Serialize, Deserialize)]
struct Found {}

#[tokio::test(flavor = "multi_thread")]
async fn run_that_was_overtaken_is_told_by_whom_for_as_long_as_that_run_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let slow = Run::new(opened(folder.path()).await, "slow");
    slow.begin().await.unwrap();
    slow.write::<RuleRead>(None, &[rule("all")]).await.unwrap();
    slow.finish_job("first", &Found {}).await.unwrap();
    let next_job = async || {
        let next = Run::new(opened(folder.path()).await, "slow");
        next.finished_job::<Found>("first").await
    };
    next_job().await.unwrap();
    let publish = async |id: &str| {
        let lake = Arc::new(Lake::open_local(&keeping(folder.path(), 2)).await.unwrap());
        stage(Arc::clone(&lake), id, &["2026-01"], "5").await;
        lake.publish(id, instant(LATER)).await.unwrap();
    };
    publish("fast").await;
    let overtaken = "LostRace: run slow was overtaken: fast was published meanwhile; start a new run";
    assert_eq!(told(folder.path(), next_job().await), overtaken);
    publish("faster").await;
    assert_eq!(told(folder.path(), next_job().await), overtaken);
    let marker = folder.path().join("superseded/slow.json");
    let whole = std::fs::read(&marker).unwrap();
    cut(&marker);
    let unnamed = "LostRace: run slow was overtaken: another run was published meanwhile; start a new run";
    assert_eq!(told(folder.path(), next_job().await), unnamed);
    std::fs::write(&marker, whole).unwrap();
    publish("fastest").await;
    assert_eq!(entries(&folder.path().join("superseded")), Vec::<String>::new());
    let forgotten = "NotYet: run slow: first has not been done; give all jobs of a run one --run-id";
    assert_eq!(told(folder.path(), next_job().await), forgotten);
}

#[tokio::test(flavor = "multi_thread")]
async fn run_in_an_object_store_is_published_whole_and_what_it_overtakes_goes() {
    let folder = tempfile::tempdir().unwrap();
    let objects: Arc<dyn object_store::ObjectStore> = Arc::new(InMemory::new());
    for id in ["slow", "a", "b"] {
        stage(on_store(folder.path(), Arc::clone(&objects)).await, id, &["2026-01"], "5").await;
        if id != "slow" {
            on_store(folder.path(), Arc::clone(&objects)).await.publish(id, instant(LATER)).await.unwrap();
        }
    }
    let lake = on_store(folder.path(), Arc::clone(&objects)).await;
    assert_eq!(lake.store.folders(&Path::from(RUNS)).await.unwrap(), ["a", "b"]);
    assert_eq!(lake.store.folders(&Path::from(WORK)).await.unwrap(), ["b"]);
    assert_eq!(lake.store.files(&Path::from(SUMMARIES)).await.unwrap(), ["a.json", "b.json"]);
    stage(Arc::clone(&lake), "c", &["2026-01"], "5").await;
    let file = layout::part(&layout::table_of_run("c", &CreditImpact::TABLE, Some(period("2026-01"))));
    lake.store.objects().delete(&file).await.unwrap();
    let refused = told(folder.path(), on_store(folder.path(), objects).await.publish("c", instant(LATER)).await);
    let expected = "Damaged: store://lake/runs/c/credit_impact/billing_period=2026-01/part-0.parquet is missing; start a new \
                    run, which makes it again";
    assert_eq!(refused, expected);
    assert_eq!(lake.pointer.published().await.unwrap().as_deref(), Some("b"));
}
