//! Small JSON files beside the tables. Each says what its own checksum is, so that one that was changed is known.

use object_store::PutPayload;
use object_store::path::Path;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::LakeError;
use crate::store::Store;
use crate::sums::{OTHER_BYTES, xxh64};

/// The key that holds the checksum of the rest: the XXH64 of its shortest text.
const SEAL: &str = "xxh64";

impl Store {
    /// Writes a record.
    pub(crate) async fn write_record<T: Serialize + Sync>(&self, path: &Path, record: &T) -> Result<(), LakeError> {
        self.put(path, PutPayload::from(text_of(path, record)?)).await
    }

    /// Reads a record; one of a version of the program that kept no checksums is taken as it is.
    pub(crate) async fn read_record<T: DeserializeOwned>(&self, path: &Path) -> Result<Option<T>, LakeError> {
        let Some(bytes) = self.read_small(path).await? else { return Ok(None) };
        record_of(&bytes).map(Some).map_err(|problem| self.damaged(path, problem))
    }

    /// A record of which nothing depends: none where it is not there or cannot be read.
    pub(crate) async fn read_kept<T: DeserializeOwned>(&self, path: &Path) -> Option<T> {
        record_of(&self.read_small(path).await.ok()??).ok()
    }
}

/// The text of a record.
pub(crate) fn text_of<T: Serialize>(path: &Path, record: &T) -> Result<Vec<u8>, LakeError> {
    let broken = |source| LakeError::Record { path: path.to_string(), source };
    let mut value = serde_json::to_value(record).map_err(broken)?;
    let seal = seal_of(&value);
    if let Value::Object(fields) = &mut value {
        fields.insert(SEAL.to_owned(), seal.into());
    }
    let mut text = serde_json::to_vec_pretty(&value).map_err(broken)?;
    text.push(b'\n');
    Ok(text)
}

/// The record that a text holds, or what is wrong with it.
fn record_of<T: DeserializeOwned>(text: &[u8]) -> Result<T, String> {
    let unreadable = |error: serde_json::Error| format!("cannot be read: {error}");
    let mut value: Value = serde_json::from_slice(text).map_err(unreadable)?;
    if let Some(seal) = value.as_object_mut().and_then(|fields| fields.remove(SEAL))
        && seal != seal_of(&value)
    {
        return Err(OTHER_BYTES.to_owned());
    }
    serde_json::from_value(value).map_err(unreadable)
}

fn seal_of(value: &Value) -> String {
    format!("{:016x}", xxh64(value.to_string().as_bytes()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Record {
        name: String,
        #[serde(default)]
        counts: BTreeMap<String, u64>,
        total: Option<i64>,
    }

    fn record() -> Record {
        let counts = [("b".to_owned(), u64::MAX), ("a".to_owned(), 0)].into();
        Record { name: "x".into(), counts, total: Some(-5) }
    }

    #[test]
    fn a_record_reads_back_unless_a_byte_of_it_was_changed() {
        let text = text_of(&Path::from("r.json"), &record()).unwrap();
        assert_eq!(record_of::<Record>(&text).unwrap(), record());
        for at in 0..text.len() {
            for bit in 0..8 {
                let mut flipped = text.clone();
                flipped[at] ^= 1 << bit;
                let read = record_of::<Record>(&flipped);
                assert!(read.as_ref().is_err() || read == Ok(record()), "{at}, {bit}: {read:?}");
            }
            if at + 1 < text.len() {
                assert!(record_of::<Record>(&text[..at]).is_err(), "cut at {at}");
            }
        }
    }

    #[test]
    fn a_record_without_a_checksum_is_taken_as_it_is() {
        let read = record_of::<Record>(br#"{"total": 3, "name": "old", "else": 1}"#);
        assert_eq!(read, Ok(Record { name: "old".into(), counts: BTreeMap::new(), total: Some(3) }));
    }
}
