//! What reading alone takes: the columns that the scan of the benchmark's data needs, decoded with their dictionaries
//! and dropped. `cargo run --release --example decode_limit -- FOLDER THREADS`

use std::error::Error;
use std::fs::File;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use rayon::prelude::*;

const COLUMNS: [&str; 14] = [
    "bill_billing_period_start_date",
    "bill_payer_account_id",
    "line_item_usage_account_id",
    "line_item_usage_start_date",
    "line_item_line_item_type",
    "line_item_line_item_description",
    "line_item_unblended_cost",
    "line_item_currency_code",
    "line_item_product_code",
    "bill_billing_entity",
    "reservation_reservation_a_r_n",
    "savings_plan_savings_plan_a_r_n",
    "resource_tags",
    "cost_category",
];
const ROWS_PER_BATCH: usize = 8192;

type AnyError = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), AnyError> {
    let mut arguments = std::env::args().skip(1);
    let (Some(folder), Some(threads)) = (arguments.next(), arguments.next()) else {
        return Err("usage: decode_limit FOLDER THREADS".into());
    };
    let mut parts = Vec::new();
    for file in files(Path::new(&folder))? {
        let metadata = metadata(&file)?;
        parts.extend((0..metadata.metadata().num_row_groups()).map(|group| (file.clone(), metadata.clone(), group)));
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.parse()?).build()?;
    pool.install(|| parts.into_par_iter().try_for_each(|(file, metadata, group)| decode(&file, metadata, group)))
}

fn files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "parquet") {
            found.push(path);
        }
    }
    Ok(found)
}

/// With text as dictionaries, inside maps too.
fn metadata(file: &Path) -> Result<ArrowReaderMetadata, AnyError> {
    let plain = ArrowReaderMetadata::load(&File::open(file)?, ArrowReaderOptions::new())?;
    let coded: Fields = plain.schema().fields().iter().map(|field| Arc::new(coded(field))).collect();
    let options = ArrowReaderOptions::new().with_schema(Arc::new(Schema::new(coded)));
    Ok(ArrowReaderMetadata::try_new(Arc::clone(plain.metadata()), options)?)
}

fn coded(field: &Field) -> Field {
    let coded_type = match field.data_type() {
        DataType::Utf8 => DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
        DataType::Map(entries, sorted) => match entries.data_type() {
            DataType::Struct(pair) => {
                let pair: Fields = pair.iter().map(|field| Arc::new(coded(field))).collect();
                DataType::Map(Arc::new(entries.as_ref().clone().with_data_type(DataType::Struct(pair))), *sorted)
            }
            other => other.clone(),
        },
        other => other.clone(),
    };
    field.clone().with_data_type(coded_type)
}

fn decode(file: &Path, metadata: ArrowReaderMetadata, group: usize) -> Result<(), AnyError> {
    let wanted = |(index, field): (usize, &Arc<Field>)| COLUMNS.contains(&field.name().as_str()).then_some(index);
    let roots: Vec<usize> = metadata.schema().fields().iter().enumerate().filter_map(wanted).collect();
    let mask = ProjectionMask::roots(metadata.parquet_schema(), roots);
    let batches = ParquetRecordBatchReaderBuilder::new_with_metadata(File::open(file)?, metadata)
        .with_projection(mask)
        .with_row_groups(vec![group])
        .with_batch_size(ROWS_PER_BATCH)
        .build()?;
    for batch in batches {
        black_box(batch?);
    }
    Ok(())
}
