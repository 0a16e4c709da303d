//! Who may ask what: every request passes here first.
//!
//! A server on the loopback interface is within reach of every page that a browser has open. So a request must name this
//! server as its host (a name of somebody else's that was bound to this address does not pass), must carry a session, and a
//! form must come from a page of ours and carry the session's own token.

pub(crate) mod access;
pub(crate) mod login;
mod next_page;
pub(crate) mod session;
pub(crate) mod sign_in;
pub(crate) mod token;

use axum::extract::{Request, State};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use form_urlencoded::Serializer;

use crate::error::refusal;
use crate::site::{Entrance, Shared, SiteSettings};
use session::Session;

/// No script, style or picture but our own; no frame around the page; forms go nowhere else.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; \
                                       frame-ancestors 'none'; object-src 'none'";

/// What every answer carries.
const HEADERS: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// Refuses what no page of ours sent, and adds the headers that bind the browser.
pub(crate) async fn guard(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let settings = &shared.0.settings;
    let mut response = match refused(settings, request.method(), request.headers()) {
        Some((status, why)) => refusal(status, why).into_response(),
        None => as_page(next.run(request).await),
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    // Figures of a company stay in no cache; files of the program say otherwise themselves.
    let private = HeaderValue::from_static("no-store");
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(private);
    response
}

/// The answer, a page also where something below refused the request in words of its own, or in none.
fn as_page(response: Response) -> Response {
    let status = response.status();
    let is_page =
        response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    if is_page || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let why = match status {
        StatusCode::NOT_FOUND => "There is no such page here.",
        StatusCode::METHOD_NOT_ALLOWED => "This page is read only: no form can be sent to it.",
        StatusCode::PAYLOAD_TOO_LARGE => "This form is too large. Nothing was recorded.",
        StatusCode::GATEWAY_TIMEOUT => {
            "This took too long and was given up. If you were saving something, look at the credit's history: it may have been \
             recorded."
        }
        _ => "This request cannot be understood. Nothing was recorded.",
    };
    refusal(status, why).into_response()
}

/// Lets through who is known and has something to do here; everybody else is told how to get in, or led there.
pub(crate) async fn known_only(
    State(Shared(site)): State<Shared>,
    session: Option<Session>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(session) = session else { return unknown(&site.entrance, &request) };
    match sign_in::access(&site, &session).await {
        Ok(access) => {
            request.extensions_mut().insert(session);
            request.extensions_mut().insert(access);
            let places = if request.uri().path() == "/query" { &site.statements } else { &site.pages };
            let _place = places.acquire().await;
            next.run(request).await
        }
        Err(refused) => refused,
    }
}

/// Only a page that somebody opens leads to the provider: a form, or a part of a page, cannot wait for a sign-in.
fn unknown(entrance: &Entrance, request: &Request) -> Response {
    let target = request.headers().get("sec-fetch-dest");
    let is_opened = request.method() == Method::GET && target.is_none_or(|target| target == "document");
    let why = match entrance {
        Entrance::Shared(_) if is_opened => {
            let next = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
            let query = Serializer::new(String::new()).append_pair("next", next).finish();
            return Redirect::to(&format!("/login?{query}")).into_response();
        }
        Entrance::Shared(_) => {
            "Your session here has ended, so nothing was recorded. Go back: what you typed is still there to be copied. Then load \
             the page anew, which leads to the sign-in."
        }
        Entrance::Token { .. } => {
            "This browser has no session here, or it has ended. Use the address that `finops-credits serve` printed when it \
             started; it works once. To get a new one, start it again."
        }
    };
    refusal(StatusCode::UNAUTHORIZED, why).into_response()
}

/// Why a request is not answered, if it is not.
fn refused(settings: &SiteSettings, method: &Method, headers: &HeaderMap) -> Option<(StatusCode, &'static str)> {
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let host = text(header::HOST).unwrap_or_default();
    if !settings.hosts.iter().any(|known| known.eq_ignore_ascii_case(host)) {
        let why =
            "This server is not known by the name in the address. Use the address that it printed when it started.";
        return Some((StatusCode::MISDIRECTED_REQUEST, why));
    }
    if [Method::GET, Method::HEAD].contains(method) {
        return None;
    }
    if *method != Method::POST {
        return Some((
            StatusCode::METHOD_NOT_ALLOWED,
            "Pages are read, and forms are sent; nothing else is done here.",
        ));
    }
    let scheme = if settings.is_secure { "https" } else { "http" };
    let is_ours = |origin: &str| {
        let host = origin.strip_prefix(scheme).and_then(|rest| rest.strip_prefix("://"));
        host.is_some_and(|host| settings.hosts.iter().any(|known| known.eq_ignore_ascii_case(host)))
    };
    let site = text(HeaderName::from_static("sec-fetch-site"));
    // A browser says at least one of both; who says neither is no browser, and no page sent it.
    let from_here = match (text(header::ORIGIN), site) {
        (Some(origin), site) => is_ours(origin) && site.is_none_or(|site| site == "same-origin"),
        (None, Some(site)) => site == "same-origin",
        (None, None) => false,
    };
    (!from_here).then_some((StatusCode::FORBIDDEN, "This form was not sent by a page of this server."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal_of(method: Method, headers: &[(&'static str, &str)]) -> Option<u16> {
        let hosts = vec!["127.0.0.1:8765".to_owned(), "localhost:8765".to_owned()];
        let settings = SiteSettings { hosts, is_secure: false, read_only: false };
        let headers = headers.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
        refused(&settings, &method, &headers.collect()).map(|(status, _)| status.as_u16())
    }

    #[test]
    fn host_that_was_bound_to_this_address_is_refused() {
        for (host, status) in [
            ("127.0.0.1:8765", None),
            ("LOCALHOST:8765", None),
            ("evil.example:8765", Some(421)),
            ("127.0.0.1:80", Some(421)),
            ("127.0.0.1:8765.evil.example", Some(421)),
            ("", Some(421)),
        ] {
            assert_eq!(refusal_of(Method::GET, &[("host", host)]), status, "{host}");
        }
        assert_eq!(refusal_of(Method::GET, &[]), Some(421));
    }

    #[test]
    fn form_of_another_site_is_refused() {
        let post = |headers: &[(&'static str, &str)]| {
            refusal_of(Method::POST, &[&[("host", "127.0.0.1:8765")], headers].concat())
        };
        let ours = ("origin", "http://127.0.0.1:8765");
        assert_eq!(post(&[ours]), None);
        assert_eq!(post(&[ours, ("sec-fetch-site", "same-origin")]), None);
        assert_eq!(post(&[("sec-fetch-site", "same-origin")]), None);
        for headers in [
            &[][..],
            &[("origin", "https://127.0.0.1:8765")],
            &[("origin", "http://127.0.0.1:8766")],
            &[("origin", "http://evil.example")],
            &[("origin", "null")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "none")],
            &[ours, ("sec-fetch-site", "cross-site")],
        ] {
            assert_eq!(post(headers), Some(403), "{headers:?}");
        }
        assert_eq!(refusal_of(Method::DELETE, &[("host", "127.0.0.1:8765"), ours]), Some(405));
    }
}
