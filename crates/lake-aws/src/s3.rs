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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use aws_config::{BehaviorVersion, Region};
    use aws_credential_types::Credentials;
    use aws_credential_types::provider::{error::CredentialsError, future};

    use super::*;

    /// Gives credentials that end after so many seconds, if ever; without a key it has none to give.
    #[derive(Debug)]
    struct Issuer {
        key: Option<&'static str>,
        lasts: Option<u64>,
        asked: Arc<AtomicUsize>,
    }

    impl ProvideCredentials for Issuer {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            #[expect(clippy::disallowed_methods, reason = "credentials end by the clock")]
            let now = SystemTime::now();
            let number = self.asked.fetch_add(1, Ordering::Relaxed);
            let end = self.lasts.map(|seconds| now + Duration::from_secs(seconds));
            let issued =
                |key: &str| Credentials::new(format!("{key}-{number}"), "s", Some("t".to_owned()), end, "test");
            let issued = self.key.map(issued);
            future::ProvideCredentials::ready(issued.ok_or_else(|| CredentialsError::not_loaded("the role is gone")))
        }
    }

    fn credentials_of(issuer: Issuer) -> SdkCredentials {
        let whose = "the AWS credentials of a role".to_owned();
        SdkCredentials { provider: SharedCredentialsProvider::new(issuer), whose, known: Mutex::default() }
    }

    async fn keys(lasts: Option<u64>) -> Vec<String> {
        let issuer = Issuer { key: Some("k"), lasts, asked: Arc::default() };
        let credentials = credentials_of(issuer);
        let mut keys = Vec::new();
        for _request in 0..3 {
            let credential = credentials.get_credential().await.unwrap();
            assert_eq!((credential.secret_key.as_str(), credential.token.as_deref()), ("s", Some("t")));
            keys.push(credential.key_id.clone());
        }
        keys
    }

    #[tokio::test]
    async fn credentials_are_asked_for_again_shortly_before_they_end_and_not_sooner() {
        assert_eq!(keys(None).await, ["k-0", "k-0", "k-0"]);
        assert_eq!(keys(Some(3600)).await, ["k-0", "k-0", "k-0"]);
        assert_eq!(keys(Some(240)).await, ["k-0", "k-1", "k-2"], "a request could outlive them");
    }

    #[tokio::test]
    async fn credentials_that_are_not_given_are_no_damage_and_are_asked_for_again() {
        let asked = Arc::new(AtomicUsize::new(0));
        let issuer = Issuer { key: None, lasts: None, asked: Arc::clone(&asked) };
        let credentials = credentials_of(issuer);
        for _request in 0..2 {
            let refused = LakeError::from(credentials.get_credential().await.unwrap_err());
            let is_told = matches!(&refused, LakeError::Denied(text) if text.contains("the AWS credentials of a role") && text.contains("the role is gone"));
            assert!(is_told, "{refused:?}");
        }
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn bucket_without_a_region_or_credentials_says_how_to_set_them() {
        let config = || SdkConfig::builder().behavior_version(BehaviorVersion::latest());
        let told =
            |sdk: &SdkConfig, region| store(sdk, "b", region, None, &Arc::default()).map(drop).unwrap_err().to_string();
        let no_region = "no AWS region is set; set AWS_REGION, or a region in the AWS profile";
        assert_eq!(told(&config().build(), None), no_region);
        let no_credentials = "no AWS credentials are set; see `aws configure` or give the task a role";
        assert_eq!(told(&config().region(Region::new("eu-central-1")).build(), None), no_credentials);
        assert_eq!(told(&config().build(), Some("us-east-1")), no_credentials, "a stated region is enough");
    }
}
