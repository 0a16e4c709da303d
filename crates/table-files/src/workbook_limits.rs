//! What a workbook may make its reader hold. The reader keeps what a part claims and, for each cell format, a copy of what it
//! names, before the first cell is seen.

use std::io::BufRead;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

/// Cells of a sheet, and texts that they share.
pub(crate) const MOST_CELLS: usize = 5_000_000;
/// Cell formats, as many as Excel takes, and whatever else is kept one by one: fonts, sheets, names.
const MOST_KEPT: usize = 65_490;
/// Cell formats times the longest tag of their part.
const MOST_STYLE_BYTES: usize = 256 << 20;

/// What one part has so far.
#[derive(Default)]
struct Seen {
    texts: usize,
    kept: usize,
    formats: usize,
    longest_tag: usize,
}

/// Reads a part, as far as it is XML.
///
/// # Errors
/// What there is too much of.
pub(crate) fn check_part(xml: impl BufRead) -> Result<(), String> {
    let mut reader = Reader::from_reader(xml);
    let config = reader.config_mut();
    // As the workbook's reader has it: what it would stop at ends this, too.
    config.check_end_names = false;
    config.check_comments = false;
    config.expand_empty_elements = true;
    let (mut seen, mut buffer) = (Seen::default(), Vec::new());
    loop {
        buffer.clear();
        match reader.read_event_into(&mut buffer) {
            Ok(Event::Start(tag)) => seen.tag(&tag)?,
            Ok(Event::Eof) | Err(_) => return Ok(()),
            Ok(_) => {}
        }
    }
}

impl Seen {
    fn tag(&mut self, tag: &BytesStart<'_>) -> Result<(), String> {
        self.longest_tag = self.longest_tag.max(tag.len());
        match tag.local_name().as_ref() {
            "sst" if largest_number(tag.attributes_raw()) > MOST_CELLS => {
                return Err(format!("it claims more than {MOST_CELLS} texts"));
            }
            "si" => self.texts += 1,
            "xf" => (self.kept, self.formats) = (self.kept + 1, self.formats + 1),
            "border" | "definedName" | "fill" | "font" | "numFmt" | "Relationship" | "sheet" => self.kept += 1,
            _ => {}
        }
        if self.texts > MOST_CELLS {
            return Err(format!("it has more than {MOST_CELLS} texts"));
        }
        if self.kept > MOST_KEPT {
            return Err(format!("it has more than {MOST_KEPT} formats, sheets or names"));
        }
        if self.formats.saturating_mul(self.longest_tag) > MOST_STYLE_BYTES {
            return Err("its cell formats are too large".to_owned());
        }
        Ok(())
    }
}

/// The largest number of some attributes, whatever they are called.
fn largest_number(attributes: &str) -> usize {
    let numbers = attributes.split(|letter: char| !letter.is_ascii_digit()).filter(|digits| !digits.is_empty());
    numbers.map(|digits| digits.parse().unwrap_or(usize::MAX)).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(xml: &str) -> String {
        check_part(xml.as_bytes()).err().unwrap_or_default()
    }

    #[test]
    fn part_that_claims_or_has_too_much_is_refused_and_any_other_read() {
        let long = "#".repeat(1 << 20);
        for (xml, expected) in [
            (
                "<sst count=\"9\" uniqueCount=\"10000000000000\"><si/></sst>".to_owned(),
                "it claims more than 5000000 texts",
            ),
            ("<x:sst uniqueCount=\"99999999999999999999999\"/>".to_owned(), "it claims more than 5000000 texts"),
            ("<sst uniqueCount=\"5000000\"><si><t>a</t></si></sst>".to_owned(), ""),
            ("<fonts/>".to_owned() + &"<font/>".repeat(65_490), ""),
            ("<fonts/>".to_owned() + &"<font/>".repeat(65_491), "it has more than 65490 formats, sheets or names"),
            (format!("<numFmt formatCode=\"{long}\"/>") + &"<xf/>".repeat(255), ""),
            (format!("<numFmt formatCode=\"{long}\"/>") + &"<xf/>".repeat(256), "its cell formats are too large"),
            ("no XML <".to_owned(), ""),
        ] {
            assert_eq!(refused(&xml), expected, "{}", &xml[..40.min(xml.len())]);
        }
    }
}
