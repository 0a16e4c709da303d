//! FIFO by brute force: every lot looks at every cell, amounts are whole units that fit `i128` products.

use std::cmp::Reverse;

use chrono::{Datelike, NaiveDate};
use credit_ledger::BillingPeriod;

use crate::spent::Cell;

/// A lot and what is left of it.
#[derive(Debug, Clone)]
pub(crate) struct Lot {
    pub(crate) name: String,
    pub(crate) left: i128,
    place: String,
    currency: String,
    issued: NaiveDate,
    first_line: NaiveDate,
    end: Option<NaiveDate>,
    code: String,
    account: String,
    key: String,
    number: i32,
    /// The lot it continues, from a month on.
    continues: Option<(String, BillingPeriod)>,
    /// Node and number of the first lot of its chain.
    first: (String, i32),
}

impl Lot {
    pub(crate) fn new(lot: &credit_ledger::Lot) -> Self {
        Self {
            name: format!("{} {}", lot.credit_key, lot.lot),
            left: lot.amount.units(),
            place: format!("{}/", lot.node),
            currency: lot.currency.to_string(),
            issued: lot.issue_date,
            first_line: lot.first_cur_date,
            end: lot.end_date,
            code: lot.promotion_code.to_string(),
            account: lot.account_id.to_string(),
            key: lot.credit_key.to_string(),
            number: lot.lot,
            continues: lot.continues.map(|from| (format!("{} {}", lot.credit_key, from.lot), from.from_period)),
            first: (format!("{}/", lot.node), lot.lot),
        }
    }

    /// All lots, each with the place of the first lot of its chain.
    pub(crate) fn all<'a>(lots: impl Iterator<Item = &'a credit_ledger::Lot>) -> Vec<Self> {
        let mut lots: Vec<Self> = lots.map(Self::new).collect();
        for _ in 0..lots.len() {
            for at in 0..lots.len() {
                let from = lots[at].continues.as_ref().and_then(|(from, _)| lots.iter().find(|lot| lot.name == *from));
                if let Some(first) = from.map(|from| from.first.clone()) {
                    lots[at].first = first;
                }
            }
        }
        lots
    }

    fn opens(&self, policy: &str) -> NaiveDate {
        match policy {
            "fifo_issue_date/v1" => self.issued.with_day(1).unwrap(),
            "fifo_issue_day/v1" => self.issued,
            _ => self.first_line.with_day(1).unwrap(),
        }
    }
}

/// A cell and what nobody has drawn of it.
#[derive(Debug, Clone)]
pub(crate) struct Spend {
    undrawn: i128,
    place: String,
    currency: String,
    counts_as: NaiveDate,
    tie: (NaiveDate, String, String, Option<String>, String),
}

impl Spend {
    pub(crate) fn new(cell: &Cell, period: BillingPeriod) -> Self {
        let key = &cell.key;
        let (first, last) = (period.first_day(), period.next().first_day().pred_opt().unwrap());
        let counts_as = if key.usage_date < first { first } else { key.usage_date.min(last) };
        let place = format!("{}/", key.node);
        let tie = (
            key.usage_date,
            key.payer_account_id.to_string(),
            key.account_id.to_string(),
            key.service.as_ref().map(ToString::to_string),
            place.replace('/', "\u{0}"),
        );
        Self { undrawn: cell.eligible.units(), place, currency: cell.currency.to_string(), counts_as, tie }
    }
}

/// What happened in one month.
#[derive(Debug, Default)]
pub(crate) struct Month {
    /// `(lot, cell, units)`, sorted.
    pub(crate) draws: Vec<(String, usize, i128)>,
    /// True if some part was no whole number of units.
    pub(crate) rounded: bool,
}

/// Plays one month; lots and spend are left as they are after it.
pub(crate) fn month(
    policy: &str,
    as_of: NaiveDate,
    period: BillingPeriod,
    lots: &mut [Lot],
    spend: &mut [Spend],
) -> Month {
    // Months before the first one posted saw no spend, but ends in them count.
    for lot in lots.iter_mut().filter(|lot| lot.end.is_some_and(|end| end < period.first_day() && end < as_of)) {
        lot.left = 0;
    }
    lots.sort_by_key(|lot| {
        let end = lot.end.unwrap_or(NaiveDate::MAX);
        (
            lot.issued,
            end,
            lot.code.clone(),
            lot.account.clone(),
            lot.key.clone(),
            lot.first.0.replace('/', "\u{0}"),
            lot.first.1,
            lot.number,
        )
    });
    for at in 0..lots.len() {
        let from = lots[at].continues.as_ref().filter(|(_, from)| *from == period).map(|(from, _)| from.clone());
        if let Some(from) = from.and_then(|from| lots.iter().position(|lot| lot.name == from)) {
            lots[at].left += std::mem::take(&mut lots[from].left);
        }
    }
    let mut month = Month::default();
    for lot in lots.iter_mut() {
        let open: Vec<usize> = (0..spend.len())
            .filter(|cell| {
                let cell = &spend[*cell];
                cell.currency == lot.currency
                    && cell.place.starts_with(&lot.place)
                    && lot.opens(policy) <= cell.counts_as
                    && lot.continues.as_ref().is_none_or(|(_, from)| *from <= period)
                    && lot.end.is_none_or(|end| cell.counts_as <= end)
            })
            .collect();
        let total: i128 = open.iter().map(|cell| spend[*cell].undrawn).sum();
        let draw = lot.left.min(total);
        if draw == 0 {
            continue;
        }
        let mut parts: Vec<(usize, i128, i128)> = open
            .iter()
            .map(|cell| (*cell, draw * spend[*cell].undrawn / total, draw * spend[*cell].undrawn % total))
            .collect();
        month.rounded |= parts.iter().any(|(_, _, rest)| *rest != 0);
        let floors: i128 = parts.iter().map(|(_, floor, _)| floor).sum();
        parts.sort_by_key(|(cell, _, rest)| (Reverse(*rest), spend[*cell].tie.clone()));
        for (rank, (cell, floor, _)) in parts.into_iter().enumerate() {
            let part = floor + i128::from((rank as i128) < draw - floors);
            spend[cell].undrawn -= part;
            if part > 0 {
                month.draws.push((lot.name.clone(), cell, part));
            }
        }
        lot.left -= draw;
    }
    for lot in lots.iter_mut() {
        let in_month = lot
            .end
            .is_some_and(|end| end.year() == period.first_day().year() && end.month() == period.first_day().month());
        if in_month && lot.end.is_some_and(|end| end < as_of) {
            lot.left = 0;
        }
    }
    month.draws.sort();
    month
}
