//! Faults: kills, damaged files, full and read-only disks, races, retries. Each goes through the built binary, as a scheduler would
//! start it, and each asks the same question: what does somebody who reads the published tables see?

mod damage;
mod kills;
mod logs;
mod races;
mod readers;
mod retries;
pub(crate) mod shop;
mod storage;
mod syscalls;
