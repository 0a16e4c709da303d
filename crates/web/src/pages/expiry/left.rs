//! Lots of which something is left, and lots that lapsed.

use std::collections::HashMap;

use application::{Failure, Kind};
use credit_ledger::{BillingPeriod, Money, Node, Text};
use schemas::tables::{CreditBalance, HierarchyRow};
use schemas::{NodeColumns, Owners};

use super::spend::above_zero;
use crate::asked::Asked;

/// A lot in one month, where it sits and whom to ask there.
#[derive(Debug, Clone)]
pub(super) struct LotBalance {
    pub(super) row: CreditBalance,
    pub(super) node: Node,
    pub(super) owner: Option<Text>,
}

/// Reads lots of the published run that the filters take.
pub(super) struct Lots<'a> {
    asked: &'a Asked,
    owners: Owners,
}

impl<'a> Lots<'a> {
    pub(super) async fn of(asked: &'a Asked) -> Result<Self, Failure> {
        let hierarchy: Vec<HierarchyRow> = asked.run()?.rows(None).await?;
        Ok(Self { asked, owners: Owners::of(&hierarchy) })
    }

    fn taken(&self, rows: Vec<CreditBalance>) -> Result<Vec<LotBalance>, Failure> {
        let filter = &self.asked.filter;
        let mut lots = Vec::new();
        for row in rows {
            let wrong = |error: credit_ledger::NodeError| Failure::new(Kind::CheckFailed, error.to_string());
            let node = row.node().map_err(wrong)?;
            let is_there = filter.node.as_ref().is_none_or(|at| node.is_at_or_below(at));
            if is_there && filter.takes_currency(&row.currency) {
                lots.push(LotBalance { owner: self.owners.nearest(&node).cloned(), node, row });
            }
        }
        Ok(lots)
    }

    /// Those with something left at the end of the as-of month: what ends first comes first, what never ends last.
    pub(super) async fn left(&self) -> Result<Vec<LotBalance>, Failure> {
        let run = self.asked.run()?;
        let mut rows: Vec<CreditBalance> = run.rows(Some(BillingPeriod::of(run.staged().as_of))).await?;
        rows.retain(|row| row.remaining.is_positive());
        let mut lots = self.taken(rows)?;
        lots.sort_by(|left, right| {
            let end = |lot: &LotBalance| (lot.row.end_date.is_none(), lot.row.end_date);
            let key = (end(left), &left.row.credit_key, left.row.lot);
            key.cmp(&(end(right), &right.row.credit_key, right.row.lot))
        });
        Ok(lots)
    }

    /// What each lot drew in a month; none of those that came in it, as they may not have had all of it.
    pub(super) async fn drawn(&self, month: BillingPeriod) -> Result<HashMap<(Text, i32), Money>, Failure> {
        let rows: Vec<CreditBalance> = self.asked.run()?.rows(Some(month)).await?;
        let was_there = |row: &CreditBalance| row.opening.is_positive() || row.moved.is_positive();
        Ok(rows.into_iter().filter(was_there).map(|row| ((row.credit_key, row.lot), row.used)).collect())
    }

    /// Those that lost something in these months, the newest month first.
    pub(super) async fn lapsed(&self, months: &[BillingPeriod]) -> Result<Vec<(BillingPeriod, LotBalance)>, Failure> {
        let session = self.asked.context.session()?;
        let mut lapsed = Vec::new();
        for month in months.iter().rev() {
            let rows = self.asked.run()?.rows_where(&session, Some(*month), above_zero("expired")).await?;
            lapsed.extend(self.taken(rows)?.into_iter().map(|lot| (*month, lot)));
        }
        Ok(lapsed)
    }
}
