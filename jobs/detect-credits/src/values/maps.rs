//! Keys and values of maps.

use std::ops::Range;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::DataType;

use super::{TextColumn, TypeMismatch};

/// Keys and values of maps: real maps, or JSON text.
#[derive(Debug, Clone)]
pub(crate) enum MapColumn {
    Map(Box<RealMap>),
    Json(Box<TextColumn>),
}

/// The entries of all rows, one after the other.
#[derive(Debug, Clone)]
pub(crate) struct RealMap {
    bounds: OffsetBuffer<i32>,
    nulls: Option<NullBuffer>,
    pub(crate) keys: TextColumn,
    pub(crate) values: TextColumn,
}

impl MapColumn {
    pub(crate) fn new(array: &ArrayRef) -> Result<Self, TypeMismatch> {
        match array.data_type() {
            DataType::Map(..) => {
                let map = array.as_map();
                let (keys, values) = (TextColumn::new(map.keys())?, TextColumn::new(map.values())?);
                let (bounds, nulls) = (map.offsets().clone(), map.nulls().cloned());
                Ok(Self::Map(Box::new(RealMap { bounds, nulls, keys, values })))
            }
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(..) => {
                Ok(Self::Json(Box::new(TextColumn::new(array)?)))
            }
            other => Err(format!("has type {other}, not a map")),
        }
    }
}

impl RealMap {
    /// Of bounds of the rows in keys and values; entries without a key are none.
    pub(crate) const fn new(bounds: OffsetBuffer<i32>, keys: TextColumn, values: TextColumn) -> Self {
        Self { bounds, nulls: None, keys, values }
    }

    /// The entries of each row: their range in keys and values.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Range<usize>> {
        let bound = |at: &i32| usize::try_from(*at).unwrap_or(0);
        let ranges = self.bounds.array_windows().map(move |[first, end]| bound(first)..bound(end));
        let is_null = |row| self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
        ranges.enumerate().map(move |(row, range)| if is_null(row) { 0..0 } else { range })
    }

    /// The entries of one row.
    pub(crate) fn row(&self, row: usize) -> Range<usize> {
        let bound = |at: usize| self.bounds.get(at).and_then(|bound| usize::try_from(*bound).ok()).unwrap_or(0);
        let is_null = self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
        if is_null { 0..0 } else { bound(row)..bound(row + 1) }
    }
}

/// The non-blank entries of a JSON object, in order; `None` where it is none.
pub(crate) fn json_entries(text: &str) -> Option<Vec<(String, String)>> {
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).ok()?;
    let entries = object.into_iter().filter_map(|(key, value)| match value {
        serde_json::Value::Null => None,
        serde_json::Value::String(value) => (!value.trim().is_empty()).then_some((key, value)),
        other => Some((key, other.to_string())),
    });
    Some(entries.collect())
}
