//! Credits that wait for allocation, and whose they may be.

use std::sync::Arc;

use credit_ledger::{Node, Text};
use hashbrown::HashMap;
use schemas::tables::{AllocationIssue, CreditQueue, NetCost};
use schemas::{Owners, TableRow};
use tokio::sync::Mutex;
use write_net_cost::standing::queue;
use write_net_cost::whose::likely_nodes;

use crate::context::Context;
use crate::failure::Failure;
use crate::published::published;
use crate::snapshot::CreditSnapshot;

/// Credits that wait, the oldest first, as the log stands now; of a run that somebody asks for, as it was then.
pub struct Waiting {
    /// The credits.
    pub rows: Vec<CreditQueue>,
    /// Of each: whose it may be.
    pub likely: Vec<LikelyOwner>,
    /// What is recorded and cannot be used.
    pub issues: Vec<AllocationIssue>,
}

/// Whose a credit may be: a hint, no fact.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LikelyOwner {
    /// Where most of its account's cost lies in the published run.
    pub node: Option<Node>,
    /// Whom to ask there.
    pub owner_email: Option<Text>,
}

/// The credits that wait.
///
/// # Errors
/// [`crate::Kind::NotYet`] before the first run.
pub async fn waiting(context: &Context) -> Result<Waiting, Failure> {
    let memory = LikelyMemory::default();
    if context.asked.is_none() {
        return waiting_now(context, &CreditSnapshot::of(context).await?, &memory).await;
    }
    of_rows(context, (published(context).await?, published(context).await?), &memory).await
}

/// Where accounts spend most, by the run and the accounts that were asked for before: for a server.
#[derive(Default)]
pub struct LikelyMemory(Mutex<Option<(AskedFor, Arc<Likely>)>>);

type AskedFor = (String, Vec<Text>);
type Likely = (HashMap<(Text, Text), Node>, Owners);

/// The credits that wait as the log stands now.
///
/// # Errors
/// [`Failure`] from the lake.
pub async fn waiting_now(
    context: &Context,
    snapshot: &CreditSnapshot,
    memory: &LikelyMemory,
) -> Result<Waiting, Failure> {
    let joined = snapshot.joined();
    let rows = queue(&snapshot.register.credits, &joined.credits, context.as_of);
    of_rows(context, (rows, joined.issues), memory).await
}

async fn of_rows(
    context: &Context,
    (mut rows, issues): (Vec<CreditQueue>, Vec<AllocationIssue>),
    memory: &LikelyMemory,
) -> Result<Waiting, Failure> {
    rows.sort_by(|left, right| (left.first_cur_date, &left.credit_key).cmp(&(right.first_cur_date, &right.credit_key)));
    let likely = likely(context, &rows, memory).await?;
    let (nodes, owners) = &*likely;
    let of_row = |row: &CreditQueue| {
        let node = nodes.get(&(row.account_id.clone(), row.currency.clone())).cloned();
        let owner_email = node.as_ref().and_then(|node| owners.nearest(node)).cloned();
        LikelyOwner { node, owner_email }
    };
    Ok(Waiting { likely: rows.iter().map(of_row).collect(), rows, issues })
}

/// Where each account spends most, and whom to ask there: by the published run, if there is one.
async fn likely(context: &Context, queue: &[CreditQueue], memory: &LikelyMemory) -> Result<Arc<Likely>, Failure> {
    let Some(run) = context.lake.published().await?.filter(|_| !queue.is_empty()) else { return Ok(Arc::default()) };
    let mut accounts: Vec<Text> = queue.iter().map(|row| row.account_id.clone()).collect();
    accounts.sort();
    accounts.dedup();
    let asked_for = (run, accounts);
    let mut before = memory.0.lock().await;
    if let Some((_, likely)) = before.as_ref().filter(|(before, _)| *before == asked_for) {
        return Ok(Arc::clone(likely));
    }
    let owners = Owners::of(&published(context).await?);
    let net_cost = context.lake.published_frame(&context.session()?, &NetCost::TABLE).await?;
    let nodes = likely_nodes(net_cost, &asked_for.1).await?;
    context.lake.check_published().await?;
    let likely = Arc::new((nodes, owners));
    *before = Some((asked_for, Arc::clone(&likely)));
    Ok(likely)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Kind;
    use crate::testing::{AS_OF, Shop, entered};

    fn told(waiting: &Waiting) -> Vec<String> {
        let owner = |likely: &LikelyOwner| {
            let node = likely.node.as_ref().map_or_else(|| "?".to_owned(), ToString::to_string);
            format!("{node} {}", likely.owner_email.as_deref().unwrap_or("?"))
        };
        let rows = waiting.rows.iter().zip(&waiting.likely);
        rows.map(|(row, likely)| format!("{} {} {}", row.credit_key, row.days_waiting, owner(likely))).collect()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn credits_wait_oldest_first_with_whom_to_ask_where_their_account_spends_most() {
        let shop = Shop::new();
        let found = waiting(&shop.night("night-1", AS_OF).await).await.unwrap();
        let expected =
            ["code:Activate@111111111111 19 Retail/Online rosa@shop.example", "code:Activate@222222222222 18 Media ?"];
        assert_eq!(told(&found), expected);
        assert!(found.issues.is_empty());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn before_a_run_is_published_nothing_can_be_asked() {
        let shop = Shop::new();
        let failure = waiting(&shop.context(AS_OF).await).await.err().unwrap();
        assert_eq!(failure.kind, Kind::NotYet);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn run_that_somebody_asks_for_answers_as_it_was_then() {
        let shop = Shop::new();
        shop.night("night-1", AS_OF).await;
        shop.record(&[entered("code:Activate@111111111111", "20", "Retail", None)]).await;
        let now = waiting(&shop.context(AS_OF).await).await.unwrap();
        assert_eq!(told(&now), ["code:Activate@222222222222 18 Media ?"]);
        let mut asked = shop.context(AS_OF).await;
        let runs = asked.lake.runs_in_lake().await.unwrap();
        asked.lake.answer_from(&runs[0]).await;
        asked.asked = runs.first().cloned();
        let then = waiting(&asked).await.unwrap();
        assert_eq!(then.rows.len(), 2, "{:?}", told(&then));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn server_asks_the_tables_again_only_for_another_run_or_other_accounts() {
        let (shop, memory) = (Shop::new(), LikelyMemory::default());
        let context = shop.night("night-1", AS_OF).await;
        let rows = waiting(&context).await.unwrap().rows;
        let first = likely(&context, &rows, &memory).await.unwrap();
        let again = likely(&shop.context(AS_OF).await, &rows, &memory).await.unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        let of_one = likely(&context, &rows[..1], &memory).await.unwrap();
        assert!(!Arc::ptr_eq(&first, &of_one));
        let next = shop.night("night-2", AS_OF).await;
        assert!(!Arc::ptr_eq(&of_one, &likely(&next, &rows[..1], &memory).await.unwrap()));
        assert!(likely(&next, &[], &memory).await.unwrap().0.is_empty(), "nobody waits");
    }
}
