//! Reads what a run has of one credit.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use credit_ledger::{BillingPeriod, Lot, Money, Node, Policy, Text};
use datafusion::logical_expr::{Expr, col, lit};
use datafusion::prelude::SessionContext;
use lake::{KeptRun, LakeError, map_concurrently};
use schemas::tables::{
    AllocationIssue, AllocationLogRow, Credit, CreditBalance, CreditConsumption, CreditImpact, CreditQueue,
    HierarchyRow, NetCost,
};
use schemas::{NodeColumns, Owners, TableRow};

use super::findings::findings;
use super::history::history;
use super::lots::{Balances, Standing, lots_of, month_of};
use super::model::{CreditStatement, StatementMonth, UsedBy};
use crate::error::FifoError;
use crate::unused::{FifoOrder, Unused, unused};

/// Months that are read at once.
const MONTHS_AT_ONCE: usize = 4;

/// Who used a credit: node, account, service.
type UserKey = (Node, Text, Option<Text>);

/// The statement of `credit`, a row of `credits`, which are those of `run`; `log` is the allocations log.
///
/// # Errors
/// [`FifoError::Lake`] where a table cannot be read or is not as it was written; [`FifoError::Money`].
pub async fn statement(
    run: &KeptRun,
    session: &SessionContext,
    credits: &[Credit],
    credit: &Credit,
    log: &[AllocationLogRow],
) -> Result<CreditStatement, FifoError> {
    let policy: Policy = run.staged().policy.parse()?;
    let last = BillingPeriod::of(run.staged().as_of);
    let all_balances: Vec<CreditBalance> = run.rows(Some(last)).await?;
    let all_lots = lots_of(&all_balances, credits, log)?;
    let order = FifoOrder::of(&all_lots);
    let reader = Reader { run, session, of_credit: col("credit_key").eq(lit(credit.credit_key.as_str())) };
    let (balances, months) = reader.months().await?;
    let hierarchy: Vec<HierarchyRow> = run.rows(None).await?;
    let owners = Owners::of(&hierarchy);
    let standing = Standing { lots: &all_lots, order: &order, owners: &owners, log };
    let lots = standing.of(credit, &balances)?;
    let own: Vec<&Lot> = all_lots.iter().filter(|lot| lot.credit_key == credit.credit_key).collect();
    let queue: Vec<CreditQueue> = run.rows(None).await?;
    let issues: Vec<AllocationIssue> = run.rows(None).await?;
    let waiting = queue.iter().find(|row| row.credit_key == credit.credit_key);
    let history = history(log, &credit.credit_key);
    Ok(CreditStatement {
        run_id: run.id().to_owned(),
        as_of: run.staged().as_of,
        policy: run.staged().policy.clone(),
        used_by: reader.used_by(&balances).await?,
        unused: reader.unused(policy, &own, &balances, &order).await?,
        findings: findings(credit, &lots, waiting, &issues, &history),
        credit: credit.clone(),
        lots,
        months,
        history,
    })
}

/// What is read on a thread of its own.
type OfMonth = (KeptRun, SessionContext, Expr, BillingPeriod);

/// Rows of a month that fit.
async fn rows_of_month<R: TableRow>((run, session, condition, month): OfMonth) -> Result<Vec<R>, LakeError> {
    run.rows_where(&session, Some(month), condition).await
}

struct Reader<'a> {
    run: &'a KeptRun,
    session: &'a SessionContext,
    of_credit: Expr,
}

impl Reader<'_> {
    fn asked(&self, month: BillingPeriod, condition: Expr) -> OfMonth {
        (self.run.clone(), self.session.clone(), condition, month)
    }

    /// The balances of the credit's lots, and its months in both books.
    async fn months(&self) -> Result<(Balances, Vec<StatementMonth>), FifoError> {
        let (mut balances, mut months) = (Balances::new(), Vec::new());
        let asked: Vec<_> = self.run.months().map(|month| self.asked(month, self.of_credit.clone())).collect();
        let rows = map_concurrently(MONTHS_AT_ONCE, asked.clone(), rows_of_month::<CreditBalance>).await?;
        let impact = map_concurrently(MONTHS_AT_ONCE, asked, rows_of_month::<CreditImpact>).await?;
        for (month, (rows, impact)) in self.run.months().zip(rows.into_iter().zip(impact)) {
            if !rows.is_empty() || !impact.is_empty() {
                let aws_applied = Money::total(impact.iter().map(|row| row.aws_applied))?;
                months.push(month_of(month, &rows, aws_applied)?);
                balances.insert(month, rows);
            }
        }
        Ok((balances, months))
    }

    /// What spend used of the credit, the most first.
    async fn used_by(&self, balances: &Balances) -> Result<Vec<UsedBy>, FifoError> {
        let mut used: BTreeMap<UserKey, (Money, NaiveDate, NaiveDate)> = BTreeMap::new();
        let drew = |rows: &[CreditBalance]| rows.iter().any(|row| row.used.is_positive());
        let months: Vec<BillingPeriod> =
            balances.iter().filter(|(_, rows)| drew(rows)).map(|(month, _)| *month).collect();
        let asked: Vec<_> = months.iter().map(|month| self.asked(*month, self.of_credit.clone())).collect();
        let read = map_concurrently(MONTHS_AT_ONCE, asked, rows_of_month::<CreditConsumption>);
        for (month, rows) in months.into_iter().zip(read.await?) {
            for row in rows {
                let named = |source| FifoError::Node { row: format!("a cell of {month}"), source };
                let place = (row.node().map_err(named)?, row.account_id, row.service);
                let day = row.usage_date;
                let (sum, first, last) = used.entry(place).or_insert((Money::ZERO, day, day));
                (*sum, *first, *last) = (sum.checked_add(row.used)?, day.min(*first), day.max(*last));
            }
        }
        let mut used: Vec<UsedBy> = used
            .into_iter()
            .map(|((node, account_id, service), (used, first_day, last_day))| UsedBy {
                node,
                account_id,
                service,
                used,
                first_day,
                last_day,
            })
            .collect();
        // Of equal amounts the order of places stays.
        used.sort_by_key(|of| Reverse(of.used));
        Ok(used)
    }

    /// Why something was left, of each lot and month.
    async fn unused(
        &self,
        policy: Policy,
        lots: &[&Lot],
        balances: &Balances,
        order: &FifoOrder,
    ) -> Result<Vec<Unused>, FifoError> {
        let mut months = Vec::new();
        for (month, rows) in balances {
            let left = rows.iter().filter(|row| row.remaining.is_positive() || row.expired.is_positive());
            let left: Vec<(&Lot, &CreditBalance)> =
                left.filter_map(|row| Some((*lots.iter().find(|lot| lot.lot == row.lot)?, row))).collect();
            if left.is_empty() {
                continue;
            }
            let units: BTreeSet<&str> = left.iter().map(|(lot, _)| lot.node.business_unit()).collect();
            let in_scope = col("business_unit").in_list(units.into_iter().map(lit).collect(), false);
            months.push((left, self.asked(*month, in_scope)));
        }
        let mut found = Vec::new();
        // Rows of whole business units: no more of them are held than are read at once.
        for some in months.chunks(MONTHS_AT_ONCE) {
            let asked: Vec<OfMonth> = some.iter().map(|(_, asked)| asked.clone()).collect();
            let costs = map_concurrently(MONTHS_AT_ONCE, asked.clone(), rows_of_month::<NetCost>).await?;
            let draws = map_concurrently(MONTHS_AT_ONCE, asked, rows_of_month::<CreditConsumption>).await?;
            for ((left, (.., month)), (costs, draws)) in some.iter().zip(costs.into_iter().zip(draws)) {
                for (lot, row) in left {
                    let rest = (row.remaining, row.expired);
                    found.push(unused(lot, (policy, *month), rest, &costs, &draws, order)?);
                }
            }
        }
        found.sort_by_key(|unused| (unused.lot, unused.billing_period));
        Ok(found)
    }
}
