//! Files of the export as batches of the wanted columns.

mod boundary;
mod chunks;
mod contents;
mod deltas;
mod footer;
mod hybrid;
mod leaf;
mod maps;
mod packing;
mod pages;
mod records;
mod row_group;
mod shapes;
mod text;
mod thrift;

use std::ops::Range;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use credit_ledger::BillingPeriod;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::errors::ParquetError;
use parquet::file::metadata::ColumnChunkMetaData;
use schemas::excerpt;

use crate::error::ReadError;
use crate::error::{bad_column, bad_file};
use crate::format::recognise;
use crate::listing::{ExportFile, object_path};
use crate::values::{AmountColumn, DayColumn, MapColumn, PeriodMemo, RealMap, TextColumn, TypeMismatch};
pub use boundary::decoding;
use packing::{Content, Packing};
use row_group::RowGroup;

const ROWS_PER_BATCH: usize = 8192;
/// Of a batch with very many columns.
const VALUES_PER_BATCH: usize = 4 << 20;

/// Rows decoded at once: fewer of very many columns, so that memory does not grow with those.
fn rows_per_batch(columns: usize) -> usize {
    (VALUES_PER_BATCH / columns.max(1)).clamp(1, ROWS_PER_BATCH)
}

/// A file opened as far as its columns are known.
#[derive(Clone)]
pub struct OpenFile {
    /// The file.
    pub file: ExportFile,
    /// Column names as the file spells them.
    pub names: Vec<String>,
    content: Opened,
    /// Of each part, with all its columns.
    part_bytes: Vec<u64>,
}

/// What is known of the content.
#[derive(Clone)]
enum Opened {
    Parquet(ArrowReaderMetadata),
    Text(Packing),
}

/// Rows as they stand in the file.
pub struct RawBatch {
    /// Row of the first one as a spreadsheet counts: the header of a CSV file is row 1.
    pub first_row: u64,
    /// The wanted columns, in the wanted order.
    pub columns: Vec<RawColumn>,
    /// Rows.
    pub rows: usize,
}

/// A column as far as it is decoded.
pub enum RawColumn {
    /// Values as Arrow has them.
    Array(ArrayRef),
    /// Text as dictionary entries.
    Text(TextColumn),
    /// A map as dictionary entries.
    Map(Box<RealMap>),
}

impl RawColumn {
    /// The column as text.
    ///
    /// # Errors
    /// What it holds instead.
    pub fn text(&self) -> Result<TextColumn, TypeMismatch> {
        match self {
            Self::Array(array) => TextColumn::new(array),
            Self::Text(text) => Ok(text.clone()),
            Self::Map(_) => Err("holds maps, not text".to_owned()),
        }
    }

    /// The column as UTC days.
    ///
    /// # Errors
    /// What it holds instead.
    pub fn day(&self) -> Result<DayColumn, TypeMismatch> {
        match self {
            Self::Array(array) => DayColumn::new(array),
            Self::Text(text) => Ok(DayColumn::Text(text.clone())),
            Self::Map(_) => Err("holds maps, not dates".to_owned()),
        }
    }

    /// The column as amounts.
    ///
    /// # Errors
    /// What it holds instead.
    pub fn amount(&self) -> Result<AmountColumn, TypeMismatch> {
        match self {
            Self::Array(array) => AmountColumn::new(array),
            Self::Text(text) => Ok(AmountColumn::Text(text.clone())),
            Self::Map(_) => Err("holds maps, not amounts".to_owned()),
        }
    }

    /// The column as maps.
    ///
    /// # Errors
    /// What it holds instead.
    pub fn map(&self) -> Result<MapColumn, TypeMismatch> {
        match self {
            Self::Array(array) => MapColumn::new(array),
            Self::Text(text) => Ok(MapColumn::Json(Box::new(text.clone()))),
            Self::Map(map) => Ok(MapColumn::Map(map.clone())),
        }
    }
}

/// Batches of a part of a file, in order of its rows.
pub type RawStream = BoxStream<'static, Result<RawBatch, ReadError>>;

impl OpenFile {
    /// Reads a Parquet footer or a CSV header. What a file is says its content; its name only where to look first.
    pub async fn open(store: &Arc<dyn ObjectStore>, file: &ExportFile) -> Result<Self, ReadError> {
        if file.size == 0 {
            return Err(bad_file(&file.path, "is empty (0 bytes); copy the file again"));
        }
        if !file.path.to_lowercase().ends_with(".parquet") {
            return match Self::content(store, file).await? {
                Content::Parquet => Self::open_parquet(store, file).await,
                Content::Text(packing) => Self::open_text(store, file, packing).await,
            };
        }
        let no_parquet = match Self::open_parquet(store, file).await {
            Err(no_parquet @ ReadError::BadExport(_)) => no_parquet,
            opened => return opened,
        };
        let Content::Text(packing) = Self::content(store, file).await? else { return Err(no_parquet) };
        match Self::open_text(store, file, packing).await {
            Ok(text) if recognise(&text.names).is_some() => Ok(text),
            _ => Err(no_parquet),
        }
    }

    /// True for a file that begins as Parquet does, or as packed text does where its name says so too: half of it may have
    /// been copied. Other files are packed in the same way, those of spreadsheets for one.
    pub async fn is_meant_as_data(
        store: &Arc<dyn ObjectStore>,
        file: &ExportFile,
        is_named_so: bool,
    ) -> Result<bool, ReadError> {
        if file.size == 0 {
            return Ok(is_named_so);
        }
        Ok(match Self::content(store, file).await? {
            Content::Parquet => true,
            Content::Text(Packing::Plain) => false,
            Content::Text(Packing::Gzip | Packing::Zip) => is_named_so,
        })
    }

    async fn content(store: &Arc<dyn ObjectStore>, file: &ExportFile) -> Result<Content, ReadError> {
        let first = store.get_range(&object_path(&file.path), 0..file.size.min(4)).await?;
        Ok(Content::of(&first))
    }

    async fn open_parquet(store: &Arc<dyn ObjectStore>, file: &ExportFile) -> Result<Self, ReadError> {
        let footer = footer::fetch(store, file).await?;
        let metadata = decoding(&file.path, || {
            footer::decode(&footer, file.size).map_err(|error| parquet_error(&file.path, error))
        })?;
        let names = metadata.schema().fields().iter().map(|field| field.name().clone()).collect();
        let groups = metadata.metadata().row_groups().iter();
        let part_bytes = groups.map(|group| group.compressed_size().unsigned_abs()).collect();
        Ok(Self { file: file.clone(), names, content: Opened::Parquet(metadata), part_bytes })
    }

    async fn open_text(store: &Arc<dyn ObjectStore>, file: &ExportFile, packing: Packing) -> Result<Self, ReadError> {
        let names = text::header(store, file, packing).await?;
        Ok(Self { file: file.clone(), names, content: Opened::Text(packing), part_bytes: vec![file.size] })
    }

    const fn parquet(&self) -> Option<&ArrowReaderMetadata> {
        match &self.content {
            Opened::Parquet(metadata) => Some(metadata),
            Opened::Text(_) => None,
        }
    }

    /// Forgets all of a footer but the wanted columns.
    pub fn of_columns(mut self, wanted: &[String]) -> Result<Self, ReadError> {
        if let Some(whole) = self.parquet() {
            let roots = self.places(wanted).into_iter().collect();
            let kept = decoding(&self.file.path, || {
                footer::of_columns(whole, &roots).map_err(|error| parquet_error(&self.file.path, error))
            })?;
            self.names = kept.schema().fields().iter().map(|field| field.name().clone()).collect();
            self.content = Opened::Parquet(kept);
        }
        Ok(self)
    }

    /// Where the wanted columns are; of columns with one name the first that is wanted is the first in the file.
    fn places(&self, wanted: &[String]) -> Vec<usize> {
        let place = |(at, name): (usize, &String)| {
            let before = wanted.iter().take(at).filter(|other| *other == name).count();
            let mut of_name = self.names.iter().enumerate().filter(|(_, column)| *column == name);
            of_name.nth(before).map(|(place, _)| place)
        };
        wanted.iter().enumerate().filter_map(place).collect()
    }

    /// The parts that can be read apart: row groups of a Parquet file, a text file as a whole.
    pub fn parts(&self) -> Range<usize> {
        0..self.parquet().map_or(1, |metadata| metadata.metadata().num_row_groups())
    }

    /// Rows of a Parquet file from its footer; `None` for text.
    pub fn rows(&self) -> Option<u64> {
        let metadata = self.parquet()?.metadata();
        Some(metadata.row_groups().iter().map(|group| group.num_rows().unsigned_abs()).sum())
    }

    /// The one period that all rows of a part have, and their number, where the footer tells by the bounds of a date
    /// or timestamp `column`.
    pub fn one_period(&self, part: usize, column: &str) -> Result<Option<(BillingPeriod, u64)>, ReadError> {
        let Some(metadata) = self.parquet() else { return Ok(None) };
        let (schema, groups) = (metadata.schema(), metadata.metadata().row_groups());
        let is_day = schema
            .field_with_name(column)
            .is_ok_and(|field| matches!(field.data_type(), DataType::Date32 | DataType::Timestamp(..)));
        let Some(group) = groups.get(part).filter(|_| is_day) else { return Ok(None) };
        let period = |bound: ArrayRef| {
            let days = DayColumn::new(&bound).ok()?;
            days.period(0, &mut PeriodMemo::default()).ok().flatten()
        };
        let one_period = || {
            let bounds = StatisticsConverter::try_new(column, schema, metadata.parquet_schema())?;
            let no_nulls = bounds.row_group_null_counts([group])?.iter().all(|nulls| nulls == Some(0));
            let (first, last) = (period(bounds.row_group_mins([group])?), period(bounds.row_group_maxes([group])?));
            let one = first.filter(|first| no_nulls && last == Some(*first));
            Ok(one.map(|period| (period, group.num_rows().unsigned_abs())))
        };
        decoding(&self.file.path, || one_period().map_err(|error| parquet_error(&self.file.path, error)))
    }

    /// Bytes of one part.
    pub fn part_bytes(&self, part: usize) -> u64 {
        self.part_bytes.get(part).copied().unwrap_or_default()
    }

    /// The wanted columns of one part.
    pub fn read(&self, store: &Arc<dyn ObjectStore>, part: usize, wanted: &[String]) -> RawStream {
        let metadata = match &self.content {
            Opened::Parquet(metadata) => metadata.clone(),
            Opened::Text(packing) => return text::read(store, &self.file, *packing, self.places(wanted)),
        };
        let group = RowGroup { metadata, part, roots: self.places(wanted) };
        let (store, file) = (Arc::clone(store), self.file.clone());
        let batches = async move {
            let mut batches = group.open(&store, &file).await?;
            let next = move || {
                let batch = decoding(&file.path, || {
                    batches.next().transpose().map_err(|error| parquet_error(&file.path, error))
                });
                batch.transpose()
            };
            Ok::<_, ReadError>(stream::iter(std::iter::from_fn(next)))
        };
        stream::once(batches).try_flatten().boxed()
    }
}

/// A column that a library would decode, but that holds what no export does.
#[derive(Debug, thiserror::Error)]
#[error("column {column} {message}")]
struct BadColumn {
    column: String,
    message: String,
}

impl BadColumn {
    fn new(column: &ColumnChunkMetaData, message: String) -> Self {
        Self { column: column.column_path().parts().first().cloned().unwrap_or_default(), message }
    }
}

impl From<BadColumn> for ParquetError {
    fn from(error: BadColumn) -> Self {
        Self::External(Box::new(error))
    }
}

fn parquet_error(path: &str, error: ParquetError) -> ReadError {
    let said = match error {
        ParquetError::External(source) => match source.downcast::<BadColumn>() {
            Ok(bad) => return bad_column(path, &bad.column, bad.message),
            Err(source) => source.to_string(),
        },
        error => error.to_string(),
    };
    let said = excerpt(said.trim_start_matches("Parquet argument error: "));
    bad_file(path, format!("is not a complete Parquet file ({said}); copy the file again"))
}

#[cfg(test)]
mod tests;
