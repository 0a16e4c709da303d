//! The report: the pages of some months as one file.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use calamine::{Data, Reader, Xlsx, open_workbook};

use crate::support::{SAMPLE_AS_OF, Workspace, published_sample};

/// A report on the sample, in a folder of the test's own.
fn report(name: &str, options: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join(name);
    let out = file.display().to_string();
    let arguments = [&["report", "--out", &out], options].concat();
    let said = published_sample().try_run(SAMPLE_AS_OF, &arguments).unwrap_or_else(|problem| panic!("{problem}"));
    assert_eq!(said, format!("Report written to {out}\n"));
    (folder, file)
}

/// Parts of a text between two marks, in order.
fn between<'a>(text: &'a str, begin: &str, end: &str) -> Vec<&'a str> {
    text.split(begin).skip(1).map(|rest| rest.split(end).next().unwrap_or_default()).collect()
}

#[test]
fn html_report_loads_nothing_leads_nowhere_and_has_every_picture_s_data() {
    let (_folder, file) = report("september.html", &["--period", "2026-09"]);
    let html = fs::read_to_string(file).expect("a report");
    for heading in ["Overview", "Queue", "Credits", "Expiry", "Net cost"] {
        assert!(html.contains(&format!("<h1>{heading}</h1>")), "{heading}");
    }
    let own = html.split("<script>").next().expect("what comes before the library");
    for loaded in ["<link", " src=", " href=", "url("] {
        assert!(!own.contains(loaded), "{loaded}");
    }
    let data = between(&html, "<script type=\"application/json\">", "</script>");
    insta::assert_snapshot!("sample_charts", data.join("\n"));
}

#[test]
fn page_of_the_queue_is_as_it_was() {
    let (_folder, file) = report("september.html", &["--period", "2026-09", "--currency", "USD"]);
    let html = fs::read_to_string(file).expect("a report");
    let queue = between(&html, "<section class=\"sheet\" id=\"queue\">", "</section>")[0];
    insta::assert_snapshot!("sample_queue_page", queue.replace("<tr>", "\n<tr>"));
}

#[test]
fn workbook_has_the_figures_of_the_published_tables() {
    let (_folder, file) = report("q3.xlsx", &["--period", "2026-Q3"]);
    let mut book: Xlsx<_> = open_workbook(&file).expect("a workbook");
    let sheet = book.worksheet_range("gross_to_net").expect("a sheet");
    let mut rows = sheet.rows();
    let names: Vec<String> = rows.next().expect("a header").iter().map(ToString::to_string).collect();
    let place = names.iter().position(|name| name == "net_cost").expect("a column");
    let shown: BTreeMap<String, String> = rows
        .map(|row| {
            let amount = match &row[place] {
                Data::Float(number) => format!("{number:.10}"),
                text => text.to_string(),
            };
            (row[0].to_string(), amount)
        })
        .collect();
    let sql = "SELECT billing_period, net_cost FROM net_cost_summary WHERE level = 0 AND billing_period BETWEEN '2026-07' AND \
               '2026-09'";
    let rows = published_sample().query(SAMPLE_AS_OF, sql).expect("the roll-up");
    let expected: BTreeMap<String, String> =
        rows.iter().map(|row| (row["billing_period"].clone(), row["net_cost"].clone())).collect();
    assert_eq!(expected.len(), 3);
    assert_eq!(shown, expected);
}

#[test]
fn report_of_another_kind_is_refused_and_writes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("report.pdf");
    let out = file.display().to_string();
    let problem = published_sample().try_run(SAMPLE_AS_OF, &["report", "--out", &out]).expect_err("no such kind");
    assert!(problem.contains("name one that ends in .html or .xlsx"), "{problem}");
    assert!(!file.exists());
    let workspace = Workspace::sample();
    let html = folder.path().join("report.html").display().to_string();
    let problem = workspace.try_run(SAMPLE_AS_OF, &["report", "--out", &html]).expect_err("no lake");
    assert!(problem.contains("`run` first") || problem.contains("no lake"), "{problem}");
}
