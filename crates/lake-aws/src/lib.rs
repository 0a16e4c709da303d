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
mod traffic;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use iceberg::CatalogBuilder;
use iceberg_catalog_glue::GlueCatalogBuilder;
use lake::{EngineStore, Lake, LakeError, LakeParts, PeriodRange, RepairedLog, Settings};
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

    /// The region of the bucket at `s3://bucket/prefix`; none where S3 does not say.
    ///
    /// # Errors
    /// [`LakeError::BadInput`] for an address that is none.
    pub async fn region_of(&self, location: &str) -> Result<Option<String>, LakeError> {
        Ok(s3::region_of(&self.sdk, &S3Location::parse(location)?.bucket).await)
    }

    /// What lies at `s3://bucket/prefix`, as an object store; what is fetched is counted in `traffic`. The region is that of the SDK
    /// unless another one is stated.
    ///
    /// # Errors
    /// [`LakeError::BadInput`] for an address that is none, or without region or credentials.
    pub fn open_folder(
        &self,
        location: &str,
        region: Option<&str>,
        traffic: &Arc<Traffic>,
    ) -> Result<Arc<dyn ObjectStore>, LakeError> {
        let location = S3Location::parse(location)?;
        let bucket = s3::bucket(&self.sdk, &location.bucket, region, traffic)?;
        Ok(Arc::new(PrefixStore::new(bucket, location.prefix)))
    }

    /// The text of an object.
    ///
    /// # Errors
    /// [`LakeError::BadInput`] where there is none.
    pub async fn read_text(&self, location: &str) -> Result<String, LakeError> {
        let place = S3Location::parse(location)?;
        let bucket = s3::bucket(&self.sdk, &place.bucket, None, &Arc::default())?;
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
        let bucket = s3::bucket(&self.sdk, &location.bucket, None, &Arc::default())?;
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
            locks: Box::new(lease::Leases { objects, location: location.url() }),
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
            cost: settings.source.cost,
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
