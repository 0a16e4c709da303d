//! The append-only Iceberg logs.
//!
//! Any Iceberg client that knows the catalogue can read them and append: `PyIceberg` opens `catalog.db` as SQL
//! catalogue `finops_credits`. Iceberg 0.10 commits appends only, which is all that a log needs.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use futures::TryStreamExt;
use iceberg::arrow::{arrow_schema_to_schema_auto_assign_ids, schema_to_arrow_schema};
use iceberg::spec::DataFileFormat;
use iceberg::table::Table as IcebergTable;
use iceberg::transaction::{ApplyTransactionAction, Transaction};
use iceberg::writer::base_writer::data_file_writer::DataFileWriterBuilder;
use iceberg::writer::file_writer::ParquetWriterBuilder;
use iceberg::writer::file_writer::location_generator::{DefaultFileNameGenerator, DefaultLocationGenerator};
use iceberg::writer::file_writer::rolling_writer::RollingFileWriterBuilder;
use iceberg::writer::{IcebergWriter, IcebergWriterBuilder};
use iceberg::{Catalog, NamespaceIdent, TableCreation, TableIdent};
use parquet::file::properties::WriterProperties;
use schemas::{Table, TableRow, tables};
use uuid::Uuid;

use crate::LakeError;

/// The logs of one lake.
#[derive(Debug)]
pub struct Logs {
    catalog: Arc<dyn Catalog>,
    namespace: NamespaceIdent,
}

/// A state of a log: each append makes another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogSnapshot {
    /// None of a log without any append yet.
    pub id: Option<i64>,
    /// The state before the last append.
    pub parent: Option<i64>,
}

impl LogSnapshot {
    /// True if nobody else appended since `before`, where `appended` says whether we did, once.
    #[must_use]
    pub fn follows(self, before: Self, appended: bool) -> bool {
        if appended { self.id != before.id && self.parent == before.id } else { self.id == before.id }
    }
}

/// Name of the catalogue: a key in its tables, so other clients must use it too.
pub(crate) const CATALOG: &str = "finops_credits";

impl Logs {
    /// Opens the logs of a catalogue, making them below `warehouse` where they are not there yet.
    pub(crate) async fn open(catalog: Arc<dyn Catalog>, database: &str, warehouse: &str) -> Result<Self, LakeError> {
        let logs = Self { catalog, namespace: NamespaceIdent::new(database.to_owned()) };
        logs.create_missing(&format!("{warehouse}/{database}")).await?;
        Ok(logs)
    }

    /// Another process may do the same at the same time: who comes second fails, with one error or another, and finds
    /// everything there.
    async fn create_missing(&self, root: &str) -> Result<(), LakeError> {
        if !self.catalog.namespace_exists(&self.namespace).await? {
            let made = self.catalog.create_namespace(&self.namespace, HashMap::new()).await;
            if let Err(error) = made
                && !self.catalog.namespace_exists(&self.namespace).await?
            {
                return Err(error.into());
            }
        }
        for table in [tables::CreditLogRow::TABLE, tables::AllocationLogRow::TABLE, tables::RunLogRow::TABLE] {
            if !self.catalog.table_exists(&self.ident(&table)).await? {
                let made = self.catalog.create_table(&self.namespace, creation(&table, root)?).await;
                if let Err(error) = made
                    && !self.catalog.table_exists(&self.ident(&table)).await?
                {
                    return Err(error.into());
                }
            }
        }
        Ok(())
    }

    fn ident(&self, table: &Table) -> TableIdent {
        TableIdent::new(self.namespace.clone(), table.name.to_owned())
    }

    /// All rows of a log at its newest snapshot, in no particular order.
    ///
    /// # Errors
    /// [`LakeError`] from the catalogue or storage; [`LakeError::Rows`] for rows another client wrote that do not fit.
    pub async fn read<R: TableRow>(&self) -> Result<Vec<R>, LakeError> {
        Ok(schemas::from_batches(&self.batches(&R::TABLE).await?)?)
    }

    /// All rows of a log as Arrow batches.
    ///
    /// # Errors
    /// [`LakeError`] from the catalogue or storage.
    pub async fn batches(&self, table: &Table) -> Result<Vec<RecordBatch>, LakeError> {
        let log = self.catalog.load_table(&self.ident(table)).await?;
        let scan = log.scan().select(table.column_names()).build()?;
        Ok(scan.to_arrow().await?.try_collect().await?)
    }

    /// The newest snapshot of a log.
    ///
    /// # Errors
    /// [`LakeError`] from the catalogue or storage.
    pub async fn snapshot<R: TableRow>(&self) -> Result<LogSnapshot, LakeError> {
        let log = self.catalog.load_table(&self.ident(&R::TABLE)).await?;
        let newest = log.metadata().current_snapshot();
        Ok(LogSnapshot {
            id: newest.map(|snapshot| snapshot.snapshot_id()),
            parent: newest.and_then(|snapshot| snapshot.parent_snapshot_id()),
        })
    }

    /// Appends rows in one commit: all of them or none.
    ///
    /// # Errors
    /// [`LakeError`] from the catalogue or storage.
    pub async fn append<R: TableRow>(&self, rows: &[R]) -> Result<(), LakeError> {
        if rows.is_empty() {
            return Ok(());
        }
        let log = self.catalog.load_table(&self.ident(&R::TABLE)).await?;
        let batch = schemas::to_batch(rows)?;
        let files = write_data_files(&log, &batch).await?;
        let transaction = Transaction::new(&log);
        let written: HashSet<String> = files.iter().map(|file| file.file_path().to_owned()).collect();
        // That it looks for the new files among the old ones makes the retry of a commit whose answer was lost harmless.
        let transaction = transaction.fast_append().add_data_files(files).apply(transaction)?;
        match transaction.commit(self.catalog.as_ref()).await {
            Ok(_) => Ok(()),
            // The answer to a commit that succeeded may have been lost.
            Err(_) if self.has_files(&R::TABLE, &written).await.unwrap_or(false) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// True if all of these data files are in the log now.
    async fn has_files(&self, table: &Table, files: &HashSet<String>) -> Result<bool, LakeError> {
        let log = self.catalog.load_table(&self.ident(table)).await?;
        let tasks: Vec<_> = log.scan().build()?.plan_files().await?.try_collect().await?;
        let held: HashSet<&str> = tasks.iter().map(|task| task.data_file_path.as_str()).collect();
        Ok(files.iter().all(|file| held.contains(file.as_str())))
    }
}

fn creation(table: &Table, root: &str) -> Result<TableCreation, LakeError> {
    let retries = [("commit.retry.num-retries", "20"), ("commit.retry.min-wait-ms", "20")];
    Ok(TableCreation::builder()
        .name(table.name.to_owned())
        .location(format!("{root}/{}", table.name))
        .schema(arrow_schema_to_schema_auto_assign_ids(&table.schema())?)
        .properties(
            retries.map(|(key, value)| (key.to_owned(), value.to_owned())).into_iter().collect::<HashMap<_, _>>(),
        )
        .build())
}

/// The writer matches columns by the field ids of the log's own schema.
async fn write_data_files(log: &IcebergTable, batch: &RecordBatch) -> Result<Vec<iceberg::spec::DataFile>, LakeError> {
    let metadata = log.metadata();
    let schema = Arc::new(schema_to_arrow_schema(metadata.current_schema())?);
    let columns = schema.fields().iter().map(|field| match batch.column_by_name(field.name()) {
        Some(column) => Arc::clone(column),
        None => arrow::array::new_null_array(field.data_type(), batch.num_rows()),
    });
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns.collect())?;
    let properties = WriterProperties::builder()
        .set_compression(parquet::basic::Compression::ZSTD(parquet::basic::ZstdLevel::try_new(3)?))
        .build();
    let rolling = RollingFileWriterBuilder::new_with_default_file_size(
        ParquetWriterBuilder::new(properties, Arc::clone(metadata.current_schema())),
        log.file_io().clone(),
        DefaultLocationGenerator::new(metadata)?,
        DefaultFileNameGenerator::new(Uuid::now_v7().to_string(), None, DataFileFormat::Parquet),
    );
    let mut writer = DataFileWriterBuilder::new(rolling).build(None).await?;
    writer.write(batch).await?;
    Ok(writer.close().await?)
}

#[cfg(test)]
mod tests {
    use super::LogSnapshot;

    #[test]
    fn only_our_own_append_lies_between_two_states_that_follow() {
        let state = |id, parent| LogSnapshot { id, parent };
        let (none, first, second) = (state(None, None), state(Some(1), None), state(Some(2), Some(1)));
        assert!(none.follows(none, false) && first.follows(first, false));
        assert!(first.follows(none, true) && second.follows(first, true));
        assert!(!first.follows(first, true), "ours is not there");
        assert!(!first.follows(none, false) && !second.follows(first, false), "somebody else appended");
        assert!(!second.follows(none, true), "somebody else appended too");
    }
}
