//! Lines that differ in their amounts at most: what the rest of a line says is worked out once for all of them.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, UInt32Array};
use arrow::compute::partition;
use arrow::error::ArrowError;

use super::columns::{Columns, Known};
use crate::rules::{NO_CLAIM, RuleFinder, RuleMatcher};
use crate::values::TextColumn;

/// What the lines of a batch claim by keyed attributes.
pub(super) struct Claims {
    /// Of the product map.
    region: Option<UInt32Array>,
    /// By wanted tag key, then by wanted cost category key.
    keyed: Vec<UInt32Array>,
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
        self.region.as_ref().map_or(NO_CLAIM, |region| region.value(row))
    }

    /// As [`Self::region`].
    pub(super) fn keyed(&self, row: usize) -> impl Iterator<Item = u32> {
        self.keyed.iter().map(move |claims| claims.value(row))
    }

    fn columns(&self) -> impl Iterator<Item = ArrayRef> {
        self.region.iter().chain(&self.keyed).map(|claims| -> ArrayRef { Arc::new(claims.clone()) })
    }
}

/// The runs of a batch, in order. Descriptions do not part lines.
pub(super) fn runs(
    columns: &Columns,
    claims: &Claims,
    rows: usize,
    known: &mut Known,
) -> Result<Vec<Range<usize>>, ArrowError> {
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
    let mut alike: Vec<ArrayRef> = always.into_iter().chain(sometimes).map(TextColumn::codes).collect();
    alike.push(columns.period.codes());
    alike.push(columns.start.day_codes(rows, &mut known.start));
    alike.extend(claims.columns());
    Ok(partition(&alike)?.ranges())
}
