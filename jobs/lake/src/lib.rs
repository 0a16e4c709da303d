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
//!        published -> runs/<id>     the pointer: all tables change at once
//! ```
//!
//! **Invariant:** a file that a pointer reaches is never written again. **Invariant:** each pointer changes in one
//! step (a rename, an Iceberg commit), so a reader sees the state before or after, never between.

mod cache;
mod error;
mod generations;
mod local;
mod logs;
mod publishing;
mod settings;
mod sources;
mod store;
mod work;

pub use cache::MadeFrom;
pub use error::LakeError;
pub use generations::{CurrencyTotal, Generation, SourceFile};
pub use iceberg::ErrorKind as IcebergErrorKind;
pub use local::{Lake, LakeLock};
pub use logs::Logs;
pub use publishing::{Pointer, StagedPeriod, StagedRun};
pub use settings::{CatalogKind, LakeSettings, ReferenceSettings, RunSettings, Settings, SourceSettings};
pub use sources::{ReferenceFiles, open_export};
