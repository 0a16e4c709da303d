//! Why something of a lot was left in a month: what there was to draw on, and who drew it.
//!
//! ```text
//! gross_cost = eligible + outside_window + not_eligible + tax
//! eligible   = drawn + earlier + later + undrawn
//! ```
//!
//! A lot draws all that earlier ones left of what it may draw on. So where something of it is left, `undrawn` and `later`
//! are zero.

use std::collections::{BTreeMap, HashMap};

use chrono::NaiveDate;
use credit_ledger::{BillingPeriod, Lot, Money, MoneyError, Policy, Text, in_fifo_order};
use schemas::tables::{CreditConsumption, NetCost};
use serde::Serialize;

/// One month of a lot of which something was left at its end, or lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unused {
    /// The month.
    pub billing_period: BillingPeriod,
    /// The lot.
    pub lot: i32,
    /// Left at its end.
    pub remaining: Money,
    /// Lost in it.
    pub expired: Money,
    /// The days of the month on which the lot may draw; none: it may not.
    pub window: Option<(NaiveDate, NaiveDate)>,
    /// All charges and tax on the lot's node and below, in its currency.
    pub gross_cost: Money,
    /// What of it the lot may draw on: eligible, and in its window.
    pub eligible: Money,
    /// What it drew.
    pub drawn: Money,
    /// What lots before it drew, by their order.
    pub earlier: Vec<Taken>,
    /// What lots after it drew.
    pub later: Vec<Taken>,
    /// What nobody drew.
    pub undrawn: Money,
    /// Eligible, on days outside of its window.
    pub outside_window: Money,
    /// Charges that no credit may offset: AWS Marketplace, upfront fees, domains, as set.
    pub not_eligible: Money,
    /// These by service, the greatest first.
    pub not_eligible_services: Vec<ServiceCost>,
    /// Tax, which no credit offsets.
    pub tax: Money,
    /// Why it was not all used, in short.
    pub reason: UnusedReason,
}

/// Why something of a lot was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UnusedReason {
    /// There is no cost on its node or below.
    NoSpend,
    /// There is cost, but no credit may offset it.
    NothingEligible,
    /// What is eligible lies outside of its window.
    OutsideWindow,
    /// Lots before it took all that it may draw on.
    EarlierLots,
    /// It drew on all there was, after lots before it or alone: the spend is less than the lot.
    LessSpend,
}

/// What another lot drew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Taken {
    /// Its credit.
    pub credit_key: Text,
    /// Its number.
    pub lot: i32,
    /// How much.
    pub used: Money,
}

/// Cost of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServiceCost {
    /// The service; none where lines say none.
    pub service: Option<Text>,
    /// How much.
    pub cost: Money,
}

/// All lots of a run in FIFO order: which comes before which.
#[derive(Debug, Default)]
pub struct FifoOrder {
    positions: HashMap<(Text, i32), usize>,
}

impl FifoOrder {
    /// The order of these lots.
    #[must_use]
    pub fn of(lots: &[Lot]) -> Self {
        let lots = in_fifo_order(lots.to_vec()).into_iter().enumerate();
        Self { positions: lots.map(|(position, lot)| ((lot.credit_key, lot.lot), position)).collect() }
    }

    /// The position of a lot, from zero.
    #[must_use]
    pub fn position(&self, credit_key: &Text, lot: i32) -> Option<usize> {
        self.positions.get(&(credit_key.clone(), lot)).copied()
    }
}

/// Where a lot may draw in a month.
struct Scope<'a> {
    lot: &'a Lot,
    levels: [Option<Text>; 4],
    window: Option<(NaiveDate, NaiveDate)>,
    period: BillingPeriod,
}

impl Scope<'_> {
    fn has(&self, currency: &Text, levels: [&Option<Text>; 4]) -> bool {
        let is_at_or_below = self.levels.iter().zip(levels).all(|(own, other)| own.is_none() || own == other);
        *currency == self.lot.currency && is_at_or_below
    }

    fn is_open_on(&self, usage_date: NaiveDate) -> bool {
        let day = self.period.clamp(usage_date);
        self.window.is_some_and(|(first, last)| first <= day && day <= last)
    }
}

/// Adds amounts up.
fn add(sum: &mut Money, amount: Money) -> Result<(), MoneyError> {
    *sum = sum.checked_add(amount)?;
    Ok(())
}

/// What there was for a lot in a month and who drew it. `costs` and `draws` hold at least those on its node and below;
/// `left` is what remained at the month's end and what was lost.
///
/// # Errors
/// [`MoneyError`] where a sum leaves the range of money.
pub fn unused(
    lot: &Lot,
    (policy, period): (Policy, BillingPeriod),
    (remaining, expired): (Money, Money),
    costs: &[NetCost],
    draws: &[CreditConsumption],
    order: &FifoOrder,
) -> Result<Unused, MoneyError> {
    let window = lot.window_in(policy, period);
    let scope = Scope { lot, levels: lot.node.levels(), window, period };
    let mut found = Unused {
        billing_period: period,
        lot: lot.lot,
        remaining,
        expired,
        window,
        gross_cost: Money::ZERO,
        eligible: Money::ZERO,
        drawn: Money::ZERO,
        earlier: Vec::new(),
        later: Vec::new(),
        undrawn: Money::ZERO,
        outside_window: Money::ZERO,
        not_eligible: Money::ZERO,
        not_eligible_services: Vec::new(),
        tax: Money::ZERO,
        reason: UnusedReason::NoSpend,
    };
    found.add_costs(&scope, costs)?;
    found.add_draws(&scope, draws, order)?;
    found.reason = found.reason(!costs.iter().any(|row| scope.has(&row.currency, levels(row))));
    Ok(found)
}

fn levels(row: &NetCost) -> [&Option<Text>; 4] {
    [&row.business_unit, &row.department, &row.portfolio, &row.product]
}

impl Unused {
    fn add_costs(&mut self, scope: &Scope<'_>, costs: &[NetCost]) -> Result<(), MoneyError> {
        let mut by_service: BTreeMap<&Option<Text>, Money> = BTreeMap::new();
        for row in costs.iter().filter(|row| scope.has(&row.currency, levels(row))) {
            let eligible = row.eligible_charges.max(Money::ZERO);
            let rest = row.charges.checked_sub(eligible)?;
            add(&mut self.gross_cost, row.gross_cost)?;
            add(&mut self.tax, row.tax)?;
            add(&mut self.not_eligible, rest)?;
            add(by_service.entry(&row.service).or_default(), rest)?;
            let sum = if scope.is_open_on(row.usage_date) { &mut self.eligible } else { &mut self.outside_window };
            add(sum, eligible)?;
        }
        by_service.retain(|_, cost| !cost.is_zero());
        let services = by_service.into_iter().map(|(service, cost)| ServiceCost { service: service.clone(), cost });
        self.not_eligible_services = services.collect();
        self.not_eligible_services.sort_by_key(|of| (std::cmp::Reverse(of.cost), of.service.clone()));
        Ok(())
    }

    fn add_draws(
        &mut self,
        scope: &Scope<'_>,
        draws: &[CreditConsumption],
        order: &FifoOrder,
    ) -> Result<(), MoneyError> {
        let mut others: BTreeMap<(Option<usize>, &Text, i32), Money> = BTreeMap::new();
        let mut undrawn = self.eligible;
        for row in draws {
            let levels = [&row.business_unit, &row.department, &row.portfolio, &row.product];
            if !scope.has(&row.currency, levels) || !scope.is_open_on(row.usage_date) {
                continue;
            }
            undrawn = undrawn.checked_sub(row.used)?;
            if (&row.credit_key, row.lot) == (&scope.lot.credit_key, scope.lot.lot) {
                add(&mut self.drawn, row.used)?;
            } else {
                let position = order.position(&row.credit_key, row.lot);
                add(others.entry((position, &row.credit_key, row.lot)).or_default(), row.used)?;
            }
        }
        self.undrawn = undrawn;
        let own = order.position(&scope.lot.credit_key, scope.lot.lot);
        for ((position, credit_key, lot), used) in others {
            let taken = Taken { credit_key: credit_key.clone(), lot, used };
            if position < own { self.earlier.push(taken) } else { self.later.push(taken) }
        }
        Ok(())
    }

    const fn reason(&self, has_no_cost: bool) -> UnusedReason {
        if has_no_cost {
            UnusedReason::NoSpend
        } else if self.eligible.is_positive() && self.drawn.is_zero() {
            UnusedReason::EarlierLots
        } else if self.eligible.is_positive() {
            UnusedReason::LessSpend
        } else if self.outside_window.is_positive() {
            UnusedReason::OutsideWindow
        } else {
            UnusedReason::NothingEligible
        }
    }
}

#[cfg(test)]
mod tests;
