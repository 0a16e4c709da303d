//! `lake repair`: registers the logs again.

use lake::{Lake, Newer, Repair, RepairedLog, Settings, is_s3};
use serde::Serialize;

use crate::Failure;
use crate::cli::Format;
use crate::locations::Locations;
use crate::output::answer;
use application::money_text::count;

pub(crate) async fn repair(
    locations: &Locations,
    settings: &Settings,
    accept_loss: bool,
    format: Format,
) -> Result<(), Failure> {
    let repaired = match is_s3(&settings.lake.location) {
        true => locations.aws()?.repair_lake(settings, accept_loss).await?,
        false => Lake::repair_local(settings, accept_loss).await?,
    };
    answer(format, &Repaired { logs: &repaired }, repaired.iter().map(line))
}

#[derive(Serialize)]
struct Repaired<'a> {
    logs: &'a [RepairedLog],
}

fn line(RepairedLog { log, repair, rows, newest }: &RepairedLog) -> String {
    let changed = newest.map(|newest| format!(", the newest of {}", newest.format("%Y-%m-%d %H:%M:%S UTC")));
    let rows = format!("{} rows{}", count(*rows as u64), changed.unwrap_or_default());
    match repair {
        Repair::Whole => format!("{log}: whole, {rows}"),
        Repair::StartedEmpty => format!("{log}: nothing of it could be read; it begins anew, without rows"),
        Repair::Registered { metadata, unreadable, newer } => {
            let files = unreadable.join(", ");
            let unreadable = match newer {
                _ if files.is_empty() => String::new(),
                Newer::Recovered(rows) => {
                    format!("; {files} cannot be read, {} rows of newer data files are in again", count(*rows))
                }
                Newer::Lost => format!("; {files} cannot be read: what was recorded then is lost, record it again"),
            };
            format!("{log}: registered again from {metadata}, {rows}{unreadable}")
        }
    }
}
