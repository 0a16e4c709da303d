//! The shell of the check in Athena.

use lake::{LakeLock, StagedRun};

use super::NET_COST;
use crate::run::App;
use crate::{Failure, Kind};

/// Asks Athena for the tie-out and the invariants over the staged run.
pub(crate) async fn athena_check(app: &App, _lock: &LakeLock) -> Result<(), Failure> {
    let aws = app.places.aws()?;
    let staged: StagedRun = app.lake.finished_job(&app.run_id, NET_COST).await?;
    let breaches = aws.check_staged(&app.settings, &app.run_id, staged.months()).await?;
    if breaches.is_empty() {
        return Ok(());
    }
    let found = breaches
        .iter()
        .flat_map(|breach| breach.problems.iter().map(move |problem| format!("{}: {problem}", breach.check)));
    Err(Failure::list(Kind::CheckFailed, "the staged run is off in Athena, nothing is published:", found))
}
