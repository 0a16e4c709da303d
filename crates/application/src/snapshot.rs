//! The credits and what is recorded about them at this moment.

use std::sync::Arc;

use chrono::NaiveDateTime;
use credit_ledger::BillingPeriod;
use detect_credits::credit_history;
use detect_credits::register::{Register, register};
use join_allocations::lots::{Joined, join};
use join_allocations::record::Recording;
use join_allocations::renamed::by_present_names;
use lake::{ReferenceFiles, latest_instant};
use schemas::tables::{AllocationLogRow, CreditLogRow};

use crate::context::Context;
use crate::failure::{Failure, Kind};

/// The credits and what is recorded about them at this moment, also what the next run has not seen yet.
pub struct CreditSnapshot {
    /// Every registered credit.
    pub register: Register,
    /// The allocations log, with the names that nodes have now.
    pub log: Vec<AllocationLogRow>,
    /// What is said to be recorded later counts as wrong.
    pub latest: NaiveDateTime,
    /// Hierarchy, rules and budgets.
    pub reference: Arc<ReferenceFiles>,
}

impl CreditSnapshot {
    /// Reads them.
    ///
    /// # Errors
    /// [`Kind::NotYet`] before the first run.
    pub async fn of(context: &Context) -> Result<Self, Failure> {
        let generations = context.lake.generations().await?;
        if generations.is_empty() {
            let location = &context.settings.lake.location;
            let message = format!("no export has been read into the lake {location} yet; `run` first");
            return Err(Failure::new(Kind::NotYet, message));
        }
        let last = BillingPeriod::of(context.as_of);
        let history = credit_history(&context.lake, last, &generations, context.settings.threads()).await?;
        let credits_log: Vec<CreditLogRow> = context.lake.logs().read().await?;
        let (state, log): (_, Vec<AllocationLogRow>) = context.lake.logs().read_newest().await?;
        let register = register(&history, &credits_log, &log)?;
        let reference = context.reference_files().await?;
        Ok(Self {
            register,
            log: by_present_names(&log, &reference.hierarchy).into_owned(),
            latest: latest_instant(context.now, context.as_of, state),
            reference,
        })
    }

    /// How each credit stands with the log.
    #[must_use]
    pub fn joined(&self) -> Joined {
        join(&self.register.credits, &self.log, &self.reference.hierarchy, self.latest)
    }

    /// Who records something, at the instant that somebody states or now. `caller` is whom AWS names, `by` what somebody says.
    #[must_use]
    pub fn recording(
        &self,
        context: &Context,
        (caller, by): (Option<&str>, Option<&str>),
        at: Option<NaiveDateTime>,
    ) -> Recording {
        Recording {
            caller: caller.map(Into::into),
            recorded_by: by.map(Into::into),
            recorded_at: at.unwrap_or(context.now),
            is_stated: at.is_some(),
            now: self.latest,
        }
    }
}
