//! Keys and values of maps.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray, StringDictionaryBuilder, StructArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Int32Type};

use super::text::strictly;
use super::{TextColumn, TypeMismatch, is_text};

/// Keys and values of maps: real maps, lists of key-value structs, structs, or JSON text.
#[derive(Debug, Clone)]
pub enum MapColumn {
    /// Keys and values.
    Map(Box<RealMap>),
    /// A JSON object per row.
    Json(Box<TextColumn>),
}

/// The entries of all rows, one after the other.
#[derive(Debug, Clone)]
pub struct RealMap {
    bounds: OffsetBuffer<i32>,
    nulls: Option<NullBuffer>,
    /// Of all entries.
    pub keys: TextColumn,
    /// Of all entries.
    pub values: TextColumn,
}

impl MapColumn {
    /// The maps of an array.
    ///
    /// # Errors
    /// What it holds instead.
    pub fn new(array: &ArrayRef) -> Result<Self, TypeMismatch> {
        let not_a_map = || format!("has type {}, not a map", array.data_type());
        match array.data_type() {
            DataType::Map(..) => {
                let map = array.as_map();
                let (keys, values) = (TextColumn::new(map.keys())?, TextColumn::new(map.values())?);
                let (bounds, nulls) = (map.offsets().clone(), map.nulls().cloned());
                Ok(Self::Map(Box::new(RealMap { bounds, nulls, keys, values })))
            }
            // Tools without a type for maps write them so.
            DataType::List(_) => {
                let list = array.as_list::<i32>();
                let [keys, values] = pair(list.values()).ok_or_else(not_a_map)?;
                let (keys, values) = (TextColumn::new(keys)?, TextColumn::new(values)?);
                let (bounds, nulls) = (list.offsets().clone(), list.nulls().cloned());
                Ok(Self::Map(Box::new(RealMap { bounds, nulls, keys, values })))
            }
            DataType::LargeList(field) => Self::new(&strictly(array, &DataType::List(Arc::clone(field)))?),
            DataType::Struct(_) => Ok(Self::Map(Box::new(RealMap::of_fields(array.as_struct())?))),
            other if is_text(other) => Ok(Self::Json(Box::new(TextColumn::new(array)?))),
            _ => Err(not_a_map()),
        }
    }
}

/// The two fields of the entries of a list, by name.
fn pair(entries: &ArrayRef) -> Option<[&ArrayRef; 2]> {
    let entries = entries.as_struct_opt()?;
    let field = |names: [&str; 2]| {
        let place =
            entries.fields().iter().position(|field| names.iter().any(|name| field.name().eq_ignore_ascii_case(name)));
        place.map(|place| entries.column(place))
    };
    Some([field(["key", "name"])?, field(["value", "value"])?])
}

impl RealMap {
    /// Of bounds of the rows in keys and values; entries without a key are none.
    pub const fn new(bounds: OffsetBuffer<i32>, keys: TextColumn, values: TextColumn) -> Self {
        Self { bounds, nulls: None, keys, values }
    }

    /// Of a struct: each field is an entry of every row.
    fn of_fields(fields: &StructArray) -> Result<Self, TypeMismatch> {
        let names = StringArray::from_iter_values(fields.column_names());
        let columns: Vec<TextColumn> = fields.columns().iter().map(TextColumn::new).collect::<Result<_, _>>()?;
        let (mut keys, mut values) = (Vec::new(), StringDictionaryBuilder::<Int32Type>::new());
        for row in 0..fields.len() {
            for (column, key) in columns.iter().zip(0..) {
                keys.push(key);
                values.append_option(column.get(row).filter(|_| fields.is_valid(row)));
            }
        }
        let bounds = OffsetBuffer::from_repeated_length(columns.len(), fields.len());
        let values: ArrayRef = Arc::new(values.finish());
        Ok(Self::new(bounds, TextColumn::of_codes(keys, names), TextColumn::new(&values)?))
    }

    /// The entries of each row: their range in keys and values.
    pub fn rows(&self) -> impl Iterator<Item = Range<usize>> {
        let bound = |at: &i32| usize::try_from(*at).unwrap_or(0);
        let ranges = self.bounds.array_windows().map(move |[first, end]| bound(first)..bound(end));
        let is_null = |row| self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
        ranges.enumerate().map(move |(row, range)| if is_null(row) { 0..0 } else { range })
    }

    /// The entries of one row.
    pub fn row(&self, row: usize) -> Range<usize> {
        let bound = |at: usize| self.bounds.get(at).and_then(|bound| usize::try_from(*bound).ok()).unwrap_or(0);
        let is_null = self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
        if is_null { 0..0 } else { bound(row)..bound(row + 1) }
    }
}

/// The non-blank entries of a JSON object, in order; `None` where it is none.
pub fn json_entries(text: &str) -> Option<Vec<(String, String)>> {
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).ok()?;
    let entries = object.into_iter().filter_map(|(key, value)| match value {
        serde_json::Value::Null => None,
        serde_json::Value::String(value) => (!value.trim().is_empty()).then_some((key, value)),
        other => Some((key, other.to_string())),
    });
    Some(entries.collect())
}

#[cfg(test)]
mod tests {
    use arrow::array::{LargeListArray, ListArray, MapBuilder, NullArray, StringBuilder};
    use arrow::datatypes::Field;

    use super::*;

    /// The entries that are not null, row by row.
    fn entries(array: ArrayRef) -> Vec<String> {
        let MapColumn::Map(map) = MapColumn::new(&array).unwrap() else { panic!("a map") };
        let row = |row| {
            let entry = |at: usize| Some(format!("{}={}", map.keys.get(at)?, map.values.get(at)?));
            map.row(row).filter_map(entry).collect::<Vec<_>>().join(" ")
        };
        (0..array.len()).map(row).collect()
    }

    fn texts(values: &[Option<&str>]) -> ArrayRef {
        Arc::new(StringArray::from(values.to_vec()))
    }

    #[test]
    fn lists_of_pairs_and_structs_are_maps() {
        let field = |name: &str| Arc::new(Field::new(name, DataType::Utf8, true));
        let pairs = StructArray::from(vec![
            (field("key"), texts(&[Some("team"), Some("env"), Some("team")])),
            (field("value"), texts(&[Some("shop"), Some("prod"), None])),
        ]);
        let item = Arc::new(Field::new("element", pairs.data_type().clone(), true));
        let list = ListArray::new(item, OffsetBuffer::from_lengths([2, 0, 1]), Arc::new(pairs), None);
        assert_eq!(entries(Arc::new(list)), ["team=shop env=prod", "", ""]);
        let fields = StructArray::from(vec![
            (field("team"), texts(&[Some("shop"), None])),
            (field("env"), texts(&[Some("prod"), Some("test")])),
        ]);
        assert_eq!(entries(Arc::new(fields)), ["team=shop env=prod", "env=test"]);
    }

    #[test]
    fn large_lists_of_pairs_are_maps_whatever_their_fields_are_called() {
        let field = |name: &str| Arc::new(Field::new(name, DataType::Utf8, true));
        let pairs = StructArray::from(vec![
            (field("Value"), texts(&[Some("shop"), Some("prod")])),
            (field("Name"), texts(&[Some("team"), Some("env")])),
        ]);
        let item = Arc::new(Field::new("element", pairs.data_type().clone(), true));
        let list = LargeListArray::new(item, OffsetBuffer::from_lengths([1, 1]), Arc::new(pairs), None);
        assert_eq!(entries(Arc::new(list)), ["team=shop", "env=prod"]);
    }

    #[test]
    fn a_row_without_a_map_has_no_entries_and_those_after_it_keep_theirs() {
        let mut builder = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
        for row in
            [&[("team", Some("shop")), ("env", None)][..], &[("team", Some("gone"))], &[], &[("env", Some("prod"))]]
        {
            for (key, value) in row {
                builder.keys().append_value(key);
                builder.values().append_option(*value);
            }
            builder.append(row.first() != Some(&("team", Some("gone")))).unwrap();
        }
        let map = builder.finish();
        let MapColumn::Map(read) = MapColumn::new(&(Arc::new(map.clone()) as ArrayRef)).unwrap() else {
            panic!("a map")
        };
        assert_eq!(entries(Arc::new(map)), ["team=shop", "", "", "env=prod"]);
        let by_row: Vec<_> = (0..4).map(|row| read.row(row)).collect();
        assert_eq!(read.rows().collect::<Vec<_>>(), by_row);
    }

    #[test]
    fn entries_of_json_are_text_and_blank_ones_are_none() {
        let text = r#"{"team": "shop", "env": null, "stage": " ", "n": 1.5, "list": ["a"], "is": true, "empty": ""}"#;
        let mut entries = json_entries(text).unwrap();
        entries.sort();
        let shown: Vec<_> = entries.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(shown, ["is=true", "list=[\"a\"]", "n=1.5", "team=shop"]);
        assert_eq!(json_entries("{}"), Some(Vec::new()));
        for text in ["team=shop", "[]", "\"team\"", "{\"team\": \"shop\"", "{'team': 'shop'}"] {
            assert_eq!(json_entries(text), None, "{text}");
        }
    }

    #[test]
    fn a_column_without_any_value_is_a_map_of_nothing() {
        let nothing: ArrayRef = Arc::new(NullArray::new(2));
        let MapColumn::Json(text) = MapColumn::new(&nothing).unwrap() else { panic!("text") };
        assert_eq!((text.get(0), text.get(1)), (None, None));
    }

    #[test]
    fn what_is_no_map_is_named_by_its_type() {
        let list: ArrayRef = Arc::new(ListArray::new_null(Arc::new(Field::new("x", DataType::Utf8, true)), 1));
        assert_eq!(MapColumn::new(&list).unwrap_err(), "has type List(Utf8, field: 'x'), not a map");
    }
}
