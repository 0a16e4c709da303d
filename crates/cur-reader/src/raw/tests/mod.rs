//! Files as they are delivered, from their bytes to values.

mod packed;
mod parquet_files;
mod text_files;

use object_store::PutPayload;
use object_store::memory::InMemory;

use super::*;

/// A file that was just delivered.
async fn delivered(path: &str, bytes: &[u8]) -> (Arc<dyn ObjectStore>, ExportFile) {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    store.put(&object_path(path), PutPayload::from(bytes.to_vec())).await.unwrap();
    (store, ExportFile::new(path.to_owned(), bytes.len() as u64, String::new()))
}

/// All batches of the wanted columns.
async fn batches(path: &str, bytes: &[u8], wanted: &[&str]) -> Result<Vec<RawBatch>, ReadError> {
    let (store, file) = delivered(path, bytes).await;
    let wanted: Vec<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
    let open = OpenFile::open(&store, &file).await?.of_columns(&wanted)?;
    let mut batches = Vec::new();
    for part in open.parts() {
        batches.extend(open.read(&store, part, &wanted).try_collect::<Vec<_>>().await?);
    }
    Ok(batches)
}

/// The rows as text, each after its number: `2 a|b|-`, where `-` is null or blank.
async fn rows(path: &str, bytes: impl AsRef<[u8]>, wanted: &[&str]) -> Result<Vec<String>, String> {
    let mut rows = Vec::new();
    for batch in batches(path, bytes.as_ref(), wanted).await.map_err(|error| error.to_string())? {
        let text = |(column, name): (&RawColumn, &&str)| {
            column.text().map_err(|message| bad_column(path, name, message).to_string())
        };
        let columns: Vec<TextColumn> = batch.columns.iter().zip(wanted).map(text).collect::<Result<_, _>>()?;
        for row in 0..batch.rows {
            let values: Vec<&str> = columns.iter().map(|column| column.get(row).unwrap_or("-")).collect();
            rows.push(format!("{} {}", batch.first_row + row as u64, values.join("|")));
        }
    }
    Ok(rows)
}

/// Why a file cannot be read.
async fn refused(path: &str, bytes: impl AsRef<[u8]>, wanted: &[&str]) -> String {
    rows(path, bytes, wanted).await.unwrap_err()
}
