//! The inputs: the export's folder and the reference files.

use std::path::Path;
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use schemas::reference::{
    AllocationRow, Budget, CostRules, Hierarchy, Problems, parse_allocations, parse_budgets, parse_cost_rules,
    parse_hierarchy,
};

use crate::error::at;
use crate::{LakeError, Settings};

/// The export's location as an object store.
///
/// # Errors
/// [`LakeError::NotYet`] where the folder is not there.
pub fn open_export(settings: &Settings) -> Result<Arc<dyn ObjectStore>, LakeError> {
    let location = Path::new(&settings.source.location);
    if !location.is_dir() {
        return Err(LakeError::NotYet(format!(
            "no billing export at {}: the folder does not exist; set [source] location",
            location.display()
        )));
    }
    Ok(Arc::new(LocalFileSystem::new_with_prefix(location)?))
}

/// What people keep about the organisation.
#[derive(Debug, Clone)]
pub struct ReferenceFiles {
    /// `hierarchy.csv`
    pub hierarchy: Hierarchy,
    /// `cost_rules.csv`
    pub cost_rules: CostRules,
    /// `budgets.csv`; none without the file.
    pub budgets: Vec<Budget>,
    /// `allocations.csv`, taken over once by a lake without allocations.
    pub allocations: Vec<AllocationRow>,
}

impl ReferenceFiles {
    /// Reads and checks all reference files; every bad row of every file is reported at once.
    ///
    /// # Errors
    /// [`LakeError::BadRows`], or [`LakeError::BadInput`] that names a missing file.
    pub fn load(settings: &Settings) -> Result<Self, LakeError> {
        let folder = Path::new(&settings.reference.location);
        let hierarchy_bytes = required(folder, "hierarchy.csv")?;
        let rules_bytes = required(folder, "cost_rules.csv")?;
        let hierarchy = parse_hierarchy("hierarchy.csv", &hierarchy_bytes)?;
        let mut problems = Problems::default();
        let cost_rules = kept(&mut problems, parse_cost_rules("cost_rules.csv", &rules_bytes, &hierarchy));
        let budgets = optional(folder, "budgets.csv")?;
        let budgets = budgets.map(|bytes| kept(&mut problems, parse_budgets("budgets.csv", &bytes, &hierarchy)));
        let allocations = optional(folder, "allocations.csv")?;
        let allocations = allocations.map(|bytes| kept(&mut problems, parse_allocations("allocations.csv", &bytes)));
        Ok(problems.or(Self {
            hierarchy,
            cost_rules,
            budgets: budgets.unwrap_or_default(),
            allocations: allocations.unwrap_or_default(),
        })?)
    }
}

fn kept<T: Default>(problems: &mut Problems, parsed: Result<T, Problems>) -> T {
    parsed.unwrap_or_else(|found| {
        problems.0.extend(found.0);
        T::default()
    })
}

fn required(folder: &Path, name: &str) -> Result<Vec<u8>, LakeError> {
    let path = folder.join(name);
    optional(folder, name)?.ok_or_else(|| {
        LakeError::BadInput(format!("reference file {} does not exist; see [reference] location", path.display()))
    })
}

fn optional(folder: &Path, name: &str) -> Result<Option<Vec<u8>>, LakeError> {
    let path = folder.join(name);
    match std::fs::read(&path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at(path)(error)),
    }
}
