//! Files that a person names on the command line.

use std::fs::{File, Permissions};
use std::io::{Cursor, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use arrow::record_batch::RecordBatch;
use table_files::{TableFileError, WorkbookFile};
use tempfile::NamedTempFile;

use crate::app::App;
use crate::output::csv_text;
use crate::{Failure, Kind};

/// The name of a file, for messages about its rows.
pub(crate) fn name(file: &Path) -> String {
    file.file_name().map_or_else(|| file.display().to_string(), |name| name.to_string_lossy().into_owned())
}

/// The content of a file.
///
/// # Errors
/// [`Kind::BadInput`] where it is not there or is a folder.
pub(crate) fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(file).map_err(|error| failed(file, &error))
}

/// The content of a file that must be text.
///
/// # Errors
/// As [`read`]; [`Kind::BadInput`] where it is not UTF-8.
pub(crate) fn read_text(file: &Path) -> Result<String, Failure> {
    let not_utf_8 = |_| Failure::new(Kind::BadInput, format!("{} is not UTF-8; save it as UTF-8", file.display()));
    String::from_utf8(read(file)?).map_err(not_utf_8)
}

/// True where a file is to be a workbook, by its name.
fn is_workbook(file: &Path) -> bool {
    file.extension().is_some_and(|suffix| suffix.eq_ignore_ascii_case("xlsx"))
}

/// Writes a table to a file: a workbook where its name ends in .xlsx, else CSV.
///
/// # Errors
/// As [`write`].
pub(crate) fn write_table(app: &App, file: &Path, name: &str, batch: &RecordBatch) -> Result<(), Failure> {
    if !is_workbook(file) {
        return write(file, csv_text(std::slice::from_ref(batch), app.raw)?.as_bytes());
    }
    let failed = |error: TableFileError| Failure::new((&error).into(), format!("{}: {error}", file.display()));
    write(file, &workbook(name, batch).map_err(failed)?)
}

fn workbook(name: &str, batch: &RecordBatch) -> Result<Vec<u8>, TableFileError> {
    let (mut book, mut to) = (WorkbookFile::begin()?, Cursor::new(Vec::new()));
    book.sheet(name, &batch.schema())?;
    book.write(batch)?;
    book.finish(&mut to)?;
    Ok(to.into_inner())
}

/// Writes a file: a regular one whole or not at all, and it is on disk then.
///
/// # Errors
/// [`Kind::BadInput`] where its folder is not there, or it is one; [`Kind::Storage`] where the system refuses.
pub(crate) fn write(file: &Path, bytes: &[u8]) -> Result<(), Failure> {
    // Not /dev/stdout, nor a pipe.
    let is_special = std::fs::metadata(file).is_ok_and(|known| !known.is_file());
    let written = if is_special {
        File::options().write(true).open(file).and_then(|mut special| special.write_all(bytes))
    } else {
        replace(file, bytes)
    };
    written.map_err(|error| failed(file, &error))
}

fn replace(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut new = beside(file)?;
    new.write_all(bytes)?;
    place(new, file)
}

/// A new file in the folder of another one: it goes by itself unless it is put in the other's [`place`].
///
/// # Errors
/// Those of the system.
pub(crate) fn beside(file: &Path) -> std::io::Result<NamedTempFile> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // As any other file of the person, not one for their eyes only.
    tempfile::Builder::new().prefix(".").suffix(".part").permissions(Permissions::from_mode(0o666)).tempfile_in(folder)
}

/// Puts a file that is whole in the place of another one; it is on disk then.
///
/// # Errors
/// Those of the system.
pub(crate) fn place(new: NamedTempFile, file: &Path) -> std::io::Result<()> {
    new.as_file().sync_all()?;
    new.persist(file).map(drop).map_err(|refused| refused.error)
}

fn failed(file: &Path, error: &std::io::Error) -> Failure {
    let name = file.display();
    match error.kind() {
        ErrorKind::NotFound => Failure::new(Kind::BadInput, format!("{name} does not exist")),
        ErrorKind::IsADirectory => Failure::new(Kind::BadInput, format!("{name} is a folder")),
        ErrorKind::NotADirectory => Failure::new(Kind::BadInput, format!("{name} lies below a file")),
        ErrorKind::PermissionDenied => Failure::new(Kind::BadInput, format!("{name} may not be used by this user")),
        _ => Failure::new(Kind::Storage, format!("{name}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, StringArray};

    use super::*;
    use crate::testing::{AS_OF, Shop};

    #[test]
    fn file_of_a_statement_must_be_utf_8() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("report.sql");
        std::fs::write(&file, b"SELECT 'Gr\xf6\xdfe'").unwrap();
        let failure = read_text(&file).unwrap_err();
        let expected = format!("{} is not UTF-8; save it as UTF-8", file.display());
        assert_eq!((failure.kind, failure.to_string()), (Kind::BadInput, expected));
        std::fs::write(&file, "SELECT 'Größe'").unwrap();
        assert_eq!(read_text(&file).unwrap(), "SELECT 'Größe'");
        let below = file.join("a.sql");
        assert!(read_text(&below).unwrap_err().to_string().ends_with("report.sql/a.sql lies below a file"));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn table_is_a_workbook_or_csv_by_the_name_of_its_file() {
        let shop = Shop::new();
        let mut app = shop.app("asking", AS_OF).await;
        let names: ArrayRef = Arc::new(StringArray::from(vec!["=1+1"]));
        let batch = RecordBatch::try_from_iter([("name", names)]).unwrap();
        write_table(&app, &shop.path("queue.XLSX"), "queue", &batch).unwrap();
        let sheet = table_files::read_sheet(&read(&shop.path("queue.XLSX")).unwrap()).unwrap();
        assert_eq!(sheet.csv, b"name\n=1+1\n");
        write_table(&app, &shop.path("queue.txt"), "queue", &batch).unwrap();
        assert_eq!(shop.read("queue.txt"), "name\n'=1+1\n");
        app.raw = true;
        write_table(&app, &shop.path("queue.txt"), "queue", &batch).unwrap();
        assert_eq!(shop.read("queue.txt"), "name\n=1+1\n");
    }

    #[test]
    fn file_is_replaced_as_a_whole_and_what_cannot_be_one_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let file = folder.join("a.csv");
        for text in ["first", "second"] {
            write(&file, text.as_bytes()).unwrap();
            assert_eq!(read(&file).unwrap(), text.as_bytes());
        }
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), 1, "nothing is left beside it");
        assert!(write(folder, b"x").unwrap_err().to_string().ends_with(" is a folder"));
        let below = folder.join("none/a.csv");
        assert!(write(&below, b"x").unwrap_err().to_string().ends_with("none/a.csv does not exist"));
    }
}
