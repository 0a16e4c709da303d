//! Where everything lies in a lake: every path once.
//!
//! ```text
//! lake.json                                   where a lake in a folder was made
//! catalog.db                                  SQLite catalogue of the Iceberg logs
//! warehouse/<database>/<log>/…                their metadata and data: credits_log, allocations_log, runs_log
//! generations/<period>/current.json           pointer to what was last read of the export
//!                      <generation>/<table>/  its tables, and generation.json, the record of it
//! runs/<run id>/manifest.json                 sizes, checksums and input digests of the run's files
//!               <table>/[billing_period=…/]   the published tables, whole
//! work/<run id>/<job>.json                    what a job found; marks it as done
//!               <table>/[billing_period=…/]   intermediate tables: for the run's later jobs, and for the next run to reuse
//!      <run id>.failure.json                  why a job of the run failed
//! superseded/<run id>.json                    left for a run that was under way when another one was published
//! summaries/<run id>.json                     what a run found, in brief
//! published -> runs/<run id>                  pointer to the published run
//! inbox/<who>/<file>                          what people put there to be recorded, with a receipt beside each:
//!             <file>.taken.txt, …refused.txt  what was recorded of it, or why nothing
//! relocating.zip                              rows of the logs of a lake that was moved, while they are made anew
//! .lock                                       held by a job while it works
//! ```
//!
//! Each table, or each billing period of one, is a folder with one file.

use credit_ledger::BillingPeriod;
use object_store::path::Path;
use schemas::{Place, Table};

pub(crate) const GENERATIONS: &str = "generations";
pub(crate) const INBOX: &str = "inbox";
pub(crate) const RUNS: &str = "runs";
pub(crate) const SUMMARIES: &str = "summaries";
pub(crate) const SUPERSEDED: &str = "superseded";
pub(crate) const WAREHOUSE: &str = "warehouse";
pub(crate) const WORK: &str = "work";

/// Says where the lake was made.
pub(crate) const HOME: &str = "lake.json";
/// The rows of the logs of a lake that was moved, while they are made anew.
pub(crate) const RELOCATING: &str = "relocating.zip";
/// The SQLite catalogue of a local lake.
pub(crate) const CATALOG_FILE: &str = "catalog.db";
/// The lock of a local lake.
pub(crate) const LOCK_FILE: &str = ".lock";
/// The symbolic link of a local lake to its published run.
pub(crate) const PUBLISHED: &str = "published";

/// The pointer in a period's folder of generations.
pub(crate) const CURRENT: &str = "current.json";

const PART: &str = "part-0.parquet";

/// The one file of a table's folder.
pub(crate) fn part(folder: &Path) -> Path {
    folder.clone().join(PART)
}

/// The folder of a table, or of one billing period of it.
pub(crate) fn table_folder(folder: Path, table: &Table, period: Option<BillingPeriod>) -> Path {
    let folder = folder.join(table.name);
    match period {
        Some(period) => folder.join(format!("{}={period}", Table::PARTITION)),
        None => folder,
    }
}

/// The folder of a run that holds a table: published tables lie apart from those that only jobs read.
pub(crate) fn root_of_run(run_id: &str, table: &Table) -> Path {
    if table.place == Place::Published { run(run_id) } else { work(run_id) }
}

/// The folder of a table of a run.
pub(crate) fn table_of_run(run_id: &str, table: &Table, period: Option<BillingPeriod>) -> Path {
    table_folder(root_of_run(run_id, table), table, period)
}

pub(crate) fn run(run_id: &str) -> Path {
    Path::from(RUNS).join(run_id)
}

pub(crate) fn manifest(run_id: &str) -> Path {
    run(run_id).join("manifest.json")
}

pub(crate) fn work(run_id: &str) -> Path {
    Path::from(WORK).join(run_id)
}

pub(crate) fn job_record(run_id: &str, job: &str) -> Path {
    work(run_id).join(format!("{job}.json"))
}

pub(crate) fn failure(run_id: &str) -> Path {
    Path::from(WORK).join(format!("{run_id}.failure.json"))
}

/// Name of a record that is kept per run, in a folder for all runs.
pub(crate) fn record_name(run_id: &str) -> String {
    format!("{run_id}.json")
}

/// The run that a record is kept for.
pub(crate) fn run_of_record(name: &str) -> Option<&str> {
    name.strip_suffix(".json")
}

pub(crate) fn summary(run_id: &str) -> Path {
    Path::from(SUMMARIES).join(record_name(run_id))
}

pub(crate) fn superseded(run_id: &str) -> Path {
    Path::from(SUPERSEDED).join(record_name(run_id))
}

pub(crate) fn generations(period: BillingPeriod) -> Path {
    Path::from(GENERATIONS).join(period.to_string())
}

pub(crate) fn current_generation(period: BillingPeriod) -> Path {
    generations(period).join(CURRENT)
}

pub(crate) fn generation_record(period: BillingPeriod, generation: &str) -> Path {
    generations(period).join(generation).join("generation.json")
}

pub(crate) fn log_metadata(database: &str, log: &Table) -> Path {
    Path::from(WAREHOUSE).join(database).join(log.name).join("metadata")
}

/// A path below a folder.
pub(crate) fn below(path: &Path, folder: &Path) -> Option<String> {
    Some(path.prefix_match(folder)?.collect::<Path>().to_string())
}

/// The path of a file below a folder.
pub(crate) fn under(folder: &Path, file: &str) -> Path {
    file.split('/').fold(folder.clone(), Path::join)
}

#[cfg(test)]
mod tests {
    use schemas::TableRow;
    use schemas::tables::{Cell, NetCost};

    use super::*;

    #[test]
    fn published_and_intermediate_tables_of_a_run_lie_apart() {
        let period = "2026-01".parse().unwrap();
        let net_cost = table_of_run("r", &NetCost::TABLE, Some(period));
        assert_eq!(part(&net_cost).as_ref(), "runs/r/net_cost/billing_period=2026-01/part-0.parquet");
        let cells = table_of_run("r", &Cell::TABLE, None);
        assert_eq!(cells.as_ref(), "work/r/cells");
        assert_eq!(below(&part(&cells), &work("r")).unwrap(), "cells/part-0.parquet");
        assert_eq!(under(&work("r"), "cells/part-0.parquet"), part(&cells));
    }
}
