//! The lake on AWS: files on S3, Iceberg logs and published tables in the Glue catalogue, checks in Athena.
//!
//! The only crate that knows AWS. Region, credentials and endpoint are found the way the AWS SDK finds them.
//!
//! ```text
//! export, reference, lake files ── S3 ──── object_store, credentials of the SDK, TLS by rustls on aws-lc
//! credits_log, allocations_log, runs_log ─ Glue (conditional updates) + the same S3 client
//! net_cost, …, reconciliation ──────────── Glue: the location is the pointer, one conditional update per table
//! one job at a time ────────────────────── lock.json, a lease kept by conditional writes
//! ```

mod athena;
mod coalescing;
mod glue;
mod lease;
mod location;
mod pointer;
mod s3;
mod storage;
#[cfg(test)]
mod testing;
mod traffic;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use iceberg::CatalogBuilder;
use iceberg_catalog_glue::GlueCatalogBuilder;
use lake::{EngineStore, Lake, LakeError, LakeParts, PeriodRange, RepairedLog, Settings, SourceSettings};
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreExt};

pub use athena::Breach;
pub use traffic::Traffic;

use crate::glue::{GlueTables, refused};
use crate::location::S3Location;

/// A way into AWS.
#[derive(Debug, Clone)]
pub struct Aws {
    sdk: SdkConfig,
}

impl Aws {
    /// Finds region, credentials and endpoint. Asks nothing of AWS yet.
    pub async fn load() -> Self {
        // Two TLS libraries are linked in; one of them must be said to be the one. Set before: fine.
        let _set_before = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let deadlines = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(5))
            .operation_attempt_timeout(Duration::from_secs(30))
            .operation_timeout(Duration::from_secs(120))
            .build();
        let sdk = aws_config::defaults(BehaviorVersion::latest())
            .retry_config(RetryConfig::standard().with_max_attempts(8))
            .timeout_config(deadlines)
            .load()
            .await;
        Self { sdk }
    }

    /// An export, with the role and the region that are stated, else the region that S3 names; what is fetched is counted in
    /// `traffic`.
    ///
    /// # Errors
    /// [`LakeError::BadInput`] for an address that is none, or without region or credentials.
    pub async fn open_export(
        &self,
        source: &SourceSettings,
        traffic: &Arc<Traffic>,
    ) -> Result<Arc<dyn ObjectStore>, LakeError> {
        let location = S3Location::parse(&source.location)?;
        let bucket = s3::export_bucket(&self.sdk, &location.bucket, source, traffic).await?;
        Ok(Arc::new(PrefixStore::new(bucket, location.prefix)))
    }

    /// What lies at `s3://bucket/prefix`, as an object store, in the region of the SDK.
    ///
    /// # Errors
    /// [`LakeError::BadInput`] for an address that is none, or without region or credentials.
    pub fn open_folder(&self, location: &str) -> Result<Arc<dyn ObjectStore>, LakeError> {
        let location = S3Location::parse(location)?;
        let bucket = s3::bucket(&self.sdk, &location.bucket)?;
        Ok(Arc::new(PrefixStore::new(bucket, location.prefix)))
    }

    /// The text of an object.
    ///
    /// # Errors
    /// [`LakeError::BadInput`] where there is none.
    pub async fn read_text(&self, location: &str) -> Result<String, LakeError> {
        let place = S3Location::parse(location)?;
        let bucket = s3::bucket(&self.sdk, &place.bucket)?;
        let found = bucket.get(&place.prefix).await.map_err(|error| match error {
            object_store::Error::NotFound { .. } => LakeError::BadInput(format!("{location} does not exist")),
            other => other.into(),
        })?;
        let bytes = found.bytes().await?.to_vec();
        String::from_utf8(bytes).map_err(|_error| LakeError::BadInput(format!("{location} is not UTF-8")))
    }

    /// Whose credentials these are, as an ARN.
    ///
    /// # Errors
    /// [`LakeError`] where AWS refuses them.
    pub async fn caller(&self) -> Result<String, LakeError> {
        let asked = aws_sdk_sts::Client::new(&self.sdk).get_caller_identity().send().await;
        let caller = asked.map_err(|error| refused("asking AWS who you are", error))?;
        Ok(caller.arn().unwrap_or("arn:unknown").to_owned())
    }

    /// How AWS tells whose credentials these are from others, as policies do by `aws:userid`: `AIDA…` of a user, `AROA…:session`
    /// of a role.
    ///
    /// # Errors
    /// [`LakeError`] where AWS refuses them.
    pub async fn user_id(&self) -> Result<String, LakeError> {
        let asked = aws_sdk_sts::Client::new(&self.sdk).get_caller_identity().send().await;
        let caller = asked.map_err(|error| refused("asking AWS who you are", error))?;
        caller.user_id().map(str::to_owned).ok_or_else(|| LakeError::Service("AWS does not say who you are".to_owned()))
    }

    /// Opens the lake of the settings; the logs of a new one are made, if `makes`.
    ///
    /// # Errors
    /// [`LakeError`] where S3 or Glue refuse; [`LakeError::Damaged`] where Glue has lost the logs; [`LakeError::NotYet`]
    /// where there is no lake and none is to be made.
    pub async fn open_lake(&self, settings: &Settings, makes: bool) -> Result<Lake, LakeError> {
        Lake::of_parts(self.lake_parts(settings).await?, settings, makes).await
    }

    /// Registers the logs of the lake again; see [`Lake::repair`].
    ///
    /// # Errors
    /// Those of [`Lake::repair`].
    pub async fn repair_lake(&self, settings: &Settings, accept_loss: bool) -> Result<Vec<RepairedLog>, LakeError> {
        Lake::repair(self.lake_parts(settings).await?, settings, accept_loss).await
    }

    async fn lake_parts(&self, settings: &Settings) -> Result<LakeParts, LakeError> {
        let location = S3Location::parse(&settings.lake.location)?;
        let bucket = s3::bucket(&self.sdk, &location.bucket)?;
        let objects: Arc<dyn ObjectStore> = Arc::new(PrefixStore::new(Arc::clone(&bucket), location.prefix.clone()));
        let warehouse = format!("{}/warehouse", location.url());
        let files = storage::BucketStorage::new(&location.bucket, Arc::clone(&bucket));
        let catalog = GlueCatalogBuilder::default()
            .with_storage_factory(Arc::new(storage::BucketStorageFactory(files)))
            .load("glue", HashMap::from([("warehouse".to_owned(), warehouse.clone())]))
            .await?;
        Ok(LakeParts {
            location: location.url(),
            objects: Arc::clone(&objects),
            engine: EngineStore { url: format!("{}/", location.url()), host: Some(bucket) },
            folder: None,
            pointer: Box::new(pointer::GluePointer::new(self.tables(settings, &location))),
            locks: Box::new(lease::Leases::new(objects, location.url())),
            catalog: Arc::new(catalog),
            catalog_name: format!("the Glue database {}", settings.lake.database),
            warehouse,
        })
    }

    /// Asks all checks over a staged run in Athena; nothing found: nothing is off.
    ///
    /// # Errors
    /// [`LakeError`] where Glue or Athena refuse.
    pub async fn check_staged(
        &self,
        settings: &Settings,
        run_id: &str,
        periods: PeriodRange,
    ) -> Result<Vec<Breach>, LakeError> {
        let location = S3Location::parse(&settings.lake.location)?;
        let checker = athena::Checker {
            client: aws_sdk_athena::Client::new(&self.sdk),
            tables: self.tables(settings, &location),
            workgroup: settings.athena.workgroup.clone(),
            cost: settings.source.cost(),
        };
        checker.check(run_id, periods).await
    }

    fn tables(&self, settings: &Settings, location: &S3Location) -> GlueTables {
        GlueTables {
            client: aws_sdk_glue::Client::new(&self.sdk),
            database: settings.lake.database.clone(),
            lake: location.url(),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;

    use super::*;
    use crate::testing::{Answer, Request, sdk, stand_in};

    fn aws(answer: impl FnMut(&Request) -> Answer + Send + 'static) -> Aws {
        Aws { sdk: sdk(&stand_in(answer), 1) }
    }

    #[tokio::test]
    async fn caller_is_whom_aws_names_and_refused_credentials_are_told() {
        let arn = "arn:aws:sts::111122223333:assumed-role/nightly/task";
        let who = aws(move |request| {
            assert!(request.body.contains("Action=GetCallerIdentity"), "{}", request.body);
            let result = format!(
                "<GetCallerIdentityResult><Arn>{arn}</Arn><Account>111122223333</Account></GetCallerIdentityResult>"
            );
            let xmlns = "https://sts.amazonaws.com/doc/2011-06-15/";
            Answer::new(
                200,
                format!("<GetCallerIdentityResponse xmlns=\"{xmlns}\">{result}</GetCallerIdentityResponse>"),
            )
        });
        assert_eq!(who.caller().await.unwrap(), arn);
        let expired = aws(|_| {
            let error = "<Error><Type>Sender</Type><Code>AccessDenied</Code><Message>no</Message></Error>";
            Answer::new(403, format!("<ErrorResponse>{error}<RequestId>r-2</RequestId></ErrorResponse>"))
        });
        let refused = expired.caller().await.unwrap_err();
        let beginning = "asking AWS who you are: AccessDenied: no (request ";
        assert!(matches!(&refused, LakeError::Denied(text) if text.starts_with(beginning)), "{refused:?}");
    }

    #[tokio::test]
    async fn text_of_an_object_is_read_whole_or_said_to_be_missing_or_no_text() {
        let aws = aws(|request| match request.path.as_str() {
            "/bucket/conf/credits.toml" => Answer::new(200, "[source]\n"),
            "/bucket/conf/latin.toml" => Answer::new(200, b"Gr\xf6\xdfe".to_vec()),
            "/bucket/conf/secret.toml" => Answer::new(403, "<Error><Code>AccessDenied</Code></Error>"),
            _ => Answer::new(404, "<Error><Code>NoSuchKey</Code></Error>"),
        });
        assert_eq!(aws.read_text("s3://bucket/conf/credits.toml").await.unwrap(), "[source]\n");
        let told = async |location: &str| aws.read_text(location).await.unwrap_err();
        assert_eq!(told("s3://bucket/conf/none.toml").await.to_string(), "s3://bucket/conf/none.toml does not exist");
        assert_eq!(told("s3://bucket/conf/latin.toml").await.to_string(), "s3://bucket/conf/latin.toml is not UTF-8");
        let denied = told("s3://bucket/conf/secret.toml").await;
        assert!(matches!(&denied, LakeError::Denied(text) if text.starts_with("storage: ")), "{denied:?}");
        let nowhere = "\"conf/credits.toml\" is no place on S3 (s3://bucket/prefix)";
        assert_eq!(told("conf/credits.toml").await.to_string(), nowhere);
    }

    #[tokio::test]
    async fn folder_holds_what_lies_below_its_prefix_and_what_is_fetched_is_counted() {
        let aws = aws(|request| match (request.method.as_str(), request.path.as_str()) {
            ("HEAD", "/bucket/exports/cur/a.csv") => Answer::new(200, "twelve bytes"),
            ("GET", "/bucket/exports/cur/a.csv") => Answer::new(200, "twelve bytes"),
            ("GET", path) if path.starts_with("/bucket?") => {
                assert!(path.contains("prefix=exports%2Fcur%2F"), "{path}");
                let file = "<Contents><Key>exports/cur/a.csv</Key><LastModified>2026-11-30T08:00:00.000Z</LastModified>\
                            <ETag>\"e\"</ETag><Size>12</Size></Contents>";
                Answer::new(200, format!("<ListBucketResult>{file}<IsTruncated>false</IsTruncated></ListBucketResult>"))
            }
            _ => Answer::new(404, ""),
        });
        let traffic = Arc::new(Traffic::default());
        let folder = aws.open_export(&source("s3://bucket/exports/cur/"), &traffic).await.unwrap();
        let listed: Vec<_> = folder.list(None).try_collect().await.unwrap();
        assert_eq!(listed.iter().map(|file| file.location.as_ref()).collect::<Vec<_>>(), ["a.csv"]);
        let (requests, bytes) = (traffic.requests(), traffic.bytes());
        assert_eq!(requests, 1);
        let place = object_store::path::Path::from("a.csv");
        assert_eq!(folder.head(&place).await.unwrap().size, 12);
        assert_eq!((traffic.requests(), traffic.bytes()), (requests + 1, bytes), "a question has no body");
        assert_eq!(folder.get(&place).await.unwrap().bytes().await.unwrap(), "twelve bytes");
        assert_eq!((traffic.requests(), traffic.bytes()), (requests + 2, bytes + 12));
        assert!(matches!(folder.get(&"none".into()).await.map(drop), Err(object_store::Error::NotFound { .. })));
    }

    fn source(location: &str) -> SourceSettings {
        let text = "source.location = \"cur\"\nreference.location = \"reference\"\nlake.location = \"lake\"";
        let settings = Settings::parse(text, "settings", "/").unwrap();
        let source = settings.source.iter().next().unwrap().clone();
        SourceSettings { location: location.to_owned(), ..source }
    }

    #[tokio::test]
    async fn region_of_a_bucket_is_not_asked_of_a_stand_in_and_a_place_that_is_none_is_refused() {
        let aws = aws(|_| panic!("somebody asks"));
        assert!(aws.open_export(&source("s3://bucket/cur"), &Arc::default()).await.is_ok());
        let refused = aws.open_export(&source("s3:///cur"), &Arc::default()).await.map(drop).unwrap_err().to_string();
        assert_eq!(refused, "\"s3:///cur\" is no place on S3 (s3://bucket/prefix)");
        assert!(aws.open_folder("s3://").is_err());
    }
}
