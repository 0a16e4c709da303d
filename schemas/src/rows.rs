//! Rows to Arrow and back, by the declared schema.

use arrow::datatypes::FieldRef;
use arrow::record_batch::RecordBatch;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Table, TableRow};

/// Rows that do not fit their table, or Arrow data that does not fit the rows.
#[derive(Debug, thiserror::Error)]
#[error("table {table}: {source}")]
pub struct RowsError {
    table: &'static str,
    #[source]
    source: Box<serde_arrow::Error>,
}

fn error(table: &Table) -> impl FnOnce(serde_arrow::Error) -> RowsError {
    let table = table.name;
    move |source| RowsError { table, source: Box::new(source) }
}

/// The rows as one Arrow batch in the table's schema.
///
/// # Errors
/// [`RowsError`] where a value does not fit its column.
pub fn to_batch<R: TableRow + Serialize>(rows: &[R]) -> Result<RecordBatch, RowsError> {
    let fields: Vec<FieldRef> = R::TABLE.schema().fields().iter().cloned().collect();
    serde_arrow::to_record_batch(&fields, &rows).map_err(error(&R::TABLE))
}

/// The rows of Arrow batches, in their order. Columns are found by name; more columns than declared are no error.
///
/// # Errors
/// [`RowsError`] where a column is missing, has another type, or is null and must not be.
pub fn from_batches<R: TableRow + DeserializeOwned>(batches: &[RecordBatch]) -> Result<Vec<R>, RowsError> {
    let mut rows = Vec::with_capacity(batches.iter().map(RecordBatch::num_rows).sum());
    for batch in batches.iter().filter(|batch| batch.num_rows() > 0) {
        rows.extend(serde_arrow::from_record_batch::<Vec<R>>(batch).map_err(error(&R::TABLE))?);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::{AllocationLogRow, NetCostSummary};

    #[test]
    fn rows_survive_the_way_to_arrow_and_back_exactly() {
        let row = AllocationLogRow {
            allocation_id: "a-1".into(),
            lot: 1,
            credit_key: "id:1".into(),
            action: "allocate".into(),
            business_unit: Some("Rétail".into()),
            department: None,
            portfolio: None,
            product: None,
            amount: Some("-9999999999999999999999999999.9999999999".parse().unwrap()),
            currency: Some("USD".into()),
            end_date: "2026-12-31".parse().ok(),
            reference: None,
            recorded_by: None,
            recorded_at: "2026-03-05T09:00:00.123456".parse().unwrap(),
            note: None,
        };
        let batch = to_batch(std::slice::from_ref(&row)).unwrap();
        assert_eq!(batch.schema(), AllocationLogRow::TABLE.schema());
        assert_eq!(from_batches::<AllocationLogRow>(&[batch]).unwrap(), [row]);
        assert_eq!(to_batch::<NetCostSummary>(&[]).unwrap().num_rows(), 0);
    }
}
