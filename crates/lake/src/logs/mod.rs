//! The append-only Iceberg logs.
//!
//! Any Iceberg client that knows the catalogue can read them and append: `PyIceberg` opens `catalog.db` as SQL
//! catalogue `finops_credits`. Iceberg 0.10 commits appends only, which is all that a log needs; it cannot merge the files
//! they leave.
//!
//! **Invariant:** a log that was there is never begun anew: where a catalogue does not know it any more, or what it names
//! cannot be read, every command says so, and [`repair`] registers it again.

mod append;
mod columns;
pub(crate) mod damage;
mod moved;
pub(crate) mod repair;

use std::collections::HashMap;
use std::future::ready;
use std::sync::Arc;

use arrow::array::new_null_array;
use arrow::datatypes::Schema;
use arrow::record_batch::RecordBatch;
use chrono::{DateTime, NaiveDateTime, TimeDelta};
use futures::TryStreamExt;
use iceberg::table::Table as IcebergTable;
use iceberg::{Catalog, Error, ErrorKind, NamespaceIdent, TableCreation, TableIdent};
use object_store::path::Path;
use schemas::{Table, TableRow, tables};

use columns::iceberg_schema;

use crate::error::LakeError;
use crate::layout::{WAREHOUSE, log_metadata};
use crate::store::Store;

/// The logs of one lake.
#[derive(Debug)]
pub struct Logs {
    catalog: Arc<dyn Catalog>,
    namespace: NamespaceIdent,
    /// What people call the catalogue.
    catalog_name: String,
    /// Root of the logs' files, without a closing `/`.
    warehouse: String,
    store: Store,
    /// What is said to whoever would write, where the lake was made elsewhere: the logs would be written there.
    pub(crate) elsewhere: Option<String>,
}

/// All logs.
pub(crate) const LOGS: [Table; 3] =
    [tables::CreditLogRow::TABLE, tables::AllocationLogRow::TABLE, tables::RunLogRow::TABLE];

/// A state of a log: each append makes another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogSnapshot {
    /// None of a log without any append yet.
    pub id: Option<i64>,
    /// The state before the last append.
    pub parent: Option<i64>,
    /// When the last append was committed, UTC, rounded up to a millisecond: nothing in the log was recorded later.
    pub committed_at: Option<NaiveDateTime>,
}

impl From<&IcebergTable> for LogSnapshot {
    fn from(log: &IcebergTable) -> Self {
        let newest = log.metadata().current_snapshot();
        let instant = newest.and_then(|snapshot| DateTime::from_timestamp_millis(snapshot.timestamp_ms()));
        Self {
            id: newest.map(|snapshot| snapshot.snapshot_id()),
            parent: newest.and_then(|snapshot| snapshot.parent_snapshot_id()),
            committed_at: instant.map(|instant| instant.naive_utc() + TimeDelta::milliseconds(1)),
        }
    }
}

/// Name of the catalogue: a key in its tables, so other clients must use it too.
pub(crate) const CATALOG: &str = "finops_credits";

/// Where the logs of a lake are.
pub(crate) struct LogPlaces<'a> {
    pub(crate) catalog_name: String,
    pub(crate) database: &'a str,
    pub(crate) warehouse: String,
}

impl Logs {
    /// The logs of a catalogue, as they are there.
    pub(crate) fn new(catalog: Arc<dyn Catalog>, places: LogPlaces<'_>, store: Store) -> Self {
        let namespace = NamespaceIdent::new(places.database.to_owned());
        Self {
            catalog,
            namespace,
            catalog_name: places.catalog_name,
            warehouse: places.warehouse,
            store,
            elsewhere: None,
        }
    }

    /// Refuses to write to the logs of a lake that was made elsewhere.
    pub(crate) fn refuse_elsewhere(&self) -> Result<(), LakeError> {
        self.elsewhere.clone().map_or(Ok(()), |refusal| Err(LakeError::BadInput(refusal)))
    }

    /// Makes all logs, of a lake that has none.
    pub(crate) async fn create_all(&self) -> Result<(), LakeError> {
        for table in LOGS {
            self.create(&table).await?;
        }
        Ok(())
    }

    /// Makes the logs of a new lake, if `makes`; else says that there is no lake.
    ///
    /// Another process may do the same at the same time: who comes second fails, with one error or another, and finds
    /// everything there.
    ///
    /// # Errors
    /// [`LakeError::Damaged`] where the lake had logs that the catalogue does not know; [`LakeError::NotYet`] where it never
    /// had any and they are not to be made.
    pub(crate) async fn create_missing(&self, makes: bool, location: &str) -> Result<(), LakeError> {
        for table in LOGS {
            if self.exists(&table).await? {
                continue;
            }
            let traces = self.traces(&table).await?;
            if !traces.is_empty() && !self.exists(&table).await? {
                let databases = self.store.folders(&Path::from(WAREHOUSE)).await?;
                return Err(match databases.as_slice() {
                    [] => self.lost(&table, &traces),
                    known if known.contains(&self.database()) => self.lost(&table, &traces),
                    known => LakeError::BadInput(format!(
                        "the lake has no database {:?}, but {}; see [lake] database",
                        self.database(),
                        known.join(", ")
                    )),
                });
            }
            if !makes {
                return Err(no_lake(location));
            }
            self.create(&table).await?;
        }
        Ok(())
    }

    async fn exists(&self, table: &Table) -> Result<bool, LakeError> {
        match self.catalog.table_exists(&self.ident(table)).await {
            Err(error) if error.kind() == ErrorKind::NamespaceNotFound => Ok(false),
            known => known.map_err(|error| self.refused(error)),
        }
    }

    /// Makes a log without rows.
    async fn create(&self, table: &Table) -> Result<(), LakeError> {
        self.create_namespace().await?;
        let location = format!("{}/{}/{}", self.warehouse, self.database(), table.name);
        let made = self.catalog.create_table(&self.namespace, creation(table, location)?).await;
        match made {
            _ if self.exists(table).await? => Ok(()),
            Ok(_) => Err(self.not_kept(table.name)),
            Err(error) => Err(self.refused(error)),
        }
    }

    async fn create_namespace(&self) -> Result<(), LakeError> {
        let exists = async || {
            let known = self.catalog.namespace_exists(&self.namespace).await;
            known.map_err(|error| self.refused(error))
        };
        if exists().await? {
            return Ok(());
        }
        let made = self.catalog.create_namespace(&self.namespace, HashMap::new()).await;
        match made {
            _ if exists().await? => Ok(()),
            Ok(_) => Err(self.not_kept(&self.database())),
            Err(error) => Err(self.refused(error)),
        }
    }

    fn ident(&self, table: &Table) -> TableIdent {
        TableIdent::new(self.namespace.clone(), table.name.to_owned())
    }

    fn database(&self) -> String {
        self.namespace.to_url_string()
    }

    /// The folder of a log's metadata, in the lake.
    fn metadata_folder(&self, table: &Table) -> Path {
        log_metadata(&self.database(), table)
    }

    /// A log at its newest state.
    async fn load(&self, table: &Table) -> Result<IcebergTable, LakeError> {
        match self.catalog.load_table(&self.ident(table)).await {
            Ok(log) => Ok(log),
            Err(error) => {
                self.refuse_elsewhere()?;
                Err(self.unreadable_metadata(table, error).await)
            }
        }
    }

    /// All rows of a log at its newest snapshot, in no particular order.
    ///
    /// # Errors
    /// [`LakeError`] from the catalogue or storage; [`LakeError::Rows`] for rows another client wrote that do not fit;
    /// [`LakeError::Damaged`] for a file that cannot be read.
    pub async fn read<R: TableRow>(&self) -> Result<Vec<R>, LakeError> {
        let (_, rows) = self.read_newest().await?;
        Ok(rows)
    }

    /// As [`read`](Self::read), with the state that has these rows.
    pub async fn read_newest<R: TableRow>(&self) -> Result<(LogSnapshot, Vec<R>), LakeError> {
        let log = self.load(&R::TABLE).await?;
        Ok((LogSnapshot::from(&log), schemas::from_batches(&self.scan(&log, &R::TABLE).await?)?))
    }

    /// All rows of a log as Arrow batches.
    ///
    /// # Errors
    /// [`LakeError`] from the catalogue or storage; [`LakeError::Damaged`] for a file that cannot be read.
    pub async fn batches(&self, table: &Table) -> Result<Vec<RecordBatch>, LakeError> {
        self.scan(&self.load(table).await?, table).await
    }

    async fn scan(&self, log: &IcebergTable, table: &Table) -> Result<Vec<RecordBatch>, LakeError> {
        match damage::caught(scan(log, table)).await {
            Ok(batches) => Ok(batches),
            Err(error) => Err(self.unreadable_files(log, table, error).await),
        }
    }

    /// The newest snapshot of a log.
    ///
    /// # Errors
    /// [`LakeError`] from the catalogue or storage.
    pub async fn snapshot<R: TableRow>(&self) -> Result<LogSnapshot, LakeError> {
        Ok(LogSnapshot::from(&self.load(&R::TABLE).await?))
    }
}

/// All rows. Those of an older version of the program have null in columns that it did not have.
async fn scan(log: &IcebergTable, table: &Table) -> iceberg::Result<Vec<RecordBatch>> {
    let metadata = log.metadata();
    let newest = metadata.current_snapshot().map(|snapshot| snapshot.schema(metadata)).transpose()?;
    let known = newest.unwrap_or_else(|| Arc::clone(metadata.current_schema()));
    let columns = table.column_names().filter(|name| known.field_by_name(name).is_some());
    let listed = damage::rows_listed(log).await?;
    let batches = log.scan().select(columns).build()?.to_arrow().await?;
    let batches: Vec<RecordBatch> =
        batches.and_then(|batch| ready(with_all_columns(&batch, table))).try_collect().await?;
    let read: u64 = batches.iter().map(|batch| batch.num_rows() as u64).sum();
    match listed.filter(|listed| *listed != read) {
        None => Ok(batches),
        Some(listed) => Err(Error::new(ErrorKind::DataInvalid, format!("{read} rows were read of {listed}"))),
    }
}

/// Columns are only ever added at the end, and may be null.
pub(crate) fn with_all_columns(batch: &RecordBatch, table: &Table) -> iceberg::Result<RecordBatch> {
    let (mut fields, mut columns) = (batch.schema().fields().to_vec(), batch.columns().to_vec());
    for field in table.schema().fields().iter().filter(|field| field.is_nullable()) {
        if batch.column_by_name(field.name()).is_none() {
            columns.push(new_null_array(field.data_type(), batch.num_rows()));
            fields.push(Arc::clone(field));
        }
    }
    let whole = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns);
    whole.map_err(|error| Error::new(ErrorKind::DataInvalid, error.to_string()))
}

/// What to say where somebody asks a lake that nobody made.
pub(crate) fn no_lake(location: &str) -> LakeError {
    LakeError::NotYet(format!("there is no lake at {location} yet; `run` makes it"))
}

fn creation(table: &Table, location: String) -> Result<TableCreation, LakeError> {
    let retries = [("commit.retry.num-retries", "20"), ("commit.retry.min-wait-ms", "20")];
    Ok(TableCreation::builder()
        .name(table.name.to_owned())
        .location(location)
        .schema(iceberg_schema(table)?)
        .properties(
            retries.map(|(key, value)| (key.to_owned(), value.to_owned())).into_iter().collect::<HashMap<_, _>>(),
        )
        .build())
}

#[cfg(test)]
mod tests;
