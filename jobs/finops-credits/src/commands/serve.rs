//! `serve`: the web page, for the person who starts it.

use std::io::{IsTerminal, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use application::{Context, ReferenceSource};
use async_trait::async_trait;
use chrono::NaiveDateTime;
use datafusion::execution::runtime_env::RuntimeEnv;
use lake::{Settings, is_s3};
use serde::Serialize;
use signal_hook::consts::TERM_SIGNALS;
use signal_hook::iterator::Signals;
use tempfile::NamedTempFile;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use web::{Contexts, LoginToken, Site, SiteSettings, StartedRun, router};

use super::note;
use super::who::login;
use crate::background::{Background, RunArguments};
use crate::cli::{Format, Serve};
use crate::locations::Locations;
use crate::output::answer;
use crate::run::{as_of, clock};
use crate::{Failure, Kind};

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
    login_url: &'a str,
}

pub(crate) async fn serve(
    locations: Arc<Locations>,
    settings: Settings,
    (run, format): (RunArguments, Format),
    arguments: Serve,
) -> Result<(), Failure> {
    let cannot =
        |what: String| move |error: std::io::Error| Failure::new(Kind::Storage, format!("serve: {what}: {error}"));
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.port));
    let listener = TcpListener::bind(address).await.map_err(|error| {
        let free = "; --port 0 takes a free one";
        Failure::new(Kind::Storage, format!("serve: cannot listen on {address}: {error}{free}"))
    })?;
    let port = listener.local_addr().map_err(cannot("no address".to_owned()))?.port();
    let (token, text) = LoginToken::random().map_err(cannot("no token can be made".to_owned()))?;
    let person = arguments.by.or_else(|| login(&settings)).unwrap_or_else(|| "unknown user".to_owned());
    let site = SiteSettings {
        hosts: ["127.0.0.1", "localhost", "[::1]"].map(|name| format!("{name}:{port}")).into(),
        is_secure: false,
        read_only: arguments.read_only,
        person,
    };
    let lake = settings.lake.location.clone();
    let runtime = application::runtime(&settings)?;
    let background = Background::new(run, clock);
    let contexts = Arc::new(EachRequest { settings, locations, runtime, background });
    let pages = router(Arc::new(Site::new(Arc::<EachRequest>::clone(&contexts), site, token)));

    let url = format!("http://127.0.0.1:{port}/");
    let login_url = format!("{url}login?token={text}");
    let said = [
        format!("Serving the lake {lake} at {url}, to this machine only. Ctrl-C ends it."),
        format!("Open {login_url} (works once, in one browser)"),
    ];
    answer(format, &Served { url: &url, login_url: &login_url }, said)?;
    let _shown_until_the_end = match !arguments.no_open && std::io::stdout().is_terminal() {
        true => browse(&login_url),
        false => None,
    };
    let ended = Arc::new(Notify::new());
    end_on_signals(&ended)?;
    let asked_to_end = Arc::clone(&ended);
    let server = axum::serve(listener, pages).with_graceful_shutdown(async move { asked_to_end.notified().await });
    let gone = async {
        ended.notified().await;
        tokio::time::sleep(PATIENCE).await;
    };
    let served = tokio::select! {
        served = async { server.await } => served.map_err(cannot("the server ended".to_owned())),
        () = gone => Ok(()),
    };
    contexts.background.end();
    served
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
