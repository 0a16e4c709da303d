//! `export`: tables and views as files.

use std::io::{BufWriter, ErrorKind};
use std::path::{Path, PathBuf};

use arrow::record_batch::RecordBatch;
use datafusion::prelude::DataFrame;
use futures::{Stream, StreamExt};
use lake::Selection;
use serde::Serialize;
use table_files::{CsvFile, ParquetFile, TableFileError, WorkbookFile};
use tempfile::NamedTempFile;

use crate::app::App;
use crate::cli::Export;
use crate::output::answer;
use crate::{Failure, Kind, files};
use application::money_text::count;
use application::read_plan;

/// What a table is written as, by where to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Csv,
    Parquet,
    /// A sheet each.
    Workbook,
    /// A folder, for a CSV file each.
    Folder,
}

/// What was written.
#[derive(Debug, Serialize)]
struct Exported {
    table: String,
    file: PathBuf,
    rows: usize,
}

#[derive(Debug, Serialize)]
struct Answer<'a> {
    exported: &'a [Exported],
}

pub(crate) async fn export(app: &App, arguments: Export) -> Result<(), Failure> {
    let Export { mut tables, out, period, node } = arguments;
    let mut known = std::collections::BTreeSet::new();
    tables.retain(|table| known.insert(table.clone()));
    let target = target(&out, tables.len())?;
    let context = app.context.session()?;
    let selection = Selection { periods: period, node };
    let mut frames = Vec::with_capacity(tables.len());
    for table in &tables {
        frames.push(app.context.lake.selected(&context, table, &selection).await?);
    }
    if target == Target::Workbook {
        let exported = whole(&out, async |to| workbook(app, tables.into_iter().zip(frames), to, &out).await).await?;
        return told(app, &exported);
    }
    let mut exported = Vec::with_capacity(tables.len());
    if target == Target::Folder {
        std::fs::create_dir_all(&out).map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists | ErrorKind::NotADirectory => {
                Failure::new(Kind::BadInput, format!("export: {} is or lies below a file", out.display()))
            }
            _ => refused(&out, error.into()),
        })?;
    }
    for (table, frame) in tables.into_iter().zip(frames) {
        let file = if target == Target::Folder { out.join(format!("{table}.csv")) } else { out.clone() };
        let rows = whole(&file, async |to| write(app, frame, to, target, &file).await).await?;
        exported.push(Exported { table, file, rows });
    }
    told(app, &exported)
}

fn told(app: &App, exported: &[Exported]) -> Result<(), Failure> {
    let line = |table: &Exported| {
        let rows = count(table.rows as u64);
        format!("Exported {} to {}: {rows} rows", table.table, table.file.display())
    };
    answer(app.format, &Answer { exported }, exported.iter().map(line))
}

/// Writes a workbook with a sheet for each table.
async fn workbook(
    app: &App,
    tables: impl Iterator<Item = (String, DataFrame)>,
    to: &mut BufWriter<NamedTempFile>,
    path: &Path,
) -> Result<Vec<Exported>, Failure> {
    let failed = |error| refused(path, error);
    let (mut book, mut exported) = (WorkbookFile::begin().map_err(failed)?, Vec::new());
    for (table, frame) in tables {
        book.sheet(&table, frame.schema().as_arrow()).map_err(failed)?;
        let mut rows = read_plan(&app.context, frame.execute_stream()).await?;
        let rows = each(app, &mut rows, |batch| book.write(batch).map_err(failed)).await?;
        exported.push(Exported { table, file: path.to_owned(), rows });
    }
    book.finish(to).map_err(failed)?;
    app.context.lake.check_published().await?;
    app.context.lake.check_generations().await?;
    Ok(exported)
}

fn target(out: &Path, tables: usize) -> Result<Target, Failure> {
    let usage = |message: String| Failure::new(Kind::Usage, message);
    let suffix = out.extension().map(|suffix| suffix.to_string_lossy().to_lowercase());
    let ends_as_folder = out.as_os_str().to_string_lossy().ends_with('/');
    let target = match suffix.as_deref() {
        _ if ends_as_folder => Target::Folder,
        None => Target::Folder,
        Some("csv") => Target::Csv,
        Some("parquet") => Target::Parquet,
        Some("xlsx") => Target::Workbook,
        Some(other) => {
            let message = format!("export: .{other} is no kind of file; name one that ends in .csv, .xlsx or .parquet");
            return if out.is_dir() { Ok(Target::Folder) } else { Err(usage(message)) };
        }
    };
    if target != Target::Folder && out.is_dir() {
        return Err(Failure::new(Kind::BadInput, format!("export: {} is a folder", out.display())));
    }
    if tables > 1 && matches!(target, Target::Csv | Target::Parquet) {
        let message = "export: such a file holds one table; name one that ends in .xlsx, for a sheet each, or a folder, for a \
                       CSV file each";
        return Err(usage(message.to_owned()));
    }
    Ok(target)
}

/// Writes a file beside `path`, and puts it there once it is whole.
async fn whole<T>(
    path: &Path,
    write: impl AsyncFnOnce(&mut BufWriter<NamedTempFile>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let refused = |error: std::io::Error| refused(path, error.into());
    let part = files::beside(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => {
            Failure::new(Kind::BadInput, format!("export: the folder of {} does not exist", path.display()))
        }
        _ => refused(error),
    })?;
    let mut file = BufWriter::new(part);
    let written = write(&mut file).await?;
    let part = file.into_inner().map_err(|error| refused(error.into_error()))?;
    files::place(part, path).map_err(refused)?;
    Ok(written)
}

/// Writes the rows as they come. Says how many.
async fn write(
    app: &App,
    frame: DataFrame,
    to: &mut BufWriter<NamedTempFile>,
    target: Target,
    path: &Path,
) -> Result<usize, Failure> {
    let schema = std::sync::Arc::new(frame.schema().as_arrow().clone());
    let mut rows = read_plan(&app.context, frame.execute_stream()).await?;
    let failed = |error| refused(path, error);
    let count = if target == Target::Parquet {
        let mut file = ParquetFile::begin(to, schema).map_err(failed)?;
        let count = each(app, &mut rows, |batch| file.write(batch).map_err(failed)).await?;
        file.finish().map_err(failed).map(|_written| count)?
    } else {
        let mut file = CsvFile::begin(to, &schema, app.raw).map_err(failed)?;
        let count = each(app, &mut rows, |batch| file.write(batch).map_err(failed)).await?;
        file.finish().map_err(failed).map(|_written| count)?
    };
    app.context.lake.check_published().await?;
    app.context.lake.check_generations().await?;
    Ok(count)
}

async fn each(
    app: &App,
    rows: &mut (impl Stream<Item = datafusion::error::Result<RecordBatch>> + Unpin),
    mut take: impl FnMut(&RecordBatch) -> Result<(), Failure>,
) -> Result<usize, Failure> {
    let mut count = 0;
    while let Some(batch) = read_plan(&app.context, async { rows.next().await.transpose() }).await? {
        count += batch.num_rows();
        take(&batch)?;
    }
    Ok(count)
}

fn refused(path: &Path, error: TableFileError) -> Failure {
    Failure::new((&error).into(), format!("export: {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{AS_OF, Shop, node};

    #[test]
    fn kind_of_file_follows_its_name_and_one_file_holds_one_table_unless_it_has_sheets() {
        let folder = tempfile::tempdir().unwrap();
        let of = |name: &str, tables: usize| {
            let target = target(&folder.path().join(name), tables);
            target.map_err(|failure| {
                (failure.kind, failure.to_string().replace(&folder.path().display().to_string(), "~"))
            })
        };
        for (name, tables, expected) in [
            ("a.csv", 1, Target::Csv),
            ("a.CSV", 1, Target::Csv),
            ("a.parquet", 1, Target::Parquet),
            ("a.xlsx", 3, Target::Workbook),
            ("new", 3, Target::Folder),
            ("2026.09/", 3, Target::Folder),
            ("", 1, Target::Folder),
        ] {
            assert_eq!(of(name, tables), Ok(expected), "{name}");
        }
        let one_table = "export: such a file holds one table; name one that ends in .xlsx, for a sheet each, or a folder, for a \
                         CSV file each";
        assert_eq!(of("a.csv", 2), Err((Kind::Usage, one_table.to_owned())));
        assert_eq!(of("a.parquet", 2), Err((Kind::Usage, one_table.to_owned())));
        let no_kind = "export: .txt is no kind of file; name one that ends in .csv, .xlsx or .parquet";
        assert_eq!(of("a.txt", 1), Err((Kind::Usage, no_kind.to_owned())));
        std::fs::create_dir(folder.path().join("taken.csv")).unwrap();
        std::fs::create_dir(folder.path().join("v1.2")).unwrap();
        assert_eq!(of("taken.csv", 1), Err((Kind::BadInput, "export: ~/taken.csv is a folder".to_owned())));
        assert_eq!(of("v1.2", 2), Ok(Target::Folder), "a folder that is there may be named as one likes");
    }

    #[tokio::test]
    async fn file_that_was_there_stays_until_the_new_one_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        std::fs::write(&path, "before").unwrap();
        let broken = async |to: &mut BufWriter<NamedTempFile>| {
            std::io::Write::write_all(to, b"half of").map_err(|error| refused(&path, error.into()))?;
            Err::<(), _>(Failure::new(Kind::CheckFailed, "a file is damaged"))
        };
        assert_eq!(whole(&path, broken).await.unwrap_err().kind, Kind::CheckFailed);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "before");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
        let below = folder.path().join("none/a.csv");
        let failure = whole(&below, async |_| Ok(())).await.unwrap_err();
        let expected = format!("export: the folder of {} does not exist", below.display());
        assert_eq!((failure.kind, failure.to_string()), (Kind::BadInput, expected));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn tables_are_written_with_their_selection_in_order_of_their_grain() {
        let shop = Shop::new();
        shop.night("night-1", AS_OF).await;
        let app = shop.app("asking", AS_OF).await;
        let written = async |selection: Selection, name: &str| {
            let session = app.context.session().unwrap();
            let frame = app.context.lake.selected(&session, "net_cost_summary", &selection).await.unwrap();
            let file = shop.path(name);
            let target = target(&file, 1).unwrap();
            whole(&file, async |to| write(&app, frame, to, target, &file).await).await.unwrap()
        };
        let retail = Selection { periods: "2026-Q1".parse().ok(), node: Some(node("Retail")) };
        assert_eq!(written(retail, "retail.csv").await, 2);
        let text = shop.read("retail.csv");
        let begins: Vec<&str> = text.lines().map(|line| line.split(",USD").next().unwrap()).collect();
        assert!(begins[0].starts_with("billing_period,level,business_unit,"), "{text}");
        assert_eq!(begins[1..], ["2026-01,1,Retail,,,", "2026-01,2,Retail,Online,,"]);
        assert_eq!(written(Selection::default(), "all.parquet").await, 4);
        let workbook = shop.path("two.xlsx");
        let session = app.context.session().unwrap();
        let mut frames = Vec::new();
        for table in ["credits", "credit_queue"] {
            let frame = app.context.lake.selected(&session, table, &Selection::default()).await.unwrap();
            frames.push((table.to_owned(), frame));
        }
        let exported =
            async |to: &mut BufWriter<NamedTempFile>| super::workbook(&app, frames.into_iter(), to, &workbook).await;
        let rows: Vec<usize> = whole(&workbook, exported).await.unwrap().iter().map(|table| table.rows).collect();
        assert_eq!(rows, [2, 1]);
        let sheet = table_files::read_sheet(&std::fs::read(&workbook).unwrap()).unwrap();
        assert_eq!(sheet.other_sheets, ["credit_queue"]);
        assert!(String::from_utf8(sheet.csv).unwrap().contains("\nid:42,Spring Credits,111111111111,"));
    }
}
