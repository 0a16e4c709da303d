//! The files that count: those that manifests name, else all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use credit_ledger::{BillingPeriod, ExportPeriods};
use object_store::ObjectStore;

use schemas::records::LeftOut;

use super::left_out::Collected;
use super::manifest::{Manifest, Manifests};
use super::place::{self, Place, folder};
use super::{ExportFile, Listing, is_named_as_data, is_named_as_packed};
use crate::error::ReadError;
use crate::error::bad_file;
use crate::format::recognise;
use crate::raw::OpenFile;

/// The files that count, by path, and what is left out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CurrentFiles {
    /// Data files.
    files: BTreeSet<ExportFile>,
    /// Files whose names do not say what they are.
    unknown: BTreeSet<ExportFile>,
    left_out: Collected,
}

/// The files that count.
///
/// # Errors
/// [`ReadError::NotYet`] where a manifest names a file that is not there; [`ReadError::BadExport`] where a path or
/// a manifest names a period that cannot be, or it cannot be said which files are current.
pub fn current_files(
    listing: &Listing,
    manifests: &Manifests,
    periods: ExportPeriods,
) -> Result<CurrentFiles, ReadError> {
    let possible = |path: &str, period: Option<BillingPeriod>| match period.map(|period| periods.check(period)) {
        Some(Err(wrong)) => Err(bad_file(path, format!("{wrong}; move what is not part of the export elsewhere"))),
        _ => Ok(()),
    };
    let mut candidates: BTreeMap<(String, Option<BillingPeriod>), Vec<&Manifest>> = BTreeMap::new();
    for manifest in manifests.iter() {
        possible(&manifest.path, manifest.period)?;
        candidates.entry((manifest.place.root.clone(), manifest.period)).or_default().push(manifest);
    }
    let mut current = CurrentFiles { left_out: listing.left_out.clone(), ..CurrentFiles::default() };
    for path in manifests.others() {
        current.left_out.add(path, "is named as a manifest, but names no data files");
    }
    let (mut governed, mut named) = (Governed::default(), BTreeSet::new());
    let roots: BTreeSet<&str> = candidates.keys().map(|(root, _)| root.as_str()).collect();
    for ((root, period), manifests) in &candidates {
        governed.periods.insert((root.clone(), *period));
        let manifest = nearest(manifests)?;
        for name in &manifest.files {
            let file = listing.resolve(manifest, name, &roots)?;
            governed.periods.insert((Place::of(&file.path).root, *period));
            governed.folders.insert(folder(&file.path).to_owned(), manifest.path.clone());
            named.insert(file.path.as_str());
            current.files.insert(ExportFile { export: root.clone(), ..file.clone() });
        }
    }
    let mut executions: Executions = BTreeMap::new();
    for file in listing.files.values().filter(|file| !named.contains(file.path.as_str())) {
        let place = Place::of(&file.path);
        possible(&file.path, place.period)?;
        match governed.place(&place) {
            Rule::Free => {}
            Rule::Named => {
                if let Some(manifest) = governed.folders.get(folder(&file.path)) {
                    current.left_out.add(&file.path, &format!("{manifest} does not name it"));
                } else if place.period.is_none() || !is_named_as_data(&file.path) {
                    current.left_out.add(&file.path, "no manifest names it");
                }
                continue;
            }
            Rule::InProgress(period) => {
                let path = format!("{}/", folder(&file.path));
                let reason = format!("{period} has no manifest yet: its delivery is in progress");
                current.left_out.add(&path, &reason);
                continue;
            }
        }
        if !is_named_as_data(&file.path) {
            current.unknown.insert(file.clone());
            continue;
        }
        if let Some(period) = place.period {
            executions.entry((place.root, period)).or_default().insert((place.spelled, place.below));
        }
        current.files.insert(file.clone());
    }
    one_execution(executions)?;
    if current.files.is_empty() && current.unknown.is_empty() {
        let paths: Vec<&str> = listing.manifests.keys().map(String::as_str).collect();
        let message = format!("{}: names no data file; wait for the delivery", paths.join(", "));
        return Err(ReadError::NotYet(message));
    }
    Ok(current)
}

/// What manifests speak for.
#[derive(Debug, Default)]
struct Governed {
    /// Exports and their periods; no period: all of them.
    periods: BTreeSet<(String, Option<BillingPeriod>)>,
    /// Folders that hold a file which a manifest names, and the manifest.
    folders: BTreeMap<String, String>,
}

/// What counts at a place, of files that no manifest names.
enum Rule {
    /// All.
    Free,
    /// None: a manifest says what does.
    Named,
    /// None: other periods of the export have a manifest, so this one's is still to come.
    InProgress(BillingPeriod),
}

impl Governed {
    fn place(&self, place: &Place) -> Rule {
        let of_export = |root: &str| root == place.root || (place.period.is_none() && is_below(&place.root, root));
        let mut of_export = self.periods.iter().filter(|(root, _)| of_export(root)).peekable();
        if of_export.peek().is_none() {
            return Rule::Free;
        }
        match place.period {
            Some(period) if !of_export.any(|(_, named)| named.is_none_or(|named| named == period)) => {
                Rule::InProgress(period)
            }
            _ => Rule::Named,
        }
    }
}

fn is_below(folder: &str, root: &str) -> bool {
    folder.strip_prefix(root).is_some_and(|rest| rest.starts_with('/'))
}

/// The executions of each period of an export: the period's folder as it is spelled, and the folders below it.
type Executions = BTreeMap<(String, BillingPeriod), BTreeSet<(String, String)>>;

/// Of several executions of a period only a manifest can say which counts.
fn one_execution(executions: Executions) -> Result<(), ReadError> {
    let Some(((root, period), folders)) = executions.into_iter().find(|(_, folders)| folders.len() > 1) else {
        return Ok(());
    };
    let number = folders.len();
    let is_spelled_alike =
        folders.iter().all(|(spelled, _)| folders.first().is_some_and(|(first, _)| first == spelled));
    let named = |(spelled, below): (String, String)| match (is_spelled_alike, below.is_empty()) {
        (true, true) => "no folder".to_owned(),
        (true, false) => below,
        (false, true) => spelled,
        (false, false) => format!("{spelled}/{below}"),
    };
    let folders: Vec<String> = folders.into_iter().map(named).collect();
    Err(bad_file(
        &place::named(&root),
        format!(
            "billing period {period} has {number} executions and no manifest says which one counts: {}; \
             copy the metadata folder too, or remove the old ones",
            folders.join(", ")
        ),
    ))
}

/// The manifest that counts: the one nearest the period's folder, of several executions the newest.
fn nearest<'a>(manifests: &[&'a Manifest]) -> Result<&'a Manifest, ReadError> {
    let depth =
        |manifest: &Manifest| if manifest.place.below.is_empty() { 0 } else { manifest.place.below.split('/').count() };
    let least = manifests.iter().map(|manifest| depth(manifest)).min().unwrap_or(0);
    let mut near: Vec<&Manifest> = manifests.iter().copied().filter(|manifest| depth(manifest) == least).collect();
    near.sort_by_key(|manifest| manifest.place.instant());
    match near.as_slice() {
        [only] => Ok(only),
        [.., newest] if near.iter().all(|manifest| manifest.place.is_dated()) => Ok(newest),
        [.., last] => {
            let mut paths: Vec<&str> = near.iter().map(|manifest| manifest.path.as_str()).collect();
            paths.sort_unstable();
            let of = last.period.map_or("the export".to_owned(), |period| format!("billing period {period}"));
            let message = format!(
                "{of} has several manifests, and it cannot be said which one counts: {}; keep one of them",
                paths.join(", ")
            );
            Err(bad_file(&last.path, message))
        }
        [] => Err(ReadError::NotYet("no manifest".to_owned())),
    }
}

impl Listing {
    /// The local file of a manifest's entry, by the longest path suffix that exists. Exports with manifests of their own, at
    /// `roots`, have files of the same names.
    fn resolve(&self, manifest: &Manifest, name: &str, roots: &BTreeSet<&str>) -> Result<&ExportFile, ReadError> {
        let bare = name.split_once("://").map_or(name, |(_, path)| path);
        let parts: Vec<&str> = bare.split('/').filter(|part| !part.is_empty()).collect();
        let shortest = if parts.len() > 1 { 2 } else { 1 };
        let of_name = parts.last().and_then(|last| self.by_name.get(*last)).into_iter().flatten();
        let is_open = |file: &&ExportFile| {
            let root = Place::of(&file.path).root;
            root == manifest.place.root || !roots.contains(root.as_str())
        };
        let of_name: Vec<&ExportFile> = of_name.filter_map(|path| self.files.get(path)).filter(is_open).collect();
        for length in (shortest..=parts.len()).rev() {
            let suffix = parts.get(parts.len() - length..).unwrap_or_default().join("/");
            let longer = format!("/{suffix}");
            let found = of_name.iter().copied().filter(|file| file.path == suffix || file.path.ends_with(&longer));
            let found: Vec<&ExportFile> = found.filter(|file| length > 1 || belongs(manifest, file)).collect();
            let in_root: Vec<&&ExportFile> =
                found.iter().filter(|file| Place::of(&file.path).root == manifest.place.root).collect();
            match (found.as_slice(), in_root.as_slice()) {
                ([only], _) => return Ok(only),
                (_, [only]) => return Ok(only),
                ([], _) => {}
                _ => return Err(bad_file(&manifest.path, format!("{name} could be any of {} files", found.len()))),
            }
        }
        let beside = manifest.path.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
        let beside = parts.last().and_then(|file| self.files.get(&format!("{beside}{file}")));
        beside.ok_or_else(|| {
            ReadError::NotYet(format!(
                "{}: names {name}, which is not there; wait for the delivery or copy the file",
                manifest.path
            ))
        })
    }
}

/// True for a file of the manifest's period and execution, for entries without a path.
fn belongs(manifest: &Manifest, file: &ExportFile) -> bool {
    let place = Place::of(&file.path);
    place.root == manifest.place.root && place.period == manifest.period && place.below == manifest.place.below
}

impl CurrentFiles {
    /// The first file that is not in both.
    #[must_use]
    pub fn first_other<'a>(&'a self, now: &'a Self) -> Option<&'a ExportFile> {
        let files = self.files.symmetric_difference(&now.files).next();
        files.or_else(|| self.unknown.symmetric_difference(&now.unknown).next())
    }

    /// Looks into the files whose names do not say what they are: the data files, in order of the path, and what is left
    /// out.
    ///
    /// # Errors
    /// [`ReadError::BadExport`] for one that is meant as data and cannot be read.
    pub async fn by_content(&self, store: &Arc<dyn ObjectStore>) -> Result<(Vec<ExportFile>, Vec<LeftOut>), ReadError> {
        let (mut files, mut left_out) = (self.files.clone(), self.left_out.clone());
        for file in &self.unknown {
            match OpenFile::open(store, file).await {
                Ok(open) if recognise(&open.names).is_some() => {
                    files.insert(file.clone());
                }
                Ok(_) => left_out.add(&file.path, "holds no columns of a billing export"),
                Err(ReadError::BadExport(problems))
                    if OpenFile::is_meant_as_data(store, file, is_named_as_packed(&file.path)).await? =>
                {
                    return Err(ReadError::BadExport(problems));
                }
                Err(ReadError::BadExport(_)) => left_out.add(&file.path, "is no Parquet, CSV, gzip or ZIP file"),
                Err(other) => return Err(other),
            }
        }
        if files.is_empty() {
            let named: Vec<String> = left_out.list().map(|file| format!("{} {}", file.path, file.reason)).collect();
            return Err(ReadError::NotYet(format!("no data file of a billing export yet: {}", named.join("; "))));
        }
        Ok((files.into_iter().collect(), left_out.list().collect()))
    }
}
