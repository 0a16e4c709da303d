//! Which lot draws what from which cell, period by period.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;

use super::Policy;
use super::cost::{Cell, Measures};
use super::credits::{Credit, Standing};
use super::parse::Node;
use super::units::{Money, Period, apportion};

/// Part of a credit, for one node.
#[derive(Clone, Debug)]
pub(crate) struct Lot {
    pub(crate) credit_key: String,
    pub(crate) number: usize,
    pub(crate) node: Node,
    pub(crate) amount: Money,
    pub(crate) currency: String,
    pub(crate) promotion_code: String,
    pub(crate) account: String,
    pub(crate) issue_date: NaiveDate,
    pub(crate) end_date: Option<NaiveDate>,
    window_begin: NaiveDate,
    /// The lot of the same credit that it continues, by number, and from when.
    pub(crate) continues: Option<(usize, Period)>,
    /// Node and number of the first lot of its chain.
    first: (Node, usize),
}

impl Lot {
    /// No end date counts as an end that never comes.
    fn end(&self) -> NaiveDate {
        self.end_date.unwrap_or(NaiveDate::MAX)
    }

    fn meets(&self, period: Period) -> bool {
        let is_here = self.continues.is_none_or(|(_, from)| from <= period);
        is_here && self.window_begin <= period.last_day() && period.first_day() <= self.end()
    }

    fn may_draw_on(&self, cell: &Cell) -> bool {
        let day = cell.usage_date.clamp(cell.period.first_day(), cell.period.last_day());
        cell.currency == self.currency
            && cell.node.starts_with(&self.node)
            && self.window_begin <= day
            && day <= self.end()
    }
}

/// One lot's part of one cell.
#[derive(Clone, Debug)]
pub(crate) struct Draw {
    pub(crate) period: Period,
    /// Position of the lot in the order.
    pub(crate) lot: usize,
    pub(crate) cell: Cell,
    pub(crate) used: Money,
    pub(crate) rank: usize,
}

/// Everything that was drawn or lost.
pub(crate) struct Consumption {
    /// In FIFO order.
    pub(crate) lots: Vec<Lot>,
    pub(crate) draws: Vec<Draw>,
    /// What a lot lost, and when.
    pub(crate) expired: BTreeMap<usize, (Period, Money)>,
    /// What came to a lot or, negative, left it, and when.
    pub(crate) moved: BTreeMap<(usize, Period), Money>,
    pub(crate) rounded: bool,
}

/// All lots in FIFO order.
pub(crate) fn lots(
    register: &BTreeMap<String, Credit>,
    standings: &BTreeMap<String, Standing>,
    policy: Policy,
) -> Vec<Lot> {
    let mut lots = Vec::new();
    for (key, standing) in standings {
        let Standing::Allocated(allocation) = standing else { continue };
        let credit = &register[key];
        let first = |lot: usize| {
            let mut first = lot;
            while let Some((from, _)) = allocation.lots[first].continues {
                first = from - 1;
            }
            (allocation.lots[first].node.clone(), first + 1)
        };
        for (position, lot) in allocation.lots.iter().enumerate() {
            lots.push(Lot {
                credit_key: key.clone(),
                number: position + 1,
                node: lot.node.clone(),
                amount: lot.amount,
                currency: credit.currency.clone(),
                promotion_code: credit.promotion_code.clone(),
                account: credit.account.clone(),
                issue_date: credit.issue_date,
                end_date: lot.end_date,
                continues: lot.continues,
                first: first(position),
                window_begin: match policy {
                    Policy::IssueDate => Period::of(credit.issue_date).first_day(),
                    Policy::IssueDay => credit.issue_date,
                    Policy::AppliedMonth => Period::of(credit.first_cur_date).first_day(),
                },
            });
        }
    }
    lots.sort_by(|a, b| {
        let name = |lot: &Lot| (lot.promotion_code.clone(), lot.account.clone(), lot.credit_key.clone());
        (a.issue_date, a.end())
            .cmp(&(b.issue_date, b.end()))
            .then_with(|| name(a).cmp(&name(b)))
            .then_with(|| (&a.first, a.number).cmp(&(&b.first, b.number)))
    });
    lots
}

/// Draws period by period, oldest first, up to that of the as-of date.
pub(crate) fn consume(lots: Vec<Lot>, cells: &BTreeMap<Cell, Measures>, as_of: NaiveDate) -> Consumption {
    let mut remaining: Vec<Money> = lots.iter().map(|lot| lot.amount).collect();
    let mut result =
        Consumption { lots, draws: Vec::new(), expired: BTreeMap::new(), moved: BTreeMap::new(), rounded: false };
    let with_cost = cells.keys().map(|cell| cell.period);
    let with_lots = result.lots.iter().map(|lot| Period::of(lot.issue_date));
    let starts: BTreeSet<Period> = with_cost.chain(with_lots).collect();
    let Some(first) = starts.first() else { return result };
    for period in first.through(Period::of(as_of)) {
        move_lots(&mut result, &mut remaining, period);
        draw_period(&mut result, &mut remaining, cells, period);
        for (position, lot) in result.lots.iter().enumerate() {
            let ended = lot.end_date.is_some_and(|end| Period::of(end) == period && end < as_of);
            if ended && remaining[position] > Money::ZERO {
                result.expired.insert(position, (period, remaining[position]));
                remaining[position] = Money::ZERO;
            }
        }
    }
    result
}

/// What is left of lots that go on elsewhere from this period goes there.
fn move_lots(result: &mut Consumption, remaining: &mut [Money], period: Period) {
    for (position, lot) in result.lots.iter().enumerate() {
        let Some((number, from)) = lot.continues.filter(|(_, from)| *from == period) else { continue };
        let is_it = |other: &Lot| other.credit_key == lot.credit_key && other.number == number;
        let source = result.lots.iter().position(is_it).expect("the lot that it continues");
        let left = std::mem::take(&mut remaining[source]);
        remaining[position] = left;
        result.moved.insert((position, from), left);
        result.moved.insert((source, from), Money::ZERO - left);
    }
}

/// Every lot once, in order, each on what the earlier ones left.
fn draw_period(result: &mut Consumption, remaining: &mut [Money], cells: &BTreeMap<Cell, Measures>, period: Period) {
    let mut undrawn: BTreeMap<&Cell, Money> = cells
        .iter()
        .filter(|(cell, _)| cell.period == period)
        .map(|(cell, measures)| (cell, measures.eligible.max_zero()))
        .collect();
    let mut rank = 0;
    for (position, lot) in result.lots.iter().enumerate() {
        if !lot.meets(period) {
            continue;
        }
        let open: Vec<(&Cell, Money)> = undrawn
            .iter()
            .filter(|(cell, left)| lot.may_draw_on(cell) && **left > Money::ZERO)
            .map(|(cell, left)| (*cell, *left))
            .collect();
        let total = remaining[position].min(open.iter().map(|(_, left)| *left).sum());
        if total == Money::ZERO {
            continue;
        }
        rank += 1;
        remaining[position] = remaining[position] - total;
        let (parts, rounded) = apportion(total, &open.iter().map(|(_, left)| left.0).collect::<Vec<_>>());
        result.rounded |= rounded;
        for ((cell, left), used) in open.into_iter().zip(parts) {
            undrawn.insert(cell, left - used);
            if used > Money::ZERO {
                result.draws.push(Draw { period, lot: position, cell: cell.clone(), used, rank });
            }
        }
    }
}
