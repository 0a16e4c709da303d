//! The check of a staged run in Athena: what readers will ask with is what checks.

use std::time::Duration;

use aws_sdk_athena::Client;
use aws_sdk_athena::types::{QueryExecutionContext, QueryExecutionState, Row};
use futures::{StreamExt, TryStreamExt};
use lake::{LakeError, PeriodRange};
use schemas::athena::CHECKS;
use schemas::settings::CostColumn;

use crate::glue::{GlueTables, in_order, refused};

/// A check that found something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    /// Name of the check.
    pub check: String,
    /// What it found, the first rows of it.
    pub problems: Vec<String>,
}

/// Rows of a breach that are told.
const SHOWN: usize = 10;
/// Queries at once: work groups allow some twenty.
const AT_ONCE: usize = 5;
/// Between two looks at a query.
const POLL: Duration = Duration::from_millis(500);
/// A query that takes longer hangs.
const DEADLINE: Duration = Duration::from_secs(900);

/// Where queries run.
pub(crate) struct Checker {
    pub(crate) client: Client,
    pub(crate) tables: GlueTables,
    pub(crate) workgroup: String,
    /// The cost column that `charges` uses.
    pub(crate) cost: CostColumn,
}

impl Checker {
    /// Points `staged_…` tables at a run and asks all checks.
    pub(crate) async fn check(&self, run_id: &str, periods: PeriodRange) -> Result<Vec<Breach>, LakeError> {
        for table in in_order() {
            let name = format!("staged_{}", table.name);
            self.tables.point_anyway(&name, table, run_id, periods).await?;
        }
        let checks = CHECKS.iter().filter(|check| !check.unblended_only || self.cost == CostColumn::Unblended);
        let asked = futures::stream::iter(checks).map(|check| async move {
            let problems = self.ask(run_id, check.name, check.sql).await?;
            Ok::<_, LakeError>(Breach { check: check.name.to_owned(), problems })
        });
        let answers: Vec<Breach> = asked.buffered(AT_ONCE).try_collect().await?;
        Ok(answers.into_iter().filter(|breach| !breach.problems.is_empty()).collect())
    }

    /// The problems that a query finds.
    async fn ask(&self, run_id: &str, check: &str, sql: &str) -> Result<Vec<String>, LakeError> {
        let doing = format!("check {check} in Athena");
        let context = QueryExecutionContext::builder().database(&self.tables.database).build();
        let started = self
            .client
            .start_query_execution()
            .query_string(sql)
            .query_execution_context(context)
            .work_group(&self.workgroup)
            // A request that is sent twice is one query; a later attempt of the run asks anew.
            .client_request_token(token(run_id, check))
            .send()
            .await
            .map_err(|error| refused(&doing, error))?;
        let id = started.query_execution_id().unwrap_or_default().to_owned();
        let finished = tokio::time::timeout(DEADLINE, self.finished(&doing, &id)).await;
        finished.map_err(|_late| LakeError::Service(format!("{doing}: query {id} did not end in time")))??;
        let found = self.client.get_query_results().query_execution_id(&id).max_results(page()).send().await;
        let found = found.map_err(|error| refused(&doing, error))?;
        let rows = found.result_set().map(aws_sdk_athena::types::ResultSet::rows).unwrap_or_default();
        // The first row holds the names of the columns.
        Ok(rows.iter().skip(1).take(SHOWN).map(problem).collect())
    }

    async fn finished(&self, doing: &str, id: &str) -> Result<(), LakeError> {
        loop {
            let answer = self.client.get_query_execution().query_execution_id(id).send().await;
            let answer = answer.map_err(|error| refused(doing, error))?;
            let status = answer.query_execution().and_then(|query| query.status());
            match status.and_then(|status| status.state()) {
                Some(QueryExecutionState::Succeeded) => return Ok(()),
                Some(QueryExecutionState::Failed | QueryExecutionState::Cancelled) => {
                    let reason = status.and_then(|status| status.state_change_reason()).unwrap_or("no reason given");
                    return Err(LakeError::Service(format!("{doing}: query {id} failed: {reason}")));
                }
                _ => tokio::time::sleep(POLL).await,
            }
        }
    }
}

/// Athena wants 32 to 128 characters; each process asks anew.
fn token(run_id: &str, check: &str) -> String {
    let text = format!("{}-{check}-{run_id}", uuid::Uuid::now_v7());
    text.chars().take(128).collect()
}

fn page() -> i32 {
    i32::try_from(SHOWN + 1).unwrap_or(i32::MAX)
}

/// The row's column `problem`, the first one.
fn problem(row: &Row) -> String {
    row.data().first().and_then(|value| value.var_char_value()).unwrap_or("(no text)").to_owned()
}
