//! What goes over the wire to S3.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService, ReqwestConnector,
};

/// Requests to S3, retries too, and bytes that were fetched.
#[derive(Debug, Default)]
pub struct Traffic {
    requests: AtomicU64,
    bytes: AtomicU64,
}

impl Traffic {
    /// Requests so far.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Bytes of answers so far, listings included.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// Connects as the store does by itself, and counts.
#[derive(Debug)]
pub(crate) struct CountingConnector(pub(crate) Arc<Traffic>);

#[derive(Debug)]
struct CountingService {
    client: HttpClient,
    traffic: Arc<Traffic>,
}

impl HttpConnector for CountingConnector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(CountingService { client, traffic: Arc::clone(&self.0) }))
    }
}

#[async_trait]
impl HttpService for CountingService {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        self.traffic.requests.fetch_add(1, Ordering::Relaxed);
        let has_body = request.method() != "HEAD";
        let response = self.client.execute(request).await?;
        let length = response.headers().get("content-length").and_then(|length| length.to_str().ok()?.parse().ok());
        self.traffic.bytes.fetch_add(length.filter(|_| has_body).unwrap_or(0), Ordering::Relaxed);
        Ok(response)
    }
}
