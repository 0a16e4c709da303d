//! The scan on several machines, by Apache Ballista (feature `ballista` of the binary).
//!
//! [`Scheduler`] and [`Executor`] are processes of a cluster; [`Cluster`] is the engine that the driver, the process of the
//! job, gives plans to: `plan.rs` says which part of a plan goes there, `job.rs` follows it. Executors read the export by
//! settings of their own. All are of one version: others are refused (`version.rs`).
//!
//! Whoever reaches a port of a cluster can have it read what its executors may read: only its members may.

mod client;
mod codec;
mod engine;
mod error;
mod executor;
mod job;
mod plan;
mod progress;
mod scheduler;
mod service;
mod signals;
mod version;
mod work_dir;

pub use engine::Cluster;
pub use error::ClusterError;
pub use executor::Executor;
pub use scheduler::Scheduler;
