use std::path::{Path as FilePath, PathBuf};

use schemas::tables::{AllocationLogRow, RunLogRow};
use sqlx::{Connection, SqliteConnection};

use super::*;
use crate::lake::Lake;
use crate::testing::{cut, entries, logged, lot, night, opened, settings, told};

const ALLOCATIONS: &str = "warehouse/finops_credits/allocations_log";

/// The newest file of the allocations' log that ends so.
fn newest(lake: &FilePath, folder: &str, ending: &str) -> PathBuf {
    let folder = lake.join(ALLOCATIONS).join(folder);
    let files = entries(&folder).into_iter().filter(|name| name.ends_with(ending)).map(|name| folder.join(name));
    files.max_by_key(|file| std::fs::metadata(file).unwrap().modified().unwrap()).unwrap()
}

async fn lots(lake: &FilePath) -> Vec<String> {
    let rows = opened(lake).await.logs().read::<AllocationLogRow>().await.unwrap();
    let mut lots: Vec<String> = rows.iter().map(|row| format!("{} {}", row.allocation_id, row.lot)).collect();
    lots.sort();
    lots
}

async fn forget(lake: &FilePath, condition: &str) {
    let mut catalog = SqliteConnection::connect(&format!("sqlite://{}/catalog.db", lake.display())).await.unwrap();
    let statement = format!("DELETE FROM iceberg_tables {condition}");
    sqlx::query(&statement).execute(&mut catalog).await.unwrap();
    catalog.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn appends_of_several_processes_at_once_are_all_in_and_each_once() {
    let folder = tempfile::tempdir().unwrap();
    opened(folder.path()).await;
    let appends: Vec<_> = (0..6)
        .map(|number| {
            let folder = folder.path().to_owned();
            tokio::spawn(async move {
                let rows = [lot(&format!("r{number}"), 1, "5"), lot(&format!("r{number}"), 2, "7")];
                opened(&folder).await.logs().append(&rows).await
            })
        })
        .collect();
    let mut states = Vec::new();
    for append in appends {
        states.push(append.await.unwrap().unwrap().unwrap());
    }
    states.sort_by_key(|state| state.committed_at);
    let expected: Vec<String> = (0..6).flat_map(|number| [format!("r{number} 1"), format!("r{number} 2")]).collect();
    assert_eq!(lots(folder.path()).await, expected);
    let newest = opened(folder.path()).await.logs().snapshot::<AllocationLogRow>().await.unwrap();
    assert!(states.contains(&newest), "the state that the last one was told of");
}

#[tokio::test(flavor = "multi_thread")]
async fn append_that_an_earlier_process_made_under_the_same_id_is_found_and_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let empty = opened(folder.path()).await.logs().snapshot::<RunLogRow>().await.unwrap();
    assert_eq!((empty.id, empty.parent, empty.committed_at), (None, None, None));
    assert_eq!(opened(folder.path()).await.logs().append::<RunLogRow>(&[]).await.unwrap(), None, "no rows, no state");
    let rows = [logged("night", "2026-01"), logged("night", "2026-02")];
    let first = opened(folder.path()).await.logs().append_once("night", &rows).await.unwrap().unwrap();
    let again = opened(folder.path()).await.logs().append_once("night", &rows).await.unwrap().unwrap();
    assert_eq!(again, first);
    let other = opened(folder.path()).await.logs().append_once("other", &rows[..1]).await.unwrap().unwrap();
    assert_eq!(other.parent, first.id);
    let late = opened(folder.path()).await.logs().append_once("night", &rows).await.unwrap().unwrap();
    assert_eq!(late, other, "in since, though not the newest");
    let (state, read) = opened(folder.path()).await.logs().read_newest::<RunLogRow>().await.unwrap();
    assert_eq!((state, read.len()), (other, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn log_that_the_catalogue_lost_is_named_unless_nothing_was_ever_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let lake = opened(folder.path()).await;
    lake.logs().append(&[lot("a", 1, "5")]).await.unwrap();
    drop(lake);
    forget(folder.path(), "WHERE table_name = 'runs_log'").await;
    assert_eq!(lots(folder.path()).await, ["a 1"], "whoever made the logs was killed: it goes on");
    forget(folder.path(), "WHERE table_name <> 'runs_log'").await;
    let expected = "Damaged: <lake>/catalog.db does not know the log finops_credits.allocations_log, but this lake is not new: \
                    warehouse/finops_credits/allocations_log/metadata/ is there; bring the catalogue back from a backup, or run \
                    `finops-credits lake repair`, which registers the logs again from their newest metadata in warehouse/";
    assert_eq!(told(folder.path(), Lake::open_local(&settings(folder.path())).await), expected);
    assert_eq!(told(folder.path(), Lake::open_existing_local(&settings(folder.path())).await), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn database_that_the_lake_has_not_is_told_from_a_catalogue_that_lost_it() {
    let folder = tempfile::tempdir().unwrap();
    night(folder.path(), "a", &["2026-01"], "5").await;
    let mut other = settings(folder.path());
    other.lake.database = "other".to_owned();
    let expected = "BadInput: the lake has no database \"other\", but finops_credits; see [lake] database";
    assert_eq!(told(folder.path(), Lake::open_local(&other).await), expected);
    forget(folder.path(), "").await;
    let lost = told(folder.path(), Lake::open_local(&settings(folder.path())).await);
    let expected = "Damaged: <lake>/catalog.db does not know the log finops_credits.credits_log, but this lake is not new: \
                    runs/ is there; ";
    assert!(lost.starts_with(expected), "{lost}");
}

#[tokio::test(flavor = "multi_thread")]
async fn newest_metadata_that_is_cut_or_gone_is_named_by_whoever_reads_or_records() {
    let folder = tempfile::tempdir().unwrap();
    let lake = opened(folder.path()).await;
    lake.logs().append(&[lot("a", 1, "5")]).await.unwrap();
    let file = newest(folder.path(), "metadata", ".metadata.json");
    let (name, whole) = (file.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&file).unwrap());
    cut(&file);
    let lake = opened(folder.path()).await;
    let advice = "bring it back from a backup, or run `finops-credits lake repair`, which goes back to the newest metadata that \
                  can be read";
    for refused in [
        told(folder.path(), lake.logs().read::<AllocationLogRow>().await),
        told(folder.path(), lake.logs().append(&[lot("b", 1, "5")]).await),
        told(folder.path(), lake.logs().appendable(&AllocationLogRow::TABLE).await),
    ] {
        let named =
            format!("Damaged: the log allocations_log is damaged: {ALLOCATIONS}/metadata/{name} cannot be read (");
        assert!(refused.starts_with(&named) && refused.ends_with(advice), "{refused}");
    }
    assert!(lake.logs().read::<RunLogRow>().await.unwrap().is_empty(), "the other logs are whole");
    std::fs::write(&file, whole).unwrap();
    assert_eq!(lots(folder.path()).await, ["a 1"], "brought back from a backup");
}

#[tokio::test(flavor = "multi_thread")]
async fn data_or_list_of_files_that_cannot_be_read_is_named_and_nothing_is_recorded_after_a_list() {
    for (below, part_of_name, stops_appends) in
        [("data", ".parquet", false), ("metadata", "-m0.avro", false), ("metadata", "snap-", true)]
    {
        let folder = tempfile::tempdir().unwrap();
        let lake = opened(folder.path()).await;
        lake.logs().append(&[lot("a", 1, "5")]).await.unwrap();
        lake.logs().append(&[lot("b", 1, "5"), lot("b", 2, "5")]).await.unwrap();
        let files = folder.path().join(ALLOCATIONS).join(below);
        entries(&files).iter().filter(|name| name.contains(part_of_name)).for_each(|name| cut(&files.join(name)));
        let lake = opened(folder.path()).await;
        let named = format!("Damaged: the log allocations_log is damaged: file://<lake>/{ALLOCATIONS}/{below}/");
        let advice = "cannot be read; bring it back from a backup; without one, `finops-credits lake repair --accept-loss` goes \
                      back to what was recorded before it";
        let refused = told(folder.path(), lake.logs().read::<AllocationLogRow>().await);
        assert!(refused.starts_with(&named) && refused.contains(part_of_name), "{refused}");
        assert!(refused.ends_with(advice), "{refused}");
        let appendable = lake.logs().appendable(&AllocationLogRow::TABLE).await;
        assert_eq!(appendable.is_err(), stops_appends, "{part_of_name}: {appendable:?}");
        if stops_appends {
            assert_eq!(told(folder.path(), lake.logs().append(&[lot("c", 1, "5")]).await), refused);
        }
    }
}
