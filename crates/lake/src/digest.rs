//! Digests of what a table is made from: equal digests, equal bytes.
//!
//! The encoding is our own to keep, so a digest never covers `Debug` output or the version of the program:
//!
//! ```text
//! SHA-256( entry* )       entry = length of name (u64, little endian) name, length of value, value
//! ```
//!
//! A value is compact JSON with the fields of a struct in the order of their declaration. The first entries are the table's
//! name, its [`version`](schemas::Table::version) and its columns, so a table with a new column is made again.
//! Golden tests fail where an encoding moves: then raise the version of the table, or mend the encoding.

use schemas::TableRow;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::error::LakeError;

/// Characters of a digest: 128 bits in hexadecimal.
const LENGTH: usize = 32;

/// A digest in the making.
#[derive(Debug, Clone)]
pub struct InputDigest(Sha256);

impl InputDigest {
    /// Begins a digest of what a table is made from.
    #[must_use]
    pub fn of_table<R: TableRow>() -> Self {
        let columns = R::TABLE.columns.iter().map(|column| format!("{} {}", column.name, column.column_type.sql()));
        Self::named(R::TABLE.name)
            .bytes("version", &R::TABLE.version.to_le_bytes())
            .bytes("columns", columns.collect::<Vec<_>>().join(",").as_bytes())
    }

    /// Begins a digest of something that is part of other inputs.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self(Sha256::new()).bytes("name", name.as_bytes())
    }

    /// Adds an input.
    ///
    /// # Errors
    /// [`LakeError::Record`] for a value that JSON cannot hold: a map with other keys than text.
    pub fn with(self, name: &str, value: &(impl Serialize + ?Sized)) -> Result<Self, LakeError> {
        let json = serde_json::to_vec(value);
        let json = json.map_err(|source| LakeError::Record { path: format!("input {name}"), source })?;
        Ok(self.bytes(name, &json))
    }

    fn bytes(mut self, name: &str, value: &[u8]) -> Self {
        for part in [name.as_bytes(), value] {
            self.0.update((part.len() as u64).to_le_bytes());
            self.0.update(part);
        }
        self
    }

    /// The digest, in hexadecimal.
    #[must_use]
    pub fn finish(self) -> String {
        let mut text: String = self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        text.truncate(LENGTH);
        text
    }
}

#[cfg(test)]
mod tests {
    use schemas::tables::{Cell, LotRow, NetCost};

    use super::*;

    fn lot() -> LotRow {
        LotRow {
            credit_key: "id:1".into(),
            lot: 2,
            promotion_code: "MAP".into(),
            account_id: "111122223333".into(),
            business_unit: Some("Retail".into()),
            department: None,
            portfolio: None,
            product: None,
            currency: "USD".into(),
            amount: "12.5".parse().unwrap(),
            issue_date: "2026-01-31".parse().unwrap(),
            first_cur_date: "2026-02-01".parse().unwrap(),
            end_date: None,
            reference: Some("Größe \"A\"\n".into()),
            from_period: None,
            continues_lot: None,
        }
    }

    #[test]
    fn encoding_stays_as_it_is() {
        let digest = InputDigest::named("example").with("lots", &[lot()]).unwrap().with("date", "2026-03-31").unwrap();
        assert_eq!(digest.finish(), "d09667192643d26fe55527fd86d51fa6");
    }

    #[test]
    fn every_input_counts_and_entries_do_not_run_into_each_other() {
        let of = |entries: &[(&str, &str)]| {
            let digest = InputDigest::of_table::<Cell>();
            entries.iter().try_fold(digest, |digest, (name, value)| digest.with(name, *value)).unwrap().finish()
        };
        let all = [
            of(&[]),
            of(&[("a", "b")]),
            of(&[("a", "bc")]),
            of(&[("ab", "c")]),
            of(&[("a", "b"), ("c", "")]),
            of(&[("c", ""), ("a", "b")]),
            InputDigest::of_table::<NetCost>().finish(),
        ];
        let different: std::collections::BTreeSet<&String> = all.iter().collect();
        assert_eq!(different.len(), all.len());
    }

    /// Cells of another version of the program.
    enum Other<const VERSION: u32, const COLUMNS: usize> {}

    impl<const VERSION: u32, const COLUMNS: usize> TableRow for Other<VERSION, COLUMNS> {
        const TABLE: schemas::Table =
            schemas::Table { version: VERSION, columns: Cell::TABLE.columns.split_at(COLUMNS).0, ..Cell::TABLE };

        fn to_columns(_: &[Self]) -> Vec<arrow::array::ArrayRef> {
            unreachable!()
        }

        fn from_columns<'a>(
            _: impl Fn(&str) -> Option<&'a arrow::array::ArrayRef>,
        ) -> Result<Vec<Self>, (&'static str, String)> {
            unreachable!()
        }
    }

    #[test]
    fn table_of_another_version_of_the_program_is_not_reused() {
        const ALL: usize = Cell::TABLE.columns.len();
        const VERSION: u32 = Cell::TABLE.version;
        fn of<R: TableRow>() -> String {
            InputDigest::of_table::<R>().with("rules", "as they are").unwrap().finish()
        }
        assert_eq!(of::<Other<VERSION, ALL>>(), of::<Cell>());
        assert_ne!(of::<Other<{ VERSION + 1 }, ALL>>(), of::<Cell>(), "which makes other rows of the same");
        assert_ne!(of::<Other<VERSION, { ALL - 1 }>>(), of::<Cell>(), "which had a column less");
    }

    #[test]
    fn value_that_json_cannot_hold_is_an_error_that_names_the_input() {
        let shares = std::collections::BTreeMap::from([(("Retail", 1), "0.5")]);
        let refused = InputDigest::of_table::<Cell>().with("shares", &shares).unwrap_err().to_string();
        assert_eq!(refused, "input shares: key must be a string");
    }
}
