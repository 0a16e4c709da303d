//! What was last read of the export: per billing period, immutable files and the pointer to them.

use std::collections::BTreeMap;

use credit_ledger::{BillingPeriod, Money};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::prelude::{DataFrame, SessionContext};
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use schemas::{Table, TableRow};
use serde::{Deserialize, Serialize};

use crate::{Lake, LakeError};

/// A period as it was read: the pointer's content. Current only together with its fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    /// Digest of the files and of every setting that the scan depends on; also the folder's name.
    pub fingerprint: String,
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
}

impl Generation {
    /// Lines of the period.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.totals.iter().map(|total| total.lines).sum()
    }
}

const POINTER: &str = "current.json";

fn folder(period: BillingPeriod) -> Path {
    Path::from(format!("generations/{period}"))
}

fn pointer(period: BillingPeriod) -> Path {
    folder(period).join(POINTER)
}

fn table_folder(period: BillingPeriod, fingerprint: &str, table: &Table) -> Path {
    folder(period).join(fingerprint).join(table.name)
}

impl Lake {
    /// The current generation of every period that was ever read.
    ///
    /// # Errors
    /// [`LakeError`] where a pointer cannot be read.
    pub async fn generations(&self) -> Result<BTreeMap<BillingPeriod, Generation>, LakeError> {
        let folders = self.store.folders(&Path::from("generations")).await?;
        let periods: Vec<BillingPeriod> = folders.iter().filter_map(|name| name.parse().ok()).collect();
        let read = periods.into_iter().map(|period| async move {
            let generation: Option<Generation> = self.store.read_record(&pointer(period)).await?;
            Ok::<_, LakeError>(generation.map(|generation| (period, generation)))
        });
        let read = futures::stream::iter(read).buffered(self.store.fetched_at_once());
        read.try_filter_map(|found| async { Ok(found) }).try_collect().await
    }

    /// Writes one table of a generation that nothing points to yet.
    ///
    /// # Errors
    /// [`LakeError`] from the plan or the store.
    pub async fn write_generation(
        &self,
        period: BillingPeriod,
        fingerprint: &str,
        table: &Table,
        rows: SendableRecordBatchStream,
    ) -> Result<u64, LakeError> {
        let folder = table_folder(period, fingerprint, table);
        // A killed attempt may have left a half-written file.
        self.store.remove_folder(&folder).await?;
        self.store.write_stream(&folder, table, rows).await
    }

    /// Makes a written generation the current one: one switch.
    ///
    /// # Errors
    /// [`LakeError`] from the store.
    pub async fn switch_generation(&self, period: BillingPeriod, generation: &Generation) -> Result<(), LakeError> {
        self.store.write_record(&pointer(period), generation).await
    }

    /// A generation's table, in order of its grain.
    ///
    /// # Errors
    /// [`LakeError`] from the store.
    pub async fn generation_stream<R: TableRow>(
        &self,
        period: BillingPeriod,
        fingerprint: &str,
    ) -> Result<SendableRecordBatchStream, LakeError> {
        self.store.read_stream(&table_folder(period, fingerprint, &R::TABLE)).await
    }

    /// As [`generation_stream`](Self::generation_stream), with text as numbers of dictionary entries.
    ///
    /// # Errors
    /// [`LakeError`] from the store.
    pub async fn coded_generation_stream<R: TableRow>(
        &self,
        period: BillingPeriod,
        fingerprint: &str,
    ) -> Result<SendableRecordBatchStream, LakeError> {
        self.store.read_coded_stream(&table_folder(period, fingerprint, &R::TABLE), &R::TABLE).await
    }

    /// A generation's table as a plan.
    ///
    /// # Errors
    /// [`LakeError`] from the engine.
    pub async fn generation_frame<R: TableRow>(
        &self,
        context: &SessionContext,
        period: BillingPeriod,
        fingerprint: &str,
    ) -> Result<DataFrame, LakeError> {
        self.store.frame(context, &table_folder(period, fingerprint, &R::TABLE), &R::TABLE, false).await
    }

    /// Removes what no pointer names, whoever left it.
    pub(crate) async fn drop_old_generations(&self) -> Result<(), LakeError> {
        let current = self.generations().await?;
        let is_read = |name: &str| name.parse().is_ok_and(|period| current.contains_key(&period));
        self.store.remove_all_but(&Path::from("generations"), is_read).await?;
        for (period, generation) in current {
            let kept = [generation.fingerprint.as_str(), POINTER];
            self.store.remove_all_but(&folder(period), |name| kept.contains(&name)).await?;
        }
        Ok(())
    }

    /// Takes a period out of the lake: first its pointer, then its files.
    ///
    /// # Errors
    /// [`LakeError`] from the store.
    pub async fn drop_generation(&self, period: BillingPeriod) -> Result<(), LakeError> {
        self.store.remove_all_but(&folder(period), |name| name != POINTER).await?;
        self.store.remove_folder(&folder(period)).await
    }
}
