//! `lake repair`: registers the logs again.

use std::fmt::Write;

use lake::{Lake, Newer, Repair, RepairedLog, Settings, is_s3};

use crate::Failure;
use crate::money_text::count;
use crate::output::write_stdout;
use crate::places::Places;

pub(crate) async fn repair(places: &Places, settings: &Settings, accept_loss: bool) -> Result<(), Failure> {
    let repaired = match is_s3(&settings.lake.location) {
        true => places.aws()?.repair_lake(settings, accept_loss).await?,
        false => Lake::repair_local(settings, accept_loss).await?,
    };
    write_stdout(&report(&repaired))
}

fn report(repaired: &[RepairedLog]) -> String {
    let mut text = String::new();
    for RepairedLog { log, repair, rows, newest } in repaired {
        let changed = newest.map(|newest| format!(", the newest of {}", newest.format("%Y-%m-%d %H:%M:%S UTC")));
        let rows = format!("{} rows{}", count(*rows as u64), changed.unwrap_or_default());
        let _ = match repair {
            Repair::Whole => writeln!(text, "{log}: whole, {rows}"),
            Repair::StartedEmpty => writeln!(text, "{log}: nothing of it could be read; it begins anew, without rows"),
            Repair::Registered { metadata, unreadable, newer } => {
                let unreadable = match (unreadable.as_slice(), newer) {
                    ([], _) => String::new(),
                    (files, Newer::Recovered(rows)) => {
                        format!(
                            "; {} cannot be read, {} rows of newer data files are in again",
                            files.join(", "),
                            count(*rows)
                        )
                    }
                    (files, Newer::Lost) => {
                        format!(
                            "; {} cannot be read: what was recorded then is lost, record it again",
                            files.join(", ")
                        )
                    }
                };
                writeln!(text, "{log}: registered again from {metadata}, {rows}{unreadable}")
            }
        };
    }
    text
}
