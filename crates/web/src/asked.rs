//! A request, and all that its answer is made from.

use std::collections::BTreeSet;
use std::sync::Arc;

use application::foreign_text::{CELL, visible};
use application::{Context, CreditSnapshot, Failure, Kind, Waiting, waiting_now};
use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use credit_ledger::{Node, NodeError, Periods, Text};
use join_allocations::lots::current_rows;
use lake::KeptRun;
use schemas::NodeColumns;
use schemas::reference::Action;
use schemas::tables::{Credit, HierarchyRow, NetCostSummary, Reconciliation};
use tokio::sync::OnceCell;

use crate::error::{failed, refusal};
use crate::filter::Filter;
use crate::guard::access::Access;
use crate::guard::session::Session;
use crate::page::OF_NO_NODE;
use crate::site::{Shared, Site, TieOutRows};

/// What a page is made from: the lake at this moment, what the address asks for, who asks.
pub(crate) struct Asked {
    pub(crate) site: Arc<Site>,
    pub(crate) context: Context,
    pub(crate) filter: Filter,
    pub(crate) session: Session,
    pub(crate) access: Access,
    /// The highest nodes that they see, where they are limited to nodes.
    pub(crate) own_nodes: Vec<Node>,
    /// Path of the page.
    pub(crate) path: String,
    /// True where a page of another site led here.
    pub(crate) is_led_here: bool,
    /// The published run; none before the first one.
    pub(crate) run: Option<KeptRun>,
    snapshot: OnceCell<CreditSnapshot>,
    waiting: OnceCell<Waiting>,
}

/// Why a request is not answered.
pub(crate) enum NotAnswered {
    Failed(Failure),
    /// It asks for what others see.
    NotTheirs,
}

impl From<Failure> for NotAnswered {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl IntoResponse for NotAnswered {
    fn into_response(self) -> Response {
        match self {
            Self::Failed(failure) => failed(&failure),
            Self::NotTheirs => not_theirs(),
        }
    }
}

/// Whether it is there or not: that is not told either.
pub(crate) fn not_theirs() -> Response {
    let why =
        "This is of nodes that you do not see here. What you see, access.csv says; ask whoever looks after this page.";
    refusal(StatusCode::FORBIDDEN, why).into_response()
}

impl Asked {
    /// What a request asks for.
    ///
    /// # Errors
    /// [`Kind::Usage`] for an address that says what no page understands; [`Failure`] from the lake.
    pub(crate) async fn of(parts: &Parts, site: &Arc<Site>) -> Result<Self, NotAnswered> {
        let known = parts.extensions.get::<Session>().cloned().zip(parts.extensions.get::<Access>().cloned());
        let known = known.ok_or_else(|| Failure::new(Kind::Usage, "this request has no session"))?;
        let mut asked = Self::open(site, known, parts.uri.path(), parts.uri.query().unwrap_or_default()).await?;
        asked.is_led_here = parts.headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site");
        Ok(asked)
    }

    /// What the page at an address is made from.
    ///
    /// # Errors
    /// [`Kind::Usage`] for an address that cannot be understood, and what opening the lake says.
    pub(crate) async fn open(
        site: &Arc<Site>,
        (session, access): (Session, Access),
        path: &str,
        query: &str,
    ) -> Result<Self, NotAnswered> {
        // Before anything of it is worked out: also what goes wrong with a statement can hold what others have.
        if access.is_limited() && OF_NO_NODE.contains(&path) {
            return Err(NotAnswered::NotTheirs);
        }
        let mut filter = Filter::parse(query)?;
        let context = site.contexts.open().await?;
        let run = match context.lake.published().await.map_err(Failure::from)? {
            Some(id) => Some(context.lake.open_run(&id).await.map_err(Failure::from)?),
            None if access.is_limited() => return Err(not_yet(&context).into()),
            None => None,
        };
        let own_nodes = match &run {
            Some(run) if access.is_limited() => access.highest(nodes_of(run).await?),
            _ => Vec::new(),
        };
        if access.is_limited() {
            // One of their nodes at a time: so every figure is of that node and of nothing else.
            filter = match (&filter.node, own_nodes.first()) {
                (Some(node), _) if access.sees(node) => filter,
                (None, Some(first)) => filter.at(first.clone()),
                _ => return Err(NotAnswered::NotTheirs),
            };
        }
        let (site, path) = (Arc::clone(site), path.to_owned());
        let (snapshot, waiting) = (OnceCell::new(), OnceCell::new());
        let asked = Self {
            site,
            context,
            filter,
            session,
            access,
            own_nodes,
            path,
            is_led_here: false,
            run,
            snapshot,
            waiting,
        };
        asked.refuse_unknown().await?;
        Ok(asked)
    }

    /// A filter by something that the published run does not have would show nothing, as if there were nothing.
    async fn refuse_unknown(&self) -> Result<(), Failure> {
        let Some(run) = &self.run else { return Ok(()) };
        let wrong = |message: String| Err(Failure::new(Kind::BadInput, message + ", so nothing is shown"));
        let (first, last) = run.staged().months;
        if let Some(periods) = self.filter.periods.filter(|periods| periods.last() < first || periods.first() > last) {
            return wrong(format!(
                "period: the published run has {first} to {last}, and nothing of {}",
                stated(periods)
            ));
        }
        let statuses = ["active", "expiring_soon", "exhausted", "expired", "invalid"];
        if let Some(status) = self.filter.status.as_deref().filter(|status| !statuses.contains(status)) {
            return wrong(format!("status: {} is none; there are {}", visible(status, CELL), statuses.join(", ")));
        }
        if let Some(currency) = &self.filter.currency {
            let known = self.currencies(run).await?;
            if !known.contains(currency.as_str()) {
                let known = known.iter().map(Text::as_str).collect::<Vec<_>>().join(", ");
                return wrong(format!(
                    "currency: the published run has no {}; it has {known}",
                    visible(currency, CELL)
                ));
            }
        }
        match &self.filter.node {
            Some(node) if !has_node(run, node).await? => wrong(format!("node: {node} is not in the published run")),
            _ => Ok(()),
        }
    }

    async fn currencies(&self, run: &KeptRun) -> Result<BTreeSet<Text>, Failure> {
        let credits: Vec<Credit> = run.rows(None).await?;
        let mut known: BTreeSet<Text> = credits.into_iter().map(|credit| credit.currency).collect();
        known.extend(self.tie_out_of(run).await?.iter().map(|(_, row)| row.currency.clone()));
        Ok(known)
    }

    /// The published run.
    ///
    /// # Errors
    /// [`Kind::NotYet`] before the first one.
    pub(crate) fn run(&self) -> Result<&KeptRun, Failure> {
        self.run.as_ref().ok_or_else(|| not_yet(&self.context))
    }

    /// The credits and what is recorded about them, read once for the request.
    ///
    /// # Errors
    /// Those of [`CreditSnapshot::of`].
    pub(crate) async fn snapshot(&self) -> Result<&CreditSnapshot, Failure> {
        self.snapshot.get_or_try_init(|| self.site.memory.snapshot.snapshot(&self.context)).await
    }

    /// The credits that wait, found once for the request.
    ///
    /// # Errors
    /// Those of [`waiting_now`].
    pub(crate) async fn waiting(&self) -> Result<&Waiting, Failure> {
        let snapshot = self.snapshot().await?;
        let likely = &self.site.memory.likely;
        self.waiting.get_or_try_init(|| waiting_now(&self.context, snapshot, likely)).await
    }

    /// True where they can record something here.
    pub(crate) fn may_record(&self) -> bool {
        !self.site.settings.read_only && self.access.may_allocate()
    }

    /// True for a credit that is theirs to see: every lot that counts lies at nodes that they see; or it waits, and its account spends
    /// most there.
    pub(crate) async fn sees_credit(&self, credit_key: &str) -> Result<bool, Failure> {
        if !self.access.is_limited() {
            return Ok(true);
        }
        let current = current_rows(&self.snapshot().await?.log).filter(|row| row.credit_key == credit_key);
        let lots: Vec<_> = current.filter(|row| row.action == Action::Allocate.name()).map(NodeColumns::node).collect();
        if !lots.is_empty() {
            return Ok(lots.iter().all(|node| node.as_ref().is_ok_and(|node| self.access.sees(node))));
        }
        let waiting = self.waiting().await?;
        let mut waiting = waiting.rows.iter().zip(&waiting.likely);
        let likely = waiting.find(|(row, _)| row.credit_key == credit_key).and_then(|(_, likely)| likely.node.as_ref());
        Ok(likely.is_some_and(|node| self.access.sees(node)))
    }

    /// The tie-out of the periods that the page shows, or of all.
    pub(crate) async fn tie_out(&self) -> Result<Vec<Reconciliation>, Failure> {
        let Some(run) = &self.run else { return Ok(Vec::new()) };
        let is_shown = |period| self.filter.periods.is_none_or(|periods| periods.contains(period));
        let rows = self.tie_out_of(run).await?;
        Ok(rows.iter().filter(|(period, _)| is_shown(*period)).map(|(_, row)| row.clone()).collect())
    }

    /// The tie-out of all months: a run's never changes.
    async fn tie_out_of(&self, run: &KeptRun) -> Result<TieOutRows, Failure> {
        let mut before = self.site.memory.tie_out.lock().await;
        if let Some((_, rows)) = before.as_ref().filter(|(id, _)| id == run.id()) {
            return Ok(Arc::clone(rows));
        }
        let mut rows = Vec::new();
        for period in run.periods::<Reconciliation>() {
            rows.extend(run.rows(Some(period)).await?.into_iter().map(|row| (period, row)));
        }
        let rows = Arc::new(rows);
        *before = Some((run.id().to_owned(), Arc::clone(&rows)));
        Ok(rows)
    }
}

fn not_yet(context: &Context) -> Failure {
    let location = &context.settings.lake.location;
    Failure::new(Kind::NotYet, format!("nothing is published in the lake {location} yet; `run` first"))
}

fn stated(periods: Periods) -> String {
    let (first, last) = (periods.first(), periods.last());
    if first == last { first.to_string() } else { format!("{first} to {last}") }
}

/// The nodes of the run's hierarchy, ancestors included.
async fn nodes_of(run: &KeptRun) -> Result<Vec<Node>, Failure> {
    let hierarchy: Vec<HierarchyRow> = run.rows(None).await?;
    let nodes = hierarchy.iter().filter_map(|row| row.node().ok()).flat_map(|node| node.lineage().collect::<Vec<_>>());
    Ok(nodes.chain([Node::unassigned()]).collect())
}

/// True for a node of the run's hierarchy, and for one that had cost before it left it.
async fn has_node(run: &KeptRun, node: &Node) -> Result<bool, Failure> {
    let hierarchy: Vec<HierarchyRow> = run.rows(None).await?;
    let is_it = |of: Result<Node, NodeError>| of.is_ok_and(|of| of == *node);
    if *node == Node::unassigned() || hierarchy.iter().any(|row| is_it(row.node())) {
        return Ok(true);
    }
    for period in run.periods::<NetCostSummary>() {
        if run.rows::<NetCostSummary>(Some(period)).await?.iter().any(|row| is_it(row.node())) {
            return Ok(true);
        }
    }
    Ok(false)
}

impl FromRequestParts<Shared> for Asked {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Response> {
        Self::of(parts, &shared.0).await.map_err(IntoResponse::into_response)
    }
}
