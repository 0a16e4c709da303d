//! Rows of the log as a table that `allocations import` takes.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::record_batch::RecordBatch;
use credit_ledger::Node;
use datafusion::error::DataFusionError;
use schemas::TableRow;
use schemas::tables::{AllocationLogRow, RegisteredCredit};

use crate::Failure;

/// The columns of the log as `import` takes them, with name and account of each credit.
pub(super) fn importable(rows: &[AllocationLogRow], register: &[RegisteredCredit]) -> Result<RecordBatch, Failure> {
    let log = schemas::to_batch(rows)?;
    let of_credit = |value: fn(&RegisteredCredit) -> &str| -> ArrayRef {
        let found = rows.iter().map(|row| {
            let place = register.binary_search_by(|credit| credit.credit_key.cmp(&row.credit_key));
            place.ok().and_then(|place| register.get(place)).map(value)
        });
        Arc::new(found.collect::<StringArray>())
    };
    let first = [&["credit_key", "amount", "currency", "end_date", "reference"], &Node::LEVELS[..]].concat();
    let others = AllocationLogRow::TABLE.column_names().filter(|name| !first.contains(name));
    let mut columns = vec![
        ("promotion_code", of_credit(|credit| &credit.promotion_code), true),
        ("account_id", of_credit(|credit| &credit.account_id), true),
    ];
    let of_log = first.iter().copied().chain(others);
    columns.extend(of_log.filter_map(|name| Some((name, Arc::clone(log.column_by_name(name)?), true))));
    Ok(RecordBatch::try_from_iter_with_nullable(columns).map_err(DataFusionError::from)?)
}
