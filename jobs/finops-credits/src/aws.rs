//! The way into AWS, where the program is built with it.

#[cfg(feature = "aws")]
pub(crate) use lake_aws::{Aws, Traffic};
#[cfg(not(feature = "aws"))]
pub(crate) use without::{Aws, Traffic};

use crate::Failure;

/// Finds region, credentials and endpoint; asks nothing of AWS yet.
///
/// # Errors
/// [`Kind::Usage`](crate::Kind::Usage) where the program is built without AWS.
#[cfg(feature = "aws")]
pub(crate) async fn connect() -> Result<Aws, Failure> {
    Ok(Aws::load().await)
}

/// Fails: the program is built without AWS.
#[cfg(not(feature = "aws"))]
#[expect(clippy::unused_async, reason = "with AWS it reads files")]
pub(crate) async fn connect() -> Result<Aws, Failure> {
    let message =
        "this needs S3, but the program is built without AWS; build it with `cargo build --release --features aws`";
    Err(Failure::new(crate::Kind::Usage, message))
}

/// What `lake-aws` would bring. There is no value of [`Aws`], so nothing of it is ever called.
#[cfg(not(feature = "aws"))]
mod without {
    use std::sync::Arc;

    use lake::{Lake, LakeError, PeriodRange, RepairedLog, Settings, SourceSettings};
    use object_store::ObjectStore;

    #[derive(Debug, Clone)]
    pub(crate) enum Aws {}

    /// Nothing goes over the wire.
    #[derive(Debug, Default)]
    pub(crate) struct Traffic;

    #[derive(Debug)]
    pub(crate) struct Breach {
        pub(crate) check: String,
        pub(crate) problems: Vec<String>,
    }

    #[expect(clippy::unused_async, reason = "as `lake-aws` has it")]
    impl Aws {
        pub(crate) async fn open_export(
            &self,
            _: &SourceSettings,
            _: &Arc<Traffic>,
        ) -> Result<Arc<dyn ObjectStore>, LakeError> {
            match *self {}
        }

        pub(crate) fn open_folder(&self, _: &str) -> Result<Arc<dyn ObjectStore>, LakeError> {
            match *self {}
        }

        pub(crate) async fn read_text(&self, _: &str) -> Result<String, LakeError> {
            match *self {}
        }

        pub(crate) async fn caller(&self) -> Result<String, LakeError> {
            match *self {}
        }

        pub(crate) async fn user_id(&self) -> Result<String, LakeError> {
            match *self {}
        }

        pub(crate) async fn open_lake(&self, _: &Settings, _: bool) -> Result<Lake, LakeError> {
            match *self {}
        }

        pub(crate) async fn repair_lake(&self, _: &Settings, _: bool) -> Result<Vec<RepairedLog>, LakeError> {
            match *self {}
        }

        pub(crate) async fn check_staged(
            &self,
            _: &Settings,
            _: &str,
            _: PeriodRange,
        ) -> Result<Vec<Breach>, LakeError> {
            match *self {}
        }
    }

    impl Traffic {
        #[expect(clippy::unused_self, reason = "as `lake-aws` has it")]
        pub(crate) const fn requests(&self) -> u64 {
            0
        }

        #[expect(clippy::unused_self, reason = "as `lake-aws` has it")]
        pub(crate) const fn bytes(&self) -> u64 {
            0
        }
    }
}
