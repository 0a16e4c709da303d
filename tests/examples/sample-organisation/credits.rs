//! Credits as AWS applies them: to whichever account and service it chooses, as long as something is left.

use std::collections::BTreeMap;
use std::rc::Rc;

use chrono::{NaiveDate, TimeDelta};
use serde::Deserialize;

use crate::Result;
use crate::fixed::Fixed;
use crate::line::Line;
use crate::organisation::{Account, Organisation, Period, Sku, rows};

#[derive(Deserialize)]
struct CreditRow {
    description: String,
    accounts: String,
    services: String,
    first: NaiveDate,
    last: Option<NaiveDate>,
    monthly: String,
    face: Fixed,
}

/// A credit with what is left of it.
struct Credit {
    description: Rc<str>,
    /// In the order in which they are served.
    accounts: Vec<Rc<Account>>,
    services: Vec<String>,
    first: NaiveDate,
    last: Option<NaiveDate>,
    /// Booked once a month, on the first, in place of every day.
    is_monthly: bool,
    left: Fixed,
}

/// The credits, soonest to end first: the order in which AWS applies them.
pub(crate) struct Credits(Vec<Credit>);

/// What an account spent on a service on a day, and what was charged most for there.
struct Spend {
    left: Fixed,
    largest: Fixed,
    sku: Rc<Sku>,
    region: Rc<str>,
}

/// By day, account id and service.
type SpendByCell = BTreeMap<(NaiveDate, String, String), Spend>;

impl Credits {
    /// Reads the table of credits.
    pub(crate) fn load(organisation: &Organisation) -> Result<Self> {
        let rows = rows::<CreditRow>(include_str!("tables/credits.csv"))?;
        let credits = rows.into_iter().map(|row| {
            let accounts = row.accounts.split(';').map(|name| organisation.account(name));
            Ok(Credit {
                description: organisation.with_ids(&row.description).into(),
                accounts: accounts.collect::<Result<_>>()?,
                services: row.services.split(';').map(str::to_owned).collect(),
                first: row.first,
                last: row.last,
                is_monthly: !row.monthly.is_empty(),
                left: row.face,
            })
        });
        Ok(Self(credits.collect::<Result<_>>()?))
    }

    /// The credit lines of a period, given its charges. Periods come in order.
    pub(crate) fn apply(&mut self, period: Period, charges: &[Line]) -> Vec<Line> {
        let mut spend = spend_by_cell(charges);
        self.0.iter_mut().flat_map(|credit| credit.apply(period, &mut spend)).collect()
    }
}

impl Credit {
    fn apply(&mut self, period: Period, spend: &mut SpendByCell) -> Vec<Line> {
        let mut lines: Vec<Line> = Vec::new();
        for day in period.days().filter(|day| self.first <= *day && self.last.is_none_or(|last| *day <= last)) {
            for (account, service) in self.recipients() {
                let Some(cell) = spend.get_mut(&(day, account.id.clone(), service.clone())) else { continue };
                let amount = cell.left.min(self.left);
                if amount <= Fixed::ZERO {
                    continue;
                }
                cell.left -= amount;
                self.left -= amount;
                self.book(&mut lines, period, day, &account, cell, amount);
            }
        }
        lines
    }

    fn recipients(&self) -> Vec<(Rc<Account>, String)> {
        let pairs =
            self.accounts.iter().flat_map(|account| self.services.iter().map(move |service| (account, service)));
        pairs.map(|(account, service)| (Rc::clone(account), service.clone())).collect()
    }

    /// A line for the day, or an addition to the line of the month.
    fn book(
        &self,
        lines: &mut Vec<Line>,
        period: Period,
        day: NaiveDate,
        account: &Rc<Account>,
        cell: &Spend,
        amount: Fixed,
    ) {
        let is_same = |line: &&mut Line| {
            line.sku.service == cell.sku.service && line.account.as_ref().is_some_and(|of| of.id == account.id)
        };
        if let Some(line) = lines.iter_mut().find(is_same).filter(|_| self.is_monthly) {
            line.cost = line.cost.map(|cost| cost - amount);
            line.net_cost = line.cost;
        } else {
            lines.push(self.line(period, day, account, cell, amount));
        }
    }

    /// A credit copies the product of what it offsets, has no tags, and ends a second late.
    fn line(&self, period: Period, day: NaiveDate, account: &Rc<Account>, cell: &Spend, amount: Fixed) -> Line {
        let day = if self.is_monthly { period.first_day() } else { day };
        let line = Line::of_day(period, day, Some(Rc::clone(account)), "Credit", &cell.sku, -amount);
        let end = if self.is_monthly { period.end().and_time(line.start.time()) } else { line.end };
        Line {
            region: Rc::clone(&cell.region),
            description: Rc::clone(&self.description),
            end: end + TimeDelta::seconds(1),
            quantity: Some(Fixed::ZERO),
            categories: Rc::new([]),
            ..line
        }
    }
}

/// Charges that a credit may offset. What a savings plan covers nets to zero.
fn spend_by_cell(charges: &[Line]) -> SpendByCell {
    let mut cells = SpendByCell::new();
    for line in charges.iter().filter(|line| !line.sku.is_marketplace()) {
        let (Some(account), Some(cost)) = (&line.account, line.cost) else { continue };
        let cell = cells.entry((line.day(), account.id.clone(), line.sku.service.clone())).or_insert_with(|| Spend {
            left: Fixed::ZERO,
            largest: Fixed::ZERO,
            sku: Rc::clone(&line.sku),
            region: Rc::clone(&line.region),
        });
        cell.left += cost;
        if cost > cell.largest {
            (cell.largest, cell.sku, cell.region) = (cost, Rc::clone(&line.sku), Rc::clone(&line.region));
        }
    }
    cells
}
