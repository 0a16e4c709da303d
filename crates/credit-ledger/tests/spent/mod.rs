//! Cells with their whole keys, and what posting them gave.

use std::collections::BTreeMap;
use std::sync::Mutex;

use chrono::NaiveDate;
use credit_ledger::{
    BillingPeriod, Breach, Draw, Ledger, LedgerError, Money, MoneyError, Node, Posting, PostingCheck, Spend, Text,
};

/// What breaks ties of spreading.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CellKey {
    pub(crate) usage_date: NaiveDate,
    pub(crate) payer_account_id: Text,
    pub(crate) account_id: Text,
    pub(crate) service: Option<Text>,
    pub(crate) node: Node,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) currency: Text,
    pub(crate) key: CellKey,
    pub(crate) eligible: Money,
}

/// A posting, its cells by key, and its draws by lot.
#[derive(Debug, Clone)]
pub(crate) struct Posted {
    pub(crate) cells: Vec<Cell>,
    pub(crate) spend: Spend,
    pub(crate) posting: Posting,
    pub(crate) draws: BTreeMap<usize, Vec<Draw>>,
}

pub(crate) fn post(ledger: &mut Ledger, period: BillingPeriod, cells: &[Cell]) -> Result<Posted, LedgerError> {
    let mut cells = cells.to_vec();
    cells.sort_by(|left, right| left.key.cmp(&right.key));
    let (mut spend, mut places) = (Spend::new(period), BTreeMap::new());
    for cell in &cells {
        let place = *places
            .entry((&cell.currency, &cell.key.node))
            .or_insert_with(|| spend.add_place(cell.currency.clone(), cell.key.node.clone()));
        spend.add(place, cell.key.usage_date, cell.eligible);
    }
    let draws = Mutex::new(BTreeMap::new());
    let posting = ledger.post(&spend, |lot, drawn| {
        let before = draws.lock().unwrap().insert(lot, drawn.to_vec());
        assert_eq!(before, None, "each lot draws once");
        Ok::<(), LedgerError>(())
    })?;
    Ok(Posted { spend, posting, draws: draws.into_inner().unwrap(), cells })
}

impl Posted {
    pub(crate) fn breaches(&self, ledger: &Ledger) -> Result<Vec<Breach>, MoneyError> {
        let name = |cell: usize| {
            let Cell { currency, key, .. } = &self.cells[cell];
            let service = key.service.as_deref().unwrap_or("-");
            format!("{} {} {service} {currency} {}", key.usage_date, key.account_id, key.node)
        };
        let mut check = PostingCheck::new(ledger, &self.spend, &self.posting, name);
        for (lot, draws) in &self.draws {
            check.add(*lot, draws)?;
        }
        check.finish()
    }
}
