//! `credits`: allocated credits as published.

use datafusion::error::DataFusionError;
use datafusion::logical_expr::{col, lit};
use schemas::TableRow;
use schemas::tables::{AllocationLogRow, Credit};

use super::note;
use super::query::collected;
use crate::Failure;
use crate::app::App;
use crate::output::{Shown, print};

const COLUMNS: [&str; 13] = [
    "credit_key",
    "promotion_code",
    "account_id",
    "currency",
    "status",
    "allocated_amount",
    "used",
    "expired",
    "remaining",
    "end_date",
    "days_left",
    "aws_applied",
    "reference",
];

pub(crate) async fn credits(app: &App) -> Result<(), Failure> {
    let context = app.session().await?;
    let published = app.lake.published_frame(&context, &Credit::TABLE).await?;
    let allocated = published
        .filter(col("status").not_eq(lit("unallocated")))?
        .sort(vec![col("end_date").sort(true, false), col("credit_key").sort(true, true)])?;
    let rows = collected(app, allocated).await?;
    let all: Vec<Credit> = schemas::from_batches(&rows)?;
    let columns = COLUMNS.iter().map(|name| Credit::TABLE.column_names().position(|column| column == *name));
    let columns: Vec<usize> = columns.flatten().collect();
    let shown = rows.iter().map(|rows| rows.project(&columns)).collect::<Result<Vec<_>, _>>();
    let shown = shown.map_err(DataFusionError::from)?;
    print(app, &shown, Shown::Cents, "No credit is allocated.")?;
    if app.asked.is_some() {
        return Ok(());
    }
    let newest = all.iter().filter_map(|credit| credit.recorded_at).max();
    let log: Vec<AllocationLogRow> = app.lake.logs().read().await?;
    let later = log.iter().filter(|row| row.lot == 1 && newest.is_none_or(|newest| row.recorded_at > newest)).count();
    if later > 0 {
        note(&format!("note: {later} revisions were recorded after these figures; they count from the next run"));
    }
    Ok(())
}
