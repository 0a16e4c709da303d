//! The shell of write-net-cost.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::Datelike;
use credit_ledger::{BillingPeriod, Money};
use datafusion::physical_plan::EmptyRecordBatchStream;
use datafusion::prelude::SessionContext;
use hashbrown::HashMap;
use lake::{Lake, LakeLock, MadeFrom, ReferenceFiles, StagedPeriod, StagedRun};
use schemas::TableRow;
use schemas::reference::Budget;
use schemas::tables::{
    AllocatedCredit, AllocationIssue, AppliedByAws, Cell, Credit, CreditBalance, CreditConsumption, CreditImpact,
    ExportTotal, HierarchyRow, NetCost, NetCostSummary, NodeCost, Reconciliation, RegisteredCredit,
};
use write_net_cost::net_cost::net_cost;
use write_net_cost::standing::{self, AsOf, ToDate};
use write_net_cost::{check, plan, roll_up};

use super::{Detected, FifoRecord, JoinRecord, NET_COST, apart, for_each, made_from, session};
use crate::commands::summary::{CreditsPart, Summary, published_keys};
use crate::run::App;
use crate::{Failure, Kind};

/// Stages all tables and checks them.
pub(crate) async fn write_net_cost(app: &App, _lock: &LakeLock) -> Result<Summary, Failure> {
    let (detected, joined, applied) =
        (Detected::of(app).await?, JoinRecord::of(app).await?, FifoRecord::of(app).await?);
    let (made_from, credits) =
        if joined.is_published { take_over(app).await? } else { stage(app, detected.clone(), joined, applied).await? };
    let staged = StagedRun {
        follows: app.lake.published().await?,
        as_of: app.as_of,
        policy: app.settings.credits.policy.clone(),
        started_at: app.now,
        periods: detected.periods.iter().map(staged_period).collect(),
        made_from,
    };
    let summary = Summary::of(app, &detected, staged.made_from.tables.keys().copied(), credits).await?;
    app.lake.write_summary(&app.run_id, &summary.digest(app)).await?;
    app.lake.finish_job(&app.run_id, NET_COST, &staged).await?;
    Ok(summary)
}

/// Stages everything as it is published.
async fn take_over(app: &App) -> Result<(MadeFrom, CreditsPart), Failure> {
    let published = app.lake.made_from().await?;
    app.lake.begin_staging(&app.run_id).await?;
    let months = published.tables.keys().copied().map(Some).chain([None]);
    let staged = for_each(app, app.periods_at_once(), months.collect::<Vec<_>>(), |lake, run_id, period| async move {
        Ok(lake.stage_all_published(&run_id, period).await?)
    });
    if staged.await?.contains(&false) {
        return Err(removed_meanwhile());
    }
    let (credits, queue) = (app.lake.staged::<Credit>(&app.run_id, None), app.lake.staged(&app.run_id, None));
    let credits = credits.await?;
    let known = credits.iter().map(|credit| credit.credit_key.clone()).collect();
    Ok((published, CreditsPart::of(&credits, &queue.await?, &known)))
}

fn removed_meanwhile() -> Failure {
    let message = "a file of the published run was removed meanwhile; start a new run";
    Failure::new(Kind::LostRace, message.to_owned())
}

/// Stages what has changed, takes over the rest, and checks the whole. Says what it is made from.
async fn stage(
    app: &App,
    detected: Detected,
    joined: JoinRecord,
    applied: FifoRecord,
) -> Result<(MadeFrom, CreditsPart), Failure> {
    let periods: Vec<_> = joined.periods(app).collect();
    let stage = Arc::new(Stage::open(app, detected, joined, applied, &periods).await?);
    app.lake.begin_staging(&app.run_id).await?;
    let (standing, changed): (Vec<_>, Vec<_>) =
        periods.into_iter().partition(|period| stage.is_published(*period, |made| &made.tables));
    // Files that stand are put in place while the others are made.
    let months = |periods: Vec<BillingPeriod>| {
        for_each(app, app.periods_at_once(), periods, |lake, run_id, period| {
            let stage = Arc::clone(&stage);
            async move { Ok((period, stage.period(&lake, &run_id, period).await?)) }
        })
    };
    let (changed, standing) = (months(changed), months(standing));
    let whole_tables = {
        let (stage, lake, run_id) = (Arc::clone(&stage), Arc::clone(&app.lake), app.run_id.clone());
        let near = AsOf { date: app.as_of, expiring_soon_days: app.settings.credits.expiring_soon_days };
        apart(async move { stage.whole_tables(&lake, &run_id, near).await })
    };
    let (changed, standing, credits) = futures::join!(changed, standing, whole_tables);
    let breaches: BTreeMap<BillingPeriod, Vec<String>> = changed?.into_iter().chain(standing?).collect();
    let breaches: Vec<String> = breaches.into_values().flatten().collect();
    let credits = credits?;
    if !breaches.is_empty() {
        let message = format!("the run does not tie out, nothing is published:\n{}", breaches.join("\n"));
        return Err(Failure::new(Kind::CheckFailed, message));
    }
    Ok((stage.made_from.clone(), credits))
}

fn staged_period(detected: &super::DetectedPeriod) -> StagedPeriod {
    StagedPeriod { billing_period: detected.period, fingerprint: detected.fingerprint.clone(), lines: detected.lines }
}

/// Everything the tables are made of.
struct Stage {
    context: SessionContext,
    detected: Detected,
    reference: Arc<ReferenceFiles>,
    register: Arc<Vec<RegisteredCredit>>,
    applied: Arc<Vec<AppliedByAws>>,
    allocated: Arc<Vec<AllocatedCredit>>,
    export: Vec<ExportTotal>,
    balances: BTreeMap<BillingPeriod, Vec<CreditBalance>>,
    /// What AWS applied of credits that wait, by period and currency.
    waiting: BTreeMap<BillingPeriod, BTreeMap<String, Money>>,
    made_from: MadeFrom,
    /// Draws and balances of the months up to this one are as they are published.
    published_until: Option<BillingPeriod>,
    /// What the published run was made from.
    published: MadeFrom,
}

impl Stage {
    async fn open(
        app: &App,
        detected: Detected,
        joined: JoinRecord,
        applied: FifoRecord,
        periods: &[BillingPeriod],
    ) -> Result<Self, Failure> {
        let (lake, run_id, handed) = (&app.lake, &app.run_id, &app.handed_over);
        let published_until = applied.published_until;
        let balances = for_each(app, app.periods_at_once(), periods.to_vec(), |lake, run_id, period| async move {
            let is_published = Some(period) <= published_until;
            let rows = if is_published {
                lake.published_rows(period).await?
            } else {
                lake.handed_over(&run_id, Some(period)).await?
            };
            Ok((period, rows))
        });
        let mut stage = Self {
            context: session(app)?,
            reference: app.places.reference_files(&app.settings).await?,
            register: handed.register.rows(lake, run_id).await?,
            applied: handed.applied.rows(lake, run_id).await?,
            allocated: handed.allocated.rows(lake, run_id).await?,
            export: lake.handed_over(run_id, None).await?,
            balances: balances.await?.into_iter().collect(),
            made_from: MadeFrom {
                cells: joined.cells,
                credits: applied.credits,
                tables: BTreeMap::new(),
                register: detected.register.clone(),
                run: joined.run,
            },
            detected,
            published_until,
            published: app.lake.made_from().await?,
            waiting: BTreeMap::new(),
        };
        stage.waiting = check::waiting_credits(&stage.register, &stage.allocated, &stage.applied)?;
        stage.made_from.tables = stage.inputs();
        Ok(stage)
    }

    /// What the tables of each period are made from.
    fn inputs(&self) -> BTreeMap<BillingPeriod, String> {
        let known: HashMap<&str, &RegisteredCredit> =
            self.register.iter().map(|credit| (credit.credit_key.as_str(), credit)).collect();
        let inputs = self.made_from.credits.iter().map(|(period, credits)| {
            let budgets: Vec<_> = self.budgets(*period).collect();
            // What AWS applied and what the export adds up to come with the lines, which `credits` stands for.
            let applied = self.applied.iter().filter(|row| row.billing_period == *period);
            let issued: Vec<_> = applied
                .filter_map(|row| known.get(row.credit_key.as_str()))
                .map(|credit| (&credit.currency, credit.issue_date.num_days_from_ce()))
                .collect();
            (*period, made_from(&(credits, budgets, issued, self.waiting.get(period))))
        });
        inputs.collect()
    }

    /// True where something is made from the same as in the published run.
    fn is_published(&self, period: BillingPeriod, of: fn(&MadeFrom) -> &BTreeMap<BillingPeriod, String>) -> bool {
        of(&self.published).get(&period) == of(&self.made_from).get(&period)
    }

    fn budgets(&self, period: BillingPeriod) -> impl Iterator<Item = &Budget> {
        self.reference.budgets.iter().filter(move |budget| budget.billing_period == period)
    }

    /// Stages one period of the partitioned tables. Says what does not tie out.
    async fn period(&self, lake: &Lake, run_id: &str, period: BillingPeriod) -> Result<Vec<String>, Failure> {
        if Some(period) > self.published_until {
            lake.stage_handed_over::<CreditConsumption>(run_id, Some(period)).await?;
            lake.stage_handed_over::<CreditBalance>(run_id, Some(period)).await?;
        } else if !lake.stage_published::<CreditConsumption>(run_id, period).await?
            || !lake.stage_published::<CreditBalance>(run_id, period).await?
        {
            return Err(removed_meanwhile());
        }
        let net_cost_stands =
            self.is_published(period, |made| &made.credits) && lake.stage_published::<NetCost>(run_id, period).await?;
        if net_cost_stands
            && self.is_published(period, |made| &made.tables)
            && lake.stage_published::<CreditImpact>(run_id, period).await?
            && lake.stage_published::<NetCostSummary>(run_id, period).await?
            && lake.stage_published::<Reconciliation>(run_id, period).await?
        {
            return Ok(Vec::new());
        }
        if !net_cost_stands {
            self.net_cost(lake, run_id, period).await?;
        }
        let balances = self.balances.get(&period).map_or(&[][..], Vec::as_slice);
        let impact = standing::impact(&self.register, &self.applied, balances, period)?;
        lake.stage(run_id, Some(period), &impact).await?;
        self.roll_up_and_tie_out(lake, run_id, period).await
    }

    async fn net_cost(&self, lake: &Lake, run_id: &str, period: BillingPeriod) -> Result<(), Failure> {
        let cells = if self.detected.has(period) {
            lake.handed_over_stream::<Cell>(run_id, period).await?
        } else {
            Box::pin(EmptyRecordBatchStream::new(Cell::TABLE.schema()))
        };
        let draws = lake.staged_stream::<CreditConsumption>(run_id, period).await?;
        lake.stage_stream::<NetCost>(run_id, period, net_cost(cells, draws)).await?;
        Ok(())
    }

    /// Rolls up what was staged, as it reads back, and checks it.
    async fn roll_up_and_tie_out(
        &self,
        lake: &Lake,
        run_id: &str,
        period: BillingPeriod,
    ) -> Result<Vec<String>, Failure> {
        let net_cost = lake.staged_frame::<NetCost>(&self.context, run_id, period).await?;
        let costs: Vec<NodeCost> = schemas::from_batches(&plan::node_costs(net_cost.clone())?.collect().await?)?;
        let budgets: Vec<_> = self.budgets(period).collect();
        let summary = roll_up::summary(&costs, &budgets)?;
        lake.stage(run_id, Some(period), &summary).await?;
        let mut breaches = check::parents(period, &summary, &costs)?;
        if costs.iter().any(|row| row.overdrawn_cells > 0) {
            let overdrawn = schemas::from_batches(&plan::overdrawn(net_cost)?.collect().await?)?;
            breaches.extend(check::bounds(period, &overdrawn));
        }
        let waiting = self.waiting.get(&period);
        let reconciliation = check::reconcile(period, &self.export, &check::period_totals(&costs)?, waiting)?;
        breaches.extend(check::tie_out(period, &reconciliation));
        lake.stage(run_id, Some(period), &reconciliation).await?;
        Ok(breaches)
    }

    /// Stages the tables that are not partitioned. Says what there is to say of credits.
    async fn whole_tables(&self, lake: &Lake, run_id: &str, near: AsOf) -> Result<CreditsPart, Failure> {
        let mut positions: HashMap<String, ToDate> = HashMap::new();
        for month in self.balances.values() {
            standing::add_month(&mut positions, month)?;
        }
        let credits = standing::credits(&self.register, &self.allocated, &positions, near)?;
        let queue = standing::queue(&self.register, &self.allocated, near.date);
        lake.stage(run_id, None, &credits).await?;
        lake.stage(run_id, None, &queue).await?;
        lake.stage_handed_over::<AllocationIssue>(run_id, None).await?;
        lake.stage_handed_over::<HierarchyRow>(run_id, None).await?;
        Ok(CreditsPart::of(&credits, &queue, &published_keys(lake, &self.context).await?))
    }
}
