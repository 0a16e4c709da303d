use bytes::Bytes;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;

use super::*;
use crate::sums::{FileSum, Summing};
use crate::testing::{Refusing, told};

const FILES: [&str; 6] = ["a/x", "a/y", "a/kept/x", "a/kept/deep/y", "a/gone/z", "ab/x"];

fn of_objects(objects: Arc<dyn ObjectStore>, folder: Option<&std::path::Path>) -> Store {
    let engine = EngineStore { url: "s3://bucket/lake/".to_owned(), host: None };
    Store::new(objects, engine, folder.map(std::path::Path::to_path_buf))
}

/// The same files in a folder and in an object store.
async fn stores(folder: &std::path::Path) -> [Store; 2] {
    let local = Arc::new(LocalFileSystem::new_with_prefix(folder).unwrap());
    let stores = [of_objects(local, Some(folder)), of_objects(Arc::new(InMemory::new()), None)];
    for store in &stores {
        for file in FILES {
            store.put(&Path::from(file), Bytes::from(file).into()).await.unwrap();
        }
    }
    stores
}

async fn left(store: &Store) -> Vec<String> {
    let files = store.objects().list(None).map_ok(|file| file.location.to_string());
    let mut files: Vec<String> = files.try_collect().await.unwrap();
    files.sort();
    files
}

#[tokio::test]
async fn what_is_removed_is_the_same_in_a_folder_and_in_an_object_store() {
    let folder = tempfile::tempdir().unwrap();
    for store in stores(folder.path()).await {
        let a = Path::from("a");
        store.remove_files_but(&a, |file| file != "gone/z").await.unwrap();
        assert_eq!(left(&store).await, ["a/kept/deep/y", "a/kept/x", "a/x", "a/y", "ab/x"]);
        assert_eq!(store.folders(&a).await.unwrap(), ["kept"], "a folder without files is none");
        store.remove_all_but(&a, |name| ["kept", "y"].contains(&name)).await.unwrap();
        assert_eq!(left(&store).await, ["a/kept/deep/y", "a/kept/x", "a/y", "ab/x"]);
        store.remove_folder(&Path::from("a/kept/deep")).await.unwrap();
        assert!(store.has_files(&a).await.unwrap());
        store.remove_folder(&a).await.unwrap();
        assert_eq!(left(&store).await, ["ab/x"], "a name that begins the same is another one");
        store.remove_folder(&a).await.unwrap();
        store.remove_all_but(&a, |_| false).await.unwrap();
        store.remove_files_but(&a, |_| false).await.unwrap();
        assert!(!store.has_files(&a).await.unwrap(), "what is not there any more is no failure");
    }
}

#[tokio::test]
async fn half_written_file_that_no_store_lists_goes_from_a_folder_too() {
    let folder = tempfile::tempdir().unwrap();
    let [store, _] = stores(folder.path()).await;
    let half = |place: &str| std::fs::write(folder.path().join(place), "half").unwrap();
    half("a/x#1");
    store.remove_all_but(&Path::from("a"), |name| name == "x" || name == "kept").await.unwrap();
    assert_eq!(crate::testing::entries(&folder.path().join("a")), ["kept", "x"]);
    half("a/kept/deep/y#2");
    store.remove_files_but(&Path::from("a"), |file| file == "kept/x").await.unwrap();
    assert_eq!(crate::testing::entries(&folder.path().join("a")), ["kept"]);
    assert_eq!(crate::testing::entries(&folder.path().join("a/kept")), ["x"]);
    store.remove_if_empty(&Path::from("a/kept"));
    assert!(folder.path().join("a/kept/x").exists(), "a folder that holds something stays");
}

#[tokio::test]
async fn file_is_put_in_another_folder_with_what_is_known_of_it_and_a_missing_one_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    for store in stores(folder.path()).await {
        let (from, to) = (Path::from("runs/a/net_cost"), Path::from("runs/b/net_cost"));
        assert!(!store.copy_if_there(&from, &to).await.unwrap());
        store.put(&part(&from), Bytes::from("rows").into()).await.unwrap();
        let mut sum = Summing::new();
        sum.add(b"rows");
        store.known.wrote(part(&from), sum.finish(1), Some("inputs".to_owned()));
        assert!(store.copy_if_there(&from, &to).await.unwrap());
        assert_eq!(store.read_small(&part(&to)).await.unwrap().as_deref(), Some(&b"rows"[..]));
        assert_eq!(store.known.inputs(&part(&to)).as_deref(), Some("inputs"));
        store.remove_folder(&from).await.unwrap();
        assert_eq!(store.read_small(&part(&to)).await.unwrap().as_deref(), Some(&b"rows"[..]), "it stays alone");
        assert_eq!(store.known.inputs(&part(&from)), None, "what has gone is not known any more");
    }
}

#[tokio::test]
async fn store_that_refuses_is_passed_on_and_what_it_did_before_stays_done() {
    let refusing = Refusing::new(Arc::new(InMemory::new()));
    let store = of_objects(Arc::clone(&refusing) as _, None);
    for file in FILES {
        store.put(&Path::from(file), Bytes::from(file).into()).await.unwrap();
    }
    refusing.refuse(Some("kept/x"));
    let none = std::path::Path::new("<none>");
    let expected = "Store: storage: Generic test error: refuses a/kept/x";
    assert_eq!(told(none, store.read_small(&Path::from("a/kept/x")).await), expected);
    assert_eq!(told(none, store.put(&Path::from("a/kept/x"), Bytes::new().into()).await), expected);
    assert_eq!(told(none, store.remove_folder(&Path::from("a/kept")).await), expected);
    assert!(left(&store).await.contains(&"a/kept/x".to_owned()));
    assert_eq!(store.read_small(&Path::from("a/none")).await.unwrap(), None, "what is not there is no refusal");
}

#[tokio::test]
async fn system_that_refuses_is_said_with_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let [store, _] = stores(folder.path()).await;
    let told = |outcome| told(folder.path(), outcome);
    let below_a_file = Path::from("a/x/below");
    assert_eq!(
        told(store.put(&below_a_file, Bytes::new().into()).await),
        "Io: <lake>/a/x/below: Not a directory (os error 20)"
    );
    assert_eq!(
        told(store.read_small(&below_a_file).await.map(drop)),
        "Io: <lake>/a/x/below: Not a directory (os error 20)"
    );
    assert_eq!(told(store.read_small(&Path::from("a")).await.map(drop)), "Io: <lake>/a: Is a directory (os error 21)");
    assert_eq!(told(Err(store.missing(&Path::from("a/none")))), "Io: <lake>/a/none: entity not found");
}

#[tokio::test]
async fn condition_of_a_file_is_its_size_and_in_a_folder_its_bytes() {
    let folder = tempfile::tempdir().unwrap();
    for store in stores(folder.path()).await {
        let sum = |bytes: &[u8], size: u64| {
            let mut sum = Summing::new();
            sum.add(bytes);
            FileSum { size, ..sum.finish(1) }
        };
        let said = [
            ("a/x", sum(b"a/x", 3)),
            ("a/y", sum(b"b/y", 3)),
            ("a/gone/z", sum(b"a/gone/z", 9)),
            ("a/none", sum(b"", 0)),
        ];
        for (file, sum) in said {
            store.known.learn(Path::from(file), crate::known::FileRecord { sum, inputs: None });
        }
        let paths = ["a/x", "a/y", "a/gone/z", "a/none", "ab/x"].map(Path::from);
        let found = store.conditions(&Path::from("a"), paths).await.unwrap();
        let problem = |file: &str| found[&Path::from(file)].problem().map(ToString::to_string);
        let other_bytes = "holds other bytes than were written (its checksum differs)".to_owned();
        assert_eq!(problem("a/x"), None);
        assert_eq!(problem("a/y"), store.folder().map(|_| other_bytes), "an object store checks its own bytes");
        assert_eq!(problem("a/gone/z").as_deref(), Some("has 8 bytes instead of 9"));
        assert_eq!(problem("a/none").as_deref(), Some("is missing"));
        assert_eq!(found[&Path::from("ab/x")], crate::known::Condition::Unknown, "nobody said what it is");
        let refused = store.refuse_damaged(&Path::from("a"), ["a/x", "a/gone/z"].map(Path::from)).await;
        let place = store.name(&Path::from("a/gone/z"));
        let expected = format!("{place} has 8 bytes instead of 9; start a new run, which makes it again");
        assert_eq!(refused.unwrap_err().to_string(), expected);
    }
}

#[test]
fn damaged_file_is_named_as_people_find_it_with_what_mends_it() {
    let store = of_objects(Arc::new(InMemory::new()), None);
    let said = |path: &str| store.damaged(&Path::from(path), "is missing").to_string();
    assert_eq!(
        said("runs/a/manifest.json"),
        "s3://bucket/lake/runs/a/manifest.json is missing; start a new run, which makes it again"
    );
    assert_eq!(
        said("generations/2026-01/current.json"),
        "s3://bucket/lake/generations/2026-01/current.json is missing; the next run reads the period again from the export; \
         if it is no longer there, restore the file from a backup, deliver the period's files again, or drop the period with \
         `finops-credits lake drop-period 2026-01`"
    );
}
