//! A lake in a folder that was moved or copied: its logs are made anew where it lies now.
//!
//! Iceberg keeps absolute paths in the catalogue, the metadata, the lists of files and the lists of those. So nothing of them is
//! rewritten: all rows are read through the old names into a backup, which stays in the lake until they are in new logs. What
//! broke off is begun again from it, and until then every other command refuses the lake.

use std::path::Path;

use chrono::NaiveDateTime;
use object_store::PutPayload;
use object_store::path::Path as StorePath;

use crate::backup::{Backup, RestoredLog, packed};
use crate::error::{LakeError, at};
use crate::home;
use crate::lake::Lake;
use crate::layout::{CATALOG_FILE, RELOCATING, WAREHOUSE};
use crate::local::{existing_root, local_parts};
use crate::logs::no_lake;
use crate::settings::Settings;

/// What `lake relocate` did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relocated {
    /// Where the lake was made; none where an earlier attempt broke off after it had forgotten that.
    pub from: Option<String>,
    /// Where it lies.
    pub to: String,
    /// The logs.
    pub logs: Vec<RestoredLog>,
    /// What was kept of the logs as they were.
    pub kept: Vec<String>,
}

impl Lake {
    /// Makes the logs of a lake that was moved or copied anew where it lies now. None where it was made there.
    ///
    /// # Errors
    /// [`LakeError::Damaged`] where a log cannot be read; [`LakeError::LostRace`] while a run holds the lake.
    pub async fn relocate_local(
        settings: &Settings,
        now: NaiveDateTime,
        program: &str,
    ) -> Result<Option<Relocated>, LakeError> {
        let root = existing_root(settings)?;
        if ![CATALOG_FILE, WAREHOUSE, RELOCATING].iter().any(|name| root.join(name).exists()) {
            return Err(no_lake(&root.display().to_string()));
        }
        let mut lake = Self::unchecked(local_parts(root.clone()).await?, settings);
        let lock = lake.lock_anyway("lake-relocate").await?;
        let from = lake.find_home().await?;
        let journal = match (lake.store.read_small(&StorePath::from(RELOCATING)).await?, &from) {
            (Some(journal), _) => journal,
            (None, None) => return Ok(None),
            (None, Some(made_at)) => {
                let rows = lake.logs().under_old_names(&root, made_at).await?;
                let packed = packed(&rows, made_at, now, program)?;
                lake.store.put(&StorePath::from(RELOCATING), PutPayload::from(packed.bytes.clone())).await?;
                lake.store.sync().await?;
                packed.bytes
            }
        };
        let backup = Backup::read(journal).map_err(|error| {
            let journal = root.join(RELOCATING);
            LakeError::Damaged(format!("{} {error}; copy the lake again", journal.display()))
        })?;
        drop(lake);
        let kept = [CATALOG_FILE, WAREHOUSE].map(|name| set_aside(&root, name));
        let kept = kept.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
        let lake = Self::unchecked(local_parts(root).await?, settings);
        lake.logs().create_all().await?;
        let logs = lake.restore(&backup, false).await?;
        home::write(&lake.store, &lake.location).await?;
        lake.store.sync().await?;
        // Last: while it is there nothing else is done in the lake, and all of this can be done again.
        lake.store.remove_folder(&StorePath::from(RELOCATING)).await?;
        lake.store.sync().await?;
        lock.release().await?;
        Ok(Some(Relocated { from, to: lake.location.clone(), logs, kept }))
    }
}

/// Gives a file or folder of the lake another name: `warehouse.moved-1`, or the next one that is free.
fn set_aside(root: &Path, name: &str) -> Result<Option<String>, LakeError> {
    let place = root.join(name);
    if !place.exists() {
        return Ok(None);
    }
    let names = (1..).map(|number: u32| format!("{name}.moved-{number}"));
    let free = names.into_iter().find(|name| !root.join(name).exists()).unwrap_or_default();
    std::fs::rename(&place, root.join(&free)).map_err(at(&place))?;
    Ok(Some(free))
}

#[cfg(test)]
mod tests {
    use schemas::tables::{AllocationLogRow, RunLogRow};

    use super::*;
    use crate::testing::{LATER, copy, cut, entries, instant, lot, night, opened, settings, told};

    /// A lake that was made in `old` and lies in `new`: two lots, and a published run.
    async fn moved() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (folder.path().join("old"), folder.path().join("new"));
        night(&old, "a", &["2026-01"], "5").await;
        let lake = opened(&old).await;
        lake.logs().append(&[lot("a", 1, "5"), lot("a", 2, "6")]).await.unwrap();
        lake.lock("night").await.unwrap().release().await.unwrap();
        drop(lake);
        std::fs::rename(old, new).unwrap();
        folder
    }

    async fn relocate(lake: &Path) -> Result<Option<Relocated>, LakeError> {
        Lake::relocate_local(&settings(lake), instant("2026-04-01T00:00:00"), "test").await
    }

    async fn rows(lake: &Path) -> (usize, usize) {
        let lake = opened(lake).await;
        let lots = lake.logs().read::<AllocationLogRow>().await.unwrap();
        (lots.len(), lake.logs().read::<RunLogRow>().await.unwrap().len())
    }

    fn restored(log: &'static str, restored: usize) -> RestoredLog {
        RestoredLog { log, restored, known: 0, other: 0 }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn moved_lake_has_its_logs_anew_where_it_lies_and_keeps_them_as_they_were() {
        let folder = moved().await;
        let (old, new) = (folder.path().join("old"), folder.path().join("new"));
        let relocated = relocate(&new).await.unwrap().unwrap();
        let expected = Relocated {
            from: Some(old.display().to_string()),
            to: new.display().to_string(),
            logs: vec![restored("allocations_log", 2), restored("credits_log", 0), restored("runs_log", 1)],
            kept: ["catalog.db.moved-1", "warehouse.moved-1"].map(str::to_owned).into(),
        };
        assert_eq!(relocated, expected);
        assert_eq!(rows(&new).await, (2, 1));
        assert!(!old.exists(), "nothing was made where it was");
        assert_eq!(relocate(&new).await.unwrap(), None, "there is nothing left to do");
        opened(&new).await.logs().append(&[lot("b", 1, "7")]).await.unwrap();
        opened(&new).await.publish("a", instant(LATER)).await.unwrap();
        assert_eq!(rows(&new).await, (3, 1), "what was published before is not logged twice");
        std::fs::rename(&new, &old).unwrap();
        let relocated = relocate(&old).await.unwrap().unwrap();
        assert_eq!(relocated.kept, ["catalog.db.moved-2", "warehouse.moved-2"]);
        assert_eq!(rows(&old).await, (3, 1));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn relocation_that_broke_off_anywhere_is_begun_again_from_what_it_had_read() {
        for done in ["read", "set aside", "made", "restored in part"] {
            let folder = moved().await;
            let new = folder.path().join("new");
            let journal = new.join(RELOCATING);
            copy(&new, &folder.path().join("aside"));
            relocate(&folder.path().join("aside")).await.unwrap();
            let lake = opened(&folder.path().join("aside")).await;
            let packed = lake.backup(instant("2026-04-01T00:00:00"), "test").await.unwrap();
            std::fs::write(&journal, packed.bytes).unwrap();
            if done != "read" {
                std::fs::remove_file(new.join(CATALOG_FILE)).unwrap();
                std::fs::remove_dir_all(new.join(WAREHOUSE)).unwrap();
                std::fs::remove_file(new.join("lake.json")).unwrap();
            }
            if ["made", "restored in part"].contains(&done) {
                let lake = Lake::unchecked(local_parts(new.clone()).await.unwrap(), &settings(&new));
                lake.logs().create_all().await.unwrap();
                if done != "made" {
                    lake.logs().append(&[lot("a", 1, "5"), lot("a", 2, "6")]).await.unwrap();
                }
            }
            let refused = told(&new, Lake::open_local(&settings(&new)).await);
            let expected = "BadInput: the logs of the lake <lake> are being made anew, or that broke off; run `finops-credits lake \
                            relocate` again: it goes on from what it had read, in relocating.zip";
            assert_eq!(refused, expected, "{done}");
            assert_eq!(told(&new, Lake::repair_local(&settings(&new), true).await), expected, "{done}");
            relocate(&new).await.unwrap().unwrap();
            assert!(!journal.exists());
            assert_eq!(rows(&new).await, (2, 1), "{done}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn lake_whose_logs_cannot_be_read_whole_stays_as_it_is() {
        let folder = moved().await;
        let new = folder.path().join("new");
        let data = new.join("warehouse/finops_credits/allocations_log/data");
        let file = data.join(&entries(&data)[0]);
        let whole = std::fs::read(&file).unwrap();
        cut(&file);
        let before = entries(&new);
        let refused = told(&new, relocate(&new).await);
        let named =
            "Damaged: the log allocations_log cannot be read: warehouse/finops_credits/allocations_log/metadata/: ";
        assert!(refused.starts_with(named) && refused.ends_with("; copy the lake again"), "{refused}");
        assert_eq!(entries(&new), before);
        std::fs::write(&file, whole).unwrap();
        std::fs::write(new.join(RELOCATING), "half").unwrap();
        let refused = told(&new, relocate(&new).await);
        let named = "Damaged: <lake>/relocating.zip is no backup made by `finops-credits lake backup`: ";
        assert!(refused.starts_with(named) && refused.ends_with("; copy the lake again"), "{refused}");
        assert!(new.join(CATALOG_FILE).exists() && new.join(WAREHOUSE).exists());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn folder_that_is_no_lake_and_a_lake_at_work_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(
            told(folder.path(), relocate(folder.path()).await),
            "NotYet: there is no lake at <lake> yet; `run` makes it"
        );
        assert_eq!(entries(folder.path()), [""; 0]);
        let lake = opened(folder.path()).await;
        let _held = lake.lock("night").await.unwrap();
        let expected = "LostRace: another run is at work on the lake <lake>; try again when it has ended";
        assert_eq!(told(folder.path(), relocate(folder.path()).await), expected);
    }
}
