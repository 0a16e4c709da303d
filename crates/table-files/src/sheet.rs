//! What people filled in: the first sheet of an XLSX workbook as CSV.

use std::io::{self, Cursor, Read};

use calamine::{Data, DataRef, Reader, SheetType, Xlsx, open_workbook_from_rs};
use zip::ZipArchive;

/// What a workbook may unpack to, whatever it claims, and how far its cells may lie from the first.
const MOST_BYTES: u64 = 256 << 20;
const MOST_ROWS: u32 = 200_000;
const MOST_COLUMNS: u32 = 1_000;
/// Rows times columns: a few cells far apart make a sheet as large as one that is full.
const MOST_CELLS: usize = 5_000_000;

/// The first sheet of a workbook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sheet {
    /// Its rows from the first on, empty ones too, as CSV: numbers without an exponent, days as `YYYY-MM-DD`.
    pub csv: Vec<u8>,
    /// Names of the other ones.
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

/// Reads the first sheet of a workbook.
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
        let mut file = file.take(MOST_BYTES + 1 - unpacked);
        unpacked += io::copy(&mut file, &mut io::sink()).map_err(|error| said(&error))?;
        if unpacked > MOST_BYTES {
            return Err("it unpacks to more than 256 MiB".to_owned());
        }
    }
    let mut book: Xlsx<_> =
        open_workbook_from_rs(Cursor::new(bytes)).map_err(|error: calamine::XlsxError| said(&error))?;
    let sheets = book.sheets_metadata().iter().filter(|sheet| sheet.typ == SheetType::WorkSheet);
    let mut names = sheets.map(|sheet| sheet.name.clone());
    let first = names.next().ok_or("it has no sheet")?;
    let other_sheets = names.collect();
    let mut cells = book.worksheet_cells_reader(&first).map_err(|error| said(&error))?;
    let (mut rows, mut columns): (Vec<Vec<String>>, usize) = (Vec::new(), 0);
    while let Some(cell) = cells.next_cell().map_err(|error| said(&error))? {
        let (row, column) = cell.get_position();
        let text = text(cell.get_value());
        if text.is_empty() {
            continue;
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
        let Some(cells) = rows.get_mut(row) else { continue };
        cells.resize(cells.len().max(column + 1), String::new());
        if let Some(cell) = cells.get_mut(column) {
            *cell = text;
        }
    }
    Ok(Sheet { csv: csv(rows).map_err(|error| said(&error))?, other_sheets })
}

fn csv(mut rows: Vec<Vec<String>>) -> Result<Vec<u8>, csv::Error> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in &mut rows {
        row.resize(columns, String::new());
        writer.write_record(row)?;
    }
    writer.into_inner().map_err(|error| error.into_error().into())
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

/// Ten decimals at most, as money has: what a spreadsheet computed is rounded there, once.
fn number_text(number: f64) -> String {
    format!("{number:.10}").trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
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
