//! The shell of detect-credits.

use application::take_inbox;
use lake::LakeLock;

use super::DETECT;
use crate::Failure;
use crate::app::App;
use crate::clusters::ended;
use crate::progress::ScanBar;

/// Reads what changed in the export, registers credits, and takes in allocations: those that a new lake begins with, and what
/// people put into the inbox.
pub(crate) async fn detect_credits(app: &App, lock: &LakeLock) -> Result<(), Failure> {
    let (context, reference, source) =
        (app.job_context()?, app.context.reference_files().await?, app.export_on_engine().await?);
    context.run.begin().await?;
    let bar = ScanBar::new(app.watched);
    let engine = source.engine.clone();
    let detecting = detect_credits::detect_credits(&context, source, &reference, bar.progress());
    let mut detected = ended(engine, lock.while_held(bar.watch(detecting))).await?;
    detected.fetched = app.locations.fetched();
    join_allocations::import_initial_allocations(&context, &reference).await?;
    detected.inbox = take_inbox(&app.context, Some(&app.run_id)).await?;
    Ok(context.run.finish_job(DETECT, &detected).await?)
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use lake::{Held, LakeError};

    use super::*;
    use crate::Kind;
    use crate::testing::{AS_OF, Shop};

    /// A lake that another run has taken over.
    struct TakenOver;

    #[async_trait]
    impl Held for TakenOver {
        async fn release(self: Box<Self>) -> Result<(), LakeError> {
            Ok(())
        }

        async fn lost(&self) -> LakeError {
            LakeError::LostRace("run night-2 has taken over the lake".to_owned())
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn run_that_has_lost_the_lake_reads_no_further() {
        let shop = Shop::new();
        let app = shop.app("night-1", AS_OF).await;
        let lost = detect_credits(&app, &LakeLock::new(Box::new(TakenOver))).await.unwrap_err();
        assert_eq!((lost.kind, lost.to_string().as_str()), (Kind::LostRace, "run night-2 has taken over the lake"));
    }
}
