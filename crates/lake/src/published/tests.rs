use schemas::tables::{AllocationIssue, CreditImpact, RuleRead};

use super::*;
use crate::run::Run;
use crate::testing::{
    LATER, cut, flip, impact, instant, logged, night, opened, period, rule, settings, stage, staged, told,
};

fn impacts(run_id: &str, month: &str) -> String {
    format!("runs/{run_id}/credit_impact/billing_period={month}/part-0.parquet")
}

#[tokio::test(flavor = "multi_thread")]
async fn command_sees_one_run_however_long_it_takes() {
    let folder = tempfile::tempdir().unwrap();
    let slow = opened(folder.path()).await;
    let nothing = "NotYet: nothing is published in the lake <lake> yet; `run` first";
    assert_eq!(told(folder.path(), slow.published_run().await), nothing);
    night(folder.path(), "a", &["2026-01"], "5").await;
    assert_eq!(slow.published().await.unwrap(), None, "it began before");
    let slow = opened(folder.path()).await;
    assert_eq!(slow.published_run().await.unwrap(), "a");
    night(folder.path(), "b", &["2026-01"], "7").await;
    assert_eq!(slow.published_rows::<CreditImpact>(period("2026-01")).await.unwrap(), [impact("id:1", "5")]);
    assert_eq!(opened(folder.path()).await.published_run().await.unwrap(), "b");
}

#[tokio::test(flavor = "multi_thread")]
async fn months_that_are_not_as_they_were_written_are_left_out_and_made_again() {
    let folder = tempfile::tempdir().unwrap();
    assert!(opened(folder.path()).await.published_periods::<CreditImpact>().await.unwrap().is_empty());
    night(folder.path(), "a", &["2026-01", "2026-02", "2026-03"], "5").await;
    flip(&folder.path().join(impacts("a", "2026-01")));
    std::fs::remove_file(folder.path().join(impacts("a", "2026-03"))).unwrap();
    let lake = opened(folder.path()).await;
    let sound = lake.published_periods::<CreditImpact>().await.unwrap();
    assert_eq!(sound, [period("2026-02")].into());
    assert_eq!(lake.published_rows::<CreditImpact>(period("2026-02")).await.unwrap(), [impact("id:1", "5")]);
    let refused = told(folder.path(), lake.published_rows::<CreditImpact>(period("2026-01")).await);
    let expected = format!(
        "Damaged: <lake>/{} holds other bytes than were written (its checksum differs); start a new run, which makes it again",
        impacts("a", "2026-01")
    );
    assert_eq!(refused, expected);
    std::fs::remove_file(folder.path().join("runs/a/manifest.json")).unwrap();
    let unknown = opened(folder.path()).await.published_periods::<CreditImpact>().await.unwrap();
    assert!(unknown.is_empty(), "nothing says what there is");
}

#[tokio::test(flavor = "multi_thread")]
async fn table_of_the_published_run_that_is_damaged_counts_as_empty_for_the_next_run() {
    let folder = tempfile::tempdir().unwrap();
    let issue = AllocationIssue {
        allocation_id: "x".into(),
        lot: 1,
        credit_key: "id:1".into(),
        recorded_by: None,
        recorded_at: instant("2026-03-01T00:00:00"),
        problem: "no such node".into(),
    };
    assert_eq!(opened(folder.path()).await.published_table::<RuleRead>().await.unwrap(), []);
    let run = Run::new(opened(folder.path()).await, "a");
    run.write::<RuleRead>(None, &[rule("all")]).await.unwrap();
    run.write(None, std::slice::from_ref(&issue)).await.unwrap();
    run.finish_staging(staged(None, &[])).await.unwrap();
    run.lake().publish("a", instant(LATER)).await.unwrap();
    let texts = async |column| opened(folder.path()).await.published_texts(&AllocationIssue::TABLE, column).await;
    assert_eq!(opened(folder.path()).await.published_table::<RuleRead>().await.unwrap(), [rule("all")]);
    assert_eq!(opened(folder.path()).await.published_table::<AllocationIssue>().await.unwrap(), [issue]);
    assert_eq!(texts("problem").await.unwrap(), ["no such node"]);
    flip(&folder.path().join("runs/a/allocation_issues/part-0.parquet"));
    cut(&folder.path().join("work/a/rules_read/part-0.parquet"));
    assert_eq!(texts("problem").await.unwrap(), [""; 0]);
    assert_eq!(opened(folder.path()).await.published_table::<RuleRead>().await.unwrap(), []);
    assert_eq!(opened(folder.path()).await.published_table::<AllocationIssue>().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn run_that_would_take_months_away_is_held_back_by_manifest_or_log() {
    let folder = tempfile::tempdir().unwrap();
    night(folder.path(), "a", &["2026-01", "2026-02"], "5").await;
    let lake = opened(folder.path()).await;
    stage(std::sync::Arc::clone(&lake), "b", &["2026-02", "2026-03"], "5").await;
    let missing = "periods of the published run a are missing: 2026-01";
    assert_eq!(lake.why_shorter("b").await.unwrap().as_deref(), Some(missing));
    stage(std::sync::Arc::clone(&lake), "c", &["2026-01", "2026-02", "2026-03"], "5").await;
    assert_eq!(lake.why_shorter("c").await.unwrap(), None);
    std::fs::remove_file(folder.path().join("runs/a/manifest.json")).unwrap();
    assert_eq!(lake.why_shorter("b").await.unwrap().as_deref(), Some(missing), "the log says it, too");
    assert_eq!(lake.why_shorter("c").await.unwrap(), None);
    let expected = "Damaged: <lake>/runs/d/manifest.json is missing; start a new run, which makes it again";
    assert_eq!(told(folder.path(), lake.why_shorter("d").await), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn run_after_one_of_which_nothing_is_known_is_held_back() {
    let folder = tempfile::tempdir().unwrap();
    let lake = opened(folder.path()).await;
    stage(std::sync::Arc::clone(&lake), "a", &["2026-01"], "5").await;
    assert_eq!(lake.why_shorter("a").await.unwrap(), None, "nothing is published");
    lake.logs().append(&[logged("other", "2026-01")]).await.unwrap();
    lake.pointer.switch("unknown", None, (period("2026-01"), period("2026-01"))).await.unwrap();
    let why = opened(folder.path()).await.why_shorter("a").await.unwrap();
    assert_eq!(why.as_deref(), Some("the date and the periods of the published run unknown are not known"));
}

#[tokio::test(flavor = "multi_thread")]
async fn published_file_that_goes_while_it_is_read_is_no_empty_table() {
    let folder = tempfile::tempdir().unwrap();
    opened(folder.path()).await.check_published().await.unwrap();
    night(folder.path(), "a", &["2026-01", "2026-02"], "5").await;
    let reader = opened(folder.path()).await;
    reader.check_published().await.unwrap();
    let (context, file) = (SessionContext::new(), folder.path().join(impacts("a", "2026-02")));
    reader.register_with(&context).unwrap();
    let frame = reader.published_frame(&context, &CreditImpact::TABLE).await.unwrap();
    assert_eq!(frame.count().await.unwrap(), 2);
    let whole = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let gone = format!("Damaged: <lake>/{} is missing; start a new run, which makes it again", impacts("a", "2026-02"));
    assert_eq!(told(folder.path(), reader.check_published().await), gone);
    std::fs::write(&file, &whole[1..]).unwrap();
    let cut = told(folder.path(), reader.check_published().await);
    assert!(cut.contains(&format!(" has {} bytes instead of {};", whole.len() - 1, whole.len())), "{cut}");
    std::fs::remove_dir_all(folder.path().join("runs/a")).unwrap();
    let removed = "LostRace: run a was removed from <lake> while it was read; try again";
    assert_eq!(told(folder.path(), reader.check_published().await), removed);
}

#[tokio::test(flavor = "multi_thread")]
async fn check_of_the_whole_lake_finds_the_one_file_that_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    opened(folder.path()).await.check_all().await.unwrap();
    night(folder.path(), "a", &["2026-01", "2026-02"], "5").await;
    opened(folder.path()).await.check_all().await.unwrap();
    flip(&folder.path().join(impacts("a", "2026-02")));
    let refused = told(folder.path(), opened(folder.path()).await.check_all().await);
    assert!(refused.starts_with(&format!("Damaged: <lake>/{} holds other", impacts("a", "2026-02"))), "{refused}");
    std::fs::create_dir_all(folder.path().join("generations/2026-01")).unwrap();
    std::fs::write(folder.path().join("generations/2026-01/current.json"), "{").unwrap();
    let refused = told(folder.path(), opened(folder.path()).await.check_all().await);
    assert!(refused.starts_with("Damaged: <lake>/generations/2026-01/current.json cannot be read: EOF"), "{refused}");
    assert!(Lake::open_existing_local(&settings(folder.path())).await.is_ok(), "it can be opened all the same");
}
