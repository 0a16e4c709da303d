//! Where things lie: in folders or on S3.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use application::ReferenceSource;
use async_trait::async_trait;
use cur_reader::NamedExports;
use futures::TryStreamExt;
use lake::{Lake, ReferenceFiles, Settings, SourceSettings, is_s3, open_folder};
use object_store::{ObjectMeta, ObjectStore};
use schemas::records::Fetched;
use tokio::sync::{Mutex, OnceCell};

use crate::aws::{self, Aws, Traffic};
use crate::{Failure, Kind};

/// Opens what the settings name.
pub(crate) struct Locations {
    aws: Option<Arc<Aws>>,
    /// What was fetched of the export.
    traffic: Arc<Traffic>,
    reference: OnceCell<Arc<ReferenceFiles>>,
    /// As they were read before, with the list of them: for a server, which reads them for each request.
    reference_before: Arc<Mutex<Option<ListedFiles>>>,
}

/// The reference files, and the list of them that they were read by.
type ListedFiles = (Vec<ObjectMeta>, Arc<ReferenceFiles>);

/// The settings: a file, here or on S3, or their text; where neither is given, `credits.toml` of this folder or the
/// nearest one above.
///
/// # Errors
/// What is wrong with them.
pub(crate) fn settings(file: Option<&Path>, text: Option<&str>) -> Result<Settings, Failure> {
    match (file, text) {
        (Some(file), _) if is_s3(&file.to_string_lossy()) => settings_on_s3(&file.to_string_lossy()),
        (Some(file), _) => Ok(Settings::load(file)?),
        (None, Some(text)) => Ok(Settings::parse(text, "settings (FINOPS_CREDITS_SETTINGS)", ".")?),
        (None, None) => nearest_settings(Path::new("credits.toml")),
    }
}

/// The settings of this folder, or of the nearest one above that has some. A command of those above is not run: the folder may
/// be somebody else's.
fn nearest_settings(name: &Path) -> Result<Settings, Failure> {
    let file = nearest(name)?;
    let mut settings = Settings::load(&file)?;
    if file != name && settings.run.notify.take().is_some() {
        let file = file.display();
        tracing::warn!(
            "[run] notify of {file} is not used, as it lies in a folder above; give --config {file} if it is yours"
        );
    }
    Ok(settings)
}

/// The file of this name here, or in the nearest folder above that has one.
fn nearest(name: &Path) -> Result<PathBuf, Failure> {
    let here = std::env::current_dir().unwrap_or_default();
    if name.exists() {
        return Ok(name.to_owned());
    }
    let found = here.ancestors().map(|folder| folder.join(name)).find(|file| file.is_file());
    let found = found.ok_or_else(|| {
        let message = format!(
            "there is no {} here or in a folder above; `finops-credits init` makes one, --config names one elsewhere",
            name.display()
        );
        Failure::new(Kind::BadInput, message)
    })?;
    tracing::info!("settings file {}", found.display());
    Ok(found)
}

/// Read before anything else starts: they say how many threads there are.
fn settings_on_s3(file: &str) -> Result<Settings, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(Kind::Storage, format!("cannot start: {error}")))?;
    let text = runtime.block_on(async { Ok::<_, Failure>(aws::connect().await?.read_text(file).await?) })?;
    let base = file.rsplit_once('/').map_or(file, |(folder, _)| folder);
    Ok(Settings::parse(&text, &format!("settings file {file}"), base)?)
}

impl Locations {
    /// # Errors
    /// [`Kind::Usage`] where a setting names a place on S3 and the program is built without AWS.
    pub(crate) async fn of(settings: &Settings) -> Result<Self, Failure> {
        let locations = [&settings.reference.location, &settings.lake.location];
        let access = settings.web.as_ref().and_then(|web| web.access.as_ref());
        let is_on_aws =
            settings.source.has_remote() || locations.into_iter().chain(access).any(|location| is_s3(location));
        let aws = if is_on_aws { Some(Arc::new(aws::connect().await?)) } else { None };
        Ok(Self { aws, traffic: Arc::default(), reference: OnceCell::new(), reference_before: Arc::default() })
    }

    /// The same places, to be read again.
    pub(crate) fn again(&self) -> Self {
        Self {
            aws: self.aws.clone(),
            traffic: Arc::clone(&self.traffic),
            reference: OnceCell::new(),
            reference_before: Arc::clone(&self.reference_before),
        }
    }

    /// The way into AWS.
    ///
    /// # Errors
    /// [`Kind::Usage`] where no setting names a place on S3.
    pub(crate) fn aws(&self) -> Result<&Aws, Failure> {
        self.aws.as_deref().ok_or_else(|| Failure::new(Kind::Usage, "this needs a lake on S3; see [lake] location"))
    }

    /// The lake; one that is not there yet is made, if `makes`.
    pub(crate) async fn open_lake(&self, settings: &Settings, makes: bool) -> Result<Lake, Failure> {
        Ok(match is_s3(&settings.lake.location) {
            true => self.aws()?.open_lake(settings, makes).await?,
            false if makes => Lake::open_local(settings).await?,
            false => Lake::open_existing_local(settings).await?,
        })
    }

    /// What was fetched of the export so far, where it lies on S3.
    pub(crate) fn fetched(&self) -> Option<Fetched> {
        let fetched = Fetched { requests: self.traffic.requests(), bytes: self.traffic.bytes() };
        (fetched.requests > 0).then_some(fetched)
    }

    /// The export; of several each below its name.
    pub(crate) async fn open_exports(&self, settings: &Settings) -> Result<Arc<dyn ObjectStore>, Failure> {
        let mut named = Vec::new();
        for source in settings.source.iter() {
            let export = self.open_export(source).await?;
            match &source.name {
                None => return Ok(export),
                Some(name) => named.push((name.clone(), export)),
            }
        }
        Ok(Arc::new(NamedExports::new(named)))
    }

    async fn open_export(&self, source: &SourceSettings) -> Result<Arc<dyn ObjectStore>, Failure> {
        let location = &source.location;
        if is_s3(location) {
            return Ok(self.aws()?.open_export(source, &self.traffic).await?);
        }
        let setting = format!("{} location", source.section());
        open_folder(location, &setting)?.ok_or_else(|| {
            let message = format!("no billing export at {location}: the folder does not exist; set {setting}");
            Failure::new(Kind::NotYet, message)
        })
    }

    /// One file, here or on S3; `setting` names it.
    pub(crate) async fn read_file(&self, location: &str, setting: &str) -> Result<Vec<u8>, Failure> {
        if is_s3(location) {
            return Ok(self.aws()?.read_text(location).await?.into_bytes());
        }
        std::fs::read(location)
            .map_err(|error| Failure::new(Kind::BadInput, format!("{setting} {location} cannot be read: {error}")))
    }

    /// The reference files; those of before where their list is the same, with sizes, times and tags.
    async fn read_reference_files(&self, settings: &Settings) -> Result<Arc<ReferenceFiles>, Failure> {
        let location = &settings.reference.location;
        let files = match is_s3(location) {
            true => Some(self.aws()?.open_folder(location)?),
            false => open_folder(location, "[reference] location")?,
        };
        let mut listed: Vec<ObjectMeta> = match &files {
            Some(files) => files.list(None).try_collect().await.map_err(lake::LakeError::from)?,
            None => Vec::new(),
        };
        listed.sort_by(|left, right| left.location.cmp(&right.location));
        let mut before = self.reference_before.lock().await;
        if let Some((_, files)) = before.as_ref().filter(|(before, _)| *before == listed) {
            return Ok(Arc::clone(files));
        }
        let files = Arc::new(ReferenceFiles::load(location, files.as_ref()).await?);
        *before = Some((listed, Arc::clone(&files)));
        Ok(files)
    }
}

#[async_trait]
impl ReferenceSource for Locations {
    /// Read once: all jobs of one command have the same.
    async fn reference_files(&self, settings: &Settings) -> Result<Arc<ReferenceFiles>, Failure> {
        let read = self.reference.get_or_try_init(|| async { self.read_reference_files(settings).await });
        Ok(Arc::clone(read.await?))
    }
}

#[cfg(test)]
mod tests;
