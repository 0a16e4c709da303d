//! The inputs: the export's folder and the reference files.

use std::path::Path as FilePath;
use std::sync::Arc;

use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use schemas::reference::{
    AllocationRow, Budget, CostRules, Hierarchy, Problems, parse_allocations, parse_budgets, parse_cost_rules,
    parse_hierarchy, parse_renames,
};

use crate::error::LakeError;

/// A folder with inputs as an object store; none where it does not exist. `setting` names it.
///
/// # Errors
/// [`LakeError::BadInput`] for a file, [`LakeError::Store`] where it cannot be read.
pub fn open_folder(location: &str, setting: &str) -> Result<Option<Arc<dyn ObjectStore>>, LakeError> {
    let folder = FilePath::new(location);
    if folder.is_file() {
        return Err(LakeError::BadInput(format!("{location} is a file; set {setting} to the folder that it lies in")));
    }
    if !folder.is_dir() {
        return Ok(None);
    }
    Ok(Some(Arc::new(LocalFileSystem::new_with_prefix(location)?)))
}

/// What people keep about the organisation.
#[derive(Debug, Clone, Default)]
pub struct ReferenceFiles {
    /// `hierarchy.csv`, with the names of `renames.csv` where that is there.
    pub hierarchy: Hierarchy,
    /// `cost_rules.csv`
    pub cost_rules: CostRules,
    /// `budgets.csv`; none without the file.
    pub budgets: Vec<Budget>,
    /// `allocations.csv`, imported once by a lake without allocations.
    pub allocations: Vec<AllocationRow>,
}

impl ReferenceFiles {
    /// Reads and checks all reference files of a location; every bad row of every file is reported at once.
    ///
    /// # Errors
    /// [`LakeError::BadRows`], or [`LakeError::BadInput`] that names a missing file.
    pub async fn load(location: &str, files: Option<&Arc<dyn ObjectStore>>) -> Result<Self, LakeError> {
        let folder = Folder { location, files };
        let hierarchy_bytes = folder.required("hierarchy.csv").await?;
        let rules_bytes = folder.required("cost_rules.csv").await?;
        let mut hierarchy = parse_hierarchy("hierarchy.csv", &hierarchy_bytes)?;
        if let Some(bytes) = folder.optional("renames.csv").await? {
            let nodes = hierarchy.nodes().map(|(node, _)| node).collect();
            let renames = parse_renames("renames.csv", &bytes, &nodes)?;
            hierarchy = hierarchy.renamed(renames);
        }
        let mut problems = Problems::default();
        let cost_rules = kept(&mut problems, parse_cost_rules("cost_rules.csv", &rules_bytes, &hierarchy));
        let budgets = folder.optional("budgets.csv").await?;
        let budgets = budgets.map(|bytes| kept(&mut problems, parse_budgets("budgets.csv", &bytes, &hierarchy)));
        let allocations = folder.optional("allocations.csv").await?;
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

/// The reference location.
struct Folder<'a> {
    location: &'a str,
    files: Option<&'a Arc<dyn ObjectStore>>,
}

impl Folder<'_> {
    async fn required(&self, name: &str) -> Result<Vec<u8>, LakeError> {
        self.optional(name).await?.ok_or_else(|| {
            let location = self.location.trim_end_matches('/');
            LakeError::BadInput(format!("reference file {location}/{name} does not exist; see [reference] location"))
        })
    }

    async fn optional(&self, name: &str) -> Result<Option<Vec<u8>>, LakeError> {
        let Some(files) = self.files else { return Ok(None) };
        let path = FilePath::new(self.location).join(name);
        if path.is_dir() {
            return Err(LakeError::BadInput(format!("reference file {} is a folder", path.display())));
        }
        match files.get(&Path::from(name)).await {
            Ok(found) => Ok(Some(found.bytes().await?.to_vec())),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
