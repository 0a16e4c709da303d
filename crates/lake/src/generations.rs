//! What was last read of the export: per billing period, immutable files and the pointer to them.
//!
//! ```text
//! generations/<period>/<fingerprint>-<attempt>/<table>/part-0.parquet
//!                                              generation.json   the record, written once the whole is to be current
//!                      current.json                              the pointer: the record of the current one
//! ```
//!
//! Each attempt writes into a folder of its own, so nobody ever writes where a pointer may lead. A folder that no pointer
//! names stays for a day: another process may be writing it, or still be reading it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Component;

use chrono::{DateTime, Days, NaiveDateTime, Utc};
use credit_ledger::BillingPeriod;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::prelude::{DataFrame, SessionContext};
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use schemas::{Table, TableRow};

use crate::error::LakeError;
use crate::generation::Generation;
use crate::known::FileRecord;
use crate::lake::Lake;
use crate::layout::{CURRENT, GENERATIONS, current_generation, generation_record, generations, part};
use crate::store::how_to_mend;
use crate::sums::{FileSum, Problem};

/// The files of a generation's tables.
fn files_of(generation: &Generation, period: BillingPeriod) -> impl Iterator<Item = (Path, FileSum)> {
    let folder = generations(period).join(generation.folder());
    generation.tables.iter().map(move |(table, sum)| (part(&folder.clone().join(table.as_str())), *sum))
}

/// The generations as they are found.
#[derive(Debug, Default)]
pub struct Generations {
    /// The current ones.
    pub current: BTreeMap<BillingPeriod, Generation>,
    /// Of these the pointer is damaged or lost; the record in the newest whole folder stands in for it.
    pub restored: BTreeMap<BillingPeriod, Generation>,
    /// Periods of which nothing says any more what was read; says what is wrong with which file.
    pub lost: BTreeMap<BillingPeriod, String>,
}

/// When a folder was begun: attempts are numbered by time. Before that had no number.
fn attempt(folder: &str) -> &str {
    folder.split_once('-').map_or("", |(_, attempt)| attempt)
}

impl Lake {
    /// The current generation of every period that was ever read.
    ///
    /// # Errors
    /// [`LakeError`] where a pointer cannot be read, [`LakeError::Damaged`] where nothing can stand in for it.
    pub async fn generations(&self) -> Result<BTreeMap<BillingPeriod, Generation>, LakeError> {
        let found = self.found_generations().await?;
        match found.lost.into_values().next() {
            Some(problem) => Err(LakeError::Damaged(problem)),
            None => Ok(found.current),
        }
    }

    /// The generations as they are found. Warns of pointers that are damaged.
    ///
    /// # Errors
    /// [`LakeError`] where storage refuses.
    pub async fn found_generations(&self) -> Result<Generations, LakeError> {
        let folders = self.store.folders(&Path::from(GENERATIONS)).await?;
        let periods: Vec<BillingPeriod> = folders.iter().filter_map(|name| name.parse().ok()).collect();
        let read = periods.into_iter().map(|period| async move {
            let read = self.store.read_record::<Generation>(&current_generation(period)).await;
            Ok::<_, LakeError>((period, read))
        });
        let read = futures::stream::iter(read).buffered(self.store.fetched_at_once());
        let read: Vec<_> = read.try_collect().await?;
        let mut found = Generations::default();
        for (period, read) in read {
            let problem = match read {
                Ok(Some(generation)) => {
                    found.current.insert(period, generation);
                    continue;
                }
                Ok(None) => None,
                Err(LakeError::Damaged(problem)) => Some(problem),
                Err(other) => return Err(other),
            };
            match (self.newest_whole(period).await?, problem) {
                (Some(generation), problem) => {
                    let problem = problem.map_or(Problem::Missing, |_| Problem::Other("is damaged".to_owned()));
                    let instead = format!("the newest whole generation stands in for it: {}", generation.folder());
                    self.store.warn(&current_generation(period), &problem, &instead);
                    found.restored.insert(period, generation.clone());
                    found.current.insert(period, generation);
                }
                (None, Some(problem)) => {
                    found.lost.insert(period, problem);
                }
                // Never read to the end.
                (None, None) => {}
            }
        }
        for (period, generation) in &found.current {
            self.know(*period, generation);
        }
        Ok(found)
    }

    /// The newest folder of a period that holds a record and all that it names.
    async fn newest_whole(&self, period: BillingPeriod) -> Result<Option<Generation>, LakeError> {
        let mut names = self.store.folders(&generations(period)).await?;
        names.sort_by(|one, other| attempt(other).cmp(attempt(one)));
        for name in names {
            let record = generation_record(period, &name);
            let Some(generation) = self.store.read_kept::<Generation>(&record).await else { continue };
            self.know(period, &generation);
            let only = BTreeMap::from([(period, generation)]);
            let is_whole = self.damaged_generations(&only).await?.is_empty();
            if let Some(generation) = only.into_values().find(|generation| is_whole && generation.folder == name) {
                return Ok(Some(generation));
            }
        }
        Ok(None)
    }

    /// Of these generations, those that are damaged: which file is, and how.
    ///
    /// # Errors
    /// [`LakeError`] where storage refuses.
    pub async fn damaged_generations(
        &self,
        generations: &BTreeMap<BillingPeriod, Generation>,
    ) -> Result<BTreeMap<BillingPeriod, DamagedGeneration>, LakeError> {
        let files = generations.iter().flat_map(|(period, generation)| files_of(generation, *period));
        let found = self.store.conditions(&Path::from(GENERATIONS), files.map(|(path, _)| path)).await?;
        let mut damaged = BTreeMap::new();
        for (period, generation) in generations {
            let problem = |(path, _)| Some((found.get(&path)?.problem()?.clone(), path));
            if let Some((problem, path)) = files_of(generation, *period).find_map(problem) {
                damaged.insert(*period, DamagedGeneration { path, problem });
            }
        }
        Ok(damaged)
    }

    /// Says that a period is read again because a file of its generation is damaged.
    pub fn warn_of_generation(&self, damaged: &DamagedGeneration) {
        self.store.warn(&damaged.path, &damaged.problem, "the period is read again");
    }

    /// The failure of a damaged generation of a period that the export no longer has.
    #[must_use]
    pub fn lost_generation(&self, period: BillingPeriod, damaged: &DamagedGeneration) -> LakeError {
        let (file, problem, how) = (self.store.name(&damaged.path), &damaged.problem, how_to_mend(&period.to_string()));
        LakeError::Damaged(format!("{file} {problem}, and the export no longer has {period}; {how}"))
    }

    /// The failure of a damaged generation that cannot be read again at once.
    pub(crate) fn damaged_generation(&self, damaged: &DamagedGeneration) -> LakeError {
        self.store.damaged(&damaged.path, &damaged.problem)
    }

    fn know(&self, period: BillingPeriod, generation: &Generation) {
        for (path, sum) in files_of(generation, period) {
            self.store.known.learn(path, FileRecord { sum, inputs: None });
        }
        self.found.add_generation(period, &generation.fingerprint, generation.folder());
    }

    /// The folder for what this process reads under a fingerprint: no other process writes there.
    #[must_use]
    pub fn new_generation_folder(&self, fingerprint: &str) -> String {
        format!("{fingerprint}-{}", self.attempt)
    }

    /// Writes one table of a generation that nothing points to yet, into a new folder.
    ///
    /// # Errors
    /// [`LakeError`] from the plan or the store.
    pub async fn write_generation(
        &self,
        period: BillingPeriod,
        new_folder: &str,
        table: &Table,
        rows: SendableRecordBatchStream,
    ) -> Result<FileSum, LakeError> {
        self.store.write_stream(&generations(period).join(new_folder).join(table.name), table, rows).await
    }

    /// Makes written generations the current ones, each in one step, when all of them are on disk.
    ///
    /// # Errors
    /// [`LakeError`] from the store.
    pub async fn switch_generations(&self, written: &BTreeMap<BillingPeriod, Generation>) -> Result<(), LakeError> {
        for (period, generation) in written {
            let record = generation_record(*period, generation.folder());
            self.store.write_record(&record, generation).await?;
        }
        self.restore_pointers(written).await
    }

    /// Points at generations that are there, as their records say.
    ///
    /// # Errors
    /// [`LakeError`] from the store.
    pub async fn restore_pointers(&self, whole: &BTreeMap<BillingPeriod, Generation>) -> Result<(), LakeError> {
        if whole.is_empty() {
            return Ok(());
        }
        let pointers: Vec<_> =
            whole.iter().map(|(period, generation)| (current_generation(*period), generation)).collect();
        self.store.replace(&pointers).await?;
        for (period, generation) in whole {
            self.know(*period, generation);
        }
        Ok(())
    }

    /// The folder of a table of the generation that was read under this fingerprint.
    async fn generation_table(
        &self,
        period: BillingPeriod,
        fingerprint: &str,
        table: &Table,
    ) -> Result<Path, LakeError> {
        let known = || self.found.generation(period, fingerprint);
        if known().is_none() {
            let found = match self.store.read_record::<Generation>(&current_generation(period)).await {
                Err(LakeError::Damaged(_)) => self.newest_whole(period).await?,
                read => read?,
            };
            found.iter().for_each(|generation| self.know(period, generation));
        }
        let name = known()
            .ok_or_else(|| LakeError::LostRace(format!("period {period} was read again meanwhile; start a new run")))?;
        let folder = generations(period).join(name).join(table.name);
        let path = part(&folder);
        match self.store.condition(&Path::from(GENERATIONS), &path).await?.problem() {
            Some(problem) => Err(self.store.damaged(&path, problem)),
            None => Ok(folder),
        }
    }

    /// A generation's table, in order of its grain.
    ///
    /// # Errors
    /// [`LakeError`] from the store, [`LakeError::Damaged`] where it is not as it was written.
    pub async fn generation_stream<R: TableRow>(
        &self,
        period: BillingPeriod,
        fingerprint: &str,
    ) -> Result<SendableRecordBatchStream, LakeError> {
        self.store.read_stream(&self.generation_table(period, fingerprint, &R::TABLE).await?).await
    }

    /// As [`generation_stream`](Self::generation_stream), with text as numbers of dictionary entries.
    ///
    /// # Errors
    /// As [`generation_stream`](Self::generation_stream).
    pub async fn coded_generation_stream<R: TableRow>(
        &self,
        period: BillingPeriod,
        fingerprint: &str,
    ) -> Result<SendableRecordBatchStream, LakeError> {
        self.store.read_coded_stream(&self.generation_table(period, fingerprint, &R::TABLE).await?, &R::TABLE).await
    }

    /// A generation's table as a plan.
    ///
    /// # Errors
    /// [`LakeError`] from the engine.
    pub async fn generation_frame<R: TableRow>(
        &self,
        context: &SessionContext,
        period: BillingPeriod,
        generation: &Generation,
    ) -> Result<DataFrame, LakeError> {
        let folder = generations(period).join(generation.folder()).join(R::TABLE.name);
        self.store.frame(context, &folder, &R::TABLE, false).await
    }

    /// Refuses what was read of the current generations if a file of them is missing, or is not as large as it was
    /// written: it would look empty.
    ///
    /// # Errors
    /// [`LakeError::Damaged`] that names the file.
    pub async fn check_generations(&self) -> Result<(), LakeError> {
        let all = Path::from(GENERATIONS);
        let known = self.store.known.records_below(&all);
        self.store.refuse_wrong_sizes(&all, known.iter().map(|(file, record)| (file, record.sum))).await
    }

    /// Removes what no pointer names and nobody can be writing or reading any more: nothing in it was written for a day,
    /// nor in what followed it. Where a pointer is damaged, everything stays.
    pub(crate) async fn drop_old_generations(&self, now: NaiveDateTime) -> Result<(), LakeError> {
        let Some(day_before) = now.checked_sub_days(Days::new(1)).map(|then| then.and_utc()) else { return Ok(()) };
        let mut periods: BTreeMap<String, BTreeMap<String, DateTime<Utc>>> = BTreeMap::new();
        for (path, written) in self.store.written(&Path::from(GENERATIONS)).await? {
            let mut parts = path.components().map(Component::as_os_str).map(OsStr::to_string_lossy);
            let (Some(period), Some(entry)) = (parts.next(), parts.next()) else { continue };
            let newest = periods.entry(period.into_owned()).or_default().entry(entry.into_owned()).or_default();
            *newest = written.max(*newest);
        }
        for (period, entries) in periods {
            let of_period = Path::from(GENERATIONS).join(period.as_str());
            let pointer = of_period.clone().join(CURRENT);
            let named = match self.store.read_record::<Generation>(&pointer).await {
                Ok(current) => current.map(|current| current.folder().to_owned()),
                Err(_unreadable) => continue,
            };
            let last_used = |entry: &str, written: DateTime<Utc>| {
                let followers = entries.iter().filter(|(other, _)| attempt(other) > attempt(entry));
                let next = followers.min_by_key(|(other, _)| attempt(other));
                next.map_or(written, |(_, followed)| written.max(*followed))
            };
            let is_kept = |entry: &str| {
                let written = entries.get(entry).copied();
                entry == CURRENT
                    || named.as_deref() == Some(entry)
                    || written.is_none_or(|written| last_used(entry, written) >= day_before)
            };
            self.store.remove_all_but(&of_period, is_kept).await?;
            self.store.remove_if_empty(&of_period);
        }
        Ok(())
    }

    /// Takes a period out of the lake: first its files, then its pointer. Without that an older record would stand in.
    ///
    /// # Errors
    /// [`LakeError`] from the store.
    pub async fn drop_generation(&self, period: BillingPeriod) -> Result<(), LakeError> {
        self.store.remove_all_but(&generations(period), |name| name != CURRENT).await?;
        self.store.remove_folder(&generations(period)).await
    }
}

/// A file of a generation that is not as it was written.
#[derive(Debug, Clone)]
pub struct DamagedGeneration {
    path: Path,
    problem: Problem,
}

#[cfg(test)]
mod tests;
