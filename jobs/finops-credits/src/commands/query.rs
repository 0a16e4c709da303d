//! `query`: SQL over every table.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use credit_ledger::BillingPeriod;
use datafusion::datasource::MemTable;
use datafusion::error::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::logical_expr::lit;
use datafusion::prelude::{DataFrame, SessionContext};
use lake::{Generation, decoded};
use schemas::tables::{ALL, CostLine, CreditLine};
use schemas::{Place, Table, TableRow};

use crate::app::App;
use crate::failure::engine_kind;
use crate::output::{Shown, print};
use crate::{Failure, Kind};

pub(crate) async fn query(app: &App, sql: &str) -> Result<(), Failure> {
    let context = app.session().await?;
    register_tables(app, &context).await?;
    let read_only = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    let frame = context.sql_with_options(sql, read_only).await;
    let frame = match frame {
        Ok(frame) => frame,
        Err(error) => return Err(refused(app, sql, &error).await?),
    };
    let schema = Arc::new(frame.schema().as_arrow().clone());
    let mut batches = collected(app, frame).await?;
    app.lake.check_generations().await?;
    if batches.is_empty() {
        batches.push(RecordBatch::new_empty(schema));
    }
    print(app, &batches, Shown::Exact, "(no rows)")
}

/// All rows of a table that is published and not partitioned.
pub(super) async fn published_rows<R: TableRow>(app: &App) -> Result<Vec<R>, Failure> {
    let context = app.session().await?;
    let frame = app.lake.published_frame(&context, &R::TABLE).await?;
    Ok(schemas::from_batches(&collected(app, frame).await?)?)
}

/// The rows. Where they cannot be read, it is the files that are looked at first.
pub(super) async fn collected(app: &App, frame: DataFrame) -> Result<Vec<RecordBatch>, Failure> {
    let failure = match decoded(frame.collect()).await {
        Ok(Ok(batches)) => {
            app.lake.check_published().await?;
            return Ok(batches);
        }
        Ok(Err(error)) => failed(&error),
        Err(panic) => Failure::new(Kind::CheckFailed, panic),
    };
    app.lake.check_published().await?;
    app.lake.check_all().await?;
    Err(failure)
}

/// Why a statement cannot be planned: mostly a slip of the person, but before the first run the tables are not there.
async fn refused(app: &App, sql: &str, error: &DataFusionError) -> Result<Failure, Failure> {
    let lower = sql.to_lowercase();
    let asks = ALL.iter().any(|table| table.place == Place::Published && lower.contains(table.name));
    if asks && app.lake.published().await?.is_none() {
        let message =
            format!("query: nothing is published in the lake {} yet; `run` first", app.settings.lake.location);
        return Ok(Failure::new(Kind::NotYet, message));
    }
    let of_now = |table: &&Table| table.place != Place::Published && lower.contains(table.name);
    if let (Some(run), Some(table)) = (&app.asked, ALL.iter().find(of_now)) {
        let message = format!(
            "query: {} is not kept as it was in run {}; ask without --run-id and --as-of for what stands now",
            table.name, run.id
        );
        return Ok(Failure::new(Kind::Usage, message));
    }
    let text = one_line(error).replace("datafusion.public.", "");
    let hint = if text.contains("not found") && text.contains("table") { "; SHOW TABLES lists them" } else { "" };
    Ok(Failure::new(Kind::Usage, format!("query: {text}{hint}")))
}

/// Why a statement broke off: storage, a sum past 38 digits, or arithmetic of the statement's own.
fn failed(error: &DataFusionError) -> Failure {
    let text = one_line(error);
    let kind = match engine_kind(error) {
        Kind::CheckFailed if !text.contains("overflows") => Kind::Usage,
        kind => kind,
    };
    Failure::new(kind, format!("query: {text}"))
}

/// The engine lists what it knows line by line.
fn one_line(error: &DataFusionError) -> String {
    error.strip_backtrace().replace(['\n', '\t'], " ")
}

async fn register_tables(app: &App, context: &SessionContext) -> Result<(), Failure> {
    let published = app.lake.published().await?.is_some();
    for table in ALL {
        match table.place {
            Place::Published if published => {
                let frame = app.lake.published_frame(context, &table).await?;
                context.register_table(table.name, partition_first(frame, &table)?.into_view())?;
            }
            Place::Log if app.asked.is_none() => {
                let batches = app.lake.logs().batches(&table).await?;
                let schema = batches.first().map_or_else(|| table.schema(), RecordBatch::schema);
                context.register_table(table.name, Arc::new(MemTable::try_new(schema, vec![batches])?))?;
            }
            Place::Published | Place::Log | Place::Generation | Place::Intermediate => {}
        }
    }
    // A run has its tables; logs and what was read of the export stand as they are now.
    if app.asked.is_some() {
        return Ok(());
    }
    let generations = app.lake.generations().await?;
    register_generations::<CostLine>(app, context, &generations).await?;
    register_generations::<CreditLine>(app, context, &generations).await
}

/// `billing_period` before the other columns, as the contract lists them.
fn partition_first(frame: DataFrame, table: &Table) -> Result<DataFrame, Failure> {
    let partition = table.partitioned.then_some(Table::PARTITION);
    let columns: Vec<&str> = partition.into_iter().chain(table.column_names()).collect();
    Ok(frame.select_columns(&columns)?)
}

/// The current generations of all periods as one table.
async fn register_generations<R: TableRow>(
    app: &App,
    context: &SessionContext,
    generations: &BTreeMap<BillingPeriod, Generation>,
) -> Result<(), Failure> {
    let mut all: Option<DataFrame> = None;
    for (period, generation) in generations {
        let frame = app.lake.generation_frame::<R>(context, *period, generation).await?;
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
