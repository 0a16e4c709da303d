//! The lake: where everything lives that outlives a job.
//!
//! ```text
//! <lake>/catalog.db                 SQLite catalogue of the Iceberg logs
//!        warehouse/<database>/…     their data: credits_log, allocations_log, runs_log
//!        generations/<period>/…     what was last read of the export, with its pointer current.json
//!        work/<run id>/…            what jobs of one run hand each other
//!        superseded/<run id>.json   for a run that was under way when another one was published
//!        cache/…                    what the next run may take over instead of making it again
//!        runs/<run id>/<table>/…    staged and published tables, whole, with their sizes and checksums in manifest.json
//!        summaries/<run id>.json    what a run found, in brief
//!        published -> runs/<id>     the pointer: all tables change at once
//! ```
//!
//! **Invariant:** a file that a pointer reaches is never written again, nor removed while the pointer names it.
//! **Invariant:** each pointer changes in one step (a rename, an Iceberg commit), so a reader sees the state before or
//! after, never between; all that it reaches is on disk by then. **Invariant:** nothing that an earlier process wrote is
//! taken over before it was checked, where its size and checksum are known.

mod cache;
mod decoding;
mod encoder;
mod error;
mod generation;
mod generations;
mod known;
mod lake;
mod local;
mod logs;
mod manifest;
mod pointers;
mod publishing;
mod records;
mod settings;
mod sources;
mod store;
mod sums;
mod synced;
mod tables;
mod taken_over;
mod work;

pub use cache::MadeFrom;
pub use decoding::decoded;
pub use error::LakeError;
pub use generation::{CurrencyTotal, Generation, SourceFile};
pub use generations::{DamagedGeneration, Generations};
pub use iceberg::ErrorKind as IcebergErrorKind;
pub use lake::{EngineStore, Held, Lake, LakeLock, LakeParts, Locks};
pub use logs::repair::{Newer, Repair, RepairedLog};
pub use logs::{LogSnapshot, Logs};
pub use manifest::RunExtent;
pub use publishing::{PeriodRange, Pointer, StagedPeriod, StagedRun};
pub use settings::{
    AthenaSettings, CatalogKind, LakeSettings, ReferenceSettings, RunSettings, Settings, SourceSettings, is_s3,
};
pub use sources::{ReferenceFiles, open_folder};
pub use sums::FileSum;
