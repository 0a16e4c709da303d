//! Lines that differ in their amounts at most: what the rest of a line says is worked out once for all of them.

use std::ops::Range;

use super::columns::{Columns, DictionaryMemos};
use crate::rules::{NO_CANDIDATES, RuleFinder, RuleMatcher};

/// The candidates of the lines of a batch by keyed attributes.
pub(super) struct CandidateRules {
    /// Of the product map.
    region: Option<Vec<u32>>,
    tags: Option<Vec<u32>>,
    categories: Option<Vec<u32>>,
}

impl CandidateRules {
    pub(super) fn new(
        columns: &Columns,
        rows: usize,
        known: &mut DictionaryMemos,
        (rules, finder): (&RuleMatcher, &mut RuleFinder),
    ) -> Self {
        Self {
            region: known.product.of_batch(&columns.product, rows, (rules, finder)),
            tags: known.tags.of_batch(&columns.tags, rows, (rules, finder)),
            categories: known.categories.of_batch(&columns.categories, rows, (rules, finder)),
        }
    }

    /// [`NO_OBJECT`](crate::rules::NO_OBJECT) stands for a text that should be a JSON object and is none.
    pub(super) fn region(&self, row: usize) -> u32 {
        candidates(self.region.as_deref(), row)
    }

    /// By tags and by cost categories; as [`Self::region`].
    pub(super) fn keyed(&self, row: usize) -> [u32; 2] {
        [candidates(self.tags.as_deref(), row), candidates(self.categories.as_deref(), row)]
    }
}

fn candidates(found: Option<&[u32]>, row: usize) -> u32 {
    found.and_then(|found| found.get(row)).copied().unwrap_or(NO_CANDIDATES)
}

/// The runs of a batch, in order. Descriptions do not part lines.
pub(super) fn runs(
    columns: &Columns,
    candidates: &CandidateRules,
    rows: usize,
    known: &mut DictionaryMemos,
) -> Vec<Range<usize>> {
    let always = [&columns.payer, &columns.account, &columns.line_type];
    let sometimes = [
        &columns.currency,
        &columns.billing_entity,
        &columns.publisher,
        &columns.invoice_issuer,
        &columns.invoice,
        &columns.reservation_arn,
        &columns.savings_plan_arn,
        &columns.charge_class,
        &columns.charge_frequency,
        &columns.commitment_id,
    ];
    let sometimes = sometimes.into_iter().flatten().chain(&columns.services).chain(&columns.regions);
    let mut changes = vec![false; rows.saturating_sub(1)];
    for column in always.into_iter().chain(sometimes) {
        add_changes(&mut changes, column.codes());
    }
    add_changes(&mut changes, &columns.period.codes());
    add_changes(&mut changes, &columns.start.day_codes(rows, &mut known.start));
    for candidates in [&candidates.region, &candidates.tags, &candidates.categories].into_iter().flatten() {
        add_changes(&mut changes, candidates);
    }
    let ends = (1..).zip(&changes).filter(|(_, is_change)| **is_change).map(|(end, _)| end);
    let mut first = 0;
    let runs = ends.chain([rows]).map(|end| std::mem::replace(&mut first, end)..end);
    runs.filter(|run| !run.is_empty()).collect()
}

/// Marks where a value differs from the one before.
pub(super) fn add_changes<T: PartialEq>(changes: &mut [bool], values: &[T]) {
    for (change, [before, value]) in changes.iter_mut().zip(values.array_windows()) {
        *change |= before != value;
    }
}
