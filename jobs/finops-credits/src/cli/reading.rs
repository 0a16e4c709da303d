//! Arguments of what reads the export: `detect-credits`, `scheduler`, `executor`.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use bytesize::ByteSize;
use clap::Args;
use credit_ledger::BillingPeriod;
use lake::SchedulerAddress;

use super::values::period;

pub(super) const DETECT_HELP: &str = "\
The jobs of one run are given one --run-id and one --as-of, in any process on any machine that reaches the lake. \
A large export can be read by several processes at once: each is given a period of the plan, and afterwards the job is \
run as ever. Or by a cluster, which shares also the lines of one period: --scheduler.

Examples:
  finops-credits detect-credits --run-id night-42 --as-of 2026-10-31
  finops-credits detect-credits --run-id night-42 --as-of 2026-10-31 --plan
  finops-credits detect-credits --run-id night-42 --as-of 2026-10-31 --period 2026-09
  finops-credits detect-credits --run-id night-42 --as-of 2026-10-31 --scheduler df://10.0.0.5:50050";

/// `detect-credits`
#[derive(Debug, Clone, Args)]
pub struct Detect {
    /// Only say which periods must be read and how many bytes they have, as JSON, also in the lake:
    /// `work/<run id>/scan-plan.json`
    #[arg(long, conflicts_with = "period")]
    pub plan: bool,
    /// Only read this period, YYYY-MM, if it changed; register nothing
    #[arg(long, value_name = "PERIOD", value_parser = period)]
    pub period: Option<BillingPeriod>,
    /// What reads the export.
    #[command(flatten)]
    pub cluster: OnCluster,
}

/// A cluster, named on the command line.
#[derive(Debug, Clone, Args)]
pub struct OnCluster {
    /// Have the cluster of this scheduler read the export, whatever `[engine]` of the settings says
    #[arg(long, value_name = "df://HOST:PORT", env = "FINOPS_CREDITS_SCHEDULER")]
    pub scheduler: Option<SchedulerAddress>,
}

/// How long a process of a cluster stays.
#[derive(Debug, Clone, Copy, Args)]
pub struct Limits {
    /// Exit after this many seconds without work
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub idle_timeout: Option<u64>,
    /// Exit after this many seconds, even with work under way
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub lifetime: Option<u64>,
}

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// `scheduler`
#[derive(Debug, Clone, Args)]
pub struct Scheduler {
    /// Address to listen on. Only members of the cluster may reach it: nobody signs in
    #[arg(long, value_name = "ADDRESS", default_value_t = LOOPBACK)]
    pub bind: IpAddr,
    /// Port to listen on
    #[arg(long, value_name = "PORT", default_value_t = 50050, value_parser = clap::value_parser!(u16).range(1..))]
    pub port: u16,
    /// Seconds without a sign of life after which an executor counts as lost
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    pub executor_timeout: u64,
    /// How long it stays.
    #[command(flatten)]
    pub limits: Limits,
}

pub(super) const SCHEDULER_HELP: &str = "\
It needs no settings and keeps nothing. SIGTERM ends it, exit code 0. Scheduler, executors and the job are of one version.

Example, each in a terminal of its own:
  finops-credits scheduler
  finops-credits executor --scheduler df://localhost:50050 --work-dir /tmp/executor
  finops-credits run --scheduler df://localhost:50050";

/// `executor`
#[derive(Debug, Clone, Args)]
pub struct Executor {
    /// Where the scheduler listens
    #[arg(long, value_name = "df://HOST:PORT", env = "FINOPS_CREDITS_SCHEDULER")]
    pub scheduler: SchedulerAddress,
    /// Folder for temporary files; what the executor puts there is removed when it ends
    #[arg(long, value_name = "DIR")]
    pub work_dir: PathBuf,
    /// Address to listen on. Only members of the cluster may reach it: nobody signs in
    #[arg(long, value_name = "ADDRESS", default_value_t = LOOPBACK)]
    pub bind: IpAddr,
    /// Name or address that others reach it by [default: the one that it binds to; for 0.0.0.0 the one that it calls from]
    #[arg(long, value_name = "HOST")]
    pub host: Option<String>,
    /// Port that rows are fetched from, by executors and the job
    #[arg(long, value_name = "PORT", default_value_t = 50051, value_parser = clap::value_parser!(u16).range(1..))]
    pub port: u16,
    /// Port that the scheduler gives tasks to [default: the next one]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub grpc_port: Option<u16>,
    /// Tasks at once [default: `[run] threads`]
    #[arg(long, value_name = "COUNT", value_parser = slots)]
    pub slots: Option<usize>,
    /// What all tasks together may hold in memory before they spill to temporary files [default: `[run] memory_limit`]
    #[arg(long, value_name = "SIZE")]
    pub memory_limit: Option<ByteSize>,
    /// How long it stays.
    #[command(flatten)]
    pub limits: Limits,
}

fn slots(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|slots| (1..=1024).contains(slots)).ok_or_else(|| "1 to 1024".to_owned())
}

pub(super) const EXECUTOR_HELP: &str = "\
It reads the export by its own settings, and touches no lake. SIGTERM ends it, exit code 0; tasks that are at work have ten \
seconds. With -v it logs each task and its metrics.

Examples:
  finops-credits executor --scheduler df://localhost:50050 --work-dir /tmp/executor
  finops-credits executor --scheduler df://10.0.0.5:50050 --work-dir /scratch --bind 0.0.0.0 --memory-limit \"8 GiB\"";
