//! The shell of the check in Athena.

use lake::LakeLock;
use schemas::records::Staged;

use super::NET_COST;
use crate::app::App;
use crate::{Failure, Kind};

/// Asks Athena for the tie-out and the invariants over the staged run.
pub(crate) async fn athena_check(app: &App, _lock: &LakeLock) -> Result<(), Failure> {
    let (aws, run) = (app.locations.aws()?, app.run());
    let Staged {} = run.finished_job(NET_COST).await?;
    let months = run.staged().await?.months;
    let breaches = aws.check_staged(&app.context.settings, &app.run_id, months).await?;
    if breaches.is_empty() {
        return Ok(());
    }
    let found = breaches
        .iter()
        .flat_map(|breach| breach.problems.iter().map(move |problem| format!("{}: {problem}", breach.check)));
    Err(Failure::list(Kind::CheckFailed, "the staged run is off in Athena, nothing is published:", found))
}
