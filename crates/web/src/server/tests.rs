//! Who gets in, and what a browser is told: over a site without a lake, so each page that is let through says so.

use std::sync::Mutex;

use application::{Context, Failure, Kind};
use async_trait::async_trait;
use axum::body::{Body, to_bytes};
use axum::extract::FromRequest;
use axum::http::{HeaderMap, Request, header};
use axum::response::Response;
use chrono::{NaiveDateTime, TimeDelta};
use tower::ServiceExt;

use super::*;
use crate::form::Form;
use crate::guard::access::Access;
use crate::guard::session::Session;
use crate::{Contexts, Entrance, LoginToken, SiteSettings};

const HOST: &str = "127.0.0.1:8765";
const ORIGIN: &str = "http://127.0.0.1:8765";

/// A lake that is not there, and a clock that can be set.
struct NoLake(Mutex<NaiveDateTime>);

#[async_trait]
impl Contexts for NoLake {
    async fn open(&self) -> Result<Context, Failure> {
        Err(Failure::new(Kind::NotYet, "there is no lake"))
    }

    fn now(&self) -> NaiveDateTime {
        *self.0.lock().unwrap()
    }
}

struct Served {
    router: Router,
    token: String,
    clock: Arc<NoLake>,
}

fn site(read_only: bool) -> (Site, Arc<NoLake>, String) {
    let clock = Arc::new(NoLake(Mutex::new("2026-11-02T09:00:00".parse().unwrap())));
    let (login, token) = LoginToken::random().unwrap();
    let settings = SiteSettings { hosts: vec![HOST.to_owned()], is_secure: false, read_only };
    let contexts: Arc<dyn Contexts> = Arc::<NoLake>::clone(&clock);
    (Site::new(contexts, settings, Entrance::Token { token: login, person: "jane".to_owned() }), clock, token)
}

fn served() -> Served {
    let (site, clock, token) = site(false);
    Served { router: router(Arc::new(site)), token, clock }
}

impl Served {
    async fn send(&self, request: Request<Body>) -> Response {
        self.router.clone().oneshot(request).await.unwrap()
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        let mut request = Request::get(path).header("host", HOST);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::empty()).unwrap()).await
    }

    async fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Response {
        let mut request = Request::post(path).header("host", HOST);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::from(body.to_owned())).unwrap()).await
    }

    /// The cookie of a session.
    async fn log_in(&self) -> String {
        let response = self.get(&format!("/login?token={}", self.token), &[]).await;
        assert_eq!(response.status(), StatusCode::SEE_OTHER);
        assert_eq!(response.headers()[header::LOCATION], "/");
        let cookie = set_cookie(response.headers());
        for attribute in ["; HttpOnly", "; SameSite=Lax", "; Path=/"] {
            assert!(cookie.contains(attribute), "{cookie}");
        }
        cookie.split(';').next().unwrap().to_owned()
    }
}

fn set_cookie(headers: &HeaderMap) -> String {
    headers[header::SET_COOKIE].to_str().unwrap().to_owned()
}

async fn text(response: Response) -> String {
    String::from_utf8(to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec()).unwrap()
}

/// Every address that shows something, and every form.
const PAGES: [&str; 12] = [
    "/",
    "/queue",
    "/credits",
    "/credits/id:1",
    "/credits/id:1/allocate",
    "/net-cost",
    "/expiry",
    "/months",
    "/runs",
    "/query",
    "/nodes",
    "/help",
];
const FORMS: [&str; 2] = ["/credits/id:1/allocate", "/runs"];

#[tokio::test]
async fn nothing_is_shown_without_a_session() {
    let served = served();
    for page in PAGES {
        let response = served.get(page, &[]).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{page}");
    }
    let cookie = served.log_in().await;
    for page in PAGES {
        let response = served.get(page, &[("cookie", &cookie)]).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{page}");
        assert!(text(response).await.contains("there is no lake"), "{page}");
    }
}

#[tokio::test]
async fn token_of_the_address_works_once_and_a_stolen_one_not_at_all() {
    let served = served();
    for wrong in ["", "0", &"0".repeat(64)] {
        let response = served.get(&format!("/login?token={wrong}"), &[]).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{wrong}");
    }
    let head = Request::head(format!("/login?token={}", served.token)).header("host", HOST);
    let asked = served.send(head.body(Body::empty()).unwrap()).await;
    assert_eq!(asked.status(), StatusCode::UNAUTHORIZED);
    served.log_in().await;
    let again = served.get(&format!("/login?token={}", served.token), &[]).await;
    assert_eq!(again.status(), StatusCode::UNAUTHORIZED);
    assert!(again.headers().get(header::SET_COOKIE).is_none());
}

#[tokio::test]
async fn forged_changed_or_foreign_cookie_is_no_session() {
    let served = served();
    let cookie = served.log_in().await;
    let (name, value) = cookie.split_once('=').unwrap();
    let mut changed = value.to_owned();
    let last = if changed.pop() == Some('A') { 'B' } else { 'A' };
    changed.push(last);
    let plain = r#"{"person":"eve","form_token":"x","ends_at":"2099-01-01T00:00:00"}"#;
    let other_server = super::tests::served().log_in().await;
    for forged in [format!("{name}={changed}"), format!("{name}={plain}"), format!("other={value}"), other_server] {
        let response = served.get("/help", &[("cookie", &forged)]).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{forged}");
    }
}

#[tokio::test]
async fn session_ends_after_eight_hours() {
    let served = served();
    let cookie = served.log_in().await;
    let after = async |hours: i64| {
        *served.clock.0.lock().unwrap() += TimeDelta::hours(hours);
        served.get("/help", &[("cookie", &cookie)]).await.status()
    };
    assert_eq!(after(7).await, StatusCode::NOT_FOUND);
    assert_eq!(after(1).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn form_is_taken_only_from_a_page_of_the_session() {
    let served = served();
    let cookie = served.log_in().await;
    for form in FORMS {
        let sent = async |headers: &[(&str, &str)], body: &str| served.post(form, headers, body).await.status();
        let session = ("cookie", cookie.as_str());
        assert_eq!(sent(&[("origin", ORIGIN)], "").await, StatusCode::UNAUTHORIZED, "{form}: no session");
        assert_eq!(sent(&[session], "").await, StatusCode::FORBIDDEN, "{form}: from nowhere");
        let evil = [session, ("origin", "http://evil.example"), ("sec-fetch-site", "cross-site")];
        assert_eq!(sent(&evil, "").await, StatusCode::FORBIDDEN, "{form}: from elsewhere");
    }
}

#[tokio::test]
async fn form_needs_the_token_of_its_session_and_a_site_where_things_are_recorded() {
    for (read_only, with_token, status) in
        [(false, true, None), (false, false, Some(StatusCode::FORBIDDEN)), (true, true, Some(StatusCode::FORBIDDEN))]
    {
        let site = site(read_only).0;
        let session = Session::begin(&site, "jane".to_owned(), Vec::new()).unwrap();
        let token = if with_token { session.form_token.clone() } else { "0".repeat(64) };
        let mut request = Request::post("/").body(Body::from(format!("form_token={token}&node=Retail"))).unwrap();
        request.extensions_mut().insert(session);
        request.extensions_mut().insert(Access::EVERYTHING);
        let form = Form::from_request(request, &Shared(Arc::new(site))).await;
        let refused = form.as_ref().err().map(Response::status);
        assert_eq!(refused, status, "read-only {read_only}, token {with_token}");
        assert_eq!(form.is_ok_and(|form| form.text("node") == Some("Retail")), status.is_none());
    }
}

#[tokio::test]
async fn every_answer_binds_the_browser_and_stays_in_no_cache() {
    let served = served();
    let cookie = served.log_in().await;
    let mut answers = vec![served.get("/assets/style.css", &[]).await, served.get("/nowhere", &[]).await];
    answers.push(served.send(Request::get("/").header("host", "evil.example").body(Body::empty()).unwrap()).await);
    for page in PAGES {
        answers.push(served.get(page, &[("cookie", &cookie)]).await);
    }
    assert_eq!(answers[2].status(), StatusCode::MISDIRECTED_REQUEST);
    for answer in &answers[1..] {
        assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store");
    }
    for answer in answers {
        let policy = answer.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains("default-src 'self'") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    }
}

#[tokio::test]
async fn every_refusal_is_a_page() {
    let served = served();
    let cookie = served.log_in().await;
    let session = [("cookie", cookie.as_str()), ("origin", ORIGIN)];
    let answers = [
        served.get("/login", &[]).await,
        served.get("/assets/nothing.js", &[]).await,
        served.get("/credits/%ff", &session).await,
        served.post("/help", &session, "").await,
        served.get("/nowhere", &session).await,
    ];
    for answer in answers {
        assert!(answer.status().is_client_error());
        assert!(text(answer).await.starts_with("<!DOCTYPE html>"));
    }
}

#[tokio::test]
async fn form_that_is_too_large_is_refused() {
    let served = served();
    let cookie = served.log_in().await;
    let body = format!("form_token={}", "x".repeat(LARGEST_FORM));
    let session = [("cookie", cookie.as_str()), ("origin", ORIGIN)];
    let response = served.post("/runs", &session, &body).await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert!(text(response).await.contains("This form is too large"));
}
