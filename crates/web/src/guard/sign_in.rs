//! The way in of an organisation: somebody else says who a person is, and their groups say what they may do here.

use application::foreign_text::{CELL, visible};
use application::{Failure, Kind};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum_extra::extract::PrivateCookieJar;
use axum_extra::extract::cookie::{Cookie, SameSite};
use chrono::{NaiveDateTime, TimeDelta};
use maud::html;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::access::{Access, Role};
use super::next_page::local;
use super::session::{Session, cookie_name};
use crate::error::{failed, refusal, status};
use crate::frame::plain;
use crate::identity::{Begun, Identity};
use crate::site::{Entrance, Organisation, Shared, Site};

/// How long somebody may take to sign in.
const PATIENCE: TimeDelta = TimeDelta::minutes(10);

/// What a browser keeps while somebody signs in elsewhere.
#[derive(Serialize, Deserialize)]
struct Kept {
    begun: Begun,
    /// Where they wanted to go.
    next: String,
    ends_at: NaiveDateTime,
}

/// What the provider sends along.
#[derive(Deserialize)]
pub(crate) struct Came {
    code: Option<String>,
    #[serde(default)]
    state: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    error_description: String,
}

fn kept_cookie(site: &Site, text: String) -> Cookie<'static> {
    Cookie::build((format!("{}-sign-in", cookie_name(site)), text))
        .path("/")
        .http_only(true)
        .secure(site.settings.is_secure)
        .same_site(SameSite::Lax)
        .build()
}

/// The provider did not answer.
fn not_asked(failure: &Failure) -> Response {
    refusal(status(failure.kind), &format!("Nobody can sign in now: {failure}")).into_response()
}

/// Leads to the provider.
pub(super) async fn begin(site: &Site, organisation: &Organisation, next: &str, jar: PrivateCookieJar) -> Response {
    let (address, begun) = match organisation.provider.begin().await {
        Ok(begun) => begun,
        Err(failure) => return not_asked(&failure),
    };
    let kept = Kept { begun, next: local(next).to_owned(), ends_at: site.contexts.now() + PATIENCE };
    let text = serde_json::to_string(&kept).unwrap_or_default();
    (jar.add(kept_cookie(site, text)), Redirect::to(&address)).into_response()
}

/// Back from the provider: who came gets a session, if a group of theirs has a role.
pub(crate) async fn callback(
    State(Shared(site)): State<Shared>,
    jar: PrivateCookieJar,
    Query(came): Query<Came>,
) -> Response {
    let Entrance::Shared(organisation) = &site.entrance else {
        return refusal(StatusCode::NOT_FOUND, "Nobody signs in here.").into_response();
    };
    let cookie = kept_cookie(&site, String::new());
    let kept = jar.get(cookie.name()).and_then(|cookie| serde_json::from_str::<Kept>(cookie.value()).ok());
    // Whatever comes of it, what was begun has ended.
    let jar = jar.remove(cookie);
    let is_its = |kept: &Kept| {
        site.contexts.now() < kept.ends_at && bool::from(kept.begun.state.as_bytes().ct_eq(came.state.as_bytes()))
    };
    let Some(kept) = kept.filter(is_its) else {
        let why = "This sign-in was not begun in this browser, or it took longer than ten minutes. Begin again.";
        return (jar, refusal(StatusCode::BAD_REQUEST, why)).into_response();
    };
    let Some(code) = came.code else {
        let why = format!("The provider let nobody in: {} {}", came.error, came.error_description);
        return (jar, refusal(StatusCode::FORBIDDEN, why.trim())).into_response();
    };
    match let_in(&site, organisation, code, &kept.begun).await {
        Ok(session) => (jar.add(session.cookie(&site)), Redirect::to(&kept.next)).into_response(),
        Err(refused) => (jar, refused).into_response(),
    }
}

async fn let_in(site: &Site, organisation: &Organisation, code: String, begun: &Begun) -> Result<Session, Response> {
    let identity = organisation.provider.identity(code, begun).await;
    let Identity { name, mut groups } = identity.map_err(|failure| match failure.kind {
        Kind::BadInput => refusal(StatusCode::FORBIDDEN, &format!("You are not signed in: {failure}")).into_response(),
        _ => not_asked(&failure),
    })?;
    let list = site.contexts.access_list().await.map_err(|failure| failed(&failure))?;
    // A cookie has room for those that mean something here.
    groups.retain(|group| {
        Role::of(std::slice::from_ref(group), &organisation.roles).is_some()
            || list.as_ref().is_some_and(|list| list.names_group(group))
    });
    let session = Session::begin(site, name, groups).map_err(|error| {
        refusal(StatusCode::INTERNAL_SERVER_ERROR, &format!("No session can begin: {error}")).into_response()
    })?;
    access(site, &session).await.map(|_| session)
}

/// What somebody may do and see; else the page for somebody who may do nothing here. Asked at each request: who is taken off the list sees
/// nothing more.
pub(super) async fn access(site: &Site, session: &Session) -> Result<Access, Response> {
    let Entrance::Shared(organisation) = &site.entrance else { return Ok(Access::EVERYTHING) };
    let list = site.contexts.access_list().await.map_err(|failure| failed(&failure))?;
    let Session { person, groups, .. } = session;
    let role = Role::of(groups, &organisation.roles).ok_or("none of your groups has a role here");
    let access = role.and_then(|role| {
        let why = "access.csv has no line for you or for a group of yours, so there is nothing for you to see";
        Access::of(role, list.as_ref(), person, groups).ok_or(why)
    });
    access.map_err(|why| {
        let body = html! {
            p { "You are signed in as " strong { (visible(person, CELL)) } "; " (why) ". Ask whoever looks after this page." }
            (sign_out_form())
        };
        (StatusCode::FORBIDDEN, plain("Nothing here is for you", &body)).into_response()
    })
}

/// The button that ends a session.
pub(crate) fn sign_out_form() -> maud::Markup {
    html! { form.sign-out method="post" action="/logout" { button { "Sign out" } } }
}

/// Ends the session here; the one at the provider goes on.
pub(crate) async fn sign_out(State(Shared(site)): State<Shared>, jar: PrivateCookieJar) -> Response {
    let ended = Cookie::build(cookie_name(&site)).path("/").secure(site.settings.is_secure).build();
    let page = plain("Signed out", &html! { p { "You are signed out here. The provider may still know you." } });
    (jar.remove(ended), page).into_response()
}
