//! Appends to a log: all rows or none, once, and said to be in only when the log, loaded anew, has them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::record_batch::RecordBatch;
use backon::{ExponentialBuilder, Retryable};
use iceberg::arrow::schema_to_arrow_schema;
use iceberg::spec::{DataFile, DataFileFormat, NestedFieldRef, TableProperties};
use iceberg::table::Table as IcebergTable;
use iceberg::transaction::{AddColumn, ApplyTransactionAction, Transaction};
use iceberg::writer::base_writer::data_file_writer::DataFileWriterBuilder;
use iceberg::writer::file_writer::ParquetWriterBuilder;
use iceberg::writer::file_writer::location_generator::{DefaultFileNameGenerator, DefaultLocationGenerator};
use iceberg::writer::file_writer::rolling_writer::RollingFileWriterBuilder;
use iceberg::writer::{IcebergWriter, IcebergWriterBuilder};
use iceberg::{Catalog, Error, ErrorKind, Runtime, TableIdent};
use parquet::file::properties::WriterProperties;
use schemas::{Table, TableRow};
use uuid::Uuid;

use super::columns::iceberg_schema;
use super::damage::{caught, unreadable_file};
use super::{LogSnapshot, Logs};
use crate::error::LakeError;

/// States of a log from which old ones are dropped.
const STATES: usize = 32;

/// What a snapshot says of the append that made it.
const APPEND: &str = "finops-credits.append";

/// Commits that the catalogue may claim and not keep before the append is given up: a backup of `catalog.db` may end
/// meanwhile.
const UNKEPT_COMMITS: u32 = 2;

/// The error of a commit that the catalogue claimed and did not keep.
const NOT_KEPT: &str = "the catalogue did not keep the commit";

impl Logs {
    /// Appends rows in one commit, all of them or none, and once, even where the answer to the commit is lost. Says in
    /// which state the log is then; of no rows that is none.
    ///
    /// The rows are in where this succeeds: the log was loaded anew and has them. An answer of the catalogue alone is not
    /// enough (docs/adr/0003).
    ///
    /// # Errors
    /// [`LakeError`] from the catalogue or storage; [`LakeError::Service`] where the catalogue claims commits that it
    /// does not keep.
    pub async fn append<R: TableRow>(&self, rows: &[R]) -> Result<Option<LogSnapshot>, LakeError> {
        self.append_once(&Uuid::now_v7().to_string(), rows).await
    }

    /// As [`append`](Self::append), of rows that an earlier process may have appended under the same id: then nothing
    /// happens. It is known for as long as the log keeps the state that the append made.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub async fn append_once<R: TableRow>(&self, id: &str, rows: &[R]) -> Result<Option<LogSnapshot>, LakeError> {
        if rows.is_empty() {
            return Ok(None);
        }
        self.refuse_elsewhere()?;
        let log = self.load(&R::TABLE).await?;
        if has_append(&log, id) {
            return Ok(Some(LogSnapshot::from(&log)));
        }
        let log = self.with_all_columns(log, &R::TABLE).await?;
        let files = write_data_files(&log, &schemas::to_batch(rows)?).await?;
        let log = self.append_files(&R::TABLE, files, id).await?;
        // The rows are in: states that stay now go with a later append.
        let _stays = self.expire(&log).await;
        Ok(Some(LogSnapshot::from(&log)))
    }

    /// Appends files whose rows are a log's. Gives the log, loaded anew, with the files in it.
    pub(super) async fn append_files(
        &self,
        table: &Table,
        files: Vec<DataFile>,
        id: &str,
    ) -> Result<IcebergTable, LakeError> {
        let append = Append { catalog: self.catalog.as_ref(), ident: self.ident(table), files, id };
        let backoff = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(20))
            .with_max_delay(Duration::from_secs(2));
        let backoff = backoff.with_jitter().with_max_times(20);
        let mut unkept = 0;
        let try_again = |error: &Error| {
            unkept += u32::from(error.message() == NOT_KEPT);
            error.retryable() && unkept < UNKEPT_COMMITS
        };
        let committed = (async || append.commit().await).retry(backoff).when(try_again).await;
        match committed {
            Ok(log) => Ok(log),
            Err(error) if error.message() == NOT_KEPT => Err(self.not_kept(table.name)),
            Err(error) if error.kind() == ErrorKind::DataInvalid => {
                // An append reads the list of files before it.
                let log = self.load(table).await?;
                match unreadable_file(&log).await {
                    Some(_) => Err(self.unreadable_files(&log, table, error).await),
                    None => Err(self.refused(error)),
                }
            }
            Err(error) => Err(self.refused(error)),
        }
    }

    /// What to say where the catalogue claims a change that it does not have.
    pub(super) fn not_kept(&self, what: &str) -> LakeError {
        LakeError::Service(format!(
            "{what}: nothing was recorded: {} does not keep what is written to it; another program may hold it open (a backup, a \
             database browser), or its disk is full; try again after that",
            self.catalog_name
        ))
    }

    /// The log with the columns that an older version of the program made it without; they may be null.
    async fn with_all_columns(&self, log: IcebergTable, table: &Table) -> Result<IcebergTable, LakeError> {
        let missing = missing_columns(&log, table)?;
        if missing.is_empty() {
            return Ok(log);
        }
        let added = self.add_columns(&log, missing).await;
        // Another process may add them at the same time: the log, loaded anew, says what it has.
        let log = self.load(table).await?;
        match (missing_columns(&log, table)?.is_empty(), added) {
            (true, _) => Ok(log),
            (false, Ok(_)) => Err(self.not_kept(table.name)),
            (false, Err(error)) => Err(self.refused(error)),
        }
    }

    async fn add_columns(&self, log: &IcebergTable, missing: Vec<NestedFieldRef>) -> iceberg::Result<IcebergTable> {
        let transaction = Transaction::new(log);
        let update = missing.into_iter().fold(transaction.update_schema(), |update, field| {
            let column = AddColumn::builder().name(field.name.clone()).field_type((*field.field_type).clone());
            update.add_column(column.doc(field.doc.clone().unwrap_or_default()).build())
        });
        update.apply(transaction)?.commit(self.catalog.as_ref()).await
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

/// The columns that a log was made without.
fn missing_columns(log: &IcebergTable, table: &Table) -> Result<Vec<NestedFieldRef>, LakeError> {
    let schema = log.metadata().current_schema();
    let wanted = iceberg_schema(table)?;
    let fields = wanted.as_struct().fields().iter();
    Ok(fields.filter(|field| !field.required && schema.field_by_name(&field.name).is_none()).cloned().collect())
}

/// Files on their way into a log.
struct Append<'a> {
    catalog: &'a dyn Catalog,
    ident: TableIdent,
    files: Vec<DataFile>,
    /// Stands in the snapshot that the append makes, so that it is known again. Iceberg would look for the files among
    /// all that the log has: for one that grows every night that takes longer every night.
    id: &'a str,
}

impl Append<'_> {
    /// One try. Gives the log, loaded anew, with the files in it.
    async fn commit(&self) -> iceberg::Result<IcebergTable> {
        let log = self.catalog.load_table(&self.ident).await?;
        if has_append(&log, self.id) {
            return Ok(log);
        }
        let transaction = Transaction::new(&tried_once(&log)?);
        let said = HashMap::from([(APPEND.to_owned(), self.id.to_owned())]);
        let append = transaction.fast_append().with_check_duplicate(false).set_snapshot_properties(said);
        let transaction = append.add_data_files(self.files.clone()).apply(transaction)?;
        let answer = caught(transaction.commit(self.catalog)).await;
        // The answer to a commit that succeeded may be lost, and SQL catalogues claim commits that their database refused.
        match (answer, self.catalog.load_table(&self.ident).await) {
            (_, Ok(log)) if has_append(&log, self.id) => Ok(log),
            (Ok(_), Ok(_)) => Err(Error::new(ErrorKind::Unexpected, NOT_KEPT).with_retryable(true)),
            (Err(error), _) | (Ok(_), Err(error)) => Err(error),
        }
    }
}

/// True if a state of the log was made by the append of this id.
fn has_append(log: &IcebergTable, id: &str) -> bool {
    let mut snapshots = log.metadata().snapshots();
    snapshots.any(|snapshot| snapshot.summary().additional_properties.get(APPEND).is_some_and(|of| of == id))
}

/// The log, for a transaction that does not try again by itself: it would not see that it succeeded before.
fn tried_once(log: &IcebergTable) -> iceberg::Result<IcebergTable> {
    let no_retries = (TableProperties::PROPERTY_COMMIT_NUM_RETRIES.to_owned(), "0".to_owned());
    let metadata = log.metadata().clone().into_builder(None).set_properties(HashMap::from([no_retries]))?.build()?;
    let log = IcebergTable::builder().identifier(log.identifier().clone()).file_io(log.file_io().clone());
    log.metadata(metadata.metadata).runtime(Runtime::try_current()?).build()
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
    use iceberg::{CatalogBuilder, Namespace, NamespaceIdent, TableCommit, TableCreation};
    use object_store::local::LocalFileSystem;
    use schemas::tables::RunLogRow;

    use super::super::LogPlaces;
    use super::*;
    use crate::parts::EngineStore;
    use crate::store::Store;

    /// What happens to the next commits, last one first.
    #[derive(Debug, Clone, Copy)]
    enum Fate {
        /// It succeeds, but its answer is lost.
        Unanswered { retryable: bool },
        /// Somebody else was faster.
        Refused,
        /// It is claimed and not kept, as by a SQL catalogue whose database refuses the commit.
        Claimed,
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
                Some(Fate::Claimed) => {
                    let table = self.catalog.load_table(commit.identifier()).await?;
                    commit.apply(table)
                }
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
            exclusions_not_applied: None,
        }
    }

    /// Logs on a catalogue in memory, and the folder that goes with them.
    async fn opened() -> (Arc<BadLine>, Logs, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let warehouse = folder.path().to_string_lossy().into_owned();
        let properties = HashMap::from([(MEMORY_CATALOG_WAREHOUSE.to_owned(), warehouse.clone())]);
        let catalog = MemoryCatalogBuilder::default().load("memory", properties).await.unwrap();
        let line = Arc::new(BadLine { catalog, fates: Mutex::default() });
        let objects = Arc::new(LocalFileSystem::new_with_prefix(folder.path()).unwrap());
        let engine = EngineStore { url: format!("{warehouse}/"), host: None };
        let store = Store::new(objects, engine, Some(folder.path().to_path_buf()));
        let places = LogPlaces { catalog_name: "the catalogue".to_owned(), database: "finops", warehouse };
        let logs = Logs::new(Arc::clone(&line) as _, places, store);
        logs.create_missing(true, "here").await.unwrap();
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
            assert_ne!(state.id, before.id);
            assert_eq!(state.parent, before.id, "one append lies between");
            before = state;
        }
        assert_eq!(runs(&logs).await, ["r0", "r1", "r2", "r3"].map(run));
    }

    #[tokio::test]
    async fn an_append_that_the_catalogue_claims_and_does_not_keep_is_an_error() {
        let (line, logs, _folder) = opened().await;
        *line.fates.lock().unwrap() = vec![Fate::Claimed; 2];
        assert_eq!(
            logs.append(&[run("r0")]).await.unwrap_err().to_string(),
            "runs_log: nothing was recorded: the catalogue does not keep what is written to it; another program may hold it \
             open (a backup, a database browser), or its disk is full; try again after that"
        );
        assert_eq!(runs(&logs).await, []);
        *line.fates.lock().unwrap() = vec![Fate::Claimed];
        logs.append(&[run("r1")]).await.unwrap();
        assert_eq!(runs(&logs).await, [run("r1")], "kept in the end, once");
    }

    #[tokio::test]
    async fn log_of_an_older_version_gets_the_columns_that_it_lacks() {
        let (line, logs, _folder) = opened().await;
        let load = || async { line.load_table(&logs.ident(&RunLogRow::TABLE)).await.unwrap() };
        let transaction = Transaction::new(&load().await);
        let without = transaction.update_schema().delete_column("exclusions_not_applied");
        without.apply(transaction).unwrap().commit(line.as_ref()).await.unwrap();
        let rows = schemas::to_batch(&[run("r0")]).unwrap();
        let rows = rows.project(&(0..rows.num_columns() - 1).collect::<Vec<_>>()).unwrap();
        let files = write_data_files(&load().await, &rows).await.unwrap();
        logs.append_files(&RunLogRow::TABLE, files, "twice").await.unwrap();
        assert_eq!(runs(&logs).await, [run("r0")], "what an older version left is read");
        let newer = RunLogRow { exclusions_not_applied: Some("e".into()), ..run("r1") };
        logs.append(std::slice::from_ref(&newer)).await.unwrap();
        assert_eq!(runs(&logs).await, [run("r0"), newer]);
    }

    /// iceberg panics on it, in a task whose end looks like that of the files.
    #[tokio::test]
    async fn a_damaged_list_of_files_is_an_error_and_no_empty_log() {
        let (line, logs, _folder) = opened().await;
        logs.append(&[run("r0")]).await.unwrap();
        let log = line.load_table(&logs.ident(&RunLogRow::TABLE)).await.unwrap();
        let snapshot = log.metadata().current_snapshot().unwrap();
        let list = log.manifest_list_reader(snapshot).load().await.unwrap();
        let manifest = list.entries()[0].manifest_path.clone();
        let mut bytes = log.file_io().new_input(&manifest).unwrap().read().await.unwrap().to_vec();
        let name = bytes.windows(14).position(|text| text == b"manifest_entry").unwrap();
        bytes[name + 8] = b';';
        log.file_io().new_output(&manifest).unwrap().write(bytes.into()).await.unwrap();
        let refused = logs.read::<RunLogRow>().await.unwrap_err().to_string();
        assert!(refused.starts_with(&format!("the log runs_log is damaged: {manifest} cannot be read")), "{refused}");
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
