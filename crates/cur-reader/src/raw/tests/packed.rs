//! CSV as it is packed, and files under names of another kind.

use std::io::{Cursor, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::*;

const TEXT: &str = "id,text\n1,one\n2,two\n";
const ROWS: [&str; 2] = ["2 1|one", "3 2|two"];
const COLUMNS: [&str; 2] = ["id", "text"];

fn gzip(text: impl AsRef<[u8]>) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(text.as_ref()).unwrap();
    packed.finish().unwrap()
}

/// An archive of these entries; one whose name ends with a slash is a folder.
fn zip(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in entries {
        if name.ends_with('/') {
            archive.add_directory(*name, SimpleFileOptions::default()).unwrap();
        } else {
            archive.start_file(*name, SimpleFileOptions::default()).unwrap();
            archive.write_all(text.as_bytes()).unwrap();
        }
    }
    archive.finish().unwrap().into_inner()
}

#[tokio::test]
async fn members_of_a_gzip_file_are_one_text_and_zeros_behind_them_are_padding() {
    let (head, tail) = TEXT.split_at(11);
    let members = [gzip(head), gzip(""), gzip(tail)].concat();
    let padded = [&members[..], &[0; 70_000]].concat();
    for bytes in [gzip(TEXT), members, padded] {
        assert_eq!(rows("may.csv.gz", bytes, &COLUMNS).await.unwrap(), ROWS);
    }
}

#[tokio::test]
async fn what_lies_behind_a_gzip_file_is_no_text_and_is_refused() {
    let behind = |bytes: &[u8]| [&gzip(TEXT)[..], bytes].concat();
    assert_eq!(
        refused("may.csv.gz", behind(b"some bytes of another file"), &COLUMNS).await,
        "may.csv.gz: cannot be unpacked (invalid gzip header); copy the file again"
    );
    assert_eq!(
        refused("may.csv.gz", behind(b"\0\0\0some bytes of another file"), &COLUMNS).await,
        "may.csv.gz: cannot be unpacked (bytes behind its end); copy the file again"
    );
}

#[tokio::test]
async fn a_gzip_file_that_is_cut_off_says_after_which_row() {
    let whole = gzip(TEXT);
    assert_eq!(
        refused("may.csv.gz", &whole[..whole.len() - 4], &COLUMNS).await,
        "may.csv.gz: is cut off after row 3: what is packed has no end; copy the file again"
    );
    assert_eq!(
        refused("may.csv.gz", &whole[..12], &COLUMNS).await,
        "may.csv.gz: is cut off before its first row; copy the file again"
    );
    let mut damaged = whole.clone();
    let checksum = whole.len() - 8;
    damaged[checksum] ^= 1;
    assert_eq!(
        refused("may.csv.gz", damaged, &COLUMNS).await,
        "may.csv.gz: cannot be unpacked (corrupt gzip stream does not have a matching checksum); copy the file again"
    );
}

#[tokio::test]
async fn an_archive_holds_one_file_beside_folders_and_what_is_hidden() {
    let one = zip(&[("r-1.csv", TEXT)]);
    let as_on_a_desktop =
        zip(&[("may/", ""), ("may/r-1.csv", TEXT), ("__MACOSX/may/._r-1.csv", "x"), ("may/.DS_Store", "x")]);
    for bytes in [one, as_on_a_desktop] {
        assert_eq!(rows("may.zip", bytes, &COLUMNS).await.unwrap(), ROWS);
    }
    let message = "a delivery of AWS holds one: unpack it, and copy what is to be read";
    assert_eq!(
        refused("may.zip", zip(&[("r-1.csv", TEXT), ("r-2.csv", TEXT)]), &COLUMNS).await,
        format!("may.zip: holds 2 files; {message}")
    );
    assert_eq!(refused("may.zip", zip(&[("may/", "")]), &COLUMNS).await, format!("may.zip: holds 0 files; {message}"));
    assert_eq!(refused("may.zip", zip(&[]), &COLUMNS).await, format!("may.zip: holds 0 files; {message}"));
}

#[tokio::test]
async fn an_archive_that_is_damaged_or_cut_off_is_refused() {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let as_it_is = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    archive.start_file("r-1.csv", as_it_is).unwrap();
    archive.write_all(TEXT.as_bytes()).unwrap();
    let whole = archive.finish().unwrap().into_inner();
    assert_eq!(rows("may.zip", &whole, &COLUMNS).await.unwrap(), ROWS);
    let mut damaged = whole.clone();
    let one = damaged.windows(3).position(|bytes| bytes == b"one").unwrap();
    damaged[one] = b'O';
    assert_eq!(
        refused("may.zip", damaged, &COLUMNS).await,
        "may.zip: cannot be unpacked (Invalid checksum); copy the file again"
    );
    let cut = refused("may.zip", &whole[..whole.len() - 30], &COLUMNS).await;
    assert!(cut.starts_with("may.zip: is no ZIP archive that can be read ("), "{cut}");
}

#[tokio::test]
async fn what_a_file_is_says_its_content_and_not_its_name() {
    for name in ["may.csv", "may.csv.gz", "may.zip", "may.txt", "20260903_101112_00012_abcde"] {
        for bytes in [TEXT.as_bytes().to_vec(), gzip(TEXT), zip(&[("r-1.csv", TEXT)])] {
            assert_eq!(rows(name, bytes, &COLUMNS).await.unwrap(), ROWS, "{name}");
        }
    }
    // Text under the name of Parquet must look like an export, as half a Parquet file is text to the eye, too.
    let export = "bill_payer_account_id,line_item_unblended_cost\n999999999999,5\n";
    for bytes in [export.as_bytes().to_vec(), gzip(export)] {
        let read = rows("may.parquet", bytes, &["line_item_unblended_cost"]).await;
        assert_eq!(read.unwrap(), ["2 5"]);
    }
    let other = refused("may.parquet", TEXT, &COLUMNS).await;
    assert!(other.starts_with("may.parquet: is not a complete Parquet file ("), "{other}");
}

#[tokio::test]
async fn only_what_begins_or_is_named_as_data_is_meant_as_such() {
    for (bytes, is_named_so, expected) in [
        (&b"PAR1 and no more"[..], false, true),
        (b"\x1f\x8b and no more", true, true),
        (b"\x1f\x8b and no more", false, false),
        (b"PK\x03\x04 and no more", true, true),
        (b"PK\x03\x04 of a spreadsheet", false, false),
        (b"some text", true, false),
        (b"", true, true),
        (b"", false, false),
    ] {
        let (store, file) = delivered("x", bytes).await;
        let is_meant = OpenFile::is_meant_as_data(&store, &file, is_named_so).await.unwrap();
        assert_eq!(is_meant, expected, "{bytes:?}");
    }
}
