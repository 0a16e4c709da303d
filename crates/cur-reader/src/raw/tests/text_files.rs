//! CSV as AWS and others write it.

use super::*;

#[tokio::test]
async fn quotes_hold_commas_quotes_and_line_breaks() {
    let text = "id,text,cost\r\n\
                1,\"Amazon Web Services, Inc.\",1\r\n\
                2,\"the \"\"new\"\" price\",2\r\n\
                3,\"two\nlines\",3\r\n\
                4,in \"the middle\",4\r\n\
                \"5\",\"\",\"5\"";
    let expected = [
        "2 1|Amazon Web Services, Inc.|1",
        "3 2|the \"new\" price|2",
        "4 3|two\nlines|3",
        "5 4|in \"the middle\"|4",
        "6 5|-|5",
    ];
    assert_eq!(rows("may.csv", text, &["id", "text", "cost"]).await.unwrap(), expected);
}

#[tokio::test]
async fn null_and_blank_fields_are_null_and_blank_lines_are_no_rows() {
    let text = "\u{feff}id,text\n\n1,NULL\n2,\n\n\n3,null\n4, \n5,\"NULL\"\n\n";
    let read = rows("may.csv", text, &["id", "text"]).await.unwrap();
    let values: Vec<&str> = read.iter().map(|row| row.split_once(' ').unwrap().1).collect();
    assert_eq!(values, ["1|-", "2|-", "3|null", "4|-", "5|-"]);
    assert_eq!(rows("may.csv", "id,text\n", &["id"]).await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn columns_come_as_they_are_wanted_and_one_that_stands_twice_from_both_places() {
    let text = "team,cost,team\nfirst,1,last\n";
    assert_eq!(rows("may.csv", text, &["cost", "team"]).await.unwrap(), ["2 1|first"]);
    assert_eq!(rows("may.csv", text, &["team", "team", "cost"]).await.unwrap(), ["2 first|last|1"]);
}

#[tokio::test]
async fn long_files_come_in_batches_whose_rows_are_counted_on() {
    let lines: String = (0..20_000).map(|line| format!("{line},x\n")).collect();
    let read = batches("may.csv", format!("id,text\n{lines}").as_bytes(), &["id"]).await.unwrap();
    let first = |batch: &RawBatch| batch.columns[0].text().unwrap().get(0).map(str::to_owned);
    let shown: Vec<_> = read.iter().map(|batch| (batch.first_row, batch.rows, first(batch))).collect();
    let first = |line: &str| Some(line.to_owned());
    let expected =
        [(2, 8_192, first("0")), (8_194, 8_192, first("8192")), (16_386, 3_616, first("16384")), (20_002, 0, None)];
    assert_eq!(shown, expected);
}

#[tokio::test]
async fn batches_of_very_many_columns_have_fewer_rows() {
    let names: Vec<String> = (0..2_048).map(|column| format!("c{column}")).collect();
    let lines = (vec!["1"; names.len()].join(",") + "\n").repeat(3_000);
    let text = format!("{}\n{lines}", names.join(","));
    let wanted: Vec<&str> = names.iter().map(String::as_str).collect();
    let read = batches("may.csv", text.as_bytes(), &wanted).await.unwrap();
    assert_eq!(read.iter().map(|batch| batch.rows).collect::<Vec<_>>(), [2_048, 952, 0]);
}

#[tokio::test]
async fn what_is_wrong_with_a_row_is_told_with_its_number_and_column() {
    let long = "x".repeat((1 << 20) + 1);
    let too_long = "holds a text of 1048577 bytes; at most 1048576";
    let open = "has a quote that is left open: the text goes on over the rows below; close the quote, or copy the file \
                again";
    for (text, message) in [
        ("a,b,c\n1,2,3\n1,2\n".to_owned(), ", row 3: has 2 fields where the header has 3; the file may be cut off"),
        ("a,b,c\n1,2,3,4\n".to_owned(), ", row 2: has 4 fields where the header has 3; the file may be cut off"),
        (format!("a,b,c\n1,2,3\n1,{long},3\n"), &format!(", row 3, column b: {too_long}")),
        (format!("a,{long}\n1,2\n"), &format!(", row 1: {too_long}")),
        // To the end of the file; to the next quote; in the header.
        ("a,b,c\n1,\"2,3\n1,2,3\n1,2,3\n".to_owned(), &format!(", row 2, column b: {open}")),
        ("a,b,c\n1,2,3\n1,2,\"3\n1,2,3\n1,\"2,3\n".to_owned(), &format!(", row 3, column c: {open}")),
        ("a,b,\"c,d\n1,2,3,4\n1,2,3,4\n".to_owned(), &format!(", row 1: {open}")),
        ("\n\n".to_owned(), ": is empty; copy the file again"),
        (String::new(), ": is empty (0 bytes); copy the file again"),
    ] {
        assert_eq!(refused("may.csv", &text, &["a"]).await, format!("may.csv{message}"), "{:.40}", text);
    }
    // The longest text that is borne.
    let text = format!("a,b,c\n1,{},3\n", &long[1..]);
    assert_eq!(rows("may.csv", text, &["c"]).await.unwrap(), ["2 3"]);
}

#[tokio::test]
async fn bytes_that_are_no_utf_8_are_told_with_their_row() {
    let latin = b"id,text\n1,plain\n2,Caf\xe9\n";
    assert_eq!(refused("may.csv", latin, &["id"]).await, "may.csv, row 3: is not UTF-8");
    assert_eq!(refused("may.csv", b"id,Caf\xe9\n1,2\n", &["id"]).await, "may.csv, row 1: is not UTF-8");
}

#[tokio::test]
async fn a_quote_that_is_never_closed_is_given_up_before_the_file_is_read_to_its_end() {
    let rest = "a line of an export of some length\n".repeat(700_000);
    let message = "goes on for more than 16 MiB: a quote is left open; close it, or copy the file again";
    let text = format!("id,text\n1,good\n2,\"open\n{rest}");
    assert_eq!(refused("may.csv", text, &["id"]).await, format!("may.csv, row 3: {message}"));
    assert_eq!(refused("may.csv", format!("id,\"open\n{rest}"), &["id"]).await, format!("may.csv, row 1: {message}"));
    // Short lines may take more than that together.
    let rows = rows("may.csv", format!("text\n{rest}"), &["text"]).await.unwrap();
    assert_eq!(rows.len(), 700_000);
}

#[tokio::test]
async fn a_header_of_more_columns_than_any_export_has_is_refused() {
    let header = |columns: usize| vec!["x"; columns].join(",") + "\n";
    assert_eq!(refused("may.csv", header(20_001), &["x"]).await, "may.csv, row 1: has 20001 columns; at most 20000");
    assert_eq!(rows("may.csv", header(20_000), &["x"]).await.unwrap(), [""; 0]);
}
