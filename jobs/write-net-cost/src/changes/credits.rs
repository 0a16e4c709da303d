//! Credits in two runs.

use std::collections::{BTreeMap, BTreeSet};

use credit_ledger::{BillingPeriod, Money, MoneyError, Text};
use schemas::NodeColumns;
use schemas::tables::{Credit, CreditBalance};

use super::model::{AmountChange, CreditChange, CreditEvent, CreditFigures, CreditMonth, LotChange, LotTerms};
use super::tables::Credits;

/// Gathers from the balances of each month what changed of credits, and puts it beside `credits` of both runs.
#[derive(Debug, Default)]
pub struct CreditFold {
    lots: BTreeMap<(Text, i32), LotChange>,
    months: BTreeMap<Text, Vec<CreditMonth>>,
}

/// Used and lost in a month.
type Moves = (Money, Money);

impl CreditFold {
    /// Takes a month in; months come oldest first.
    ///
    /// # Errors
    /// [`MoneyError`] where a sum leaves the range of money.
    pub fn add_month(
        &mut self,
        period: BillingPeriod,
        from: &[CreditBalance],
        to: &[CreditBalance],
    ) -> Result<(), MoneyError> {
        // A lot's amount stands in the month in which its credit was issued or in which it was moved to its node, and only
        // there.
        let begins = |row: &&CreditBalance| period.contains(row.issue_date) || row.moved.is_positive();
        for row in from.iter().filter(begins) {
            self.lot(row).from = terms(row);
        }
        for row in to.iter().filter(begins) {
            self.lot(row).to = terms(row);
        }
        let (from, to) = (by_credit(from)?, by_credit(to)?);
        let credits: BTreeSet<&Text> = from.keys().chain(to.keys()).copied().collect();
        for credit_key in credits {
            let of = |rows: &BTreeMap<&Text, Moves>| rows.get(credit_key).copied().unwrap_or_default();
            let ((used_from, lost_from), (used_to, lost_to)) = (of(&from), of(&to));
            let (used, expired) = (AmountChange::of(used_from, used_to)?, AmountChange::of(lost_from, lost_to)?);
            if !used.is_none() || !expired.is_none() {
                let month = CreditMonth { billing_period: period, used, expired };
                self.months.entry(credit_key.clone()).or_default().push(month);
            }
        }
        Ok(())
    }

    fn lot(&mut self, row: &CreditBalance) -> &mut LotChange {
        let lot = LotChange { lot: row.lot, from: None, to: None };
        self.lots.entry((row.credit_key.clone(), row.lot)).or_insert(lot)
    }

    /// What changed of credits, what people decided or lost first.
    #[must_use]
    pub fn finish(self, credits: &Credits<'_>) -> Vec<CreditChange> {
        let Self { lots: all, mut months } = self;
        let mut lots: BTreeMap<Text, Vec<LotChange>> = BTreeMap::new();
        for ((credit_key, _), lot) in all.into_iter().filter(|(_, lot)| is_changed(lot)) {
            lots.entry(credit_key).or_default().push(lot);
        }
        let keys: BTreeSet<&str> = credits.from.keys().chain(credits.to.keys()).copied().collect();
        let mut changes: Vec<CreditChange> = Vec::new();
        for key in keys {
            let (from, to) = (credits.from.get(key).copied(), credits.to.get(key).copied());
            let Some(credit) = to.or(from) else { continue };
            let lots = lots.remove(key).unwrap_or_default();
            let months = months.remove(key).unwrap_or_default();
            let (from, to) = (from.map(figures), to.map(figures));
            let events = events(from.as_ref(), to.as_ref(), &lots, &months);
            if !events.is_empty() {
                changes.push(CreditChange {
                    credit_key: credit.credit_key.clone(),
                    promotion_code: credit.promotion_code.clone(),
                    account_id: credit.account_id.clone(),
                    currency: credit.currency.clone(),
                    events,
                    from,
                    to,
                    lots,
                    months,
                });
            }
        }
        changes.sort_by(|left, right| {
            (left.events.first(), &left.credit_key).cmp(&(right.events.first(), &right.credit_key))
        });
        changes
    }
}

fn terms(row: &CreditBalance) -> Option<LotTerms> {
    // A lot has a node.
    let node = row.node().ok()?;
    let is_moved = row.moved.is_positive();
    let amount = if is_moved { row.moved } else { row.issued };
    Some(LotTerms { node, amount, is_moved, end_date: row.end_date })
}

/// Whether people said something else of a lot. What was left of one when it was moved is nothing that they said.
fn is_changed(lot: &LotChange) -> bool {
    let said = |terms: &LotTerms| LotTerms {
        amount: if terms.is_moved { Money::ZERO } else { terms.amount },
        ..terms.clone()
    };
    lot.from.as_ref().map(said) != lot.to.as_ref().map(said)
}

fn by_credit(rows: &[CreditBalance]) -> Result<BTreeMap<&Text, Moves>, MoneyError> {
    let mut sums: BTreeMap<&Text, Moves> = BTreeMap::new();
    for row in rows {
        let (used, expired) = sums.entry(&row.credit_key).or_default();
        *used = used.checked_add(row.used)?;
        *expired = expired.checked_add(row.expired)?;
    }
    Ok(sums)
}

fn figures(row: &Credit) -> CreditFigures {
    CreditFigures {
        status: row.status.clone(),
        issue_date: row.issue_date,
        allocated_amount: row.allocated_amount,
        used: row.used,
        expired: row.expired,
        remaining: row.remaining,
        end_date: row.end_date,
        reference: row.reference.clone(),
        recorded_by: row.recorded_by.clone(),
        recorded_at: row.recorded_at,
        aws_applied: row.aws_applied,
    }
}

/// What happened, the gravest first.
fn events(
    from: Option<&CreditFigures>,
    to: Option<&CreditFigures>,
    lots: &[LotChange],
    months: &[CreditMonth],
) -> Vec<CreditEvent> {
    let Some(to) = to else { return vec![CreditEvent::Gone] };
    let amount = |of: Option<Money>| of.unwrap_or_default();
    let is_now = |name: &str| to.status == name && from.is_none_or(|from| from.status != name);
    let had = from.is_some_and(|from| from.allocated_amount.is_some());
    let has = to.allocated_amount.is_some();
    let is_other = |other: fn(&CreditFigures, &CreditFigures) -> bool| from.is_some_and(|from| other(from, to));
    let used = months.iter().any(|month| !month.used.is_none())
        || is_other(|from, to| from.used.unwrap_or_default() != to.used.unwrap_or_default());
    let happened = [
        (is_now("invalid"), CreditEvent::Invalid),
        (amount(to.expired) > amount(from.and_then(|from| from.expired)), CreditEvent::Expired),
        (is_now("exhausted"), CreditEvent::Exhausted),
        (from.is_none(), CreditEvent::New),
        (has && !had, CreditEvent::Allocated),
        (had && !has && to.status == "unallocated", CreditEvent::Revoked),
        (had && has && !lots.is_empty(), CreditEvent::Lots),
        (is_other(|from, to| from.issue_date != to.issue_date), CreditEvent::IssueDate),
        (is_now("expiring_soon"), CreditEvent::ExpiringSoon),
        (is_now("active") && had, CreditEvent::Status),
        (used, CreditEvent::Used),
        (is_other(|from, to| from.aws_applied != to.aws_applied), CreditEvent::AwsApplied),
        (had && has && is_other(|from, to| recorded(from) != recorded(to)), CreditEvent::Recorded),
    ];
    let events: Vec<CreditEvent> = happened.into_iter().filter_map(|(is_so, event)| is_so.then_some(event)).collect();
    // It waits for another reason, or less of it was lost.
    if events.is_empty() && from != Some(to) { vec![CreditEvent::Status] } else { events }
}

fn recorded(of: &CreditFigures) -> impl PartialEq + '_ {
    (&of.reference, &of.recorded_by, of.recorded_at)
}
