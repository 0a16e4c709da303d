//! A request, and all that its answer is made from.

use application::{Context, Failure, Kind};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::response::Response;
use lake::KeptRun;
use schemas::tables::Reconciliation;
use std::sync::Arc;

use crate::error::failed;
use crate::filter::Filter;
use crate::guard::session::Session;
use crate::site::{Shared, Site};

/// What a page is made from: the lake at this moment, what the address asks for, who asks.
pub(crate) struct Asked {
    pub(crate) site: Arc<Site>,
    pub(crate) context: Context,
    pub(crate) filter: Filter,
    pub(crate) session: Session,
    /// Path of the page.
    pub(crate) path: String,
    /// The published run; none before the first one.
    pub(crate) run: Option<KeptRun>,
}

impl Asked {
    /// What a request asks for.
    ///
    /// # Errors
    /// [`Kind::Usage`] for an address that says what no page understands; [`Failure`] from the lake.
    pub(crate) async fn of(parts: &Parts, site: &Arc<Site>) -> Result<Self, Failure> {
        let session = parts.extensions.get::<Session>().cloned();
        let session = session.ok_or_else(|| Failure::new(Kind::Usage, "this request has no session"))?;
        Self::open(site, session, parts.uri.path(), parts.uri.query().unwrap_or_default()).await
    }

    /// What the page at an address is made from.
    ///
    /// # Errors
    /// [`Kind::Usage`] for an address that cannot be understood, and what opening the lake says.
    pub(crate) async fn open(site: &Arc<Site>, session: Session, path: &str, query: &str) -> Result<Self, Failure> {
        let filter = Filter::parse(query)?;
        let context = site.contexts.open().await?;
        let run = match context.lake.published().await? {
            Some(id) => Some(context.lake.open_run(&id).await?),
            None => None,
        };
        Ok(Self { site: Arc::clone(site), context, filter, session, path: path.to_owned(), run })
    }

    /// The published run.
    ///
    /// # Errors
    /// [`Kind::NotYet`] before the first one.
    pub(crate) fn run(&self) -> Result<&KeptRun, Failure> {
        self.run.as_ref().ok_or_else(|| {
            let location = &self.context.settings.lake.location;
            Failure::new(Kind::NotYet, format!("nothing is published in the lake {location} yet; `run` first"))
        })
    }

    /// True where something can be recorded here.
    pub(crate) fn may_record(&self) -> bool {
        !self.site.settings.read_only
    }

    /// The tie-out of the periods that the page shows, or of all.
    pub(crate) async fn tie_out(&self) -> Result<Vec<Reconciliation>, Failure> {
        let Some(run) = &self.run else { return Ok(Vec::new()) };
        let mut rows = Vec::new();
        for period in run.periods::<Reconciliation>() {
            if self.filter.periods.is_none_or(|periods| periods.contains(period)) {
                rows.extend(run.rows::<Reconciliation>(Some(period)).await?);
            }
        }
        Ok(rows)
    }
}

impl FromRequestParts<Shared> for Asked {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Response> {
        Self::of(parts, &shared.0).await.map_err(|failure| failed(&failure))
    }
}
