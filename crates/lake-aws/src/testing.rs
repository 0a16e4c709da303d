//! What the tests of this crate share: a stand-in for AWS on this machine, and a store that loses answers.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetRange, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult,
};
use serde_json::{Value, json};

/// What somebody asks of AWS.
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    /// `AWSGlue.GetTable`
    pub(crate) target: String,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// What AWS answers.
pub(crate) struct Answer {
    status: u16,
    body: Vec<u8>,
}

impl Answer {
    pub(crate) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, body: body.into() }
    }

    pub(crate) fn json(body: &Value) -> Self {
        Self::new(200, body.to_string())
    }

    /// A failure as the services that speak JSON tell it.
    pub(crate) fn failure(code: &str, message: &str) -> Self {
        Self::new(400, json!({"__type": code, "message": message, "Message": message}).to_string())
    }
}

type Answering = dyn FnMut(&Request) -> Answer + Send;

/// Answers on a port of this machine, one request after the other, until the test ends.
pub(crate) fn stand_in(answer: impl FnMut(&Request) -> Answer + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer: Arc<Mutex<Answering>> = Arc::new(Mutex::new(answer));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let answer = Arc::clone(&answer);
            std::thread::spawn(move || {
                // Whoever asks may go away in the middle.
                let _broken_off = serve(stream?, &answer);
                Ok::<_, std::io::Error>(())
            });
        }
    });
    url
}

fn serve(stream: TcpStream, answer: &Mutex<Answering>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut words = first.split(' ').map(str::to_owned);
    let request = Request {
        method: words.next().unwrap_or_default(),
        path: words.next().unwrap_or_default(),
        target: headers.remove("x-amz-target").unwrap_or_default(),
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    let answer = answer.lock().unwrap()(&request);
    let head = format!(
        "HTTP/1.1 {} told\r\ncontent-length: {}\r\nconnection: close\r\nx-amzn-requestid: r-1\r\n\
         etag: \"e\"\r\nlast-modified: Mon, 30 Nov 2026 08:00:00 GMT\r\n\r\n",
        answer.status,
        answer.body.len()
    );
    let mut stream = stream;
    stream.write_all(head.as_bytes())?;
    if request.method != "HEAD" {
        stream.write_all(&answer.body)?;
    }
    stream.flush()
}

/// A way to a stand-in; what fails is asked `attempts` times.
pub(crate) fn sdk(url: &str, attempts: u32) -> SdkConfig {
    // As `Aws::load` does it.
    let _set_before = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let credentials = Credentials::new("key", "secret", None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .endpoint_url(url)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .retry_config(
            RetryConfig::standard().with_max_attempts(attempts).with_initial_backoff(Duration::from_millis(1)),
        )
        .build()
}

/// The Glue catalogue of one database: where each table points, and its version.
#[derive(Default)]
pub(crate) struct Glue {
    pub(crate) tables: BTreeMap<String, (Value, u32)>,
    /// The tables that were made or changed, in order.
    pub(crate) changed: Vec<String>,
    /// The table whose next change is refused.
    pub(crate) refuses: Option<String>,
    /// The table whose next change is made and not answered.
    pub(crate) loses: Option<String>,
}

impl Glue {
    pub(crate) fn answer(&mut self, request: &Request) -> Answer {
        let asked = request.json();
        let input = asked["TableInput"].clone();
        let name = input["Name"].as_str().or(asked["Name"].as_str()).unwrap_or_default().to_owned();
        let known = self.tables.get(&name).map(|(_, version)| *version);
        match (request.target.as_str(), known) {
            ("AWSGlue.GetTable", None) => Answer::failure("EntityNotFoundException", "Entity Not Found"),
            ("AWSGlue.GetTable", Some(version)) => {
                let mut table = self.tables[&name].0.clone();
                table["VersionId"] = version.to_string().into();
                Answer::json(&json!({"Table": table}))
            }
            _ if self.refuses.take_if(|refused| *refused == name).is_some() => {
                Answer::failure("AccessDeniedException", "not authorized")
            }
            ("AWSGlue.CreateTable", Some(_)) => Answer::failure("AlreadyExistsException", "Table already exists."),
            ("AWSGlue.CreateTable", None) => self.change(name, input, 0),
            ("AWSGlue.UpdateTable", None) => Answer::failure("EntityNotFoundException", "Entity Not Found"),
            ("AWSGlue.UpdateTable", Some(version)) => match asked["VersionId"].as_str() {
                Some(named) if named != version.to_string() => Answer::failure(
                    "ConcurrentModificationException",
                    "Update table failed due to concurrent modifications.",
                ),
                _ => self.change(name, input, version + 1),
            },
            (other, _) => Answer::failure("UnknownOperationException", other),
        }
    }

    fn change(&mut self, name: String, input: Value, version: u32) -> Answer {
        self.changed.push(name.clone());
        self.tables.insert(name.clone(), (input, version));
        match self.loses.take_if(|lost| *lost == name) {
            Some(_) => Answer::new(500, json!({"__type": "InternalServiceException"}).to_string()),
            None => Answer::json(&json!({})),
        }
    }

    /// The location of a table.
    pub(crate) fn location(&self, name: &str) -> Option<String> {
        Some(self.tables.get(name)?.0["StorageDescriptor"]["Location"].as_str()?.to_owned())
    }
}

/// A store that does what it is asked, and loses some of its answers or gives them late.
#[derive(Debug)]
pub(crate) struct Losing {
    pub(crate) store: Arc<dyn ObjectStore>,
    /// So many of the next answers are lost.
    pub(crate) answers: Mutex<usize>,
    /// How long each answer to what is written takes.
    pub(crate) delay: Duration,
    /// So many of the next listings break off.
    pub(crate) listings: Mutex<usize>,
    /// What was asked for, in order.
    pub(crate) ranges: Mutex<Vec<GetRange>>,
}

impl Losing {
    pub(crate) fn new(store: Arc<dyn ObjectStore>, answers: usize, listings: usize) -> Arc<Self> {
        Arc::new(Self {
            store,
            answers: answers.into(),
            delay: Duration::ZERO,
            listings: listings.into(),
            ranges: Mutex::default(),
        })
    }

    /// One that loses nothing, and answers late.
    pub(crate) fn late(store: Arc<dyn ObjectStore>, delay: Duration) -> Arc<Self> {
        Arc::new(Self { store, answers: Mutex::default(), delay, listings: Mutex::default(), ranges: Mutex::default() })
    }
}

fn is_lost(left: &Mutex<usize>) -> object_store::Result<()> {
    let mut left = left.lock().unwrap();
    if *left == 0 {
        return Ok(());
    }
    *left -= 1;
    Err(object_store::Error::Generic { store: "test", source: "the answer is lost".into() })
}

impl fmt::Display for Losing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(formatter)
    }
}

#[async_trait]
impl ObjectStore for Losing {
    async fn put_opts(&self, path: &Path, bytes: PutPayload, how: PutOptions) -> object_store::Result<PutResult> {
        let put = self.store.put_opts(path, bytes, how).await?;
        tokio::time::sleep(self.delay).await;
        is_lost(&self.answers).map(|()| put)
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        how: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.store.put_multipart_opts(path, how).await
    }

    async fn get_opts(&self, path: &Path, how: GetOptions) -> object_store::Result<GetResult> {
        self.ranges.lock().unwrap().extend(how.range.clone());
        self.store.get_opts(path, how).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.store.delete_stream(paths)
    }

    fn list(&self, folder: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        match is_lost(&self.listings) {
            Ok(()) => self.store.list(folder),
            Err(lost) => Box::pin(futures::stream::iter([Err(lost)])),
        }
    }

    async fn list_with_delimiter(&self, folder: Option<&Path>) -> object_store::Result<ListResult> {
        is_lost(&self.listings)?;
        self.store.list_with_delimiter(folder).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, how: CopyOptions) -> object_store::Result<()> {
        self.store.copy_opts(from, to, how).await
    }
}
