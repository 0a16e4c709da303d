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
