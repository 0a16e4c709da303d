//! Lines that differ in their amounts at most: what the rest of a line says is worked out once for all of them.

use std::ops::Range;

use super::columns::{Columns, Known};
use crate::rules::{NO_CLAIM, RuleFinder, RuleMatcher};

/// What the lines of a batch claim by keyed attributes.
pub(super) struct Claims {
    /// Of the product map.
    region: Option<Vec<u32>>,
    /// By wanted tag key, then by wanted cost category key.
    keyed: Vec<Vec<u32>>,
}

impl Claims {
    pub(super) fn new(
        columns: &Columns,
        rows: usize,
        known: &mut Known,
        (rules, finder): (&RuleMatcher, &mut RuleFinder),
    ) -> Self {
        let region = known.product.of_batch(&columns.product, rows, (rules, finder)).pop();
        let mut keyed = known.tags.of_batch(&columns.tags, rows, (rules, finder));
        keyed.extend(known.categories.of_batch(&columns.categories, rows, (rules, finder)));
        Self { region, keyed }
    }

    /// [`NO_OBJECT`](super::claims::NO_OBJECT) stands for a text that should be a JSON object and is none.
    pub(super) fn region(&self, row: usize) -> u32 {
        self.region.as_ref().and_then(|region| region.get(row)).copied().unwrap_or(NO_CLAIM)
    }

    /// As [`Self::region`].
    pub(super) fn keyed(&self, row: usize) -> impl Iterator<Item = u32> {
        self.keyed.iter().map(move |claims| claims.get(row).copied().unwrap_or(NO_CLAIM))
    }
}

/// The runs of a batch, in order. Descriptions do not part lines.
pub(super) fn runs(columns: &Columns, claims: &Claims, rows: usize, known: &mut Known) -> Vec<Range<usize>> {
    let always = [&columns.payer, &columns.account, &columns.line_type];
    let sometimes = [
        &columns.currency,
        &columns.billing_entity,
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
    for claims in claims.region.iter().chain(&claims.keyed) {
        add_changes(&mut changes, claims);
    }
    let ends = (1..).zip(&changes).filter(|(_, is_change)| **is_change).map(|(end, _)| end);
    let mut first = 0;
    let runs = ends.chain([rows]).map(|end| std::mem::replace(&mut first, end)..end);
    runs.filter(|run| !run.is_empty()).collect()
}

/// Marks where a value differs from the one before.
fn add_changes<T: PartialEq>(changes: &mut [bool], values: &[T]) {
    for (change, [before, value]) in changes.iter_mut().zip(values.array_windows()) {
        *change |= before != value;
    }
}
