//! The shell of write-net-cost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use credit_ledger::{BillingPeriod, Money, Text};
use datafusion::physical_plan::EmptyRecordBatchStream;
use datafusion::prelude::SessionContext;
use lake::{Lake, LakeLock, MadeFrom, ReferenceFiles, StagedPeriod, StagedRun};
use schemas::TableRow;
use schemas::reference::Budget;
use schemas::tables::{
    Cell, Credit, CreditBalance, CreditConsumption, CreditImpact, ExportTotal, NetCost, NetCostSummary, NodeCost,
    Reconciliation,
};
use write_net_cost::net_cost::net_cost;
use write_net_cost::standing::{AsOf, endings};
use write_net_cost::{check, plan, roll_up};

use super::standings::Standings;
use super::{Detected, FifoRecord, JoinRecord, NET_COST, apart, for_each, made_from};
use crate::commands::summary::{CreditsPart, Summary};
use crate::run::App;
use crate::{Failure, Kind};

/// Stages all tables and checks them.
pub(crate) async fn write_net_cost(app: &App, _lock: &LakeLock) -> Result<Summary, Failure> {
    let (detected, joined, applied) =
        (Detected::of(app).await?, JoinRecord::of(app).await?, FifoRecord::of(app).await?);
    let Staged { made_from, credits, reconciliation } =
        if joined.is_published { take_over(app).await? } else { stage(app, detected.clone(), joined, applied).await? };
    let staged = StagedRun {
        follows: app.lake.published().await?,
        as_of: app.as_of,
        policy: app.settings.credits.policy.clone(),
        started_at: app.now,
        periods: detected.periods.iter().map(staged_period).collect(),
        made_from,
    };
    app.lake.finish_staging(&app.run_id, &staged).await?;
    let summary = Summary::of(app, &detected, &reconciliation, credits).await?;
    app.lake.write_summary(&app.run_id, &summary.digest(app)).await?;
    app.lake.finish_job(&app.run_id, NET_COST, &staged).await?;
    Ok(summary)
}

/// What was staged.
struct Staged {
    made_from: MadeFrom,
    credits: CreditsPart,
    /// Of all months.
    reconciliation: Vec<Reconciliation>,
}

fn near(app: &App) -> AsOf {
    AsOf { date: app.as_of, expiring_soon_days: app.settings.credits.expiring_soon_days }
}

/// Stages everything as it is published.
async fn take_over(app: &App) -> Result<Staged, Failure> {
    let published = app.lake.made_from().await?;
    app.lake.begin_staging(&app.run_id).await?;
    let months = published.tables.keys().copied().map(Some).chain([None]);
    let staged = for_each(app, app.periods_at_once(), months.collect::<Vec<_>>(), |lake, run_id, period| async move {
        if !lake.stage_all_published(&run_id, period).await? {
            return Err(removed_meanwhile());
        }
        Ok(if period.is_some() { lake.staged::<Reconciliation>(&run_id, period).await? } else { Vec::new() })
    });
    let reconciliation = staged.await?.concat();
    let (credits, queue) = (app.lake.staged::<Credit>(&app.run_id, None), app.lake.staged(&app.run_id, None));
    let credits = credits.await?;
    let known: Vec<Text> = credits.iter().map(|credit| credit.credit_key.clone()).collect();
    let balances: Vec<CreditBalance> = app.lake.staged(&app.run_id, Some(BillingPeriod::of(app.as_of))).await?;
    let credits = CreditsPart::of(&credits, &queue.await?, &known, &endings(&balances, near(app))?);
    Ok(Staged { made_from: published, credits, reconciliation })
}

fn removed_meanwhile() -> Failure {
    let message = "a file of the published run was removed or damaged meanwhile; start a new run";
    Failure::new(Kind::LostRace, message.to_owned())
}

/// Stages what has changed, takes over the rest, and checks the whole. Says what it is made from.
async fn stage(app: &App, detected: Detected, joined: JoinRecord, applied: FifoRecord) -> Result<Staged, Failure> {
    let periods: Vec<_> = joined.periods(app).collect();
    let standings = Arc::new(Standings::read(app).await?);
    let context = app.session().await?;
    app.lake.begin_staging(&app.run_id).await?;
    let stage = Arc::new(Stage::open(app, context, detected, joined, applied, standings).await?);
    let (standing, changed): (Vec<_>, Vec<_>) = periods.iter().partition(|period| stage.costs_stand(**period));
    // Net cost comes first, as more is made from it; files that stand are put in place meanwhile.
    let costs = |periods: Vec<BillingPeriod>| {
        for_each(app, app.periods_at_once(), periods, |lake, run_id, period| {
            let stage = Arc::clone(&stage);
            async move { Ok((period, stage.costs(&lake, &run_id, period).await?)) }
        })
    };
    let (changed, standing) = futures::join!(costs(changed), costs(standing));
    let months: BTreeMap<BillingPeriod, Costs> = changed?.into_iter().chain(standing?).collect();
    let whole_tables = {
        let (stage, lake, run_id) = (Arc::clone(&stage), Arc::clone(&app.lake), app.run_id.clone());
        let (at_once, near) = (app.periods_at_once(), near(app));
        apart(async move { stage.standings.stage_whole_tables(&lake, &run_id, periods, at_once, near).await })
    };
    let months = for_each(app, app.periods_at_once(), months, |lake, run_id, (period, costs)| {
        let stage = Arc::clone(&stage);
        async move { stage.rest(&lake, &run_id, period, costs).await }
    });
    let (months, credits) = futures::join!(months, whole_tables);
    let (reconciliation, breaches): (Vec<_>, Vec<_>) =
        months?.into_iter().map(|month| (month.reconciliation, month.breaches)).unzip();
    let (reconciliation, breaches, credits) = (reconciliation.concat(), breaches.concat(), credits?);
    if !breaches.is_empty() {
        return Err(Failure::list(Kind::CheckFailed, "the run does not tie out, nothing is published:", breaches));
    }
    Ok(Staged { made_from: stage.made_from.clone(), credits, reconciliation })
}

fn staged_period(detected: &super::DetectedPeriod) -> StagedPeriod {
    StagedPeriod {
        billing_period: detected.period,
        fingerprint: detected.fingerprint.clone(),
        lines: detected.lines,
        exclusions_not_applied: detected.notes.exclusions_not_applied.clone(),
    }
}

/// Net cost of a month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Costs {
    /// As it is published.
    Stand,
    /// Anew.
    Made,
}

/// How a month ties out.
struct TiedOut {
    reconciliation: Vec<Reconciliation>,
    /// What does not.
    breaches: Vec<String>,
}

/// Everything the tables are made of.
struct Stage {
    context: SessionContext,
    detected: Detected,
    reference: Arc<ReferenceFiles>,
    standings: Arc<Standings>,
    export: Vec<ExportTotal>,
    /// What AWS applied of credits that wait, by period and currency.
    waiting: BTreeMap<BillingPeriod, BTreeMap<Text, Money>>,
    made_from: MadeFrom,
    /// Months whose draws and balances are not as they are published.
    applied: BTreeSet<BillingPeriod>,
    /// What the published run was made from.
    published: MadeFrom,
}

impl Stage {
    async fn open(
        app: &App,
        context: SessionContext,
        detected: Detected,
        joined: JoinRecord,
        applied: FifoRecord,
        standings: Arc<Standings>,
    ) -> Result<Self, Failure> {
        let reference = app.places.reference_files(&app.settings).await?;
        let applied_credits = standings.applied_credits()?;
        let tables = applied.credits.iter().map(|(period, credits)| {
            // What AWS applied and what the export adds up to come with the lines, which `credits` stands for.
            let (budgets, of_credits): (Vec<_>, _) =
                (budgets(&reference, *period).collect(), applied_credits.get(period));
            (*period, made_from(&(credits, budgets, of_credits)))
        });
        let made_from = MadeFrom {
            tables: tables.collect(),
            cells: joined.cells,
            kept_cells: joined.kept_cells,
            credits: applied.credits,
            left: applied.left,
            register: detected.register.made_from.clone(),
            run: joined.run,
        };
        let owned = |(currency, amount): (&str, Money)| (currency.into(), amount);
        let waiting = applied_credits
            .into_iter()
            .map(|(period, credits)| (period, credits.waiting.into_iter().map(owned).collect()))
            .collect();
        Ok(Self {
            context,
            reference,
            export: app.lake.handed_over(&app.run_id, None).await?,
            made_from,
            detected,
            applied: applied.applied,
            published: app.lake.made_from().await?,
            waiting,
            standings,
        })
    }

    /// True where draws and net cost of a month are made from the same as in the published run.
    fn costs_stand(&self, period: BillingPeriod) -> bool {
        self.published.credits.get(&period) == self.made_from.credits.get(&period)
    }

    /// Stages draws, balances and net cost of one period.
    async fn costs(&self, lake: &Lake, run_id: &str, period: BillingPeriod) -> Result<Costs, Failure> {
        if self.applied.contains(&period) {
            lake.stage_handed_over::<CreditConsumption>(run_id, Some(period)).await?;
            lake.stage_handed_over::<CreditBalance>(run_id, Some(period)).await?;
        } else if !lake.stage_published::<CreditConsumption>(run_id, period).await?
            || !lake.stage_published::<CreditBalance>(run_id, period).await?
        {
            return Err(removed_meanwhile());
        }
        if self.costs_stand(period) && lake.stage_published::<NetCost>(run_id, period).await? {
            return Ok(Costs::Stand);
        }
        self.net_cost(lake, run_id, period).await?;
        Ok(Costs::Made)
    }

    /// Stages the other tables of one period, after its [`costs`](Self::costs).
    async fn rest(
        &self,
        lake: &Arc<Lake>,
        run_id: &str,
        period: BillingPeriod,
        costs: Costs,
    ) -> Result<TiedOut, Failure> {
        if costs == Costs::Stand
            && self.published.tables.get(&period) == self.made_from.tables.get(&period)
            && lake.stage_published::<CreditImpact>(run_id, period).await?
            && lake.stage_published::<NetCostSummary>(run_id, period).await?
            && lake.stage_published::<Reconciliation>(run_id, period).await?
        {
            let reconciliation = lake.staged(run_id, Some(period)).await?;
            return Ok(TiedOut { reconciliation, breaches: Vec::new() });
        }
        let impact = {
            let (standings, lake, run_id) = (Arc::clone(&self.standings), Arc::clone(lake), run_id.to_owned());
            apart(async move { standings.stage_impact(&lake, &run_id, period).await })
        };
        let tied_out = self.roll_up_and_tie_out(lake, run_id, period).await;
        impact.await?;
        tied_out
    }

    async fn net_cost(&self, lake: &Lake, run_id: &str, period: BillingPeriod) -> Result<(), Failure> {
        let cells = if self.detected.has(period) {
            lake.handed_over_stream::<Cell>(run_id, period).await?
        } else {
            Box::pin(EmptyRecordBatchStream::new(Cell::TABLE.schema()))
        };
        let draws = lake.staged_frame::<CreditConsumption>(&self.context, run_id, period).await?;
        let draws = plan::drawn_from_cells(draws)?.execute_stream().await?;
        lake.stage_stream::<NetCost>(run_id, period, net_cost(cells, draws)).await?;
        Ok(())
    }

    /// Rolls up what was staged, as it reads back, and checks it.
    async fn roll_up_and_tie_out(&self, lake: &Lake, run_id: &str, period: BillingPeriod) -> Result<TiedOut, Failure> {
        let net_cost = lake.staged_frame::<NetCost>(&self.context, run_id, period).await?;
        let costs: Vec<NodeCost> = schemas::from_batches(&plan::node_costs(net_cost.clone())?.collect().await?)?;
        let budgets: Vec<_> = budgets(&self.reference, period).collect();
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
        Ok(TiedOut { reconciliation, breaches })
    }
}

fn budgets(reference: &ReferenceFiles, period: BillingPeriod) -> impl Iterator<Item = &Budget> {
    reference.budgets.iter().filter(move |budget| budget.billing_period == period)
}
