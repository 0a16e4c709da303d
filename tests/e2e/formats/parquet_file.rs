//! CSV text as a Parquet file in the types that exports have.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array, MapBuilder, RecordBatch, StringArray, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit, TimestampMillisecondType};
use parquet::arrow::ArrowWriter;

/// The physical types of one delivery.
pub(crate) struct Types {
    pub(crate) text: DataType,
    pub(crate) cost: DataType,
    /// Zone of timestamps, all in milliseconds.
    pub(crate) zone: Option<&'static str>,
    /// True for real maps, false for JSON text.
    pub(crate) maps: bool,
}

impl Types {
    /// As AWS delivers: plain strings, doubles, timestamps without zone, real maps.
    pub(crate) const fn of_aws() -> Self {
        Self { text: DataType::Utf8, cost: DataType::Float64, zone: None, maps: true }
    }
}

const MAPS: [&str; 7] =
    ["cost_category", "resource_tags", "product", "discount", "Tags", "x_Discounts", "x_CostCategories"];

fn is_cost(column: &str) -> bool {
    let ends = ["_cost", "Cost", "_commitment", "_to_date", "_billing_period", "_recurring_fee"];
    ends.iter().any(|end| column.ends_with(end))
}

fn is_instant(column: &str) -> bool {
    column.ends_with("_date") && !column.ends_with("_to_date")
        || ["BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd"].contains(&column)
}

/// The file's bytes.
pub(crate) fn parquet(text: &str, types: &Types) -> Vec<u8> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().expect("a header").clone();
    let records: Vec<csv::StringRecord> = reader.records().map(|record| record.expect("a record")).collect();
    let columns = header.iter().enumerate().map(|(index, name)| {
        let cells: Vec<Option<&str>> =
            records.iter().map(|record| record.get(index).filter(|cell| !cell.is_empty())).collect();
        (name, column(name, &cells, types), true)
    });
    let batch = RecordBatch::try_from_iter_with_nullable(columns).expect("a batch");
    let mut file = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut file, batch.schema(), None).expect("a writer");
    writer.write(&batch).expect("a written batch");
    writer.close().expect("a footer");
    file
}

fn column(name: &str, cells: &[Option<&str>], types: &Types) -> ArrayRef {
    let text: ArrayRef = Arc::new(StringArray::from(cells.to_vec()));
    if types.maps && MAPS.contains(&name) {
        return map(cells);
    }
    if is_instant(name) {
        let instants = cast(&text, &DataType::Timestamp(TimeUnit::Millisecond, None)).expect("instants");
        let instants = instants.as_primitive::<TimestampMillisecondType>().clone();
        return Arc::new(instants.with_timezone_opt(types.zone));
    }
    if is_cost(name) && types.cost == DataType::Float64 {
        let costs: Vec<Option<f64>> = cells.iter().map(|cell| cell.map(|cell| cell.parse().expect("a cost"))).collect();
        return Arc::new(Float64Array::from(costs));
    }
    let data_type = if is_cost(name) { &types.cost } else { &types.text };
    cast(&text, data_type).expect("the type")
}

fn map(cells: &[Option<&str>]) -> ArrayRef {
    let mut builder = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    for cell in cells {
        let entries: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(cell.unwrap_or("{}")).expect("a JSON object");
        for (key, value) in &entries {
            builder.keys().append_value(key);
            builder.values().append_value(value.as_str().expect("a text"));
        }
        builder.append(cell.is_some()).expect("an entry");
    }
    Arc::new(builder.finish())
}
