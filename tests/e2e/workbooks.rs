//! Workbooks: what a spreadsheet gets, and what comes back from one.

use std::fs;
use std::path::Path;

use calamine::{Data, Reader, Xlsx, open_workbook};
use rust_xlsxwriter::{ExcelDateTime, Format, Workbook};

use crate::support::compare::Row;
use crate::support::{SAMPLE_AS_OF, Workspace, published_sample};

/// The sample with one run, to record in.
fn own_sample() -> Workspace {
    let sample = Workspace::sample();
    says(&sample, &["run"]);
    sample
}

fn says(sample: &Workspace, arguments: &[&str]) -> String {
    sample.try_run(SAMPLE_AS_OF, arguments).unwrap_or_else(|problem| panic!("{problem}"))
}

fn path(sample: &Workspace, name: &str) -> String {
    sample.path(name).display().to_string()
}

/// The cells of a sheet, the header first.
fn sheet(file: &Path, name: &str) -> Vec<Vec<Data>> {
    let mut book: Xlsx<_> = open_workbook(file).expect("a workbook");
    book.worksheet_range(name).expect("a sheet").rows().map(<[Data]>::to_vec).collect()
}

fn texts(cells: &[Data]) -> Vec<String> {
    cells.iter().map(ToString::to_string).collect()
}

fn log(sample: &Workspace) -> Vec<Row> {
    let sql = "SELECT * FROM allocations_log ORDER BY credit_key, recorded_at, allocation_id, lot";
    sample.query(SAMPLE_AS_OF, sql).expect("the log")
}

/// A queue with the amount, end date and business unit of one row filled in, as a person does it.
fn fill_in(queue: &[Vec<Data>], key: &str, file: &Path) {
    let mut book = Workbook::new();
    let sheet = book.add_worksheet();
    let day = Format::new().set_num_format("dd.mm.yyyy");
    for (row, cells) in (0..).zip(queue) {
        let is_it = cells[0] == key;
        for ((column, cell), name) in (0..).zip(cells).zip(texts(&queue[0])) {
            match (is_it, name.as_str(), cell) {
                (true, "amount", _) => drop(sheet.write(row, column, 2500.1)),
                (true, "end_date", _) => {
                    let end = ExcelDateTime::from_ymd(2027, 3, 31).expect("a day");
                    sheet.write_datetime_with_format(row, column, &end, &day).expect("a cell");
                }
                (true, "business_unit", _) => drop(sheet.write(row, column, "Logistics")),
                (_, _, Data::Float(number)) => drop(sheet.write(row, column, *number)),
                (_, _, Data::Empty) => {}
                (_, _, other) => drop(sheet.write(row, column, other.to_string())),
            }
        }
    }
    book.add_worksheet().set_name("My notes").expect("a name").write(0, 0, "ask Piet").expect("a cell");
    book.save(file).expect("a saved workbook");
}

#[test]
fn queue_goes_out_as_a_workbook_and_comes_in_filled_in() {
    let sample = &own_sample();
    let file = path(sample, "queue.xlsx");
    says(sample, &["queue", "--out", &file]);
    let queue = sheet(&sample.path("queue.xlsx"), "queue");
    let csv = says(sample, &["queue", "--format", "csv", "--raw"]);
    let header: Vec<&str> = csv.lines().next().expect("a header").split(',').collect();
    assert_eq!(texts(&queue[0]), header);
    assert_eq!(queue.len(), csv.lines().count());
    let place = |name: &str| header.iter().position(|known| *known == name).expect("a column");
    let row = queue.iter().find(|row| row[0].to_string().starts_with("code:MAP credit - 2/3")).expect("a row");
    assert!(matches!(row[place("aws_applied")], Data::Float(_)), "an amount is a number: {row:?}");
    assert!(matches!(row[place("issue_date")], Data::DateTime(_)), "a day is a day: {row:?}");
    assert_eq!(row[place("account_id")], Data::String("410000000901".to_owned()), "an id keeps its digits");
    let key = row[0].to_string();
    fill_in(&queue, &key, &sample.path("queue.xlsx"));
    let outcome = sample.run(SAMPLE_AS_OF, &["allocations", "import", &file, "--by", "ann"]);
    assert!(outcome.stdout.starts_with("Recorded 1 row of queue.xlsx."), "{outcome:?}");
    assert_eq!(outcome.stderr, "note: of queue.xlsx only the first sheet is read, not My notes\n");
    let sql = format!("SELECT amount, end_date, business_unit FROM allocations_log WHERE credit_key = '{key}'");
    let recorded = sample.query(SAMPLE_AS_OF, &sql).expect("a row");
    let recorded: Vec<&str> = recorded[0].values().map(String::as_str).collect();
    assert_eq!(recorded, ["2500.1000000000", "Logistics", "2027-03-31"]);
    let again = says(sample, &["allocations", "import", &file, "--by", "bob"]);
    assert!(again.starts_with("Recorded 0 rows of queue.xlsx. 1 row stood in the log already."), "{again}");
}

#[test]
fn history_goes_to_another_lake_through_a_workbook_to_the_same_rows() {
    let sample = &own_sample();
    let lots = ["--to", "Retail=1000.0000000001,2027-01-31", "--to", "Media=12345678901.0000000001"];
    says(sample, &[&["allocate", "--key", "id:10063540211", "--reference", "=A-1"], &lots[..]].concat());
    let file = path(sample, "history.xlsx");
    says(sample, &["allocations", "export", "--history", &file]);
    let expected = log(sample);
    fs::remove_dir_all(sample.path("lake")).expect("a removed lake");
    fs::remove_file(sample.path("reference/allocations.csv")).expect("a removed file");
    says(sample, &["run"]);
    says(sample, &["allocations", "import", &file]);
    assert_eq!(log(sample), expected);
}

#[test]
fn tables_are_sheets_with_numbers_that_add_up() {
    let sample = &published_sample();
    let file = path(sample, "september.xlsx");
    let tables = ["net_cost_summary", "reconciliation"];
    let said = says(sample, &[&["export", "--out", &file, "--period", "2026-09"], &tables[..]].concat());
    assert_eq!(said.lines().count(), 2, "{said}");
    let rows = sheet(&sample.path("september.xlsx"), "net_cost_summary");
    let header = texts(&rows[0]);
    let place = |name: &str| header.iter().position(|known| known == name).expect("a column");
    let whole = rows.iter().find(|row| row[place("level")] == Data::Float(0.0)).expect("the whole");
    let sql = "SELECT net_cost FROM net_cost_summary WHERE level = 0 AND billing_period = '2026-09'";
    let net_cost: f64 = sample.query(SAMPLE_AS_OF, sql).expect("a row")[0]["net_cost"].parse().expect("a number");
    assert_eq!(whole[place("net_cost")], Data::Float(net_cost));
    assert!(sheet(&sample.path("september.xlsx"), "reconciliation").len() == 2, "a currency");
}

#[test]
fn workbook_that_cannot_be_read_is_told_and_nothing_is_taken() {
    let sample = &own_sample();
    let before = log(sample);
    let file = path(sample, "queue.xlsx");
    says(sample, &["queue", "--out", &file]);
    let whole = fs::read(sample.path("queue.xlsx")).expect("a workbook");
    let old = [&[0xd0, 0xcf, 0x11, 0xe0][..], b"an old one"].concat();
    for (bytes, problem) in [
        (&whole[..whole.len() / 2], "queue.xlsx is no workbook that can be read ("),
        (&old, "queue.xlsx is a workbook of an old format; save it as .xlsx or CSV"),
    ] {
        fs::write(sample.path("queue.xlsx"), bytes).expect("a written file");
        let outcome = sample.run(SAMPLE_AS_OF, &["allocations", "import", &file]);
        assert_eq!(outcome.exit_code, Some(3), "{outcome:?}");
        assert!(outcome.stderr.starts_with(&format!("error: {problem}")), "{}", outcome.stderr);
    }
    assert_eq!(log(sample), before);
}
