//! Parquet tables on an object store.

use std::collections::BTreeSet;
use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::compute::BatchCoalescer;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use credit_ledger::Text;
use datafusion::datasource::listing::ListingTableUrl;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::common::spawn_buffered;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::prelude::{DataFrame, ParquetReadOptions, SessionContext};
use futures::{StreamExt, TryStreamExt};
use object_store::buffered::BufWriter;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::arrow::async_reader::ParquetObjectReader;
use parquet::arrow::async_writer::AsyncFileWriter;
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use schemas::{ColumnValue, Place, RowsError, Table, TableRow, coded_text_type};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::LakeError;
use crate::encoder::Encoder;
use crate::error::at;
use crate::lake::EngineStore;

/// Name of the one file of a table or partition.
const PART: &str = "part-0.parquet";
/// Rows handed to the writer at once: fixed, so that the bytes do not depend on how a plan cut its batches.
const ROWS_PER_WRITE: usize = 8192;
const ROWS_PER_GROUP: usize = 131_072;
/// Bytes at the end of a file that are fetched first: mostly they hold the whole footer.
const FOOTER_BYTES: usize = 16 << 10;
/// Bytes of a page before it is compressed. Each column holds one while it is written or read.
const BYTES_PER_PAGE: usize = 256 << 10;

/// The lake's files.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    objects: Arc<dyn ObjectStore>,
    engine: EngineStore,
    /// Where they lie in a file system.
    folder: Option<PathBuf>,
}

fn writer_properties(table: &Table) -> Result<WriterProperties, LakeError> {
    // Our own state is read as a whole, by us, and soon.
    let (statistics, compression) = match table.place {
        Place::Published | Place::Log => (EnabledStatistics::Page, Compression::ZSTD(ZstdLevel::try_new(1)?)),
        Place::Generation | Place::Handoff => (EnabledStatistics::None, Compression::LZ4_RAW),
    };
    let mut properties = WriterProperties::builder();
    // No value of it comes twice.
    if let Some(key) = table.sole_key() {
        properties = properties.set_column_dictionary_enabled(ColumnPath::from(key), false);
    }
    Ok(properties
        .set_created_by("finops-credits".to_owned())
        .set_compression(compression)
        .set_statistics_enabled(statistics)
        .set_max_row_group_row_count(Some(ROWS_PER_GROUP))
        .set_data_page_size_limit(BYTES_PER_PAGE)
        .set_data_page_row_count_limit(ROWS_PER_GROUP)
        .build())
}

impl Store {
    pub(crate) fn new(objects: Arc<dyn ObjectStore>, engine: EngineStore, folder: Option<PathBuf>) -> Self {
        Self { objects, engine, folder }
    }

    pub(crate) fn register_with(&self, context: &SessionContext) -> Result<(), LakeError> {
        if let Some(host) = &self.engine.host {
            let url = ListingTableUrl::parse(&self.engine.url)?;
            context.register_object_store(url.object_store().as_ref(), Arc::clone(host));
        }
        Ok(())
    }

    /// Small files that are fetched at once: in a file system each takes a thread, elsewhere most wait for an answer.
    pub(crate) fn fetched_at_once(&self) -> usize {
        if self.folder.is_some() { 1 } else { 16 }
    }

    /// Writes a stream as the one file of `folder`; its rows must be in their final order.
    pub(crate) async fn write_stream(
        &self,
        folder: &Path,
        table: &Table,
        rows: SendableRecordBatchStream,
    ) -> Result<u64, LakeError> {
        let schema = table.schema();
        let path = folder.clone().join(PART);
        let refused = |error: ParquetError| self.refused(&path, &error).unwrap_or_else(|| error.into());
        let mut sink = BufWriter::new(Arc::clone(&self.objects), path.clone());
        let mut file = Encoder::new(Arc::clone(&schema), writer_properties(table)?, ROWS_PER_GROUP)?;
        let mut coalescer = BatchCoalescer::new(Arc::clone(&schema), ROWS_PER_WRITE);
        let mut count = 0;
        // Rows are made on one thread while those before are encoded on others.
        let mut rows = spawn_buffered(rows, 1);
        while let Some(batch) = rows.next().await {
            let batch = conform(&batch?, &schema)?;
            count += batch.num_rows() as u64;
            coalescer.push_batch(batch)?;
            while let Some(full) = coalescer.next_completed_batch() {
                let complete = file.write(&full).await?;
                AsyncFileWriter::write(&mut sink, complete.into()).await.map_err(refused)?;
            }
        }
        coalescer.finish_buffered_batch()?;
        while let Some(rest) = coalescer.next_completed_batch() {
            let complete = file.write(&rest).await?;
            AsyncFileWriter::write(&mut sink, complete.into()).await.map_err(refused)?;
        }
        AsyncFileWriter::write(&mut sink, file.finish().await?.into()).await.map_err(refused)?;
        sink.complete().await.map_err(refused)?;
        Ok(count)
    }

    /// The file and why the system refused to write it, where that is at the bottom of the error.
    fn refused(&self, path: &Path, error: &(dyn Error + 'static)) -> Option<LakeError> {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(code) = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error) {
                let source = std::io::Error::from_raw_os_error(code);
                let path = match &self.folder {
                    Some(root) => root.join(path.as_ref()),
                    None => format!("{}{path}", self.engine.url).into(),
                };
                return Some(LakeError::Io { path, source });
            }
            cause = error.source();
        }
        None
    }

    /// Writes rows as the one file of `folder`.
    pub(crate) async fn write_rows<R: TableRow>(&self, folder: &Path, rows: &[R]) -> Result<u64, LakeError> {
        self.write_rows_as(folder, &R::TABLE, rows).await
    }

    /// As [`write_rows`](Self::write_rows), as if the table had another place.
    pub(crate) async fn write_rows_as<R: TableRow>(
        &self,
        folder: &Path,
        table: &Table,
        rows: &[R],
    ) -> Result<u64, LakeError> {
        let batch = schemas::to_batch(rows)?;
        let stream = RecordBatchStreamAdapter::new(batch.schema(), futures::stream::iter([Ok(batch)]));
        self.write_stream(folder, table, Box::pin(stream)).await
    }

    /// A table's folder as a plan.
    pub(crate) async fn frame(
        &self,
        context: &SessionContext,
        folder: &Path,
        table: &Table,
        partitioned: bool,
    ) -> Result<DataFrame, LakeError> {
        let schema = table.schema();
        let partitions = if partitioned { vec![(Table::PARTITION.to_owned(), DataType::Utf8)] } else { Vec::new() };
        let options = ParquetReadOptions::default().schema(&schema).table_partition_cols(partitions);
        Ok(context.read_parquet(format!("{}{folder}/", self.engine.url), options).await?)
    }

    async fn open(&self, folder: &Path) -> Result<ParquetRecordBatchStreamBuilder<ParquetObjectReader>, LakeError> {
        Ok(ParquetRecordBatchStreamBuilder::new(self.reader(folder)).await?)
    }

    fn reader(&self, folder: &Path) -> ParquetObjectReader {
        let reader = ParquetObjectReader::new(Arc::clone(&self.objects), folder.clone().join(PART));
        reader.with_footer_size_hint(FOOTER_BYTES)
    }

    /// The one file of `folder` in its order, without a plan.
    pub(crate) async fn read_stream(&self, folder: &Path) -> Result<SendableRecordBatchStream, LakeError> {
        let stream = self.open(folder).await?.with_batch_size(ROWS_PER_WRITE).build()?;
        let schema = Arc::clone(stream.schema());
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream.map_err(DataFusionError::from))))
    }

    /// As [`read_stream`](Self::read_stream), with text as the file keeps it: numbers of dictionary entries.
    pub(crate) async fn read_coded_stream(
        &self,
        folder: &Path,
        table: &Table,
    ) -> Result<SendableRecordBatchStream, LakeError> {
        let mut reader = self.reader(folder);
        let file = coded(ArrowReaderMetadata::load_async(&mut reader, ArrowReaderOptions::new()).await?, table)?;
        let file = ParquetRecordBatchStreamBuilder::new_with_metadata(reader, file);
        let stream = file.with_batch_size(ROWS_PER_WRITE).build()?;
        let schema = Arc::clone(stream.schema());
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream.map_err(DataFusionError::from))))
    }

    /// The rows of the one file of `folder`, without a plan.
    pub(crate) async fn read_rows<R: TableRow>(&self, folder: &Path) -> Result<Vec<R>, LakeError> {
        let path = folder.clone().join(PART);
        let bytes = self.read_small(&path).await?;
        rows_of(
            bytes.ok_or_else(|| object_store::Error::NotFound { path: path.to_string(), source: "no file".into() })?,
        )
    }

    /// The rows of the one file of `folder`, of which nothing depends: none where it is not there or is damaged.
    pub(crate) async fn read_kept_rows<R: TableRow>(&self, folder: &Path) -> Result<Option<Vec<R>>, LakeError> {
        let bytes = self.read_small(&folder.clone().join(PART)).await?;
        Ok(bytes.and_then(|bytes| rows_of(bytes).ok()))
    }

    /// A column of text of the one file of `folder`, a table's; empty where there is none.
    pub(crate) async fn read_texts(
        &self,
        folder: &Path,
        table: &Table,
        column: &'static str,
    ) -> Result<Vec<Text>, LakeError> {
        let Some(bytes) = self.read_small(&folder.clone().join(PART)).await? else { return Ok(Vec::new()) };
        let file = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(bytes))?;
        let only = ProjectionMask::columns(file.parquet_schema(), [column]);
        let mut texts = Vec::new();
        for batch in file.with_projection(only).build()? {
            let found = match batch?.columns() {
                [found] => Text::from_array(found),
                _ => Err("is missing".to_owned()),
            };
            texts.extend(found.map_err(|problem| RowsError::Column { table: table.name, column, problem })?);
        }
        Ok(texts)
    }

    /// The file of one folder in another, linked where the store can.
    pub(crate) async fn copy(&self, from: &Path, to: &Path) -> Result<(), LakeError> {
        let (from, to) = (from.clone().join(PART), to.clone().join(PART));
        let copied = self.link(&from, &to).await;
        copied.map_err(|error| self.refused(&to, &error).unwrap_or_else(|| error.into()))
    }

    /// As [`copy`](Self::copy); false where there is nothing to copy.
    pub(crate) async fn copy_if_there(&self, from: &Path, to: &Path) -> Result<bool, LakeError> {
        let (from, to) = (from.clone().join(PART), to.clone().join(PART));
        match self.link(&from, &to).await {
            Ok(()) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(self.refused(&to, &error).unwrap_or_else(|| error.into())),
        }
    }

    async fn link(&self, from: &Path, to: &Path) -> object_store::Result<()> {
        // In a file system a file is linked before another thread would wake up to do it.
        if let Some(root) = &self.folder
            && hard_link(&root.join(from.as_ref()), &root.join(to.as_ref())).is_ok()
        {
            return Ok(());
        }
        self.objects.copy(from, to).await
    }

    /// Removes everything in `folder` but the files and folders of these names; in a file system also what the store
    /// does not list: half-written files of a process that was killed.
    pub(crate) async fn remove_all_but(&self, folder: &Path, kept: impl Fn(&str) -> bool) -> Result<(), LakeError> {
        if let Some(root) = &self.folder {
            return remove_entries(&root.join(folder.as_ref()), kept);
        }
        let listed = self.objects.list_with_delimiter(Some(folder)).await?;
        let name = |path: &Path| path.filename().unwrap_or_default().to_owned();
        let files = listed.objects.into_iter().map(|file| file.location).filter(|path| !kept(&name(path)));
        self.delete(files.map(Ok).collect()).await?;
        for path in listed.common_prefixes.iter().filter(|path| !kept(&name(path))) {
            self.remove_folder(path).await?;
        }
        Ok(())
    }

    /// Removes a folder with all that is in it.
    pub(crate) async fn remove_folder(&self, folder: &Path) -> Result<(), LakeError> {
        if let Some(root) = &self.folder {
            let path = root.join(folder.as_ref());
            return match std::fs::remove_dir_all(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(at(&path)(error)),
                _ => Ok(()),
            };
        }
        let files = self.objects.list(Some(folder)).map_ok(|file| file.location);
        self.delete(files.collect().await).await
    }

    async fn delete(&self, files: Vec<object_store::Result<Path>>) -> Result<(), LakeError> {
        let mut deleted = self.objects.delete_stream(futures::stream::iter(files).boxed());
        while let Some(result) = deleted.next().await {
            match result {
                Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Folders below `folder`, at any depth, that hold the one file of a table or partition.
    pub(crate) async fn folders_with_a_part(&self, folder: &Path) -> Result<BTreeSet<Path>, LakeError> {
        let listed: Vec<Path> = self.objects.list(Some(folder)).map_ok(|file| file.location).try_collect().await?;
        let parts = listed.iter().filter_map(|path| path.as_ref().strip_suffix(PART)?.strip_suffix('/'));
        Ok(parts.map(Path::from).collect())
    }

    /// True if a folder holds a file.
    pub(crate) async fn has_files(&self, folder: &Path) -> Result<bool, LakeError> {
        Ok(self.objects.list(Some(folder)).try_next().await?.is_some())
    }

    pub(crate) async fn write_record<T: Serialize + Sync>(&self, path: &Path, record: &T) -> Result<(), LakeError> {
        let mut text = serde_json::to_vec_pretty(record).map_err(|source| broken(path, source))?;
        text.push(b'\n');
        let put = self.objects.put(path, PutPayload::from(text)).await;
        put.map(|_put| ()).map_err(|error| self.refused(path, &error).unwrap_or_else(|| error.into()))
    }

    pub(crate) async fn read_record<T: DeserializeOwned>(&self, path: &Path) -> Result<Option<T>, LakeError> {
        let Some(bytes) = self.read_small(path).await? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(|source| broken(path, source))
    }

    /// A file that is small: in a file system it is read before another thread would wake up to do it.
    async fn read_small(&self, path: &Path) -> Result<Option<Vec<u8>>, LakeError> {
        if let Some(root) = &self.folder {
            let path = root.join(path.as_ref());
            return match std::fs::read(&path) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                read => Ok(Some(read.map_err(at(&path))?)),
            };
        }
        match self.objects.get(path).await {
            Ok(found) => Ok(Some(found.bytes().await?.into())),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Names of the files right below `folder`.
    pub(crate) async fn files(&self, folder: &Path) -> Result<Vec<String>, LakeError> {
        let listed = self.objects.list_with_delimiter(Some(folder)).await?;
        Ok(listed.objects.iter().filter_map(|file| file.location.filename().map(str::to_owned)).collect())
    }

    /// Names of the folders right below `folder`, in order.
    pub(crate) async fn folders(&self, folder: &Path) -> Result<Vec<String>, LakeError> {
        let listed = self.objects.list_with_delimiter(Some(folder)).await?;
        let mut names: Vec<String> =
            listed.common_prefixes.iter().filter_map(|path| path.filename().map(str::to_owned)).collect();
        names.sort();
        Ok(names)
    }
}

/// A file whose text is to be read as numbers of dictionary entries, where it has any.
fn coded(file: ArrowReaderMetadata, table: &Table) -> Result<ArrowReaderMetadata, ParquetError> {
    let fields = file.schema().fields().iter().map(|field| match field.data_type() {
        DataType::Utf8 if table.sole_key() != Some(field.name()) => {
            field.as_ref().clone().with_data_type(coded_text_type())
        }
        _ => field.as_ref().clone(),
    });
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    ArrowReaderMetadata::try_new(Arc::clone(file.metadata()), ArrowReaderOptions::new().with_schema(schema))
}

/// The rows of a file.
fn rows_of<R: TableRow>(bytes: Vec<u8>) -> Result<Vec<R>, LakeError> {
    let bytes = Bytes::from(bytes);
    let file = coded(ArrowReaderMetadata::load(&bytes, ArrowReaderOptions::new())?, &R::TABLE)?;
    let file = ParquetRecordBatchReaderBuilder::new_with_metadata(bytes, file);
    let count = usize::try_from(file.metadata().file_metadata().num_rows()).unwrap_or(ROWS_PER_GROUP);
    // One batch where one holds them all: its rows need not be put together with others.
    let batches = file.with_batch_size(count.clamp(1, ROWS_PER_GROUP)).build()?;
    Ok(schemas::from_batches(&batches.collect::<Result<Vec<_>, _>>()?)?)
}

/// Links a file where there is none yet.
fn hard_link(from: &std::path::Path, to: &std::path::Path) -> std::io::Result<()> {
    match std::fs::hard_link(from, to) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && from.exists() => {
            to.parent().map_or(Ok(()), std::fs::create_dir_all)?;
            std::fs::hard_link(from, to)
        }
        linked => linked,
    }
}

/// Removes the entries of a folder but those of these names.
fn remove_entries(folder: &std::path::Path, kept: impl Fn(&str) -> bool) -> Result<(), LakeError> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(at(folder))?,
    };
    for entry in entries {
        let entry = entry.map_err(at(folder))?;
        if kept(&entry.file_name().to_string_lossy()) {
            continue;
        }
        let is_folder = entry.file_type().map_err(at(entry.path()))?.is_dir();
        let removed =
            if is_folder { std::fs::remove_dir_all(entry.path()) } else { std::fs::remove_file(entry.path()) };
        removed.map_err(at(entry.path()))?;
    }
    Ok(())
}

fn broken(path: &Path, source: serde_json::Error) -> LakeError {
    LakeError::Record { path: path.to_string(), source }
}

/// The batch in the table's schema: same columns by position, nullability as declared.
fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, LakeError> {
    let columns = schema.fields().iter().map(|field| {
        let column = batch.column_by_name(field.name()).ok_or_else(|| {
            arrow::error::ArrowError::SchemaError(format!("column {} is missing in the result", field.name()))
        })?;
        arrow::compute::cast(column, field.data_type())
    });
    Ok(RecordBatch::try_new(Arc::clone(schema), columns.collect::<Result<_, _>>()?)?)
}
