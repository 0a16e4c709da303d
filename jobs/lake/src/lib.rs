//! The lake: where everything lives that outlives a job.
//!
//! ```text
//! <lake>/catalog.db                 SQLite catalogue of the Iceberg logs
//!        warehouse/<database>/…     their data: credits_log, allocations_log, runs_log
//!        generations/<period>/…     what was last read of the export, with its pointer current.json
//!        work/<run id>/…            what jobs of one run hand each other
//!        superseded/<run id>.json   for a run that was under way when another one was published
//!        cache/…                    what the next run may take over instead of making it again
//!        runs/<run id>/<table>/…    staged and published tables, whole
//!        summaries/<run id>.json    what a run found, in brief
//!        published -> runs/<id>     the pointer: all tables change at once
//! ```
//!
//! **Invariant:** a file that a pointer reaches is never written again. **Invariant:** each pointer changes in one
//! step (a rename, an Iceberg commit), so a reader sees the state before or after, never between.

mod cache;
mod encoder;
mod error;
mod generations;
mod lake;
mod local;
mod logs;
mod publishing;
mod settings;
mod sources;
mod store;
mod synced;
mod work;

pub use cache::MadeFrom;
pub use error::LakeError;
pub use generations::{CurrencyTotal, Generation, SourceFile};
pub use iceberg::ErrorKind as IcebergErrorKind;
pub use lake::{EngineStore, Held, Lake, LakeLock, LakeParts, Locks};
pub use logs::repair::{Newer, Repair, RepairedLog};
pub use logs::{LogSnapshot, Logs};
pub use publishing::{PeriodRange, Pointer, StagedPeriod, StagedRun};
pub use settings::{
    AthenaSettings, CatalogKind, LakeSettings, ReferenceSettings, RunSettings, Settings, SourceSettings, is_s3,
};
pub use sources::{ReferenceFiles, open_folder};
