//! Somebody with a browser.

use std::sync::{Arc, LazyLock};

use application::{Context, Failure};
use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode, header};
use chrono::NaiveDateTime;
use form_urlencoded::Serializer;
use lake::RoleGroups;
use regex::Regex;
use schemas::reference::{AccessList, parse_access};
use tower::ServiceExt;

use super::published::{NOW, Published};
use super::router;
use super::shared_tests::AnyCode;
use crate::{Contexts, Entrance, LoginToken, Organisation, Site, SiteSettings};

const HOST: &str = "credits.example.com";

/// The lake, opened anew for each request.
struct Opened {
    published: Arc<Published>,
    access: Option<&'static str>,
}

#[async_trait]
impl Contexts for Opened {
    async fn open(&self) -> Result<Context, Failure> {
        self.published.open().await
    }

    fn now(&self) -> NaiveDateTime {
        NOW.parse().unwrap()
    }

    async fn access_list(&self) -> Result<Option<AccessList>, Failure> {
        let header = "UserName,GroupName,business_unit,department,portfolio,product";
        let parsed = self.access.map(|rows| parse_access("access.csv", format!("{header}\n{rows}").as_bytes()));
        Ok(parsed.transpose()?)
    }
}

/// A site over the lake.
pub(super) fn site(
    published: &Arc<Published>,
    read_only: bool,
    access: Option<&'static str>,
    entrance: Entrance,
) -> Site {
    let contexts = Arc::new(Opened { published: Arc::clone(published), access });
    Site::new(contexts, SiteSettings { hosts: vec![HOST.to_owned()], is_secure: true, read_only }, entrance)
}

/// What somebody is answered.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn html(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// What can be read on the page.
    pub(super) fn words(&self) -> String {
        static HIDDEN: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(?s)<script.*?</script>|<[^>]*>").unwrap());
        let text = HIDDEN.replace_all(self.html(), " ");
        let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&");
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    pub(super) fn header(&self, name: header::HeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The value of a field of a form.
    pub(super) fn field(&self, name: &str) -> String {
        let field = Regex::new(&format!("name=\"{name}\"[^>]* value=\"([^\"]*)\"")).unwrap();
        field.captures(self.html()).map_or_else(String::new, |found| found[1].to_owned())
    }
}

/// Somebody who has got in.
pub(super) struct Visitor {
    router: Router,
    cookie: String,
    _published: Arc<Published>,
}

impl Visitor {
    /// Jane, who started the program.
    pub(super) async fn owner(published: &Arc<Published>, read_only: bool) -> Self {
        let (token, text) = LoginToken::random().unwrap();
        let entrance = Entrance::Token { token, person: "jane".to_owned() };
        let site = site(published, read_only, None, entrance);
        let mut visitor = Self::unknown(published, site);
        visitor.cookie = session(&visitor.get(&format!("/login?token={text}")).await);
        visitor
    }

    /// One of an organisation, as `name:group`, with these lines of `access.csv`.
    pub(super) async fn colleague(published: &Arc<Published>, access: Option<&'static str>, who: &str) -> Self {
        let group = |of: &str| vec![of.to_owned()];
        let roles = RoleGroups {
            viewer: group("viewers"),
            allocator: group("allocators"),
            closer: group("closers"),
            admin: group("admins"),
        };
        let entrance = Entrance::Shared(Organisation { provider: Box::new(AnyCode), roles });
        let mut visitor = Self::unknown(published, site(published, false, access, entrance));
        visitor.cookie = session(&visitor.get("/login?next=/").await);
        let back = visitor.get(&format!("/login/callback?state=the-state&code={who}")).await;
        visitor.cookie = session(&back);
        visitor
    }

    fn unknown(published: &Arc<Published>, site: Site) -> Self {
        Self { router: router(Arc::new(site)), cookie: String::new(), _published: Arc::clone(published) }
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap().to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.get_led_by("none", path).await
    }

    /// As a browser says it that a page of this or another site, or nothing, led there.
    pub(super) async fn get_led_by(&self, site: &str, path: &str) -> Answer {
        let request = Request::get(path).header("host", HOST).header("cookie", &self.cookie);
        self.send(request.header("sec-fetch-site", site).body(Body::empty()).unwrap()).await
    }

    /// The text of a page that must be there.
    pub(super) async fn words(&self, path: &str) -> String {
        let answer = self.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.words());
        answer.words()
    }

    /// A table of a page as CSV.
    pub(super) async fn csv(&self, path: &str, table: &str) -> Vec<String> {
        let sign = if path.contains('?') { '&' } else { '?' };
        let answer = self.get(&format!("{path}{sign}download=csv&table={table}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.words());
        answer.html().lines().map(str::to_owned).collect()
    }

    /// Sends a form of a page, with the token that the page has.
    pub(super) async fn post(&self, path: &str, token: &str, fields: &[(&str, &str)]) -> Answer {
        let body = Serializer::new(String::new()).append_pair("form_token", token).extend_pairs(fields).finish();
        let request = Request::post(path).header("host", HOST).header("cookie", &self.cookie);
        let request = request.header("origin", format!("https://{HOST}"));
        self.send(request.body(Body::from(body)).unwrap()).await
    }
}

/// The cookie that an answer sets.
fn session(answer: &Answer) -> String {
    let cookies = answer.headers.get_all(header::SET_COOKIE).iter().map(|cookie| cookie.to_str().unwrap());
    let kept = cookies.filter(|cookie| !cookie.contains("Max-Age=0"));
    kept.map(|cookie| cookie.split(';').next().unwrap()).collect::<Vec<_>>().join("; ")
}
