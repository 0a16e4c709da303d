//! What other lots would change: two books over the spend of one run, side by side.
//!
//! Currencies do not interact, and business units only where a lot was moved from one to another: so only those are worked out
//! that a changed credit touches, and those that moves lead to from there. Gross cost and refunds do not depend on credits: the
//! run's own are taken.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Mutex, PoisonError};

use chrono::NaiveDate;
use credit_ledger::{
    BillingPeriod, Continues, Draw, Ledger, Lot, Money, MoneyError, Node, Policy, Posting, Spend, Text,
};
use futures::TryStreamExt;
use lake::Run;
use schemas::tables::{Cell, LotRow, NetCostSummary};
use serde::Serialize;

use crate::book::ledger_lot;
use crate::error::FifoError;
use crate::spend::SpendReader;

/// What changes with the lots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Preview {
    /// By billing period, currency and business unit; without those that stay as they are.
    pub months: Vec<MonthChange>,
    /// By credit and lot: the lots of the changed credits as they would stand on the as-of date.
    pub lots: Vec<LotOutcome>,
    /// Other credits that would be used otherwise, by key.
    pub other_credits: Vec<CreditChange>,
}

/// Credits applied and net cost of a business unit in one billing period, with the lots as they are and as they would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MonthChange {
    /// The billing period.
    pub billing_period: BillingPeriod,
    /// ISO 4217 code.
    pub currency: Text,
    /// The business unit.
    pub business_unit: Text,
    /// Zero or negative.
    pub credits_applied_before: Money,
    /// Zero or negative.
    pub credits_applied: Money,
    /// Gross cost, refunds and credits applied.
    pub net_cost_before: Money,
    /// Gross cost, refunds and credits applied.
    pub net_cost: Money,
    /// `net_cost - net_cost_before`.
    pub change: Money,
}

/// A lot on the as-of date: `amount + moved = used + expired + remaining`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LotOutcome {
    /// The credit.
    pub credit_key: Text,
    /// The lot.
    pub lot: i32,
    /// Where it sits.
    pub node: String,
    /// ISO 4217 code.
    pub currency: Text,
    /// As recorded; zero where it continues another.
    pub amount: Money,
    /// The lot that it continues, and from when.
    pub continues: Option<Continues>,
    /// What came from the lot that it continues, less what went to the one that continues it.
    pub moved: Money,
    /// Drawn to date.
    pub used: Money,
    /// Lost to date.
    pub expired: Money,
    /// Left.
    pub remaining: Money,
    /// Last day; none: open-ended.
    pub end_date: Option<NaiveDate>,
    /// What it may draw on: eligible spend at or below its node, within its window, to date. Earlier lots may take it.
    pub eligible: Money,
}

/// What a credit has used and lost by the as-of date, with the lots as they are and as they would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CreditChange {
    /// The credit.
    pub credit_key: Text,
    /// ISO 4217 code.
    pub currency: Text,
    /// Drawn.
    pub used_before: Money,
    /// Drawn.
    pub used: Money,
    /// Lost.
    pub expired_before: Money,
    /// Lost.
    pub expired: Money,
}

/// The spend that both books draw on.
#[derive(Clone, Copy)]
pub struct PreviewSpend<'a> {
    /// The run whose cells and net cost are taken.
    pub run: &'a Run,
    /// The billing periods that it has cells of.
    pub periods: &'a BTreeSet<BillingPeriod>,
    /// FIFO policy.
    pub policy: Policy,
    /// As-of date of both books.
    pub as_of: NaiveDate,
}

/// Compares the books of two lists of lots, which differ in those of some credits.
///
/// # Errors
/// [`FifoError`] from the lake, for a lot without a node, or where a sum leaves the range of money.
pub async fn preview(spend: PreviewSpend<'_>, before: &[LotRow], after: &[LotRow]) -> Result<Preview, FifoError> {
    let changed = changed_credits(before, after);
    let touched = touched_units(before, after, &changed);
    let book = |lots: &[LotRow]| {
        let lots = lots.iter().filter(|lot| touched.contains(&unit_of(lot)));
        let lots = lots.map(ledger_lot).collect::<Result<Vec<_>, _>>()?;
        Ok::<_, FifoError>(Book::open(spend, lots))
    };
    let (mut before, mut after) = (book(before)?, book(after)?);
    let mut months = Vec::new();
    let first = before.ledger.first_period().into_iter().chain(after.ledger.first_period()).min();
    for period in first.into_iter().flat_map(|first| first.through(BillingPeriod::of(spend.as_of))) {
        let cells = read_spend(spend, period, [&before.ledger, &after.ledger]).await?;
        let applied = (before.post(&cells)?, after.post(&cells)?);
        if applied.0 != applied.1 {
            months.extend(month_changes(spend.run, period, &applied.0, &applied.1).await?);
        }
    }
    Ok(Preview {
        months,
        lots: after.outcomes(&changed),
        other_credits: credit_changes(&before.credits()?, &after.credits()?, &changed),
    })
}

/// The credits whose lots are not the same in both.
fn changed_credits(before: &[LotRow], after: &[LotRow]) -> BTreeSet<Text> {
    let by_credit = |lots: &[LotRow]| {
        let mut by_credit: BTreeMap<Text, Vec<LotRow>> = BTreeMap::new();
        for lot in lots {
            by_credit.entry(lot.credit_key.clone()).or_default().push(lot.clone());
        }
        by_credit
    };
    let (before, after) = (by_credit(before), by_credit(after));
    let keys: BTreeSet<&Text> = before.keys().chain(after.keys()).collect();
    keys.into_iter().filter(|key| before.get(*key) != after.get(*key)).cloned().collect()
}

/// Currency and business unit: lots of different ones draw on different spend.
type Unit<'a> = (&'a Text, &'a Option<Text>);

const fn unit_of(lot: &LotRow) -> Unit<'_> {
    (&lot.currency, &lot.business_unit)
}

/// The units of the changed credits, and those that moved lots connect with them.
fn touched_units<'a>(before: &'a [LotRow], after: &'a [LotRow], changed: &BTreeSet<Text>) -> HashSet<Unit<'a>> {
    let lots = || before.iter().chain(after);
    let mut touched: HashSet<Unit<'_>> = lots().filter(|lot| changed.contains(&lot.credit_key)).map(unit_of).collect();
    let moved: HashSet<&Text> = lots().filter(|lot| lot.continues_lot.is_some()).map(|lot| &lot.credit_key).collect();
    let mut units_of: BTreeMap<&Text, HashSet<Unit<'_>>> = BTreeMap::new();
    for lot in lots().filter(|lot| moved.contains(&lot.credit_key)) {
        units_of.entry(&lot.credit_key).or_default().insert(unit_of(lot));
    }
    loop {
        let before = touched.len();
        for units in units_of.values().filter(|units| !units.is_disjoint(&touched)).cloned().collect::<Vec<_>>() {
            touched.extend(units);
        }
        if touched.len() == before {
            return touched;
        }
    }
}

/// Used and lost, by credit and currency.
type CreditSums = BTreeMap<(Text, Text), (Money, Money)>;

/// What lots of one currency and business unit drew in a month.
type Applied = BTreeMap<(Text, Text), Money>;

/// One of the two books, and what its lots have come to so far.
struct Book {
    ledger: Ledger,
    policy: Policy,
    /// By position of the lot.
    totals: Vec<Totals>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Totals {
    moved: Money,
    used: Money,
    expired: Money,
    remaining: Money,
    eligible: Money,
}

impl Book {
    fn open(spend: PreviewSpend<'_>, lots: Vec<Lot>) -> Self {
        let ledger = Ledger::open(spend.policy, spend.as_of, lots);
        let totals = ledger.lots().map(|lot| Totals { remaining: lot.amount, ..Totals::default() }).collect();
        Self { ledger, policy: spend.policy, totals }
    }

    /// Applies the lots to one month. Says what they drew.
    fn post(&mut self, spend: &Spend) -> Result<Applied, FifoError> {
        let drawn: Mutex<Vec<Draw>> = Mutex::default();
        let posting: Posting = self.ledger.post(spend, |_lot, draws| {
            drawn.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(draws);
            Ok::<_, FifoError>(())
        })?;
        for balance in &posting.balances {
            let Some(totals) = self.totals.get_mut(balance.lot) else { continue };
            totals.moved = totals.moved.checked_add(balance.moved)?;
            totals.used = totals.used.checked_add(balance.used)?;
            totals.expired = totals.expired.checked_add(balance.expired)?;
            totals.remaining = balance.remaining;
        }
        self.add_eligible(spend)?;
        let mut applied = Applied::new();
        for draw in drawn.into_inner().unwrap_or_else(PoisonError::into_inner) {
            let place = spend.cells().get(draw.cell).and_then(|cell| spend.places().get(cell.place));
            let Some((currency, node)) = place else { continue };
            let sum = applied.entry((currency.clone(), node.business_unit().into())).or_default();
            *sum = sum.checked_sub(draw.used)?;
        }
        Ok(applied)
    }

    fn add_eligible(&mut self, spend: &Spend) -> Result<(), MoneyError> {
        for (lot, totals) in self.ledger.lots().zip(&mut self.totals) {
            let Some((first, last)) = lot.window_in(self.policy, spend.period()) else { continue };
            for cell in spend.cells().iter().filter(|cell| first <= cell.day && cell.day <= last) {
                let place = spend.places().get(cell.place);
                if place.is_some_and(|(currency, node)| *currency == lot.currency && node.is_at_or_below(&lot.node)) {
                    totals.eligible = totals.eligible.checked_add(cell.eligible)?;
                }
            }
        }
        Ok(())
    }

    fn outcomes(&self, credits: &BTreeSet<Text>) -> Vec<LotOutcome> {
        let lots = self.ledger.lots().zip(&self.totals).filter(|(lot, _)| credits.contains(&lot.credit_key));
        let outcome = |(lot, totals): (&Lot, &Totals)| LotOutcome {
            credit_key: lot.credit_key.clone(),
            lot: lot.lot,
            node: lot.node.to_string(),
            currency: lot.currency.clone(),
            amount: lot.amount,
            continues: lot.continues,
            moved: totals.moved,
            used: totals.used,
            expired: totals.expired,
            remaining: totals.remaining,
            end_date: lot.end_date,
            eligible: totals.eligible,
        };
        let mut outcomes: Vec<LotOutcome> = lots.map(outcome).collect();
        outcomes.sort_by(|left, right| (&left.credit_key, left.lot).cmp(&(&right.credit_key, right.lot)));
        outcomes
    }

    /// Used and lost by credit.
    fn credits(&self) -> Result<CreditSums, MoneyError> {
        let mut credits: CreditSums = BTreeMap::new();
        for (lot, totals) in self.ledger.lots().zip(&self.totals) {
            let (used, expired) = credits.entry((lot.credit_key.clone(), lot.currency.clone())).or_default();
            (*used, *expired) = (used.checked_add(totals.used)?, expired.checked_add(totals.expired)?);
        }
        Ok(credits)
    }
}

/// The spend of a month that lots of either book may draw on.
async fn read_spend(spend: PreviewSpend<'_>, period: BillingPeriod, ledgers: [&Ledger; 2]) -> Result<Spend, FifoError> {
    // Not the lots with something left only: what is eligible counts for all.
    let open = |ledger: &Ledger| {
        let lots = ledger.lots().filter(|lot| lot.window_in(spend.policy, period).is_some());
        lots.map(|lot| (lot.currency.clone(), lot.node.clone())).collect::<Vec<(Text, Node)>>()
    };
    let mut reader = SpendReader::new(period, ledgers.into_iter().flat_map(open).collect());
    if reader.wants_cells() && spend.periods.contains(&period) {
        let mut batches = spend.run.stream::<Cell>(Some(period)).await?;
        while let Some(batch) = batches.try_next().await? {
            reader.read(&batch)?;
        }
    }
    Ok(reader.into_spend().spend)
}

/// The business units whose credits applied differ in a month.
async fn month_changes(
    run: &Run,
    period: BillingPeriod,
    before: &Applied,
    after: &Applied,
) -> Result<Vec<MonthChange>, FifoError> {
    let summary: Vec<NetCostSummary> = run.rows(Some(period)).await?;
    let units: BTreeSet<&(Text, Text)> = before.keys().chain(after.keys()).collect();
    let mut changes = Vec::new();
    for unit in units {
        let of = |applied: &Applied| applied.get(unit).copied().unwrap_or_default();
        let (credits_applied_before, credits_applied) = (of(before), of(after));
        if credits_applied_before == credits_applied {
            continue;
        }
        let (currency, business_unit) = unit;
        let is_unit = |row: &&NetCostSummary| {
            row.level == 1 && row.currency == *currency && row.business_unit.as_ref() == Some(business_unit)
        };
        let gross =
            summary.iter().find(is_unit).map_or(Ok(Money::ZERO), |row| row.gross_cost.checked_add(row.refunds))?;
        changes.push(MonthChange {
            billing_period: period,
            currency: currency.clone(),
            business_unit: business_unit.clone(),
            credits_applied_before,
            credits_applied,
            net_cost_before: gross.checked_add(credits_applied_before)?,
            net_cost: gross.checked_add(credits_applied)?,
            change: credits_applied.checked_sub(credits_applied_before)?,
        });
    }
    Ok(changes)
}

/// Other credits that are used or lost otherwise.
fn credit_changes(before: &CreditSums, after: &CreditSums, changed: &BTreeSet<Text>) -> Vec<CreditChange> {
    let keys: BTreeSet<&(Text, Text)> = before.keys().chain(after.keys()).collect();
    let others = keys.into_iter().filter(|(credit, _)| !changed.contains(credit));
    let change = |key: &(Text, Text)| {
        let (used_before, expired_before) = before.get(key).copied().unwrap_or_default();
        let (used, expired) = after.get(key).copied().unwrap_or_default();
        let (credit_key, currency) = key.clone();
        let is_changed = (used_before, expired_before) != (used, expired);
        is_changed.then_some(CreditChange { credit_key, currency, used_before, used, expired_before, expired })
    };
    others.filter_map(change).collect()
}

#[cfg(test)]
mod tests;
