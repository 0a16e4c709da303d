//! `lake backup`, `restore` and `relocate`: what people recorded outlives the lake and its place.

use std::path::Path;

use chrono::NaiveDateTime;
use lake::{Backup, Lake, RestoredLog, Settings, is_s3};

use crate::app::App;
use crate::locations::Locations;
use crate::output::print_lines;
use crate::{Failure, Kind, files};
use application::money_text::count;

/// The version of the program.
const PROGRAM: &str = env!("CARGO_PKG_VERSION");

/// Writes a backup of the logs, whole or not at all.
pub(crate) async fn backup(app: &App, file: &Path) -> Result<(), Failure> {
    let packed = app.context.lake.backup(app.context.now, PROGRAM).await?;
    files::write(file, &packed.bytes)?;
    let logs = packed.manifest.logs.iter().map(|(log, known)| format!("{log}: {} rows", count(known.rows as u64)));
    let written = format!("Written to {}. `lake restore` puts it into a new lake.", file.display());
    print_lines(logs.chain([written]))
}

/// Appends what the lake lacks of a backup. Where that cannot be read no lake is made.
pub(crate) async fn restore(
    locations: &Locations,
    settings: &Settings,
    file: &Path,
    merge: bool,
) -> Result<(), Failure> {
    let backup = Backup::read(files::read(file)?);
    let backup = backup.map_err(|error| Failure::new(Kind::BadInput, format!("{} {error}", file.display())))?;
    let lake = locations.open_lake(settings, true).await?;
    let lock = lake.lock("lake-restore").await?;
    let restored = lake.restore(&backup, merge).await;
    lock.release().await?;
    let made =
        format!("Backup of {}, made {} UTC.", backup.manifest.lake, backup.manifest.made_at.format("%Y-%m-%d %H:%M"));
    print_lines([made].into_iter().chain(restored?.iter().map(line)))
}

fn line(RestoredLog { log, restored, known, other }: &RestoredLog) -> String {
    let mut line = format!("{log}: {} rows restored", count(*restored as u64));
    if *known > 0 {
        line += &format!(", {} stood there already", count(*known as u64));
    }
    if *other > 0 {
        line += &format!(", {} left out: the lake says something else under their key", count(*other as u64));
    }
    line
}

/// Makes the logs of a lake anew where it lies now.
pub(crate) async fn relocate(settings: &Settings, now: NaiveDateTime) -> Result<(), Failure> {
    let location = &settings.lake.location;
    if is_s3(location) {
        let message = "lake relocate: on S3 the tables in Glue belong to the original; give the copy a [lake] database of its \
                       own and a new location, and `lake restore` a backup into it";
        return Err(Failure::new(Kind::Usage, message));
    }
    let Some(relocated) = Lake::relocate_local(settings, now, PROGRAM).await? else {
        return print_lines([format!("The lake {location} was made here; there is nothing to do.")]);
    };
    let from = relocated.from.map(|from| format!(" It was made at {from}, which was not touched.")).unwrap_or_default();
    let head = format!("The lake {} is one of its own now.{from}", relocated.to);
    let logs = relocated.logs.iter().map(|log| format!("{}: {} rows", log.log, count(log.restored as u64)));
    let kept = format!("As it was: {}; remove that when all is well.", relocated.kept.join(", "));
    print_lines([head].into_iter().chain(logs).chain([kept]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Shop;

    #[test]
    fn what_was_restored_of_a_log_is_told_with_what_was_not() {
        let told = |restored, known, other| line(&RestoredLog { log: "allocations_log", restored, known, other });
        assert_eq!(told(1_234, 0, 0), "allocations_log: 1,234 rows restored");
        assert_eq!(told(0, 5, 0), "allocations_log: 0 rows restored, 5 stood there already");
        let conflict = "allocations_log: 2 rows restored, 3 stood there already, 1 left out: the lake says something else \
                        under their key";
        assert_eq!(told(2, 3, 1), conflict);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn file_that_is_no_backup_is_refused_before_a_lake_is_made() {
        let shop = Shop::new();
        shop.write("backup.zip", "PK and no more");
        let settings = shop.settings_with("");
        let locations = Locations::of(&settings).await.unwrap();
        let restored = async |name: &str| restore(&locations, &settings, &shop.path(name), false).await.unwrap_err();
        let file = shop.path("backup.zip").display().to_string();
        let failure = restored("backup.zip").await;
        assert_eq!(failure.kind, Kind::BadInput);
        assert!(failure.to_string().starts_with(&file), "{failure}");
        assert!(restored("none.zip").await.to_string().ends_with("none.zip does not exist"));
        assert!(!shop.path("lake").exists());
    }

    #[tokio::test]
    async fn lake_on_s3_is_not_relocated() {
        let s3 = "source.location = \"cur\"\nreference.location = \"reference\"\nlake.location = \"s3://bucket/lake\"\n\
                  lake.catalog = \"glue\"";
        let settings = Settings::parse(s3, "settings", ".").unwrap();
        let refused = relocate(&settings, NaiveDateTime::default()).await.unwrap_err();
        assert_eq!(refused.kind, Kind::Usage);
        let said = "lake relocate: on S3 the tables in Glue belong to the original; give the copy a [lake] database of its own \
                    and a new location, and `lake restore` a backup into it";
        assert_eq!(refused.to_string(), said);
    }
}
