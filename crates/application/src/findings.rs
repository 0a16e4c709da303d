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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{AS_OF, Shop, money};

    fn about(findings: &[Finding]) -> Vec<(Severity, About)> {
        findings.iter().map(|finding| (finding.severity, finding.kind)).collect()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn spend_that_no_rule_takes_is_found_with_its_month_and_amount() {
        let shop = Shop::new();
        let context = shop.night("night-1", AS_OF).await;
        let found = findings(&context, None).await.unwrap();
        assert_eq!(about(&found), [(Severity::Warning, About::Unassigned)], "{found:?}");
        assert_eq!((found[0].billing_period, found[0].amount), ("2026-01".parse().ok(), Some(money("2.5"))));
        assert_eq!(found[0].subject, "333333333333 AmazonS3");
        let without_spend = findings(&context, "2026-02".parse().ok()).await.unwrap();
        assert!(without_spend.is_empty(), "{without_spend:?}");
        let now = findings_now(&context, &CreditSnapshot::of(&context).await.unwrap()).await.unwrap();
        assert_eq!(now, found);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn reference_files_that_cannot_be_read_are_all_that_is_said_and_no_failure() {
        let shop = Shop::new();
        let context = shop.night("night-1", AS_OF).await;
        shop.write("reference/cost_rules.csv", &shop.read("reference/cost_rules.csv").replace("Media,", "Press,"));
        shop.write("reference/budgets.csv", "billing_period,business_unit,currency,amount\n2026-13,Retail,USD,5\n");
        shop.reference_changed().await;
        let found = findings(&context, None).await.unwrap();
        assert_eq!(about(&found), [(Severity::Error, About::ReferenceFile); 2], "{found:?}");
        assert!(found[0].message.starts_with("cost_rules.csv, row 3"), "{}", found[0].message);
        assert!(found[1].message.starts_with("budgets.csv, row 2, column billing_period: "), "{}", found[1].message);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn before_the_first_run_the_reference_files_alone_are_looked_at() {
        let shop = Shop::new();
        let found = findings(&shop.context(AS_OF).await, None).await.unwrap();
        assert!(found.iter().all(|finding| finding.kind != About::Unassigned), "{found:?}");
        shop.write("reference/hierarchy.csv", "business_unit\n");
        shop.reference_changed().await;
        let found = findings(&shop.context(AS_OF).await, None).await.unwrap();
        assert!(found.iter().all(|finding| finding.severity == Severity::Error) && !found.is_empty(), "{found:?}");
    }
}
