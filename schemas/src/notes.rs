//! What people should know of a billing period as it was read, beside its figures.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Of texts that are only examples, so many are kept.
const EXAMPLES: usize = 5;

/// What people should know of a billing period as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PeriodNotes {
    /// The payers of its lines; an older version noted none.
    #[serde(default)]
    pub payers: BTreeSet<String>,
    /// Exports that it was read of and that no longer have it, so that it stays as last read.
    #[serde(default)]
    pub exports_gone: BTreeSet<String>,
    /// Exports that have earlier months only: their lines are still to come.
    #[serde(default)]
    pub exports_awaited: BTreeSet<String>,
    /// Exclusions that could not be applied, as files have no column for them: there all charges count as eligible.
    pub exclusions_not_applied: BTreeSet<String>,
    /// Exclusions that somebody set and no line met; an older version noted none.
    #[serde(default)]
    pub exclusions_unmatched: BTreeSet<String>,
    /// Columns of the configured cost that files do not have; they count as null.
    pub missing_cost_columns: BTreeSet<String>,
    /// Account ids of fewer than 12 digits, taken as they stand; the first ones in order.
    pub short_account_ids: BTreeSet<String>,
}

impl PeriodNotes {
    /// Notes an account id. The result does not depend on the order.
    pub fn note_short_id(&mut self, id: &str) {
        let known = &mut self.short_account_ids;
        let comes_later = known.len() >= EXAMPLES && known.last().is_some_and(|last| id >= last.as_str());
        if comes_later || known.contains(id) {
            return;
        }
        known.insert(id.to_owned());
        if known.len() > EXAMPLES {
            known.pop_last();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_ids_are_kept_whatever_the_order_in_which_they_come() {
        let ids = ["7", "3", "9", "1", "5", "8", "2", "3"];
        let of = |ids: &mut dyn Iterator<Item = &&str>| {
            let mut notes = PeriodNotes::default();
            ids.for_each(|id| notes.note_short_id(id));
            notes
        };
        let (all, backwards) = (of(&mut ids.iter()), of(&mut ids.iter().rev()));
        assert_eq!(all.short_account_ids.iter().map(String::as_str).collect::<Vec<_>>(), ["1", "2", "3", "5", "7"]);
        assert_eq!(all, backwards);
    }
}
