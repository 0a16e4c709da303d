//! The published tables of one month, each reused where it is made from the same.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use arrow::array::AsArray;
use arrow::datatypes::Decimal128Type;
use arrow::record_batch::RecordBatch;
use credit_ledger::{BillingPeriod, Money, Text};
use datafusion::prelude::SessionContext;
use lake::{InputDigest, ReferenceFiles, Run, stream_of};
use schemas::TableRow;
use schemas::reference::Budget;
use schemas::tables::{
    AllocatedCredit, AppliedByAws, Cell, CreditBalance, CreditConsumption, CreditImpact, ExportTotal, LotRow, NetCost,
    NetCostSummary, NodeCost, Reconciliation, RegisteredCredit,
};
use tokio::sync::OnceCell;

use crate::error::NetCostError;
use crate::standing::applied_credits;
use crate::{check, plan, roll_up, standing};

/// What the earlier jobs say of credits.
pub(crate) struct CreditTables {
    pub(crate) register: Vec<RegisteredCredit>,
    pub(crate) allocated: Vec<AllocatedCredit>,
    pub(crate) lots: Vec<LotRow>,
    applied: Vec<AppliedByAws>,
    export: Vec<ExportTotal>,
    /// What AWS applied of credits that wait, by period and currency.
    waiting: BTreeMap<BillingPeriod, BTreeMap<Text, Money>>,
    /// By period: digests of the issue dates of the credits that AWS applied. Their amounts come in by the cells.
    issued: BTreeMap<BillingPeriod, String>,
}

impl CreditTables {
    pub(crate) async fn read(run: &Run) -> Result<Self, NetCostError> {
        let register = run.spawn_rows::<RegisteredCredit>(None);
        let (allocated, applied) = (run.spawn_rows::<AllocatedCredit>(None), run.spawn_rows::<AppliedByAws>(None));
        let (register, allocated, applied) = futures::try_join!(register, allocated, applied)?;
        let (mut waiting, mut issued) = (BTreeMap::new(), BTreeMap::new());
        for (period, credits) in applied_credits(&register, &allocated, &applied)? {
            issued.insert(period, InputDigest::named("issued").with("credits", &credits.issued)?.finish());
            let owned = credits.waiting.into_iter().map(|(currency, amount)| (currency.into(), amount));
            waiting.insert(period, owned.collect());
        }
        let (lots, export) = (run.rows(None).await?, run.rows(None).await?);
        Ok(Self { register, allocated, lots, applied, export, waiting, issued })
    }
}

/// One month of the run.
pub(crate) struct Month {
    run: Run,
    session: SessionContext,
    period: BillingPeriod,
    /// True if the export has lines of it.
    has_lines: bool,
    /// What each node itself costs, once any table wants it.
    node_costs: OnceCell<Vec<NodeCost>>,
    breaches: Mutex<Vec<String>>,
}

impl Month {
    pub(crate) fn new(run: Run, session: &SessionContext, period: BillingPeriod, has_lines: bool) -> Self {
        // Months are made side by side: each needs one partition, and so keeps the order of its cells.
        let session = money_sql::with_partitions(session, 1);
        Self { run, session, period, has_lines, node_costs: OnceCell::new(), breaches: Mutex::default() }
    }

    /// Writes all tables of the month. Returns where they break an invariant, one line each.
    pub(crate) async fn write(
        self,
        tables: &CreditTables,
        reference: &ReferenceFiles,
    ) -> Result<Vec<String>, NetCostError> {
        let net_cost = self.write_net_cost().await?;
        self.write_impact(tables).await?;
        self.write_summary(&net_cost, reference).await?;
        self.write_reconciliation(&net_cost, tables).await?;
        Ok(self.breaches.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// Writes `net_cost`: cells, left join what was drawn from them. Returns what it is made from.
    async fn write_net_cost(&self) -> Result<String, NetCostError> {
        let (run, month) = (&self.run, Some(self.period));
        let cells = if self.has_lines { Some(run.inputs_of::<Cell>(month)?) } else { None };
        let draws = run.inputs_of::<CreditConsumption>(month)?;
        let inputs = InputDigest::of_table::<NetCost>().with("cells", &cells)?.with("draws", &draws)?.finish();
        let make = async {
            let cells = match self.has_lines {
                true => run.ordered_frame::<Cell>(&self.session, month).await?,
                false => self.session.read_batch(RecordBatch::new_empty(Cell::TABLE.schema()))?,
            };
            let draws = run.frame::<CreditConsumption>(&self.session, month).await?;
            Ok::<_, NetCostError>(plan::net_cost(cells, draws)?.execute_stream().await?)
        };
        run.reuse_or_write::<NetCost, _>(month, &inputs, make).await?;
        Ok(inputs)
    }

    /// Writes `credit_impact`: what each credit did to the month, in both books.
    async fn write_impact(&self, tables: &CreditTables) -> Result<(), NetCostError> {
        let (run, month) = (&self.run, Some(self.period));
        let inputs = InputDigest::of_table::<CreditImpact>()
            .with("balances", &run.inputs_of::<CreditBalance>(month)?)?
            .with("applied by AWS", &tables.issued.get(&self.period))?;
        let make = async {
            let balances: Vec<CreditBalance> = run.rows(month).await?;
            let impact = standing::impact(&tables.register, &tables.applied, &balances, self.period)?;
            Ok::<_, NetCostError>(stream_of(&impact)?)
        };
        run.reuse_or_write::<CreditImpact, _>(month, &inputs.finish(), make).await?;
        Ok(())
    }

    /// Writes `net_cost_summary`: the costs of each node and all below it, beside its budget.
    async fn write_summary(&self, net_cost: &str, reference: &ReferenceFiles) -> Result<(), NetCostError> {
        let of_month = |budget: &&Budget| budget.billing_period == self.period;
        let budgets: Vec<&Budget> = reference.budgets.iter().filter(of_month).collect();
        let inputs =
            InputDigest::of_table::<NetCostSummary>().with("net_cost", net_cost)?.with("budgets", &budgets)?.finish();
        let make = async {
            let costs = self.node_costs().await?;
            let summary = roll_up::summary(costs, &budgets)?;
            self.note(check::parents(self.period, &summary, costs)?);
            Ok::<_, NetCostError>(stream_of(&summary)?)
        };
        self.run.reuse_or_write::<NetCostSummary, _>(Some(self.period), &inputs, make).await?;
        Ok(())
    }

    /// Writes `reconciliation`: the month's costs beside what the export itself adds up to.
    async fn write_reconciliation(&self, net_cost: &str, tables: &CreditTables) -> Result<(), NetCostError> {
        let export: Vec<&ExportTotal> =
            tables.export.iter().filter(|total| total.billing_period == self.period).collect();
        let waiting = tables.waiting.get(&self.period);
        let inputs = InputDigest::of_table::<Reconciliation>()
            .with("net_cost", net_cost)?
            .with("export", &export)?
            .with("waiting", &waiting)?
            .finish();
        let make = async {
            let totals = check::period_totals(self.node_costs().await?)?;
            let reconciliation = check::reconcile(self.period, &tables.export, &totals, waiting)?;
            self.note(check::tie_out(self.period, &reconciliation));
            Ok::<_, NetCostError>(stream_of(&reconciliation)?)
        };
        self.run.reuse_or_write::<Reconciliation, _>(Some(self.period), &inputs, make).await?;
        Ok(())
    }

    /// Sums `net_cost` by node, as it reads back, and checks the bounds of its rows.
    async fn node_costs(&self) -> Result<&[NodeCost], NetCostError> {
        let costs = self.node_costs.get_or_try_init(|| async {
            let net_cost = self.run.frame::<NetCost>(&self.session, Some(self.period)).await?;
            let costs: Vec<NodeCost> = schemas::from_batches(&plan::node_costs(net_cost.clone())?.collect().await?)?;
            self.note(check::drawn(self.period, &self.drawn().await?, &costs)?);
            if costs.iter().any(|row| row.overdrawn_cells > 0) {
                let overdrawn = schemas::from_batches(&plan::overdrawn(net_cost)?.collect().await?)?;
                self.note(check::bounds(self.period, &overdrawn));
            }
            Ok::<_, NetCostError>(costs)
        });
        Ok(costs.await?)
    }

    /// What was drawn from cells of the month in all, by currency.
    async fn drawn(&self) -> Result<BTreeMap<Text, Money>, NetCostError> {
        let draws = self.run.frame::<CreditConsumption>(&self.session, Some(self.period)).await?;
        let mut drawn = BTreeMap::new();
        for batch in plan::drawn_by_currency(draws)?.collect().await? {
            let (currencies, amounts) =
                (batch.column(0).as_string::<i32>(), batch.column(1).as_primitive::<Decimal128Type>());
            for (currency, units) in currencies.iter().zip(amounts).filter_map(|(currency, units)| currency.zip(units))
            {
                drawn.insert(currency.into(), Money::from_units(units)?);
            }
        }
        Ok(drawn)
    }

    fn note(&self, breaches: Vec<String>) {
        self.breaches.lock().unwrap_or_else(PoisonError::into_inner).extend(breaches);
    }
}
