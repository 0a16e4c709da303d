//! The `'` that keeps a spreadsheet from taking a text for a formula.

use std::borrow::Cow;

/// What a spreadsheet takes for the beginning of a formula, or skips on its way to one.
const FORMULA_STARTS: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];

/// True also with guards before it, so that a guard can be told from a `'` of the text's own.
fn begins_like_a_formula(text: &str) -> bool {
    text.trim_start_matches('\'').starts_with(FORMULA_STARTS)
}

/// The text as a cell of a CSV file for people: with a `'` before it if it begins like a formula.
#[must_use]
pub fn guarded(text: &str) -> Cow<'_, str> {
    if begins_like_a_formula(text) { Cow::Owned(format!("'{text}")) } else { Cow::Borrowed(text) }
}

/// The text of a cell: without the `'` that [`guarded`] has put before it.
pub(crate) fn unguarded(cell: &str) -> &str {
    cell.strip_prefix('\'').filter(|text| begins_like_a_formula(text)).unwrap_or(cell)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_like_a_formula_is_guarded_and_comes_back_as_it_was() {
        for text in ["=1+1", "+1", "-2+3", "@SUM(1)", "\t=1", "\r=1", "\n=1", "＝1", "'=1", "''=1", "-"] {
            assert_eq!(guarded(text), format!("'{text}"));
            assert_eq!(unguarded(&guarded(text)), text);
        }
        for text in ["", "'", "a=1", " =1", "'a", "''", "AWS - 2"] {
            assert_eq!(guarded(text), text);
            assert_eq!(unguarded(text), text);
        }
    }
}
