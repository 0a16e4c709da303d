//! The lake: where everything lives that outlives a job, and what a run reuses of the one before.
//!
//! * [`Lake`]: the open lake; [`Run`]: the tables of one run; [`Logs`]: the append-only Iceberg logs
//! * [`Run::reuse_or_write`] is the one place where a table that would come out the same is not made again
//! * `layout.rs` has every path
//!
//! **Invariant:** a file that a pointer reaches is never written again, nor removed while the pointer names it.
//! **Invariant:** each pointer changes in one step (a rename, an Iceberg commit), so a reader sees the state before or
//! after, never between; all that it reaches is on disk by then. **Invariant:** nothing that an earlier process wrote is
//! reused before it was checked, where its size and checksum are known.

mod asked;
mod backup;
mod checks;
mod concurrency;
mod decoding;
mod digest;
mod encoder;
mod engine_settings;
mod error;
mod extent;
mod generation;
mod generations;
mod home;
mod inbox;
mod job;
mod kept;
mod known;
mod lake;
mod layout;
mod local;
mod location;
mod logs;
mod manifest;
mod moved;
mod parts;
mod pointers;
mod published;
mod publishing;
mod records;
mod relocate;
mod run;
mod settings;
mod source_settings;
mod sources;
mod sql;
mod store;
mod sums;
mod synced;
mod tables;
#[cfg(test)]
mod testing;
mod web_settings;

pub use asked::RunInLake;
pub use backup::{BackedUpLog, Backup, BackupManifest, Packed, RestoredLog};
pub use concurrency::{map_concurrently, spawn_abort_on_drop};
pub use decoding::decoded;
pub use digest::InputDigest;
pub use engine_settings::{EngineKind, EngineSettings, Fallback, SchedulerAddress};
pub use error::LakeError;
pub use extent::RunExtent;
pub use generation::{CurrencyTotal, Generation, SourceFile};
pub use generations::{DamagedGeneration, Generations};
pub use iceberg::ErrorKind as IcebergErrorKind;
pub use inbox::{Inbox, Upload, Verdict};
pub use job::{JobContext, latest_instant};
pub use kept::KeptRun;
pub use lake::Lake;
pub use location::is_s3;
pub use logs::repair::{Newer, Repair, RepairedLog};
pub use logs::{LogSnapshot, Logs};
pub use manifest::{StagedPeriod, StagedRun};
pub use parts::{EngineStore, Held, LakeLock, LakeParts, Locks, PeriodRange, Pointer};
pub use relocate::Relocated;
pub use run::{Reuse, Run};
pub use settings::{AthenaSettings, CatalogKind, LakeSettings, ReferenceSettings, RunSettings, Settings};
pub use source_settings::{SourceSettings, Sources};
pub use sources::{ReferenceFiles, open_folder};
pub use sql::Selection;
pub use sums::FileSum;
pub use tables::{stream_of, stream_of_batch};
pub use web_settings::{RoleGroups, SecretReference, WebSettings};
