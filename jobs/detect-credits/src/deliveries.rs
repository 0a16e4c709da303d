//! A billing period of a payer is delivered once: a bill that lies there twice would count twice.

use std::collections::{BTreeMap, BTreeSet};

use credit_ledger::BillingPeriod;
use cur_reader::listing::{ExportFile, stem};
use cur_reader::{ReadError, bad_file};
use serde::{Deserialize, Serialize};

/// What a bill may not come from twice: an export, or one of several files that have one name but for how it ends.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Delivery {
    export: String,
    file: Option<String>,
}

impl Delivery {
    /// What delivered each of some files.
    pub(crate) fn of_each<'a>(files: impl Iterator<Item = &'a ExportFile> + Clone) -> Vec<Self> {
        let mut alike: BTreeMap<&str, usize> = BTreeMap::new();
        for file in files.clone() {
            *alike.entry(file.stem()).or_default() += 1;
        }
        let of = |file: &ExportFile| {
            let several = alike.get(file.stem()).is_some_and(|files| *files > 1);
            Self { export: file.export.clone(), file: several.then(|| file.path.clone()) }
        };
        files.clone().map(of).collect()
    }

    fn named(&self) -> &str {
        match &self.file {
            Some(file) => file,
            None => export_name(&self.export),
        }
    }

    fn stem(&self) -> Option<&str> {
        self.file.as_deref().map(stem)
    }

    /// True where the other one holds the same bill.
    fn repeats(&self, other: &Self) -> bool {
        self.export != other.export || (self.stem().is_some() && self.stem() == other.stem())
    }
}

/// What people call an export: plain files have no folder of their own.
pub(crate) fn export_name(export: &str) -> &str {
    if export.is_empty() { "the location itself" } else { export }
}

/// Refuses a billing period of a payer that is delivered twice.
pub(crate) fn check(period: BillingPeriod, by_payer: &BTreeMap<String, BTreeSet<Delivery>>) -> Result<(), ReadError> {
    for (payer, found) in by_payer {
        let pairs =
            found.iter().enumerate().flat_map(|(at, one)| found.iter().skip(at + 1).map(move |other| (one, other)));
        if let Some((one, other)) = pairs.into_iter().find(|(one, other)| one.repeats(other)) {
            return Err(twice(period, payer, one, other));
        }
    }
    Ok(())
}

fn twice(period: BillingPeriod, payer: &str, one: &Delivery, other: &Delivery) -> ReadError {
    let message = format!(
        "billing period {period} of payer {payer} is delivered here and in {} too: every line would count twice; move one \
         of them elsewhere, or set [source] location to one of them",
        other.named()
    );
    bad_file(one.named(), message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivered(paths: &[&str]) -> Result<(), ReadError> {
        let files: Vec<ExportFile> =
            paths.iter().map(|path| ExportFile::new((*path).to_owned(), 1, String::new())).collect();
        let found = Delivery::of_each(files.iter()).into_iter().collect();
        check("2026-05".parse().unwrap(), &BTreeMap::from([("9".to_owned(), found)]))
    }

    #[test]
    fn files_of_one_export_are_one_delivery_and_partitions_of_a_plain_table_too() {
        for paths in [
            &["a/data/BILLING_PERIOD=2026-05/x-1.parquet", "a/data/BILLING_PERIOD=2026-05/x-2.parquet"][..],
            &["cur/may-1.csv", "cur/may-2.csv", "cur/copy/may-3.csv"],
            &["20260501-20260601/e1/r-1.csv.gz", "20260501-20260601/e1/r-2.csv.gz"],
        ] {
            assert!(delivered(paths).is_ok(), "{paths:?}");
            let files: Vec<_> =
                paths.iter().map(|path| ExportFile::new((*path).to_owned(), 1, String::new())).collect();
            let deliveries: BTreeSet<_> = Delivery::of_each(files.iter()).into_iter().collect();
            assert_eq!(deliveries.len(), 1, "{paths:?}");
        }
        let beside = delivered(&["a/BILLING_PERIOD=2026-05/x-1.csv", "x-1.csv"]).unwrap_err().to_string();
        assert!(
            beside.starts_with("the location itself: billing period 2026-05 of payer 9 is delivered here and in a too")
        );
    }

    #[test]
    fn month_that_lies_in_two_exports_or_in_two_formats_is_refused() {
        assert!(delivered(&["a/BILLING_PERIOD=2026-05/1.csv", "a/BILLING_PERIOD=2026-05/2.csv"]).is_ok());
        let twice = delivered(&["a/BILLING_PERIOD=2026-05/1.csv", "b/BILLING_PERIOD=2026-05/1.csv"]).unwrap_err();
        assert_eq!(
            twice.to_string(),
            "a: billing period 2026-05 of payer 9 is delivered here and in b too: every line would count twice; move one of \
             them elsewhere, or set [source] location to one of them"
        );
        let twice = delivered(&["may.csv", "may.csv.gz", "april.csv"]).unwrap_err().to_string();
        assert!(
            twice.starts_with("may.csv: billing period 2026-05 of payer 9 is delivered here and in may.csv.gz too")
        );
    }
}
