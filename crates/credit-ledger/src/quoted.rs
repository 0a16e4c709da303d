//! How messages quote what is wrong.

use std::fmt;

/// The most characters of a text that a message quotes.
const QUOTED: usize = 100;

/// A text as a message quotes it: in quotation marks, escaped as in Rust, and `…` behind it where it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quoted<'a>(pub &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(QUOTED) {
            None => write!(formatter, "{:?}", self.0),
            Some((end, _)) => write!(formatter, "{:?}…", self.0.get(..end).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_quoted_by_its_first_hundred_characters() {
        let hundred = "é".repeat(100);
        assert_eq!(Quoted(&hundred).to_string(), format!("\"{hundred}\""));
        assert_eq!(Quoted(&format!("{hundred}x")).to_string(), format!("\"{hundred}\"…"));
        assert_eq!(Quoted("a\n\u{1b}\u{202e}\"").to_string(), r#""a\n\u{1b}\u{202e}\"""#);
    }
}
