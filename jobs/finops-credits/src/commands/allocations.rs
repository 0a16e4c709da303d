//! `allocations import`, `list` and `history`.

use std::path::Path;

use join_allocations::record::{Revisions, revisions};
use join_allocations::renamed::by_present_names;
use schemas::reference::read_allocations;
use schemas::tables::AllocationLogRow;

use super::allocate::recording;
use super::{CreditSnapshot, note};
use crate::app::App;
use crate::cli::{Allocations, RecordArgs};
use crate::output::{Shown, print, print_lines};
use crate::{Failure, Kind};

pub(crate) async fn allocations(app: &App, command: Allocations) -> Result<(), Failure> {
    match command {
        Allocations::Import { file, record } => import(app, &file, &record).await,
        Allocations::List => list(app).await,
        Allocations::History { key } => history(app, &key).await,
    }
}

async fn import(app: &App, file: &Path, record: &RecordArgs) -> Result<(), Failure> {
    let name = file.file_name().map_or_else(|| file.display().to_string(), |name| name.to_string_lossy().into_owned());
    let bytes = std::fs::read(file).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Failure::new(Kind::BadInput, format!("{} does not exist", file.display())),
        std::io::ErrorKind::IsADirectory => Failure::new(Kind::BadInput, format!("{} is a folder", file.display())),
        _ => Failure::new(Kind::Storage, format!("{}: {error}", file.display())),
    })?;
    let (entered, mut problems) = read_allocations(&name, &bytes);
    let standing = CreditSnapshot::of(app).await?;
    let (register, hierarchy) = (&standing.register.credits, &standing.reference.hierarchy);
    let checked = revisions(&entered, register, hierarchy, &standing.log, &recording(app, &standing, record));
    let new = checked.unwrap_or_else(|found| {
        problems.0.extend(found.0);
        Revisions::default()
    });
    problems.0.sort_by_key(|problem| problem.row);
    let new = problems.or(new)?;
    app.lake.logs().append(&new.rows).await?;
    for warning in &new.warnings {
        note(&format!("warning: {warning}"));
    }
    let lots = new.rows.len();
    let known = match new.already_recorded {
        0 => String::new(),
        count => format!(" {count} rows stood in the log already."),
    };
    print_lines([format!("Recorded {lots} rows of {name}. They count from the next run.{known}")])
}

/// The rows of the revisions that count, by credit and lot.
async fn list(app: &App) -> Result<(), Failure> {
    let standing = CreditSnapshot::of(app).await?;
    let mut rows = standing.log.clone();
    rows.retain(|row| {
        let of_credit = standing.log.iter().filter(|other| other.credit_key == row.credit_key);
        let newest = of_credit.map(|other| (other.recorded_at, &other.allocation_id)).max();
        newest == Some((row.recorded_at, &row.allocation_id)) && row.action == "allocate"
    });
    rows.sort_by(|left, right| (&left.credit_key, left.lot).cmp(&(&right.credit_key, right.lot)));
    rows.dedup();
    print_rows(app, &rows, "No credit is allocated.")
}

async fn history(app: &App, key: &str) -> Result<(), Failure> {
    let log: Vec<AllocationLogRow> = app.lake.logs().read().await?;
    let log: Vec<AllocationLogRow> = log.into_iter().filter(|row| row.credit_key == key).collect();
    let mut rows = by_present_names(&log, &app.reference_files().await?.hierarchy).into_owned();
    if rows.is_empty() && app.format == crate::cli::Format::Table {
        let standing = CreditSnapshot::of(app).await?;
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
