//! Rows to Arrow and back, by the declared schema.

use std::iter::repeat_n;

use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use credit_ledger::Money;

use crate::{ColumnValue, Table, TableRow};

/// Rows that do not fit their table, or Arrow data that does not fit the rows.
#[derive(Debug, thiserror::Error)]
pub enum RowsError {
    /// The rows make no batch.
    #[error("table {table}: {source}")]
    Batch {
        /// The table.
        table: &'static str,
        /// What Arrow says.
        #[source]
        source: Box<ArrowError>,
    },
    /// A column is not what the table declares.
    #[error("table {table}: column {column} {problem}")]
    Column {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

/// The values of one column of a batch that a plan made of a table.
///
/// # Errors
/// [`RowsError::Column`] where the batch has no such column, or one of another type.
pub fn column_values<R: TableRow, V: ColumnValue>(
    batch: &RecordBatch,
    column: &'static str,
) -> Result<Vec<V>, RowsError> {
    let found = batch.column_by_name(column).ok_or_else(|| "is missing".to_owned());
    let problem = |problem| RowsError::Column { table: R::TABLE.name, column, problem };
    found.and_then(V::from_array).map_err(problem)
}

/// The rows as one Arrow batch in the table's schema.
///
/// # Errors
/// [`RowsError`] where a value does not fit its column.
pub fn to_batch<R: TableRow>(rows: &[R]) -> Result<RecordBatch, RowsError> {
    let Table { name: table, .. } = R::TABLE;
    let batch = RecordBatch::try_new(R::TABLE.schema(), R::to_columns(rows));
    batch.map_err(|source| RowsError::Batch { table, source: Box::new(source) })
}

/// The rows of Arrow batches, in their order. Columns are found by name; more columns than declared are no error, and
/// [later ones](Table::later_columns) may be missing.
///
/// # Errors
/// [`RowsError`] where a column is missing, has another type, or is null and must not be.
pub fn from_batches<R: TableRow>(batches: &[RecordBatch]) -> Result<Vec<R>, RowsError> {
    let Table { name: table, .. } = R::TABLE;
    let of_batch = |batch: &RecordBatch| {
        let zeros = <Money as ColumnValue>::to_array(repeat_n(&Money::ZERO, batch.num_rows()));
        let later = |name: &str| R::TABLE.later_columns().any(|later| later == name).then_some(&zeros);
        let found = R::from_columns(|name| batch.column_by_name(name).or_else(|| later(name)));
        found.map_err(|(column, problem)| RowsError::Column { table, column, problem })
    };
    let mut batches = batches.iter().filter(|batch| batch.num_rows() > 0);
    let mut rows = batches.next().map(of_batch).transpose()?.unwrap_or_default();
    for batch in batches {
        rows.extend(of_batch(batch)?);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;

    use super::*;
    use crate::tables::{AllocationLogRow, CreditBalance, NetCostSummary};

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
            from_period: None,
            continues_lot: None,
        };
        let batch = to_batch(std::slice::from_ref(&row)).unwrap();
        assert_eq!(batch.schema(), AllocationLogRow::TABLE.schema());
        assert_eq!(from_batches::<AllocationLogRow>(&[batch]).unwrap(), [row]);
        assert_eq!(to_batch::<NetCostSummary>(&[]).unwrap().num_rows(), 0);
    }

    #[test]
    fn amount_that_files_of_an_older_version_lack_is_zero() {
        let batch = to_batch::<CreditBalance>(&[balance()]).unwrap();
        let older = batch.project(&without(&batch, "moved")).unwrap();
        let expected = CreditBalance { moved: Money::ZERO, ..balance() };
        assert_eq!(from_batches::<CreditBalance>(&[older]).unwrap(), [expected]);
        let damaged = batch.project(&without(&batch, "used")).unwrap();
        let refused = from_batches::<CreditBalance>(&[damaged]).unwrap_err().to_string();
        assert_eq!(refused, "table credit_balances: column used is missing");
    }

    fn without(batch: &RecordBatch, column: &str) -> Vec<usize> {
        let names = batch.schema();
        (0..names.fields().len()).filter(|index| names.field(*index).name() != column).collect()
    }

    fn balance() -> CreditBalance {
        let date: NaiveDate = "2026-01-31".parse().unwrap();
        CreditBalance {
            credit_key: "k".into(),
            lot: 1,
            promotion_code: "P".into(),
            account_id: "1".into(),
            currency: "USD".into(),
            business_unit: Some("A".into()),
            department: None,
            portfolio: None,
            product: None,
            issue_date: date,
            end_date: None,
            opening: Money::ZERO,
            issued: "5".parse().unwrap(),
            moved: "-5".parse().unwrap(),
            used: Money::ZERO,
            expired: Money::ZERO,
            remaining: Money::ZERO,
            aws_applied: Money::ZERO,
        }
    }

    #[test]
    fn a_column_that_does_not_fit_is_named() {
        use std::sync::Arc;

        use arrow::array::{ArrayRef, Int64Array, new_null_array};

        let batch = to_batch::<AllocationLogRow>(&[]).unwrap();
        let problem = |column: &str, array: Option<ArrayRef>| {
            let names = batch.schema();
            let columns = names.fields().iter().filter_map(|field| {
                let given = new_null_array(field.data_type(), 1);
                let array = if field.name() == column { array.clone()? } else { given };
                Some((field.name().clone(), array, true))
            });
            let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
            from_batches::<AllocationLogRow>(&[batch]).unwrap_err().to_string()
        };
        let number: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        assert_eq!(problem("allocation_id", None), "table allocations_log: column allocation_id is missing");
        assert_eq!(
            problem("allocation_id", Some(number)),
            "table allocations_log: column allocation_id has type Int64, not Utf8"
        );
        assert_eq!(problem("", None), "table allocations_log: column allocation_id has a row without a value");
    }

    #[test]
    fn rows_of_several_batches_come_in_their_order_whatever_that_of_their_columns() {
        use std::sync::Arc;

        use arrow::array::{ArrayRef, Int64Array};

        let of_lots = |lots: &[i32]| {
            let rows: Vec<CreditBalance> = lots.iter().map(|lot| CreditBalance { lot: *lot, ..balance() }).collect();
            to_batch(&rows).unwrap()
        };
        let turned = |batch: RecordBatch| {
            let schema = batch.schema();
            let named = schema.fields().iter().zip(batch.columns()).rev();
            let columns = named.map(|(field, column)| (field.name().clone(), Arc::clone(column)));
            let more: ArrayRef = Arc::new(Int64Array::from(vec![7; batch.num_rows()]));
            RecordBatch::try_from_iter(columns.chain([("column of a later version".to_owned(), more)])).unwrap()
        };
        let batches = [of_lots(&[3, 1]), of_lots(&[]), turned(of_lots(&[2])), turned(of_lots(&[]))];
        let rows: Vec<CreditBalance> = from_batches(&batches).unwrap();
        assert_eq!(rows.iter().map(|row| row.lot).collect::<Vec<_>>(), [3, 1, 2]);
        assert_eq!(rows[2], CreditBalance { lot: 2, ..balance() });
        assert_eq!(from_batches::<CreditBalance>(&[]).unwrap(), []);
    }

    #[test]
    fn a_batch_that_is_damaged_spoils_all_and_its_table_and_column_are_told() {
        let whole = to_batch(&[balance()]).unwrap();
        let damaged = whole.project(&without(&whole, "remaining")).unwrap();
        let told = from_batches::<CreditBalance>(&[whole.clone(), damaged.clone()]).unwrap_err().to_string();
        assert_eq!(told, "table credit_balances: column remaining is missing");
        let told = column_values::<CreditBalance, Money>(&damaged, "remaining").unwrap_err().to_string();
        assert_eq!(told, "table credit_balances: column remaining is missing");
        let told = column_values::<CreditBalance, Money>(&whole, "lot").unwrap_err().to_string();
        assert_eq!(told, "table credit_balances: column lot has type Int32, not Decimal128(38, 10)");
        let issued: Vec<Money> = column_values::<CreditBalance, _>(&whole, "issued").unwrap();
        assert_eq!(issued, ["5".parse::<Money>().unwrap()]);
    }
}
