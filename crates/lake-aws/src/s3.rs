//! S3 as an object store, with the SDK's way to region, credentials and endpoint.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use lake::{LakeError, SourceSettings};
use object_store::aws::{AmazonS3Builder, AwsCredential, resolve_bucket_region};
use object_store::client::CredentialProvider;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};
use tokio::sync::Mutex;

use crate::coalescing::CoalescingStore;
use crate::glue::innermost;
use crate::traffic::{CountingConnector, Traffic};

/// The region of a bucket, as S3 says; none where S3 does not answer, as in a network with a way to one region only, or where a
/// stand-in is in its place.
async fn region_of(sdk: &SdkConfig, name: &str) -> Option<String> {
    if sdk.endpoint_url().is_some() {
        return None;
    }
    let options = ClientOptions::new().with_connect_timeout(REGION).with_timeout(REGION);
    resolve_bucket_region(name, &options).await.ok()
}

/// The bucket of an export, from its root: in the role and the region that are stated, else by the program's own rights, and
/// where S3 says.
pub(crate) async fn export_bucket(
    sdk: &SdkConfig,
    name: &str,
    source: &SourceSettings,
    traffic: &Arc<Traffic>,
) -> Result<Arc<dyn ObjectStore>, LakeError> {
    let region = match &source.region {
        Some(region) => Some(region.clone()),
        None => region_of(sdk, name).await,
    };
    let Some(role) = &source.role_arn else { return store(sdk, name, region.as_deref(), None, traffic) };
    let provider = AssumeRoleProvider::builder(role).session_name("finops-credits").configure(sdk).build().await;
    let in_role = sdk.to_builder().credentials_provider(SharedCredentialsProvider::new(provider)).build();
    store(&in_role, name, region.as_deref(), Some(role), traffic)
}

/// A bucket, from its root, in the region of the SDK.
pub(crate) fn bucket(sdk: &SdkConfig, name: &str) -> Result<Arc<dyn ObjectStore>, LakeError> {
    store(sdk, name, None, None, &Arc::default())
}

fn store(
    sdk: &SdkConfig,
    name: &str,
    region: Option<&str>,
    role: Option<&str>,
    traffic: &Arc<Traffic>,
) -> Result<Arc<dyn ObjectStore>, LakeError> {
    let region = region.or_else(|| sdk.region().map(AsRef::as_ref)).ok_or_else(|| {
        LakeError::BadInput("no AWS region is set; set AWS_REGION, or a region in the AWS profile".to_owned())
    })?;
    let provider = sdk.credentials_provider().ok_or_else(|| {
        LakeError::BadInput("no AWS credentials are set; see `aws configure` or give the task a role".to_owned())
    })?;
    let whose = role.map_or_else(|| "AWS credentials".to_owned(), |role| format!("the AWS credentials of {role}"));
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(name)
        .with_region(region)
        .with_credentials(Arc::new(SdkCredentials { provider, whose, known: Mutex::default() }))
        .with_http_connector(CountingConnector(Arc::clone(traffic)))
        .with_client_options(ClientOptions::new().with_allow_http(true).with_timeout(REQUEST))
        .with_retry(retries());
    // Another endpoint is a stand-in: it has no address of its own for each bucket.
    if let Some(endpoint) = sdk.endpoint_url() {
        builder = builder.with_endpoint(endpoint).with_virtual_hosted_style_request(false);
    }
    Ok(Arc::new(CoalescingStore(Arc::new(builder.build()?))))
}

/// The question for a region.
const REGION: Duration = Duration::from_secs(5);

/// One request with its answer.
const REQUEST: Duration = Duration::from_secs(60);

/// Throttling, 5xx and broken connections: again after 0.2 s, then ever later, for about half a minute.
fn retries() -> RetryConfig {
    let backoff =
        BackoffConfig { init_backoff: Duration::from_millis(200), max_backoff: Duration::from_secs(8), base: 2. };
    RetryConfig { backoff, max_retries: 8, retry_timeout: Duration::from_secs(120) }
}

/// The SDK's credentials, asked for again shortly before they end.
#[derive(Debug)]
struct SdkCredentials {
    provider: SharedCredentialsProvider,
    /// How messages name them.
    whose: String,
    known: Mutex<Option<(Arc<AwsCredential>, Option<SystemTime>)>>,
}

const BEFORE_THE_END: Duration = Duration::from_secs(300);

#[async_trait]
impl CredentialProvider for SdkCredentials {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let mut known = self.known.lock().await;
        #[expect(clippy::disallowed_methods, reason = "credentials end by the clock; no result depends on it")]
        let soon = SystemTime::now() + BEFORE_THE_END;
        if let Some((credential, end)) = known.as_ref()
            && end.is_none_or(|end| soon < end)
        {
            return Ok(Arc::clone(credential));
        }
        let found = self.provider.provide_credentials().await;
        let found = found.map_err(|error| object_store::Error::Unauthenticated {
            path: self.whose.clone(),
            source: innermost(&error).into(),
        })?;
        let credential = Arc::new(AwsCredential {
            key_id: found.access_key_id().to_owned(),
            secret_key: found.secret_access_key().to_owned(),
            token: found.session_token().map(str::to_owned),
        });
        *known = Some((Arc::clone(&credential), found.expiry()));
        Ok(credential)
    }
}
