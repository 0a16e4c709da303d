//! The files of the export as they were listed, to be listed again after they were read.

use std::sync::Arc;

use credit_ledger::ExportPeriods;
use cur_reader::ReadError;
use cur_reader::listing::{
    CurrentFiles, ExportFile, ExportLocation, Listing, Manifests, check_status, current_files, list,
};
use lake::{Generation, SourceFile};
use object_store::ObjectStore;
use schemas::records::LeftOut;

use crate::error::DetectError;

/// Where the export lies, or several, and how it is read.
#[derive(Debug, Clone)]
pub struct ExportSource {
    /// Its files.
    pub store: Arc<dyn ObjectStore>,
    /// What people call the places, and the folder of each in the store.
    pub locations: Vec<ExportLocation>,
    /// The billing periods that it can hold.
    pub periods: ExportPeriods,
    /// Manifests and footers that are fetched at once.
    pub fetched_at_once: usize,
    /// Parts that are read at once: of an export on S3 some wait for bytes while others are decoded.
    pub readers: usize,
}

/// The files that count, as they lie there.
pub(crate) struct Listed {
    source: ExportSource,
    manifests: Manifests,
    current: CurrentFiles,
    pub(crate) files: Vec<ExportFile>,
    /// Files that do not count, and why.
    pub(crate) left_out: Vec<LeftOut>,
}

impl ExportSource {
    /// Lists the files.
    ///
    /// # Errors
    /// Where it cannot be said which files count.
    pub(crate) async fn list_current(self) -> Result<Listed, DetectError> {
        let (manifests, current, unread) = self.current(&Manifests::default()).await?;
        let (files, mut left_out) = current.by_content(&self.store).await?;
        left_out.extend(unread);
        Ok(Listed { source: self, manifests, current, files, left_out })
    }

    async fn current(&self, known: &Manifests) -> Result<(Manifests, CurrentFiles, Vec<LeftOut>), DetectError> {
        let listing = self.listing().await?;
        let unread = check_status(&self.store, &listing).await?;
        let manifests = Manifests::fetch(&self.store, &listing, known, self.fetched_at_once).await?;
        let files = current_files(&listing, &manifests, self.periods)?;
        Ok((manifests, files, unread))
    }

    async fn listing(&self) -> Result<Listing, ReadError> {
        list(&self.store, &self.locations).await
    }
}

impl Listed {
    pub(crate) const fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.source.store
    }

    /// Parts that are read at once.
    pub(crate) const fn readers(&self) -> usize {
        self.source.readers
    }

    /// Lists the export again: a file that changed while it was read may have been read half old, half new.
    ///
    /// # Errors
    /// [`ReadError::NotYet`] where it changed.
    pub(crate) async fn check_unchanged(&self) -> Result<(), DetectError> {
        let (_, now, _) = self.source.current(&self.manifests).await?;
        match self.current.first_other(&now) {
            None => Ok(()),
            Some(file) => {
                let message = format!("{}: the export changed while it was read; try again", file.path);
                Err(ReadError::NotYet(message).into())
            }
        }
    }

    /// Why the export could not be read: because it changed meanwhile, or else `failure`.
    pub(crate) async fn changed_or(&self, failure: DetectError) -> DetectError {
        match self.check_unchanged().await {
            Err(changed @ DetectError::Read(ReadError::NotYet(_))) => changed,
            _ => failure,
        }
    }
}

/// A file that a generation was read from and that the export still has, if any.
///
/// # Errors
/// Where the export cannot be listed.
pub async fn still_there(source: &ExportSource, generation: &Generation) -> Result<Option<String>, DetectError> {
    let listing = match source.listing().await {
        Err(ReadError::NotYet(_)) => return Ok(None),
        listing => listing?,
    };
    let is_there = |file: &&SourceFile| listing.has(&file.path, file.size, &file.version);
    Ok(generation.files.iter().find(is_there).map(|file| file.path.clone()))
}
