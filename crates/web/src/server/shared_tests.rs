//! People who sign in elsewhere: who gets in, and what they may do. Over a site without a lake, as in `tests.rs`.

use std::sync::Mutex;

use application::{Context, Failure, Kind};
use async_trait::async_trait;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, header};
use axum::response::Response;
use chrono::{NaiveDateTime, TimeDelta};
use lake::RoleGroups;
use schemas::reference::{AccessList, parse_access};
use tower::ServiceExt;

use super::*;
use crate::{Begun, Contexts, Entrance, Identity, IdentityProvider, Organisation, SiteSettings};

const HOST: &str = "credits.example.com";
const ORIGIN: &str = "https://credits.example.com";
const KEY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

struct NoLake {
    clock: Mutex<NaiveDateTime>,
    access: Option<&'static str>,
}

#[async_trait]
impl Contexts for NoLake {
    async fn open(&self) -> Result<Context, Failure> {
        Err(Failure::new(Kind::NotYet, "there is no lake"))
    }

    fn now(&self) -> NaiveDateTime {
        *self.clock.lock().unwrap()
    }

    async fn access_list(&self) -> Result<Option<AccessList>, Failure> {
        let parsed =
            self.access.map(|rows| parse_access("access.csv", format!("UserName,GroupName\n{rows}").as_bytes()));
        Ok(parsed.transpose()?)
    }
}

/// Lets in whom the code names, with the groups that it names: `ann:finance,finops`.
pub(super) struct AnyCode;

#[async_trait]
impl IdentityProvider for AnyCode {
    async fn begin(&self) -> Result<(String, Begun), Failure> {
        let [state, nonce, verifier] = ["the-state", "n", "v"].map(str::to_owned);
        Ok(("https://login.example.com/authorize?state=the-state".to_owned(), Begun { state, nonce, verifier }))
    }

    async fn identity(&self, code: String, _: &Begun) -> Result<Identity, Failure> {
        let (name, groups) =
            code.split_once(':').ok_or_else(|| Failure::new(Kind::BadInput, "the code does not count"))?;
        Ok(Identity { name: name.to_owned(), groups: groups.split(',').map(str::to_owned).collect() })
    }
}

struct Served {
    router: Router,
    clock: Arc<NoLake>,
}

fn texts(of: &str) -> Vec<String> {
    vec![of.to_owned()]
}

fn served(access: Option<&'static str>) -> Served {
    served_with(access, KEY)
}

fn served_with(access: Option<&'static str>, key: &str) -> Served {
    let (site, clock) = site(access);
    Served { router: router(Arc::new(site.with_session_key(key).unwrap())), clock }
}

fn site(access: Option<&'static str>) -> (Site, Arc<NoLake>) {
    let clock = Mutex::new("2026-11-02T09:00:00".parse().unwrap());
    let clock = Arc::new(NoLake { clock, access });
    let settings = SiteSettings { hosts: vec![HOST.to_owned()], is_secure: true, read_only: false };
    let roles = RoleGroups {
        viewer: texts("finance"),
        allocator: texts("finops"),
        closer: texts("controlling"),
        admin: texts("platform"),
    };
    let entrance = Entrance::Shared(Organisation { provider: Box::new(AnyCode), roles });
    (Site::new(Arc::<NoLake>::clone(&clock) as Arc<dyn Contexts>, settings, entrance), clock)
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let all = headers.get_all(header::SET_COOKIE).iter().map(|cookie| cookie.to_str().unwrap());
    let cookie = all.into_iter().find(|cookie| cookie.starts_with(&format!("{name}=")))?;
    for attribute in ["; HttpOnly", "; SameSite=Lax", "; Path=/", "; Secure"] {
        assert!(cookie.contains("Max-Age=0") || cookie.contains(attribute), "{cookie}");
    }
    Some(cookie.split(';').next().unwrap().to_owned())
}

impl Served {
    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Response {
        let mut request = Request::builder().method(method).uri(path).header("host", HOST);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        self.send("GET", path, headers).await
    }

    /// What a browser keeps while somebody signs in.
    async fn begin(&self, next: &str) -> String {
        let response = self.get(&format!("/login?next={next}"), &[]).await;
        assert!(response.headers()[header::LOCATION].to_str().unwrap().starts_with("https://login.example.com/"));
        cookie(response.headers(), "__Host-finops-credits-sign-in").unwrap()
    }

    async fn back(&self, begun: &str, query: &str) -> Response {
        self.get(&format!("/login/callback?{query}"), &[("cookie", begun)]).await
    }

    /// The cookie of a session.
    async fn sign_in(&self, who: &str) -> String {
        let response = self.back(&self.begin("/").await, &format!("state=the-state&code={who}")).await;
        assert_eq!(response.status(), StatusCode::SEE_OTHER, "{who}");
        cookie(response.headers(), "__Host-finops-credits").unwrap()
    }
}

async fn text(response: Response) -> String {
    String::from_utf8(to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec()).unwrap()
}

#[tokio::test]
async fn page_leads_to_the_provider_and_back_to_itself() {
    let served = served(None);
    let response = served.get("/credits?status=active&q=a%26b", &[]).await;
    assert_eq!(response.headers()[header::LOCATION], "/login?next=%2Fcredits%3Fstatus%3Dactive%26q%3Da%2526b");
    let begun = served.begin("%2Fcredits%3Fstatus%3Dactive").await;
    let response = served.back(&begun, "state=the-state&code=ann:finance").await;
    assert_eq!(response.headers()[header::LOCATION], "/credits?status=active");
    let session = cookie(response.headers(), "__Host-finops-credits").unwrap();
    assert_eq!(served.get("/help", &[("cookie", &session)]).await.status(), StatusCode::NOT_FOUND);
    // Elsewhere nobody is led, whoever made the link.
    let begun = served.begin("https%3A%2F%2Fevil.example").await;
    let response = served.back(&begun, "state=the-state&code=ann:finance").await;
    assert_eq!(response.headers()[header::LOCATION], "/");
}

#[tokio::test]
async fn what_cannot_wait_for_a_sign_in_is_refused() {
    let served = served(None);
    assert_eq!(served.send("POST", "/runs", &[("origin", ORIGIN)]).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(served.get("/nodes?q=a", &[("sec-fetch-dest", "empty")]).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(served.get("/", &[("sec-fetch-dest", "document")]).await.status(), StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn answer_counts_only_for_the_browser_that_asked_and_only_in_time() {
    let served = served(None);
    let begun = served.begin("/").await;
    let answer = "state=the-state&code=ann:finance";
    for (kept, query) in [
        ("", answer),
        (begun.as_str(), "state=another&code=ann:finance"),
        (begun.as_str(), "code=ann:finance"),
        (&begun.replace("-sign-in=", "="), answer),
        (&format!("{begun}x"), answer),
    ] {
        let response = served.back(kept, query).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{kept} {query}");
        assert!(cookie(response.headers(), "__Host-finops-credits").is_none());
    }
    *served.clock.clock.lock().unwrap() += TimeDelta::minutes(10);
    assert_eq!(served.back(&begun, answer).await.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn refusals_of_the_provider_are_told_and_no_session_begins() {
    let served = served(None);
    for (query, said) in [
        (
            "state=the-state&error=access_denied&error_description=%3Cb%3Eno%3C%2Fb%3E",
            "access_denied &lt;b&gt;no&lt;/b&gt;",
        ),
        ("state=the-state&code=bad", "You are not signed in: the code does not count"),
        ("state=the-state&code=ann:sales", "none of your groups has a role here"),
    ] {
        let response = served.back(&served.begin("/").await, query).await;
        assert_eq!(response.status(), StatusCode::FORBIDDEN, "{query}");
        assert!(cookie(response.headers(), "__Host-finops-credits").is_none());
        let page = text(response).await;
        assert!(page.contains(said), "{page}");
    }
}

#[tokio::test]
async fn viewer_can_send_no_form_and_others_need_its_token() {
    let served = served(None);
    for (who, may) in
        [("ann:finance", false), ("ann:finops", true), ("ann:controlling", true), ("ann:finance,platform", true)]
    {
        let session = served.sign_in(who).await;
        let response = served.send("POST", "/runs", &[("cookie", &session), ("origin", ORIGIN)]).await;
        let page = text(response).await;
        let said = if may { "This form is not of your session" } else { "You may look here, and record nothing" };
        assert!(page.contains(said), "{who}: {page}");
    }
}

#[tokio::test]
async fn who_is_not_on_the_list_or_is_taken_off_it_sees_nothing() {
    let list = served(Some("ann,\n,finops\n"));
    list.sign_in("ann:finance").await;
    list.sign_in("bob:finops").await;
    list.sign_in("root:platform").await;
    let response = list.back(&list.begin("/").await, "state=the-state&code=bob:finance").await;
    assert!(text(response).await.contains("access.csv has no line for you or for a group of yours"));
    // The same key, another list.
    let session = list.sign_in("ann:finance").await;
    let later = served(Some("bob,\n"));
    assert_eq!(later.get("/", &[("cookie", &session)]).await.status(), StatusCode::FORBIDDEN);
    let broken = served(Some("ann\n"));
    assert_eq!(broken.get("/", &[("cookie", &session)]).await.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn sessions_end_by_the_clock_by_the_key_and_by_signing_out() {
    let served = served(None);
    let session = served.sign_in("ann:finance").await;
    let out = served.send("POST", "/logout", &[("cookie", &session), ("origin", ORIGIN)]).await;
    assert_eq!(out.status(), StatusCode::OK);
    assert!(out.headers()[header::SET_COOKIE].to_str().unwrap().contains("Max-Age=0"));
    let elsewhere = [("cookie", session.as_str()), ("origin", "https://evil.example")];
    assert_eq!(served.send("POST", "/logout", &elsewhere).await.status(), StatusCode::FORBIDDEN);
    *served.clock.clock.lock().unwrap() += TimeDelta::hours(8);
    assert_eq!(served.get("/", &[("cookie", &session)]).await.status(), StatusCode::SEE_OTHER);
    let forged = served_with(None, &KEY.replace('0', "1")).sign_in("ann:platform").await;
    assert_eq!(served.get("/", &[("cookie", &forged)]).await.status(), StatusCode::SEE_OTHER);
    assert!(site(None).0.with_session_key(&KEY[1..]).is_err());
}
