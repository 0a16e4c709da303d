//! The date and the billing periods of a run: one is not published by itself where published months would go that way.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use credit_ledger::BillingPeriod;

/// Billing periods that a message lists.
const LISTED: usize = 12;

/// The date and the periods of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunExtent {
    /// As-of date.
    pub as_of: NaiveDate,
    /// The export's periods in it, with the payers of their lines, where these are known.
    pub periods: BTreeMap<BillingPeriod, BTreeSet<String>>,
}

impl RunExtent {
    /// What of the run `published`, of this extent, would no longer be published after this one.
    pub(crate) fn takes_away(&self, published: &str, of: &Self) -> Option<String> {
        if self.as_of < of.as_of {
            return Some(format!(
                "as of {} is before {}, the date of the published run {published}",
                self.as_of, of.as_of
            ));
        }
        let missing: Vec<String> =
            of.periods.keys().filter(|period| !self.periods.contains_key(period)).map(ToString::to_string).collect();
        if missing.is_empty() {
            let gone = self.gone_payers(of);
            return (!gone.is_empty())
                .then(|| format!("payers of the published run {published} are missing: {}", listed(gone)));
        }
        if self.periods.is_empty() {
            return Some(format!("there are no lines, but the published run {published} has some"));
        }
        Some(format!("periods of the published run {published} are missing: {}", listed(missing)))
    }

    /// Payers that periods of `of` have lines of and these no longer: `999999999999 in 2026-05`.
    fn gone_payers(&self, of: &Self) -> Vec<String> {
        let now = |period| self.periods.get(period).filter(|payers| !payers.is_empty());
        let known = of.periods.iter().filter_map(|(period, before)| Some((period, before, now(period)?)));
        let gone = known
            .flat_map(|(period, before, now)| before.difference(now).map(move |payer| format!("{payer} in {period}")));
        gone.collect()
    }
}

fn listed(mut texts: Vec<String>) -> String {
    let more = texts.len().saturating_sub(LISTED);
    texts.truncate(LISTED);
    if more > 0 {
        texts.push(format!("and {more} more"));
    }
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(as_of: &str, periods: &[&str]) -> RunExtent {
        let periods = periods.iter().map(|period| (period.parse().unwrap(), BTreeSet::new())).collect();
        RunExtent { as_of: as_of.parse().unwrap(), periods }
    }

    #[test]
    fn run_without_a_payer_of_a_published_month_is_held_back() {
        let of = |payers: &[&str]| {
            let payers = payers.iter().map(|payer| (*payer).to_owned()).collect();
            RunExtent { as_of: "2026-03-31".parse().unwrap(), periods: [("2026-03".parse().unwrap(), payers)].into() }
        };
        let why = |now: &[&str], before: &[&str]| of(now).takes_away("r", &of(before));
        assert_eq!(why(&["111111111111", "222222222222"], &["111111111111"]), None);
        assert_eq!(why(&["111111111111"], &[]), None, "an older version did not know the payers");
        assert_eq!(why(&[], &["111111111111"]), None, "as it was read by an older version");
        let missing = "payers of the published run r are missing: 222222222222 in 2026-03";
        let replaced = why(&["111111111111", "333333333333"], &["111111111111", "222222222222"]);
        assert_eq!(replaced.as_deref(), Some(missing));
    }

    #[test]
    fn run_is_held_back_only_where_published_months_would_go() {
        let published = extent("2026-03-31", &["2026-01", "2026-02"]);
        let why =
            |as_of: &str, periods: &[&str]| extent(as_of, periods).takes_away("r", &published).unwrap_or_default();
        assert_eq!(why("2026-03-31", &["2026-01", "2026-02"]), "");
        assert_eq!(why("2026-04-01", &["2026-01", "2026-02", "2026-03"]), "");
        let earlier = "as of 2026-03-30 is before 2026-03-31, the date of the published run r";
        assert_eq!(why("2026-03-30", &["2026-01", "2026-02"]), earlier);
        let missing = "periods of the published run r are missing: 2026-01";
        assert_eq!(why("2026-03-31", &["2026-02", "2026-03"]), missing, "another period does not make up for it");
        assert_eq!(why("2026-03-31", &[]), "there are no lines, but the published run r has some");
        assert_eq!(extent("2026-03-31", &[]).takes_away("r", &extent("2026-03-31", &[])), None);
        let years: Vec<String> = (2006..2020).map(|year| format!("{year}-01")).collect();
        let many = extent("2026-03-31", &years.iter().map(String::as_str).collect::<Vec<_>>());
        let why = extent("2026-03-31", &["2006-01"]).takes_away("r", &many).unwrap();
        assert!(why.ends_with("2017-01, 2018-01, and 1 more"), "{why}");
    }
}
