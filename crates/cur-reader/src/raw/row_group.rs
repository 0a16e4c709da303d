//! The wanted columns of one row group: fetched at once, decoded batch by batch.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use object_store::ObjectStore;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReader};
use parquet::arrow::{ProjectionMask, parquet_to_arrow_field_levels};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ColumnChunkMetaData;

use super::chunks::Chunks;
use super::contents::{Fetched, Found};
use super::leaf::{Leaf, coded_text};
use super::maps::{MapReader, coded_map};
use super::pages::Sizes;
use super::{RawBatch, RawColumn, decoding, parquet_error, rows_per_batch};
use crate::error::ReadError;
use crate::listing::{ExportFile, object_path};

/// One row group and what is wanted of it.
pub(crate) struct RowGroup {
    pub metadata: ArrowReaderMetadata,
    pub part: usize,
    /// Positions of the wanted columns in the file.
    pub roots: Vec<usize>,
}

/// Where a wanted column comes from.
enum Source {
    /// This column of the file, by Arrow's reader.
    Arrow(usize),
    Text(Box<Leaf>),
    Map(Box<MapReader>),
}

impl Source {
    fn new(chunks: &Chunks, metadata: &ArrowReaderMetadata, part: usize, root: usize) -> Result<Self> {
        if let Some(leaf) = coded_text(metadata, part, root) {
            return Ok(Self::Text(Box::new(Leaf::new(chunks, metadata, part, leaf)?)));
        }
        if let Some(leaves) = coded_map(metadata, part, root) {
            return Ok(Self::Map(Box::new(MapReader::new(chunks, metadata, part, leaves)?)));
        }
        Ok(Self::Arrow(root))
    }
}

impl RowGroup {
    /// Fetches the column chunks and gets ready to decode them.
    pub(crate) async fn open(
        self,
        store: &Arc<dyn ObjectStore>,
        file: &ExportFile,
    ) -> std::result::Result<Batches, ReadError> {
        let wanted = ProjectionMask::roots(self.metadata.parquet_schema(), self.roots.iter().copied());
        let columns = self.metadata.metadata().row_group(self.part).columns().iter().enumerate();
        let columns: Vec<&ColumnChunkMetaData> =
            columns.filter(|(leaf, _)| wanted.leaf_included(*leaf)).map(|(_, column)| column).collect();
        let ranges = places(&columns, file.size).ok_or_else(|| {
            parquet_error(&file.path, ParquetError::General("the footer points beyond the file".to_owned()))
        })?;
        let bytes = store.get_ranges(&object_path(&file.path), &ranges).await?;
        decoding(&file.path, || {
            self.check_pages(&columns, &bytes).map_err(|error| parquet_error(&file.path, error))?;
            let pieces = ranges.iter().map(|range| range.start).zip(bytes).collect();
            let chunks = Chunks::new(file.size, pieces);
            self.batches(&chunks).map_err(|error| parquet_error(&file.path, error))
        })
    }

    /// Looks at all that headers of pages claim.
    fn check_pages(&self, columns: &[&ColumnChunkMetaData], chunks: &[Bytes]) -> Result<()> {
        let group = self.metadata.metadata().row_group(self.part);
        let mut sizes = Sizes::default();
        for (column, chunk) in columns.iter().zip(chunks) {
            sizes.add(chunk, column, group)?;
        }
        sizes.check()
    }

    fn batches(&self, chunks: &Chunks) -> Result<Batches> {
        let Self { metadata, part, roots } = self;
        let part = *part;
        let groups = metadata.metadata().row_groups();
        let before: u64 = groups.iter().take(part).map(|group| group.num_rows().unsigned_abs()).sum();
        let sources =
            roots.iter().map(|root| Source::new(chunks, metadata, part, *root)).collect::<Result<Vec<_>>>()?;
        let by_arrow = sources.iter().filter_map(|source| match source {
            Source::Arrow(root) => Some(*root),
            Source::Text(_) | Source::Map(_) => None,
        });
        let mask = ProjectionMask::roots(metadata.parquet_schema(), by_arrow.clone());
        let arrow_roots = by_arrow.collect::<BTreeSet<usize>>().into_iter().collect();
        let levels = parquet_to_arrow_field_levels(metadata.parquet_schema(), mask, Some(metadata.schema().fields()))?;
        let found = Found::default();
        let (whole, chunks) = (Arc::clone(metadata.metadata()), chunks.clone());
        let fetched = Fetched { metadata: whole, part, chunks, found: found.clone() };
        let rows = rows_per_batch(sources.len());
        let arrow = ParquetRecordBatchReader::try_new_with_row_groups(&levels, &fetched, rows, None)?;
        Ok(Batches { arrow, arrow_roots, found, sources, next_row: before + 1 })
    }
}

/// Where column chunks lie; `None` where not all of them can be in the file.
fn places(columns: &[&ColumnChunkMetaData], size: u64) -> Option<Vec<Range<u64>>> {
    let places: Vec<_> = columns.iter().map(|column| place(column, size)).collect::<Option<_>>()?;
    let bytes = places.iter().try_fold(0_u64, |bytes, place| bytes.checked_add(place.end - place.start))?;
    (bytes <= size).then_some(places)
}

/// Where a column chunk lies; `None` for a place that is not in the file, which the library would not bear.
fn place(column: &ColumnChunkMetaData, size: u64) -> Option<Range<u64>> {
    let start = column.dictionary_page_offset().unwrap_or_else(|| column.data_page_offset());
    let (start, length) = (u64::try_from(start).ok()?, u64::try_from(column.compressed_size()).ok()?);
    let end = start.checked_add(length)?;
    (end <= size).then_some(start..end)
}

/// The batches of one row group.
pub(crate) struct Batches {
    arrow: ParquetRecordBatchReader,
    /// Of the columns of Arrow's reader, in its order.
    arrow_roots: Vec<usize>,
    /// What was found in its pages.
    found: Found,
    sources: Vec<Source>,
    next_row: u64,
}

impl Batches {
    fn batch(&mut self, batch: &RecordBatch) -> Result<RawBatch> {
        let (first_row, rows) = (self.next_row, batch.num_rows());
        self.next_row += rows as u64;
        let columns = self.sources.iter_mut().map(|source| match source {
            Source::Arrow(root) => {
                Ok(RawColumn::Array(Arc::clone(batch.column(self.arrow_roots.partition_point(|other| other < root)))))
            }
            Source::Text(leaf) => Ok(RawColumn::Text(leaf.texts(rows)?)),
            Source::Map(map) => Ok(RawColumn::Map(Box::new(map.next(rows)?))),
        });
        Ok(RawBatch { first_row, columns: columns.collect::<Result<_>>()?, rows })
    }
}

impl Iterator for Batches {
    type Item = Result<RawBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.arrow.next()?;
        let batch = batch.map_err(|error| self.found.instead_of(error.into()));
        Some(batch.and_then(|batch| self.batch(&batch)))
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, MapBuilder, StringArray, StringBuilder};
    use futures::TryStreamExt;
    use object_store::memory::InMemory;
    use object_store::{ObjectStoreExt, PutPayload};
    use parquet::arrow::ArrowWriter;
    use parquet::basic::{Compression, Encoding, GzipLevel, ZstdLevel};
    use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder, WriterVersion};

    use super::super::OpenFile;
    use super::*;
    use crate::error::bad_file;
    use crate::values::{MapColumn, TextColumn};

    type Text = Option<String>;
    type Map = Vec<(String, Text)>;

    /// Lines with everything that readers of pages must get right: runs, blanks, empty maps, many and few values.
    fn lines(rows: usize, values: u64) -> (Vec<Text>, Vec<Option<Map>>) {
        let mut state = 7_u64;
        let mut random = move |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let (mut texts, mut maps): (Vec<Text>, Vec<Option<Map>>) = (Vec::new(), Vec::new());
        while texts.len() < rows {
            let text = (random(9) > 0).then(|| format!("value {}", random(values)));
            let value = |random: &mut dyn FnMut(u64) -> u64| (random(6) > 0).then(|| random(values).to_string());
            let keys = random(4) * random(3);
            let map = (0..keys).map(|key| (format!("key {}", key * 3 % 7), value(&mut random))).collect();
            let map = (random(5) > 0).then_some(map);
            let run = if random(3) > 0 { 1 } else { random(40) };
            for _ in 0..run {
                texts.push(text.clone());
                maps.push(map.clone());
            }
        }
        texts.truncate(rows);
        maps.truncate(rows);
        (texts, maps)
    }

    fn file((texts, maps): &(Vec<Text>, Vec<Option<Map>>), properties: WriterPropertiesBuilder) -> Vec<u8> {
        let mut builder = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
        for map in maps {
            for (key, value) in map.iter().flatten() {
                builder.keys().append_value(key);
                builder.values().append_option(value.as_deref());
            }
            builder.append(map.is_some()).unwrap();
        }
        let blank_free: StringArray = texts.iter().map(|text| Some(text.clone().unwrap_or_default())).collect();
        let map: ArrayRef = Arc::new(builder.finish());
        let columns: [(&str, ArrayRef, bool); 5] = [
            ("unwanted map", Arc::clone(&map), true),
            ("text", Arc::new(texts.iter().cloned().collect::<StringArray>()), true),
            ("map", map, true),
            ("unwanted", Arc::new(blank_free.clone()), false),
            ("required", Arc::new(blank_free), false),
        ];
        let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties.build())).unwrap();
        writer.write(&batch).unwrap();
        writer.into_inner().unwrap()
    }

    /// What is read back of a file.
    #[derive(Default)]
    struct Lines {
        texts: Vec<Text>,
        required: Vec<Text>,
        maps: Vec<Map>,
        /// Columns that are read straight from pages.
        from_pages: usize,
    }

    async fn read(bytes: Vec<u8>) -> std::result::Result<Lines, ReadError> {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let path = "x.parquet".to_owned();
        let file = ExportFile::new(path, bytes.len() as u64, String::new());
        store.put(&object_path(&file.path), PutPayload::from(bytes)).await.unwrap();
        let whole = OpenFile::open(&store, &file).await?;
        let wanted = ["required", "map", "text"].map(str::to_owned);
        let refused = |message: String| bad_file("x.parquet", message);
        if let Some(missing) = wanted.iter().find(|name| !whole.names.contains(name)) {
            return Err(refused(format!("has no column {missing}")));
        }
        let open = whole.clone().of_columns(&wanted)?;
        assert_eq!(
            (&open.names[..], open.parts()),
            (&["text", "map", "required"].map(str::to_owned)[..], whole.parts())
        );
        let mut lines = Lines::default();
        for part in open.parts() {
            assert_eq!(open.part_bytes(part), whole.part_bytes(part), "with what is not wanted");
            let batches: Vec<RawBatch> = open.read(&store, part, &wanted).try_collect().await?;
            for RawBatch { columns, rows, .. } in batches {
                lines.from_pages = columns.iter().filter(|column| !matches!(column, RawColumn::Array(_))).count();
                let owned = |column: &TextColumn, row| column.get(row).map(str::to_owned);
                let (required, text) = (columns[0].text().map_err(refused)?, columns[2].text().map_err(refused)?);
                let MapColumn::Map(map) = columns[1].map().map_err(refused)? else {
                    return Err(refused("has no maps".to_owned()));
                };
                lines.maps.extend(map.rows().map(|range| {
                    let entries = range.filter_map(|entry| Some((owned(&map.keys, entry)?, owned(&map.values, entry))));
                    entries.collect::<Map>()
                }));
                lines.texts.extend((0..rows).map(|row| owned(&text, row)));
                lines.required.extend((0..rows).map(|row| owned(&required, row)));
            }
        }
        Ok(lines)
    }

    async fn check(
        name: &str,
        lines: &(Vec<Text>, Vec<Option<Map>>),
        properties: WriterPropertiesBuilder,
        from_pages: usize,
    ) {
        let read = read(file(lines, properties)).await.unwrap();
        assert!(read.texts == lines.0, "{name}: texts differ");
        assert!(read.required == lines.0, "{name}: texts that are never null differ");
        assert!(
            read.maps.iter().eq(lines.1.iter().map(|map| map.as_deref().unwrap_or_default())),
            "{name}: maps differ"
        );
        assert_eq!(read.from_pages, from_pages, "{name}");
    }

    fn properties() -> WriterPropertiesBuilder {
        WriterProperties::builder()
    }

    #[tokio::test]
    async fn a_file_reads_back_whatever_its_pages() {
        let versions = [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0];
        let few = lines(20_000, 60);
        for (name, properties, from_pages) in [
            ("large pages", properties(), 3),
            ("packed", properties().set_compression(Compression::SNAPPY), 3),
            ("small pages", properties().set_data_page_row_count_limit(900).set_write_batch_size(64), 3),
            ("small row groups", properties().set_max_row_group_row_count(Some(3_001)), 3),
            ("no dictionaries", properties().set_dictionary_enabled(false), 0),
            ("one without", properties().set_column_dictionary_enabled("required".into(), false), 2),
            ("dictionaries given up", properties().set_dictionary_page_size_limit(300).set_write_batch_size(64), 0),
        ] {
            for version in versions {
                check(name, &few, properties.clone().set_writer_version(version), from_pages).await;
            }
        }
    }

    #[tokio::test]
    async fn dictionary_indexes_may_be_of_any_width() {
        for bits in [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18] {
            let lines = lines(if bits > 12 { 150_000 } else { 9_000 }, 1 << bits);
            let large = properties().set_dictionary_page_size_limit(1 << 30).set_max_row_group_row_count(None);
            check(&format!("{bits} bits"), &lines, large, 3).await;
        }
    }

    #[tokio::test]
    async fn a_damaged_byte_anywhere_is_an_error_or_other_values_but_never_a_panic() {
        let plain = || properties().set_dictionary_enabled(false);
        let encoded = |encoding| plain().set_encoding(encoding);
        let small = || properties().set_data_page_row_count_limit(20).set_write_batch_size(10);
        for (name, properties) in [
            ("dictionaries", properties()),
            ("dictionaries in small pages", small().set_writer_version(WriterVersion::PARQUET_2_0)),
            ("dictionaries given up", small().set_dictionary_page_size_limit(100)),
            ("plain", plain()),
            ("delta", encoded(Encoding::DELTA_BYTE_ARRAY).set_writer_version(WriterVersion::PARQUET_2_0)),
            ("lengths", encoded(Encoding::DELTA_LENGTH_BYTE_ARRAY)),
            ("snappy", properties().set_compression(Compression::SNAPPY)),
            ("zstd", plain().set_compression(Compression::ZSTD(ZstdLevel::default()))),
            ("gzip", plain().set_compression(Compression::GZIP(GzipLevel::default()))),
        ] {
            let whole = file(&lines(60, 40), properties);
            read(whole.clone()).await.unwrap();
            let mut refused = 0;
            for at in 0..whole.len() {
                let damage = [0x01, 0x80, 0xff][at % 3];
                let mut damaged = whole.clone();
                damaged[at] ^= damage;
                refused += usize::from(read(damaged).await.is_err());
            }
            assert!(refused > 100, "{name}: only {refused} refused");
        }
    }
}
