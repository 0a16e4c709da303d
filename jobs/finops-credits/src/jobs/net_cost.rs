//! The shell of write-net-cost.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray};
use arrow::datatypes::Decimal128Type;
use arrow::record_batch::RecordBatch;
use chrono::NaiveDate;
use credit_ledger::{BillingPeriod, Money, MoneyError, Node};
use datafusion::prelude::{DataFrame, SessionContext};
use lake::{ReferenceFiles, StagedPeriod, StagedRun};
use schemas::tables::{
    AllocatedCredit, AllocationIssue, AppliedByAws, Cell, CreditBalance, CreditConsumption, ExportTotal, HierarchyRow,
    NetCost, NetCostSummary, RegisteredCredit,
};
use schemas::{Table, TableRow};
use write_net_cost::check::{self, Amounts, PeriodTotals};
use write_net_cost::plan;
use write_net_cost::standing::{self, AsOf, ToDate};

use super::{Detected, FIFO, JoinRecord, NET_COST, session};
use crate::run::App;
use crate::{Failure, Kind};

/// Stages all tables and checks them.
pub(crate) async fn write_net_cost(app: &App) -> Result<(), Failure> {
    let _lock = app.lake.lock()?;
    let (detected, joined) = (Detected::of(app).await?, JoinRecord::of(app).await?);
    let _done: NaiveDate = app.lake.finished_job(&app.run_id, FIFO).await?;
    let context = session(app);
    let stage = Stage::open(app, &context, detected).await?;
    app.lake.begin_staging(&app.run_id).await?;
    let mut breaches = Vec::new();
    for period in joined.periods(app) {
        breaches.extend(stage.period(period).await?);
    }
    stage.whole_tables().await?;
    if !breaches.is_empty() {
        let message = format!("the run does not tie out, nothing is published:\n{}", breaches.join("\n"));
        return Err(Failure::new(Kind::CheckFailed, message));
    }
    let staged = StagedRun {
        follows: app.lake.published().await?,
        as_of: app.as_of,
        policy: app.settings.credits.policy.clone(),
        started_at: app.now,
        periods: stage.detected.periods.iter().map(staged_period).collect(),
    };
    app.lake.finish_job(&app.run_id, NET_COST, &staged).await?;
    Ok(())
}

fn staged_period(detected: &super::DetectedPeriod) -> StagedPeriod {
    StagedPeriod { billing_period: detected.period, fingerprint: detected.fingerprint.clone(), lines: detected.lines }
}

/// Everything the tables are made of.
struct Stage<'a> {
    app: &'a App,
    context: &'a SessionContext,
    detected: Detected,
    reference: ReferenceFiles,
    register: Vec<RegisteredCredit>,
    applied: Vec<AppliedByAws>,
    allocated: Vec<AllocatedCredit>,
    export: Vec<ExportTotal>,
}

impl<'a> Stage<'a> {
    async fn open(app: &'a App, context: &'a SessionContext, detected: Detected) -> Result<Self, Failure> {
        let (lake, run_id) = (&app.lake, &app.run_id);
        Ok(Self {
            app,
            context,
            detected,
            reference: ReferenceFiles::load(&app.settings)?,
            register: lake.handed_over(context, run_id, None).await?,
            applied: lake.handed_over(context, run_id, None).await?,
            allocated: lake.handed_over(context, run_id, None).await?,
            export: lake.handed_over(context, run_id, None).await?,
        })
    }

    async fn handed_over<R: TableRow>(&self, period: BillingPeriod) -> Result<DataFrame, Failure> {
        Ok(self.app.lake.handed_over_frame::<R>(self.context, &self.app.run_id, Some(period)).await?)
    }

    /// Stages one period of the partitioned tables; what does not tie out comes back as text.
    async fn period(&self, period: BillingPeriod) -> Result<Vec<String>, Failure> {
        let (lake, run_id) = (&self.app.lake, &self.app.run_id);
        let cells = if self.detected.has(period) {
            self.handed_over::<Cell>(period).await?
        } else {
            self.context.read_batch(RecordBatch::new_empty(Cell::TABLE.schema()))?
        };
        let consumption = self.handed_over::<CreditConsumption>(period).await?;
        lake.stage_frame::<NetCost>(run_id, Some(period), plan::net_cost(cells, consumption.clone())?).await?;
        let used = used_by_credit(&plan::used_by_credit(consumption.clone())?.collect().await?)?;
        let order = CreditConsumption::TABLE;
        lake.stage_frame::<CreditConsumption>(run_id, Some(period), as_handed_over(consumption, &order)?).await?;
        let balances = self.handed_over::<CreditBalance>(period).await?;
        lake.stage_frame::<CreditBalance>(run_id, Some(period), as_handed_over(balances, &CreditBalance::TABLE)?)
            .await?;
        let impact = standing::impact(&self.register, &self.applied, &used, period);
        lake.stage(run_id, Some(period), &impact).await?;
        self.roll_up_and_tie_out(period).await
    }

    /// Rolls up what was staged, reads it back, and checks both.
    async fn roll_up_and_tie_out(&self, period: BillingPeriod) -> Result<Vec<String>, Failure> {
        let (lake, run_id) = (&self.app.lake, &self.app.run_id);
        let net_cost = lake.staged_frame::<NetCost>(self.context, run_id, period).await?;
        let budgets: Vec<_> = self.reference.budgets.iter().filter(|budget| budget.billing_period == period).collect();
        let budgets = self.context.read_batch(plan::budget_rows(&budgets)?)?;
        lake.stage_frame::<NetCostSummary>(run_id, Some(period), plan::summary(&net_cost, budgets)?).await?;

        let summary = lake.staged_frame::<NetCostSummary>(self.context, run_id, period).await?;
        let summary: Vec<NetCostSummary> = schemas::from_batches(&summary.collect().await?)?;
        let own = own_costs(&plan::own_costs(net_cost.clone())?.collect().await?)?;
        let mut breaches = check::roll_up(period, &summary, &own)?;
        let overdrawn: Vec<NetCost> = schemas::from_batches(&plan::overdrawn(net_cost.clone())?.collect().await?)?;
        breaches.extend(overdrawn.iter().map(|row| {
            format!(
                "{period}: {} {} draws {} of {}",
                row.usage_date, row.account_id, row.credits_applied, row.eligible_charges
            )
        }));

        let totals = period_totals(&plan::totals(net_cost)?.collect().await?)?;
        let waiting = check::waiting_credits(period, &self.register, &self.allocated, &self.applied)?;
        let reconciliation = check::reconcile(period, &self.export, &totals, &waiting)?;
        breaches.extend(check::tie_out(period, &reconciliation));
        lake.stage(run_id, Some(period), &reconciliation).await?;
        Ok(breaches)
    }

    /// Stages the tables that are not partitioned.
    async fn whole_tables(&self) -> Result<(), Failure> {
        let (lake, run_id, as_of) = (&self.app.lake, &self.app.run_id, self.app.as_of);
        let balances = lake.run_frame(self.context, run_id, &CreditBalance::TABLE).await?;
        let positions = positions(&plan::position_by_credit(balances)?.collect().await?)?;
        let near = AsOf { date: as_of, expiring_soon_days: self.app.settings.credits.expiring_soon_days };
        lake.stage(run_id, None, &standing::credits(&self.register, &self.allocated, &positions, near)?).await?;
        lake.stage(run_id, None, &standing::queue(&self.register, &self.allocated, as_of)).await?;
        let issues: Vec<AllocationIssue> = lake.handed_over(self.context, run_id, None).await?;
        lake.stage(run_id, None, &issues).await?;
        let hierarchy: Vec<HierarchyRow> = lake.handed_over(self.context, run_id, None).await?;
        lake.stage(run_id, None, &hierarchy).await?;
        Ok(())
    }
}

/// A table as an earlier job wrote it, in its order: a plan over several threads may deliver parts as they come.
fn as_handed_over(frame: DataFrame, table: &Table) -> Result<DataFrame, Failure> {
    let grain = table.grain.iter().filter(|name| **name != Table::PARTITION);
    let order = grain.map(|name| datafusion::logical_expr::col(*name).sort(true, true)).collect();
    Ok(frame.sort(order)?)
}

fn text(batch: &RecordBatch, name: &str, row: usize) -> Option<String> {
    let column = batch.column_by_name(name)?.as_string_opt::<i32>()?;
    column.is_valid(row).then(|| column.value(row).to_owned())
}

fn money(batch: &RecordBatch, name: &str, row: usize) -> Result<Money, MoneyError> {
    let column = batch.column_by_name(name).and_then(|column| column.as_primitive_opt::<Decimal128Type>());
    column.filter(|column| column.is_valid(row)).map_or(Ok(Money::ZERO), |column| Money::from_units(column.value(row)))
}

fn rows(batches: &[RecordBatch]) -> impl Iterator<Item = (&RecordBatch, usize)> {
    batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |row| (batch, row)))
}

fn used_by_credit(batches: &[RecordBatch]) -> Result<BTreeMap<String, Money>, MoneyError> {
    rows(batches)
        .map(|(batch, row)| Ok((text(batch, "credit_key", row).unwrap_or_default(), money(batch, "used", row)?)))
        .collect()
}

fn positions(batches: &[RecordBatch]) -> Result<BTreeMap<String, ToDate>, MoneyError> {
    rows(batches)
        .map(|(batch, row)| {
            let to_date = ToDate { used: money(batch, "used", row)?, expired: money(batch, "expired", row)? };
            Ok((text(batch, "credit_key", row).unwrap_or_default(), to_date))
        })
        .collect()
}

fn period_totals(batches: &[RecordBatch]) -> Result<BTreeMap<String, PeriodTotals>, MoneyError> {
    rows(batches)
        .map(|(batch, row)| {
            let totals = PeriodTotals {
                invoice_net: money(batch, "invoice_net", row)?,
                net_cost: money(batch, "net_cost", row)?,
                clearing: money(batch, "clearing", row)?,
            };
            Ok((text(batch, "currency", row).unwrap_or_default(), totals))
        })
        .collect()
}

fn own_costs(batches: &[RecordBatch]) -> Result<BTreeMap<(String, Vec<String>), Amounts>, MoneyError> {
    const ROLLED_UP: [&str; 7] =
        ["gross_cost", "refunds", "aws_credits", "invoice_net", "credits_applied", "net_cost", "clearing"];
    rows(batches)
        .map(|(batch, row)| {
            let path = Node::LEVELS.iter().filter_map(|level| text(batch, level, row)).collect();
            let mut amounts = Amounts::default();
            for (amount, name) in amounts.iter_mut().zip(ROLLED_UP) {
                *amount = money(batch, name, row)?;
            }
            Ok(((text(batch, "currency", row).unwrap_or_default(), path), amounts))
        })
        .collect()
}
