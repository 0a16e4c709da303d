use datafusion::prelude::{col, lit};
use schemas::tables::{AllocationIssue, CreditImpact, NetCost, RuleRead};

use super::*;
use crate::testing::{cut, flip, impact, night, opened, period, stage, told};

/// The runs `aa`, `ab` and `b`, the last of which is published.
async fn three_nights() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    night(folder.path(), "aa", &["2026-01"], "5").await;
    night(folder.path(), "ab", &["2026-01", "2026-02"], "5").await;
    night(folder.path(), "b", &["2026-01", "2026-02"], "7").await;
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn run_is_named_by_what_it_is_or_by_as_much_of_its_id_as_no_other_begins_with() {
    let folder = three_nights().await;
    let lake = opened(folder.path()).await;
    for (name, id) in [("published", "b"), ("previous", "ab"), ("aa", "aa"), ("ab", "ab"), ("b", "b")] {
        assert_eq!(lake.named_run(name).await.unwrap().id(), id, "{name}");
    }
    let told = async |name: &str| told(folder.path(), lake.named_run(name).await);
    let (ab, aa) = ("ab (as of 2026-03-31)", "aa (as of 2026-03-31)");
    assert_eq!(told("a").await, format!("BadInput: 2 runs begin with a; there are: {ab}, {aa}"));
    let all = format!("there are: b (as of 2026-03-31), {ab}, {aa}");
    assert_eq!(told("").await, format!("BadInput: an empty id names no run; {all}"));
    let gone = format!("BadInput: run aaa is not in the lake <lake>, or was removed; {all}");
    assert_eq!(told("aaa").await, gone);
    night(folder.path(), "bc", &["2026-01"], "7").await;
    assert_eq!(opened(folder.path()).await.named_run("b").await.unwrap().id(), "b", "a whole id is enough");
}

#[tokio::test(flavor = "multi_thread")]
async fn run_that_is_not_there_yet_or_any_more_is_said_to_be_so() {
    let folder = tempfile::tempdir().unwrap();
    stage(opened(folder.path()).await, "staged", &["2026-01"], "5").await;
    let named = async |name: &str| told(folder.path(), opened(folder.path()).await.named_run(name).await);
    let nothing = "NotYet: nothing is published in the lake <lake> yet; `run` first";
    assert_eq!([named("published").await, named("staged").await], [nothing, nothing]);
    night(folder.path(), "a", &["2026-01"], "5").await;
    let first = "NotYet: a is the first run that was published: there is none before it";
    assert_eq!(named("previous").await, first);
    night(folder.path(), "b", &["2026-01"], "5").await;
    std::fs::remove_dir_all(folder.path().join("runs/a")).unwrap();
    let removed =
        "BadInput: run a, published before b, was removed; see [run] keep_runs; there are: b (as of 2026-03-31)";
    assert_eq!(named("previous").await, removed);
    std::fs::remove_file(folder.path().join("runs/b/manifest.json")).unwrap();
    let lost = "Damaged: <lake>/runs/b/manifest.json is missing; start a new run, which makes it again";
    assert_eq!(named("published").await, lost);
}

#[tokio::test(flavor = "multi_thread")]
async fn kept_run_gives_its_own_rows_and_says_which_months_it_has() {
    let folder = three_nights().await;
    let lake = opened(folder.path()).await;
    let (old, new) = (lake.named_run("previous").await.unwrap(), lake.named_run("published").await.unwrap());
    let (january, march) = (Some(period("2026-01")), Some(period("2026-03")));
    assert_eq!(old.rows::<CreditImpact>(january).await.unwrap(), [impact("id:1", "5")]);
    assert_eq!(new.rows::<CreditImpact>(january).await.unwrap(), [impact("id:1", "7")]);
    assert_eq!(new.rows::<CreditImpact>(march).await.unwrap(), [], "a month that it has not");
    assert_eq!(new.rows::<AllocationIssue>(None).await.unwrap(), [], "a table that it has not");
    let months: Vec<String> = new.months().map(|month| month.to_string()).collect();
    assert_eq!(months, ["2026-01", "2026-02", "2026-03"], "all months of its tables");
    let of_impact: Vec<String> = new.periods::<CreditImpact>().iter().map(ToString::to_string).collect();
    assert_eq!(of_impact, ["2026-01", "2026-02"]);
    assert!(new.periods::<NetCost>().is_empty());
    let oldest = lake.named_run("aa").await.unwrap();
    assert_eq!(oldest.sum::<CreditImpact>(january), old.sum::<CreditImpact>(january), "the same rows, the same sum");
    assert_ne!(old.sum::<CreditImpact>(january), new.sum::<CreditImpact>(january));
    assert_eq!(new.sum::<RuleRead>(None).map(|sum| sum.rows), Some(1), "of what only jobs read, too");
    assert_eq!(new.found::<serde_json::Value>("first").await, None);
    assert_eq!((new.staged().follows.as_deref(), oldest.staged().follows.as_deref()), (Some("ab"), None));
}

#[tokio::test(flavor = "multi_thread")]
async fn condition_takes_rows_of_a_kept_run_and_nothing_of_a_damaged_file() {
    let folder = three_nights().await;
    let lake = opened(folder.path()).await;
    let context = SessionContext::new();
    lake.register_with(&context).unwrap();
    let run = lake.named_run("b").await.unwrap();
    let taken = async |month: &str, key: &str| {
        let condition = col("credit_key").eq(lit(key));
        run.rows_where::<CreditImpact>(&context, Some(period(month)), condition).await
    };
    assert_eq!(taken("2026-01", "id:1").await.unwrap(), [impact("id:1", "7")]);
    assert_eq!(taken("2026-01", "id:2").await.unwrap(), []);
    assert_eq!(taken("2026-03", "id:1").await.unwrap(), []);
    flip(&folder.path().join("runs/b/credit_impact/billing_period=2026-02/part-0.parquet"));
    let named = "Damaged: <lake>/runs/b/credit_impact/billing_period=2026-02/part-0.parquet";
    let refused = told(folder.path(), taken("2026-02", "id:1").await);
    assert!(refused.starts_with(&format!("{named} holds other bytes than were written")), "{refused}");
    let refused = told(folder.path(), run.rows::<CreditImpact>(Some(period("2026-02"))).await);
    assert!(refused.starts_with(named), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn run_that_was_removed_while_it_is_read_is_not_called_damaged() {
    let folder = three_nights().await;
    let run = opened(folder.path()).await.named_run("aa").await.unwrap();
    std::fs::remove_dir_all(folder.path().join("runs/aa")).unwrap();
    let lost = told(folder.path(), run.rows::<CreditImpact>(Some(period("2026-01"))).await);
    assert_eq!(lost, "LostRace: run aa was removed while it was read; try again");
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_that_cannot_be_answered_from_are_not_listed() {
    let folder = three_nights().await;
    cut(&folder.path().join("runs/ab/manifest.json"));
    std::fs::create_dir(folder.path().join("runs/by-hand")).unwrap();
    std::fs::write(folder.path().join("runs/by-hand/notes.txt"), "x").unwrap();
    let runs = opened(folder.path()).await.runs_in_lake().await.unwrap();
    assert_eq!(RunInLake::listed(&runs), "b (as of 2026-03-31), aa (as of 2026-03-31)");
    let many: Vec<RunInLake> = std::iter::repeat_n(runs[0].clone(), 12).collect();
    assert!(RunInLake::listed(&many).ends_with(", b (as of 2026-03-31), and 2 more"));
}
