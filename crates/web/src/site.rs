//! What the page is served from.

use std::sync::Arc;

use application::{Context, CreditSnapshot, Failure, Kind, LikelyMemory, SnapshotMemory};
use async_trait::async_trait;
use axum::extract::FromRef;
use axum_extra::extract::cookie::Key;
use chrono::NaiveDateTime;
use credit_ledger::BillingPeriod;
use join_allocations::finding::Finding;
use lake::RoleGroups;
use schemas::reference::AccessList;

use schemas::tables::Reconciliation;
use tokio::sync::{Mutex, Semaphore};

use crate::guard::token::LoginToken;
use crate::identity::IdentityProvider;

/// Opens the lake for each request, so that each answers from one published run.
#[async_trait]
pub trait Contexts: Send + Sync {
    /// The lake as it is now.
    ///
    /// # Errors
    /// [`Failure`] where it cannot be opened.
    async fn open(&self) -> Result<Context, Failure>;

    /// The clock, UTC: sessions end by it.
    fn now(&self) -> NaiveDateTime;

    /// Who sees which nodes; none where nobody is limited.
    ///
    /// # Errors
    /// [`Failure`] where the list is there and cannot be read: then nobody gets in.
    async fn access_list(&self) -> Result<Option<AccessList>, Failure> {
        Ok(None)
    }

    /// True where a run can be started here.
    fn can_run(&self) -> bool {
        false
    }

    /// Starts the run that a shell would start, one at a time.
    ///
    /// # Errors
    /// [`Kind::LostRace`] while one is under way; [`Failure`] where none can be started.
    async fn start_run(&self) -> Result<(), Failure> {
        Err(Failure::new(Kind::Usage, "no run can be started here"))
    }

    /// The run that was started here last.
    fn started_run(&self) -> Option<StartedRun> {
        None
    }
}

/// A run that was started from the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartedRun {
    /// When, UTC.
    pub started_at: NaiveDateTime,
    /// The last lines that it has said, with nothing hidden in them.
    pub lines: Vec<String>,
    /// None while it is under way.
    pub ended: Option<EndedRun>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndedRun {
    /// When, UTC.
    pub at: NaiveDateTime,
    /// None where it was ended from outside.
    pub exit_code: Option<i32>,
}

/// How the page is served.
#[derive(Debug, Clone)]
pub struct SiteSettings {
    /// What a browser may call this server, with the port: `127.0.0.1:8765`. Another `Host` is refused.
    pub hosts: Vec<String>,
    /// True where it is served over TLS: then cookies are sent over TLS only.
    pub is_secure: bool,
    /// True where nothing can be recorded: then there is no form.
    pub read_only: bool,
}

/// How people get in.
pub enum Entrance {
    /// One person, by a token that is good for one use. What they record carries this name.
    Token {
        /// The token.
        token: LoginToken,
        /// The name.
        person: String,
    },
    /// The people of an organisation.
    Shared(Organisation),
}

/// People who share a page.
pub struct Organisation {
    /// Who says who somebody is.
    pub provider: Box<dyn IdentityProvider>,
    /// What their groups may do.
    pub roles: RoleGroups,
}

/// Pages that are made at once: more would take memory and make none sooner.
const PAGES_AT_ONCE: usize = 4;

/// Statements of people that are answered at once; they have half a minute each.
const STATEMENTS_AT_ONCE: usize = 2;

/// What requests before were answered from, for as long as it stands.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) snapshot: SnapshotMemory,
    pub(crate) likely: LikelyMemory,
    /// What was found beside the export.
    pub(crate) findings: Mutex<Option<(CreditSnapshot, Arc<Vec<Finding>>)>>,
    /// The tie-out of a run, by month.
    pub(crate) tie_out: Mutex<Option<(String, TieOutRows)>>,
}

/// The tie-out of each month.
pub(crate) type TieOutRows = Arc<Vec<(BillingPeriod, Reconciliation)>>;

/// Everything that a request is answered from.
pub struct Site {
    pub(crate) contexts: Arc<dyn Contexts>,
    pub(crate) settings: SiteSettings,
    pub(crate) entrance: Entrance,
    pub(crate) key: Key,
    /// What requests before were answered from.
    pub(crate) memory: Memory,
    /// How many pages are made at once, and how many statements of people are answered.
    pub(crate) pages: Semaphore,
    pub(crate) statements: Semaphore,
    /// Held while something is recorded.
    pub(crate) recording: Mutex<()>,
}

impl Site {
    /// A site with this way in. Its sessions end with the process: their key is made here.
    #[must_use]
    pub fn new(contexts: Arc<dyn Contexts>, settings: SiteSettings, entrance: Entrance) -> Self {
        Self {
            contexts,
            settings,
            entrance,
            key: Key::generate(),
            memory: Memory::default(),
            pages: Semaphore::new(PAGES_AT_ONCE),
            statements: Semaphore::new(STATEMENTS_AT_ONCE),
            recording: Mutex::default(),
        }
    }

    /// The same with sessions that other processes with this key know, too.
    ///
    /// # Errors
    /// For a key of less than 64 characters.
    pub fn with_session_key(mut self, key: &str) -> Result<Self, String> {
        let too_short =
            |_| format!("has {} characters; it needs 64 or more, as `openssl rand -hex 32` gives", key.len());
        self.key = Key::try_from(key.as_bytes()).map_err(too_short)?;
        Ok(self)
    }
}

/// Where handlers get at it.
#[derive(Clone)]
pub(crate) struct Shared(pub(crate) Arc<Site>);

impl FromRef<Shared> for Key {
    fn from_ref(shared: &Shared) -> Self {
        shared.0.key.clone()
    }
}
