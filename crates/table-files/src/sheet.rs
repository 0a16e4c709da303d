//! What people filled in: the first sheet of an XLSX workbook that can be seen, as CSV.

use std::io::{self, BufReader, Cursor, Read};

use calamine::{Data, DataRef, Reader, SheetType, SheetVisible, Xlsx, open_workbook_from_rs};
use zip::ZipArchive;

use crate::workbook_limits::{MOST_CELLS, check_part};

/// What a workbook may unpack to, whatever it claims, and how far its cells may lie from the first.
const MOST_BYTES: u64 = 256 << 20;
const MOST_ROWS: u32 = 200_000;
const MOST_COLUMNS: u32 = 1_000;
/// Characters of a cell, as many as Excel takes, and bytes of all: many cells may share one text.
const MOST_CHARACTERS: usize = 32_767;
const MOST_TEXT: usize = 64 << 20;

/// The first sheet of a workbook that is not hidden.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sheet {
    /// Its rows from the first on, empty ones too, as CSV: numbers without an exponent, days as `YYYY-MM-DD`.
    pub csv: Vec<u8>,
    /// Names of the other ones, hidden ones too.
    pub other_sheets: Vec<String>,
}

/// True where a file begins as an XLSX workbook does, or as one of the older format.
#[must_use]
pub fn is_workbook(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04") || is_of_old_format(bytes)
}

fn is_of_old_format(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xd0, 0xcf, 0x11, 0xe0])
}

/// Reads the first sheet of a workbook that is not hidden.
///
/// # Errors
/// What is wrong with the file, and what to do: the rest of a sentence that begins with its name.
pub fn read_sheet(bytes: &[u8]) -> Result<Sheet, String> {
    if is_of_old_format(bytes) {
        return Err("is a workbook of an old format; save it as .xlsx or CSV".to_owned());
    }
    let read = schemas::decoding(|| read(bytes)).unwrap_or_else(Err);
    read.map_err(|problem| format!("is no workbook that can be read ({problem}); save it as .xlsx again, or as CSV"))
}

fn read(bytes: &[u8]) -> Result<Sheet, String> {
    let said = |error: &dyn std::fmt::Display| error.to_string();
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| said(&error))?;
    let mut unpacked: u64 = 0;
    for place in 0..archive.len() {
        let file = archive.by_index(place).map_err(|error| said(&error))?;
        let mut part = BufReader::new(file.take(MOST_BYTES + 1 - unpacked));
        check_part(&mut part)?;
        io::copy(&mut part, &mut io::sink()).map_err(|error| said(&error))?;
        unpacked = MOST_BYTES + 1 - part.get_ref().limit();
        if unpacked > MOST_BYTES {
            return Err("it unpacks to more than 256 MiB".to_owned());
        }
    }
    let mut book: Xlsx<_> =
        open_workbook_from_rs(Cursor::new(bytes)).map_err(|error: calamine::XlsxError| said(&error))?;
    let sheets = book.sheets_metadata().iter().filter(|sheet| sheet.typ == SheetType::WorkSheet);
    let mut sheets: Vec<_> = sheets.cloned().collect();
    let first = sheets.iter().position(|sheet| sheet.visible == SheetVisible::Visible);
    let first = sheets.remove(first.ok_or("it has no sheet that can be seen")?).name;
    let other_sheets = sheets.into_iter().map(|sheet| sheet.name).collect();
    let mut cells = book.worksheet_cells_reader(&first).map_err(|error| said(&error))?;
    let (mut rows, mut columns, mut bytes): (Vec<Vec<String>>, usize, usize) = (Vec::new(), 0, 0);
    while let Some(cell) = cells.next_cell().map_err(|error| said(&error))? {
        let (row, column) = cell.get_position();
        if is_too_long(cell.get_value()) {
            return Err(format!(
                "a cell in row {}, column {} has more than {MOST_CHARACTERS} characters",
                u64::from(row) + 1,
                u64::from(column) + 1
            ));
        }
        let text = text(cell.get_value());
        if text.is_empty() {
            continue;
        }
        bytes += text.len();
        if bytes > MOST_TEXT {
            return Err("its cells have more than 64 MiB of text".to_owned());
        }
        if row >= MOST_ROWS || column >= MOST_COLUMNS {
            return Err(format!(
                "a cell in row {}, column {} is too far away",
                u64::from(row) + 1,
                u64::from(column) + 1
            ));
        }
        let (row, column) = (row as usize, column as usize);
        columns = columns.max(column + 1);
        if rows.len().max(row + 1) * columns > MOST_CELLS {
            return Err(format!("its cells lie in {} rows and {columns} columns, which is too much", row + 1));
        }
        if rows.len() <= row {
            rows.resize(row + 1, Vec::new());
        }
        if let Some(cells) = rows.get_mut(row) {
            if cells.len() <= column {
                cells.resize(column + 1, String::new());
            }
            if let Some(cell) = cells.get_mut(column) {
                *cell = text;
            }
        }
    }
    Ok(Sheet { csv: csv(&rows, columns).map_err(|error| said(&error))?, other_sheets })
}

fn csv(rows: &[Vec<String>], columns: usize) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.write_record((0..columns).map(|column| row.get(column).map_or("", String::as_str)))?;
    }
    writer.into_inner().map_err(|error| error.into_error().into())
}

fn is_too_long(value: &DataRef<'_>) -> bool {
    let text = match value {
        DataRef::SharedString(text) => *text,
        DataRef::String(text) => text.as_str(),
        _ => "",
    };
    text.len() > MOST_CHARACTERS && text.chars().count() > MOST_CHARACTERS
}

fn text(value: &DataRef<'_>) -> String {
    match Data::from(value.clone()) {
        Data::Int(number) => number.to_string(),
        Data::Float(number) => number_text(number),
        Data::String(text) | Data::DateTimeIso(text) | Data::DurationIso(text) => text,
        Data::Bool(flag) => flag.to_string(),
        Data::DateTime(time) if time.is_duration() => number_text(time.as_f64()),
        Data::DateTime(time) => {
            let (year, month, day, hour, minute, second, _) = time.to_ymd_hms_milli();
            let date = format!("{year:04}-{month:02}-{day:02}");
            if (hour, minute, second) == (0, 0, 0) { date } else { format!("{date}T{hour:02}:{minute:02}:{second:02}") }
        }
        Data::Error(error) => error.to_string(),
        Data::Empty => String::new(),
    }
}

/// The shortest decimal that reads back to it: what was typed. What a spreadsheet computed has ten decimals at most, as money
/// has: it is rounded there, once.
fn number_text(number: f64) -> String {
    const DECIMALS: usize = 10;
    let shortest = number.to_string();
    match shortest.split_once('.') {
        Some((_, decimals)) if decimals.len() > DECIMALS => {
            format!("{number:.DECIMALS$}").trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        _ => shortest,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use rust_xlsxwriter::{ExcelDateTime, Format, Formula, Workbook};
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    fn bytes(fill: impl FnOnce(&mut rust_xlsxwriter::Worksheet)) -> Vec<u8> {
        let mut book = Workbook::new();
        fill(book.add_worksheet());
        book.save_to_buffer().unwrap()
    }

    fn read_text(fill: impl FnOnce(&mut rust_xlsxwriter::Worksheet)) -> String {
        String::from_utf8(read_sheet(&bytes(fill)).unwrap().csv).unwrap()
    }

    #[test]
    fn cells_are_told_as_a_person_would_type_them() {
        let text = read_text(|sheet| {
            let time = Format::new().set_num_format("yyyy-mm-dd hh:mm:ss");
            sheet.write(0, 0, "a").unwrap();
            sheet.write(1, 0, 410_000_000_901_u64).unwrap();
            sheet.write(1, 2, 0.1 + 0.2).unwrap();
            sheet.write(3, 1, Formula::new("=2*1250").set_result("2500")).unwrap();
            let noon = ExcelDateTime::parse_from_str("2026-03-31T12:30:00").unwrap();
            sheet.write_datetime_with_format(3, 2, &noon, &time).unwrap();
        });
        assert_eq!(text, "a,,\n410000000901,,0.3\n,,\n,2500,2026-03-31T12:30:00\n");
    }

    /// The workbook with another text in the place of one of its files.
    fn with_part(book: &[u8], name: &str, text: &str) -> Vec<u8> {
        let mut from = ZipArchive::new(Cursor::new(book)).unwrap();
        let mut to = ZipWriter::new(Cursor::new(Vec::new()));
        for place in 0..from.len() {
            let mut part = from.by_index(place).unwrap();
            let part_name = part.name().unwrap().into_owned();
            let mut content = Vec::new();
            part.read_to_end(&mut content).unwrap();
            let content = if part_name == name { text.as_bytes() } else { content.as_slice() };
            to.start_file(part_name, SimpleFileOptions::default()).unwrap();
            to.write_all(content).unwrap();
        }
        to.finish().unwrap().into_inner()
    }

    /// A workbook of one sheet with these rows, as another program may write them.
    fn with_rows(rows: &str) -> Vec<u8> {
        let namespace = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
        let text = format!("<worksheet xmlns=\"{namespace}\"><sheetData>{rows}</sheetData></worksheet>");
        with_part(&bytes(|sheet| drop(sheet.write(0, 0, "a"))), "xl/worksheets/sheet1.xml", &text)
    }

    #[test]
    fn cells_of_other_programs_are_read_in_every_way_to_write_them() {
        let rows = r##"<row r="1"><c r="A1" t="inlineStr"><is><t>Média &amp; Co, "X"</t></is></c>
            <c r="B1" t="str"><f>B2</f><v>Retail</v></c><c r="C1" t="b"><v>1</v></c></row>
            <row r="2"><c r="A2" t="d"><v>2026-03-31</v></c><c r="B2"><v>1.5E+20</v></c>
            <c r="C2"><v>-2.5E-3</v></c><c r="D2" t="e"><v>#N/A</v></c></row>"##;
        let read = read_sheet(&with_rows(rows)).unwrap();
        let expected = "\"Média & Co, \"\"X\"\"\",Retail,true,\n2026-03-31,150000000000000000000,-0.0025,#N/A\n";
        assert_eq!(String::from_utf8(read.csv).unwrap(), expected);
        assert!(read.other_sheets.is_empty());
    }

    #[test]
    fn numbers_have_no_exponent_and_ten_decimals_at_most() {
        for (number, expected) in [
            (2_500.0, "2500"),
            (-1_234_567.89, "-1234567.89"),
            (0.000_000_000_1, "0.0000000001"),
            (0.123_456_789_06, "0.1234567891"),
            (123_456_789_012.0, "123456789012"),
            (1e15, "1000000000000000"),
            (0.0, "0"),
        ] {
            assert_eq!(number_text(number), expected);
        }
    }

    #[test]
    fn days_are_dates_and_a_duration_is_the_number_of_its_days() {
        let text = read_text(|sheet| {
            let (day, hours) = (Format::new().set_num_format("dd.mm.yyyy"), Format::new().set_num_format("[h]:mm"));
            let leap = ExcelDateTime::from_ymd(2028, 2, 29).unwrap();
            sheet.write_datetime_with_format(0, 0, &leap, &day).unwrap();
            sheet.write_number_with_format(0, 1, 1.5, &hours).unwrap();
            sheet.write(0, 2, "29.02.2028").unwrap();
        });
        assert_eq!(text, "2028-02-29,1.5,29.02.2028\n");
    }

    #[test]
    fn formula_counts_as_its_last_result_and_one_that_failed_as_its_error() {
        let text = read_text(|sheet| {
            sheet.write(0, 0, Formula::new("=A2*2").set_result("1234.5")).unwrap();
            sheet.write(0, 1, Formula::new("=\"Re\"&\"tail\"").set_result("Retail")).unwrap();
            sheet.write(0, 2, Formula::new("=1/0").set_result("#DIV/0!")).unwrap();
        });
        assert_eq!(text, "1234.5,Retail,#DIV/0!\n");
    }

    #[test]
    fn first_sheet_counts_and_the_others_are_named_in_their_order() {
        let mut book = Workbook::new();
        for name in ["Queue", "Notes", "Résumé & \"more\""] {
            book.add_worksheet().set_name(name).unwrap().write(0, 0, name).unwrap();
        }
        let read = read_sheet(&book.save_to_buffer().unwrap()).unwrap();
        assert_eq!(read.csv, b"Queue\n");
        assert_eq!(read.other_sheets, ["Notes", "Résumé & \"more\""]);
    }

    #[test]
    fn sheet_that_is_hidden_is_not_read() {
        let mut book = Workbook::new();
        for (name, amount) in [("Old", 99), ("Queue", 7), ("Secret", 1)] {
            book.add_worksheet().set_name(name).unwrap().write(0, 0, amount).unwrap();
        }
        book.worksheet_from_index(0).unwrap().set_very_hidden(true);
        book.worksheet_from_index(2).unwrap().set_hidden(true);
        book.worksheet_from_index(1).unwrap().set_active(true);
        let read = read_sheet(&book.save_to_buffer().unwrap()).unwrap();
        assert_eq!(
            (read.csv.as_slice(), read.other_sheets),
            (&b"7\n"[..], vec!["Old".to_owned(), "Secret".to_owned()])
        );
    }

    #[test]
    fn workbook_holds_no_more_than_its_cells_may_say() {
        let whole = bytes(|sheet| drop(sheet.write(0, 0, "a")));
        let claims = "<sst uniqueCount=\"10000000000000\"><si><t>a</t></si></sst>";
        let claims = read_sheet(&with_part(&whole, "xl/sharedStrings.xml", claims)).unwrap_err();
        assert!(claims.contains("(it claims more than 5000000 texts)"), "{claims}");
        let text = |length: usize| format!("<sst><si><t>{}</t></si></sst>", "é".repeat(length));
        let shared = |length: usize, cells: usize| {
            let row = |row| format!("<row><c r=\"A{row}\" t=\"s\"><v>0</v></c></row>");
            let rows: String = (1..=cells).map(row).collect();
            with_part(&with_rows(&rows), "xl/sharedStrings.xml", &text(length))
        };
        assert_eq!(read_sheet(&shared(32_767, 2)).unwrap().csv.len(), 2 * (2 * 32_767 + 1));
        let long = read_sheet(&shared(32_768, 1)).unwrap_err();
        assert!(long.contains("(a cell in row 1, column 1 has more than 32767 characters)"), "{long}");
        let many = read_sheet(&shared(32_767, 1_025)).unwrap_err();
        assert!(many.contains("(its cells have more than 64 MiB of text)"), "{many}");
    }

    #[test]
    fn sheet_holds_as_many_rows_and_columns_as_a_person_fills_in() {
        let column = u16::try_from(MOST_COLUMNS - 1).unwrap();
        let long = read_text(|sheet| drop(sheet.write(MOST_ROWS - 1, 0, "last")));
        assert_eq!((long.lines().count(), long.ends_with("\nlast\n")), (200_000, true));
        let wide = read_text(|sheet| drop(sheet.write(0, column, "last")));
        assert_eq!((wide.matches(',').count(), wide.ends_with(",last\n")), (999, true));
        let is_read = |row: u32, column: u16, text: &str| {
            let read = read_sheet(&bytes(|sheet| drop(sheet.write(row, column, text))));
            read.map(drop).map_err(|problem| problem.split(['(', ')']).nth(1).unwrap().to_owned())
        };
        let below = is_read(MOST_ROWS, 0, "x");
        assert_eq!(below, Err("a cell in row 200001, column 1 is too far away".to_owned()));
        let beside = is_read(0, column + 1, "x");
        assert_eq!(beside, Err("a cell in row 1, column 1001 is too far away".to_owned()));
        assert_eq!(is_read(MOST_ROWS, column + 1, ""), Ok(()), "an empty cell lies nowhere");
    }

    #[test]
    fn sheet_without_a_cell_is_empty() {
        assert_eq!(read_text(|_| ()), "");
    }

    /// As people send it back: an amount typed as a number, an end as a day, a reference that is a number.
    #[test]
    fn queue_that_was_filled_in_is_read_as_allocations() {
        let filled_in = read_sheet(&bytes(|sheet| {
            let day = Format::new().set_num_format("yyyy-mm-dd");
            let header = "credit_key,amount,currency,end_date,reference,business_unit,department,portfolio,product";
            for (column, name) in (0..).zip(header.split(',')) {
                sheet.write(0, column, name).unwrap();
            }
            let end = ExcelDateTime::from_ymd(2026, 12, 31).unwrap();
            sheet.write(1, 0, "id:42").unwrap().write(1, 1, 2_500.1).unwrap().write(1, 2, "USD").unwrap();
            sheet.write_datetime_with_format(1, 3, &end, &day).unwrap();
            sheet.write(1, 4, 4711).unwrap().write(1, 5, "Retail").unwrap().write(1, 6, "Online").unwrap();
        }));
        let rows = schemas::reference::parse_allocations("queue.xlsx", &filled_in.unwrap().csv).unwrap();
        let [row] = rows.as_slice() else { panic!("{rows:?}") };
        assert_eq!(row.amount, "2500.1".parse().ok());
        assert_eq!(row.end_date.unwrap().to_string(), "2026-12-31");
        assert_eq!(row.reference.as_deref(), Some("4711"));
        assert_eq!(row.node.as_ref().unwrap().to_string(), "Retail/Online");
    }

    #[test]
    fn file_that_is_no_workbook_or_one_that_is_broken_is_told_with_its_fault() {
        let problem = |bytes: &[u8]| {
            let told = read_sheet(bytes).unwrap_err();
            let fault = told.strip_prefix("is no workbook that can be read (").unwrap_or_else(|| panic!("{told}"));
            fault.strip_suffix("); save it as .xlsx again, or as CSV").unwrap_or_else(|| panic!("{told}")).to_owned()
        };
        let mut backup = ZipWriter::new(Cursor::new(Vec::new()));
        backup.start_file("manifest.json", SimpleFileOptions::default()).unwrap();
        let backup = problem(&backup.finish().unwrap().into_inner());
        assert!(!backup.is_empty() && !backup.contains('\n'), "{backup}");
        let whole = bytes(|sheet| drop(sheet.write(0, 0, "a")));
        let no_sheet = with_part(&whole, "xl/workbook.xml", "<workbook><sheets></sheets></workbook>");
        assert_eq!(problem(&no_sheet), "it has no sheet that can be seen");
        let unknown_text = problem(&with_rows(r#"<row r="1"><c r="A1" t="s"><v>7</v></c></row>"#));
        assert!(unknown_text.contains("shared strings table"), "{unknown_text}");
        let cut = "<worksheet><sheetData><row r=\"1\"><c r=\"A1\">";
        let cut = problem(&with_part(&whole, "xl/worksheets/sheet1.xml", cut));
        assert!(!cut.is_empty() && !cut.contains('\n'), "{cut}");
    }

    #[test]
    fn what_cannot_be_read_is_told_with_what_to_do() {
        let problem = |bytes: &[u8]| read_sheet(bytes).unwrap_err();
        assert_eq!(problem(b"\xd0\xcf\x11\xe0rest"), "is a workbook of an old format; save it as .xlsx or CSV");
        let whole = bytes(|sheet| drop(sheet.write(0, 0, "a")));
        for cut in [0, 4, whole.len() / 2, whole.len() - 1] {
            let problem = problem(&whole[..cut]);
            assert!(problem.starts_with("is no workbook that can be read ("), "{problem}");
        }
        let mut large = ZipWriter::new(Cursor::new(Vec::new()));
        large.start_file("zeros", SimpleFileOptions::default()).unwrap();
        io::copy(&mut io::repeat(0).take(MOST_BYTES + 1), &mut large).unwrap();
        let large = problem(&large.finish().unwrap().into_inner());
        assert!(large.contains("(it unpacks to more than 256 MiB)"), "{large}");
        let far = problem(&bytes(|sheet| drop(sheet.write(1_000_000, 16_000, "a"))));
        assert!(far.contains("a cell in row 1000001, column 16001 is too far away"), "{far}");
        let wide = problem(&bytes(|sheet| {
            sheet.write(0, 999, "a").unwrap();
            sheet.write(9_999, 0, "a").unwrap();
        }));
        assert!(wide.contains("(its cells lie in 10000 rows and 1000 columns, which is too much)"), "{wide}");
        assert!(is_workbook(&whole) && !is_workbook(b"credit_key,amount\n"));
    }
}
