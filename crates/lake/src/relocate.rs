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
