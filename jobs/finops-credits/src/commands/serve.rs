//! `serve`: the web page, for the person who starts it, or for people who sign in.

use std::io::{IsTerminal, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use application::{Context, ReferenceSource};
use async_trait::async_trait;
use axum::Router;
use chrono::NaiveDateTime;
use datafusion::execution::runtime_env::RuntimeEnv;
use lake::{SecretReference, Settings, WebSettings, is_s3};
use schemas::reference::{AccessList, parse_access};
use serde::Serialize;
use signal_hook::consts::TERM_SIGNALS;
use signal_hook::iterator::Signals;
use tempfile::NamedTempFile;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use web::{Contexts, Entrance, LoginToken, Organisation, Site, SiteSettings, StartedRun, router};

use super::note;
use super::who::name;
use crate::background::{Background, RunArguments};
use crate::cli::{Format, Serve};
use crate::locations::Locations;
use crate::output::answer;
use crate::run::{as_of, clock};
use crate::{Failure, Kind, connections, function, sign_in};

/// How long connections that are open may keep the program from ending.
const PATIENCE: Duration = Duration::from_secs(3);

/// Opens the lake for each request.
struct EachRequest {
    settings: Settings,
    locations: Arc<Locations>,
    runtime: Arc<RuntimeEnv>,
    background: Background,
}

#[async_trait]
impl Contexts for EachRequest {
    async fn open(&self) -> Result<Context, Failure> {
        let now = clock();
        let as_of = as_of(None, &self.settings, now)?;
        let locations = self.locations.again();
        let lake = Arc::new(locations.open_lake(&self.settings, false).await?);
        let reference: Arc<dyn ReferenceSource> = Arc::new(locations);
        Ok(Context::new(self.settings.clone(), lake, (as_of, now), reference, Arc::clone(&self.runtime)))
    }

    fn now(&self) -> NaiveDateTime {
        clock()
    }

    async fn access_list(&self) -> Result<Option<AccessList>, Failure> {
        let Some(location) = self.settings.web.as_ref().and_then(|web| web.access.as_deref()) else { return Ok(None) };
        Ok(Some(parse_access(location, &self.locations.read_file(location, "[web] access").await?)?))
    }

    /// A lake on S3 is run where it lies.
    fn can_run(&self) -> bool {
        !is_s3(&self.settings.lake.location)
    }

    async fn start_run(&self) -> Result<(), Failure> {
        if self.can_run() {
            return self.background.start();
        }
        Err(Failure::new(Kind::Usage, "run: the lake is on S3; its nightly schedule runs it"))
    }

    fn started_run(&self) -> Option<StartedRun> {
        self.background.last()
    }
}

#[derive(Serialize)]
struct Served<'a> {
    url: &'a str,
    /// None where people sign in elsewhere.
    login_url: Option<&'a str>,
}

/// How the page is reached, and how people get in.
struct Opening {
    url: String,
    login_url: Option<String>,
    settings: SiteSettings,
    entrance: Entrance,
    session_key: Option<String>,
    said: [String; 2],
}

impl Opening {
    /// For the person who starts it.
    fn own(port: u16, person: String, read_only: bool, lake: &str) -> Result<Self, Failure> {
        let (token, text) = LoginToken::random().map_err(cannot("no token can be made"))?;
        let url = format!("http://127.0.0.1:{port}/");
        let login_url = format!("{url}login?token={text}");
        let hosts = ["127.0.0.1", "localhost", "[::1]"].map(|name| format!("{name}:{port}")).into();
        let said = [
            format!("Serving the lake {lake} at {url}, to this machine only. Ctrl-C ends it."),
            format!("Open {login_url} (works once, in one browser)"),
        ];
        let settings = SiteSettings { hosts, is_secure: false, read_only };
        let entrance = Entrance::Token { token, person };
        Ok(Self { url, login_url: Some(login_url), settings, entrance, session_key: None, said })
    }

    /// For the people of an organisation.
    fn shared(web: &WebSettings, read_only: bool, lake: &str) -> Result<Self, Failure> {
        let provider = sign_in::provider(web)?;
        let session_key = web.session_key.as_ref().map(SecretReference::read).transpose();
        let session_key =
            session_key.map_err(|why| Failure::new(Kind::BadInput, format!("[web] session_key: {why}")))?;
        let url = format!("{}/", web.origin());
        let who = match &web.access {
            Some(access) => format!("{access} says who sees which nodes."),
            None => "Nobody is limited to nodes: [web] access names no file.".to_owned(),
        };
        let said = [
            format!("Serving the lake {lake} at {url}, to people whom {} lets in. Ctrl-C ends it.", web.issuer),
            format!("It listens on {}. {who}", web.address),
        ];
        let settings = SiteSettings { hosts: vec![web.host().to_owned()], is_secure: web.is_secure(), read_only };
        let entrance = Entrance::Shared(Organisation { provider, roles: web.roles.clone() });
        Ok(Self { url, login_url: None, settings, entrance, session_key, said })
    }
}

fn cannot(what: &str) -> impl Fn(std::io::Error) -> Failure + use<'_> {
    move |error| Failure::new(Kind::Storage, format!("serve: {what}: {error}"))
}

pub(crate) async fn serve(
    locations: Arc<Locations>,
    settings: Settings,
    (run, format): (RunArguments, Format),
    arguments: Serve,
) -> Result<(), Failure> {
    let (lake, read_only) = (settings.lake.location.clone(), arguments.read_only);
    let shared = match (arguments.shared, settings.web.clone()) {
        (true, None) => {
            let message = format!("{}: serve --shared needs [web]: url, issuer, client_id and roles", settings.name);
            return Err(Failure::new(Kind::BadInput, message));
        }
        (true, Some(web)) => Some(web),
        (false, _) => None,
    };
    let person = match shared {
        Some(_) => String::new(),
        None => name(&locations, &settings, arguments.by).await?,
    };
    let runtime = application::runtime(&settings)?;
    let background = Background::new(run, clock);
    let contexts = Arc::new(EachRequest { settings, locations, runtime, background });
    let site = |opening: Opening| -> Result<Router, Failure> {
        let site =
            Site::new(Arc::<EachRequest>::clone(&contexts) as Arc<dyn Contexts>, opening.settings, opening.entrance);
        let Some(key) = opening.session_key else { return Ok(router(Arc::new(site))) };
        let site = site.with_session_key(&key);
        Ok(router(Arc::new(site.map_err(|why| Failure::new(Kind::BadInput, format!("[web] session_key {why}")))?)))
    };
    if let Some(web) = &shared {
        // What would keep everybody out is said at once.
        contexts.access_list().await?;
        if function::is_one() {
            return function::answer(site(Opening::shared(web, read_only, &lake)?)?).await;
        }
    }
    let address =
        shared.as_ref().map_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.port)), |web| web.address);
    let listener = TcpListener::bind(address).await.map_err(|error| {
        let else_free = if shared.is_some() { "[web] address names another one" } else { "--port 0 takes a free one" };
        Failure::new(Kind::Storage, format!("serve: cannot listen on {address}: {error}; {else_free}"))
    })?;
    let opening = match &shared {
        Some(web) => Opening::shared(web, read_only, &lake)?,
        None => Opening::own(listener.local_addr().map_err(cannot("no address"))?.port(), person, read_only, &lake)?,
    };
    let (url, login_url, said) = (opening.url.clone(), opening.login_url.clone(), opening.said.clone());
    let pages = site(opening)?;
    answer(format, &Served { url: &url, login_url: login_url.as_deref() }, said)?;
    let _shown_until_the_end = match &login_url {
        Some(login_url) if !arguments.no_open && std::io::stdout().is_terminal() => browse(login_url),
        _ => None,
    };
    let served = until_it_ends(listener, pages).await;
    contexts.background.end();
    served
}

async fn until_it_ends(listener: TcpListener, pages: Router) -> Result<(), Failure> {
    let ended = Arc::new(Notify::new());
    end_on_signals(&ended)?;
    let gone = async {
        ended.notified().await;
        tokio::time::sleep(PATIENCE).await;
    };
    tokio::select! {
        () = connections::answer(listener, pages, &ended) => {}
        () = gone => {}
    }
    Ok(())
}

/// Opens a browser at a file that only this user may read, and that leads to the address: the words of a command, everybody on the
/// machine can read.
fn browse(login_url: &str) -> Option<NamedTempFile> {
    let made = || {
        let mut file = tempfile::Builder::new().prefix("finops-credits-").suffix(".html").tempfile()?;
        write!(file, "<!doctype html><meta http-equiv=\"refresh\" content=\"0; url={login_url}\">")?;
        file.flush()?;
        open::that_detached(file.path())?;
        Ok::<_, std::io::Error>(file)
    };
    match made() {
        Ok(file) => Some(file),
        Err(error) => {
            note(&format!("no browser could be opened ({error}); open the address above"));
            None
        }
    }
}

/// Ctrl-C, or a service manager, ends the program once requests that are under way are answered.
fn end_on_signals(ended: &Arc<Notify>) -> Result<(), Failure> {
    let refused = |error| Failure::new(Kind::Storage, format!("serve: signals cannot be handled: {error}"));
    let mut signals = Signals::new(TERM_SIGNALS).map_err(refused)?;
    let ended = Arc::clone(ended);
    std::thread::spawn(move || {
        for _signal in &mut signals {
            ended.notify_waiters();
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Shop;

    #[test]
    fn own_page_is_for_this_machine_and_its_address_opens_one_session() {
        let opening = Opening::own(8765, "jane".to_owned(), true, "lake").unwrap();
        assert_eq!(opening.url, "http://127.0.0.1:8765/");
        let login_url = opening.login_url.unwrap();
        let token = login_url.strip_prefix("http://127.0.0.1:8765/login?token=").unwrap();
        assert_eq!((token.len(), token.bytes().all(|byte| byte.is_ascii_hexdigit())), (64, true));
        let said = [
            "Serving the lake lake at http://127.0.0.1:8765/, to this machine only. Ctrl-C ends it.".to_owned(),
            format!("Open {login_url} (works once, in one browser)"),
        ];
        assert_eq!(opening.said, said);
        assert_eq!(opening.settings.hosts, ["127.0.0.1:8765", "localhost:8765", "[::1]:8765"]);
        assert!(opening.settings.read_only && !opening.settings.is_secure);
        let other = Opening::own(8765, "jane".to_owned(), true, "lake").unwrap();
        assert_ne!(other.login_url.as_deref(), Some(login_url.as_str()), "every start has a secret of its own");
    }

    fn shared_settings(shop: &Shop, more: &str) -> Settings {
        let web = "web.url = \"https://credits.example.com/\"\nweb.issuer = \"https://login.example.com/realm\"\n\
                   web.client_id = \"finops-credits\"\nweb.roles.viewer = [\"finance\"]\n";
        shop.settings_with(&format!("{web}{more}"))
    }

    fn shared(settings: &Settings) -> Result<Opening, Failure> {
        Opening::shared(settings.web.as_ref().unwrap(), false, "lake")
    }

    #[cfg(feature = "openid-connect")]
    #[test]
    fn shared_page_says_who_lets_people_in_and_what_limits_them() {
        let shop = Shop::new();
        let open = shared(&shared_settings(&shop, "")).unwrap();
        assert_eq!((open.url.as_str(), open.login_url), ("https://credits.example.com/", None));
        let said = [
            "Serving the lake lake at https://credits.example.com/, to people whom https://login.example.com/realm lets in. \
             Ctrl-C ends it.",
            "It listens on 127.0.0.1:8765. Nobody is limited to nodes: [web] access names no file.",
        ];
        assert_eq!(open.said, said);
        assert_eq!((open.settings.hosts, open.settings.is_secure), (vec!["credits.example.com".to_owned()], true));
        let limited = shared(&shared_settings(&shop, "web.access = \"access.csv\"\n")).unwrap();
        let expected = format!("{} says who sees which nodes.", shop.path("access.csv").display());
        assert!(limited.said[1].ends_with(&expected), "{}", limited.said[1]);
    }

    #[cfg(feature = "openid-connect")]
    #[test]
    fn secret_that_is_not_there_is_named_by_its_setting() {
        let shop = Shop::new();
        let missing = shop.path("key").display().to_string();
        for setting in ["client_secret", "session_key"] {
            let failure = shared(&shared_settings(&shop, &format!("web.{setting} = \"file:key\"\n"))).err().unwrap();
            assert_eq!(failure.kind, Kind::BadInput);
            assert!(failure.to_string().starts_with(&format!("[web] {setting}: {missing}: ")), "{failure}");
        }
    }

    #[cfg(not(feature = "openid-connect"))]
    #[test]
    fn program_without_sign_in_says_how_to_build_it() {
        let failure = shared(&shared_settings(&Shop::new(), "")).err().unwrap();
        let expected =
            "this program is built without sign-in; build it with `cargo build --release --features openid-connect`";
        assert_eq!((failure.kind, failure.to_string().as_str()), (Kind::Usage, expected));
    }

    async fn each_request(settings: Settings, locations: &Settings) -> EachRequest {
        EachRequest {
            locations: Arc::new(Locations::of(locations).await.unwrap()),
            runtime: application::runtime(&settings).unwrap(),
            background: Background::new(RunArguments::default(), clock),
            settings,
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn each_request_finds_the_lake_as_it_is_then() {
        let shop = Shop::new();
        let settings = shop.settings_with("run.as_of = 2026-01-31");
        let contexts = each_request(settings.clone(), &settings).await;
        assert_eq!(contexts.open().await.err().unwrap().kind, Kind::NotYet, "a page makes no lake");
        shop.night("night-1", "2026-01-31").await;
        let context = contexts.open().await.unwrap();
        assert_eq!((context.as_of.to_string().as_str(), context.asked.is_none()), ("2026-01-31", true));
        assert_eq!(context.lake.published().await.unwrap().as_deref(), Some("night-1"));
        shop.night("night-2", "2026-02-28").await;
        assert_eq!(contexts.open().await.unwrap().lake.published().await.unwrap().as_deref(), Some("night-2"));
        assert_eq!(context.lake.published().await.unwrap().as_deref(), Some("night-1"), "a request keeps to one run");
        assert!(contexts.can_run() && contexts.started_run().is_none());
    }

    #[tokio::test]
    async fn lake_on_s3_is_not_run_from_the_page_and_access_is_read_for_each_request() {
        let shop = Shop::new();
        let here = shop.settings_with("");
        let mut settings = shared_settings(&shop, "web.access = \"access.csv\"\n");
        settings.lake.location = "s3://bucket/lake".to_owned();
        let contexts = each_request(settings, &here).await;
        assert!(!contexts.can_run());
        let refused = contexts.start_run().await.unwrap_err();
        assert_eq!(refused.to_string(), "run: the lake is on S3; its nightly schedule runs it");
        let missing = contexts.access_list().await.unwrap_err();
        assert!(missing.to_string().starts_with("[web] access "), "{missing}");
        assert!(each_request(here.clone(), &here).await.access_list().await.unwrap().is_none(), "nobody is limited");
    }
}
