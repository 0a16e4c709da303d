//! Account ids as spreadsheets damage them: they take an id for a number.

use credit_ledger::{Quoted, Text};

use super::csv_file::{Problem, Row};

/// Digits of an account id.
const DIGITS: usize = 12;

impl Row<'_> {
    /// An account id, if there is one; with `*` a pattern of ids.
    pub(crate) fn account_id(&self, column: &str) -> Result<Option<Text>, Problem> {
        let Some(id) = self.get(column) else { return Ok(None) };
        match damage(id) {
            Some(damage) => Err(self.problem(column, format!("{} {damage}", Quoted(id)))),
            None => Ok(Some(id.into())),
        }
    }
}

/// What a spreadsheet has done to an account id. An id of anything but figures is not one of its making.
fn damage(id: &str) -> Option<String> {
    let trimmed = id.trim();
    if trimmed != id {
        return Some("has blanks around it".to_owned());
    }
    let count = id.len();
    if id.bytes().all(|byte| byte.is_ascii_digit()) {
        return (count != DIGITS).then(|| {
            let zeros = if count < DIGITS { ": a spreadsheet drops leading zeros" } else { "" };
            format!("has {count} digits where an account id has {DIGITS}{zeros}")
        });
    }
    let is_number = id.starts_with(|first: char| first.is_ascii_digit())
        && id.bytes().all(|byte| byte.is_ascii_digit() || b".,eE+".contains(&byte));
    is_number.then(|| format!("is a number as a spreadsheet shows it: write all {DIGITS} digits as text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_spreadsheet_makes_of_an_account_id_is_told() {
        let told = |id: &str| damage(id).unwrap_or_default();
        let number = "is a number as a spreadsheet shows it: write all 12 digits as text";
        for id in ["3.33333E+11", "3,33333E+11", "3.3e11", "333344445555.0", "333344445555,00", "333,344,445,555"] {
            assert_eq!(told(id), number, "{id}");
        }
        assert_eq!(told("33333"), "has 5 digits where an account id has 12: a spreadsheet drops leading zeros");
        assert_eq!(told("41000000203"), "has 11 digits where an account id has 12: a spreadsheet drops leading zeros");
        assert_eq!(told("3333444455556"), "has 13 digits where an account id has 12");
        for id in [" 333344445555", "333344445555 ", "\u{a0}333344445555", "33334444* "] {
            assert_eq!(told(id), "has blanks around it", "{id:?}");
        }
    }

    #[test]
    fn ids_and_patterns_are_left_alone() {
        for id in ["333344445555", "041000000203", "*", "0410*", "4*", "3.*", "sandbox-1", "E"] {
            assert_eq!(damage(id), None, "{id}");
        }
    }
}
