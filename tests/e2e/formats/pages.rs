//! However a file lays out its pages, whatever else its maps hold: the sample organisation comes out in the same bytes.
//!
//! What is fast on AWS's own files (a dictionary per column, kept from page to page) must be right on all others.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, MapBuilder, RecordBatch, StringBuilder};
use arrow::compute::{SortColumn, concat_batches, lexsort_to_indices, take};
use arrow::datatypes::{DataType, Field, Float64Type, Schema, TimestampMillisecondType};
use flate2::Compression;
use flate2::write::GzEncoder;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::basic::{Compression as Codec, ZstdLevel};
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder, WriterVersion};

use super::parquet_file::{Types, parquet};
use crate::determinism::sample;
use crate::faults::shop::{assert_same, files};
use crate::support::Workspace;

const AS_OF: &str = "2026-10-31";
const EXPORT: &str = "data/cur";

type Published = BTreeMap<String, Vec<u8>>;

fn published(workspace: &Workspace) -> Published {
    workspace.try_run(AS_OF, &["run"]).unwrap_or_else(|problem| panic!("{problem}"));
    workspace.published()
}

fn is_data(file: &str) -> bool {
    file.ends_with(".parquet")
}

fn rows(file: Vec<u8>) -> RecordBatch {
    let plain = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(bytes::Bytes::from(file), plain);
    let reader = reader.expect("a Parquet file");
    let schema = Arc::clone(reader.schema());
    let batches: Vec<RecordBatch> = reader.build().expect("a reader").map(|batch| batch.expect("a batch")).collect();
    concat_batches(&schema, &batches).expect("one batch")
}

fn written(rows: &RecordBatch, properties: WriterPropertiesBuilder) -> Vec<u8> {
    let mut file = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut file, rows.schema(), Some(properties.build())).expect("a writer");
    writer.write(rows).expect("written rows");
    writer.close().expect("a footer");
    file
}

/// The sample with every file written anew gives the same bytes.
fn assert_written_anew(change: impl Fn(RecordBatch) -> RecordBatch, properties: impl Fn() -> WriterPropertiesBuilder) {
    let expected = published(&sample(None));
    let workspace = sample(None);
    for file in files(&workspace.path(EXPORT)).into_iter().filter(|file| is_data(file)) {
        let path = format!("{EXPORT}/{file}");
        let content = std::fs::read(workspace.path(&path)).expect("a readable file");
        workspace.write(&path, written(&change(rows(content)), properties()));
    }
    assert_same("written anew", &published(&workspace), &expected);
}

#[test]
fn small_row_groups_with_strong_compression() {
    let zstd = Codec::ZSTD(ZstdLevel::try_new(9).expect("a level"));
    let small = || WriterProperties::builder().set_compression(zstd).set_max_row_group_row_count(Some(97));
    assert_written_anew(|rows| rows, small);
}

#[test]
fn no_dictionaries_at_all() {
    assert_written_anew(|rows| rows, || WriterProperties::builder().set_dictionary_enabled(false));
}

#[test]
fn dictionaries_that_end_in_the_middle_of_a_column_and_tiny_pages() {
    let mixed = || {
        WriterProperties::builder()
            .set_dictionary_page_size_limit(200)
            .set_data_page_row_count_limit(50)
            .set_write_batch_size(50)
            .set_writer_version(WriterVersion::PARQUET_2_0)
    };
    assert_written_anew(|rows| rows, mixed);
}

#[test]
fn credits_all_in_one_place() {
    let clustered = |rows: RecordBatch| {
        let line_type = rows.column_by_name("line_item_line_item_type").expect("the line type");
        let order = SortColumn { values: Arc::clone(line_type), options: None };
        let order = lexsort_to_indices(&[order], None).expect("an order");
        let columns = rows.columns().iter().map(|column| take(column, &order, None).expect("a column")).collect();
        RecordBatch::try_new(rows.schema(), columns).expect("a batch")
    };
    assert_written_anew(clustered, WriterProperties::builder);
}

/// More lines than one batch holds, each page range with accounts and tags of its own: as many as in the one before, so
/// that only their texts tell the dictionaries apart.
#[test]
fn texts_that_change_from_batch_to_batch_of_one_row_group() {
    const LINES: usize = 20_000;
    const RANGE: usize = 1_024;
    let mut export = "bill_billing_period_start_date,bill_payer_account_id,line_item_usage_account_id,\
                      line_item_usage_start_date,line_item_line_item_type,line_item_product_code,\
                      line_item_currency_code,line_item_unblended_cost,line_item_line_item_description,resource_tags\n"
        .to_owned();
    let mut expected: BTreeMap<String, u64> = BTreeMap::new();
    for line in 0..LINES {
        let place = line / RANGE;
        let team = if place.is_multiple_of(2) { "even" } else { "odd" };
        let account = 100_000_000_000 + place;
        export += &format!(
            "2026-05-01 00:00:00,999999999999,{account},2026-05-03 00:00:00,Usage,AmazonEC2,USD,1,,\
             \"{{\"\"user_team\"\":\"\"{team}\"\"}}\"\n"
        );
        *expected.entry(format!("{account},{team}")).or_default() += 1;
    }
    let plain = WriterProperties::builder().set_dictionary_enabled(false);
    for properties in [WriterProperties::builder(), plain] {
        let workspace = Workspace::new();
        let rows = rows(parquet(&export, &Types::of_aws()));
        workspace.write("cur/lines.parquet", written(&rows, properties));
        workspace.write("reference/hierarchy.csv", "business_unit,department,portfolio,product\neven,,,\nodd,,,\n");
        let rules = "rule_id,priority,payer_account_id,account_id,service,region,tag_key,tag_value,cost_category_key,\
                     cost_category_value,business_unit,department,portfolio,product,share\n\
                     e,1,,,,,user_team,even,,,even,,,,\no,2,,,,,user_team,odd,,,odd,,,,\n";
        workspace.write("reference/cost_rules.csv", rules);
        workspace.try_run("2026-05-31", &["run"]).unwrap_or_else(|problem| panic!("{problem}"));
        let sql = "SELECT account_id, business_unit, gross_cost FROM net_cost ORDER BY account_id";
        let found = workspace.query("2026-05-31", sql).unwrap_or_else(|problem| panic!("{problem}"));
        let found: BTreeMap<String, String> = found
            .into_iter()
            .map(|row| (format!("{},{}", row["account_id"], row["business_unit"]), row["gross_cost"].clone()))
            .collect();
        let expected = expected.iter().map(|(place, lines)| (place.clone(), format!("{lines}.0000000000"))).collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn a_memory_limit_changes_no_byte() {
    let expected = published(&sample(None));
    let workspace = sample(None);
    let settings = std::fs::read_to_string(workspace.path("credits.toml")).expect("settings");
    workspace.write("credits.toml", settings.replace("[run]\n", "[run]\nmemory_limit = \"256 MiB\"\n"));
    assert_same("in little memory", &published(&workspace), &expected);
    workspace.write("credits.toml", settings.replace("[run]\n", "[run]\nmemory_limit = \"1 MiB\"\n"));
    let problem = workspace.try_run(AS_OF, &["run"]).expect_err("too little");
    assert!(problem.contains("[run] memory_limit 1.0 MiB is too little; give at least 256.0 MiB"), "{problem}");
}

/// The rows with each map as `change` leaves it: entries before, then what is appended.
fn with_maps(rows: &RecordBatch, more: &[(String, Option<&str>)]) -> RecordBatch {
    let columns: Vec<ArrayRef> = rows
        .columns()
        .iter()
        .map(|column| if is_text_map(column) { longer(column, more) } else { Arc::clone(column) })
        .collect();
    let fields: Vec<Field> = rows
        .schema()
        .fields()
        .iter()
        .zip(&columns)
        .map(|(field, column)| field.as_ref().clone().with_data_type(column.data_type().clone()))
        .collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("a batch")
}

/// Discounts are maps too, of numbers.
fn is_text_map(column: &ArrayRef) -> bool {
    column.as_map_opt().is_some_and(|map| map.values().data_type() == &DataType::Utf8)
}

fn longer(column: &ArrayRef, more: &[(String, Option<&str>)]) -> ArrayRef {
    let map = column.as_map();
    let mut builder = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    for row in 0..map.len() {
        let entries = map.value(row);
        let (keys, values) = (entries.column(0).as_string::<i32>(), entries.column(1).as_string::<i32>());
        for (key, value) in keys.iter().zip(values.iter()) {
            builder.keys().append_option(key);
            builder.values().append_option(value);
        }
        // An empty map and none are the same.
        let is_there = !entries.is_empty() || !more.is_empty();
        for (key, value) in more.iter().filter(|_| is_there) {
            builder.keys().append_value(key);
            builder.values().append_option(*value);
        }
        builder.append(is_there).expect("an entry");
    }
    Arc::new(builder.finish())
}

#[test]
fn maps_of_two_hundred_keys() {
    let more: Vec<(String, Option<&str>)> =
        (0..200).map(|key| (format!("user_other_{key}"), Some("some value"))).collect();
    assert_written_anew(|rows| with_maps(&rows, &more), WriterProperties::builder);
}

#[test]
fn maps_that_are_null_where_empty_and_values_that_are_null_or_blank() {
    assert_written_anew(|rows| with_maps(&rows, &[]), WriterProperties::builder);
    let keys = ["user_team", "user_cost_center", "user_app", "BusinessUnit", "cost_center", "user_project"];
    let blanks: Vec<(String, Option<&str>)> =
        keys.iter().flat_map(|key| [((*key).to_owned(), None), ((*key).to_owned(), Some(" "))]).collect();
    assert_written_anew(|rows| with_maps(&rows, &blanks), WriterProperties::builder);
}

#[test]
fn packed_text() {
    let expected = published(&sample(None));
    let workspace = sample(None);
    let mut newest: BTreeMap<String, Vec<(String, RecordBatch)>> = BTreeMap::new();
    for file in files(&workspace.path(EXPORT)).into_iter().filter(|file| is_data(file)) {
        let folder = file.split('/').find(|part| part.starts_with("BILLING_PERIOD=")).expect("a period").to_owned();
        let (parent, _) = file.rsplit_once('/').expect("a folder");
        let of_period = newest.entry(folder).or_default();
        // Of several executions the last counts.
        of_period.retain(|(earlier, _)| earlier == parent);
        let content = std::fs::read(workspace.path(&format!("{EXPORT}/{file}"))).expect("a readable file");
        of_period.push((parent.to_owned(), rows(content)));
    }
    workspace.empty(EXPORT);
    for (name, (_, rows)) in newest.values().flatten().enumerate() {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(&text(rows)).expect("packed text");
        workspace.write(&format!("{EXPORT}/part-{name}.csv.gz"), packed.finish().expect("packed text"));
    }
    assert_same("as text", &published(&workspace), &expected);
}

fn text(rows: &RecordBatch) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let schema = rows.schema();
    writer.write_record(schema.fields().iter().map(|field| field.name())).expect("a header");
    for row in 0..rows.num_rows() {
        writer.write_record(rows.columns().iter().map(|column| cell(column, row))).expect("a row");
    }
    writer.into_inner().expect("a text")
}

fn cell(column: &ArrayRef, row: usize) -> String {
    if column.is_null(row) || column.as_map_opt().is_some() && !is_text_map(column) {
        return String::new();
    }
    match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().value(row).to_owned(),
        DataType::Float64 => column.as_primitive::<Float64Type>().value(row).to_string(),
        DataType::Timestamp(..) => {
            let instant = column.as_primitive::<TimestampMillisecondType>().value_as_datetime(row).expect("an instant");
            instant.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
        }
        DataType::Map(..) => {
            let entries = column.as_map().value(row);
            let (keys, values) = (entries.column(0).as_string::<i32>(), entries.column(1).as_string::<i32>());
            let object: serde_json::Map<String, serde_json::Value> = keys
                .iter()
                .zip(values.iter())
                .map(|(key, value)| (key.unwrap_or_default().to_owned(), value.into()))
                .collect();
            serde_json::Value::Object(object).to_string()
        }
        other => panic!("the sample has a column of type {other}"),
    }
}
