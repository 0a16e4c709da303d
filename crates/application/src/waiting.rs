//! Credits that wait for allocation, and whose they may be.

use credit_ledger::{Node, Text};
use hashbrown::HashMap;
use schemas::tables::{AllocationIssue, CreditQueue, NetCost};
use schemas::{Owners, TableRow};
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
    if context.asked.is_none() {
        return waiting_now(context, &CreditSnapshot::of(context).await?).await;
    }
    of_rows(context, published(context).await?, published(context).await?).await
}

/// The credits that wait as the log stands now.
///
/// # Errors
/// [`Failure`] from the lake.
pub async fn waiting_now(context: &Context, snapshot: &CreditSnapshot) -> Result<Waiting, Failure> {
    let joined = snapshot.joined();
    of_rows(context, queue(&snapshot.register.credits, &joined.credits, context.as_of), joined.issues).await
}

async fn of_rows(
    context: &Context,
    mut rows: Vec<CreditQueue>,
    issues: Vec<AllocationIssue>,
) -> Result<Waiting, Failure> {
    rows.sort_by(|left, right| (left.first_cur_date, &left.credit_key).cmp(&(right.first_cur_date, &right.credit_key)));
    let (nodes, owners) = likely(context, &rows).await?;
    let of_row = |row: &CreditQueue| {
        let node = nodes.get(&(row.account_id.clone(), row.currency.clone())).cloned();
        let owner_email = node.as_ref().and_then(|node| owners.nearest(node)).cloned();
        LikelyOwner { node, owner_email }
    };
    Ok(Waiting { likely: rows.iter().map(of_row).collect(), rows, issues })
}

/// Where each account spends most, and whom to ask there: by the published run, if there is one.
async fn likely(context: &Context, queue: &[CreditQueue]) -> Result<(HashMap<(Text, Text), Node>, Owners), Failure> {
    if queue.is_empty() || context.lake.published().await?.is_none() {
        return Ok(<_>::default());
    }
    let owners = Owners::of(&published(context).await?);
    let mut accounts: Vec<Text> = queue.iter().map(|row| row.account_id.clone()).collect();
    accounts.sort();
    accounts.dedup();
    let net_cost = context.lake.published_frame(&context.session()?, &NetCost::TABLE).await?;
    let nodes = likely_nodes(net_cost, &accounts).await?;
    context.lake.check_published().await?;
    Ok((nodes, owners))
}
