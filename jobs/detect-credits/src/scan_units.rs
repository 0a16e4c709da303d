//! What is read together.

use std::collections::{BTreeMap, BTreeSet};

use credit_ledger::BillingPeriod;
use cur_reader::listing::ExportFile;

use crate::line_counts::PeriodLineCounts;

/// Files, and how many lines of each period they hold.
type Files = Vec<(ExportFile, PeriodLineCounts)>;
/// Periods, and the files that hold them.
pub(crate) type Unit = (Vec<BillingPeriod>, Files);

/// Groups periods that share a file: such a file is read once. Mostly each period is a unit of its own.
pub(crate) fn units(changed: &BTreeMap<BillingPeriod, String>, files: &[(ExportFile, PeriodLineCounts)]) -> Vec<Unit> {
    let mut units: Vec<(BTreeSet<BillingPeriod>, Files)> = Vec::new();
    for (file, line_counts) in files {
        let mut periods: BTreeSet<BillingPeriod> =
            line_counts.keys().copied().filter(|period| changed.contains_key(period)).collect();
        if periods.is_empty() {
            continue;
        }
        let mut members = vec![(file.clone(), line_counts.clone())];
        units.retain_mut(|(other, others)| {
            let is_apart = other.is_disjoint(&periods);
            if !is_apart {
                periods.append(other);
                members.append(others);
            }
            is_apart
        });
        units.push((periods, members));
    }
    units.sort_by_key(|(periods, _)| periods.first().copied());
    units.into_iter().map(|(periods, files)| (periods.into_iter().collect(), files)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Units of files `name: period…`, where these periods changed, as `periods <- files`.
    fn grouped(changed: &[&str], files: &[&str]) -> Vec<String> {
        let changed = changed.iter().map(|period| (period.parse().unwrap(), String::new())).collect();
        let files: Vec<_> = files
            .iter()
            .map(|file| {
                let (name, periods) = file.split_once(": ").unwrap();
                let counts: PeriodLineCounts = periods.split(' ').map(|period| (period.parse().unwrap(), 1)).collect();
                (ExportFile::new(name.to_owned(), 1, String::new()), counts)
            })
            .collect();
        let shown = |(periods, files): Unit| {
            let periods: Vec<String> = periods.iter().map(ToString::to_string).collect();
            let mut files: Vec<String> = files.into_iter().map(|(file, _)| file.path).collect();
            files.sort();
            format!("{} <- {}", periods.join(" "), files.join(" "))
        };
        units(&changed, &files).into_iter().map(shown).collect()
    }

    #[test]
    fn months_in_files_of_their_own_are_read_apart_oldest_first() {
        let files = ["may-1: 2026-05", "april: 2026-04", "may-2: 2026-05", "june: 2026-06"];
        assert_eq!(
            grouped(&["2026-04", "2026-05", "2026-06"], &files),
            ["2026-04 <- april", "2026-05 <- may-1 may-2", "2026-06 <- june"]
        );
        assert_eq!(grouped(&["2026-05"], &files), ["2026-05 <- may-1 may-2"], "what did not change is not read");
        assert_eq!(grouped(&[], &files), [""; 0]);
    }

    #[test]
    fn months_that_share_a_file_are_read_together_also_by_way_of_a_third() {
        let files = [
            "a: 2026-01",
            "b: 2026-02",
            "c: 2026-03 2026-04",
            "d: 2026-01 2026-03",
            "e: 2026-02 2026-09",
            "f: 2026-05",
        ];
        let all = ["2026-01", "2026-02", "2026-03", "2026-04", "2026-05", "2026-09"];
        assert_eq!(
            grouped(&all, &files),
            ["2026-01 2026-03 2026-04 <- a c d", "2026-02 2026-09 <- b e", "2026-05 <- f"]
        );
        // A month that did not change joins nothing: its lines are left alone.
        assert_eq!(grouped(&["2026-01", "2026-04"], &files), ["2026-01 <- a d", "2026-04 <- c"]);
    }
}
