use std::path::{Path, PathBuf};

use schemas::TableRow;
use schemas::tables::AllocationLogRow;

use super::*;
use crate::lake::Lake;
use crate::testing::{cut, entries, logged, lot, opened, settings, told};

const ALLOCATIONS: &str = "warehouse/finops_credits/allocations_log";

/// A lake in which two revisions of three lots and a run are recorded, left by the process that did so.
async fn recorded() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let lake = opened(folder.path()).await;
    lake.logs().append(&[lot("a", 1, "5")]).await.unwrap();
    lake.logs().append(&[lot("b", 1, "6"), lot("b", 2, "7")]).await.unwrap();
    lake.logs().append(&[logged("night", "2026-01")]).await.unwrap();
    folder
}

async fn lots(lake: &Path) -> Vec<String> {
    let rows = opened(lake).await.logs().read::<AllocationLogRow>().await.unwrap();
    let mut lots: Vec<String> = rows.iter().map(|row| format!("{} {}", row.allocation_id, row.lot)).collect();
    lots.sort();
    lots
}

async fn repair(lake: &Path, accept_loss: bool) -> Result<Vec<RepairedLog>, LakeError> {
    Lake::repair_local(&settings(lake), accept_loss).await
}

/// The newest metadata file of the allocations' log, and the newest data file.
fn newest(lake: &Path) -> (PathBuf, PathBuf) {
    let (metadata, data) = (lake.join(ALLOCATIONS).join("metadata"), lake.join(ALLOCATIONS).join("data"));
    let last = entries(&metadata).into_iter().rfind(|name| name.ends_with(".metadata.json")).unwrap();
    let data = entries(&data).into_iter().map(|name| data.join(name));
    let data = data.max_by_key(|file| std::fs::metadata(file).unwrap().modified().unwrap()).unwrap();
    (metadata.join(last), data)
}

/// The metadata files that cannot be read, what became of their rows, and the rows that there are.
fn registered(log: &RepairedLog) -> (Vec<String>, Newer, usize) {
    match &log.repair {
        Repair::Registered { unreadable, newer, .. } => (unreadable.clone(), *newer, log.rows),
        other => panic!("{other:?}"),
    }
}

fn name(file: &Path) -> String {
    file.file_name().unwrap().to_string_lossy().into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_of_a_whole_lake_are_found_whole_with_their_rows() {
    let folder = recorded().await;
    let found = repair(folder.path(), true).await.unwrap();
    let found: Vec<_> = found.iter().map(|log| (log.log, &log.repair, log.rows, log.newest.is_some())).collect();
    let whole = &Repair::Whole;
    let expected =
        [("credits_log", whole, 0, false), ("allocations_log", whole, 3, true), ("runs_log", whole, 1, true)];
    assert_eq!(found, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn catalogue_that_is_lost_emptied_or_something_else_is_made_again() {
    let missing = |lake: &Path| std::fs::remove_file(lake.join("catalog.db")).unwrap();
    let empty = |lake: &Path| std::fs::write(lake.join("catalog.db"), "").unwrap();
    let junk = |lake: &Path| std::fs::write(lake.join("catalog.db"), [0x5a; 9000]).unwrap();
    let not_new = "but this lake is not new: warehouse/ is there; bring the catalogue back from a backup, or run \
                   `finops-credits lake repair`, which registers the logs again from their newest metadata in warehouse/";
    for (damage, says) in [
        (missing as fn(&Path), format!("Damaged: <lake>/catalog.db is missing, {not_new}")),
        (empty, format!("Damaged: <lake>/catalog.db is empty, {not_new}")),
        (junk, "Damaged: <lake>/catalog.db is damaged (".to_owned()),
    ] {
        let folder = recorded().await;
        damage(folder.path());
        let refused = told(folder.path(), Lake::open_local(&settings(folder.path())).await);
        assert!(refused.starts_with(&says), "{refused}");
        let (metadata, _) = newest(folder.path());
        let repaired = repair(folder.path(), false).await.unwrap();
        assert_eq!(repaired.iter().map(|log| log.rows).collect::<Vec<_>>(), [0, 3, 1]);
        let from = Repair::Registered { metadata: name(&metadata), unreadable: Vec::new(), newer: Newer::Recovered(0) };
        assert_eq!(repaired[1].repair, from);
        assert_eq!(lots(folder.path()).await, ["a 1", "b 1", "b 2"]);
        opened(folder.path()).await.logs().append(&[lot("c", 1, "5")]).await.unwrap();
        let again = repair(folder.path(), false).await.unwrap();
        assert!(again.iter().all(|log| log.repair == Repair::Whole), "{again:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn catalogue_that_is_no_database_is_kept_beside_the_new_one() {
    let folder = recorded().await;
    for number in 1..=2 {
        std::fs::write(folder.path().join("catalog.db"), [0x5a; 9000]).unwrap();
        repair(folder.path(), false).await.unwrap();
        assert!(folder.path().join(format!("catalog.db.damaged-{number}")).exists());
    }
    assert_eq!(lots(folder.path()).await, ["a 1", "b 1", "b 2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_whose_metadata_is_cut_come_back_from_their_data_files() {
    let folder = recorded().await;
    let (metadata, _) = newest(folder.path());
    cut(&metadata);
    let repaired = repair(folder.path(), false).await.unwrap();
    assert_eq!(registered(&repaired[1]), (vec![name(&metadata)], Newer::Recovered(2), 3));
    assert_eq!(lots(folder.path()).await, ["a 1", "b 1", "b 2"]);
    opened(folder.path()).await.logs().append(&[lot("c", 1, "5")]).await.unwrap();
    assert_eq!(lots(folder.path()).await, ["a 1", "b 1", "b 2", "c 1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_lost_go_only_where_that_is_accepted() {
    for cuts_metadata in [true, false] {
        let folder = recorded().await;
        let (metadata, data) = newest(folder.path());
        cut(&data);
        if cuts_metadata {
            cut(&metadata);
        }
        let refused = told(folder.path(), repair(folder.path(), false).await);
        let expected = match cuts_metadata {
            true => format!(
                "Damaged: the log allocations_log cannot be repaired without loss: {} cannot be read; bring {ALLOCATIONS}/ back \
                 from a backup, or run `finops-credits lake repair --accept-loss`, which goes back to the newest state that can be \
                 read",
                name(&metadata)
            ),
            false => format!(
                "Damaged: the log allocations_log is damaged: file://<lake>/{ALLOCATIONS}/data/{} cannot be read; bring it back from \
                 a backup; without one, `finops-credits lake repair --accept-loss` goes back to what was recorded before it",
                name(&data)
            ),
        };
        assert_eq!(refused, expected);
        assert_eq!(told(folder.path(), repair(folder.path(), false).await), expected, "and again");
        let still = match Lake::open_local(&settings(folder.path())).await {
            Ok(lake) => told(folder.path(), lake.logs().read::<AllocationLogRow>().await),
            lost => told(folder.path(), lost),
        };
        assert!(
            still.starts_with("Damaged: ") && still.contains("allocations_log"),
            "nobody reads what is left: {still}"
        );
        let repaired = repair(folder.path(), true).await.unwrap();
        assert_eq!(registered(&repaired[1]), (vec![name(&metadata)], Newer::Lost, 1));
        assert_eq!(lots(folder.path()).await, ["a 1"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn log_of_which_nothing_is_left_begins_anew_only_where_that_is_accepted() {
    let folder = recorded().await;
    std::fs::remove_dir_all(folder.path().join(ALLOCATIONS)).unwrap();
    std::fs::remove_file(folder.path().join("catalog.db")).unwrap();
    let expected = format!(
        "Damaged: the log allocations_log cannot be repaired without loss: it has no metadata that can be read; bring \
         {ALLOCATIONS}/ back from a backup, or run `finops-credits lake repair --accept-loss`, which goes back to the newest state \
         that can be read"
    );
    assert_eq!(told(folder.path(), repair(folder.path(), false).await), expected);
    let repaired = repair(folder.path(), true).await.unwrap();
    assert_eq!(
        repaired[1],
        RepairedLog { log: "allocations_log", repair: Repair::StartedEmpty, rows: 0, newest: None }
    );
    assert_eq!((repaired[2].rows, repaired[2].log), (1, "runs_log"), "the others are as they were");
    opened(folder.path()).await.logs().append(&[lot("c", 1, "5")]).await.unwrap();
    assert_eq!(lots(folder.path()).await, ["c 1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn lake_at_which_a_run_is_at_work_is_not_repaired() {
    let folder = recorded().await;
    let lake = opened(folder.path()).await;
    let held = lake.lock("night").await.unwrap();
    let expected = "LostRace: another run is at work on the lake <lake>; try again when it has ended";
    assert_eq!(told(folder.path(), repair(folder.path(), true).await), expected);
    held.release().await.unwrap();
    repair(folder.path(), false).await.unwrap();
    let none = told(folder.path(), repair(&folder.path().join("none"), false).await);
    assert_eq!(none, "BadInput: no lake at <lake>/none: the folder does not exist; see [lake] location");
}

/// The catalogue of a lake without rows forgets the allocations' log, whose only metadata is cut: as a full disk leaves it.
async fn half_made() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    opened(folder.path()).await.logs().forget(&AllocationLogRow::TABLE).await.unwrap();
    let metadata = folder.path().join(ALLOCATIONS).join("metadata");
    let [first] = entries(&metadata).try_into().unwrap();
    cut(&metadata.join(first));
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn log_that_was_never_made_whole_is_made_by_the_next_command() {
    let folder = half_made().await;
    let reading = Lake::open_existing_local(&settings(folder.path())).await;
    assert!(told(folder.path(), reading).starts_with("NotYet: "));
    let lake = opened(folder.path()).await;
    std::fs::remove_file(folder.path().join("catalog.db")).unwrap();
    drop(lake);
    let repaired = repair(folder.path(), false).await.unwrap();
    assert_eq!(registered(&repaired[1]).0, Vec::<String>::new(), "the half file never had rows");
    opened(folder.path()).await.logs().append(&[lot("a", 1, "5")]).await.unwrap();
    assert_eq!(lots(folder.path()).await, ["a 1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn log_whose_first_append_cannot_be_read_or_is_gone_was_there() {
    let remove = |file: &Path| std::fs::remove_file(file).unwrap();
    for damage in [cut as fn(&Path), remove] {
        let folder = recorded().await;
        opened(folder.path()).await.logs().forget(&AllocationLogRow::TABLE).await.unwrap();
        let metadata = folder.path().join(ALLOCATIONS).join("metadata");
        let files = entries(&metadata).into_iter().filter(|name| name.ends_with(".metadata.json"));
        let [first, later @ ..] = &files.map(|name| metadata.join(name)).collect::<Vec<_>>()[..] else { panic!() };
        cut(first);
        later.iter().for_each(|file| damage(file));
        let refused = told(folder.path(), Lake::open_local(&settings(folder.path())).await);
        assert!(refused.contains("does not know the log finops_credits.allocations_log"), "{refused}");
    }
}
