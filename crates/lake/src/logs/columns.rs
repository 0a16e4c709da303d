//! The columns of a log.

use std::collections::HashMap;

use arrow::datatypes::{Field, Schema};
use iceberg::arrow::arrow_schema_to_schema_auto_assign_ids;
use iceberg::spec::Schema as IcebergSchema;
use schemas::{Column, Table};

use crate::error::LakeError;

/// The columns as Iceberg has them, each with what it says: other engines show that.
pub(super) fn iceberg_schema(table: &Table) -> Result<IcebergSchema, LakeError> {
    let doc = |column: &Column| HashMap::from([("doc".to_owned(), column.doc.trim().to_owned())]);
    let fields: Vec<Field> = table.columns.iter().map(|column| column.field().with_metadata(doc(column))).collect();
    Ok(arrow_schema_to_schema_auto_assign_ids(&Schema::new(fields))?)
}
