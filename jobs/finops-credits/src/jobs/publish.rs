//! The shell of publish.

use lake::LakeLock;
use schemas::records::Staged;

use super::NET_COST;
use crate::Failure;
use crate::app::App;

/// Makes the staged run the published one. One that is published already is completed.
pub(crate) async fn publish(app: &App, _lock: &LakeLock) -> Result<(), Failure> {
    if app.context.lake.published().await?.as_deref() != Some(app.run_id.as_str()) {
        let Staged {} = app.run().finished_job(NET_COST).await?;
    }
    Ok(app.context.lake.publish(&app.run_id, app.context.now).await?)
}

/// As [`publish`], unless published months would go that way. Says why nothing was published then.
pub(crate) async fn publish_unless_shorter(app: &App, lock: &LakeLock) -> Result<Option<String>, Failure> {
    let why = app.context.lake.why_shorter(&app.run_id).await?;
    if why.is_none() {
        publish(app, lock).await?;
    }
    Ok(why)
}
