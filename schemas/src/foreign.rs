//! Text that other people and programs wrote: how long it may be, and how much of it a message repeats.

use std::borrow::Cow;

/// Bytes of one text of an export or of a reference file. The longest in exports are maps as JSON, of some kilobytes.
pub const LONGEST_TEXT: usize = 1 << 20;

/// What is wrong with a text that is longer than [`LONGEST_TEXT`].
#[must_use]
pub fn too_long(length: usize) -> String {
    format!("holds a text of {length} bytes; at most {LONGEST_TEXT}")
}

/// A text as a message repeats it: its first 100 characters.
#[must_use]
pub fn excerpt(text: &str) -> Cow<'_, str> {
    const SHOWN: usize = 100;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

/// The field of a CSV record that no such file holds, by its place, and what is wrong with it: it is too long, or whole
/// rows stand in it because a quote is left open. The header has so many `columns`, with this `separator` between them.
#[must_use]
pub fn misread(record: &csv::StringRecord, columns: usize, separator: u8) -> Option<(usize, String)> {
    record.iter().enumerate().find_map(|(place, field)| {
        let holds_rows = columns > 2
            && field.contains('\n')
            && field.bytes().filter(|byte| *byte == separator).take(columns - 1).count() == columns - 1;
        if holds_rows {
            let message = "has a quote that is left open: the text goes on over the rows below; close the quote, or copy \
                           the file again";
            return Some((place, message.to_owned()));
        }
        (field.len() > LONGEST_TEXT).then(|| (place, too_long(field.len())))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_a_hundred_characters_and_never_half_of_one() {
        assert_eq!(excerpt("sixty"), "sixty");
        assert_eq!(excerpt(&"ä".repeat(100)), "ä".repeat(100));
        assert_eq!(excerpt(&"ä".repeat(101)), "ä".repeat(100) + "…");
    }

    #[test]
    fn a_text_of_several_lines_is_no_open_quote_until_it_holds_a_row() {
        let of = |field: &str, columns: usize, separator: u8| {
            misread(&csv::StringRecord::from(vec!["1", field, "2"]), columns, separator).map(|(place, _)| place)
        };
        assert_eq!(of("Dear all,\nthis credit\nis for Retail", 3, b','), None, "one comma");
        assert_eq!(of("said, by mail\nby ann, and bob", 3, b','), Some(1), "as many as between three columns");
        assert_eq!(of("said; by mail\nby ann, and bob", 3, b';'), None);
        assert_eq!(of("said, by mail by ann, and bob, too", 3, b','), None, "one line");
        assert_eq!(of("one, two\nthree, four", 2, b','), None, "rows of two columns look like any text");
    }
}
