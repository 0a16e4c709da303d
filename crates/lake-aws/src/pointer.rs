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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use aws_sdk_glue::Client;

    use super::*;
    use crate::testing::{Glue, sdk, stand_in};

    type Catalogue = Arc<std::sync::Mutex<Glue>>;

    /// A catalogue, and what makes pointers to it: each as a process of its own has it.
    fn catalogue() -> (Catalogue, impl Fn() -> GluePointer) {
        let glue = Catalogue::default();
        let answering = Arc::clone(&glue);
        let url = stand_in(move |request| answering.lock().unwrap().answer(request));
        let client = Client::new(&sdk(&url, 1));
        let pointer = move || {
            let (client, lake) = (client.clone(), "s3://bucket/lake".to_owned());
            GluePointer::new(GlueTables { client, database: "finops".to_owned(), lake })
        };
        (glue, pointer)
    }

    fn months() -> PeriodRange {
        ("2026-01".parse().unwrap(), "2026-03".parse().unwrap())
    }

    /// The runs at which the published tables point, with how many do.
    fn runs(glue: &Catalogue) -> Vec<(String, usize)> {
        let glue = glue.lock().unwrap();
        let mut runs = std::collections::BTreeMap::new();
        for table in in_order() {
            let location = glue.location(table.name).unwrap_or_default();
            let run_id = location.split('/').nth(5).unwrap_or("none").to_owned();
            *runs.entry(run_id).or_insert(0) += 1;
        }
        runs.into_iter().collect()
    }

    fn count() -> usize {
        in_order().count()
    }

    #[tokio::test]
    async fn run_is_published_when_all_tables_point_at_it_and_each_is_moved_once() {
        let (glue, pointer) = catalogue();
        assert_eq!(pointer().published().await.unwrap(), None);
        let mut follows = None;
        for run_id in ["a", "b"] {
            let writer = pointer();
            writer.switch(run_id, follows, months()).await.unwrap();
            assert_eq!(writer.published().await.unwrap().as_deref(), Some(run_id));
            assert_eq!(pointer().published().await.unwrap().as_deref(), Some(run_id));
            assert_eq!(runs(&glue), [(run_id.to_owned(), count())]);
            follows = Some(run_id);
        }
        assert_eq!(glue.lock().unwrap().changed.len(), 2 * count());
        pointer().switch("b", Some("a"), months()).await.unwrap();
        assert_eq!(glue.lock().unwrap().changed.len(), 2 * count(), "nothing is left to do");
    }

    #[tokio::test]
    async fn switch_that_broke_off_leaves_the_run_before_published_and_is_completed_later() {
        for breaks_at in ["net_cost", "credits", LAST] {
            let (glue, pointer) = catalogue();
            pointer().switch("a", None, months()).await.unwrap();
            glue.lock().unwrap().refuses = Some(breaks_at.to_owned());
            let broken = pointer().switch("b", Some("a"), months()).await.unwrap_err();
            let expected = format!(
                "pointing table finops.{breaks_at} at run b: AccessDeniedException: not authorized (request r-1)"
            );
            assert!(matches!(&broken, LakeError::Denied(text) if *text == expected), "{broken:?}");
            assert_eq!(pointer().published().await.unwrap().as_deref(), Some("a"), "{breaks_at}");
            pointer().switch("b", Some("a"), months()).await.unwrap();
            assert_eq!(runs(&glue), [("b".to_owned(), count())]);
            assert_eq!(glue.lock().unwrap().changed.len(), 2 * count(), "no table was moved twice");
        }
    }

    #[tokio::test]
    async fn run_that_follows_another_one_than_is_published_changes_nothing() {
        let (glue, pointer) = catalogue();
        pointer().switch("a", None, months()).await.unwrap();
        for (follows, named) in [(None, "no run"), (Some("older"), "older")] {
            let lost = pointer().switch("b", follows, months()).await.unwrap_err();
            let expected = format!("run b was staged to follow {named}, but a is published now; start a new run");
            assert!(matches!(&lost, LakeError::LostRace(text) if *text == expected), "{lost:?}");
        }
        glue.lock().unwrap().tables.clear();
        let lost = pointer().switch("b", Some("a"), months()).await.unwrap_err().to_string();
        assert_eq!(lost, "run b was staged to follow a, but no run is published now; start a new run");
        assert_eq!(runs(&glue), [("none".to_owned(), count())]);
    }

    #[tokio::test]
    async fn table_of_a_newer_version_of_the_program_is_made_when_the_next_run_is_published() {
        let (glue, pointer) = catalogue();
        pointer().switch("a", None, months()).await.unwrap();
        glue.lock().unwrap().tables.remove("credit_impact");
        let reader = pointer();
        assert_eq!(reader.published().await.unwrap().as_deref(), Some("a"));
        pointer().switch("b", Some("a"), months()).await.unwrap();
        assert_eq!(runs(&glue), [("b".to_owned(), count())]);
        assert_eq!(reader.published().await.unwrap().as_deref(), Some("a"), "all of a command sees one run");
    }
}
