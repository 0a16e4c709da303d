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

/// The records of one file.
pub(crate) struct CsvFile {
    name: String,
    columns: BTreeMap<String, usize>,
    records: Vec<(u64, csv::StringRecord)>,
    unreadable: Vec<Problem>,
}

impl CsvFile {
    /// Reads all records; the header must hold every `required` column and nothing beyond `optional`. What is wrong
    /// with single rows stands in [`Self::or`], together with what their reader finds.
    pub(crate) fn parse(name: &str, bytes: &[u8], required: &[&str], optional: &[&str]) -> Result<Self, Problems> {
        let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        let mut reader = csv::ReaderBuilder::new().from_reader(bytes);
        let (columns, records, unreadable) = (BTreeMap::new(), Vec::new(), Vec::new());
        let mut file = Self { name: name.to_owned(), columns, records, unreadable };
        let header = reader.headers().cloned().map_err(|error| Problems(vec![file.unreadable(1, &error)]))?;
        file.read_header(&header, required, optional)?;
        for (row, record) in (2_u64..).zip(reader.records()) {
            match record {
                Ok(record) => match misread(&record, header.len()) {
                    Some((place, message)) => {
                        file.unreadable.push(file.problem(Some(row), header.get(place), message));
                    }
                    None => file.records.push((row, record)),
                },
                Err(error) => file.unreadable.push(file.unreadable(row, &error)),
            }
        }
        Ok(file)
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
        for (index, column) in header.iter().map(str::trim).enumerate() {
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
            csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                format!("has {len} fields where the header has {expected_len}; a text that holds a comma needs quotes")
            }
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

    /// `Ok(value)` if neither a row could not be read nor `problems` were found; else all of them, by row.
    pub(crate) fn or<T>(&self, mut problems: Problems, value: T) -> Result<T, Problems> {
        problems.0.extend(self.unreadable.iter().cloned());
        problems.0.sort_by_key(|problem| problem.row);
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
        number.map(Some).ok_or_else(|| self.problem(column, format!("{} is not {kind}", Quoted(text))))
    }

    /// An amount that must be there.
    pub(crate) fn money(&self, column: &str) -> Result<Money, Problem> {
        let text = self.get(column).ok_or_else(|| self.problem(column, "is empty"))?;
        text.trim().parse().map_err(|error| match error {
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

    /// The node of the four level columns; `None` where all are empty.
    pub(crate) fn node(&self) -> Result<Option<Node>, Problem> {
        let levels = Node::LEVELS.map(|level| self.get(level));
        if levels.iter().all(Option::is_none) {
            return Ok(None);
        }
        Node::from_levels(levels).map(Some).map_err(|error| self.problem(Node::LEVELS[0], error.to_string()))
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
    fn a_file_that_is_not_separated_by_commas_says_so_once() {
        let wrong = |text: &[u8]| CsvFile::parse("x.csv", text, &["a", "b"], &[]).err().unwrap().to_string();
        let expected = "x.csv, row 1: the columns are separated by semicolons; save the file with commas";
        assert_eq!(wrong(b"a;b\n1;2\n"), expected);
        assert_eq!(wrong(b""), "x.csv, row 1: has no header; it must be a,b");
    }

    #[test]
    fn a_byte_order_mark_and_blank_cells_are_no_matter() {
        let file = CsvFile::parse("x.csv", b"\xEF\xBB\xBFa,b\n , v\n", &["a", "b"], &[]).unwrap();
        let row = file.rows().next().unwrap();
        assert_eq!((row.row, row.get("a"), row.get("b"), row.get("c")), (2, None, Some(" v"), None));
    }
}
