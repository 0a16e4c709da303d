//! Where credits stand, as the jobs before write-net-cost left it, and the tables that say so.

use std::collections::BTreeMap;
use std::sync::Arc;

use credit_ledger::BillingPeriod;
use futures::{StreamExt, TryStreamExt, stream};
use lake::Lake;
use schemas::TableRow;
use schemas::tables::{
    AllocatedCredit, AllocationIssue, AppliedByAws, Credit, CreditBalance, HierarchyRow, LotRow, RegisteredCredit,
};
use write_net_cost::standing::{self, AppliedCredits, AsOf, Positions};

use super::apart;
use crate::Failure;
use crate::commands::summary::CreditsPart;
use crate::run::App;

/// What the tables of credits are made of, beside the balances that are staged.
pub(super) struct Standings {
    register: Arc<Vec<RegisteredCredit>>,
    applied: Arc<Vec<AppliedByAws>>,
    allocated: Arc<Vec<AllocatedCredit>>,
    lots: Arc<Vec<LotRow>>,
}

impl Standings {
    /// Reads what was handed over.
    pub(super) async fn read(app: &App) -> Result<Self, Failure> {
        let (lake, run_id, handed) = (&app.lake, &app.run_id, app.handed_over);
        Ok(Self {
            register: handed.register.rows(lake, run_id).await?,
            applied: handed.applied.rows(lake, run_id).await?,
            allocated: handed.allocated.rows(lake, run_id).await?,
            lots: handed.lots.rows(lake, run_id).await?,
        })
    }

    /// The credits that AWS applied, by period.
    pub(super) fn applied_credits(&self) -> Result<BTreeMap<BillingPeriod, AppliedCredits<'_>>, Failure> {
        Ok(standing::applied_credits(&self.register, &self.allocated, &self.applied)?)
    }

    /// Stages `credit_impact` of a period.
    pub(super) async fn stage_impact(&self, lake: &Lake, run_id: &str, period: BillingPeriod) -> Result<(), Failure> {
        let balances: Vec<CreditBalance> = lake.staged(run_id, Some(period)).await?;
        let impact = standing::impact(&self.register, &self.applied, &balances, period)?;
        lake.stage(run_id, Some(period), &impact).await?;
        Ok(())
    }

    /// Stages the tables that are not partitioned. Says what there is to say of credits. Of the balances of `months` so
    /// many are in memory `at_once`.
    pub(super) async fn stage_whole_tables(
        &self,
        lake: &Arc<Lake>,
        run_id: &str,
        months: Vec<BillingPeriod>,
        at_once: usize,
        near: AsOf,
    ) -> Result<CreditsPart, Failure> {
        let read = months.into_iter().map(|month| {
            let (lake, run_id) = (Arc::clone(lake), run_id.to_owned());
            apart(async move { lake.staged::<CreditBalance>(&run_id, Some(month)).await })
        });
        let mut months = stream::iter(read).buffered(at_once);
        let (mut positions, mut last) = (Positions::new(), Vec::new());
        while let Some(balances) = months.try_next().await? {
            standing::add_month(&mut positions, &balances)?;
            last = balances;
        }
        let credits = standing::credits(&self.register, &self.allocated, &self.lots, &positions, near)?;
        let queue = standing::queue(&self.register, &self.allocated, near.date);
        lake.stage(run_id, None, &credits).await?;
        lake.stage(run_id, None, &queue).await?;
        lake.stage_handed_over::<AllocationIssue>(run_id, None).await?;
        lake.stage_handed_over::<HierarchyRow>(run_id, None).await?;
        let known = lake.published_texts(&Credit::TABLE, "credit_key").await?;
        Ok(CreditsPart::of(&credits, &queue, &known, &standing::endings(&last, near)?))
    }
}
