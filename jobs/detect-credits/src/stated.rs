//! What the settings state of an export because its files do not say it.

use cur_reader::listing::lies_in;
use serde::{Deserialize, Serialize};

/// What the settings state of an export.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct StatedOfExport {
    /// The folder that its paths begin with; empty where it is the only one.
    pub(crate) folder: String,
    /// Currency of files without a currency column.
    pub(crate) currency: Option<String>,
    /// The payer of all its lines.
    pub(crate) payer: Option<String>,
}

impl StatedOfExport {
    /// True where a lake of before named exports knows nothing of what is stated.
    pub(crate) fn is_more_than_a_currency(&self) -> bool {
        !self.folder.is_empty() || self.payer.is_some()
    }
}

#[cfg(test)]
impl StatedOfExport {
    /// A currency for the only export.
    pub(crate) fn of_currency(code: &str) -> Vec<Self> {
        vec![Self { currency: Some(code.to_owned()), ..Self::default() }]
    }
}

/// What is stated of the export that a file is of.
pub(crate) fn stated_of<'a>(exports: &'a [StatedOfExport], path: &str) -> Option<&'a StatedOfExport> {
    exports.iter().find(|export| lies_in(&export.folder, path))
}
