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
