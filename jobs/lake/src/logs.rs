//! The append-only Iceberg logs.
//!
//! Any Iceberg client that knows the catalogue can read them and append: `PyIceberg` opens `catalog.db` as SQL
//! catalogue `finops_credits`. Iceberg 0.10 commits appends only, which is all that a log needs.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use futures::TryStreamExt;
use iceberg::arrow::{arrow_schema_to_schema_auto_assign_ids, schema_to_arrow_schema};
use iceberg::io::LocalFsStorageFactory;
use iceberg::spec::DataFileFormat;
use iceberg::table::Table as IcebergTable;
use iceberg::transaction::{ApplyTransactionAction, Transaction};
use iceberg::writer::base_writer::data_file_writer::DataFileWriterBuilder;
use iceberg::writer::file_writer::ParquetWriterBuilder;
use iceberg::writer::file_writer::location_generator::{DefaultFileNameGenerator, DefaultLocationGenerator};
use iceberg::writer::file_writer::rolling_writer::RollingFileWriterBuilder;
use iceberg::writer::{IcebergWriter, IcebergWriterBuilder};
use iceberg::{Catalog, CatalogBuilder, NamespaceIdent, TableCreation, TableIdent};
use iceberg_catalog_sql::SqlCatalogBuilder;
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

/// Name of the catalogue: a key in its tables, so other clients must use it too.
const CATALOG: &str = "finops_credits";

impl Logs {
    /// Opens the SQLite catalogue in `root`, making it and the logs where they are not there yet.
    pub(crate) async fn open_sqlite(root: &Path, database: &str) -> Result<Self, LakeError> {
        let file = root.join("catalog.db").display().to_string();
        let encoded = file.replace('%', "%25").replace('?', "%3F").replace('#', "%23");
        let properties = HashMap::from([
            ("uri".to_owned(), format!("sqlite://{encoded}?mode=rwc")),
            ("warehouse".to_owned(), format!("file://{}/warehouse", root.display())),
            ("sql_bind_style".to_owned(), "QMark".to_owned()),
        ]);
        let builder = SqlCatalogBuilder::default().with_storage_factory(Arc::new(LocalFsStorageFactory));
        let catalog = builder.load(CATALOG, properties).await?;
        let logs = Self { catalog: Arc::new(catalog), namespace: NamespaceIdent::new(database.to_owned()) };
        logs.create_missing().await?;
        Ok(logs)
    }

    /// Another process may do the same at the same time: who comes second fails, with one error or another, and finds
    /// everything there.
    async fn create_missing(&self) -> Result<(), LakeError> {
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
                let made = self.catalog.create_table(&self.namespace, creation(&table)?).await;
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
        let transaction = transaction.fast_append().add_data_files(files).apply(transaction)?;
        transaction.commit(self.catalog.as_ref()).await?;
        Ok(())
    }
}

fn creation(table: &Table) -> Result<TableCreation, LakeError> {
    let retries = [("commit.retry.num-retries", "20"), ("commit.retry.min-wait-ms", "20")];
    Ok(TableCreation::builder()
        .name(table.name.to_owned())
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
