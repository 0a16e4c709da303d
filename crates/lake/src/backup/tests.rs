use super::*;
use crate::testing::{LATER, instant, logged, lot, night, opened, told};

#[test]
fn revision_of_which_the_log_says_something_else_gets_no_lots_from_a_backup() {
    let lot = |allocation_id, number| lot(allocation_id, number, "5");
    let missing = |backed_up: &[AllocationLogRow], log: &[AllocationLogRow]| {
        let found = Missing::of(backed_up.to_vec(), log, &["allocation_id"]).unwrap();
        (found.rows.len(), found.known, found.other, found.own)
    };
    let backed_up = [lot("a", 1), lot("a", 2), lot("b", 1)];
    assert_eq!(missing(&backed_up, &[]), (3, 0, 0, 0));
    assert_eq!(missing(&backed_up, &backed_up), (0, 3, 0, 0));
    assert_eq!(missing(&backed_up, &[lot("a", 1)]), (1, 1, 1, 0), "lot 2 would become part of another revision");
    assert_eq!(missing(&backed_up, &[lot("c", 1)]), (3, 0, 0, 1));
    let twice = [lot("a", 1), lot("a", 1)];
    assert_eq!(missing(&twice, &[lot("a", 1)]), (0, 1, 1, 0), "as often as it was recorded, and no more");
}

fn credit(credit_key: &str, revision: i32) -> CreditLogRow {
    CreditLogRow {
        credit_key: credit_key.into(),
        revision,
        promotion_code: "Spring".into(),
        account_id: "111111111111".into(),
        owner_account_id: None,
        credit_id: Some("1".into()),
        payer_account_id: "999999999999".into(),
        currency: "USD".into(),
        description: Some("Spring, credit id: 1".into()),
        credit_class: "promotion".into(),
        first_cur_date: "2026-03-11".parse().unwrap(),
        issue_date: "2026-03-10".parse().unwrap(),
        issue_date_source: "cur_inferred".into(),
        detected_at: instant("2026-04-01T00:00:00"),
        run_id: "a".into(),
    }
}

async fn packed_of(lake: &Lake) -> Packed {
    lake.backup(instant("2026-04-01T08:00:00"), "finops-credits 1.2.3").await.unwrap()
}

/// A lake with rows in every log, and its backup.
async fn backed_up() -> (tempfile::TempDir, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    night(folder.path(), "a", &["2026-01", "2026-02"], "5").await;
    let lake = opened(folder.path()).await;
    lake.logs().append(&[credit("id:1", 1), credit("id:2", 1)]).await.unwrap();
    lake.logs().append(&[lot("b", 2, "7"), lot("b", 1, "6")]).await.unwrap();
    lake.logs().append(&[lot("a", 1, "5")]).await.unwrap();
    let packed = packed_of(&lake).await;
    (folder, packed.bytes)
}

fn restored(log: &'static str, [restored, known, other]: [usize; 3]) -> RestoredLog {
    RestoredLog { log, restored, known, other }
}

/// What the allocations', the credits' and the runs' log got.
fn all(allocations: [usize; 3], credits: [usize; 3], runs: [usize; 3]) -> Vec<RestoredLog> {
    vec![restored("allocations_log", allocations), restored("credits_log", credits), restored("runs_log", runs)]
}

#[tokio::test(flavor = "multi_thread")]
async fn backup_holds_every_row_once_in_order_whatever_order_they_were_recorded_in() {
    let (folder, bytes) = backed_up().await;
    let backup = Backup::read(bytes.clone()).unwrap();
    let lots: Vec<AllocationLogRow> = schemas::from_batches(&backup.logs["allocations_log"]).unwrap();
    assert_eq!(lots, [lot("a", 1, "5"), lot("b", 1, "6"), lot("b", 2, "7")]);
    assert_eq!(backup.manifest.lake, folder.path().display().to_string());
    assert_eq!(backup.manifest.program, "finops-credits 1.2.3");
    let rows: Vec<(&str, usize)> = backup.manifest.logs.iter().map(|(name, log)| (name.as_str(), log.rows)).collect();
    assert_eq!(rows, [("allocations_log", 3), ("credits_log", 2), ("runs_log", 2)]);
    assert_eq!(packed_of(&*opened(folder.path()).await).await.bytes, bytes, "the same rows, the same bytes");
    let mut archive = ZipArchive::new(Cursor::new(bytes)).unwrap();
    let mut names: Vec<String> = archive.file_names().map(|name| name.unwrap().into_owned()).collect();
    names.sort();
    let expected =
        ["README.txt", "allocations_log.parquet", "credits_log.parquet", "manifest.json", "runs_log.parquet"];
    assert_eq!(names, expected);
    let mut readme = String::new();
    archive.by_name("README.txt").unwrap().read_to_string(&mut readme).unwrap();
    assert_eq!(readme, README);
}

#[tokio::test(flavor = "multi_thread")]
async fn backup_restored_into_a_new_lake_is_whole_and_restored_again_changes_nothing() {
    let (_old, bytes) = backed_up().await;
    let backup = Backup::read(bytes).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let lake = opened(folder.path()).await;
    let first = lake.restore(&backup, false).await.unwrap();
    assert_eq!(first, all([3, 0, 0], [2, 0, 0], [2, 0, 0]));
    let state = lake.logs().snapshot::<AllocationLogRow>().await.unwrap();
    for merge in [false, true] {
        assert_eq!(lake.restore(&backup, merge).await.unwrap(), all([0, 3, 0], [0, 2, 0], [0, 2, 0]));
    }
    assert_eq!(lake.logs().snapshot::<AllocationLogRow>().await.unwrap(), state);
    let again = Backup::read(packed_of(&lake).await.bytes).unwrap();
    assert_eq!(again.logs, backup.logs);
}

#[tokio::test(flavor = "multi_thread")]
async fn lake_with_rows_that_the_backup_lacks_is_left_alone_unless_it_is_told_to_merge() {
    let (folder, bytes) = backed_up().await;
    let backup = Backup::read(bytes).unwrap();
    let lake = opened(folder.path()).await;
    lake.logs().append(&[lot("c", 1, "8")]).await.unwrap();
    assert_eq!(
        told(folder.path(), lake.restore(&backup, false).await),
        "BadInput: the lake <lake> has what the backup lacks: 1 rows of allocations_log; restore into a new lake before its first \
         run, or append what is missing with --merge: of each credit the newest revision counts then"
    );
    let other = tempfile::tempdir().unwrap();
    let lake = opened(other.path()).await;
    lake.logs().append(&[lot("b", 1, "600"), lot("c", 1, "8"), lot("c", 2, "8")]).await.unwrap();
    lake.logs().append(&[credit("id:1", 1), credit("id:1", 2)]).await.unwrap();
    let refused = told(other.path(), lake.restore(&backup, false).await);
    let own = "BadInput: the lake <lake> has what the backup lacks: 3 rows of allocations_log, 1 rows of credits_log; restore";
    assert!(refused.starts_with(own), "{refused}");
    assert_eq!(lake.logs().read::<RunLogRow>().await.unwrap(), [], "nothing of it was taken");
    assert_eq!(lake.restore(&backup, true).await.unwrap(), all([1, 0, 2], [1, 1, 0], [2, 0, 0]));
    let mut lots: Vec<AllocationLogRow> = lake.logs().read().await.unwrap();
    lots.sort_by(|one, two| (&one.allocation_id, one.lot).cmp(&(&two.allocation_id, two.lot)));
    assert_eq!(lots, [lot("a", 1, "5"), lot("b", 1, "600"), lot("c", 1, "8"), lot("c", 2, "8")], "what it said stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn published_run_that_a_backup_brings_back_is_not_logged_once_more() {
    let (folder, bytes) = backed_up().await;
    let backup = Backup::read(bytes).unwrap();
    for lost in ["catalog.db", "warehouse"].map(|name| folder.path().join(name)) {
        std::fs::rename(&lost, lost.with_extension("lost")).unwrap();
    }
    std::fs::rename(folder.path().join("runs"), folder.path().join("aside")).unwrap();
    let lake = opened(folder.path()).await;
    std::fs::rename(folder.path().join("aside"), folder.path().join("runs")).unwrap();
    lake.logs().append(&[logged("older", "2026-01")]).await.unwrap();
    assert_eq!(lake.restore(&backup, true).await.unwrap()[2], restored("runs_log", [2, 0, 0]));
    opened(folder.path()).await.publish("a", instant(LATER)).await.unwrap();
    let rows = lake.logs().read::<RunLogRow>().await.unwrap();
    assert_eq!(rows.iter().filter(|row| row.run_id == "a").count(), 2, "its two months, once each");
}

/// A backup whose files are changed: each is given, and left out where `None` comes back.
fn repacked(bytes: &[u8], change: impl Fn(&str, Vec<u8>) -> Option<Vec<u8>>) -> Vec<u8> {
    let mut archive = ZipArchive::new(Cursor::new(bytes.to_vec())).unwrap();
    let names: Vec<String> = archive.file_names().map(|name| name.unwrap().into_owned()).collect();
    let mut files = Vec::new();
    for name in names {
        let mut bytes = Vec::new();
        archive.by_name(&name).unwrap().read_to_end(&mut bytes).unwrap();
        files.extend(change(&name, bytes).map(|bytes| (name, bytes)));
    }
    zipped(files.into_iter()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn archive_that_is_no_whole_backup_is_refused_with_what_is_wrong() {
    let (folder, bytes) = backed_up().await;
    let refused = |bytes: Vec<u8>| told(folder.path(), Backup::read(bytes)).replace("BadInput: ", "");
    let of_manifest = |from: &str, to: &str| {
        refused(repacked(&bytes, |name, bytes| match name {
            MANIFEST => Some(String::from_utf8(bytes).unwrap().replacen(from, to, 1).into_bytes()),
            _ => Some(bytes),
        }))
    };
    let without = |missing: &str| refused(repacked(&bytes, |name, bytes| (name != missing).then_some(bytes)));
    let none = "is no backup made by `finops-credits lake backup`";
    for junk in [Vec::new(), b"PK".to_vec(), b"allocation_id,lot\n".to_vec(), bytes[..bytes.len() / 2].to_vec()] {
        assert!(refused(junk.clone()).starts_with(&format!("{none}: ")), "{}", refused(junk));
    }
    assert_eq!(without(MANIFEST), format!("{none}: it has no manifest.json"));
    assert_eq!(of_manifest("finops-credits-backup", "tar"), none);
    assert_eq!(
        of_manifest("\"version\": 1", "\"version\": 2"),
        "is of another version of the format than 1; use the version of the program that made it"
    );
    assert_eq!(
        of_manifest("\"runs_log\"", "\"walks_log\""),
        "is damaged: manifest.json says nothing of runs_log; use another backup"
    );
    assert!(of_manifest("{", "[").starts_with("is damaged: manifest.json: "));
    assert!(of_manifest("made_at", "baked_at").starts_with("is damaged: manifest.json: missing field `made_at`"));
    let rows = "is damaged: allocations_log.parquet: it has 3 rows where manifest.json says 12345; use another backup";
    assert_eq!(of_manifest("\"rows\": 3", "\"rows\": 12345"), rows);
    let long = of_manifest("{", &format!("{{{}", " ".repeat(1 << 20)));
    assert_eq!(long, "is damaged: manifest.json is larger than 1.0 MiB; use another backup");
    assert!(without("credits_log.parquet").starts_with("is damaged: credits_log.parquet: "));
    let swapped =
        repacked(&bytes, |name, bytes| Some(if name == "runs_log.parquet" { b"PAR1".to_vec() } else { bytes }));
    let other = "is damaged: runs_log.parquet holds other bytes than were written; use another backup";
    assert_eq!(refused(swapped), other);
    let said = sha256(b"PAR1");
    let forged = repacked(&bytes, |name, bytes| match name {
        "runs_log.parquet" => Some(b"PAR1".to_vec()),
        MANIFEST => {
            let mut manifest: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
            manifest["logs"]["runs_log"]["sha256"] = said.as_str().into();
            Some(manifest.to_string().into_bytes())
        }
        _ => Some(bytes),
    });
    assert!(refused(forged).starts_with("is damaged: runs_log.parquet: "), "its own word for it is not enough");
}

#[tokio::test(flavor = "multi_thread")]
async fn backup_of_which_any_byte_of_a_table_was_changed_is_not_taken() {
    let (_folder, bytes) = backed_up().await;
    let whole = Backup::read(bytes.clone()).unwrap().logs;
    let table = bytes.windows(4).position(|window| window == b"PAR1").unwrap();
    for at in (table..bytes.len()).step_by(97) {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let taken = Backup::read(changed).map(|backup| backup.logs);
        assert!(taken.as_ref().is_err() || taken.as_ref().is_ok_and(|logs| *logs == whole), "byte {at}");
    }
}
