//! Where credits stand, as the jobs before write-net-cost left it, and the tables that say so.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use credit_ledger::{BillingPeriod, Text};
use hashbrown::HashMap;
use lake::Lake;
use schemas::TableRow;
use schemas::tables::{
    AllocatedCredit, AllocationIssue, AppliedByAws, Credit, CreditBalance, HierarchyRow, RegisteredCredit,
};
use write_net_cost::standing::{self, AppliedCredits, AsOf, ToDate};

use super::for_each;
use crate::Failure;
use crate::commands::summary::CreditsPart;
use crate::run::App;

/// What the tables of credits are made of.
pub(super) struct Standings {
    register: Arc<Vec<RegisteredCredit>>,
    applied: Arc<Vec<AppliedByAws>>,
    allocated: Arc<Vec<AllocatedCredit>>,
    balances: BTreeMap<BillingPeriod, Vec<CreditBalance>>,
}

impl Standings {
    /// Reads what was handed over; balances of months that are not in `applied` are as they are published.
    pub(super) async fn read(
        app: &App,
        months: &[BillingPeriod],
        applied: &BTreeSet<BillingPeriod>,
    ) -> Result<Self, Failure> {
        let months = months.iter().map(|month| (*month, applied.contains(month)));
        let balances = for_each(app, app.periods_at_once(), months, |lake, run_id, (month, is_applied)| async move {
            let rows = if is_applied {
                lake.handed_over(&run_id, Some(month)).await?
            } else {
                lake.published_rows(month).await?
            };
            Ok((month, rows))
        });
        let (lake, run_id, handed) = (&app.lake, &app.run_id, app.handed_over);
        Ok(Self {
            register: handed.register.rows(lake, run_id).await?,
            applied: handed.applied.rows(lake, run_id).await?,
            allocated: handed.allocated.rows(lake, run_id).await?,
            balances: balances.await?.into_iter().collect(),
        })
    }

    /// The credits that AWS applied, by period.
    pub(super) fn applied_credits(&self) -> Result<BTreeMap<BillingPeriod, AppliedCredits<'_>>, Failure> {
        Ok(standing::applied_credits(&self.register, &self.allocated, &self.applied)?)
    }

    /// Stages `credit_impact` of a period.
    pub(super) async fn stage_impact(&self, lake: &Lake, run_id: &str, period: BillingPeriod) -> Result<(), Failure> {
        let balances = self.balances.get(&period).map_or(&[][..], Vec::as_slice);
        let impact = standing::impact(&self.register, &self.applied, balances, period)?;
        lake.stage(run_id, Some(period), &impact).await?;
        Ok(())
    }

    /// Stages the tables that are not partitioned. Says what there is to say of credits.
    pub(super) async fn stage_whole_tables(
        &self,
        lake: &Lake,
        run_id: &str,
        near: AsOf,
    ) -> Result<CreditsPart, Failure> {
        let mut positions: HashMap<Text, ToDate> = HashMap::new();
        for month in self.balances.values() {
            standing::add_month(&mut positions, month)?;
        }
        let credits = standing::credits(&self.register, &self.allocated, &positions, near)?;
        let queue = standing::queue(&self.register, &self.allocated, near.date);
        lake.stage(run_id, None, &credits).await?;
        lake.stage(run_id, None, &queue).await?;
        lake.stage_handed_over::<AllocationIssue>(run_id, None).await?;
        lake.stage_handed_over::<HierarchyRow>(run_id, None).await?;
        let known = lake.published_texts(&Credit::TABLE, "credit_key").await?;
        Ok(CreditsPart::of(&credits, &queue, &known))
    }
}
