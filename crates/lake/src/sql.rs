//! SQL over all that a lake holds: published tables, the views over them, logs, and what was last read of the export.
//!
//! A table or view is registered when a statement names it, so that a query costs what it asks for. Views are those that
//! Athena is given (`schemas::athena::VIEWS`), in the same words; [`athena_functions`] has what they need and the engine
//! does not know.

mod athena_functions;
mod bounds;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use credit_ledger::{BillingPeriod, Node, Periods};
use datafusion::datasource::MemTable;
use datafusion::error::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::logical_expr::{cast, col, lit};
use datafusion::prelude::{DataFrame, SessionContext};
use schemas::athena::{VIEWS, View, ViewColumn};
use schemas::tables::{ALL, CostLine, CreditLine};
use schemas::{Place, Table, TableRow, money_type};

use crate::error::LakeError;
use crate::generation::Generation;
use crate::lake::Lake;

/// What is taken of a table or view.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Of these billing periods.
    pub periods: Option<Periods>,
    /// At this node and below it.
    pub node: Option<Node>,
}

fn read_only() -> SQLOptions {
    SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false)
}

impl Lake {
    /// A statement that only reads, as a plan.
    ///
    /// # Errors
    /// [`LakeError::NotYet`] where it names what is published and nothing is; [`LakeError::OfNow`] where it names what is not
    /// kept by run, and a run was asked for; [`LakeError::Engine`] where it cannot be planned.
    pub async fn query(&self, context: &SessionContext, sql: &str) -> Result<DataFrame, LakeError> {
        bounds::check_text(sql)?;
        athena_functions::register(context);
        bounds::forget_functions(context);
        let mut names = named(context, sql)?;
        if names.remove(INFORMATION_SCHEMA) {
            names = self.tables_and_views().await?.into_iter().map(str::to_owned).collect();
            names.retain(|name| self.refuse_of_now(name).is_ok());
        }
        for name in &names {
            self.register(context, name).await?;
        }
        let frame = context.sql_with_options(sql, read_only()).await?;
        bounds::check_plan(frame.logical_plan())?;
        Ok(frame)
    }

    /// The rows of a table or view that a selection takes, in order of their grain.
    ///
    /// # Errors
    /// [`LakeError::BadInput`] for a name that is none, or a selection that cannot be applied; those of
    /// [`query`](Self::query).
    pub async fn selected(
        &self,
        context: &SessionContext,
        name: &str,
        selection: &Selection,
    ) -> Result<DataFrame, LakeError> {
        self.refuse_of_now(name)?;
        let known = self.tables_and_views().await?;
        let is_published = ALL.iter().any(|table| table.name == name && table.place == Place::Published);
        if !known.contains(&name) && (is_published || view(name).is_some()) {
            self.published_run().await?;
        }
        if !known.contains(&name) {
            let message = format!("there is no table or view {name:?}; there are {}", known.join(", "));
            return Err(LakeError::BadInput(message));
        }
        let mut frame = self.query(context, &format!("SELECT * FROM {name}")).await?;
        let has = |frame: &DataFrame, column: &str| frame.schema().has_column_with_unqualified_name(column);
        if let Some(periods) = selection.periods {
            if !has(&frame, Table::PARTITION) {
                let message = format!("{name} has no billing periods to choose from; take it without a period");
                return Err(LakeError::BadInput(message));
            }
            let (first, last) = (lit(periods.first().to_string()), lit(periods.last().to_string()));
            frame = frame.filter(col(Table::PARTITION).between(first, last))?;
        }
        if let Some(node) = &selection.node {
            for (column, level) in Node::LEVELS.into_iter().zip(node.levels()) {
                if !has(&frame, column) {
                    let message = format!("{name} is not by node; take it without a node");
                    return Err(LakeError::BadInput(message));
                }
                if let Some(level) = level {
                    frame = frame.filter(col(column).eq(lit(level.as_str())))?;
                }
            }
        }
        let grain = grain(name).into_iter().filter(|column| has(&frame, column));
        let order = grain.map(|column| col(column).sort(true, true)).collect();
        Ok(frame.sort(order)?)
    }

    /// The names that a statement can use now: tables, then views.
    async fn tables_and_views(&self) -> Result<Vec<&'static str>, LakeError> {
        let published = self.published().await?.is_some();
        let has_generations = !self.generations().await?.is_empty();
        let tables = ALL.iter().filter(|table| match table.place {
            Place::Published => published,
            Place::Log => true,
            Place::Generation => has_generations,
            Place::Intermediate => false,
        });
        let views = VIEWS.iter().filter(|_| published).map(|view| view.name);
        Ok(tables.map(|table| table.name).chain(views).collect())
    }

    /// Refuses logs, and what was read of the export, where a run was asked for: they stand as they are now.
    fn refuse_of_now(&self, name: &str) -> Result<(), LakeError> {
        let of_now = ALL.iter().find(|table| table.name == name && table.place != Place::Published);
        match (of_now, self.found.asked.get()) {
            (Some(table), Some(run_id)) => Err(LakeError::OfNow { table: table.name, run_id: run_id.clone() }),
            _ => Ok(()),
        }
    }

    /// Registers a table or view and what it is made of; other names are left to the engine.
    async fn register(&self, context: &SessionContext, name: &str) -> Result<(), LakeError> {
        if context.table_exist(name)? {
            return Ok(());
        }
        if let Some(view) = view(name) {
            for below in named(context, view.query())? {
                Box::pin(self.register(context, &below)).await?;
            }
            let frame = context.sql_with_options(view.query(), read_only()).await?;
            context.register_table(name, frame.select(view.columns().iter().map(declared))?.into_view())?;
        }
        self.refuse_of_now(name)?;
        let Some(table) = ALL.iter().find(|table| table.name == name) else { return Ok(()) };
        match table.place {
            Place::Published => {
                let frame = self.published_frame(context, table).await?;
                context.register_table(name, partition_first(frame, table)?.into_view())?;
            }
            Place::Log => {
                let batches = self.logs().batches(table).await?;
                let schema = batches.first().map_or_else(|| table.schema(), RecordBatch::schema);
                context.register_table(name, Arc::new(MemTable::try_new(schema, vec![batches])?))?;
            }
            Place::Generation if name == CostLine::TABLE.name => self.register_generations::<CostLine>(context).await?,
            Place::Generation => self.register_generations::<CreditLine>(context).await?,
            Place::Intermediate => {}
        }
        Ok(())
    }

    /// The current generations of all periods as one table.
    async fn register_generations<R: TableRow>(&self, context: &SessionContext) -> Result<(), LakeError> {
        let generations: BTreeMap<BillingPeriod, Generation> = self.generations().await?;
        let mut all: Option<DataFrame> = None;
        for (period, generation) in &generations {
            let frame = self.generation_frame::<R>(context, *period, generation).await?;
            let frame = frame.with_column(Table::PARTITION, lit(period.to_string()))?;
            all = Some(match all {
                Some(all) => all.union(frame)?,
                None => frame,
            });
        }
        if let Some(all) = all {
            context.register_table(R::TABLE.name, partition_first(all, &R::TABLE)?.into_view())?;
        }
        Ok(())
    }
}

const INFORMATION_SCHEMA: &str = "information_schema";

/// The tables that a statement names; [`INFORMATION_SCHEMA`] where it asks which there are.
fn named(context: &SessionContext, sql: &str) -> Result<BTreeSet<String>, LakeError> {
    let state = context.state();
    let statement = state.sql_to_statement(sql, &state.config_options().sql_parser.dialect)?;
    let references = state.resolve_table_references(&statement)?;
    let name = |reference: &datafusion::sql::TableReference| match reference.schema() {
        Some(INFORMATION_SCHEMA) => INFORMATION_SCHEMA.to_owned(),
        _ => reference.table().to_owned(),
    };
    Ok(references.iter().map(name).collect())
}

fn view(name: &str) -> Option<&'static View> {
    VIEWS.iter().find(|view| view.name == name)
}

/// The columns that identify a row of a table or view; a view's `node` is a column of its own.
fn grain(name: &str) -> Vec<&'static str> {
    let table = ALL.iter().find(|table| table.name == name).map(|table| table.grain.to_vec());
    let of_view = || view(name).map(|view| view.grain().split(", ").collect());
    table.or_else(of_view).unwrap_or_default()
}

/// A column of a view in the type that its head comment declares: engines count in types of their own.
fn declared(column: &ViewColumn) -> datafusion::logical_expr::Expr {
    let data_type = match column.trino_type {
        "varchar" => DataType::Utf8,
        "integer" => DataType::Int32,
        "bigint" => DataType::Int64,
        "double" => DataType::Float64,
        "date" => DataType::Date32,
        "decimal(38,10)" => money_type(),
        _ => return col(column.name),
    };
    cast(col(column.name), data_type).alias(column.name)
}

/// `billing_period` before the other columns, as the contract lists them.
fn partition_first(frame: DataFrame, table: &Table) -> Result<DataFrame, DataFusionError> {
    let partition = table.partitioned.then_some(Table::PARTITION);
    let columns: Vec<&str> = partition.into_iter().chain(table.column_names()).collect();
    frame.select_columns(&columns)
}

#[cfg(test)]
mod tests;
