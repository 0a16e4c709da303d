//! The jobs' shells: each reads what it needs, calls the job's crate, and records that it is done.

pub(crate) mod athena_check;
pub(crate) mod detect;
pub(crate) mod fifo;
pub(crate) mod join;
pub(crate) mod net_cost;
pub(crate) mod publish;
pub(crate) mod scan;

pub(crate) const DETECT: &str = schemas::records::Detected::JOB;
pub(crate) const JOIN: &str = "join-allocations";
pub(crate) const FIFO: &str = "apply-fifo";
pub(crate) const NET_COST: &str = "write-net-cost";
