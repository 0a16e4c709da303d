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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};

    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{Answer, Glue, Request, sdk, stand_in};

    /// Athena: the queries that were started, and what is found by those whose text holds a word.
    #[derive(Default)]
    struct Athena {
        glue: Glue,
        started: Vec<Value>,
        finds: BTreeMap<&'static str, Vec<&'static str>>,
        fails: Option<&'static str>,
        looks: usize,
    }

    impl Athena {
        fn answer(&mut self, request: &Request) -> Answer {
            let asked = request.json();
            let number = asked["QueryExecutionId"].as_str().and_then(|id| id.parse::<usize>().ok()).unwrap_or_default();
            let sql = self.started.get(number).map_or("", |query| query["QueryString"].as_str().unwrap_or_default());
            match request.target.trim_start_matches("AmazonAthena.") {
                "StartQueryExecution" => {
                    self.started.push(asked);
                    Answer::json(&json!({"QueryExecutionId": (self.started.len() - 1).to_string()}))
                }
                "GetQueryExecution" => {
                    self.looks += 1;
                    let state = match self.fails.is_some_and(|word| sql.contains(word)) {
                        true => json!({"State": "FAILED", "StateChangeReason": "COLUMN_NOT_FOUND: line 1:8"}),
                        // The first look finds the query under way.
                        false if self.looks == 1 => json!({"State": "RUNNING"}),
                        false => json!({"State": "SUCCEEDED"}),
                    };
                    Answer::json(&json!({"QueryExecution": {"QueryExecutionId": number.to_string(), "Status": state}}))
                }
                "GetQueryResults" => {
                    let found =
                        self.finds.iter().find(|(word, _)| sql.contains(**word)).map(|(_, rows)| rows.as_slice());
                    let texts = ["problem"].into_iter().chain(found.unwrap_or_default().iter().copied());
                    let rows: Vec<Value> = texts.map(|text| json!({"Data": [{"VarCharValue": text}]})).collect();
                    Answer::json(&json!({"ResultSet": {"Rows": rows}}))
                }
                _ => self.glue.answer(request),
            }
        }
    }

    fn checker(cost: CostColumn) -> (Arc<Mutex<Athena>>, Checker) {
        let athena = Arc::new(Mutex::new(Athena::default()));
        let answering = Arc::clone(&athena);
        let sdk = sdk(&stand_in(move |request| answering.lock().unwrap().answer(request)), 1);
        let client = aws_sdk_glue::Client::new(&sdk);
        let tables = GlueTables { client, database: "finops".to_owned(), lake: "s3://bucket/lake".to_owned() };
        (athena, Checker { client: Client::new(&sdk), tables, workgroup: "nightly".to_owned(), cost })
    }

    fn months() -> PeriodRange {
        ("2026-01".parse().unwrap(), "2026-03".parse().unwrap())
    }

    #[tokio::test]
    async fn staged_tables_are_pointed_at_the_run_and_every_check_is_asked_once() {
        for (cost, is_asked) in [(CostColumn::Unblended, true), (CostColumn::Amortized, false)] {
            let (athena, checker) = checker(cost);
            assert_eq!(checker.check("night", months()).await.unwrap(), []);
            let athena = athena.lock().unwrap();
            let staged: Vec<&str> = athena.glue.tables.keys().map(String::as_str).collect();
            assert_eq!(staged.len(), in_order().count());
            assert!(staged.iter().all(|name| name.starts_with("staged_")), "{staged:?}");
            let location = athena.glue.location("staged_net_cost").unwrap();
            assert_eq!(location, "s3://bucket/lake/runs/night/net_cost/");
            let expected = CHECKS.iter().filter(|check| is_asked || !check.unblended_only);
            let mut expected: Vec<&str> = expected.map(|check| check.sql).collect();
            let mut asked: Vec<&str> =
                athena.started.iter().map(|query| query["QueryString"].as_str().unwrap()).collect();
            expected.sort_unstable();
            asked.sort_unstable();
            assert_eq!(asked, expected);
            assert!(athena.started.iter().all(|query| query["WorkGroup"] == "nightly"));
            assert!(athena.started.iter().all(|query| query["QueryExecutionContext"]["Database"] == "finops"));
        }
    }

    #[tokio::test]
    async fn what_a_check_finds_is_told_by_its_name_with_its_first_rows() {
        let (athena, checker) = checker(CostColumn::Unblended);
        let check = CHECKS.iter().find(|check| check.sql.contains("staged_credit_balances")).unwrap();
        let word = check.sql;
        athena.lock().unwrap().finds.insert(word, vec!["one", "two"]);
        let found = checker.check("night", months()).await.unwrap();
        let problems = vec!["one".to_owned(), "two".to_owned()];
        assert_eq!(found, [Breach { check: check.name.to_owned(), problems }]);
        athena.lock().unwrap().finds.insert(word, vec!["row"; 12]);
        let found = checker.check("night", months()).await.unwrap();
        assert_eq!(found[0].problems.len(), SHOWN);
    }

    #[tokio::test]
    async fn query_that_fails_is_told_with_its_check_and_its_id() {
        let (athena, checker) = checker(CostColumn::Unblended);
        let first = &CHECKS[0];
        athena.lock().unwrap().fails = Some(first.sql);
        let failed = checker.check("night", months()).await.unwrap_err().to_string();
        let (beginning, end) =
            (format!("check {} in Athena: query ", first.name), " failed: COLUMN_NOT_FOUND: line 1:8");
        assert!(failed.starts_with(&beginning) && failed.ends_with(end), "{failed}");
    }

    #[test]
    fn token_of_a_query_is_as_long_as_athena_takes_it_and_never_the_same() {
        for run_id in ["a", &"r".repeat(500)] {
            let (one, other) = (token(run_id, "x"), token(run_id, "x"));
            assert!((32..=128).contains(&one.len()), "{one}");
            assert_ne!(one, other);
        }
        assert_eq!(problem(&Row::builder().build()), "(no text)");
    }
}
