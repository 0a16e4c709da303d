//! A session: an encrypted, signed cookie that nobody but this server can make or read.

use std::convert::Infallible;

use axum::extract::OptionalFromRequestParts;
use axum::http::request::Parts;
use axum_extra::extract::PrivateCookieJar;
use axum_extra::extract::cookie::{Cookie, Key, SameSite};
use chrono::{NaiveDateTime, TimeDelta};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::token::random_text;
use crate::site::{Shared, Site};

/// How long a session lasts.
const LASTS: TimeDelta = TimeDelta::hours(8);

/// Who is asking.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Session {
    /// What they record carries this name.
    pub(crate) person: String,
    /// Their groups, of those that mean something here.
    #[serde(default)]
    pub(crate) groups: Vec<String>,
    /// What every form of the session carries: a page of another site cannot know it.
    pub(crate) form_token: String,
    ends_at: NaiveDateTime,
}

impl Session {
    pub(crate) fn begin(site: &Site, person: String, groups: Vec<String>) -> Result<Self, getrandom::Error> {
        let ends_at = site.contexts.now() + LASTS;
        Ok(Self { person, groups, form_token: random_text()?, ends_at })
    }

    /// True for the token of the session's own forms.
    pub(crate) fn owns(&self, form_token: &str) -> bool {
        self.form_token.as_bytes().ct_eq(form_token.as_bytes()).into()
    }

    /// The cookie that carries it.
    pub(crate) fn cookie(&self, site: &Site) -> Cookie<'static> {
        let text = serde_json::to_string(self).unwrap_or_default();
        Cookie::build((cookie_name(site), text))
            .path("/")
            .http_only(true)
            .secure(site.settings.is_secure)
            .same_site(SameSite::Lax)
            .build()
    }

    /// The session of a cookie that this server made and that has not ended.
    fn of(parts: &Parts, site: &Site) -> Option<Self> {
        let jar: PrivateCookieJar<Key> = PrivateCookieJar::from_headers(&parts.headers, site.key.clone());
        let session: Self = serde_json::from_str(jar.get(&cookie_name(site))?.value()).ok()?;
        (site.contexts.now() < session.ends_at).then_some(session)
    }
}

/// Browsers keep cookies by host and not by port, so the name has the port; behind TLS no other host can set one of this name.
pub(crate) fn cookie_name(site: &Site) -> String {
    if site.settings.is_secure {
        return "__Host-finops-credits".to_owned();
    }
    let port = site.settings.hosts.first().and_then(|host| host.rsplit_once(':')).map_or("", |(_, port)| port);
    format!("finops-credits-{port}")
}

impl OptionalFromRequestParts<Shared> for Session {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Option<Self>, Infallible> {
        Ok(Self::of(parts, &shared.0))
    }
}
