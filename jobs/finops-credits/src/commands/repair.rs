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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::instant;

    #[test]
    fn log_is_told_with_what_became_of_it_and_what_has_to_be_recorded_again() {
        let newest = Some(instant("2026-10-31T09:30:15"));
        let told = |repair: Repair| line(&RepairedLog { log: "allocations_log", repair, rows: 1_234, newest });
        let registered = |unreadable: &[&str], newer: Newer| Repair::Registered {
            metadata: "00007.metadata.json".to_owned(),
            unreadable: unreadable.iter().map(|file| (*file).to_owned()).collect(),
            newer,
        };
        let rows = "1,234 rows, the newest of 2026-10-31 09:30:15 UTC";
        assert_eq!(told(Repair::Whole), format!("allocations_log: whole, {rows}"));
        let again = format!("allocations_log: registered again from 00007.metadata.json, {rows}");
        assert_eq!(told(registered(&[], Newer::Recovered(0))), again);
        let damaged = ["00008.metadata.json", "00009.metadata.json"];
        let unreadable = "; 00008.metadata.json, 00009.metadata.json cannot be read";
        let recovered = told(registered(&damaged, Newer::Recovered(12)));
        assert_eq!(recovered, format!("{again}{unreadable}, 12 rows of newer data files are in again"));
        let lost = told(registered(&damaged, Newer::Lost));
        assert_eq!(lost, format!("{again}{unreadable}: what was recorded then is lost, record it again"));
        let anew = "allocations_log: nothing of it could be read; it begins anew, without rows";
        assert_eq!(told(Repair::StartedEmpty), anew);
    }
}
