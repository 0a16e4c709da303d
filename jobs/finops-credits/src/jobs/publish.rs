//! The shell of publish.

use credit_ledger::BillingPeriod;
use lake::{LakeLock, RunExtent, StagedRun};

use super::NET_COST;
use crate::Failure;
use crate::run::App;

/// Periods that a message lists.
const LISTED: usize = 12;

/// Makes the staged run the current one. A run that is current already is left as it is.
pub(crate) async fn publish(app: &App, _lock: &LakeLock) -> Result<(), Failure> {
    let staged: Result<StagedRun, _> = app.lake.finished_job(&app.run_id, NET_COST).await;
    match staged {
        Ok(staged) => Ok(app.lake.publish(&app.run_id, &staged, app.now).await?),
        Err(_) if app.lake.published().await?.as_deref() == Some(app.run_id.as_str()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// As [`publish`], unless published months would go that way. Says why nothing was published then.
pub(crate) async fn publish_unless_shorter(app: &App, lock: &LakeLock) -> Result<Option<String>, Failure> {
    let staged: StagedRun = app.lake.finished_job(&app.run_id, NET_COST).await?;
    let Some(published) = app.lake.published().await? else { return publish(app, lock).await.map(|()| None) };
    let why = match app.lake.published_extent(&published).await? {
        None => Some(format!("the date and the periods of the published run {published} are not known")),
        Some(extent) => taken_away(&staged.extent(), &published, &extent),
    };
    if why.is_none() {
        publish(app, lock).await?;
    }
    Ok(why)
}

/// What of the published run would no longer be published.
fn taken_away(staged: &RunExtent, published: &str, of: &RunExtent) -> Option<String> {
    if staged.as_of < of.as_of {
        return Some(format!(
            "as of {} is before {}, the date of the published run {published}",
            staged.as_of, of.as_of
        ));
    }
    let missing: Vec<&BillingPeriod> = of.periods.difference(&staged.periods).collect();
    if missing.is_empty() {
        return None;
    }
    if staged.periods.is_empty() {
        return Some(format!("there are no lines, but the published run {published} has some"));
    }
    let mut listed: Vec<String> = missing.iter().take(LISTED).map(ToString::to_string).collect();
    if missing.len() > LISTED {
        listed.push(format!("and {} more", missing.len() - LISTED));
    }
    Some(format!("periods of the published run {published} are missing: {}", listed.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(as_of: &str, periods: &[&str]) -> RunExtent {
        let periods = periods.iter().map(|period| period.parse().unwrap()).collect();
        RunExtent { as_of: as_of.parse().unwrap(), periods }
    }

    #[test]
    fn run_is_held_back_only_where_published_months_would_go() {
        let published = extent("2026-03-31", &["2026-01", "2026-02"]);
        let why =
            |as_of: &str, periods: &[&str]| taken_away(&extent(as_of, periods), "r", &published).unwrap_or_default();
        assert_eq!(why("2026-03-31", &["2026-01", "2026-02"]), "");
        assert_eq!(why("2026-04-01", &["2026-01", "2026-02", "2026-03"]), "");
        let earlier = "as of 2026-03-30 is before 2026-03-31, the date of the published run r";
        assert_eq!(why("2026-03-30", &["2026-01", "2026-02"]), earlier);
        let missing = "periods of the published run r are missing: 2026-01";
        assert_eq!(why("2026-03-31", &["2026-02", "2026-03"]), missing, "another period does not make up for it");
        assert_eq!(why("2026-03-31", &[]), "there are no lines, but the published run r has some");
        assert_eq!(taken_away(&extent("2026-03-31", &[]), "r", &extent("2026-03-31", &[])), None);
        let years: Vec<String> = (2006..2020).map(|year| format!("{year}-01")).collect();
        let many = extent("2026-03-31", &years.iter().map(String::as_str).collect::<Vec<_>>());
        let why = taken_away(&extent("2026-03-31", &["2006-01"]), "r", &many).unwrap();
        assert!(why.ends_with("2017-01, 2018-01, and 1 more"), "{why}");
    }
}
