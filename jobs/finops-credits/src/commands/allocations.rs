//! `allocations import`, `list` and `history`.

use std::path::Path;

use credit_ledger::Node;
use join_allocations::lots::current_rows;
use join_allocations::record::{Revisions, revisions};
use join_allocations::renamed::by_present_names;
use schemas::NodeColumns;
use schemas::reference::{Action, read_allocations};
use schemas::tables::AllocationLogRow;
use write_net_cost::whose::Owners;

use super::allocate::{recording, warn};
use super::{CreditSnapshot, published, read_file};
use crate::app::App;
use crate::cli::{Allocations, ListArgs, RecordArgs};
use crate::output::{List, Shown, answer, print, print_list, with_texts};
use crate::{Failure, Kind};

pub(crate) async fn allocations(app: &App, command: Allocations) -> Result<(), Failure> {
    match command {
        Allocations::Import { file, record } => import(app, &file, &record).await,
        Allocations::List(arguments) => list(app, &arguments).await,
        Allocations::History { key } => history(app, &key).await,
    }
}

async fn import(app: &App, file: &Path, record: &RecordArgs) -> Result<(), Failure> {
    let name = file.file_name().map_or_else(|| file.display().to_string(), |name| name.to_string_lossy().into_owned());
    let bytes = read_file(file)?;
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
    warn(app, &new);
    let lots = new.rows.len();
    let known = match new.already_recorded {
        0 => String::new(),
        count => format!(" {count} rows stood in the log already."),
    };
    answer(app.format, &new, [format!("Recorded {lots} rows of {name}. They count from the next run.{known}")])
}

const ALL: [&str; 16] = [
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
    "owner_email",
];

const SHOWN: [&str; 9] =
    ["credit_key", "node", "owner_email", "currency", "amount", "end_date", "reference", "recorded_by", "recorded_at"];

const EXPENDABLE: [&str; 4] = ["recorded_at", "recorded_by", "reference", "owner_email"];

/// The rows of the revisions that count, by credit and lot.
async fn list(app: &App, arguments: &ListArgs) -> Result<(), Failure> {
    let standing = CreditSnapshot::of(app).await?;
    let rows: Vec<AllocationLogRow> =
        current_rows(&standing.log).filter(|row| row.action == Action::Allocate.name()).cloned().collect();
    let owners = match app.lake.published().await? {
        Some(_) => Owners::of(&published(app).await?),
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
