//! What the command line and the web page share: questions to a lake and their answers as data, revisions before and while
//! they are recorded, failures and text of others as people are shown them.
//!
//! Nothing here prints or renders. The clock and the environment are read outside; a [`Context`] carries what they said.

mod context;
mod export_read;
mod failure;
mod findings;
pub mod foreign_text;
mod import;
mod inbox;
pub mod money_text;
mod proposal;
mod published;
pub mod queries;
mod removed_nodes;
pub mod revision;
mod snapshot;
pub mod statement;
#[cfg(test)]
mod testing;
mod tie_out;
pub mod typed;
mod waiting;
mod whose;

pub use context::{Context, ReferenceSource, runtime};
pub use export_read::{ExportRead, later_months_left_out};
pub use failure::{Failure, Kind};
pub use findings::{findings, findings_now};
pub use import::{EnteredFile, Import};
pub use inbox::take_inbox;
pub use proposal::Proposal;
pub use published::{collected, published, read_plan};
pub use snapshot::{CreditSnapshot, SnapshotMemory};
pub use tie_out::TieOut;
pub use waiting::{LikelyMemory, LikelyOwner, Waiting, waiting, waiting_now};
pub use whose::{allocated_credits, whose};
