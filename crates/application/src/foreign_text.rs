//! Text of others, as people are shown it: descriptions, names, paths, settings, what somebody recorded, messages of
//! libraries. It can hold what a terminal obeys instead of showing it, what hides or reorders other text, and line
//! breaks that make one message look like two.
//!
//! Every text goes through [`visible`] on its way to a person: cells of tables, lines of the summary, notes, errors, the
//! log as text, prompts, and what an e-mail is made of. JSON and CSV are for programs and stay as they are.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// The most characters of a message, in one line.
pub const LINE: usize = 2_000;

/// The most characters of a cell of a table, or of one entry of a list.
pub const CELL: usize = 500;

/// What cannot be seen: controls, line breaks, what turns the direction of text, what has no width, what each terminal
/// reads in its own way.
static HIDDEN: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"[\p{Control}\p{Format}\p{Private_Use}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]").ok()
});

/// Ids of AWS access keys: services repeat them in their answers.
static ACCESS_KEY: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\b((?:AKIA|ASIA)[A-Z0-9]{2})[A-Z0-9]{10,}").ok());

/// A message without the ids of access keys that are quoted in it: `AKIAIO…`.
pub fn without_keys(message: &str) -> Cow<'_, str> {
    match &*ACCESS_KEY {
        Some(key) => key.replace_all(message, "$1…"),
        None => Cow::Borrowed(""),
    }
}

/// The text as one line in which nothing is hidden: what cannot be seen is escaped (`\n`, `\u{1b}`), and what is longer
/// than `most` characters has `…` in place of its middle.
pub fn visible(text: &str, most: usize) -> String {
    let length = text.chars().count();
    if length <= most {
        return escaped(text);
    }
    let end = most / 4;
    let (first, last): (String, String) =
        (text.chars().take(most - end).collect(), text.chars().skip(length - end).collect());
    format!("{}…{}", escaped(&first), escaped(&last))
}

fn escaped(text: &str) -> String {
    let escape = |found: &Captures<'_>| found.get(0).map_or("", |found| found.as_str()).escape_default().to_string();
    match &*HIDDEN {
        Some(hidden) => hidden.replace_all(text, escape).into_owned(),
        None => text.escape_default().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_or_hide_is_escaped() {
        for (text, expected) in [
            ("\u{1b}[2J\u{1b}]0;title\u{7}", r"\u{1b}[2J\u{1b}]0;title\u{7}"),
            ("\u{9b}31m\u{7f}\0", r"\u{9b}31m\u{7f}\u{0}"),
            ("a\r\nb\tc\u{85}\u{2028}\u{2029}", r"a\r\nb\tc\u{85}\u{2028}\u{2029}"),
            (
                "\u{202e}gpj\u{202c}\u{2066}\u{2069}\u{200f}\u{61c}",
                r"\u{202e}gpj\u{202c}\u{2066}\u{2069}\u{200f}\u{61c}",
            ),
            ("\u{200b}\u{200d}\u{2060}\u{feff}\u{ad}\u{3164}", r"\u{200b}\u{200d}\u{2060}\u{feff}\u{ad}\u{3164}"),
            ("\u{e000}\u{f0000}\u{e0041}", r"\u{e000}\u{f0000}\u{e0041}"),
        ] {
            assert_eq!(visible(text, CELL), expected);
        }
    }

    #[test]
    fn ids_of_access_keys_are_cut() {
        assert_eq!(without_keys("<Id>AKIAIOSFODNN7EXAMPLE</Id> of AKIA"), "<Id>AKIAIO…</Id> of AKIA");
    }

    #[test]
    fn what_can_be_seen_stays_as_it_is() {
        for text in ["", "Retail/\"A & B\" \\n", "日本語　クレジット", "Zoë, e\u{301}", "שלום", "🎉 50 €", "a\u{a0}b"]
        {
            assert_eq!(visible(text, CELL), text);
        }
    }

    #[test]
    fn a_long_text_keeps_its_beginning_and_its_end() {
        assert_eq!(visible("abcdefgh", 8), "abcdefgh");
        assert_eq!(visible("abcdefghi", 8), "abcdef…hi");
        assert_eq!(visible(&"é\n".repeat(1_000_000), 8), "é\\né\\né\\n…é\\n");
    }
}
