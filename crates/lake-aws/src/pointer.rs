//! Which run is published: where the Glue tables point.

use async_trait::async_trait;
use lake::{LakeError, PeriodRange, Pointer};
use tokio::sync::Mutex;

use crate::glue::{Current, GlueTables, LAST, in_order};

/// All published tables point at one run, but while they are switched, or after a switch that broke off:
/// `reconciliation` comes last and says which run is published.
#[derive(Debug)]
pub(crate) struct GluePointer {
    tables: GlueTables,
    /// What was found last: only a job that holds the lake changes it.
    known: Mutex<Option<Option<String>>>,
}

impl GluePointer {
    pub(crate) fn new(tables: GlueTables) -> Self {
        Self { tables, known: Mutex::default() }
    }
}

#[async_trait]
impl Pointer for GluePointer {
    async fn published(&self) -> Result<Option<String>, LakeError> {
        let mut known = self.known.lock().await;
        if let Some(run_id) = known.as_ref() {
            return Ok(run_id.clone());
        }
        let run_id = self.tables.current(LAST).await?.and_then(|table| table.run_id);
        *known = Some(run_id.clone());
        Ok(run_id)
    }

    async fn switch(&self, run_id: &str, follows: Option<&str>, periods: PeriodRange) -> Result<(), LakeError> {
        let mut known = self.known.lock().await;
        *known = None;
        let mut standing: Vec<Option<Current>> = Vec::new();
        for table in in_order() {
            standing.push(self.tables.current(table.name).await?);
        }
        let published = standing.last().and_then(|last| last.as_ref()?.run_id.as_deref());
        if published != follows && published != Some(run_id) {
            return Err(LakeError::LostRace(format!(
                "run {run_id} was staged to follow {}, but {} is published now; start a new run",
                follows.unwrap_or("no run"),
                published.unwrap_or("no run"),
            )));
        }
        for (table, current) in in_order().zip(standing) {
            if current.as_ref().and_then(|current| current.run_id.as_deref()) != Some(run_id) {
                self.tables.point(table.name, table, run_id, periods, current).await?;
            }
        }
        *known = Some(Some(run_id.to_owned()));
        Ok(())
    }
}
