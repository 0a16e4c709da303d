//! The append-only Iceberg logs.
//!
//! Any Iceberg client that knows the catalogue can read them and append: `PyIceberg` opens `catalog.db` as SQL
//! catalogue `finops_credits`. Iceberg 0.10 commits appends only, which is all that a log needs; it cannot merge the files
//! they leave, so the lake keeps the rows of each log beside it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::record_batch::RecordBatch;
use backon::{ExponentialBuilder, Retryable};
use futures::TryStreamExt;
use iceberg::arrow::{arrow_schema_to_schema_auto_assign_ids, schema_to_arrow_schema};
use iceberg::spec::{DataFile, DataFileFormat, TableProperties};
use iceberg::table::Table as IcebergTable;
use iceberg::transaction::{ApplyTransactionAction, Transaction};
use iceberg::writer::base_writer::data_file_writer::DataFileWriterBuilder;
use iceberg::writer::file_writer::ParquetWriterBuilder;
use iceberg::writer::file_writer::location_generator::{DefaultFileNameGenerator, DefaultLocationGenerator};
use iceberg::writer::file_writer::rolling_writer::RollingFileWriterBuilder;
use iceberg::writer::{IcebergWriter, IcebergWriterBuilder};
use iceberg::{Catalog, NamespaceIdent, Runtime, TableCreation, TableIdent};
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

impl From<&IcebergTable> for LogSnapshot {
    fn from(log: &IcebergTable) -> Self {
        let newest = log.metadata().current_snapshot();
        Self {
            id: newest.map(|snapshot| snapshot.snapshot_id()),
            parent: newest.and_then(|snapshot| snapshot.parent_snapshot_id()),
        }
    }
}

/// States of a log from which old ones are dropped.
const STATES: usize = 32;

/// What a snapshot says of the append that made it.
const APPEND: &str = "finops-credits.append";

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
        let (_, rows) = self.read_newest().await?;
        Ok(rows)
    }

    /// As [`read`](Self::read), with the state that has these rows.
    pub(crate) async fn read_newest<R: TableRow>(&self) -> Result<(LogSnapshot, Vec<R>), LakeError> {
        let log = self.catalog.load_table(&self.ident(&R::TABLE)).await?;
        Ok((LogSnapshot::from(&log), schemas::from_batches(&batches(&log, &R::TABLE).await?)?))
    }

    /// All rows of a log as Arrow batches.
    ///
    /// # Errors
    /// [`LakeError`] from the catalogue or storage.
    pub async fn batches(&self, table: &Table) -> Result<Vec<RecordBatch>, LakeError> {
        batches(&self.catalog.load_table(&self.ident(table)).await?, table).await
    }

    /// The newest snapshot of a log.
    ///
    /// # Errors
    /// [`LakeError`] from the catalogue or storage.
    pub async fn snapshot<R: TableRow>(&self) -> Result<LogSnapshot, LakeError> {
        Ok(LogSnapshot::from(&self.catalog.load_table(&self.ident(&R::TABLE)).await?))
    }

    /// Appends rows in one commit, all of them or none, and once, even where the answer to the commit is lost. Says in
    /// which state the log is then; of no rows that is none.
    ///
    /// # Errors
    /// [`LakeError`] from the catalogue or storage.
    pub async fn append<R: TableRow>(&self, rows: &[R]) -> Result<Option<LogSnapshot>, LakeError> {
        if rows.is_empty() {
            return Ok(None);
        }
        let ident = self.ident(&R::TABLE);
        let files = write_data_files(&self.catalog.load_table(&ident).await?, &schemas::to_batch(rows)?).await?;
        let append = Append { catalog: self.catalog.as_ref(), ident, files, id: Uuid::now_v7().to_string() };
        let backoff = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(20))
            .with_max_delay(Duration::from_secs(2));
        let backoff = backoff.with_jitter().with_max_times(20);
        let committed = (async || append.commit().await).retry(backoff).when(iceberg::Error::retryable);
        let log = committed.await?;
        // The rows are in: states that stay now go with a later append.
        let _stays = self.expire(&log).await;
        Ok(Some(LogSnapshot::from(&log)))
    }

    /// Drops old states of a log that has many: no row of a log ever goes, so they have nothing that the newest has not.
    /// A commit of its own, as Iceberg refuses one that appends and expires.
    async fn expire(&self, log: &IcebergTable) -> iceberg::Result<()> {
        let (metadata, properties) = (log.metadata(), log.metadata().table_properties()?);
        let Some(newest) = metadata.current_snapshot().filter(|_| properties.gc_enabled) else { return Ok(()) };
        let oldest_to_stay = newest.timestamp_ms().saturating_sub(properties.max_snapshot_age_ms);
        let is_old = metadata.snapshots().any(|snapshot| snapshot.timestamp_ms() < oldest_to_stay);
        if metadata.snapshots().count() <= STATES || !is_old {
            return Ok(());
        }
        let transaction = Transaction::new(log);
        let expire = transaction.expire_snapshots().expire_older_than_ms(oldest_to_stay);
        expire.apply(transaction)?.commit(self.catalog.as_ref()).await.map(drop)
    }
}

/// Files on their way into a log.
struct Append<'a> {
    catalog: &'a dyn Catalog,
    ident: TableIdent,
    files: Vec<DataFile>,
    /// Stands in the snapshot that the append makes, so that it is known again. Iceberg would look for the files among
    /// all that the log has: for one that grows every night that takes longer every night.
    id: String,
}

impl Append<'_> {
    /// One try. Gives the log with the files in it.
    async fn commit(&self) -> iceberg::Result<IcebergTable> {
        let log = self.catalog.load_table(&self.ident).await?;
        if self.is_in(&log) {
            return Ok(log);
        }
        let transaction = Transaction::new(&tried_once(&log)?);
        let said = HashMap::from([(APPEND.to_owned(), self.id.clone())]);
        let append = transaction.fast_append().with_check_duplicate(false).set_snapshot_properties(said);
        let transaction = append.add_data_files(self.files.clone()).apply(transaction)?;
        match transaction.commit(self.catalog).await {
            // The answer to a commit that succeeded may have been lost.
            Err(error) if !error.retryable() => match self.catalog.load_table(&self.ident).await {
                Ok(log) if self.is_in(&log) => Ok(log),
                _ => Err(error),
            },
            committed => committed,
        }
    }

    fn is_in(&self, log: &IcebergTable) -> bool {
        log.metadata()
            .snapshots()
            .any(|snapshot| snapshot.summary().additional_properties.get(APPEND) == Some(&self.id))
    }
}

/// The log, for a transaction that does not try again by itself: it would not see that it succeeded before.
fn tried_once(log: &IcebergTable) -> iceberg::Result<IcebergTable> {
    let no_retries = (TableProperties::PROPERTY_COMMIT_NUM_RETRIES.to_owned(), "0".to_owned());
    let metadata = log.metadata().clone().into_builder(None).set_properties(HashMap::from([no_retries]))?.build()?;
    let log = IcebergTable::builder().identifier(log.identifier().clone()).file_io(log.file_io().clone());
    log.metadata(metadata.metadata).runtime(Runtime::try_current()?).build()
}

async fn batches(log: &IcebergTable, table: &Table) -> Result<Vec<RecordBatch>, LakeError> {
    let scan = log.scan().select(table.column_names()).build()?;
    Ok(scan.to_arrow().await?.try_collect().await?)
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
async fn write_data_files(log: &IcebergTable, batch: &RecordBatch) -> Result<Vec<DataFile>, LakeError> {
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
    use std::sync::Mutex;

    use async_trait::async_trait;
    use iceberg::memory::{MEMORY_CATALOG_WAREHOUSE, MemoryCatalogBuilder};
    use iceberg::{CatalogBuilder, Error, ErrorKind, Namespace, TableCommit};
    use schemas::tables::RunLogRow;

    use super::*;

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

    /// What happens to the next commits, last one first.
    #[derive(Debug, Clone, Copy)]
    enum Fate {
        /// It succeeds, but its answer is lost.
        Unanswered { retryable: bool },
        /// Somebody else was faster.
        Refused,
    }

    /// A catalogue that is not always heard.
    #[derive(Debug)]
    struct BadLine {
        catalog: iceberg::MemoryCatalog,
        fates: Mutex<Vec<Fate>>,
    }

    #[async_trait]
    impl Catalog for BadLine {
        async fn update_table(&self, commit: TableCommit) -> iceberg::Result<IcebergTable> {
            let fate = self.fates.lock().unwrap().pop();
            let lost = |retryable| Error::new(ErrorKind::Unexpected, "lost").with_retryable(retryable);
            match fate {
                Some(Fate::Refused) => Err(lost(true)),
                Some(Fate::Unanswered { retryable }) => {
                    self.catalog.update_table(commit).await?;
                    Err(lost(retryable))
                }
                None => self.catalog.update_table(commit).await,
            }
        }

        async fn load_table(&self, table: &TableIdent) -> iceberg::Result<IcebergTable> {
            self.catalog.load_table(table).await
        }

        async fn create_table(&self, of: &NamespaceIdent, table: TableCreation) -> iceberg::Result<IcebergTable> {
            self.catalog.create_table(of, table).await
        }

        async fn create_namespace(
            &self,
            name: &NamespaceIdent,
            properties: HashMap<String, String>,
        ) -> iceberg::Result<Namespace> {
            self.catalog.create_namespace(name, properties).await
        }

        async fn namespace_exists(&self, name: &NamespaceIdent) -> iceberg::Result<bool> {
            self.catalog.namespace_exists(name).await
        }

        async fn table_exists(&self, table: &TableIdent) -> iceberg::Result<bool> {
            self.catalog.table_exists(table).await
        }

        async fn list_namespaces(&self, _: Option<&NamespaceIdent>) -> iceberg::Result<Vec<NamespaceIdent>> {
            unreachable!()
        }

        async fn get_namespace(&self, _: &NamespaceIdent) -> iceberg::Result<Namespace> {
            unreachable!()
        }

        async fn update_namespace(&self, _: &NamespaceIdent, _: HashMap<String, String>) -> iceberg::Result<()> {
            unreachable!()
        }

        async fn drop_namespace(&self, _: &NamespaceIdent) -> iceberg::Result<()> {
            unreachable!()
        }

        async fn list_tables(&self, _: &NamespaceIdent) -> iceberg::Result<Vec<TableIdent>> {
            unreachable!()
        }

        async fn drop_table(&self, _: &TableIdent) -> iceberg::Result<()> {
            unreachable!()
        }

        async fn purge_table(&self, _: &TableIdent) -> iceberg::Result<()> {
            unreachable!()
        }

        async fn rename_table(&self, _: &TableIdent, _: &TableIdent) -> iceberg::Result<()> {
            unreachable!()
        }

        async fn register_table(&self, _: &TableIdent, _: String) -> iceberg::Result<IcebergTable> {
            unreachable!()
        }
    }

    fn run(run_id: &str) -> RunLogRow {
        RunLogRow {
            run_id: run_id.into(),
            billing_period: "2026-01".parse().unwrap(),
            as_of: "2026-01-31".parse().unwrap(),
            source_fingerprint: "f".into(),
            rows_read: 1,
            policy: "p".into(),
            outcome: "published".into(),
            started_at: "2026-02-01T00:00:00".parse().unwrap(),
            finished_at: "2026-02-01T00:00:00".parse().unwrap(),
        }
    }

    /// Logs on a catalogue in memory, and the folder that goes with them.
    async fn opened() -> (Arc<BadLine>, Logs, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let warehouse = folder.path().to_string_lossy().into_owned();
        let properties = HashMap::from([(MEMORY_CATALOG_WAREHOUSE.to_owned(), warehouse.clone())]);
        let catalog = MemoryCatalogBuilder::default().load("memory", properties).await.unwrap();
        let line = Arc::new(BadLine { catalog, fates: Mutex::default() });
        let logs = Logs::open(Arc::clone(&line) as _, "finops", &warehouse).await.unwrap();
        (line, logs, folder)
    }

    async fn runs(logs: &Logs) -> Vec<RunLogRow> {
        let mut found: Vec<RunLogRow> = logs.read().await.unwrap();
        found.sort_by(|left, right| left.run_id.cmp(&right.run_id));
        found
    }

    #[tokio::test]
    async fn rows_are_appended_once_whatever_becomes_of_the_answer() {
        let (line, logs, _folder) = opened().await;
        let mut before = logs.snapshot::<RunLogRow>().await.unwrap();
        let (lost, unsure) = (Fate::Unanswered { retryable: true }, Fate::Unanswered { retryable: false });
        for (number, fates) in [vec![], vec![lost], vec![unsure], vec![unsure, Fate::Refused]].into_iter().enumerate() {
            *line.fates.lock().unwrap() = fates;
            let state = logs.append(&[run(&format!("r{number}"))]).await.unwrap().unwrap();
            assert!(state.follows(before, true), "one append lies between");
            before = state;
        }
        assert_eq!(runs(&logs).await, ["r0", "r1", "r2", "r3"].map(run));
    }

    #[tokio::test]
    async fn old_states_of_a_log_expire_and_its_rows_stay() {
        let (line, logs, _folder) = opened().await;
        let load = || async { line.load_table(&logs.ident(&RunLogRow::TABLE)).await.unwrap() };
        let transaction = Transaction::new(&load().await);
        let at_once =
            transaction.update_table_properties().set("history.expire.max-snapshot-age-ms".into(), "0".into());
        at_once.apply(transaction).unwrap().commit(line.as_ref()).await.unwrap();
        let run_ids: Vec<String> = (10..10 + STATES + 2).map(|number| format!("r{number}")).collect();
        for run_id in &run_ids {
            logs.append(&[run(run_id)]).await.unwrap();
        }
        let states = load().await.metadata().snapshots().count();
        assert!(states < 5, "{states} states");
        let expected: Vec<RunLogRow> = run_ids.iter().map(|run_id| run(run_id)).collect();
        assert_eq!(runs(&logs).await, expected);
    }
}
