//! The commands for people.

pub(crate) mod allocate;
pub(crate) mod allocations;
pub(crate) mod backup;
pub(crate) mod check;
pub(crate) mod credit_show;
pub(crate) mod credits;
pub(crate) mod diff;
pub(crate) mod export;
pub(crate) mod init;
pub(crate) mod lake;
mod prompts;
mod proposal;
pub(crate) mod query;
pub(crate) mod queue;
pub(crate) mod repair;
pub(crate) mod run;
pub(crate) mod shell;
mod summary;
mod who;

use std::sync::Arc;

use ::lake::{ReferenceFiles, latest_instant};
use chrono::NaiveDateTime;
use credit_ledger::BillingPeriod;
use detect_credits::credit_history;
use detect_credits::register::{Register, register};
use join_allocations::lots::{Joined, join};
use join_allocations::renamed::by_present_names;
use schemas::TableRow;
use schemas::tables::{AllocationLogRow, CreditLogRow};

use crate::app::App;
use crate::foreign_text::{LINE, visible};
use crate::stderr::to_stderr;
use crate::{Failure, Kind};

/// The credits and what is recorded about them at this moment, also what the next run has not seen yet.
pub(crate) struct CreditSnapshot {
    pub(crate) register: Register,
    /// With the names that nodes have now.
    pub(crate) log: Vec<AllocationLogRow>,
    /// What is said to be recorded later counts as wrong.
    pub(crate) latest: NaiveDateTime,
    pub(crate) reference: Arc<ReferenceFiles>,
}

impl CreditSnapshot {
    /// # Errors
    /// [`Kind::NotYet`] before the first run.
    pub(crate) async fn of(app: &App) -> Result<Self, Failure> {
        let generations = app.lake.generations().await?;
        if generations.is_empty() {
            let message =
                format!("no export has been read into the lake {} yet; `run` first", app.settings.lake.location);
            return Err(Failure::new(Kind::NotYet, message));
        }
        let last = BillingPeriod::of(app.as_of);
        let history = credit_history(&app.lake, last, &generations, app.settings.threads()).await?;
        let credits_log: Vec<CreditLogRow> = app.lake.logs().read().await?;
        let (state, log): (_, Vec<AllocationLogRow>) = app.lake.logs().read_newest().await?;
        let register = register(&history, &credits_log, &log)?;
        let reference = app.reference_files().await?;
        Ok(Self {
            register,
            log: by_present_names(&log, &reference.hierarchy).into_owned(),
            latest: latest_instant(app.now, app.as_of, state),
            reference,
        })
    }

    /// How each credit stands with the log.
    pub(crate) fn joined(&self) -> Joined {
        join(&self.register.credits, &self.log, &self.reference.hierarchy, self.latest)
    }
}

/// A published table that is not partitioned, as rows.
///
/// # Errors
/// [`Kind::NotYet`] before the first run, [`Kind::CheckFailed`] where a file is damaged.
async fn published<R: TableRow>(app: &App) -> Result<Vec<R>, Failure> {
    let frame = app.lake.published_frame(&app.session().await?, &R::TABLE).await?;
    Ok(schemas::from_batches(&query::collected(app, frame).await?)?)
}

/// A note to the person, beside the output: one line.
pub(crate) fn note(text: &str) {
    to_stderr(&(visible(text, LINE) + "\n"));
}
