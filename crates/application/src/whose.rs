//! Allocated credits as published, and whose they are.

use std::collections::BTreeSet;

use credit_ledger::{BillingPeriod, Text};
use hashbrown::HashMap;
use join_allocations::lots::current_rows;
use schemas::tables::{AllocationLogRow, Credit, CreditBalance, HierarchyRow};
use schemas::{NodeColumns, Owners};
use write_net_cost::whose::Whose;

use crate::context::Context;
use crate::failure::Failure;
use crate::published::published;

/// Credits that somebody allocated, as published: those that end first come first.
///
/// # Errors
/// [`crate::Kind::NotYet`] before the first run.
pub async fn allocated_credits(context: &Context) -> Result<Vec<Credit>, Failure> {
    let mut credits: Vec<Credit> = published(context).await?;
    credits.retain(|credit| credit.status != "unallocated");
    credits.sort_by(|left, right| {
        let end = |credit: &Credit| (credit.end_date.is_none(), credit.end_date);
        (end(left), &left.credit_key).cmp(&(end(right), &right.credit_key))
    });
    Ok(credits)
}

/// Whose each credit is: by its published lots of which something is left, or all where nothing is; of one whose allocation
/// cannot be used by what is recorded in the log.
///
/// # Errors
/// [`Failure`] where a table cannot be read.
pub async fn whose(
    context: &Context,
    credits: &[Credit],
    log: &[AllocationLogRow],
) -> Result<HashMap<Text, Whose>, Failure> {
    let Some(as_of) = credits.first().map(|credit| credit.as_of) else { return Ok(HashMap::new()) };
    let balances: Vec<CreditBalance> = context.lake.published_rows(BillingPeriod::of(as_of)).await?;
    let hierarchy: Vec<HierarchyRow> = published(context).await?;
    let is_left = |row: &&CreditBalance| row.remaining.is_positive();
    let has_left: BTreeSet<&Text> = balances.iter().filter(is_left).map(|row| &row.credit_key).collect();
    let counts = |row: &&CreditBalance| is_left(row) || !has_left.contains(&row.credit_key);
    let lots = balances.iter().filter(counts);
    let lots = lots.filter_map(|row| Some((row.credit_key.clone(), row.node().ok()?)));
    let invalid = credits.iter().filter(|credit| credit.status == "invalid").map(|credit| &credit.credit_key);
    let invalid: BTreeSet<&Text> = invalid.collect();
    let recorded = current_rows(log).filter(|row| invalid.contains(&row.credit_key));
    let recorded = recorded.filter_map(|row| Some((row.credit_key.clone(), row.node().ok()?)));
    Ok(Whose::of_lots(lots.chain(recorded), &Owners::of(&hierarchy)))
}

#[cfg(test)]
mod tests {
    use write_net_cost::whose::in_full;

    use super::*;
    use crate::testing::{AS_OF, Shop, entered};

    fn named(whose: &HashMap<Text, Whose>, credit_key: &str) -> [Option<String>; 2] {
        let Whose { nodes, owners } = &whose[credit_key];
        [in_full(nodes), in_full(owners)].map(|names| names.map(|names| names.to_string()))
    }

    async fn asked(context: &Context) -> (Vec<String>, HashMap<Text, Whose>) {
        let credits = allocated_credits(context).await.unwrap();
        let log: Vec<AllocationLogRow> = context.lake.logs().read().await.unwrap();
        let listed = credits.iter().map(|credit| format!("{} {}", credit.credit_key, credit.status));
        (listed.collect(), whose(context, &credits, &log).await.unwrap())
    }

    /// One ended with January, one ends in February, one does not end.
    #[tokio::test(flavor = "multi_thread")]
    async fn credits_that_end_first_come_first_and_each_is_of_the_lots_with_something_left() {
        let shop = Shop::new();
        shop.night("night-1", AS_OF).await;
        shop.record(&[entered("code:Activate@222222222222", "500", "Media", None)]).await;
        let lots = ["Retail", "Media"].map(|node| entered("code:Activate@111111111111", "7", node, Some("2026-01-30")));
        shop.record(&lots).await;
        let (credits, whose) = asked(&shop.night("night-2", AS_OF).await).await;
        let expected =
            ["code:Activate@111111111111 expired", "id:42 expiring_soon", "code:Activate@222222222222 active"];
        assert_eq!(credits, expected);
        let (online, rosa) = (Some("Retail/Online".to_owned()), Some("rosa@shop.example".to_owned()));
        assert_eq!(named(&whose, "id:42"), [online, rosa.clone()]);
        assert_eq!(named(&whose, "code:Activate@222222222222"), [Some("Media".to_owned()), None]);
        // Nothing is left of either lot: all are named.
        assert_eq!(named(&whose, "code:Activate@111111111111"), [Some("Retail; Media".to_owned()), rosa]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn credit_whose_allocation_cannot_be_used_is_where_it_was_recorded() {
        let shop = Shop::new();
        let allocations = shop.read("reference/allocations.csv").replace("Retail,Online", "Gone,Stores");
        shop.write("reference/allocations.csv", &allocations);
        shop.write("reference/hierarchy.csv", &(shop.read("reference/hierarchy.csv") + "Gone,Stores,,,\n"));
        shop.night("night-1", AS_OF).await;
        let hierarchy = shop.read("reference/hierarchy.csv").replace("Gone,Stores,,,\n", "");
        shop.write("reference/hierarchy.csv", &hierarchy);
        shop.reference_changed().await;
        let (credits, whose) = asked(&shop.night("night-2", AS_OF).await).await;
        assert_eq!(credits, ["id:42 invalid"]);
        assert_eq!(named(&whose, "id:42"), [Some("Gone/Stores".to_owned()), None]);
    }
}
