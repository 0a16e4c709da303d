//! What is known of a billing period as it was read.

use std::collections::{BTreeMap, BTreeSet};

use credit_ledger::{BillingPeriod, Money};
use schemas::PeriodNotes;
use serde::{Deserialize, Serialize};

use crate::sums::FileSum;

/// A period as it was read: the pointer's content. Current only together with its fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    /// Digest of the files and of every setting that the scan depends on.
    pub fingerprint: String,
    /// Folder of its tables, below that of the period; an older version of the program named it by the fingerprint.
    #[serde(default)]
    pub folder: String,
    /// Format the files were recognised as.
    pub format: String,
    /// The files.
    pub files: Vec<SourceFile>,
    /// What the export adds up to, by currency.
    pub totals: Vec<CurrencyTotal>,
    /// Lines whose cost was blank; they count as zero.
    pub blank_costs: u64,
    /// Lines of line types that are not known; they count as charges.
    pub unknown_line_types: BTreeMap<String, u64>,
    /// What people should know of it; an older version noted nothing.
    #[serde(default)]
    pub notes: PeriodNotes,
    /// Sizes and checksums of its tables; an older version kept none.
    #[serde(default)]
    pub tables: BTreeMap<String, FileSum>,
}

/// A file of the export.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SourceFile {
    /// Path below the source location.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Entity tag, or modification time where there is none.
    pub version: String,
    /// Lines per billing period.
    pub lines: BTreeMap<BillingPeriod, u64>,
    /// The export that it belongs to, as a folder below the source location; an older version kept none.
    #[serde(default)]
    pub export: String,
}

/// Sums taken straight from the lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CurrencyTotal {
    /// ISO 4217 code.
    pub currency: String,
    /// Sum of the unblended cost.
    pub export_total: Money,
    /// Lines.
    pub lines: u64,
    /// The invoices that lines say they are on.
    #[serde(default)]
    pub invoice_ids: BTreeSet<String>,
    /// Lines that say none.
    #[serde(default)]
    pub lines_without_invoice: u64,
}

impl Generation {
    /// Lines of the period.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.totals.iter().map(|total| total.lines).sum()
    }

    /// Its folder, below that of the period.
    pub(crate) fn folder(&self) -> &str {
        if self.folder.is_empty() { &self.fingerprint } else { &self.folder }
    }
}
