//! The shell of detect-credits, where another run comes in between.

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
