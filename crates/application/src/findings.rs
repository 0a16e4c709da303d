//! What should be looked at in the reference files.

use credit_ledger::BillingPeriod;
use join_allocations::check::check_lake;
use join_allocations::finding::{Finding, Kind as About, Severity};
use join_allocations::lots::Joined;
use lake::ReferenceFiles;

use crate::context::Context;
use crate::failure::{Failure, Kind};
use crate::snapshot::CreditSnapshot;

/// What is wrong with the reference files alone, else what is found beside the export; Unassigned spend of the period, or of the
/// latest one.
///
/// # Errors
/// [`Failure`] from the lake, and where the reference files cannot be reached.
pub async fn findings(context: &Context, period: Option<BillingPeriod>) -> Result<Vec<Finding>, Failure> {
    let reference = match context.reference_files().await {
        Err(failure) if failure.kind == Kind::BadInput => {
            let wrong = |line| Finding::new(Severity::Error, About::ReferenceFile, "", line);
            return Ok(failure.into_lines().into_iter().map(wrong).collect());
        }
        read => read?,
    };
    let joined = match context.lake.generations().await?.is_empty() {
        true => Joined::default(),
        false => CreditSnapshot::of(context).await?.joined(),
    };
    checked(context, &reference, &joined, period).await
}

/// What is found beside the export, of the latest period, with the credits of a snapshot.
///
/// # Errors
/// [`Failure`] from the lake.
pub async fn findings_now(context: &Context, snapshot: &CreditSnapshot) -> Result<Vec<Finding>, Failure> {
    checked(context, &snapshot.reference, &snapshot.joined(), None).await
}

async fn checked(
    context: &Context,
    reference: &ReferenceFiles,
    joined: &Joined,
    period: Option<BillingPeriod>,
) -> Result<Vec<Finding>, Failure> {
    Ok(check_lake(&context.lake, reference, joined, period, BillingPeriod::of(context.as_of)).await?)
}
