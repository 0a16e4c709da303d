//! Files under the source location that are not read, and why: none is passed over in silence.

use std::collections::BTreeMap;

use schemas::records::LeftOut;

/// What is left out, by path and reason.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Collected(BTreeMap<(String, String), u64>);

impl Collected {
    pub(crate) fn add(&mut self, path: &str, reason: &str) {
        *self.0.entry((path.to_owned(), reason.to_owned())).or_default() += 1;
    }

    /// In order of the path.
    pub(crate) fn list(&self) -> impl Iterator<Item = LeftOut> {
        self.0.iter().map(|((path, reason), files)| LeftOut {
            path: path.clone(),
            files: *files,
            reason: reason.clone(),
        })
    }
}

/// Where a path turns hidden: the first folder or file whose name begins with `.` or `_`. Readers of data lakes take those
/// for no data, at any depth.
pub fn hidden(path: &str) -> Option<String> {
    let mut end = 0;
    for part in path.split('/') {
        let start = end;
        end = start + part.len() + 1;
        if part.starts_with(['.', '_']) {
            return path.get(..end).or(Some(path)).map(str::to_owned);
        }
    }
    None
}

/// What AWS writes beside its manifests for other programs: known not to be data.
pub(crate) fn is_companion(name: &str) -> bool {
    let name = name.to_lowercase();
    let endings = ["-redshiftmanifest.json", "-quicksightmanifest.json", "-redshiftcommands.sql", "-create-table.sql"];
    name == "crawler-cfn.yml" || endings.iter().any(|ending| name.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_folders_and_files_are_found_at_any_depth() {
        for (path, expected) in [
            (".ipynb_checkpoints/cur-checkpoint.csv", Some(".ipynb_checkpoints/")),
            ("a/__MACOSX/b/cur.csv", Some("a/__MACOSX/")),
            ("a/_SUCCESS", Some("a/_SUCCESS")),
            ("a/b_c/d.e.csv", None),
        ] {
            assert_eq!(hidden(path).as_deref(), expected, "{path}");
        }
    }
}
