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

#[cfg(test)]
mod tests {
    use super::*;

    const HIERARCHY: &str = "business_unit,department,portfolio,product\nRetail,Online,,\n";
    const RULES: &str = "rule_id,priority,payer_account_id,account_id,service,region,tag_key,tag_value,cost_category_key,\
                         cost_category_value,business_unit,department,portfolio,product,share\nall,10,,*,,,,,,,Retail,,,,\n";

    /// What comes of a folder with these files, its place called `<folder>`.
    async fn loaded(files: &[(&str, &str)]) -> Result<ReferenceFiles, String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let location = folder.path().display().to_string();
        let opened = open_folder(&location, "[reference] location").unwrap();
        let loaded = ReferenceFiles::load(&format!("{location}/"), opened.as_ref()).await;
        loaded.map_err(|error| error.to_string().replace(&location, "<folder>"))
    }

    #[tokio::test]
    async fn hierarchy_and_rules_must_be_there_and_the_other_files_may_be() {
        let missing = |name: &str| format!("reference file <folder>/{name} does not exist; see [reference] location");
        assert_eq!(loaded(&[]).await.unwrap_err(), missing("hierarchy.csv"));
        assert_eq!(loaded(&[("hierarchy.csv", HIERARCHY)]).await.unwrap_err(), missing("cost_rules.csv"));
        let least = [("hierarchy.csv", HIERARCHY), ("cost_rules.csv", RULES)];
        let files = loaded(&least).await.unwrap();
        assert_eq!((files.hierarchy.nodes().count(), files.budgets.len(), files.allocations.len()), (2, 0, 0));
        let budgets = "billing_period,business_unit,currency,amount\n2026-01,Retail,USD,100\n2026-02,,USD,200\n";
        let allocations = "promotion_code,account_id,credit_key,amount,currency,end_date,reference,business_unit,department,\
                           portfolio,product\n,,id:1,5,USD,,,Retail,,,\n";
        let all = [&least[..], &[("budgets.csv", budgets), ("allocations.csv", allocations)]].concat();
        let files = loaded(&all).await.unwrap();
        assert_eq!((files.budgets.len(), files.allocations.len()), (2, 1));
        let nowhere = ReferenceFiles::load("/nowhere/", None).await.unwrap_err().to_string();
        assert_eq!(nowhere, "reference file /nowhere/hierarchy.csv does not exist; see [reference] location");
    }

    #[tokio::test]
    async fn bad_rows_of_all_files_are_told_at_once() {
        let rules = RULES.replace("Retail", "Retial") + "other,ten,,*,,,,,,,Retail,,,,\n";
        let budgets =
            "billing_period,business_unit,currency,amount\n2026-1,Retail,USD,100\n2026-02,Wholesale,USD,200\n";
        let told =
            loaded(&[("hierarchy.csv", HIERARCHY), ("cost_rules.csv", rules.as_str()), ("budgets.csv", budgets)]).await;
        let told = told.unwrap_err();
        for problem in [
            "cost_rules.csv, row 3, column priority: \"ten\" is not a whole number",
            "cost_rules.csv, row 2, column business_unit: node Retial is not in hierarchy.csv",
            "budgets.csv, row 2, column billing_period: \"2026-1\" is not a billing period (YYYY-MM)",
            "budgets.csv, row 3, column business_unit: node Wholesale is not in hierarchy.csv",
        ] {
            assert!(told.lines().any(|line| line == problem), "{problem}:\n{told}");
        }
    }

    #[tokio::test]
    async fn names_of_the_other_files_are_read_as_they_are_after_the_renames() {
        let renames = "from_period,old_business_unit,business_unit\n,Shops,Retail\n";
        let rules = RULES.replace("Retail", "Shops");
        let files = [("hierarchy.csv", HIERARCHY), ("cost_rules.csv", rules.as_str())];
        let told = loaded(&files).await.unwrap_err();
        assert_eq!(told, "cost_rules.csv, row 2, column business_unit: node Shops is not in hierarchy.csv");
        loaded(&[&files[..], &[("renames.csv", renames)]].concat()).await.unwrap();
        let wrong = renames.replace("Retail", "Retial");
        let told = loaded(&[&files[..], &[("renames.csv", wrong.as_str())]].concat()).await.unwrap_err();
        assert_eq!(told, "renames.csv, row 2, column business_unit: node Retial is not in hierarchy.csv");
    }

    #[tokio::test]
    async fn file_where_a_folder_should_be_and_the_other_way_round_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let location = folder.path().display().to_string();
        std::fs::write(folder.path().join("cur.csv"), "").unwrap();
        let file = format!("{location}/cur.csv");
        let told = open_folder(&file, "[source] location").map(drop).unwrap_err().to_string();
        assert_eq!(told, format!("{file} is a file; set [source] location to the folder that it lies in"));
        assert!(open_folder(&format!("{location}/none"), "[source] location").unwrap().is_none());
        std::fs::create_dir(folder.path().join("hierarchy.csv")).unwrap();
        let opened = open_folder(&location, "[reference] location").unwrap();
        let told = ReferenceFiles::load(&location, opened.as_ref()).await.unwrap_err().to_string();
        assert_eq!(told, format!("reference file {location}/hierarchy.csv is a folder"));
    }
}
