//! What every question is answered from.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use chrono::{NaiveDate, NaiveDateTime};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::prelude::SessionContext;
use lake::{Lake, ReferenceFiles, RunInLake, Settings};

use crate::failure::{Failure, Kind};

/// Where the reference files are read from.
#[async_trait]
pub trait ReferenceSource: Send + Sync {
    /// The files as they are; one context asks once and again.
    ///
    /// # Errors
    /// [`Failure`] where they cannot be read.
    async fn reference_files(&self, settings: &Settings) -> Result<Arc<ReferenceFiles>, Failure>;
}

/// A lake at one moment: all that one command, or one request, is answered from. It keeps to one published run.
#[derive(Clone)]
pub struct Context {
    /// The settings.
    pub settings: Settings,
    /// The lake.
    pub lake: Arc<Lake>,
    /// As-of date.
    pub as_of: NaiveDate,
    /// Its start, UTC: the one reading of the clock.
    pub now: NaiveDateTime,
    /// The run that a reader asked for, in place of the published one and of what stands now.
    pub asked: Option<RunInLake>,
    reference: Arc<dyn ReferenceSource>,
    runtime: Arc<RuntimeEnv>,
    session: OnceLock<SessionContext>,
}

/// Memory and temporary files of plans, as the settings bound them.
///
/// # Errors
/// [`Kind::Storage`] where the system has no folder for what spills.
pub fn runtime(settings: &Settings) -> Result<Arc<RuntimeEnv>, Failure> {
    let mut runtime = RuntimeEnvBuilder::new();
    if let Some(limit) = settings.memory_limit() {
        let bytes = usize::try_from(limit.as_u64()).unwrap_or(usize::MAX);
        runtime = runtime.with_memory_pool(Arc::new(FairSpillPool::new(bytes)));
    }
    runtime.build_arc().map_err(|error| Failure::new(Kind::Storage, error.to_string()))
}

impl Context {
    /// A context of now, as of a date.
    #[must_use]
    pub const fn new(
        settings: Settings,
        lake: Arc<Lake>,
        (as_of, now): (NaiveDate, NaiveDateTime),
        reference: Arc<dyn ReferenceSource>,
        runtime: Arc<RuntimeEnv>,
    ) -> Self {
        Self { settings, lake, as_of, now, asked: None, reference, runtime, session: OnceLock::new() }
    }

    /// The reference files.
    ///
    /// # Errors
    /// [`Failure`] where they cannot be read.
    pub async fn reference_files(&self) -> Result<Arc<ReferenceFiles>, Failure> {
        self.reference.reference_files(&self.settings).await
    }

    /// The session that plans run in: the same for all of them.
    ///
    /// # Errors
    /// [`Failure`] for a lake at an address that is none.
    pub fn session(&self) -> Result<SessionContext, Failure> {
        if let Some(session) = self.session.get() {
            return Ok(session.clone());
        }
        let session = money_sql::session(self.settings.threads(), Arc::clone(&self.runtime));
        self.lake.register_with(&session)?;
        Ok(self.session.get_or_init(|| session).clone())
    }
}
