//! `allocations import`, `export`, `list` and `history`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use application::{CreditSnapshot, EnteredFile, money_text, published};
use chrono::NaiveDateTime;
use credit_ledger::Node;
use join_allocations::renamed::by_present_names;
use schemas::reference::Action;
use schemas::tables::{AllocationLogRow, Credit};
use schemas::{NodeColumns, Owners};

use super::allocate::warn;
use super::importable::importable;
use super::who::recording;
use super::{inbox, note};
use crate::app::App;
use crate::cli::{Allocations, Format, ListArgs, RecordArgs};
use crate::output::{List, Shown, answer, print, print_csv, print_list, with_texts};
use crate::{Failure, Kind, files};

pub(crate) async fn allocations(app: &App, command: Allocations) -> Result<(), Failure> {
    match command {
        Allocations::Import { file: None, .. } => inbox::take(app).await,
        Allocations::Import { file: Some(file), to_inbox, record, .. } => import(app, &file, to_inbox, &record).await,
        Allocations::Export { file, history } => export(app, file.as_deref(), history).await,
        Allocations::List(arguments) => list(app, &arguments).await,
        Allocations::History { key } => history(app, &key).await,
    }
}

async fn import(app: &App, file: &Path, to_inbox: bool, record: &RecordArgs) -> Result<(), Failure> {
    let name = files::name(file);
    let bytes = files::read(file)?;
    let entered = EnteredFile::read(&name, &bytes)?;
    let standing = CreditSnapshot::of(&app.context).await?;
    let import = entered.check(&standing, &recording(app, &standing, record).await?)?;
    let put = match to_inbox {
        true => Some(inbox::put(app, &name, bytes).await?),
        false => {
            app.context.lake.logs().append(&import.new.rows).await.map_err(|error| inbox::or_put(app, error.into()))?;
            None
        }
    };
    if let Some(left_out) = &import.left_out {
        note(left_out);
    }
    warn(app, &import.new);
    if let Some(put) = put {
        return answer(app.format, &put, [put.said()]);
    }
    answer(app.format, &import.new, [import.said(Some("They count from the next run."))])
}

const ALL: [&str; 18] = [
    "allocation_id",
    "lot",
    "credit_key",
    "action",
    "business_unit",
    "department",
    "portfolio",
    "product",
    "amount",
    "currency",
    "end_date",
    "reference",
    "recorded_by",
    "recorded_at",
    "note",
    "from_period",
    "continues_lot",
    "owner_email",
];

const SHOWN: [&str; 9] =
    ["credit_key", "node", "owner_email", "currency", "amount", "end_date", "reference", "recorded_by", "recorded_at"];

const EXPENDABLE: [&str; 4] = ["recorded_at", "recorded_by", "reference", "owner_email"];

/// The rows of the revisions that count, or that counted in a run with these credits, by credit and lot.
fn counting(log: &[AllocationLogRow], run: Option<&[Credit]>) -> Vec<AllocationLogRow> {
    let mut newest: BTreeMap<&str, (NaiveDateTime, &str)> = BTreeMap::new();
    let recorded_at = |row: &AllocationLogRow| {
        let credit = run?.iter().find(|credit| credit.credit_key == row.credit_key)?;
        credit.recorded_at
    };
    for row in log.iter().filter(|row| run.is_none() || recorded_at(row) == Some(row.recorded_at)) {
        let revision = (row.recorded_at, row.allocation_id.as_str());
        let newest = newest.entry(&row.credit_key).or_insert(revision);
        *newest = revision.max(*newest);
    }
    let counts = |row: &&AllocationLogRow| {
        let newest = newest.get(row.credit_key.as_str());
        newest == Some(&(row.recorded_at, row.allocation_id.as_str())) && row.action == Action::Allocate.name()
    };
    in_order(log.iter().filter(counts).cloned().collect())
}

/// The allocations that count.
async fn list(app: &App, arguments: &ListArgs) -> Result<(), Failure> {
    let standing = CreditSnapshot::of(&app.context).await?;
    let rows = counting(&standing.log, of_run(app).await?.as_deref());
    let owners = match app.context.lake.published().await? {
        Some(_) => Owners::of(&published(&app.context).await?),
        None => Owners::default(),
    };
    let nodes: Vec<Option<Node>> = rows.iter().map(|row| row.node().ok()).collect();
    let names = nodes.iter().map(|node| node.as_ref().map(|node| node.to_string().into())).collect();
    let emails = nodes.iter().map(|node| owners.nearest(node.as_ref()?).cloned()).collect();
    let list = List {
        batch: with_texts(&schemas::to_batch(&rows)?, [("node", names), ("owner_email", emails)])?,
        arguments,
        all: &ALL,
        shown: &SHOWN,
        expendable: &EXPENDABLE,
        summed: &["amount"],
        empty: "No credit is allocated.",
    };
    print_list(app, &list, &[])
}

/// What `import` takes, to a file or to stdout.
async fn export(app: &App, file: Option<&Path>, history: bool) -> Result<(), Failure> {
    // Of a lake that has not read an export yet, say one that was restored, names and accounts are not known.
    let (log, register) = match CreditSnapshot::of(&app.context).await {
        Ok(standing) => (Arc::unwrap_or_clone(standing.log), Arc::unwrap_or_clone(standing.register).credits),
        Err(failure) if failure.kind == Kind::NotYet => (app.context.lake.logs().read().await?, Vec::new()),
        Err(failure) => return Err(failure),
    };
    let rows = if history { in_order(log) } else { counting(&log, of_run(app).await?.as_deref()) };
    let batch = importable(&rows, &register)?;
    match file {
        Some(file) => {
            files::write_table(app, file, "allocations", &batch)?;
            note(&format!("{} rows written to {}", money_text::count(rows.len() as u64), file.display()));
            Ok(())
        }
        None if app.format == Format::Json => print(app, &[batch], Shown::Exact, ""),
        None => print_csv(app, &[batch]),
    }
}

/// The credits of the run that somebody asks for: each says when what counted in it was recorded.
async fn of_run(app: &App) -> Result<Option<Vec<Credit>>, Failure> {
    if app.context.asked.is_none() {
        return Ok(None);
    }
    published(&app.context).await.map(Some)
}

/// All revisions, by credit.
fn in_order(mut log: Vec<AllocationLogRow>) -> Vec<AllocationLogRow> {
    log.sort_by(|left, right| {
        let key =
            |row: &AllocationLogRow| (row.credit_key.clone(), row.recorded_at, row.allocation_id.clone(), row.lot);
        key(left).cmp(&key(right))
    });
    log.dedup();
    log
}

async fn history(app: &App, key: &str) -> Result<(), Failure> {
    let log: Vec<AllocationLogRow> = app.context.lake.logs().read().await?;
    let log: Vec<AllocationLogRow> = log.into_iter().filter(|row| row.credit_key == key).collect();
    let mut rows = by_present_names(&log, &app.context.reference_files().await?.hierarchy).into_owned();
    if rows.is_empty() && app.format == crate::cli::Format::Table {
        let standing = CreditSnapshot::of(&app.context).await?;
        if !standing.register.credits.iter().any(|credit| credit.credit_key == key) {
            let message = format!("credit {key} is not registered; `queue` and `credits` list those that are");
            return Err(Failure::new(Kind::BadInput, message));
        }
    }
    rows.sort_by(|left, right| {
        (left.recorded_at, &left.allocation_id, left.lot).cmp(&(right.recorded_at, &right.allocation_id, right.lot))
    });
    print_rows(app, &rows, "Nothing has been recorded about this credit.")
}

fn print_rows(app: &App, rows: &[AllocationLogRow], empty: &str) -> Result<(), Failure> {
    print(app, &[schemas::to_batch(rows)?], Shown::Cents, empty)
}

#[cfg(test)]
mod tests;
