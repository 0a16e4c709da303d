//! A CSV file with a known header, and what may be wrong with it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use credit_ledger::{Money, MoneyError, Node, Quoted, Text};
use serde::{Deserialize, Serialize};

use super::formula_guard::unguarded;

use crate::{excerpt, misread};

/// One thing wrong in one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// File name.
    pub file: String,
    /// Row as a spreadsheet counts, the header being row 1; `None` for the file as a whole.
    pub row: Option<u64>,
    /// Column, where one is to blame.
    pub column: Option<String>,
    /// What is wrong and what to do.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.file)?;
        if let Some(row) = self.row {
            write!(formatter, ", row {row}")?;
        }
        if let Some(column) = &self.column {
            write!(formatter, ", column {column}")?;
        }
        write!(formatter, ": {}", self.message)
    }
}

/// Everything wrong with an input. Never empty as an error.
#[derive(Debug, Clone, PartialEq, Eq, Default, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let line_break = if index > 0 { "\n" } else { "" };
            write!(formatter, "{line_break}{problem}")?;
        }
        Ok(())
    }
}

impl Problems {
    /// `Ok(value)` if nothing is wrong.
    ///
    /// # Errors
    /// Itself, where something is.
    pub fn or<T>(self, value: T) -> Result<T, Self> {
        if self.0.is_empty() { Ok(value) } else { Err(self) }
    }
}

/// So many problems of a file are listed; whoever gave the wrong file wants no list of its lines.
const MOST_PROBLEMS: usize = 1_000;

/// The records of one file.
pub(crate) struct CsvFile {
    name: String,
    columns: BTreeMap<String, usize>,
    records: Vec<(u64, csv::StringRecord)>,
    unreadable: Vec<Problem>,
    /// Rows that could not be read beside those.
    more_unreadable: usize,
}

impl CsvFile {
    /// Reads all records; the header must hold every `required` column and nothing beyond `optional`. What is wrong
    /// with single rows stands in [`Self::or`], together with what their reader finds.
    pub(crate) fn parse(name: &str, bytes: &[u8], required: &[&str], optional: &[&str]) -> Result<Self, Problems> {
        let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        let separator = separator(bytes);
        // How long a record may be is said below.
        let mut reader = csv::ReaderBuilder::new().delimiter(separator).flexible(true).from_reader(bytes);
        let (columns, records, unreadable) = (BTreeMap::new(), Vec::new(), Vec::new());
        let mut file = Self { name: name.to_owned(), columns, records, unreadable, more_unreadable: 0 };
        let header = reader.headers().cloned().map_err(|error| Problems(vec![file.unreadable(1, &error)]))?;
        file.read_header(&header, required, optional)?;
        let (mut read, mut row) = (Vec::new(), 1);
        for record in reader.records() {
            let begin = record.as_ref().map_or_else(csv::Error::position, csv::StringRecord::position);
            row += 1 + begin.map_or(0, |begin| empty_lines(bytes, begin.byte()));
            read.push((row, record));
        }
        // Spreadsheets save rows that were once in use.
        let is_empty = |record: &csv::StringRecord| record.iter().all(|field| field.trim().is_empty());
        while read.pop_if(|(_, record)| record.as_ref().is_ok_and(is_empty)).is_some() {}
        for (row, record) in read {
            let problem = match &record {
                Err(error) => Some(file.unreadable(row, error)),
                Ok(record) => file.misshapen(row, record, &header, separator),
            };
            match (problem, record) {
                (None, Ok(record)) => file.records.push((row, record)),
                _ if file.unreadable.len() == MOST_PROBLEMS => file.more_unreadable += 1,
                (problem, _) => file.unreadable.extend(problem),
            }
        }
        Ok(file)
    }

    /// What is wrong with a record beside its header. Columns without a name may be there as long as they are empty.
    fn misshapen(
        &self,
        row: u64,
        record: &csv::StringRecord,
        header: &csv::StringRecord,
        separator: u8,
    ) -> Option<Problem> {
        if let Some((place, message)) = misread(record, header.len(), separator) {
            return Some(self.problem(Some(row), header.get(place), message));
        }
        if record.len() != header.len() {
            let message = format!(
                "has {} fields where the header has {}; a text that holds a {} needs quotes",
                record.len(),
                header.len(),
                separator_name(separator)
            );
            return Some(self.problem(Some(row), None, message));
        }
        let mut nameless = header.iter().zip(record).filter(|(name, _)| name.trim().is_empty());
        let (_, value) = nameless.find(|(_, value)| !value.trim().is_empty())?;
        let message = format!("{} stands in a column without a name", Quoted(&excerpt(value)));
        Some(self.problem(Some(row), None, message))
    }

    fn read_header(
        &mut self,
        header: &csv::StringRecord,
        required: &[&str],
        optional: &[&str],
    ) -> Result<(), Problems> {
        let whole = |message: String| Problems(vec![self.problem(Some(1), None, message)]);
        if header.iter().all(|column| column.trim().is_empty()) {
            return Err(whole(format!("has no header; it must be {}", required.join(","))));
        }
        if let Some(separator) = foreign_separator(&header.iter().collect::<Vec<_>>()) {
            return Err(whole(format!("the columns are separated by {separator}; save the file with commas")));
        }
        let (mut problems, mut unknown) = (Problems::default(), Vec::new());
        let named = header.iter().map(str::trim).enumerate().filter(|(_, column)| !column.is_empty());
        for (index, column) in named {
            if !required.contains(&column) && !optional.contains(&column) {
                unknown.push(column);
            } else if self.columns.insert(column.to_owned(), index).is_some() {
                problems.0.push(self.problem(Some(1), Some(column), "stands twice in the header".to_owned()));
            }
        }
        if !unknown.is_empty() {
            let known = [required, optional].concat().join(", ");
            let message = format!("unknown in this file; known are {known}");
            problems.0.push(self.problem(Some(1), Some(&excerpt(&unknown.join(", "))), message));
        }
        let missing: Vec<&str> = required.iter().copied().filter(|name| !self.columns.contains_key(*name)).collect();
        if !missing.is_empty() {
            problems.0.push(self.problem(Some(1), Some(&missing.join(", ")), "missing in the header".to_owned()));
        }
        problems.or(())
    }

    fn unreadable(&self, row: u64, error: &csv::Error) -> Problem {
        let message = match error.kind() {
            csv::ErrorKind::Utf8 { .. } => "is not UTF-8; save the file as \"CSV UTF-8\"".to_owned(),
            _ => error.to_string(),
        };
        self.problem(Some(row), None, message)
    }

    /// True if the header has the column.
    pub(crate) fn has(&self, column: &str) -> bool {
        self.columns.contains_key(column)
    }

    /// True if every row could be read.
    pub(crate) fn is_whole(&self) -> bool {
        self.unreadable.is_empty()
    }

    /// `Ok(value)` if neither a row could not be read nor `problems` were found; else the first [`MOST_PROBLEMS`] of them, by
    /// row, and how many more there are.
    pub(crate) fn or<T>(&self, mut problems: Problems, value: T) -> Result<T, Problems> {
        problems.0.extend(self.unreadable.iter().cloned());
        problems.0.sort_by_key(|problem| problem.row);
        let more = problems.0.len().saturating_sub(MOST_PROBLEMS) + self.more_unreadable;
        if more > 0 {
            problems.0.truncate(MOST_PROBLEMS);
            problems.0.push(self.problem(None, None, format!("{more} more problems; is this the right file?")));
        }
        problems.or(value)
    }

    fn problem(&self, row: Option<u64>, column: Option<&str>, message: String) -> Problem {
        Problem { file: self.name.clone(), row, column: column.map(str::to_owned), message }
    }

    /// The records with their row numbers.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.records.iter().map(|(row, record)| Row { file: self, row: *row, record })
    }
}

/// What separates the columns, by the header: spreadsheets of some countries write semicolons, and paste tabs.
fn separator(bytes: &[u8]) -> u8 {
    let header = bytes.split(|byte| b"\r\n".contains(byte)).find(|line| !line.is_empty()).unwrap_or_default();
    let count = |separator: u8| header.iter().filter(|byte| **byte == separator).count();
    [b';', b'\t'].into_iter().find(|separator| count(*separator) > count(b',')).unwrap_or(b',')
}

/// Lines without anything before the record that is read from this byte on: the reader passes over them, a spreadsheet counts
/// them.
fn empty_lines(bytes: &[u8], begin: u64) -> u64 {
    let begin = usize::try_from(begin).unwrap_or(usize::MAX);
    let Some((before, mut rest)) = bytes.split_at_checked(begin) else { return 0 };
    // The record before ends with the first half of a CRLF.
    rest = rest.strip_prefix(b"\n").filter(|_| before.ends_with(b"\r")).unwrap_or(rest);
    let mut count = 0;
    while let Some(below) = ["\r\n", "\n", "\r"].iter().find_map(|end| rest.strip_prefix(end.as_bytes())) {
        (rest, count) = (below, count + 1);
    }
    count
}

const fn separator_name(separator: u8) -> &'static str {
    match separator {
        b';' => "semicolon",
        b'\t' => "tab",
        _ => "comma",
    }
}

/// What separates the columns where it is not a comma, as in files of some spreadsheets.
#[must_use]
pub fn foreign_separator(header: &[&str]) -> Option<&'static str> {
    // A comma may stand in a name.
    let is_separator = |mark: &str| header.iter().map(|name| name.matches(mark).count()).sum::<usize>() >= header.len();
    let marks = [(";", "semicolons"), ("\t", "tabs"), ("|", "bars")].into_iter();
    marks.filter(|_| !header.is_empty()).find_map(|(mark, name)| is_separator(mark).then_some(name))
}

/// One record.
#[derive(Clone, Copy)]
pub(crate) struct Row<'a> {
    file: &'a CsvFile,
    /// As a spreadsheet counts.
    pub(crate) row: u64,
    record: &'a csv::StringRecord,
}

impl<'a> Row<'a> {
    /// The value of a column, without a guard; `None` where it is blank or the column is not there.
    pub(crate) fn get(&self, column: &str) -> Option<&'a str> {
        let value = self.record.get(*self.file.columns.get(column)?)?;
        Some(value).filter(|value| !value.trim().is_empty()).map(unguarded)
    }

    /// A problem in this row.
    pub(crate) fn problem(&self, column: &str, message: impl Into<String>) -> Problem {
        let column = Some(column).filter(|column| !column.is_empty());
        self.file.problem(Some(self.row), column, message.into())
    }

    /// The parsed value of a column, if it has one.
    pub(crate) fn parse<T: FromStr>(&self, column: &str) -> Result<Option<T>, Problem>
    where
        T::Err: fmt::Display,
    {
        let Some(text) = self.get(column).map(str::trim) else { return Ok(None) };
        let parsed = text.parse().map(Some);
        parsed.map_err(|error: T::Err| self.problem(column, error.to_string()))
    }

    /// The parsed value of a column that must have one.
    pub(crate) fn require<T: FromStr>(&self, column: &str) -> Result<T, Problem>
    where
        T::Err: fmt::Display,
    {
        self.parse(column)?.ok_or_else(|| self.problem(column, "is empty"))
    }

    /// The number of a column, if it has one; `kind` says what it should be.
    pub(crate) fn number<T: FromStr>(&self, column: &str, kind: &str) -> Result<Option<T>, Problem> {
        let Some(text) = self.get(column) else { return Ok(None) };
        let number = text.trim().parse().ok();
        let decimal = if has_decimal_comma(text) { ": it has a decimal comma" } else { "" };
        number.map(Some).ok_or_else(|| self.problem(column, format!("{} is not {kind}{decimal}", Quoted(text))))
    }

    /// An amount that must be there.
    pub(crate) fn money(&self, column: &str) -> Result<Money, Problem> {
        let text = self.get(column).ok_or_else(|| self.problem(column, "is empty"))?;
        text.trim().parse().map_err(|error| match error {
            MoneyError::NotANumber(_) if has_decimal_comma(text) => {
                self.problem(column, format!("{} has a decimal comma; write 1234.56", Quoted(text)))
            }
            MoneyError::NotANumber(_) => self.problem(column, format!("{} is not an amount (1234.56)", Quoted(text))),
            MoneyError::Overflow => self.problem(column, format!("{} is too large: more than 38 digits", Quoted(text))),
        })
    }

    /// A date, `YYYY-MM-DD`, if there is one.
    pub(crate) fn date(&self, column: &str) -> Result<Option<chrono::NaiveDate>, Problem> {
        let Some(text) = self.get(column) else { return Ok(None) };
        let date = chrono::NaiveDate::parse_from_str(text.trim(), "%Y-%m-%d").ok();
        date.map(Some).ok_or_else(|| self.problem(column, format!("{} is not a date (YYYY-MM-DD)", Quoted(text))))
    }

    /// A currency code that must be there.
    pub(crate) fn currency(&self) -> Result<Text, Problem> {
        let code: Text = self.require("currency")?;
        let shaped = code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase());
        if shaped {
            Ok(code)
        } else {
            Err(self.problem("currency", format!("{} is no currency code (USD)", Quoted(&code))))
        }
    }

    /// The node of the four level columns, whatever white space is around its names; `None` where all are empty.
    pub(crate) fn node(&self) -> Result<Option<Node>, Problem> {
        self.node_at(Node::LEVELS)
    }

    /// The node of four columns of its levels; `None` where all are empty.
    pub(crate) fn node_at(&self, columns: [&'static str; 4]) -> Result<Option<Node>, Problem> {
        let levels = columns.map(|level| self.get(level).map(str::trim));
        if levels.iter().all(Option::is_none) {
            return Ok(None);
        }
        Node::from_levels(levels).map(Some).map_err(|error| self.problem(columns[0], error.to_string()))
    }
}

/// True for `1234,56` and `1.234,56`, and not for `1,234`, which can be meant in two ways.
fn has_decimal_comma(text: &str) -> bool {
    let is_figures = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    match text.trim().trim_start_matches('-').split_once(',') {
        Some((whole, decimals)) => {
            is_figures(whole)
                && !decimals.contains('.')
                && is_figures(decimals)
                && (decimals.len() != 3 || whole.contains('.') || whole == "0")
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_wrong_is_listed_at_once_with_row_and_column() {
        let problems = CsvFile::parse("x.csv", b"a,zz,a\n1,2,3\n1,2\n", &["a", "b"], &["c"]).err().unwrap();
        let expected = "x.csv, row 1, column a: stands twice in the header\n\
                        x.csv, row 1, column zz: unknown in this file; known are a, b, c\n\
                        x.csv, row 1, column b: missing in the header";
        assert_eq!(problems.to_string(), expected);
        let file = CsvFile::parse("x.csv", b"a,b\n1,2\n1\n1,3\n", &["a", "b"], &[]).unwrap();
        assert_eq!(file.rows().map(|row| row.row).collect::<Vec<_>>(), [2, 4]);
        let found = Problems(vec![file.problem(Some(4), Some("b"), "is odd".to_owned())]);
        let expected = "x.csv, row 3: has 1 fields where the header has 2; a text that holds a comma needs quotes\n\
                        x.csv, row 4, column b: is odd";
        assert_eq!(file.or(found, ()).unwrap_err().to_string(), expected);
    }

    #[test]
    fn of_a_wrong_file_the_first_problems_are_listed_and_the_others_counted() {
        let text = "a,b\n".to_owned() + &"x\n".repeat(MOST_PROBLEMS + 7);
        let file = CsvFile::parse("x.csv", text.as_bytes(), &["a", "b"], &[]).unwrap();
        let found = Problems(vec![file.problem(Some(2), Some("b"), "is odd".to_owned())]);
        let problems = file.or(found, ()).unwrap_err();
        assert_eq!((problems.0.len(), problems.0[999].row), (MOST_PROBLEMS + 1, Some(1000)));
        assert_eq!(problems.0[MOST_PROBLEMS].to_string(), "x.csv: 8 more problems; is this the right file?");
    }

    #[test]
    fn rows_are_counted_as_a_spreadsheet_shows_them() {
        let text = "a,b\n\"one\ncell\",1\n\n3,4,5\n\n\n6\n7,8\n\n";
        let expected = "x.csv, row 4: has 3 fields where the header has 2; a text that holds a comma needs quotes\n\
                        x.csv, row 7: has 1 fields where the header has 2; a text that holds a comma needs quotes";
        for line_end in ["\n", "\r\n", "\r"] {
            let text = text.replace('\n', line_end);
            let file = CsvFile::parse("x.csv", text.as_bytes(), &["a", "b"], &[]).unwrap();
            assert_eq!(file.rows().map(|row| row.row).collect::<Vec<_>>(), [2, 8], "{line_end:?}");
            assert_eq!(file.or(Problems::default(), ()).unwrap_err().to_string(), expected, "{line_end:?}");
        }
        let file = CsvFile::parse("x.csv", b"a,b\n1,2\n\nZ\xfcrich,3\n", &["a", "b"], &[]).unwrap();
        let expected = "x.csv, row 4: is not UTF-8; save the file as \"CSV UTF-8\"";
        assert_eq!(file.or(Problems::default(), ()).unwrap_err().to_string(), expected);
    }

    #[test]
    fn semicolons_and_tabs_are_read_and_bars_are_told_once() {
        for text in ["a;b\r\n1;x,y\r\n", "a\tb\n1\tx,y\n", "\u{feff}a;b\n1;\"x,y\"\n;\n", "\"a\";\"b\"\n1;x,y"] {
            let file = CsvFile::parse("x.csv", text.as_bytes(), &["a", "b"], &[]).unwrap();
            let read: Vec<_> = file.rows().map(|row| (row.get("a"), row.get("b"))).collect();
            assert_eq!(read, [(Some("1"), Some("x,y"))], "{text:?}");
        }
        let wrong = |text: &[u8]| CsvFile::parse("x.csv", text, &["a", "b"], &[]).err().unwrap().to_string();
        assert_eq!(wrong(b"a|b\n1|2\n"), "x.csv, row 1: the columns are separated by bars; save the file with commas");
        assert_eq!(wrong(b""), "x.csv, row 1: has no header; it must be a,b");
        let file = CsvFile::parse("x.csv", b"a;b\n1;2;3\n", &["a", "b"], &[]).unwrap();
        let expected = "x.csv, row 2: has 3 fields where the header has 2; a text that holds a semicolon needs quotes";
        assert_eq!(file.or(Problems::default(), ()).unwrap_err().to_string(), expected);
    }

    #[test]
    fn empty_rows_at_the_end_and_empty_columns_are_left_over_and_no_matter() {
        let text = b"a,,b,,\n1,,2,,\n,,,,\n3,,4,,\n,,,,\n , ,,,\n,,,,,,\n\n";
        let file = CsvFile::parse("x.csv", text, &["a", "b"], &[]).unwrap();
        let read: Vec<_> = file.rows().map(|row| (row.row, row.get("a"), row.get("b"))).collect();
        assert_eq!(read, [(2, Some("1"), Some("2")), (3, None, None), (4, Some("3"), Some("4"))]);
        assert!(file.is_whole());
        let file = CsvFile::parse("x.csv", b"a,b,\n1,2,x\n1,2,,y\n", &["a", "b"], &[]).unwrap();
        let expected = "x.csv, row 2: \"x\" stands in a column without a name\n\
                        x.csv, row 3: has 4 fields where the header has 3; a text that holds a comma needs quotes";
        assert_eq!(file.or(Problems::default(), ()).unwrap_err().to_string(), expected);
    }

    #[test]
    fn decimal_comma_is_told_as_one() {
        let told = |text: &str| {
            let file = CsvFile::parse("x.csv", format!("a;b\n1;{text}\n").as_bytes(), &["a", "b"], &[]).unwrap();
            file.rows().next().unwrap().money("b").unwrap_err().message
        };
        assert_eq!(told("1234,56"), "\"1234,56\" has a decimal comma; write 1234.56");
        assert_eq!(told("-1.234,5"), "\"-1.234,5\" has a decimal comma; write 1234.56");
        assert_eq!(told("1,234"), "\"1,234\" is not an amount (1234.56)");
        let file = CsvFile::parse("x.csv", b"a;b\n1;0,25\n", &["a", "b"], &[]).unwrap();
        let share = file.rows().next().unwrap().number::<u32>("b", "a share (0.25)");
        assert_eq!(share.unwrap_err().message, "\"0,25\" is not a share (0.25): it has a decimal comma");
    }

    #[test]
    fn a_byte_order_mark_and_blank_cells_are_no_matter() {
        let file = CsvFile::parse("x.csv", b"\xEF\xBB\xBFa,b\n , v\n", &["a", "b"], &[]).unwrap();
        let row = file.rows().next().unwrap();
        assert_eq!((row.row, row.get("a"), row.get("b"), row.get("c")), (2, None, Some(" v"), None));
    }
}
