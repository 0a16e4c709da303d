//! The files of the export as they were listed, to be listed again after they were read.

use std::sync::Arc;

use credit_ledger::ExportPeriods;
use detect_credits::listing::{
    CurrentFiles, ExportFile, LeftOut, Listing, Manifests, check_status, current_files, list,
};
use lake::{Generation, SourceFile};
use object_store::ObjectStore;

use crate::run::App;
use crate::{Failure, Kind};

/// Where the export lies.
#[derive(Clone)]
pub(crate) struct Place {
    store: Arc<dyn ObjectStore>,
    location: String,
    periods: ExportPeriods,
    /// Manifests that are fetched at once.
    at_once: usize,
}

/// The files that count, as they lie there.
pub(crate) struct Listed {
    place: Place,
    manifests: Manifests,
    current: CurrentFiles,
    pub(crate) files: Vec<ExportFile>,
    /// Files that do not count, and why.
    pub(crate) left_out: Vec<LeftOut>,
}

impl Place {
    /// # Errors
    /// [`Kind::NotYet`] where nothing is there.
    pub(crate) fn of(app: &App) -> Result<Self, Failure> {
        Ok(Self {
            store: app.places.open_export(&app.settings)?,
            location: app.settings.source.location.clone(),
            periods: app.export_periods(),
            at_once: app.fetched_at_once(),
        })
    }

    /// Lists the files.
    ///
    /// # Errors
    /// Where it cannot be said which files count.
    pub(crate) async fn list(self) -> Result<Listed, Failure> {
        let (manifests, current, unread) = self.current(&Manifests::default()).await?;
        let (files, mut left_out) = current.by_content(&self.store).await?;
        left_out.extend(unread);
        Ok(Listed { place: self, manifests, current, files, left_out })
    }

    async fn current(&self, known: &Manifests) -> Result<(Manifests, CurrentFiles, Vec<LeftOut>), Failure> {
        let listing = self.listing().await?;
        let unread = check_status(&self.store, &listing).await?;
        let manifests = Manifests::fetch(&self.store, &listing, known, self.at_once).await?;
        let files = current_files(&listing, &manifests, self.periods)?;
        Ok((manifests, files, unread))
    }

    async fn listing(&self) -> Result<Listing, Failure> {
        Ok(list(&self.store, &self.location).await?)
    }
}

impl Listed {
    pub(crate) const fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.place.store
    }

    /// Lists the export again: a file that changed while it was read may have been read half old, half new.
    ///
    /// # Errors
    /// [`Kind::NotYet`] where it changed.
    pub(crate) async fn check_unchanged(&self) -> Result<(), Failure> {
        let (_, now, _) = self.place.current(&self.manifests).await?;
        match self.current.first_other(&now) {
            None => Ok(()),
            Some(file) => {
                let message = format!("{}: the export changed while it was read; try again", file.path);
                Err(Failure::new(Kind::NotYet, message))
            }
        }
    }

    /// Why the export could not be read: because it changed meanwhile, or else `failure`.
    pub(crate) async fn changed_or(&self, failure: Failure) -> Failure {
        match self.check_unchanged().await {
            Err(changed) if changed.kind == Kind::NotYet => changed,
            _ => failure,
        }
    }
}

/// A file that a generation was read from and that the export still has, if any.
///
/// # Errors
/// Where the export cannot be listed.
pub(crate) async fn still_there(app: &App, generation: &Generation) -> Result<Option<String>, Failure> {
    let listing = match async { Place::of(app)?.listing().await }.await {
        Err(failure) if failure.kind == Kind::NotYet => return Ok(None),
        listing => listing?,
    };
    let is_there = |file: &&SourceFile| listing.has(&file.path, file.size, &file.version);
    Ok(generation.files.iter().find(is_there).map(|file| file.path.clone()))
}
