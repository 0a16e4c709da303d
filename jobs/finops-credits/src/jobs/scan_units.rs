//! What is read together.

use std::collections::{BTreeMap, BTreeSet};

use credit_ledger::BillingPeriod;
use detect_credits::census::Census;
use detect_credits::listing::ExportFile;

/// Files, and how many lines of each period they hold.
type Files = Vec<(ExportFile, Census)>;
/// Periods, and the files that hold them.
pub(super) type Unit = (Vec<BillingPeriod>, Files);

/// Groups periods that share a file: such a file is read once. Mostly each period is a unit of its own.
pub(super) fn units(changed: &BTreeMap<BillingPeriod, String>, files: &[(ExportFile, Census)]) -> Vec<Unit> {
    let mut units: Vec<(BTreeSet<BillingPeriod>, Files)> = Vec::new();
    for (file, census) in files {
        let mut periods: BTreeSet<BillingPeriod> =
            census.keys().copied().filter(|period| changed.contains_key(period)).collect();
        if periods.is_empty() {
            continue;
        }
        let mut members = vec![(file.clone(), census.clone())];
        units.retain_mut(|(other, others)| {
            let apart = other.is_disjoint(&periods);
            if !apart {
                periods.append(other);
                members.append(others);
            }
            apart
        });
        units.push((periods, members));
    }
    units.sort_by_key(|(periods, _)| periods.first().copied());
    units.into_iter().map(|(periods, files)| (periods.into_iter().collect(), files)).collect()
}
