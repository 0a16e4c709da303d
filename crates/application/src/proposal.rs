//! A revision before it is recorded: what it replaces, and what the next run would publish otherwise.

use std::collections::BTreeSet;
use std::sync::Arc;

use apply_fifo::{CreditChange, LotOutcome, MonthChange, Preview, PreviewSpend, preview};
use chrono::{NaiveDate, NaiveDateTime};
use credit_ledger::{BillingPeriod, Continues, Money, Text};
use join_allocations::lots::join;
use join_allocations::record::{Recording, Revisions, revisions};
use lake::Run;
use schemas::reference::{AllocationRow, Problems};
use schemas::tables::{AllocationLogRow, LotRow, RegisteredCredit};
use serde::Serialize;

use crate::context::Context;
use crate::failure::{Failure, Kind};
use crate::money_text::cents;
use crate::revision::newest;
use crate::snapshot::CreditSnapshot;

/// A revision of one credit's allocation that can be recorded.
pub struct Proposal<'a> {
    /// The credit.
    pub credit: &'a RegisteredCredit,
    /// The lots that count now.
    pub replaced: Vec<LotRow>,
    /// The lots of a newest revision that cannot be used: then none counts.
    pub unusable: Vec<AllocationLogRow>,
    /// Who recorded those, and when.
    pub recorded: Option<(Option<Text>, NaiveDateTime)>,
    /// None where it cannot be told.
    pub preview: Option<Preview>,
    /// Why it cannot be told.
    pub unknown: Option<String>,
    /// As-of date of the preview.
    pub as_of: NaiveDate,
    new: Revisions,
}

/// The proposal for programs.
#[derive(Serialize)]
struct ProposalRecord<'a> {
    credit_key: &'a str,
    currency: &'a str,
    as_of: NaiveDate,
    /// What was recorded; nothing where it is a dry run.
    recorded: &'a [AllocationLogRow],
    allocation_id: Option<&'a Text>,
    replaces: &'a [LotRow],
    /// What was recorded and cannot be used.
    replaces_unusable: &'a [AllocationLogRow],
    lots: &'a [LotOutcome],
    months: &'a [MonthChange],
    other_credits: &'a [CreditChange],
    changes_unknown: Option<&'a str>,
    warnings: Vec<String>,
}

impl<'a> Proposal<'a> {
    /// Checks the rows of a revision as somebody entered them.
    ///
    /// # Errors
    /// All [`Problems`], each at its row.
    pub fn check(snapshot: &CreditSnapshot, rows: &[AllocationRow], recording: &Recording) -> Result<(), Problems> {
        let (register, hierarchy) = (&snapshot.register.credits, &snapshot.reference.hierarchy);
        revisions(rows, register, hierarchy, &snapshot.log, recording).map(drop)
    }

    /// Checks the rows of a revision as somebody entered them, and works out what they change.
    ///
    /// # Errors
    /// [`Kind::BadInput`] that says all that is wrong with them.
    pub async fn of(
        context: &Context,
        snapshot: &'a CreditSnapshot,
        credit: &'a RegisteredCredit,
        rows: &[AllocationRow],
        recording: &Recording,
    ) -> Result<Self, Failure> {
        let (register, hierarchy) = (&snapshot.register.credits, &snapshot.reference.hierarchy);
        let new = revisions(rows, register, hierarchy, &snapshot.log, recording)?;
        let before = snapshot.joined();
        let log = [&snapshot.log[..], &new.rows].concat();
        let after = join(register, &log, hierarchy, snapshot.latest.max(context.now));
        let is_its = |lot: &&LotRow| lot.credit_key == credit.credit_key;
        let recorded = before.credits.iter().find(|row| row.credit_key == credit.credit_key);
        let recorded = recorded.and_then(|row| Some((row.recorded_by.clone(), row.recorded_at?)));
        let replaced: Vec<LotRow> = before.lots.iter().filter(is_its).cloned().collect();
        let unusable = if replaced.is_empty() { newest(snapshot, credit) } else { Vec::new() };
        let recorded = recorded.or_else(|| unusable.first().map(|row| (row.recorded_by.clone(), row.recorded_at)));
        // A revision can be recorded although files of the published run are damaged.
        let (preview, unknown) = match changes(context, &before.lots, &after.lots).await {
            Ok(Some(preview)) => (Some(preview), None),
            Ok(None) => (None, Some("nothing is published yet".to_owned())),
            Err(failure) => (None, Some(failure.to_string())),
        };
        Ok(Self {
            credit,
            preview,
            unknown,
            replaced,
            unusable: unusable.into_iter().cloned().collect(),
            recorded,
            new,
            as_of: context.as_of,
        })
    }

    /// Records it. It is in the log when this returns.
    ///
    /// # Errors
    /// [`Failure`] where it could not be recorded; then nothing is.
    pub async fn record(&self, context: &Context) -> Result<(), Failure> {
        context.lake.logs().append(&self.new.rows).await?;
        Ok(())
    }

    /// Its rows for the log.
    #[must_use]
    pub fn rows(&self) -> &[AllocationLogRow] {
        &self.new.rows
    }

    /// The proposal as an object for programs; `is_recorded` says whether its rows count as recorded.
    #[must_use]
    pub fn for_programs(&self, is_recorded: bool) -> impl Serialize + use<'_> {
        let preview = self.preview.as_ref();
        ProposalRecord {
            credit_key: &self.credit.credit_key,
            currency: &self.credit.currency,
            as_of: self.as_of,
            recorded: if is_recorded { &self.new.rows } else { &[] },
            allocation_id: self.new.rows.first().map(|row| &row.allocation_id),
            replaces: &self.replaced,
            replaces_unusable: &self.unusable,
            lots: preview.map_or(&[], |preview| &preview.lots),
            months: preview.map_or(&[], |preview| &preview.months),
            other_credits: preview.map_or(&[], |preview| &preview.other_credits),
            changes_unknown: self.unknown.as_deref(),
            warnings: self.warnings(),
        }
    }

    /// What is not wrong, but may not be meant.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = self.new.warnings.clone();
        let RegisteredCredit { currency, aws_applied, .. } = self.credit;
        let amount = Money::total(self.new.rows.iter().filter_map(|row| row.amount)).unwrap_or_default();
        let is_move = self.new.rows.iter().any(|row| row.continues_lot.is_some());
        let is_large = aws_applied.is_positive() && amount.units() / 10 >= aws_applied.units();
        if is_large && !is_move {
            let (amount, applied) = (cents(amount), cents(*aws_applied));
            warnings.push(format!("{amount} {currency} is 10 times what AWS has applied so far, {applied}, or more"));
        }
        let lots = || self.preview.iter().flat_map(|preview| &preview.lots);
        for lot in lots() {
            let is_its = |other: &&LotOutcome| other.credit_key == lot.credit_key;
            let went_on = lots().filter(is_its).any(|other| other.continues.is_some_and(|from| from.lot == lot.lot));
            if went_on || later_start(lot, self.as_of).is_some() {
                continue;
            }
            if let Some(end) = lot.end_date.filter(|end| *end < self.as_of) {
                warnings.push(format!(
                    "lot {} on {} ended on {end}: what it had not used by then is lost",
                    lot.lot, lot.node
                ));
            }
            if lot.eligible.is_zero() {
                warnings.push(format!(
                    "lot {}: there is no eligible spend at {} within its window so far",
                    lot.lot, lot.node
                ));
            }
        }
        warnings
    }

    /// What a lot continues, if that goes on there only after the as-of date's month.
    #[must_use]
    pub fn later_start(&self, lot: &LotOutcome) -> Option<Continues> {
        later_start(lot, self.as_of)
    }
}

fn later_start(lot: &LotOutcome, as_of: NaiveDate) -> Option<Continues> {
    lot.continues.filter(|continues| continues.from_period > BillingPeriod::of(as_of))
}

/// What the published run would say otherwise with other lots.
async fn changes(context: &Context, before: &[LotRow], after: &[LotRow]) -> Result<Option<Preview>, Failure> {
    let Some(published) = context.lake.published().await? else { return Ok(None) };
    let run = Run::new(Arc::clone(&context.lake), &published);
    let last = BillingPeriod::of(context.as_of);
    let periods = run.staged().await?.periods.into_iter().map(|period| period.billing_period);
    let periods: BTreeSet<BillingPeriod> = periods.filter(|period| *period <= last).collect();
    let policy = context.settings.credits.policy().map_err(|error| Failure::new(Kind::BadInput, error.to_string()))?;
    let spend = PreviewSpend { run: &run, periods: &periods, policy, as_of: context.as_of };
    Ok(Some(preview(spend, before, after).await?))
}

#[cfg(test)]
mod tests;
